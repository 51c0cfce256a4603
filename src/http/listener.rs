//! Accepts connections within limits, and stops without breaking what streams.
//!
//! The listener knows no route: it hands requests to a [`Service`], with the upstream that its door
//! implies. There is one for clients and one for the operator.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
    time,
};

use super::{
    census::Census,
    connection::{Connection, Shared},
    limits::Limits,
    service::{Door, Service},
};
use crate::{environment::Environment, telemetry::Metrics};

/// A bound socket, ready to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<Arc<rustls::ServerConfig>>,
    door: Door,
    environment: Environment,
    metrics: Arc<Metrics>,
}

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they were not done within [`Limits::drain`].
    pub cut: usize,
}

impl Server {
    /// Listens on `address`; with `tls`, only for TLS.
    ///
    /// # Errors
    /// When the address is taken, or not one of this machine.
    pub async fn bind(
        address: SocketAddr,
        limits: Limits,
        tls: Option<Arc<rustls::ServerConfig>>,
        environment: &Environment,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            limits,
            tls,
            door: Door::default(),
            environment: environment.clone(),
            metrics: Arc::clone(metrics),
        })
    }

    /// Where it listens: the port is the real one where `address` left it open.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, then closes idle connections, lets requests in flight end
    /// within [`Limits::drain`], and cuts the rest.
    ///
    /// # Cancel safety
    /// Dropping the future cuts all connections.
    pub async fn serve<S: Service>(
        self,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> Drained {
        let Self { listener, limits, tls, door, environment, metrics, .. } = self;
        let census = Census::new(limits);
        let shared = Arc::new(Shared { service, door, limits, tls, environment });
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&listener, &census) => accepted,
            };
            let (socket, peer, room) = accepted;
            let client = peer.ip().to_canonical();
            let Some(seat) = census.seat(client, room) else {
                metrics.connection_refused();
                tracing::debug!(%client, "a connection was closed: the address has too many");
                continue;
            };
            let open = metrics.connection_opened();
            let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
            let connection = Connection { shared, client, seat: Arc::new(seat), stopping };
            connections.spawn(async move {
                connection.serve(socket).await;
                drop(open);
            });
        }
        drop(listener);
        stop.send_replace(true);
        drain(connections, limits.drain).await
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    census: &Census,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let room = census.room().await;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, room),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: trying at once would only turn in circles.
                tracing::warn!(%error, "no connection can be accepted for now");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether a client went away between asking for a connection and getting it.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Lets `connections` end within `bound`, and cuts the rest.
async fn drain(mut connections: JoinSet<()>, bound: Duration) -> Drained {
    let ended = async { while connections.join_next().await.is_some() {} };
    // Running out of time is not an error here: it is what `cut` counts.
    let _ = time::timeout(bound, ended).await;
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

/// How long nothing is accepted after the system could not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
