//! Every metric there is, in one file. Names are `portcullis_<noun>_<unit>_total` and the like,
//! labels are closed lists or configured names, never something a client sends.

use std::sync::Mutex;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The metrics of one mirror.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    decisions: Family<DecisionLabels, Counter>,
    store: StoreMetrics,
}

#[derive(Debug, Default)]
struct StoreMetrics {
    blobs_evicted: Counter,
    content_damaged: Family<FoundByLabels, Counter>,
    disk_full: Counter,
    evicted_bytes: Counter,
    fill_bytes: Counter,
    fills_finished: Family<OutcomeLabels, Counter>,
    fills_started: Counter,
    store_bytes: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FoundByLabels {
    found_by: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
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
        let decisions = Family::<DecisionLabels, Counter>::default();
        registry.register("decisions", "Verdicts on manifests", decisions.clone());
        let store = StoreMetrics::default();
        store.register(&mut registry);
        Self { registry: Mutex::new(registry), decisions, store }
    }

    /// A manifest was judged.
    pub fn decision(&self, outcome: &'static str, reason: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { outcome, reason }).inc();
    }

    /// Content of `size` bytes was removed to make room.
    pub fn blob_evicted(&self, size: u64) {
        self.store.blobs_evicted.inc();
        self.store.evicted_bytes.inc_by(size);
    }

    /// Stored content no longer hashes to its digest.
    pub fn content_damaged(&self, found_by: &'static str) {
        self.store.content_damaged.get_or_create(&FoundByLabels { found_by }).inc();
    }

    /// A fill stopped because the disk is full.
    pub fn disk_full(&self) {
        self.store.disk_full.inc();
    }

    /// A fill wrote bytes from its source.
    pub fn fill_bytes(&self, bytes: u64) {
        self.store.fill_bytes.inc_by(bytes);
    }

    /// A fill ended. Those that were stopped before their turn never started.
    pub fn fill_finished(&self, outcome: &'static str) {
        self.store.fills_finished.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A fill had its turn.
    pub fn fill_started(&self) {
        self.store.fills_started.inc();
    }

    /// How much content is stored, in bytes.
    pub fn store_size(&self, bytes: u64) {
        self.store.store_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
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

impl StoreMetrics {
    fn register(&self, registry: &mut Registry) {
        let counters = [
            ("blobs_evicted", "Blobs removed to make room", &self.blobs_evicted),
            ("disk_full", "Fills that found the disk full", &self.disk_full),
            ("evicted_bytes", "Bytes removed to make room", &self.evicted_bytes),
            ("fill_bytes", "Bytes written by fills", &self.fill_bytes),
            ("fills_started", "Fills that had their turn", &self.fills_started),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let help = "Stored content that no longer hashes to its digest";
        registry.register("content_damaged", help, self.content_damaged.clone());
        registry.register("fills_finished", "Fills by how they ended", self.fills_finished.clone());
        registry.register("store_bytes", "Bytes of content in the store", self.store_bytes.clone());
    }
}
