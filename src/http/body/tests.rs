use std::{io::Write as _, net::IpAddr};

use http_body_util::BodyExt as _;
use hyper::{Method, Response, body::Body as _};
use tokio::sync::mpsc;

use super::*;
use crate::{
    environment::SystemClock,
    http::{
        request_id::RequestId,
        service::{Arrival, Door},
    },
    telemetry::Metrics,
};

/// A file that no folder names.
fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position % 251) as u8).collect()
}

/// A part of a file that grows as the sender says.
fn growing(file: File, span: Span) -> (mpsc::UnboundedSender<Result<u64, FillError>>, Body) {
    let (grow, grown) = mpsc::unbounded_channel();
    let growth = stream::unfold(grown, |mut grown| async move {
        grown.recv().await.map(|readable| (readable, grown))
    });
    let source = Source::Growing(growth.boxed());
    (grow, FileBody::new(Arc::new(file), span, source, Buffers::default()).into())
}

/// A part of a file that is all there.
fn whole(file: File, span: Span) -> Body {
    let (grow, body) = growing(file, span);
    grow.send(Ok(span.end)).unwrap();
    body
}

async fn next(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test]
async fn sends_exactly_its_span_in_pieces_of_a_buffer() {
    let content = pattern(200 << 10);
    let span = Span { start: 1_000, end: 180_001 };
    let mut body = whole(file(&content), span);
    let mut sent = Vec::new();
    while let Some(piece) = next(&mut body).await {
        let piece = piece.unwrap();
        assert!(piece.len() <= BUFFER_SIZE);
        sent.extend_from_slice(&piece);
        assert_eq!(body.size_hint().exact(), Some(span.length() - sent.len() as u64));
    }
    assert!(body.is_end_stream());
    assert!(sent == content[1_000..180_001]);
}

#[tokio::test]
async fn reads_the_same_from_the_disk_as_from_memory() {
    let content = pattern(150 << 10);
    let file = file(&content);
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let body = whole(file, Span { start: 0, end: content.len() as u64 });
    assert!(body.collect().await.unwrap().to_bytes() == content);
}

#[tokio::test]
async fn a_piece_that_is_not_in_memory_is_read_on_another_thread() {
    let (content, buffers) = (pattern(100), Buffers::default());
    let piece = read_cold(&file(&content), buffers.take(), 10, 20).unwrap();
    assert_eq!(piece, content[10..30]);
}

#[tokio::test]
async fn follows_a_file_that_grows() {
    let mut file = file(b"01234");
    let (grow, mut body) = growing(file.try_clone().unwrap(), Span { start: 2, end: 10 });
    grow.send(Ok(4)).unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "23");
    assert!(futures_util::FutureExt::now_or_never(next(&mut body)).is_none(), "waits");
    file.write_all(b"56789").unwrap();
    grow.send(Ok(10)).unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "456789");
    assert!(next(&mut body).await.is_none());
}

#[tokio::test]
async fn a_fill_that_fails_never_ends_as_if_whole() {
    let (grow, mut body) = growing(file(b"0123"), Span { start: 0, end: 10 });
    grow.send(Ok(4)).unwrap();
    grow.send(Err(FillError::Stopped)).unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "0123");
    assert!(!body.is_end_stream());
    assert!(matches!(next(&mut body).await, Some(Err(BodyError::Fill(FillError::Stopped)))));

    let (grow, mut body) = growing(file(b"0123"), Span { start: 0, end: 10 });
    drop(grow);
    assert!(matches!(next(&mut body).await, Some(Err(BodyError::Fill(_)))), "nobody fills it");
}

#[tokio::test]
async fn a_file_that_is_too_short_never_ends_as_if_whole() {
    let mut body = whole(file(b"0123"), Span { start: 0, end: 10 });
    assert_eq!(next(&mut body).await.unwrap().unwrap(), "0123");
    assert!(matches!(next(&mut body).await, Some(Err(BodyError::Short))));
}

#[tokio::test]
async fn over_a_lane_the_last_byte_waits_for_everything_before_it() {
    let content = pattern(MAX_PIECE + (90 << 10));
    let span = Span { start: 5, end: content.len() as u64 };
    let lane = Lane::default();
    let mut body = whole(file(&content), span).over(Some(lane.clone()));
    let mut direct = 0;
    for _ in 0..2 {
        direct += next(&mut body).await.unwrap().unwrap().len() as u64;
    }
    assert_eq!(direct, span.length() - 1);
    let waiting = futures_util::FutureExt::now_or_never(next(&mut body)).is_none();
    assert!(waiting, "nobody has sent the pieces");
}

#[tokio::test]
async fn a_connection_with_a_lane_sends_the_same_bytes() {
    let content = Bytes::from(pattern(3 * MAX_PIECE + 12_345));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let lane = Lane::default();
    let socket = crate::http::sendfile::DirectSocket::new(socket, lane.clone());
    let file = file(&content);
    let end = content.len() as u64;
    let service = hyper::service::service_fn(move |_| {
        let body = whole(file.try_clone().unwrap(), Span { start: 1, end });
        let body = body.over(Some(lane.clone()));
        async { Ok::<_, std::convert::Infallible>(Response::new(body)) }
    });
    let serving = tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(hyper_util::rt::TokioIo::new(socket), service),
    );
    // Two in one go: what is left of the first must not reach into the second.
    let request =
        "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut client, request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client, &mut received).await.unwrap();
    serving.await.unwrap().unwrap();
    for _ in 0..2 {
        let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let rest = received.split_off(head);
        assert!(rest[..content.len() - 1] == content[1..]);
        received = rest[content.len() - 1..].to_vec();
    }
    assert!(received.is_empty());
}

#[test]
fn the_last_byte_of_a_range_waits_for_the_whole_blob() {
    let span = Span { start: 0, end: 6 };
    for (readable, sent) in [(3, 3), (5, 5), (6, 5), (7, 5), (9, 5), (10, 6)] {
        assert_eq!(allowed(readable, span, 10), sent, "{readable} of 10 are readable");
    }
}

#[tokio::test]
async fn what_was_sent_is_counted_when_the_body_is_dropped() {
    let metrics = Arc::new(Metrics::new());
    let arrival = Arrival {
        client: IpAddr::from([127, 0, 0, 1]),
        door: Door::default(),
        request_id: RequestId::from_parts(0, 0),
    };
    let clock = Arc::new(SystemClock);
    let mut record = Box::new(Record::open(&arrival, Method::GET, clock, Arc::clone(&metrics)));
    let response =
        Response::new(whole(file(&pattern(100 << 10)), Span { start: 0, end: 100 << 10 }));
    record.answered(&response);
    let mut body = response.into_body().with_record(record);
    assert!(metrics.render().contains("portcullis_requests_in_flight 1\n"));
    let sent = next(&mut body).await.unwrap().unwrap().len();
    drop(body);
    let text = metrics.render();
    assert!(
        text.contains(&format!("portcullis_request_bytes_total{{route=\"none\"}} {sent}\n")),
        "{text}"
    );
    assert!(
        text.contains("portcullis_requests_total{route=\"none\",status=\"2xx\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("portcullis_requests_in_flight 0\n"), "{text}");
}
