use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    client::conn::{http1, http2},
    header,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::{
    http::{Arrival, Body, Buffers, MIN_HEADER_BYTES, range::Span, testing::store},
    oci::Digest,
    store::Blob,
};

/// Answers by path, without a mirror.
struct Script {
    large: Option<Blob>,
}

impl Service for Script {
    async fn answer(&self, request: Request<Incoming>, _: Arrival) -> Response<Body> {
        match request.uri().path() {
            "/large" => {
                let blob = self.large.clone().expect("this test asks for it");
                let span = Span { start: 0, end: blob.size };
                Response::new(Body::stored(blob, span, Buffers::default()))
            }
            "/never" => std::future::pending().await,
            "/panic" => panic!("as the test wants"),
            path => Response::new(Bytes::from(path.to_owned()).into()),
        }
    }
}

/// A server under test.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
    metrics: Arc<Metrics>,
}

impl Running {
    async fn stop(self) -> Drained {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn http1(&self) -> http1::SendRequest<Empty<Bytes>> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(self.connect().await)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn http2<I>(&self, stream: I) -> http2::SendRequest<Empty<Bytes>>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

async fn start(limits: Limits) -> Running {
    start_with(limits, None, None).await
}

async fn start_with(
    limits: Limits,
    tls: Option<Arc<rustls::ServerConfig>>,
    large: Option<Blob>,
) -> Running {
    let (address, metrics) = (([127, 0, 0, 1], 0).into(), Arc::new(Metrics::new()));
    let environment = Environment::system();
    let server = Server::bind(address, limits, tls, &environment, &metrics).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let address = server.address();
    let ended = tokio::spawn(server.serve(Script { large }, async {
        stopped.await.unwrap();
    }));
    Running { address, stop, ended, metrics }
}

/// More than the buffers of both sockets take.
async fn large() -> Blob {
    let (_folder, store) = store();
    let content = Bytes::from(vec![7; LARGE]);
    let digest = Digest::of(&content);
    store.publish(&digest, content).await.unwrap();
    store.open_blob(&digest).await.unwrap().unwrap()
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://mirror.test{path}");
    Request::get(uri).header("host", "mirror.test").body(Empty::new()).unwrap()
}

/// Reads until the other side closes, whether in order or by a reset.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let _ = time::timeout(PATIENCE, read).await.expect("the server closes the connection");
    String::from_utf8(bytes).unwrap()
}

/// Waits until the metrics say that nobody is connected.
async fn nobody_is_left(running: &Running) {
    let empty = async {
        while !running.metrics.render().contains("portcullis_connections 0\n") {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(PATIENCE, empty).await.expect("all connections end");
}

const LARGE: usize = 24 << 20;
const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn answers_http1_and_http2_by_prior_knowledge_on_one_port() {
    let running = start(Limits::default()).await;
    let mut http1 = running.http1().await;
    let mut http2 = running.http2(running.connect().await).await;
    for path in ["/a", "/b"] {
        let one = http1.send_request(get(path)).await.unwrap();
        let two = http2.send_request(get(path)).await.unwrap();
        for response in [one, two] {
            assert_eq!(response.headers()["x-request-id"].len(), 26);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), path);
        }
    }
}

fn certificate() -> (Arc<rustls::ServerConfig>, rustls::ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["mirror.test".to_owned()]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), client)
}

async fn shake_hands(
    running: &Running,
    client: &rustls::ClientConfig,
    protocol: &[u8],
) -> TlsStream<TcpStream> {
    let mut client = client.clone();
    client.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("mirror.test").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    connector.connect(name, running.connect().await).await.unwrap()
}

#[tokio::test]
async fn speaks_what_the_client_and_it_agree_on_over_tls() {
    let (server, client) = certificate();
    let running = start_with(Limits::default(), Some(server), None).await;
    let stream = shake_hands(&running, &client, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let response = running.http2(stream).await.send_request(get("/h2")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/h2");

    let stream = shake_hands(&running, &client, b"http/1.1").await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(get("/h1")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/h1");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let limits = Limits { handshake: SHORT, ..Limits::default() };
    let running = start_with(limits, Some(certificate().0), None).await;
    assert_eq!(read_to_end(&mut running.connect().await).await, "");
    nobody_is_left(&running).await;
}

#[tokio::test]
async fn a_client_that_does_not_end_its_headers_is_cut() {
    let limits = Limits { header_time: SHORT, ..Limits::default() };
    let running = start(limits).await;
    let mut slow = running.connect().await;
    let began = time::Instant::now();
    slow.write_all(b"GET /a HTTP/1.1\r\nHost: ").await.unwrap();
    assert_eq!(read_to_end(&mut slow).await, "");
    assert!(began.elapsed() >= SHORT);

    let mut second = running.connect().await;
    second.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b ").await.unwrap();
    time::sleep(SHORT / 2).await;
    second.write_all(b"HTTP/1.1\r\n").await.unwrap();
    assert!(read_to_end(&mut second).await.ends_with("\r\n\r\n/a"), "the first is answered");
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_a_while_and_then_closed() {
    let limits = Limits { header_time: SHORT / 4, idle: SHORT * 5, ..Limits::default() };
    let running = start(limits).await;
    let mut http1 = running.http1().await;
    let mut http2 = running.http2(running.connect().await).await;
    for _ in 0..2 {
        assert!(http1.send_request(get("/a")).await.is_ok());
        assert!(http2.send_request(get("/a")).await.is_ok());
        time::sleep(SHORT).await;
    }
    nobody_is_left(&running).await;
    assert!(http1.ready().await.is_err());
    let silent = &mut running.connect().await;
    assert_eq!(read_to_end(silent).await, "", "one that never asks is idle too");
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let running = start(limits).await;
    let (mut first, mut second) = (running.http1().await, running.http1().await);
    for sender in [&mut first, &mut second] {
        assert!(sender.send_request(get("/a")).await.is_ok());
    }
    assert_eq!(read_to_end(&mut running.connect().await).await, "");
    drop(first);
    let again = async {
        while running.http1().await.send_request(get("/a")).await.is_err() {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(PATIENCE, again).await.expect("the seat is free again");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let running = start(limits).await;
    let mut first = running.http1().await;
    assert!(first.send_request(get("/a")).await.is_ok());
    let mut second = running.http1().await;
    let waiting = second.send_request(get("/b"));
    tokio::pin!(waiting);
    assert!(time::timeout(SHORT, &mut waiting).await.is_err(), "there is no room");
    drop(first);
    assert!(time::timeout(PATIENCE, waiting).await.unwrap().is_ok());
}

#[tokio::test]
async fn requests_beyond_the_limit_are_told_to_come_again() {
    let limits = Limits { requests_per_address: 1, ..Limits::default() };
    let running = start(limits).await;
    let mut http2 = running.http2(running.connect().await).await;
    let first = tokio::spawn(http2.send_request(get("/never")));
    time::sleep(SHORT / 2).await;
    let refused = running.http1().await.send_request(get("/a")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(refused.headers()["x-request-id"].len(), 26);
    first.abort();
    drop(http2);
    let again = async {
        while running.http1().await.send_request(get("/a")).await.unwrap().status()
            != StatusCode::OK
        {
            time::sleep(Duration::from_millis(10)).await;
        }
    };
    time::timeout(PATIENCE, again).await.expect("a client that left gives its turn back");
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let limits = Limits { header_bytes: MIN_HEADER_BYTES, ..Limits::default() };
    let running = start(limits).await;
    let mut client = running.connect().await;
    let large = "a".repeat(2 * MIN_HEADER_BYTES);
    client.write_all(format!("GET /a HTTP/1.1\r\nX: {large}").as_bytes()).await.unwrap();
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_panic_costs_one_request_and_not_the_connection() {
    let running = start(Limits::default()).await;
    let mut http1 = running.http1().await;
    let response = http1.send_request(get("/panic")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(response.headers()["x-request-id"].len(), 26);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(br#"{"errors":[{"code":"UNKNOWN","#));
    let response = http1.send_request(get("/a")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_is_cut() {
    let limits = Limits { stall: SHORT, ..Limits::default() };
    let running = start_with(limits, None, Some(large().await)).await;
    let mut unread = running.connect().await;
    unread.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut other = running.http1().await;
    for _ in 0..3 {
        assert!(other.send_request(get("/a")).await.is_ok());
    }
    drop(other);
    nobody_is_left(&running).await;
    assert!(read_to_end(&mut unread).await.len() < LARGE, "never as if whole");
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut_with_its_connection() {
    let limits = Limits { stall: SHORT, ..Limits::default() };
    let running = start_with(limits, None, Some(large().await)).await;
    let mut http2 = running.http2(running.connect().await).await;
    let unread = http2.send_request(get("/large")).await.unwrap();
    assert!(http2.send_request(get("/a")).await.is_ok(), "others on it are answered meanwhile");
    nobody_is_left(&running).await;
    assert!(unread.into_body().collect().await.is_err(), "never as if whole");
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let limits = Limits { stall: SHORT * 3, idle: SHORT, ..Limits::default() };
    let running = start_with(limits, None, Some(large().await)).await;
    for multiplexed in [false, true] {
        let response = if multiplexed {
            let mut http2 = running.http2(running.connect().await).await;
            http2.send_request(get("/large")).await.unwrap()
        } else {
            running.http1().await.send_request(get("/large")).await.unwrap()
        };
        let (mut body, mut read) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let before = read;
            read += frame.unwrap().into_data().unwrap().len();
            if before / (2 << 20) < read / (2 << 20) {
                time::sleep(SHORT / 2).await;
            }
        }
        assert_eq!(read, LARGE);
    }
}

#[tokio::test]
async fn a_stop_lets_what_streams_end_and_takes_nothing_new() {
    let running = start_with(Limits::default(), None, Some(large().await)).await;
    let (mut http1, mut http2) =
        (running.http1().await, running.http2(running.connect().await).await);
    let idle = &mut running.connect().await;
    let one = http1.send_request(get("/large")).await.unwrap();
    let two = http2.send_request(get("/large")).await.unwrap();
    let address = running.address;
    let stopped = tokio::spawn(running.stop());
    assert_eq!(read_to_end(idle).await, "", "an idle one is closed");
    assert!(TcpStream::connect(address).await.is_err());
    for response in [one, two] {
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), LARGE);
    }
    let ended = time::timeout(PATIENCE, stopped).await.expect("it ends when they have");
    assert_eq!(ended.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_end_in_time() {
    let limits = Limits { drain: SHORT, ..Limits::default() };
    let running = start_with(limits, None, Some(large().await)).await;
    let mut http1 = running.http1().await;
    let unread = http1.send_request(get("/large")).await.unwrap();
    assert_eq!(running.stop().await, Drained { cut: 1 });
    assert!(!unread.body().is_end_stream());
    assert!(unread.into_body().collect().await.is_err(), "never as if whole");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let running = start(Limits::default()).await;
    let (environment, metrics) = (Environment::system(), Arc::new(Metrics::new()));
    let taken =
        Server::bind(running.address, Limits::default(), None, &environment, &metrics).await;
    let message = taken.unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot listen on `{}`: ", running.address)), "{message}");
}
