//! What a connection is doing, so that one that does nothing can be cut.
//!
//! hyper's own timer for headers runs from the end of the last answer, so it could not tell a slow
//! client from an idle one; and hyper has none for a client that does not read. So the connection's
//! own socket and bodies write down when something last moved, in a few atomics, and its task looks
//! at them now and then.
//!
//! A client that does not read is seen in two places: the socket takes no more (HTTP/1.1, and HTTP/2
//! as a whole), or the body is not asked for more (the flow control of one HTTP/2 stream).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Version,
    body::{Body, Frame, SizeHint},
};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{census::Turn, limits::Limits};

/// When things last moved on one connection. Times are in milliseconds since it was accepted.
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    /// Requests in flight.
    requests: AtomicUsize,
    /// The last time a request ended or bytes were written.
    moved: AtomicU64,
    /// When the first byte of the next request came.
    request_began: Since,
    /// Since when the socket takes no more bytes.
    blocked: Since,
    /// Bodies with more to give that nobody asks.
    waiting: AtomicUsize,
    /// When a body was last asked.
    asked: AtomicU64,
    /// Whether the client speaks HTTP/2, where bytes between requests are no headers.
    multiplexed: AtomicBool,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The headers of a request do not end.
    Headers,
    /// There is no request.
    Idle,
    /// The client does not read.
    Stalled,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            requests: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            request_began: Since::never(),
            blocked: Since::never(),
            waiting: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        })
    }

    /// What is wrong now, if anything.
    pub(super) fn overdue(&self, limits: &Limits) -> Option<Overdue> {
        let now = self.now();
        let over =
            |since: u64, limit: Duration| u128::from(now - since.min(now)) > limit.as_millis();
        let busy = self.requests.load(Ordering::Acquire) > 0;
        let stalled = self.blocked.get().is_some_and(|since| over(since, limits.stall))
            || self.waiting.load(Ordering::Acquire) > 0
                && over(self.asked.load(Ordering::Acquire), limits.stall);
        let slow = !self.multiplexed.load(Ordering::Acquire)
            && self.request_began.get().is_some_and(|since| over(since, limits.header_time));
        if stalled {
            Some(Overdue::Stalled)
        } else if slow && !busy {
            Some(Overdue::Headers)
        } else if !busy && over(self.moved.load(Ordering::Acquire), limits.idle) {
            Some(Overdue::Idle)
        } else {
            None
        }
    }

    /// The TLS handshake is over: its bytes were no request.
    pub(super) fn shook_hands(&self) {
        self.request_began.clear();
    }

    /// A request has come in with all of its headers.
    pub(super) fn request(self: &Arc<Self>, version: Version, turn: Option<Turn>) -> InFlight {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.multiplexed.store(version == Version::HTTP_2, Ordering::Release);
        self.request_began.clear();
        InFlight { activity: Arc::clone(self), waiting: false, _turn: turn }
    }

    fn wrote(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Pending => self.blocked.begin(self.now()),
            Poll::Ready(_) => {
                self.blocked.clear();
                self.moved.store(self.now(), Ordering::Release);
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A time that may not have come.
#[derive(Debug)]
struct Since(AtomicU64);

impl Since {
    const NEVER: u64 = u64::MAX;

    const fn never() -> Self {
        Self(AtomicU64::new(Self::NEVER))
    }

    fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|since| *since != Self::NEVER)
    }

    /// It came at `now`, unless it had come before.
    fn begin(&self, now: u64) {
        // Losing a race means that somebody else began it at the same moment.
        let _ = self.0.compare_exchange(Self::NEVER, now, Ordering::AcqRel, Ordering::Acquire);
    }

    fn clear(&self) {
        self.0.store(Self::NEVER, Ordering::Release);
    }
}

/// A request in flight, until its answer has been handed over.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
    /// Whether its body has more to give and is not asked.
    waiting: bool,
    _turn: Option<Turn>,
}

impl InFlight {
    fn asked(&mut self) {
        self.activity.asked.store(self.activity.now(), Ordering::Release);
        if std::mem::take(&mut self.waiting) {
            self.activity.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn gave(&mut self) {
        self.waiting = true;
        self.activity.waiting.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.waiting {
            self.activity.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        self.activity.moved.store(self.activity.now(), Ordering::Release);
        self.activity.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

pin_project! {
    /// A body whose connection knows whether it is asked for more.
    #[derive(Debug)]
    pub(super) struct WatchedBody<B> {
        #[pin]
        body: B,
        in_flight: InFlight,
    }
}

impl<B> WatchedBody<B> {
    pub(super) const fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl<B: Body<Data = Bytes>> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        this.in_flight.asked();
        let polled = this.body.poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            this.in_flight.gave();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A socket whose connection knows whether it moves.
    #[derive(Debug)]
    pub(super) struct WatchedSocket<S> {
        #[pin]
        socket: S,
        activity: Arc<Activity>,
    }
}

impl<S> WatchedSocket<S> {
    pub(super) const fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }
}

impl<S: AsyncRead> AsyncRead for WatchedSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let polled = this.socket.poll_read(context, buffer);
        if buffer.filled().len() > before && this.activity.requests.load(Ordering::Acquire) == 0 {
            this.activity.request_began.begin(this.activity.now());
        }
        polled
    }
}

impl<S: AsyncWrite> AsyncWrite for WatchedSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.socket.poll_write(context, bytes);
        this.activity.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.socket.poll_write_vectored(context, slices);
        this.activity.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().socket.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().socket.poll_shutdown(context)
    }
}
