use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::support::{
    BASIC, Reply, Seen, Server, credentials, repository, settings, still, until, upstream,
};
use crate::{
    oci::{Reference, Repository},
    telemetry::Metrics,
    upstream::{Settings, Upstream, UpstreamError},
};

fn tag() -> Reference {
    "v1".parse().unwrap()
}

async fn fetch(upstream: &Upstream) -> Result<(), UpstreamError> {
    fetch_from(upstream, &repository()).await
}

async fn fetch_from(upstream: &Upstream, repository: &Repository) -> Result<(), UpstreamError> {
    upstream.fetch_manifest(repository, &tag()).await.map(drop)
}

fn challenge(realm: &str) -> Reply {
    Reply::new(401).header(
        "www-authenticate",
        format!(r#"Bearer realm="{realm}",service="registry.test",scope="repository:acme/app:pull,push registry:catalog:*""#),
    )
}

/// A registry with a token server at the same host, where only `good` tokens count.
async fn registry(
    token: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    is_good: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Server {
    Server::start(move |seen| {
        if seen.path().starts_with("/token") {
            return token(seen);
        }
        match seen.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if is_good(token) => Reply::ok("{}"),
            _ => challenge(&format!("http://{}/token", seen.header("host").unwrap())),
        }
    })
    .await
}

fn token_requests(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.path().starts_with("/token")).collect()
}

#[tokio::test]
async fn a_bearer_challenge_is_answered_with_a_token_for_pulling_alone() {
    let server = registry(|_| Reply::json(r#"{"token":"t1","expires_in":300}"#), |_| true).await;
    let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
    fetch(&upstream).await.unwrap();
    fetch(&upstream).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 4, "anonymous, token, with it, and again with it");
    assert_eq!(seen[0].header("authorization"), None);
    let query = "/token?service=registry%2Etest&scope=repository%3Aacme%2Fapp%3Apull";
    assert_eq!(seen[1].path(), query);
    assert_eq!(seen[1].header("authorization"), Some(BASIC));
    assert_eq!(seen[2].header("authorization"), Some("Bearer t1"));
    assert_eq!(seen[3].header("authorization"), Some("Bearer t1"));
}

#[tokio::test]
async fn without_credentials_the_token_is_asked_for_anonymously() {
    let server = registry(|_| Reply::json(r#"{"access_token":"t1"}"#), |_| true).await;
    fetch(&server.upstream()).await.unwrap();
    assert_eq!(token_requests(&server)[0].header("authorization"), None);
}

#[tokio::test]
async fn a_learned_challenge_saves_the_next_repository_a_round_trip() {
    let server = registry(|_| Reply::json(r#"{"token":"t1"}"#), |_| true).await;
    let upstream = server.upstream();
    fetch(&upstream).await.unwrap();
    fetch_from(&upstream, &"acme/other".parse().unwrap()).await.unwrap();
    let paths = server.paths();
    assert_eq!(paths.len(), 5);
    assert!(paths[3].ends_with("acme%2Fother%3Apull"), "{paths:?}");
    assert_eq!(paths[4], "/v2/acme/other/manifests/v1");
}

#[tokio::test]
async fn a_basic_challenge_is_answered_with_the_credentials() {
    let server = Server::start(|seen| match seen.header("authorization") {
        Some(BASIC) => Reply::ok("{}"),
        _ => Reply::new(401).header("www-authenticate", r#"Basic realm="x""#),
    })
    .await;
    let with = upstream(Settings { credentials: credentials(), ..server.settings() });
    fetch(&with).await.unwrap();
    fetch(&with).await.unwrap();
    assert_eq!(server.seen().len(), 3, "only the first request meets a 401");
    assert_eq!(fetch(&server.upstream()).await, Err(UpstreamError::Denied { status: 401 }));
}

#[tokio::test]
async fn credentials_are_not_sent_before_they_are_asked_for() {
    let server = Server::start(|_| Reply::ok("{}")).await;
    fetch(&upstream(Settings { credentials: credentials(), ..server.settings() })).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_401_after_a_new_token_is_final() {
    let server = registry(|_| Reply::json(r#"{"token":"t1"}"#), |_| false).await;
    let upstream = server.upstream();
    for _ in 0..2 {
        assert_eq!(fetch(&upstream).await, Err(UpstreamError::Denied { status: 401 }));
    }
    assert_eq!(token_requests(&server).len(), 2, "one for each call");
}

#[tokio::test]
async fn a_token_that_is_no_longer_accepted_is_replaced_once() {
    let issued = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&issued);
    let server = registry(
        move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::json(format!(r#"{{"token":"t{number}","expires_in":3600}}"#))
        },
        move |token| token == format!("t{}", issued.load(Ordering::SeqCst)),
    )
    .await;
    let upstream = server.upstream();
    fetch(&upstream).await.unwrap();
    // Somebody else takes a token, which ends ours.
    fetch(&server.upstream()).await.unwrap();
    fetch(&upstream).await.unwrap();
    assert_eq!(token_requests(&server).len(), 3);
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires() {
    let server = registry(|_| Reply::json(r#"{"token":"t1","expires_in":100}"#), |_| true).await;
    let (environment, clock) = still();
    let upstream =
        Upstream::new(server.settings(), &environment, Arc::new(Metrics::new())).unwrap();
    for (advance, expected) in [(0, 1), (89, 1), (2, 2)] {
        clock.advance(Duration::from_secs(advance));
        fetch(&upstream).await.unwrap();
        assert_eq!(token_requests(&server).len(), expected);
    }
}

#[tokio::test]
async fn one_token_is_fetched_for_all_who_wait() {
    let slow = Reply::json(r#"{"token":"t1"}"#).after(Duration::from_millis(200));
    let server = registry(move |_| slow.clone(), |_| true).await;
    let upstream = server.upstream();
    let calls = (0..20).map(|_| fetch(&upstream));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(token_requests(&server).len(), 1);
}

#[tokio::test]
async fn the_first_who_waits_may_go_away() {
    let slow = Reply::json(r#"{"token":"t1"}"#).after(Duration::from_millis(800));
    let server = registry(move |_| slow.clone(), |_| true).await;
    let upstream = server.upstream();
    let is_for_a_token = |seen: &Seen| seen.path().starts_with("/token");
    let spawn = |name: &str| {
        let (upstream, repository) = (upstream.clone(), name.parse().unwrap());
        tokio::spawn(async move { fetch_from(&upstream, &repository).await })
    };
    let first = spawn("acme/app");
    until(&server, 1, is_for_a_token).await;
    let second = spawn("acme/app");
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.abort();
    second.await.unwrap().unwrap();
    assert_eq!(token_requests(&server).len(), 1);
    // And when all go away, the next one starts anew.
    let alone = spawn("acme/other");
    until(&server, 2, is_for_a_token).await;
    alone.abort();
    assert!(alone.await.unwrap_err().is_cancelled());
    spawn("acme/other").await.unwrap().unwrap();
    assert_eq!(token_requests(&server).len(), 3);
}

#[tokio::test]
async fn the_failure_of_a_token_server_is_told_to_all_who_wait() {
    for (reply, expected) in [
        (Reply::new(401), "denied"),
        (Reply::new(403), "denied"),
        (Reply::new(404), "invalid"),
        (Reply::new(429).header("retry-after", "77"), "limited"),
        (Reply::new(500), "unreachable"),
        (Reply::json("{}"), "invalid"),
        (Reply::html(200), "invalid"),
        (Reply::json(format!(r#"{{"token":"{}"}}"#, "a".repeat(40_000))), "limit"),
        (Reply::json(r#"{"token":"t"}"#).header("content-encoding", "gzip"), "invalid"),
    ] {
        let slow = reply.after(Duration::from_millis(50));
        let server = registry(move |_| slow.clone(), |_| true).await;
        let upstream = server.upstream();
        let outcomes = futures_util::future::join_all((0..4).map(|_| fetch(&upstream))).await;
        for outcome in outcomes {
            let kind = match outcome.unwrap_err() {
                UpstreamError::Denied { .. } => "denied",
                UpstreamError::Invalid { .. } => "invalid",
                UpstreamError::Limit { .. } => "limit",
                UpstreamError::RateLimited { retry_after: Some(_) } => "limited",
                UpstreamError::Unreachable { .. } => "unreachable",
                other => panic!("{other:?}"),
            };
            assert_eq!(kind, expected);
        }
    }
}

#[tokio::test]
async fn g47_a_realm_at_another_host_is_neither_asked_nor_shown_credentials() {
    let evil = Server::start(|_| Reply::json(r#"{"token":"t1"}"#)).await;
    let port = evil.address.port();
    let realms = [
        format!("http://localhost:{port}/token"),
        format!("http://127.0.0.1:1@localhost:{port}/token"),
        format!("http://localhost:{port}/token?x=127.0.0.1"),
        format!("//localhost:{port}/token"),
        "file:///etc/passwd".to_owned(),
        String::new(),
    ];
    for realm in realms {
        let shown = realm.clone();
        let server = Server::start(move |_| challenge(&shown)).await;
        let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
        let error = fetch(&upstream).await.unwrap_err();
        let UpstreamError::Invalid { reason } = error else { panic!("{error:?}") };
        assert!(reason.contains("realm"), "{reason}");
        assert_eq!(server.seen().len(), 1);
        assert_eq!(server.seen()[0].header("authorization"), None);
    }
    assert!(evil.seen().is_empty(), "{:?}", evil.seen());
}

#[tokio::test]
async fn a_realm_that_the_configuration_names_is_asked() {
    let other = Server::start(|_| Reply::json(r#"{"token":"t1"}"#)).await;
    let realm = format!("http://localhost:{}/token", other.address.port());
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer t1") => Reply::ok("{}"),
        _ => challenge(&realm),
    })
    .await;
    let realms = vec![format!("localhost:{}", other.address.port())];
    let settings = Settings { credentials: credentials(), realms, ..server.settings() };
    fetch(&upstream(settings)).await.unwrap();
    assert_eq!(other.seen()[0].header("authorization"), Some(BASIC));
}

#[tokio::test]
async fn g47_a_token_server_that_redirects_takes_no_credentials_along() {
    let evil = Server::start(|_| Reply::json(r#"{"token":"t1"}"#)).await;
    let target = format!("{}/token", evil.url());
    let server =
        registry(move |_| Reply::redirect(307, target.clone()), |token| token == "t1").await;
    let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
    fetch(&upstream).await.unwrap();
    assert_eq!(evil.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn an_unreadable_or_foreign_challenge_leads_nowhere() {
    for (header, expected) in [
        (Some(r#"Bearer realm="x"#), "invalid"),
        (Some("Bearer"), "invalid"),
        (Some("Negotiate abc="), "denied"),
        (None, "denied"),
    ] {
        let server = Server::start(move |_| {
            header.map_or(Reply::new(401), |text| Reply::new(401).header("www-authenticate", text))
        })
        .await;
        let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
        let kind = match fetch(&upstream).await.unwrap_err() {
            UpstreamError::Denied { status: 401 } => "denied",
            UpstreamError::Invalid { .. } => "invalid",
            other => panic!("{other:?}"),
        };
        assert_eq!(kind, expected, "{header:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn setup_errors_name_the_setting() {
    let make = |settings: Settings| {
        Upstream::new(settings, &still().0, Arc::new(Metrics::new())).unwrap_err().to_string()
    };
    let mut bad = settings("http://127.0.0.1:1");
    bad.realms = vec!["https://auth.test".to_owned()];
    assert!(make(bad).contains("`realms`: `https://auth.test`"));
    let mut bad = settings("http://127.0.0.1:1");
    bad.credentials = credentials().map(|mut credentials| {
        credentials.username = "a:b".to_owned();
        credentials
    });
    assert!(make(bad).contains("`username`"));
    let error = make(settings("https://127.0.0.1:1"));
    assert!(error.contains("root certificates"), "{error}");
}
