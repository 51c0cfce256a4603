use super::support::{BASIC, Reply, Server, credentials, digest, repository, settings, upstream};
use crate::upstream::{ReferrersAnswer, Settings, Upstream, UpstreamError};

async fn blob(upstream: &Upstream) -> Result<bytes::Bytes, UpstreamError> {
    upstream.fetch_blob(&repository(), &digest(), 100).await
}

fn demanding_basic(authorization: Option<&str>, reply: Reply) -> Reply {
    match authorization {
        Some(BASIC) => reply,
        _ => Reply::new(401).header("www-authenticate", r#"Basic realm="x""#),
    }
}

#[tokio::test]
async fn a_blob_is_followed_to_where_it_lies() {
    for status in [301, 302, 303, 307, 308] {
        let store = Server::start(|_| Reply::ok("something")).await;
        let target = format!("{}/object?signature=a%2Fb", store.url());
        let server = Server::start(move |_| Reply::redirect(status, target.clone())).await;
        assert_eq!(blob(&server.upstream()).await.unwrap(), "something");
        assert_eq!(store.paths(), ["/object?signature=a%2Fb"]);
    }
}

#[tokio::test]
async fn g47_credentials_stay_at_their_origin() {
    let store = Server::start(|_| Reply::ok("something")).await;
    // The same host at another port is another origin.
    let target = format!("{}/object", store.url());
    let server = Server::start(move |seen| {
        demanding_basic(seen.header("authorization"), Reply::redirect(307, target.clone()))
    })
    .await;
    let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
    blob(&upstream).await.unwrap();
    assert_eq!(server.seen()[1].header("authorization"), Some(BASIC));
    assert_eq!(store.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn g47_credentials_do_not_come_back_with_a_redirect() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://{}/back", listener.local_addr().unwrap());
    let store = Server::start(move |_| Reply::redirect(307, home.clone())).await;
    let away = format!("{}/object", store.url());
    let server = Server::on(listener, None, move |seen| match seen.path() {
        "/back" => Reply::ok("something"),
        _ => demanding_basic(seen.header("authorization"), Reply::redirect(307, away.clone())),
    });
    let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
    blob(&upstream).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.last().unwrap().path(), "/back");
    assert_eq!(seen.last().unwrap().header("authorization"), None);
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_the_credentials() {
    let server = Server::start(|seen| {
        let reply = match seen.path() {
            "/moved" => Reply::ok("something"),
            _ => Reply::redirect(307, "/moved"),
        };
        demanding_basic(seen.header("authorization"), reply)
    })
    .await;
    blob(&upstream(Settings { credentials: credentials(), ..server.settings() })).await.unwrap();
}

#[tokio::test]
async fn g47_a_challenge_from_where_a_redirect_leads_is_not_answered() {
    let store = Server::start(|seen| {
        let realm = format!("http://{}/token", seen.header("host").unwrap());
        Reply::new(401).header("www-authenticate", format!(r#"Bearer realm="{realm}""#))
    })
    .await;
    let target = format!("{}/object", store.url());
    let server = Server::start(move |_| Reply::redirect(307, target.clone())).await;
    let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
    assert_eq!(blob(&upstream).await, Err(UpstreamError::Denied { status: 401 }));
    assert_eq!(store.paths(), ["/object"]);
}

#[tokio::test]
async fn redirects_have_an_end() {
    let server = Server::start(|seen| Reply::redirect(302, format!("{}x", seen.path()))).await;
    let error = blob(&server.upstream()).await.unwrap_err();
    assert!(matches!(&error, UpstreamError::Invalid { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 6, "and are not begun again");
}

#[tokio::test]
async fn g38_redirects_to_local_services_are_refused_at_once() {
    for target in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "file:///etc/passwd",
        "http://user@127.0.0.1/",
        "/v2/../../etc",
    ] {
        let server = Server::start(move |_| Reply::redirect(302, target)).await;
        let error = blob(&server.upstream()).await.unwrap_err();
        assert!(matches!(&error, UpstreamError::Invalid { .. }), "{target}: {error:?}");
        assert_eq!(server.seen().len(), 1, "asking again would lead there again");
    }
}

#[tokio::test]
async fn g38_redirects_to_this_machine_are_refused_unless_the_upstream_is_there() {
    // The proxy stands for a network in which `registry.test` is somewhere else.
    let proxy = Server::start(|seen| match seen.uri.host() {
        Some("registry.test") => Reply::redirect(302, "http://127.0.0.1:1/secret"),
        _ => Reply::ok("something"),
    })
    .await;
    let mut settings = settings("http://registry.test");
    settings.proxy = Some(proxy.url().parse().unwrap());
    let error = blob(&upstream(settings)).await.unwrap_err();
    let UpstreamError::Invalid { reason } = &error else { panic!("{error:?}") };
    assert!(reason.contains("local address 127.0.0.1"), "{reason}");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn ghcr_sends_referrers_to_a_web_page_that_is_not_there() {
    let pages = Server::start(|_| Reply::html(404)).await;
    let target = format!("{}/orgs/acme/packages", pages.url());
    let server = Server::start(move |_| Reply::redirect(303, target.clone())).await;
    let answer = server.upstream().referrers(&repository(), &digest(), None).await;
    assert_eq!(answer, Ok(ReferrersAnswer::Absent));
}
