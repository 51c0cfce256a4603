//! Connections: looked up, screened, dialled (through a proxy where there is one), encrypted.
//!
//! [`Connector`] is what hyper's client asks for a connection. It is bounded in time as a whole, so
//! that an upstream that accepts and then says nothing in the TLS handshake holds nobody.

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{Connected, Connection, HttpConnector, proxy::Tunnel},
        proxy::matcher::Intercept,
    },
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::{
    guard::{Guard, ScreenedResolver},
    proxy::Proxies,
};

type BoxError = Box<dyn Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Opens the connections of one upstream.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    encrypted: HttpsConnector<Dialler>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        guard: Guard,
        proxies: Proxies,
        tls: Arc<ClientConfig>,
        timeout: Duration,
    ) -> Self {
        let mut direct = HttpConnector::new_with_resolver(ScreenedResolver(guard.clone()));
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(KEEPALIVE));
        let mut to_proxy = HttpConnector::new();
        to_proxy.set_nodelay(true);
        to_proxy.set_keepalive(Some(KEEPALIVE));
        let dialler = Dialler { direct, to_proxy, guard, proxies };
        Self { encrypted: HttpsConnector::from((dialler, tls)), timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Stream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.encrypted.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let timeout = self.timeout;
        let connecting = self.encrypted.call(target);
        Box::pin(async move {
            tokio::time::timeout(timeout, connecting).await.unwrap_or_else(|_| {
                let text = format!("no connection within {timeout:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
            })
        })
    }
}

/// Opens TCP connections, or tunnels that look like them.
#[derive(Clone, Debug)]
struct Dialler {
    direct: HttpConnector<ScreenedResolver>,
    to_proxy: HttpConnector,
    guard: Guard,
    proxies: Proxies,
}

impl Service<Uri> for Dialler {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Both connectors are always ready: they have no queue.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let mut dialler = self.clone();
        Box::pin(async move {
            let host = target.host().unwrap_or_default();
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            match dialler.proxies.of(&target) {
                // Names are screened by the resolver, addresses never reach it.
                None => {
                    if bare.parse::<std::net::IpAddr>().is_ok() {
                        dialler.guard.screen_unresolved(bare).await?;
                    }
                    Ok(Stream { io: dialler.direct.call(target).await?, forwarded: false })
                }
                Some(proxy) => {
                    dialler.guard.screen_unresolved(bare).await?;
                    through(proxy, dialler.to_proxy, target).await
                }
            }
        })
    }
}

/// Reaches `target` through `proxy`: by a tunnel for HTTPS, as a forwarded request for plain HTTP.
async fn through(
    proxy: Intercept,
    mut to_proxy: HttpConnector,
    target: Uri,
) -> Result<Stream, BoxError> {
    if target.scheme() == Some(&Scheme::HTTP) {
        let io = to_proxy.call(proxy.uri().clone()).await?;
        return Ok(Stream { io, forwarded: true });
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    Ok(Stream { io: tunnel.call(target).await?, forwarded: false })
}

/// A TCP connection that knows whether a proxy at its other end forwards plain requests, which
/// makes hyper write whole URLs into them.
#[derive(Debug)]
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    forwarded: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.forwarded)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }
}

/// When an idle TCP connection is probed, so that a network that forgot it is noticed.
const KEEPALIVE: Duration = Duration::from_secs(60);
