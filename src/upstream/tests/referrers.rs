use bytes::Bytes;

use super::support::{Reply, Seen, Server, Step, digest, repository};
use crate::{
    oci::Digest,
    upstream::{ReferrersAnswer, UpstreamError},
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn descriptor(number: usize) -> String {
    let digest = Digest::of(number.to_string().as_bytes());
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":7,"artifactType":"a/b"}}"#
    )
}

fn index(numbers: impl Iterator<Item = usize>) -> String {
    let descriptors: Vec<_> = numbers.map(descriptor).collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        descriptors.join(",")
    )
}

fn page(numbers: impl Iterator<Item = usize>) -> Reply {
    Reply::ok(index(numbers)).header("content-type", INDEX)
}

fn next(reply: Reply, target: impl std::fmt::Display) -> Reply {
    reply.header("link", format!(r#"<{target}>; rel="next""#))
}

/// Which page is asked for.
fn number(seen: &Seen) -> usize {
    let query = seen.uri.query().unwrap_or_default();
    query.split_once("page=").map_or(0, |(_, number)| number.parse().unwrap())
}

async fn ask(server: &Server) -> Result<ReferrersAnswer, UpstreamError> {
    server.upstream().referrers(&repository(), &digest(), None).await
}

async fn listed(server: &Server) -> Vec<Digest> {
    match ask(server).await.unwrap() {
        ReferrersAnswer::Listed { descriptors, .. } => {
            descriptors.iter().map(|descriptor| descriptor.digest).collect()
        }
        ReferrersAnswer::Absent => panic!("there is an API"),
    }
}

#[tokio::test]
async fn lists_what_the_upstream_lists() {
    let server = Server::start(|_| page(0..2)).await;
    assert_eq!(listed(&server).await, [Digest::of(b"0"), Digest::of(b"1")]);
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!(seen.path(), format!("/v2/acme/app/referrers/{}", digest()));
    assert_eq!(seen.header("accept"), Some(INDEX));
    let empty = Server::start(|_| page(0..0)).await;
    assert_eq!(listed(&empty).await, []);
    let json = Server::start(|_| Reply::json(index(0..1))).await;
    assert_eq!(listed(&json).await.len(), 1);
}

#[tokio::test]
async fn g41_only_three_statuses_mean_that_there_is_no_api() {
    for status in [404, 400, 405] {
        let server = Server::start(move |_| Reply::html(status)).await;
        assert_eq!(ask(&server).await, Ok(ReferrersAnswer::Absent), "{status}");
    }
    for status in [201, 204, 304, 401, 402, 403, 406, 410, 429, 500, 501, 502, 503] {
        let server = Server::start(move |_| Reply::new(status)).await;
        assert!(ask(&server).await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn g41_what_is_no_complete_list_is_an_error() {
    let whole = index(0..2);
    let half = &whole[..whole.len() / 2];
    let image = r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:","size":0},"layers":[]}"#;
    for (name, reply) in [
        ("a page", Reply::html(200)),
        (
            "an index that says it is a page",
            Reply::ok(whole.clone()).header("content-type", "text/html"),
        ),
        ("no type", Reply::ok(whole.clone())),
        ("empty", Reply::ok("").header("content-type", INDEX)),
        ("cut", Reply::ok(half.to_owned()).header("content-type", INDEX)),
        ("null", Reply::json("null")),
        ("object", Reply::json("{}")),
        ("image", Reply::json(image)),
        ("no list", Reply::json(r#"{"schemaVersion":2}"#)),
        ("bad digest", Reply::json(whole.replace("sha256:", "sha256:x"))),
        ("encoded", Reply::json(whole.clone()).header("content-encoding", "gzip")),
        ("bad link", Reply::json(whole.clone()).header("link", "<x")),
    ] {
        let server = Server::start(move |_| reply.clone()).await;
        let outcome = ask(&server).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{name}: {outcome:?}");
    }
    let torn = Reply::new(200)
        .steps(Some(whole.len() as u64), vec![Step::Data(half.to_owned().into()), Step::Break])
        .header("content-type", INDEX);
    let server = Server::start(move |_| torn.clone()).await;
    let outcome = ask(&server).await;
    assert!(matches!(outcome, Err(UpstreamError::Unreachable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    for absolute in [false, true] {
        let server = Server::start(move |seen| {
            let this = number(seen);
            let reply = page(this..this + 1);
            if this == 3 {
                return reply;
            }
            let host = seen.header("host").unwrap();
            let target = if absolute {
                format!("http://{host}{}?page={}", seen.uri.path(), this + 1)
            } else {
                format!("{}?page={}", seen.uri.path(), this + 1)
            };
            next(reply, target)
        })
        .await;
        let wanted: Vec<_> = (0..4).map(|n: usize| Digest::of(n.to_string().as_bytes())).collect();
        assert_eq!(listed(&server).await, wanted);
    }
}

#[tokio::test]
async fn g38_a_next_page_elsewhere_is_refused_unasked() {
    let evil = Server::start(|_| page(0..1)).await;
    let path = format!("/v2/acme/app/referrers/{}", digest());
    for target in [
        format!("{}{path}?page=1", evil.url()),
        format!("//{}{path}", evil.address),
        format!("https://evil.test{path}"),
        "file:///etc/passwd".to_owned(),
        format!("/v2/acme/secret/referrers/{}", digest()),
        format!("/v2/acme/app/referrers/{}", Digest::of(b"other")),
        format!("/v2/acme/app/other/referrers/{}", digest()),
        "/v2/acme/app/manifests/v1".to_owned(),
        "../tags/list".to_owned(),
        format!("/v2/acme/x/%2e%2e/app/referrers/{}", digest()),
        format!("http://127.0.0.1@evil.test{path}"),
    ] {
        let shown = target.clone();
        let server = Server::start(move |_| next(page(0..1), &shown)).await;
        let outcome = ask(&server).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{target}: {outcome:?}");
        assert_eq!(server.seen().len(), 1, "{target}");
    }
    assert!(evil.seen().is_empty());
}

#[tokio::test]
async fn g38_pages_that_lead_in_a_circle_are_noticed() {
    let itself = Server::start(|seen| next(page(0..1), seen.path())).await;
    assert!(matches!(ask(&itself).await, Err(UpstreamError::Invalid { .. })));
    assert_eq!(itself.seen().len(), 1);
    let circle =
        Server::start(|seen| next(page(0..1), format!("?page={}", (number(seen) + 1) % 3))).await;
    assert!(matches!(ask(&circle).await, Err(UpstreamError::Invalid { .. })));
    assert_eq!(circle.seen().len(), 4, "the first page again, under another name, then it shows");
}

#[tokio::test]
async fn g36_g39_floods_are_a_limit_and_never_a_shorter_list() {
    let many = Server::start(|_| page(0..513)).await;
    assert!(matches!(ask(&many).await, Err(UpstreamError::Limit { .. })));
    let enough = Server::start(|_| page(0..512)).await;
    assert_eq!(listed(&enough).await.len(), 512);

    let pages = Server::start(|seen| next(page(0..1), format!("?page={}", number(seen) + 1))).await;
    assert!(matches!(ask(&pages).await, Err(UpstreamError::Limit { .. })));
    assert_eq!(pages.seen().len(), 16);

    let padding = " ".repeat(3 << 20);
    let large = Server::start(move |seen| {
        let reply = Reply::ok(index(0..1) + &padding).header("content-type", INDEX);
        next(reply, format!("?page={}", number(seen) + 1))
    })
    .await;
    assert!(matches!(ask(&large).await, Err(UpstreamError::Limit { .. })));
    assert_eq!(large.seen().len(), 3);

    let blank = vec![Step::Forever(Bytes::from(vec![b' '; 1 << 16]))];
    let endless = Server::start(move |_| {
        Reply::new(200).steps(None, blank.clone()).header("content-type", INDEX)
    })
    .await;
    assert!(matches!(ask(&endless).await, Err(UpstreamError::Limit { .. })));
}

#[tokio::test]
async fn g41_a_promised_page_that_is_missing_is_no_missing_api() {
    for status in [404, 400, 405, 500, 403] {
        let server = Server::start(move |seen| match number(seen) {
            0 => next(page(0..1), "?page=1"),
            _ => Reply::new(status),
        })
        .await;
        assert!(ask(&server).await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn a_filter_is_asked_for_and_believed_only_when_it_is_confirmed() {
    for (confirmed, header) in [(true, "artifactType"), (true, "x, artifactType"), (false, "x")] {
        let server = Server::start(move |_| page(0..1).header("oci-filters-applied", header)).await;
        let answer =
            server.upstream().referrers(&repository(), &digest(), Some("a/b+c")).await.unwrap();
        let ReferrersAnswer::Listed { filtered, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(filtered, confirmed);
        assert!(server.paths()[0].ends_with("?artifactType=a%2Fb%2Bc"), "{:?}", server.paths());
    }
}
