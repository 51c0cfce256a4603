use std::sync::Arc;

use super::support::{Reply, Server};
use crate::{
    environment::Environment,
    telemetry::Metrics,
    upstream::{Site, UpstreamError},
};

async fn fetch(server: &Server, path: &str) -> Result<Option<bytes::Bytes>, UpstreamError> {
    let site =
        Site::new(server.settings(), &Environment::system(), Arc::new(Metrics::new())).unwrap();
    site.fetch(path, 10).await
}

#[tokio::test]
async fn a_file_is_read_whole_and_what_is_not_there_is_nothing() {
    let server = Server::start(|seen| match seen.path() {
        "/targets/a.json" => Reply::ok("content"),
        "/hidden.json" => Reply::new(403),
        _ => Reply::new(404),
    })
    .await;
    assert_eq!(fetch(&server, "targets/a.json").await, Ok(Some("content".into())));
    assert_eq!(fetch(&server, "hidden.json").await, Ok(None));
    assert_eq!(fetch(&server, "2.root.json").await, Ok(None));
    let anonymous = server.seen().iter().all(|seen| seen.header("authorization").is_none());
    assert!(anonymous);
}

#[tokio::test]
async fn g36_a_file_that_is_longer_than_its_reader_wants_is_refused() {
    let server = Server::start(|_| Reply::ok("more than ten bytes")).await;
    assert!(matches!(fetch(&server, "a").await, Err(UpstreamError::Limit { .. })));
}

#[tokio::test]
async fn a_site_that_fails_for_a_moment_is_asked_again() {
    let server = Server::start(|_| Reply::ok("content")).await;
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let failing =
        Server::start(move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Reply::new(503),
            _ => Reply::ok("content"),
        })
        .await;
    for server in [server, failing] {
        assert_eq!(fetch(&server, "a").await, Ok(Some("content".into())));
    }
    let down = Server::start(|_| Reply::new(500)).await;
    assert!(matches!(fetch(&down, "a").await, Err(UpstreamError::Unreachable { .. })));
    let encoded = Server::start(|_| Reply::ok("content").header("content-encoding", "gzip")).await;
    assert!(matches!(fetch(&encoded, "a").await, Err(UpstreamError::Invalid { .. })));
}
