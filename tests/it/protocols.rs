//! The same answers over HTTP/1.1, HTTP/2 without TLS, and both of them over TLS.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
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

/// The answers in `bytes`, in order: status and body. `heads` are the places of answers to `HEAD`.
fn answers(mut bytes: &[u8], heads: &[usize]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
        let length: usize =
            length.expect("every answer tells its length").parse().expect("a number");
        let length = if heads.contains(&found.len()) { 0 } else { length };
        let status = head[9..12].parse().expect("a status");
        found.push((status, bytes[end..end + length].to_vec()));
        bytes = &bytes[end + length..];
    }
    found
}

#[tokio::test]
async fn answers_on_one_connection_stay_apart() {
    let stage = Stage::new().await;
    let image = Image::with_layers("pipelined", vec![image::noise("layer", 3 << 20)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.upstream.push("acme/app", "bad", &Image::oci("refused"));
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let layer = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.mirror.get(&layer).await.carries(&image.blobs[1]);
    let blob = image.blobs[1].clone();
    let part = |from: usize, to: usize| format!("Range: bytes={from}-{}\r\n", to - 1);
    let wanted: [(&str, &str, String, u16, Vec<u8>); 8] = [
        ("GET", &layer, String::new(), 200, blob.to_vec()),
        ("GET", &layer, part(5, 2_000_000), 206, blob[5..2_000_000].to_vec()),
        ("HEAD", &layer, String::new(), 200, Vec::new()),
        ("GET", "/v2/acme/app/manifests/v1", String::new(), 200, image.bytes().to_vec()),
        ("HEAD", "/v2/acme/app/manifests/bad", String::new(), 403, Vec::new()),
        ("GET", &layer, part(3_000_000, 3_000_001), 206, blob[3_000_000..3_000_001].to_vec()),
        ("GET", &layer, part(0, 70_000), 206, blob[..70_000].to_vec()),
        ("GET", &layer, "Connection: close\r\n".to_owned(), 200, blob.to_vec()),
    ];
    let requests: String = wanted
        .iter()
        .map(|(method, target, header, ..)| {
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{header}\r\n")
        })
        .collect();
    let mut connection = TcpStream::connect(stage.mirror.address()).await.expect("it listens");
    connection.write_all(requests.as_bytes()).await.expect("it reads");
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).await.expect("it ends");
    let answers = answers(&bytes, &[2, 4]);
    assert_eq!(answers.len(), wanted.len());
    for (number, ((status, body), (.., expected, content))) in
        answers.iter().zip(&wanted).enumerate()
    {
        assert_eq!(status, expected, "answer {number}");
        assert!(body == content, "answer {number} has other content");
    }
}
