//! What is known about trust material.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Metrics, register};

#[derive(Debug)]
pub(super) struct TrustMetrics {
    age: Family<RootLabels, Gauge>,
    ends: Family<MaterialLabels, Gauge>,
    refreshes: Family<RefreshLabels, Counter>,
}

impl TrustMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            age: register(
                registry,
                "trust_root_age_seconds",
                "Time since a trust root was last known to be the current one",
                Family::default(),
            ),
            ends: register(
                registry,
                "trust_material_end_timestamp_seconds",
                "When trust material ends that ends within 30 days or has ended, in Unix time",
                Family::default(),
            ),
            refreshes: register(
                registry,
                "trust_refreshes",
                "Attempts to refresh a trust root, by how they ended",
                Family::default(),
            ),
        }
    }
}

impl Metrics {
    /// The trust root called `root` was last known to be current `age` ago.
    pub fn trust_age(&self, root: &'static str, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.trust.age.get_or_create(&RootLabels { root }).set(seconds);
    }

    /// These are the pieces of trust material that end soon or have ended, and when.
    pub fn trust_ends(&self, ends: impl IntoIterator<Item = (String, SystemTime)>) {
        self.trust.ends.clear();
        for (material, end) in ends {
            let since = end.duration_since(UNIX_EPOCH).unwrap_or_default();
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            self.trust.ends.get_or_create(&MaterialLabels { material }).set(seconds);
        }
    }

    /// The trust root called `root` was refreshed, or could not be.
    pub fn trust_refreshed(&self, root: &'static str, refreshed: bool) {
        let outcome = if refreshed { "refreshed" } else { "failed" };
        self.trust.refreshes.get_or_create(&RefreshLabels { root, outcome }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RootLabels {
    root: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefreshLabels {
    root: &'static str,
    outcome: &'static str,
}

/// Names that the policy gives, such as that of an authority.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MaterialLabels {
    material: String,
}
