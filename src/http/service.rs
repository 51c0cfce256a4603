//! What a listener hands requests to, and what it says about them.

use std::net::IpAddr;

use hyper::{Request, Response, body::Incoming};

use super::{body::Body, request_id::RequestId};
use crate::oci::UpstreamName;

/// Answers requests. A service knows routes; the listener does not.
pub trait Service: Send + Sync + 'static {
    /// The answer to `request`.
    ///
    /// # Cancel safety
    /// The future is dropped when the client leaves; work that others wait for must not live in it.
    fn answer(
        &self,
        request: Request<Incoming>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What the listener knows of a request.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Where the connection comes from.
    pub client: IpAddr,
    /// The way in.
    pub door: Door,
    /// The id of the request, which its answer carries.
    pub request_id: RequestId,
}

/// A way in: what coming through this listener says about a request.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// The upstream that every request belongs to, as its `Host` would say.
    pub implied_upstream: Option<UpstreamName>,
}
