use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::support::{
    IMPATIENT, Reply, Seen, Server, Step, digest, repository, settings, upstream,
};
use crate::{
    oci::{Digest, Reference, manifest::MAX_MANIFEST_SIZE},
    upstream::{Settings, UpstreamError},
};

const MANIFEST: &str = r#"{"schemaVersion":2,"manifests":[]}"#;
const TYPE: &str = "application/vnd.oci.image.index.v1+json";

fn manifest() -> Reply {
    Reply::ok(MANIFEST).header("content-type", TYPE)
}

fn tag() -> Reference {
    "v1".parse().unwrap()
}

#[tokio::test]
async fn a_tag_is_resolved_by_one_head() {
    let digest = digest();
    let server =
        Server::start(move |_| manifest().header("docker-content-digest", digest.to_string()))
            .await;
    let resolved = server.upstream().resolve(&repository(), &"v1".parse().unwrap()).await.unwrap();
    assert_eq!((resolved.digest, resolved.manifest), (digest, None));
    let [seen] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!((&seen.method, seen.path()), (&Method::HEAD, "/v2/acme/app/manifests/v1"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert!(seen.header("user-agent").unwrap().starts_with("portcullis/"));
    let accept = seen.header("accept").unwrap();
    for part in [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ] {
        assert!(accept.split(", ").any(|kind| kind == part), "{accept}");
    }
}

#[tokio::test]
async fn a_head_without_a_usable_digest_is_followed_by_one_get() {
    type Answer = fn() -> Reply;
    let heads: [Answer; 6] = [
        || Reply::new(405),
        || Reply::new(400),
        || Reply::new(501),
        || Reply::new(200),
        || Reply::new(200).header("docker-content-digest", "sha256:ABC"),
        || {
            Reply::new(200)
                .header("content-type", "text/html")
                .header("docker-content-digest", digest().to_string())
        },
    ];
    for head in heads {
        let server = Server::start(
            move |seen: &Seen| {
                if seen.method == Method::HEAD { head() } else { manifest() }
            },
        )
        .await;
        let resolved =
            server.upstream().resolve(&repository(), &"v1".parse().unwrap()).await.unwrap();
        assert_eq!(resolved.digest, Digest::of(MANIFEST.as_bytes()));
        assert_eq!(resolved.manifest.unwrap().bytes, MANIFEST);
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_head_that_says_no_is_believed() {
    for (status, expected) in [
        (404, UpstreamError::NotFound),
        (401, UpstreamError::Denied { status: 401 }),
        (403, UpstreamError::Denied { status: 403 }),
    ] {
        let server = Server::start(move |_| Reply::new(status)).await;
        let outcome = server.upstream().resolve(&repository(), &"v1".parse().unwrap()).await;
        assert_eq!(outcome, Err(expected));
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_manifest_comes_as_it_is() {
    let server = Server::start(|_| manifest()).await;
    let fetched = server.upstream().fetch_manifest(&repository(), &tag()).await.unwrap();
    assert_eq!(fetched.bytes, MANIFEST);
    assert_eq!(fetched.digest, Digest::of(MANIFEST.as_bytes()));
    assert_eq!(fetched.content_type.as_deref(), Some(TYPE));
}

#[tokio::test]
async fn g7_other_bytes_than_the_digest_names_are_an_integrity_error() {
    let wanted = digest();
    // The header claims what was asked for; the bytes are others.
    let server =
        Server::start(move |_| manifest().header("docker-content-digest", wanted.to_string()))
            .await;
    let reference = Reference::Digest(wanted);
    let outcome = server.upstream().fetch_manifest(&repository(), &reference).await;
    assert_eq!(outcome, Err(UpstreamError::Integrity { digest: wanted }));
    assert_eq!(server.seen().len(), 1, "the same question has the same answer");
}

#[tokio::test]
async fn g7_a_lying_digest_header_is_not_believed_for_a_tag() {
    let server =
        Server::start(|_| manifest().header("docker-content-digest", digest().to_string())).await;
    let fetched = server.upstream().fetch_manifest(&repository(), &tag()).await.unwrap();
    assert_eq!(fetched.digest, Digest::of(MANIFEST.as_bytes()));
}

#[tokio::test]
async fn a_sha512_reference_is_compared_by_sha512() {
    let server = Server::start(|_| manifest()).await;
    let digest = Digest::with(crate::oci::Algorithm::Sha512, MANIFEST.as_bytes());
    let reference = Reference::Digest(digest);
    let fetched = server.upstream().fetch_manifest(&repository(), &reference).await.unwrap();
    assert_eq!(fetched.digest, digest);
}

#[tokio::test]
async fn g36_an_endless_manifest_is_cut() {
    let endless =
        || Reply::new(200).steps(None, vec![Step::Forever(Bytes::from(vec![b' '; 1 << 16]))]);
    let server = Server::start(move |_| endless()).await;
    let outcome = server.upstream().fetch_manifest(&repository(), &tag()).await;
    assert!(matches!(outcome, Err(UpstreamError::Limit { .. })), "{outcome:?}");
    assert_eq!(server.seen().len(), 1, "asking again would cut it again");
}

#[tokio::test]
async fn g36_an_announced_length_beyond_the_limit_is_refused_unread() {
    let length = Some(MAX_MANIFEST_SIZE as u64 + 1);
    let slow = Step::Wait(Duration::from_secs(60));
    let server = Server::start(move |_| Reply::new(200).steps(length, vec![slow.clone()])).await;
    let outcome = server.upstream().fetch_manifest(&repository(), &tag()).await;
    assert!(matches!(outcome, Err(UpstreamError::Limit { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_manifest_of_the_greatest_size_is_taken() {
    let largest = Bytes::from(vec![b' '; MAX_MANIFEST_SIZE]);
    let server = Server::start(move |_| Reply::ok(largest.clone())).await;
    let fetched = server.upstream().fetch_manifest(&repository(), &tag()).await.unwrap();
    assert_eq!(fetched.bytes.len(), MAX_MANIFEST_SIZE);
}

#[tokio::test]
async fn g36_a_body_shorter_than_announced_is_asked_for_again_and_then_an_error() {
    let steps = vec![Step::Data(Bytes::from_static(b"{")), Step::Break];
    let server = Server::start(move |_| Reply::new(200).steps(Some(9), steps.clone())).await;
    let outcome = server.upstream().fetch_manifest(&repository(), &tag()).await;
    assert!(matches!(outcome, Err(UpstreamError::Unreachable { .. })), "{outcome:?}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn g37_an_encoded_manifest_is_refused() {
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"] {
        let server = Server::start(move |_| manifest().header("content-encoding", encoding)).await;
        let outcome = server.upstream().fetch_manifest(&repository(), &tag()).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{encoding}: {outcome:?}");
    }
    let server = Server::start(|_| manifest().header("content-encoding", "Identity")).await;
    server.upstream().fetch_manifest(&repository(), &tag()).await.unwrap();
}

#[tokio::test]
async fn g40_a_slow_loris_is_cut() {
    let drip = |pause: u64| {
        let steps =
            [Step::Data(Bytes::from_static(b"{")), Step::Wait(Duration::from_millis(pause))];
        let steps: Vec<_> = steps.into_iter().cycle().take(400).collect();
        Reply::new(200).steps(None, steps)
    };
    // Below the idle time from piece to piece, above it, and no head at all.
    let scripts = [drip(100), drip(5_000), manifest().after(Duration::from_secs(60))];
    for reply in scripts {
        let server = Server::start(move |_| reply.clone()).await;
        let upstream = upstream(Settings { timeouts: IMPATIENT, ..server.settings() });
        let repository = repository();
        let tag = tag();
        let fetch = upstream.fetch_manifest(&repository, &tag);
        let outcome = tokio::time::timeout(Duration::from_secs(20), fetch).await.unwrap();
        assert!(matches!(outcome, Err(UpstreamError::Unreachable { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn g41_a_web_page_is_no_manifest_even_with_the_right_digest() {
    let server = Server::start(|_| Reply::html(200)).await;
    let page = Digest::of(b"<html>A page</html>");
    for reference in [tag(), Reference::Digest(page)] {
        let outcome = server.upstream().fetch_manifest(&repository(), &reference).await;
        assert!(matches!(outcome, Err(UpstreamError::Invalid { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn g41_only_a_404_means_that_it_is_not_there() {
    for status in [
        201, 204, 206, 300, 304, 400, 401, 402, 403, 405, 406, 410, 418, 429, 451, 500, 501, 502,
        503, 504, 507,
    ] {
        let server = Server::start(move |_| Reply::new(status)).await;
        let reference = Reference::Digest(digest());
        let outcome = server.upstream().fetch_manifest(&repository(), &reference).await;
        let error = outcome.unwrap_err();
        match status {
            401 | 403 => assert_eq!(error, UpstreamError::Denied { status }),
            429 => assert_eq!(error, UpstreamError::RateLimited { retry_after: None }),
            500.. => assert!(matches!(error, UpstreamError::Unreachable { .. }), "{error:?}"),
            // An empty body is not what the digest names.
            201..=206 => assert!(matches!(error, UpstreamError::Integrity { .. }), "{error:?}"),
            _ => {
                let UpstreamError::Invalid { reason } = error else { panic!("{error:?}") };
                assert!(reason.contains(&status.to_string()), "{reason}");
            }
        }
    }
    let server = Server::start(|_| Reply::html(404)).await;
    let outcome = server.upstream().fetch_manifest(&repository(), &tag()).await;
    assert_eq!(outcome, Err(UpstreamError::NotFound));
}

#[tokio::test]
async fn what_an_upstream_writes_in_an_error_body_stays_out_of_the_error() {
    let server = Server::start(|_| Reply::new(418).body("INTERNAL-SECRET")).await;
    let error = server.upstream().fetch_manifest(&repository(), &tag()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("INTERNAL-SECRET"));
}

#[tokio::test]
async fn a_path_prefix_of_the_upstream_comes_first() {
    let server = Server::start(|_| manifest()).await;
    let settings = settings(&format!("{}/api/docker/", server.url()));
    upstream(settings).fetch_manifest(&repository(), &tag()).await.unwrap();
    assert_eq!(server.paths(), ["/api/docker/v2/acme/app/manifests/v1"]);
}

#[test]
fn the_futures_can_be_spawned() {
    fn is_send<T: Send>(_: &T) {}
    let upstream = upstream(settings("http://127.0.0.1:1"));
    let (repository, digest, tag) = (repository(), digest(), "v1".parse().unwrap());
    is_send(&upstream.resolve(&repository, &tag));
    is_send(&upstream.fetch_manifest(&repository, &Reference::Digest(digest)));
    is_send(&upstream.open_blob(&repository, &digest, 0));
    is_send(&upstream.fetch_blob(&repository, &digest, 1));
    is_send(&upstream.referrers(&repository, &digest, None));
    is_send(&upstream.list_tags(&repository, None, None));
}
