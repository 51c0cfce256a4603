//! The scripted upstream: a registry in this process that a test fills, listens to and misleads.
//!
//! It speaks HTTP/1.1, over TLS if asked to, on an ephemeral loopback port. Every request is written down, so that a test
//! can count what the mirror asked for; every path can be given a [`Fault`], for good or for a
//! number of requests. It can go down (the port refuses) and come back on the same port.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use portcullis::oci::Digest;
use rcgen::{CertifiedKey, KeyPair};
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{
    content::{self, Content, Document},
    fault::{self, Fault, UpstreamBody},
    image::Image,
    signing::{self, Signature},
};

/// A registry under a test's control. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    content: Content,
    script: Vec<Line>,
    seen: Vec<Seen>,
    /// What a bearer token must be, where one is asked for.
    token: Option<&'static str>,
    server: Option<JoinHandle<()>>,
}

/// One line of the script: on requests that match, this goes wrong.
#[derive(Debug)]
struct Line {
    pattern: String,
    left: Option<u32>,
    fault: Fault,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn matches(&self, pattern: &str) -> bool {
        let path = match pattern.split_once(' ') {
            Some((method, path)) if method == self.method.as_str() => path,
            Some(_) => return false,
            None => pattern,
        };
        match path.split_once('*') {
            Some((start, end)) => {
                self.path.len() >= start.len() + end.len()
                    && self.path.starts_with(start)
                    && self.path.ends_with(end)
            }
            None => self.path == path,
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upstream").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Upstream {
    /// An empty registry without a referrers API, like Docker Hub.
    pub(crate) async fn start() -> Self {
        Self::listening(None).await
    }

    /// The same over TLS, as `localhost`, with `certificate`.
    pub(crate) async fn start_tls(certificate: &CertifiedKey<KeyPair>) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
        let settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key.into())
            .expect("they belong together");
        Self::listening(Some(TlsAcceptor::from(Arc::new(settings)))).await
    }

    async fn listening(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = State {
            content: Content::new(),
            script: Vec::new(),
            seen: Vec::new(),
            token: None,
            server: None,
        };
        let upstream = Self { address, tls, state: Arc::new(Mutex::new(state)) };
        upstream.listen(listener);
        upstream
    }

    pub(crate) fn url(&self) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Offers the referrers API from now on.
    pub(crate) fn offer_referrers(&self) {
        self.state().content.referrers_api = true;
    }

    /// Asks for a bearer token from now on, and gives it out at `/token`.
    pub(crate) fn ask_for_a_token(&self, token: &'static str) {
        self.state().token = Some(token);
    }

    // === content ===

    /// Stores `image` with everything it lists, under `tag`.
    pub(crate) fn push(&self, repository: &str, tag: &str, image: &Image) {
        self.push_untagged(repository, image);
        self.put_manifest(repository, Some(tag), image.document.clone());
    }

    pub(crate) fn push_untagged(&self, repository: &str, image: &Image) {
        for blob in &image.blobs {
            self.put_blob(repository, blob);
        }
        for child in &image.children {
            self.push_untagged(repository, child);
        }
        self.put_manifest(repository, None, image.document.clone());
    }

    pub(crate) fn put_manifest(&self, repository: &str, tag: Option<&str>, document: Document) {
        self.state().content.put_manifest(repository, tag, document);
    }

    pub(crate) fn put_blob(&self, repository: &str, blob: &Bytes) {
        self.state().content.put_blob(repository, blob);
    }

    pub(crate) fn remove_tag(&self, repository: &str, tag: &str) {
        self.state().content.remove_tag(repository, tag);
    }

    /// Puts `signatures` where cosign puts them, the `.sig` tag of `subject`. Returns the manifest.
    pub(crate) fn attach(
        &self,
        repository: &str,
        subject: &Digest,
        signatures: &[Signature],
    ) -> Image {
        let image = signing::signature_image(signatures, None);
        self.push(repository, &signing::signature_tag(subject), &image);
        image
    }

    /// Attaches `signatures` as an OCI 1.1 referrer of `subject`.
    pub(crate) fn attach_referrer(
        &self,
        repository: &str,
        subject: &Image,
        signatures: &[Signature],
    ) -> Image {
        let image = signing::signature_image(signatures, Some(subject));
        self.push_untagged(repository, &image);
        image
    }

    // === script ===

    /// From now on, requests that match `pattern` meet `fault`. A pattern is a path in which one
    /// `*` stands for anything, after a method and a space if only that method is meant. Of
    /// several lines that match, the newest counts.
    pub(crate) fn always(&self, pattern: &str, fault: Fault) {
        self.script(pattern, None, fault);
    }

    /// The next `count` requests that match meet `fault`.
    pub(crate) fn times(&self, count: u32, pattern: &str, fault: Fault) {
        self.script(pattern, Some(count), fault);
    }

    /// Honest again.
    pub(crate) fn behave(&self) {
        self.state().script.clear();
    }

    fn script(&self, pattern: &str, left: Option<u32>, fault: Fault) {
        self.state().script.push(Line { pattern: pattern.to_owned(), left, fault });
    }

    // === log ===

    /// How many requests matched `pattern`.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        self.requests(pattern).len()
    }

    /// The requests that matched `pattern`, in order.
    pub(crate) fn requests(&self, pattern: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.matches(pattern)).cloned().collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.state().seen.clear();
    }

    // === life ===

    /// Stops listening and drops every connection.
    pub(crate) async fn go_down(&self) {
        let server = self.state().server.take();
        if let Some(server) = server {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens again, on the same port.
    pub(crate) async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.expect("nobody took the port");
        self.listen(listener);
    }

    fn listen(&self, listener: TcpListener) {
        let upstream = self.clone();
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(upstream.clone().greet(connection));
                while connections.try_join_next().is_some() {}
            }
        });
        self.state().server = Some(server);
    }

    async fn greet(self, connection: TcpStream) {
        match self.tls.clone() {
            None => self.converse(connection).await,
            Some(tls) => {
                if let Ok(connection) = tls.accept(connection).await {
                    self.converse(connection).await;
                }
            }
        }
    }

    async fn converse<C: AsyncRead + AsyncWrite + Unpin>(self, connection: C) {
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let upstream = self.clone();
            async move { upstream.answer(&request).await.ok_or(Closed) }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(connection), service)
            .await;
    }

    async fn answer(&self, request: &Request<Incoming>) -> Option<Response<UpstreamBody>> {
        let seen = Seen {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        };
        let (honest, fault) = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            (state.honest(&seen, self.address), state.fault(&seen))
        };
        match fault {
            None => Some(fault::sized(honest)),
            Some(fault) => fault.apply(honest).await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn honest(&self, seen: &Seen, address: SocketAddr) -> Response<Bytes> {
        if let Some(token) = self.token {
            if seen.path == "/token" {
                let body = serde_json::json!({ "token": token, "expires_in": 300 });
                return content::json_answer("application/json", &body);
            }
            if seen.header("authorization") != Some(&format!("Bearer {token}")) {
                return challenge(seen, address);
            }
        }
        self.content.answer(&seen.path, &seen.query, &seen.headers)
    }

    fn fault(&mut self, seen: &Seen) -> Option<Fault> {
        let line = self
            .script
            .iter_mut()
            .rev()
            .find(|line| line.left != Some(0) && seen.matches(&line.pattern))?;
        if let Some(left) = &mut line.left {
            *left -= 1;
        }
        Some(line.fault.clone())
    }
}

/// `401` as Docker's token specification has it.
fn challenge(seen: &Seen, address: SocketAddr) -> Response<Bytes> {
    let mut answer = content::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    let name = seen.path.strip_prefix("/v2/").unwrap_or_default();
    let name = ["/manifests/", "/blobs/", "/tags/", "/referrers/"]
        .iter()
        .find_map(|part| Some(name.split_once(part)?.0))
        .unwrap_or_default();
    let value = format!(
        "Bearer realm=\"http://{address}/token\",service=\"registry.test\",scope=\"repository:{name}:pull\""
    );
    let value = value.parse().expect("names are fit for headers");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    answer
}

/// The script said to hang up.
#[derive(Debug, thiserror::Error)]
#[error("closed by the script")]
struct Closed;
