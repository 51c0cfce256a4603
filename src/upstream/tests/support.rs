//! A registry that says exactly what a test wants it to say, and remembers what it was asked.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, Uri, Version, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    environment::{Environment, ManualClock, SystemEntropy},
    oci::{Digest, Repository},
    secret::Secret,
    telemetry::Metrics,
    upstream::{Credentials, Settings, Timeouts, Upstream},
};

/// A request that was seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) version: Version,
}

impl Seen {
    pub(super) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("", |path| path.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    steps: Vec<Step>,
    /// The announced length; none means chunked.
    length: Option<u64>,
    delay: Duration,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Ends the connection.
    Break,
    Data(Bytes),
    /// The same again and again.
    Forever(Bytes),
    Wait(Duration),
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        let (headers, steps) = (Vec::new(), Vec::new());
        Self { status, headers, steps, length: Some(0), delay: Duration::ZERO }
    }

    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self::new(200).body(body)
    }

    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self::ok(body).header("content-type", "application/json")
    }

    pub(super) fn html(status: u16) -> Self {
        Self::new(status)
            .body("<html>A page</html>")
            .header("content-type", "text/html; charset=utf-8")
    }

    pub(super) fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::new(status).header("location", location)
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.length = Some(body.len() as u64);
        self.steps = vec![Step::Data(body)];
        self
    }

    /// A body in steps, with the announced length.
    pub(super) fn steps(mut self, length: Option<u64>, steps: Vec<Step>) -> Self {
        (self.length, self.steps) = (length, steps);
        self
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn into_response(self) -> Response<UnsyncBoxBody<Bytes, io::Error>> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        if let Some(length) = self.length {
            response = response.header(CONTENT_LENGTH, length);
        }
        let frames = stream::iter(self.steps).flat_map(|step| match step {
            Step::Break => stream::once(async {
                // What was sent before shall arrive before the end does.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(io::Error::other("scripted"))
            })
            .boxed(),
            Step::Data(data) => stream::once(async { Ok(Frame::data(data)) }).boxed(),
            Step::Forever(data) => {
                stream::repeat_with(move || Ok(Frame::data(data.clone()))).boxed()
            }
            Step::Wait(time) => stream::once(async move {
                tokio::time::sleep(time).await;
                Ok(Frame::data(Bytes::new()))
            })
            .boxed(),
        });
        response.body(StreamBody::new(frames).boxed_unsync()).unwrap()
    }
}

/// A server that follows a script.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(super) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, None, script)
    }

    pub(super) fn on(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, log, tls) = (Arc::clone(&script), Arc::clone(&log), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => connection(stream, script, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, script, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, seen, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn settings(&self) -> Settings {
        settings(&self.url())
    }

    pub(super) fn upstream(&self) -> Upstream {
        upstream(self.settings())
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.path().to_owned()).collect()
    }
}

async fn connection<S, I>(stream: I, script: Arc<S>, log: Arc<Mutex<Vec<Seen>>>)
where
    S: Fn(&Seen) -> Reply + Send + Sync + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (script, log) = (Arc::clone(&script), Arc::clone(&log));
        async move {
            let (head, _) = request.into_parts();
            let seen = Seen {
                method: head.method,
                uri: head.uri,
                headers: head.headers,
                version: head.version,
            };
            log.lock().unwrap().push(seen.clone());
            let reply = script(&seen);
            tokio::time::sleep(reply.delay).await;
            Ok::<_, Infallible>(reply.into_response())
        }
    });
    // A scripted break is an error here.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Settings for the upstream at `url`. Its certificate, if it has one, is still to be believed.
pub(super) fn settings(url: &str) -> Settings {
    let mut settings = Settings::new("registry.test".parse().unwrap(), url.parse().unwrap());
    settings.ca_only = true;
    settings
}

/// Timeouts for who tests them.
pub(super) const IMPATIENT: Timeouts = Timeouts {
    connect: Duration::from_millis(200),
    first_byte: Duration::from_millis(300),
    idle: Duration::from_millis(300),
    small_body: Duration::from_millis(700),
};

/// Waits until `server` has seen `count` requests that `wanted` likes.
pub(super) async fn until(server: &Server, count: usize, wanted: impl Fn(&Seen) -> bool) {
    let seen = || server.seen().iter().filter(|seen| wanted(seen)).count();
    let waiting = async {
        while seen() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("they come");
}

pub(super) fn credentials() -> Option<Credentials> {
    let password = Secret::new("sesame".to_owned());
    Some(Credentials { username: "ci".to_owned(), password })
}

/// What [`credentials`] look like on the wire.
pub(super) const BASIC: &str = "Basic Y2k6c2VzYW1l";

pub(super) fn upstream(settings: Settings) -> Upstream {
    Upstream::new(settings, &Environment::system(), Arc::new(Metrics::new())).unwrap()
}

/// An environment whose time stands still.
pub(super) fn still() -> (Environment, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
    let environment =
        Environment { clock: Arc::<ManualClock>::clone(&clock), entropy: Arc::new(SystemEntropy) };
    (environment, clock)
}

pub(super) fn repository() -> Repository {
    "acme/app".parse().unwrap()
}

pub(super) fn digest() -> Digest {
    Digest::of(b"something")
}
