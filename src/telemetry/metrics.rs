//! Every metric there is, in one file. Names are `portcullis_<noun>_<unit>_total` and the like,
//! labels are closed lists or configured names, never something a client sends.

use std::{sync::Mutex, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// The metrics of one mirror.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    clients: ClientMetrics,
    decisions: Family<DecisionLabels, Counter>,
}

#[derive(Debug)]
struct ClientMetrics {
    connections: Gauge,
    connections_refused: Counter,
    request_bytes: Family<RouteLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    requests: Family<RequestLabels, Counter>,
    requests_in_flight: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    outcome: &'static str,
    reason: &'static str,
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

/// Something that is there until it is dropped.
#[derive(Debug)]
#[must_use = "it is gone when it is dropped"]
pub struct Present(Gauge);

impl Present {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let clients = ClientMetrics::new();
        clients.register(&mut registry);
        let decisions = Family::<DecisionLabels, Counter>::default();
        registry.register("decisions", "Verdicts on manifests", decisions.clone());
        Self { registry: Mutex::new(registry), clients, decisions }
    }

    /// Somebody connected; counted until the value is dropped.
    pub fn connection_opened(&self) -> Present {
        Present::begin(&self.clients.connections)
    }

    /// A connection was closed because its address had too many.
    pub fn connection_refused(&self) {
        self.clients.connections_refused.inc();
    }

    /// A manifest was judged.
    pub fn decision(&self, outcome: &'static str, reason: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { outcome, reason }).inc();
    }

    /// A request came in; counted as in flight until the value is dropped.
    pub fn request_started(&self) -> Present {
        Present::begin(&self.clients.requests_in_flight)
    }

    /// A request on `route` was answered with a `status` class and `bytes` of content.
    pub fn request_ended(
        &self,
        route: &'static str,
        status: &'static str,
        bytes: u64,
        elapsed: Duration,
    ) {
        let labels = RouteLabels { route };
        self.clients.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.clients.request_bytes.get_or_create(&labels).inc_by(bytes);
        self.clients.request_seconds.get_or_create(&labels).observe(elapsed.as_secs_f64());
    }

    /// Everything, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        let registry = self.registry.lock().expect("nothing panics while it holds this lock");
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a String does not fail");
        text
    }
}

impl ClientMetrics {
    fn new() -> Self {
        Self {
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            request_bytes: Family::default(),
            request_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 9))
            }),
            requests: Family::default(),
            requests_in_flight: Gauge::default(),
        }
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Open connections";
        registry.register("connections", help, self.connections.clone());
        let help = "Connections closed because their address had too many";
        registry.register("connections_refused", help, self.connections_refused.clone());
        let help = "Bytes of content sent to clients";
        registry.register("request_bytes", help, self.request_bytes.clone());
        let help = "Time from the headers of a request to the last byte of its answer";
        registry.register("request_seconds", help, self.request_seconds.clone());
        let help = "Requests of clients";
        registry.register("requests", help, self.requests.clone());
        let help = "Requests of clients that are being answered";
        registry.register("requests_in_flight", help, self.requests_in_flight.clone());
    }
}
