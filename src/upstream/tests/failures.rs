use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpListener;

use super::support::{Reply, Server, Step, repository, settings, still, upstream};
use crate::{
    environment::Environment,
    oci::Reference,
    telemetry::Metrics,
    upstream::{Upstream, UpstreamError},
};

async fn fetch(upstream: &Upstream) -> Result<(), UpstreamError> {
    let tag: Reference = "v1".parse().unwrap();
    upstream.fetch_manifest(&repository(), &tag).await.map(drop)
}

/// Answers with each of `replies` in turn, and with the last one from then on.
async fn in_turn(replies: Vec<Reply>) -> Server {
    let next = AtomicUsize::new(0);
    Server::start(move |_| {
        let at = next.fetch_add(1, Ordering::SeqCst);
        replies[at.min(replies.len() - 1)].clone()
    })
    .await
}

#[tokio::test]
async fn what_passes_is_asked_again() {
    for status in [500, 502, 503, 504] {
        let server = in_turn(vec![Reply::new(status), Reply::new(status), Reply::ok("{}")]).await;
        fetch(&server.upstream()).await.unwrap();
        assert_eq!(server.seen().len(), 3);
    }
    let broken = Reply::new(200).steps(Some(2), vec![Step::Break]);
    let server = in_turn(vec![broken, Reply::ok("{}")]).await;
    fetch(&server.upstream()).await.unwrap();
}

#[tokio::test]
async fn what_does_not_pass_ends_as_unreachable() {
    let server = in_turn(vec![Reply::new(502)]).await;
    let error = fetch(&server.upstream()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_short_named_wait_is_kept() {
    for status in [429, 503] {
        let busy = Reply::new(status).header("retry-after", "1");
        let server = in_turn(vec![busy, Reply::ok("{}")]).await;
        let began = tokio::time::Instant::now();
        fetch(&server.upstream()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_long_named_wait_is_told_at_once() {
    let server = in_turn(vec![Reply::new(429).header("retry-after", "3600")]).await;
    let retry_after = Some(Duration::from_secs(3600));
    assert_eq!(fetch(&server.upstream()).await, Err(UpstreamError::RateLimited { retry_after }));
    assert_eq!(server.seen().len(), 1);
    let server = in_turn(vec![Reply::new(503).header("retry-after", "30")]).await;
    let error = fetch(&server.upstream()).await.unwrap_err();
    let UpstreamError::Unreachable { retry_after, .. } = error else { panic!("{error:?}") };
    assert_eq!(retry_after, Duration::from_secs(30));
    assert_eq!(server.seen().len(), 1);
}

async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_the_reason_says_so() {
    let error = fetch(&upstream(settings(&closed_port().await))).await.unwrap_err();
    let UpstreamError::Unreachable { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("127.0.0.1") && reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn an_upstream_that_accepts_and_says_nothing_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // HTTPS: the silence is in the handshake, and there the connect timeout counts.
    let mut settings = settings(&format!("https://{}", listener.local_addr().unwrap()));
    settings.ca_only = false;
    settings.ca = vec![rcgen::generate_simple_self_signed(vec![]).unwrap().cert.into()];
    settings.timeouts.connect = Duration::from_millis(100);
    settings.timeouts.first_byte = Duration::from_secs(60);
    let error = fetch(&upstream(settings)).await.unwrap_err();
    let UpstreamError::Unreachable { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("no connection within"), "{reason}");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_not_asked_for_a_while_and_then_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (environment, clock) = still();
    let metrics = Arc::new(Metrics::new());
    let upstream =
        Upstream::new(settings(&format!("http://{address}")), &environment, Arc::clone(&metrics))
            .unwrap();
    for _ in 0..5 {
        fetch(&upstream).await.unwrap_err();
    }
    let gauge =
        |value: u64| format!(r#"portcullis_upstream_breaker{{upstream="registry.test"}} {value}"#);
    assert!(metrics.render().contains(&gauge(2)), "{}", metrics.render());

    let server = Server::on(TcpListener::bind(address).await.unwrap(), None, |_| Reply::ok("{}"));
    let error = fetch(&upstream).await.unwrap_err();
    let UpstreamError::Unreachable { retry_after, .. } = error else { panic!("{error:?}") };
    assert!(retry_after > Duration::from_secs(1), "{retry_after:?}");
    assert!(server.seen().is_empty(), "nothing was asked");

    clock.advance(retry_after);
    fetch(&upstream).await.unwrap();
    fetch(&upstream).await.unwrap();
    assert!(metrics.render().contains(&gauge(0)));
}

#[tokio::test]
async fn an_upstream_that_says_no_is_not_down() {
    for reply in [Reply::new(404), Reply::new(403), Reply::new(429), Reply::html(200)] {
        let server = in_turn(vec![reply]).await;
        let upstream = server.upstream();
        for _ in 0..8 {
            fetch(&upstream).await.unwrap_err();
        }
        assert_eq!(server.seen().len(), 8);
    }
}

#[tokio::test]
async fn requests_and_quotas_are_counted() {
    let server = in_turn(vec![
        Reply::ok("{}").header("RateLimit-Remaining", "76;w=21600"),
        Reply::new(404),
        Reply::new(429),
    ])
    .await;
    let metrics = Arc::new(Metrics::new());
    let upstream =
        Upstream::new(server.settings(), &Environment::system(), Arc::clone(&metrics)).unwrap();
    for _ in 0..3 {
        let _ = fetch(&upstream).await;
    }
    let text = metrics.render();
    for line in [
        r#"portcullis_upstream_rate_limit_remaining{upstream="registry.test"} 76"#,
        r#"portcullis_upstream_requests_total{upstream="registry.test",status="2xx"} 1"#,
        r#"portcullis_upstream_requests_total{upstream="registry.test",status="4xx"} 1"#,
        r#"portcullis_upstream_requests_total{upstream="registry.test",status="429"} 1"#,
        r#"portcullis_upstream_request_seconds_count{upstream="registry.test"} 3"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
