//! Every metric there is, in one file. Names are `portcullis_<noun>_<unit>_total` and the like,
//! labels are closed lists or configured names, never something a client sends.

use std::sync::Mutex;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The metrics of one mirror.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    decisions: Family<DecisionLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    outcome: &'static str,
    reason: &'static str,
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
        Self { registry: Mutex::new(registry), decisions }
    }

    /// A manifest was judged.
    pub fn decision(&self, outcome: &'static str, reason: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { outcome, reason }).inc();
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
