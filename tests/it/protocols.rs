//! The same answers over HTTP/1.1, HTTP/2 without TLS, and both of them over TLS.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::support::*;

/// A stage with `acme/app:v1` signed and `acme/app:bad` unsigned, over TLS where `tls`.
async fn scene(tls: bool) -> (Stage, Image, rcgen::CertifiedKey<rcgen::KeyPair>) {
    let certificate = certificate();
    let stage = Stage::with(|setup| {
        if !tls {
            return setup;
        }
        setup
            .listen("tls = { certificate = \"mirror.pem\", key = \"mirror.key\" }")
            .file("mirror.pem", certificate.cert.pem())
            .file("mirror.key", certificate.signing_key.serialize_pem())
    })
    .await;
    let image = Image::oci("over every protocol");
    stage.push_signed("acme/app", "v1", &image);
    stage.upstream.push("acme/app", "bad", &Image::oci("refused over every protocol"));
    (stage, image, certificate)
}

fn request(target: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://localhost{target}");
    Request::builder().uri(uri).body(Empty::new()).expect("a right request")
}

async fn body(answer: Response<Incoming>) -> Bytes {
    answer.into_body().collect().await.expect("the body ends as announced").to_bytes()
}

/// Pulls over HTTP/2 on `connection`, many requests at once.
async fn pull_by_http2<C>(connection: C, image: &Image)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection))
            .await
            .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let ask = |target: String| {
        let mut sender = sender.clone();
        async move { sender.send_request(request(&target)).await.expect("an answer") }
    };
    let manifest = ask("/v2/acme/app/manifests/v1".to_owned()).await;
    assert_eq!(manifest.status(), 200);
    assert_eq!(body(manifest).await, image.bytes());
    let blobs =
        image.blobs.iter().map(|blob| ask(format!("/v2/acme/app/blobs/{}", Digest::of(blob))));
    for (answer, blob) in futures_util::future::join_all(blobs).await.into_iter().zip(&image.blobs)
    {
        assert_eq!(body(answer).await, blob);
    }
    let refused = ask("/v2/acme/app/manifests/bad".to_owned()).await;
    assert_eq!(refused.status(), 403);
    let refused: Value = serde_json::from_slice(&body(refused).await).expect("errors are JSON");
    assert_eq!(refused["errors"][0]["code"], "DENIED");
}

#[tokio::test]
async fn http2_without_tls_by_prior_knowledge() {
    let (stage, image, _) = scene(false).await;
    let connection = TcpStream::connect(stage.mirror.address()).await.expect("it listens");
    pull_by_http2(connection, &image).await;
}

#[tokio::test]
async fn tls_offers_http2_and_http1() {
    let (stage, image, certificate) = scene(true).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).expect("a right certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    for protocol in ["h2", "http/1.1"] {
        let mut settings = settings.clone();
        settings.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let connection = TcpStream::connect(stage.mirror.address()).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = TlsConnector::from(Arc::new(settings))
            .connect(name, connection)
            .await
            .expect("the certificate is trusted");
        assert_eq!(connection.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        if protocol == "h2" {
            pull_by_http2(connection, &image).await;
            continue;
        }
        let (mut sender, connection) =
            conn::http1::handshake(TokioIo::new(connection)).await.expect("no handshake");
        tokio::spawn(connection);
        let answer = sender.send_request(request("/v2/acme/app/manifests/v1")).await;
        assert_eq!(body(answer.expect("an answer")).await, image.bytes());
    }
    // Plain HTTP on the TLS port gets nothing.
    let plain = client::raw(stage.mirror.address(), b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!plain.contains("200 OK"), "{plain}");
}
