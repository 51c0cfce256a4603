use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use super::support::{IMPATIENT, Reply, Seen, Server, Step, digest, repository, upstream};
use crate::{
    oci::Digest,
    upstream::{BlobStream, Settings, Upstream, UpstreamError},
};

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SIZE: u64 = CONTENT.len() as u64;

/// Where the request's range begins.
fn start(seen: &Seen) -> u64 {
    let range = seen.header("range").unwrap_or("bytes=0-");
    range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap()
}

fn rest(from: u64) -> Bytes {
    Bytes::from_static(&CONTENT[usize::try_from(from).unwrap()..])
}

/// An honest answer to a request for everything from `from` on.
fn part(from: u64) -> Reply {
    let range = format!("bytes {from}-{}/{SIZE}", SIZE - 1);
    Reply::new(206).body(rest(from)).header("content-range", range)
}

/// Five bytes of an answer, and then the connection breaks.
fn torn(reply: Reply, from: u64) -> Reply {
    let data = rest(from).slice(..5);
    reply.steps(Some(SIZE - from), vec![Step::Data(data), Step::Break])
}

async fn read(blob: BlobStream) -> Result<Vec<u8>, UpstreamError> {
    let mut body = blob.body;
    let mut content = Vec::new();
    while let Some(piece) = body.next().await {
        content.extend_from_slice(&piece?);
        assert!(content.len() <= CONTENT.len(), "more than there is");
    }
    Ok(content)
}

async fn open(upstream: &Upstream, from: u64) -> Result<BlobStream, UpstreamError> {
    upstream.open_blob(&repository(), &digest(), from).await
}

fn ranges(server: &Server) -> Vec<Option<String>> {
    let range = |seen: &Seen| seen.header("range").map(str::to_owned);
    server.seen().iter().map(range).collect()
}

#[tokio::test]
async fn a_blob_comes_whole() {
    let server = Server::start(|_| Reply::ok(CONTENT)).await;
    let blob = open(&server.upstream(), 0).await.unwrap();
    assert_eq!((blob.size, blob.from), (Some(SIZE), 0));
    assert_eq!(read(blob).await.unwrap(), CONTENT);
    assert_eq!(server.paths(), [format!("/v2/acme/app/blobs/{}", digest())]);
    assert_eq!(ranges(&server), [None]);
}

#[tokio::test]
async fn a_blob_without_a_length_comes_whole() {
    let steps = vec![Step::Data(rest(0))];
    let server = Server::start(move |_| Reply::new(200).steps(None, steps.clone())).await;
    let blob = open(&server.upstream(), 0).await.unwrap();
    assert_eq!(blob.size, None);
    assert_eq!(read(blob).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_blob_comes_from_where_it_is_wanted() {
    let server = Server::start(|seen| part(start(seen))).await;
    let blob = open(&server.upstream(), 10).await.unwrap();
    assert_eq!((blob.size, blob.from), (Some(SIZE), 10));
    assert_eq!(read(blob).await.unwrap(), CONTENT[10..]);
}

#[tokio::test]
async fn an_upstream_that_knows_no_ranges_begins_at_the_start() {
    let server = Server::start(|_| Reply::ok(CONTENT)).await;
    let blob = open(&server.upstream(), 10).await.unwrap();
    assert_eq!((blob.size, blob.from), (Some(SIZE), 0));
    assert_eq!(read(blob).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_start_beyond_the_end_begins_again_at_the_start() {
    let server = Server::start(|seen| match seen.header("range") {
        Some(_) => Reply::new(416).header("content-range", format!("bytes */{SIZE}")),
        None => Reply::ok(CONTENT),
    })
    .await;
    let blob = open(&server.upstream(), 1000).await.unwrap();
    assert_eq!(blob.from, 0);
    assert_eq!(read(blob).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_broken_body_is_taken_up_where_it_broke() {
    let server = Server::start(|seen| match start(seen) {
        0 => torn(Reply::new(200), 0).header("etag", r#""abc""#),
        5 => torn(part(5), 5).header("etag", r#""abc""#),
        from => part(from),
    })
    .await;
    let blob = open(&server.upstream(), 0).await.unwrap();
    assert_eq!(read(blob).await.unwrap(), CONTENT);
    let wanted = [None, Some("bytes=5-".to_owned()), Some("bytes=10-".to_owned())];
    assert_eq!(ranges(&server), wanted);
    assert_eq!(server.seen()[1].header("if-range"), Some(r#""abc""#));
}

#[tokio::test]
async fn a_weak_validator_is_not_sent_with_a_range() {
    let server = Server::start(|seen| match start(seen) {
        0 => torn(Reply::new(200), 0).header("etag", r#"W/"abc""#),
        from => part(from),
    })
    .await;
    assert_eq!(read(open(&server.upstream(), 0).await.unwrap()).await.unwrap(), CONTENT);
    assert_eq!(server.seen()[1].header("if-range"), None);
}

#[tokio::test]
async fn a_resume_that_begins_at_the_start_skips_what_is_there() {
    let server = Server::start(|seen| match seen.header("range") {
        None => torn(Reply::new(200), 0),
        Some(_) => {
            let steps = vec![Step::Data(rest(0).slice(..3)), Step::Data(rest(3))];
            Reply::new(200).steps(Some(SIZE), steps)
        }
    })
    .await;
    assert_eq!(read(open(&server.upstream(), 0).await.unwrap()).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_resume_that_ends_before_what_is_there_is_not_the_end() {
    let steps = |end| vec![Step::Data(rest(0).slice(..end)), Step::Break];
    let server = Server::start(move |seen| match seen.header("range") {
        None => Reply::new(200).steps(None, steps(5)),
        Some(_) => Reply::new(200).steps(None, vec![Step::Data(rest(0).slice(..3))]),
    })
    .await;
    let outcome = read(open(&server.upstream(), 0).await.unwrap()).await;
    assert!(matches!(outcome, Err(UpstreamError::Unreachable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_silent_body_is_taken_up_again() {
    let server = Server::start(|seen| match start(seen) {
        0 => {
            let steps = vec![Step::Data(rest(0).slice(..5)), Step::Wait(Duration::from_secs(60))];
            Reply::new(200).steps(Some(SIZE), steps)
        }
        from => part(from),
    })
    .await;
    let upstream = upstream(Settings { timeouts: IMPATIENT, ..server.settings() });
    assert_eq!(read(open(&upstream, 0).await.unwrap()).await.unwrap(), CONTENT);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_part_shorter_than_asked_for_is_completed() {
    let server = Server::start(|seen| match start(seen) {
        0 => torn(Reply::new(200), 0),
        5 => Reply::new(206)
            .body(rest(5).slice(..4))
            .header("content-range", format!("bytes 5-8/{SIZE}")),
        from => part(from),
    })
    .await;
    assert_eq!(read(open(&server.upstream(), 0).await.unwrap()).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_body_that_always_breaks_is_given_up() {
    let server = Server::start(|seen| match start(seen) {
        0 => torn(Reply::new(200), 0),
        from => torn(part(from), from),
    })
    .await;
    let error = read(open(&server.upstream(), 0).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn a_blob_that_goes_away_in_the_middle_ends_with_that() {
    let server = Server::start(|seen| match start(seen) {
        0 => torn(Reply::new(200), 0),
        _ => Reply::new(404),
    })
    .await;
    let outcome = read(open(&server.upstream(), 0).await.unwrap()).await;
    assert_eq!(outcome, Err(UpstreamError::NotFound));
}

#[tokio::test]
async fn g36_parts_that_do_not_fit_are_refused() {
    type Resume = fn() -> Reply;
    let resumes: [(&str, Resume); 7] = [
        ("begins elsewhere", || {
            Reply::new(206)
                .body(rest(6))
                .header("content-range", format!("bytes 6-{}/{SIZE}", SIZE - 1))
        }),
        ("another length", || {
            Reply::new(206).body(rest(5)).header("content-range", "bytes 5-35/37")
        }),
        ("another whole", || Reply::ok(&CONTENT[..20])),
        ("no range", || Reply::new(206).body(rest(5))),
        ("nonsense", || Reply::new(206).body(rest(5)).header("content-range", "bytes x")),
        ("gone", || Reply::new(416)),
        ("nothing", || Reply::new(204)),
    ];
    for (name, resume) in resumes {
        let server = Server::start(move |seen| match start(seen) {
            0 => torn(Reply::new(200), 0),
            _ => resume(),
        })
        .await;
        let outcome = read(open(&server.upstream(), 0).await.unwrap()).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{name}: {outcome:?}");
    }
}

#[tokio::test]
async fn g36_a_part_that_begins_elsewhere_is_not_opened() {
    for first in [0, 4, 6] {
        let server = Server::start(move |_| {
            Reply::new(206)
                .body(rest(first))
                .header("content-range", format!("bytes {first}-{}/{SIZE}", SIZE - 1))
        })
        .await;
        let outcome = open(&server.upstream(), 5).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{first}: {outcome:?}");
    }
}

#[tokio::test]
async fn g36_more_bytes_than_announced_end_the_stream() {
    let endless = vec![Step::Forever(Bytes::from_static(b"0123456789"))];
    let server = Server::start(move |_| {
        Reply::new(206)
            .steps(None, endless.clone())
            .header("content-range", format!("bytes 5-{}/{SIZE}", SIZE - 1))
    })
    .await;
    let outcome = read(open(&server.upstream(), 5).await.unwrap()).await;
    assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{outcome:?}");
}

#[tokio::test]
async fn g37_an_encoded_blob_is_refused() {
    let server = Server::start(|_| Reply::ok(CONTENT).header("content-encoding", "gzip")).await;
    assert!(matches!(open(&server.upstream(), 0).await, Err(UpstreamError::Invalid { .. })));
}

#[tokio::test]
async fn g36_a_small_blob_is_bounded_and_compared() {
    let server = Server::start(|_| Reply::ok(CONTENT)).await;
    let upstream = server.upstream();
    let repository = repository();
    let right = Digest::of(CONTENT);
    let size = CONTENT.len();
    assert_eq!(upstream.fetch_blob(&repository, &right, size).await.unwrap(), CONTENT);
    let limited = upstream.fetch_blob(&repository, &right, size - 1).await;
    assert!(matches!(limited, Err(UpstreamError::Limit { .. })), "{limited:?}");
    let wrong = upstream.fetch_blob(&repository, &digest(), size).await;
    assert_eq!(wrong, Err(UpstreamError::Integrity { digest: digest() }));
}
