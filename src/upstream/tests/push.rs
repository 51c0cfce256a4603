use bytes::Bytes;
use http::Method;

use super::support::{Reply, Seen, Server, credentials, repository, upstream};
use crate::{
    oci::{Digest, MediaType},
    upstream::{Settings, UpstreamError},
};

/// A registry that wants a token for everything, has no blobs, and takes uploads at `location`.
async fn registry(location: &'static str) -> Server {
    Server::start(move |seen: &Seen| {
        if seen.path().starts_with("/token") {
            return Reply::json(r#"{"token":"t1"}"#);
        }
        if seen.header("authorization").is_none() {
            let realm = format!("http://{}/token", seen.header("host").unwrap());
            let challenge = format!(r#"Bearer realm="{realm}",service="registry.test""#);
            return Reply::new(401).header("www-authenticate", challenge);
        }
        match seen.method {
            Method::HEAD => Reply::new(404),
            Method::POST => Reply::new(202).header("location", location),
            _ => Reply::new(201),
        }
    })
    .await
}

fn writes(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| !seen.method.is_safe()).collect()
}

#[tokio::test]
async fn a_blob_goes_up_in_one_piece_with_a_token_that_may_push() {
    let server = registry("/v2/acme/app/blobs/uploads/7?_state=s").await;
    let upstream = upstream(Settings { credentials: credentials(), ..server.settings() });
    let digest =
        upstream.publish_blob(&repository(), Bytes::from_static(b"payload")).await.unwrap();
    assert_eq!(digest, Digest::of(b"payload"));
    let writes = writes(&server);
    let place = format!("/v2/acme/app/blobs/uploads/7?_state=s&digest=sha256%3A{}", digest.hex());
    let paths: Vec<_> = writes.iter().map(Seen::path).collect();
    assert_eq!(paths, ["/v2/acme/app/blobs/uploads/", place.as_str()]);
    assert_eq!(writes[1].header("content-length"), Some("7"));
    let scopes: Vec<_> =
        server.paths().into_iter().filter(|path| path.starts_with("/token")).collect();
    assert!(scopes[0].ends_with("%3Apull"), "{scopes:?}");
    assert!(scopes[1].ends_with("%3Apull%2Cpush"), "{scopes:?}");
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_written_again() {
    let server = Server::start(|_| Reply::new(200)).await;
    server.upstream().publish_blob(&repository(), Bytes::from_static(b"payload")).await.unwrap();
    assert!(writes(&server).is_empty());
}

#[tokio::test]
async fn g47_an_upload_is_not_sent_to_another_server() {
    let server = registry("http://evil.test/upload").await;
    let refused = server.upstream().publish_blob(&repository(), Bytes::from_static(b"x")).await;
    assert!(matches!(refused, Err(UpstreamError::Invalid { .. })), "{refused:?}");
    let redirecting = Server::start(|seen| match seen.method {
        Method::HEAD => Reply::new(404),
        _ => Reply::redirect(307, "http://127.0.0.1:1/"),
    })
    .await;
    let refused =
        redirecting.upstream().publish_blob(&repository(), Bytes::from_static(b"x")).await;
    assert!(matches!(refused, Err(UpstreamError::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_manifest_is_put_under_its_tag() {
    let server = registry("/unused").await;
    let tag = "sha256-00.sig".parse().unwrap();
    let manifest = MediaType::OciManifest.as_str();
    let content = Bytes::from_static(b"{}");
    let upstream = server.upstream();
    upstream.publish_manifest(&repository(), &tag, manifest, content).await.unwrap();
    let put = writes(&server).pop().unwrap();
    assert_eq!(
        (put.method.clone(), put.path()),
        (Method::PUT, "/v2/acme/app/manifests/sha256-00.sig")
    );
    assert_eq!(put.header("content-type"), Some(manifest));
}

#[tokio::test]
async fn a_registry_that_lets_nobody_write_says_so() {
    let server = Server::start(|seen| match seen.method {
        Method::HEAD => Reply::new(404),
        _ => Reply::new(403),
    })
    .await;
    let refused = server.upstream().publish_blob(&repository(), Bytes::from_static(b"x")).await;
    assert_eq!(refused, Err(UpstreamError::Denied { status: 403 }));
}
