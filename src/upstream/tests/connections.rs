use std::sync::{Arc, Mutex};

use http::Version;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::support::{BASIC, Reply, Server, credentials, repository, settings, upstream};
use crate::{
    oci::Reference,
    upstream::{Settings, SystemProxy, Upstream, UpstreamError},
};

async fn fetch(upstream: &Upstream) -> Result<(), UpstreamError> {
    let tag: Reference = "v1".parse().unwrap();
    upstream.fetch_manifest(&repository(), &tag).await.map(drop)
}

/// A server's TLS for 127.0.0.1 and `registry.test`, and the certificate to believe.
fn identity(alpn: &[&[u8]]) -> (TlsAcceptor, CertificateDer<'static>) {
    let names = ["127.0.0.1".to_owned(), "registry.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate: CertificateDer<'static> = made.cert.into();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

async fn secure(
    alpn: &[&[u8]],
    script: impl Fn(&super::support::Seen) -> Reply + Send + Sync + 'static,
) -> (Server, Settings) {
    let (acceptor, certificate) = identity(alpn);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::on(listener, Some(acceptor), script);
    let mut settings = settings(&format!("https://{}", server.address));
    settings.ca = vec![certificate];
    (server, settings)
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered() {
    for (alpn, version) in [
        (&[&b"h2"[..], b"http/1.1"][..], Version::HTTP_2),
        (&[b"http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let (server, settings) = secure(alpn, |_| Reply::ok("{}")).await;
        fetch(&upstream(settings)).await.unwrap();
        assert_eq!(server.seen()[0].version, version);
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(|_| Reply::ok("{}")).await;
    let seen = Arc::new(Mutex::new(0));
    let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", front.local_addr().unwrap());
    let (count, back) = (Arc::clone(&seen), server.address);
    let forwarding = tokio::spawn(async move {
        loop {
            let (mut client, _) = front.accept().await.unwrap();
            *count.lock().unwrap() += 1;
            let mut server = TcpStream::connect(back).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let upstream = upstream(settings(&url));
    for _ in 0..3 {
        fetch(&upstream).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), 1);
    forwarding.abort();
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_and_the_reason_says_so() {
    let (_server, mut settings) = secure(&[b"h2"], |_| Reply::ok("{}")).await;
    settings.ca = vec![identity(&[]).1];
    let error = fetch(&upstream(settings)).await.unwrap_err();
    let UpstreamError::Unreachable { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn g47_an_https_upstream_cannot_lead_its_credentials_to_http() {
    let plain = Server::start(|_| Reply::json(r#"{"token":"t1"}"#)).await;
    for reply in [
        Reply::new(401)
            .header("www-authenticate", format!(r#"Bearer realm="{}/token""#, plain.url())),
        Reply::redirect(307, format!("{}/token", plain.url())),
    ] {
        let (_server, mut settings) = secure(&[b"h2"], move |_| reply.clone()).await;
        settings.credentials = credentials();
        let error = fetch(&upstream(settings)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Invalid { .. }), "{error:?}");
    }
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn plain_http_goes_through_a_proxy_by_its_whole_url() {
    let proxy = Server::start(|_| Reply::ok("{}")).await;
    let mut settings = settings("http://registry.test");
    settings.proxy = Some(format!("http://ci:sesame@{}", proxy.address).parse().unwrap());
    fetch(&upstream(settings)).await.unwrap();
    let [seen] = &proxy.seen()[..] else { panic!("one request") };
    assert_eq!(seen.uri, "http://registry.test/v2/acme/app/manifests/v1");
    assert_eq!(seen.header("proxy-authorization"), Some(BASIC));
}

/// Takes one tunnel to `target`, whatever name it is asked for, and says what it was asked.
async fn tunnel(listener: TcpListener, target: std::net::SocketAddr) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_its_secrets_stay_inside() {
    let (server, mut settings) = secure(&[b"h2"], |_| Reply::ok("{}")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.url = "https://registry.test".parse().unwrap();
    let proxy = format!("http://ci:sesame@{}", listener.local_addr().unwrap());
    settings.proxy = Some(proxy.parse().unwrap());
    let asked = tokio::spawn(tunnel(listener, server.address));
    fetch(&upstream(settings)).await.unwrap();
    let head = asked.await.unwrap();
    assert!(head.starts_with("CONNECT registry.test:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("Proxy-Authorization: {BASIC}\r\n")), "{head}");
    assert_eq!(server.seen()[0].header("proxy-authorization"), None);
}

#[tokio::test]
async fn the_environment_decides_where_no_proxy_is_configured() {
    let proxy = Server::start(|_| Reply::ok("{}")).await;
    let server = Server::start(|_| Reply::ok("{}")).await;
    let system = |no_proxy: &'static str| {
        let http = proxy.url();
        SystemProxy::from_lookup(move |name| match name {
            "http_proxy" => Some(http.clone()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        })
        .unwrap()
    };
    let direct = Settings { system_proxy: system("127.0.0.1"), ..server.settings() };
    fetch(&upstream(direct)).await.unwrap();
    assert_eq!((server.seen().len(), proxy.seen().len()), (1, 0));
    let proxied = Settings { system_proxy: system("other.test"), ..server.settings() };
    fetch(&upstream(proxied)).await.unwrap();
    assert_eq!((server.seen().len(), proxy.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_is_named_in_the_reason() {
    let proxy = Server::start(|_| Reply::new(407)).await;
    let mut settings = settings("https://registry.test");
    settings.ca = vec![identity(&[]).1];
    settings.proxy = Some(proxy.url().parse().unwrap());
    let error = fetch(&upstream(settings)).await.unwrap_err();
    let UpstreamError::Unreachable { reason, .. } = error else { panic!("{error:?}") };
    assert!(reason.contains("proxy authorization"), "{reason}");
}
