//! What one listener allows, so that no client holds more than its own connection.

use std::time::Duration;

/// The limits of a listener. [`Limits::default`] suits a mirror for some hundred machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. When they are taken, new ones wait in the kernel's queue.
    pub connections: usize,
    /// Connections of one address; an IPv6 client is its /64. More are closed at once.
    pub connections_per_address: usize,
    /// How long requests in flight may take after the stop before they are cut.
    pub drain: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// Bytes of the line and headers of a request, and of what a connection buffers to send.
    pub header_bytes: usize,
    /// From the first byte of a request to the last of its headers.
    pub header_time: Duration,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// Requests in flight in all, from their headers to the last byte of their answer. More are
    /// answered with 503.
    pub requests: usize,
    /// Requests in flight of one address.
    pub requests_per_address: usize,
    /// How long a client may take nothing of an answer that it asked for.
    pub stall: Duration,
    /// Requests in flight of one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: 2048,
            drain: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            header_bytes: 64 << 10,
            header_time: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            requests: 8192,
            requests_per_address: 2048,
            stall: Duration::from_secs(60),
            streams: 128,
        }
    }
}

/// The least that hyper can work with: the initial buffer of HTTP/1.
pub const MIN_HEADER_BYTES: usize = 8 << 10;
