use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    http::{
        body::BodyError,
        testing::{header, headers, store},
    },
    oci::Digest,
    store::{FillSource, FillStream, SourceError, Store},
};

const CONTENT: &[u8] = b"0123456789";

async fn stored() -> ReadableBlob {
    let ((_folder, store), digest) = (store(), Digest::of(CONTENT));
    store.publish(&digest, Bytes::from_static(CONTENT)).await.unwrap();
    let blob = store.open_blob(&digest).await.unwrap().unwrap();
    ReadableBlob { digest, size: blob.size, content: BlobContent::Stored(blob) }
}

async fn ask(conditions: &[(&str, &str)], head: bool) -> Response<Body> {
    let conditions = headers(conditions);
    match response(stored().await, &conditions, head, &Buffers::default()) {
        Ok(response) => response,
        Err(failure) => failure.into_response(head),
    }
}

async fn content(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn carries_the_whole_blob_and_all_that_clients_need() {
    let digest = Digest::of(CONTENT).to_string();
    for head in [false, true] {
        let response = ask(&[("accept-encoding", "gzip, zstd")], head).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-type"), "application/octet-stream");
        assert_eq!(header(&response, "docker-content-digest"), digest);
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        assert_eq!(header(&response, "content-length"), "10");
        assert_eq!(header(&response, "accept-ranges"), "bytes");
        assert_eq!(header(&response, "content-encoding"), "");
        assert_eq!(content(response).await, if head { b"" } else { CONTENT });
    }
}

#[tokio::test]
async fn sends_the_range_that_was_asked_for() {
    for (range, part, which) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
    ] {
        let response = ask(&[("range", range)], false).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(header(&response, "content-range"), which);
        assert_eq!(header(&response, "content-length"), part.len().to_string());
        assert_eq!(content(response).await, part);
    }
}

#[tokio::test]
async fn sends_the_whole_where_a_range_does_not_count() {
    let etag = format!("\"{}\"", Digest::of(CONTENT));
    for conditions in [
        &[("range", "bytes=0-1,3-4")] as &[_],
        &[("range", "lines=0-1")],
        &[("range", "bytes=0-1"), ("range", "bytes=2-3")],
        &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
        &[("range", "bytes=20-"), ("if-range", "\"other\"")],
    ] {
        let response = ask(conditions, false).await;
        assert_eq!(response.status(), StatusCode::OK, "{conditions:?}");
        assert_eq!(content(response).await, CONTENT);
    }
    let matching = ask(&[("range", "bytes=0-1"), ("if-range", &etag)], false).await;
    assert_eq!(matching.status(), StatusCode::PARTIAL_CONTENT);
    let head = ask(&[("range", "bytes=0-1")], true).await;
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "10"));
}

#[tokio::test]
async fn a_range_behind_the_end_is_told_the_size() {
    let response = ask(&[("range", "bytes=10-")], false).await;
    assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&response, "content-range"), "bytes */10");
}

#[tokio::test]
async fn a_client_that_has_it_is_told_so_before_any_range() {
    let etag = format!("\"{}\"", Digest::of(CONTENT));
    let response = ask(&[("if-none-match", &etag), ("range", "bytes=0-1")], false).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(header(&response, "etag"), etag);
    assert!(content(response).await.is_empty());
}

/// Sends the first half at once, and the other when it is let go.
#[derive(Debug)]
struct Halves {
    halves: [&'static [u8]; 2],
    go: Arc<Semaphore>,
}

impl FillSource for Halves {
    fn origin(&self) -> &str {
        "registry.test"
    }

    fn open(&self, _from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        let (go, halves) = (Arc::clone(&self.go), self.halves);
        let second = async move {
            let _go = go.acquire().await.unwrap();
            Ok(Bytes::from_static(halves[1]))
        };
        let body = stream::iter([Ok(Bytes::from_static(halves[0]))]).chain(stream::once(second));
        let size = Some(CONTENT.len() as u64);
        async move { Ok(FillStream { from: 0, size, body: body.boxed() }) }.boxed()
    }
}

/// The answer to a request for a blob of which `halves` are coming, and what lets the second go.
async fn ask_filling(
    halves: [&'static [u8]; 2],
    conditions: &[(&str, &str)],
) -> ((TempDir, Store), Arc<Semaphore>, Response<Body>) {
    let (folder, store) = store();
    let (digest, go) = (Digest::of(CONTENT), Arc::new(Semaphore::new(0)));
    let source = Arc::new(Halves { halves, go: Arc::clone(&go) });
    let mut follower = store.fill(&digest, None, source).await.unwrap();
    let size = follower.size().await.unwrap();
    let blob = ReadableBlob { digest, size, content: BlobContent::Filling(follower) };
    let response = response(blob, &headers(conditions), false, &Buffers::default()).unwrap();
    ((folder, store), go, response)
}

async fn next(body: &mut Body) -> Result<Bytes, BodyError> {
    let frame = body.frame().await.expect("it has not ended");
    frame.map(|frame| frame.into_data().unwrap())
}

#[tokio::test]
async fn a_blob_that_is_still_coming_is_sent_as_it_comes() {
    let (_store, go, response) = ask_filling([b"01234", b"56789"], &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-length"), "10");
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await.unwrap(), "01234");
    assert!(next(&mut body).now_or_never().is_none(), "the rest has not come");
    go.add_permits(1);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "56789");
}

#[tokio::test]
async fn a_range_of_a_blob_that_is_still_coming_ends_when_the_whole_is_right() {
    let range = [("range", "bytes=1-3")];
    let (_store, go, response) = ask_filling([b"01234", b"56789"], &range).await;
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&response, "content-range"), "bytes 1-3/10");
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await.unwrap(), "12");
    assert!(next(&mut body).now_or_never().is_none(), "its last byte is not safe yet");
    go.add_permits(1);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "3");
}

#[tokio::test]
async fn a_blob_that_turns_out_wrong_never_ends_as_if_whole() {
    for conditions in [&[] as &[_], &[("range", "bytes=1-3")], &[("range", "bytes=9-9")]] {
        let (_store, go, response) = ask_filling([b"01234", b"56780"], conditions).await;
        go.add_permits(1);
        assert!(response.into_body().collect().await.is_err(), "{conditions:?}");
    }
}
