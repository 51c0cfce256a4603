//! One connection, from its TLS handshake to its end.
//!
//! HTTP/1.1 and HTTP/2 are told apart by what the client sends first, whether by ALPN or by prior
//! knowledge. Every request gets an id, is counted, and is answered even when the service panics.
//!
//! # Cancel safety
//! Dropping the future closes the connection and drops the requests on it; what they asked of the
//! mirror and others wait for goes on there.

use std::{convert::Infallible, net::IpAddr, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use futures_util::FutureExt as _;
use hyper::{Method, Request, Response, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{self, MissedTickBehavior},
};
use tokio_rustls::TlsAcceptor;

use super::{
    activity::{Activity, Overdue, WatchedBody, WatchedSocket},
    body::Body,
    census::Seat,
    failure::Failure,
    headers,
    limits::{Limits, MIN_HEADER_BYTES},
    request_id::RequestId,
    sendfile::{DirectSocket, Lane},
    service::{Arrival, Door, Service},
};
use crate::environment::Environment;

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) door: Door,
    pub(super) limits: Limits,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) environment: Environment,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) client: IpAddr,
    pub(super) seat: Arc<Seat>,
    /// Becomes true when the listener stops.
    pub(super) stopping: watch::Receiver<bool>,
}

impl<S: Service> Connection<S> {
    /// Serves the connection on `socket` to its end.
    pub(super) async fn serve(self, socket: TcpStream) {
        // Answers are written whole; waiting for more would only delay them.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(client = %self.client, %error, "TCP_NODELAY could not be set");
        }
        let activity = Activity::new();
        let Some(tls) = self.shared.tls.clone() else {
            let lane = Lane::default();
            let socket = DirectSocket::new(socket, lane.clone());
            let socket = WatchedSocket::new(socket, Arc::clone(&activity));
            return self.speak(socket, activity, Some(lane)).await;
        };
        let socket = WatchedSocket::new(socket, Arc::clone(&activity));
        let handshake = TlsAcceptor::from(tls).accept(socket);
        let handshake = time::timeout(self.shared.limits.handshake, handshake);
        let mut stopping = self.stopping.clone();
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                activity.shook_hands();
                self.speak(stream, activity, None).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(client = %self.client, %error, "the TLS handshake failed");
            }
            Err(_) => tracing::debug!(client = %self.client, "the TLS handshake took too long"),
        }
    }

    /// Speaks HTTP on `stream` until one side ends it. `lane` is the way around the copies, where
    /// `stream` has one.
    async fn speak<I>(self, stream: I, activity: Arc<Activity>, lane: Option<Lane>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.shared.limits;
        let mut stopping = self.stopping.clone();
        let mut stopped = pin!(stopping.wait_for(|stopping| *stopping));
        let client = self.client;
        let watched = Arc::clone(&activity);
        let connection = Arc::new(self);
        let service = service_fn(move |request: Request<Incoming>| {
            let (connection, activity) = (Arc::clone(&connection), Arc::clone(&activity));
            // HTTP/2 puts frames around what it sends, so the kernel cannot.
            let lane = lane.clone().filter(|_| request.version() <= Version::HTTP_11);
            async move { Ok::<_, Infallible>(connection.exchange(request, &activity, lane).await) }
        });
        let builder = builder(&limits);
        let mut http = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut ticks = time::interval(limits.idle.min(limits.stall).min(limits.header_time) / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said_goodbye = false;
        loop {
            tokio::select! {
                // A request that has come already is seen before the stop.
                biased;
                ended = http.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%client, error = &*error as &dyn std::error::Error, "a connection broke");
                    }
                    return;
                }
                _ = stopped.as_mut(), if !said_goodbye => {
                    http.as_mut().graceful_shutdown();
                    said_goodbye = true;
                }
                _ = ticks.tick() => match watched.overdue(&limits) {
                    // A client may be about to ask: say that this connection takes no more, then
                    // wait for one more tick.
                    Some(Overdue::Idle) if !said_goodbye => {
                        http.as_mut().graceful_shutdown();
                        said_goodbye = true;
                    }
                    Some(overdue) => {
                        tracing::debug!(%client, ?overdue, "a connection was cut");
                        return;
                    }
                    None => {}
                },
            }
        }
    }

    /// Answers one request.
    async fn exchange(
        &self,
        request: Request<Incoming>,
        activity: &Arc<Activity>,
        lane: Option<Lane>,
    ) -> Response<WatchedBody<Body>> {
        let turn = self.seat.turn();
        let refused = turn.is_none();
        let in_flight = activity.request(request.version(), turn);
        let request_id = RequestId::new(&self.shared.environment);
        let head = request.method() == Method::HEAD;
        let mut response = if refused {
            let failure = Failure::overloaded();
            tracing::info!(
                request_id = request_id.as_str(),
                client = %self.client,
                method = request.method().as_str(),
                reason = failure.reason(),
                "request"
            );
            failure.into_response(head)
        } else {
            let door = self.shared.door.clone();
            let arrival = Arrival { client: self.client, door, request_id };
            let answer = AssertUnwindSafe(self.shared.service.answer(request, arrival));
            let answer = answer.catch_unwind().await;
            answer.unwrap_or_else(|_| {
                Failure::defect("panicked", "the mirror failed on this request").into_response(head)
            })
        };
        response.headers_mut().insert(headers::REQUEST_ID, request_id.header_value());
        response.map(|body| WatchedBody::new(body.over(lane), in_flight))
    }
}

/// How hyper serves a connection within `limits`.
fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let buffer = limits.header_bytes.max(MIN_HEADER_BYTES);
    // The bound holds for what is written, too: no more than a piece or two of a body wait for a
    // client that reads slowly.
    builder.http1().max_buf_size(buffer);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.streams)
        .max_send_buf_size(buffer)
        .keep_alive_interval(limits.stall)
        .keep_alive_timeout(limits.stall);
    builder
}
