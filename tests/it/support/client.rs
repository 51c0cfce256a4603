//! A client that hides nothing: one connection a request, and the answer as it came.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::image::Image;

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
}

impl Ask {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self { method: Method::GET, target: target.into(), headers: Vec::new() }
    }

    pub(crate) fn head(target: impl Into<String>) -> Self {
        Self { method: Method::HEAD, ..Self::get(target) }
    }

    pub(crate) fn method(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.parse().expect("a method of HTTP"), ..Self::get(target) }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it to `address` and waits for the headers of the answer.
    pub(crate) async fn open(self, address: SocketAddr) -> Open {
        let connection = TcpStream::connect(address).await.expect("the mirror listens");
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(connection)).await.expect("HTTP/1.1 needs no handshake");
        tokio::spawn(connection);
        let mut request = Request::builder().method(self.method).uri(self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", address.to_string());
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a test writes right requests");
        let answer = sender.send_request(request).await.expect("the mirror answers");
        let (parts, body) = answer.into_parts();
        let reason = parts
            .extensions
            .get::<hyper::ext::ReasonPhrase>()
            .map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
        Open { status: parts.status, reason, headers: parts.headers, body }
    }

    pub(crate) async fn send(self, address: SocketAddr) -> Answer {
        self.open(address).await.finish().await
    }
}

/// An answer whose body is still on its way.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) status: StatusCode,
    reason: Option<String>,
    pub(crate) headers: HeaderMap,
    body: Incoming,
}

impl Open {
    /// The next piece of the body; `None` at its end, `Err` when it breaks.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads until `length` bytes are there, or the body ends.
    pub(crate) async fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            match self.piece().await {
                Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                _ => break,
            }
        }
        bytes
    }

    pub(crate) async fn finish(mut self) -> Answer {
        let mut body = Vec::new();
        let whole = loop {
            match self.piece().await {
                None => break true,
                Some(Ok(piece)) => body.extend_from_slice(&piece),
                Some(Err(_)) => break false,
            }
        };
        let Self { status, reason, headers, .. } = self;
        Answer { status, reason, headers, body: body.into(), whole }
    }
}

/// An answer, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The reason phrase, where it is not the usual one.
    pub(crate) reason: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body ended as announced, and was not cut off.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body of an error, after a look at its form.
    #[track_caller]
    pub(crate) fn error(&self) -> ErrorBody {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: Value = serde_json::from_slice(&self.body).expect("an error's body is JSON");
        let text = |member: &str| body["errors"][0][member].as_str().unwrap_or_default().to_owned();
        let error =
            ErrorBody { code: text("code"), message: text("message"), detail: text("detail") };
        assert!(!error.code.is_empty() && !error.message.is_empty(), "{body}");
        error
    }

    /// The error of a refusal by policy.
    #[track_caller]
    pub(crate) fn denied(&self) -> ErrorBody {
        assert_eq!(self.status, 403, "{self:?}");
        let error = self.error();
        assert_eq!(error.code, "DENIED", "{error:?}");
        error
    }

    /// The error of what nobody could decide, or of what cannot be done now.
    #[track_caller]
    pub(crate) fn unavailable(&self) -> ErrorBody {
        assert_eq!(self.status, 503, "{self:?}");
        let retry: u64 = self.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or(0);
        assert!(retry > 0, "a 503 says when to come back: {self:?}");
        let error = self.error();
        assert_eq!(error.code, "UNAVAILABLE", "{error:?}");
        error
    }

    /// That this carries exactly the manifest of `image`.
    #[track_caller]
    pub(crate) fn serves(&self, image: &Image) {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.whole);
        assert_eq!(self.body, image.document.bytes);
        assert_eq!(self.header("content-type"), Some(&*image.document.media_type));
        assert_eq!(self.header("docker-content-digest"), Some(&*image.digest.to_string()));
    }

    /// That this carries exactly `bytes`.
    #[track_caller]
    pub(crate) fn carries(&self, bytes: &Bytes) {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.whole, "the body broke off");
        assert!(self.body == *bytes, "{} bytes of other content", self.body.len());
    }

    /// The id of the decision behind this answer.
    #[track_caller]
    pub(crate) fn decision(&self) -> String {
        if let Some(id) = self.header("x-portcullis-decision") {
            return id.to_owned();
        }
        let detail = self.error().detail;
        let id = detail.split("decision ").nth(1).unwrap_or_else(|| panic!("no id in {detail:?}"));
        id.chars().take_while(char::is_ascii_alphanumeric).collect()
    }
}

/// The first entry of an error body.
#[derive(Clone, Debug)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: String,
}

/// Sends `request` byte by byte as it is and reads until the other side closes; for what no HTTP
/// library would send.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.expect("the mirror listens");
    // A refusal may come, and close, before everything is written.
    let _ = connection.write_all(request).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
