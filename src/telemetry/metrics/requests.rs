//! What is counted of the requests of clients.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::{Metrics, Present, register};

/// What clients do.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    connections: Gauge,
    connections_refused: Counter,
    bytes: Family<RouteLabels, Counter>,
    first_byte_seconds: Family<RouteOutcomeLabels, Histogram, fn() -> Histogram>,
    seconds: Family<RouteOutcomeLabels, Histogram, fn() -> Histogram>,
    requests: Family<RequestLabels, Counter>,
    /// What a kind of request moves, found with one lookup for each.
    known: RwLock<HashMap<Ended, Arc<RequestCells>>>,
    in_flight: Gauge,
}

/// What a kind of request moves.
#[derive(Debug)]
struct RequestCells {
    bytes: Counter,
    first_byte_seconds: Histogram,
    seconds: Histogram,
    requests: Counter,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub struct Ended {
    /// The endpoint.
    pub route: &'static str,
    /// The class of the status.
    pub status: &'static str,
    /// Whether the client has what it asked for.
    pub outcome: &'static str,
}

impl RequestMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 4.0, 9));
        Self {
            connections: register(
                registry,
                "connections",
                "Open connections of clients",
                Gauge::default(),
            ),
            connections_refused: register(
                registry,
                "connections_refused",
                "Connections closed because their address had too many",
                Counter::default(),
            ),
            bytes: register(
                registry,
                "request_bytes",
                "Bytes of content sent to clients",
                Family::default(),
            ),
            seconds: register(
                registry,
                "request_seconds",
                "Time from the headers of a request to the last byte of its answer",
                Family::new_with_constructor(seconds),
            ),
            first_byte_seconds: register(
                registry,
                "request_first_byte_seconds",
                "Time from the headers of a request to the first byte of its content",
                Family::new_with_constructor(seconds),
            ),
            requests: register(registry, "requests", "Requests of clients", Family::default()),
            known: RwLock::default(),
            in_flight: register(
                registry,
                "requests_in_flight",
                "Requests of clients that are being answered",
                Gauge::default(),
            ),
        }
    }
}

impl Metrics {
    /// A client connected; it is counted until the value is dropped.
    pub fn connection_opened(&self) -> Present {
        Present::of(&self.requests.connections)
    }

    /// A connection was closed because its address had too many.
    pub fn connection_refused(&self) {
        self.requests.connections_refused.inc();
    }

    /// A request came in; it is counted as in flight until the value is dropped.
    pub fn request_started(&self) -> Present {
        Present::of(&self.requests.in_flight)
    }

    /// A request `ended` after `elapsed`, with `bytes` of content, of which the first took
    /// `first_byte`.
    pub fn request_ended(&self, ended: Ended, bytes: u64, first_byte: Duration, elapsed: Duration) {
        let known = &self.requests.known;
        let cells = known.read().unwrap_or_else(PoisonError::into_inner).get(&ended).cloned();
        let cells = cells.unwrap_or_else(|| {
            let cells = Arc::new(self.requests.cells(ended));
            known.write().unwrap_or_else(PoisonError::into_inner).insert(ended, cells.clone());
            cells
        });
        cells.requests.inc();
        cells.bytes.inc_by(bytes);
        cells.first_byte_seconds.observe(first_byte.as_secs_f64());
        cells.seconds.observe(elapsed.as_secs_f64());
    }
}

impl RequestMetrics {
    fn cells(&self, ended: Ended) -> RequestCells {
        let Ended { route, status, outcome } = ended;
        let labels = RouteOutcomeLabels { route, outcome };
        RequestCells {
            bytes: self.bytes.get_or_create(&RouteLabels { route }).clone(),
            first_byte_seconds: self.first_byte_seconds.get_or_create(&labels).clone(),
            seconds: self.seconds.get_or_create(&labels).clone(),
            requests: self.requests.get_or_create(&RequestLabels { route, status }).clone(),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteOutcomeLabels {
    route: &'static str,
    outcome: &'static str,
}
