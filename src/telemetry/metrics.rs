//! Every metric there is, in one place: here, and those of requests in `requests.rs`. Names are
//! `portcullis_<noun>_<unit>_total` and the like, labels are closed lists or configured names, never
//! something a client sends.
//!
//! Each room has a group of its own; what happened is told by a method in the room's words, so that
//! nobody else knows a metric's name.

mod requests;
mod trust;

use std::{
    sync::{Mutex, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry, Unit},
};

pub use self::requests::Ended;
use self::{requests::RequestMetrics, trust::TrustMetrics};

/// The metrics of one mirror.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    audit: AuditMetrics,
    mirror: MirrorMetrics,
    open_files: Gauge,
    requests: RequestMetrics,
    store: StoreMetrics,
    trust: TrustMetrics,
    upstream: UpstreamMetrics,
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
        Self {
            audit: AuditMetrics::new(&mut registry),
            mirror: MirrorMetrics::new(&mut registry),
            open_files: register(
                &mut registry,
                "open_files",
                "Files and connections that the process has open",
                Gauge::default(),
            ),
            requests: RequestMetrics::new(&mut registry),
            store: StoreMetrics::new(&mut registry),
            trust: TrustMetrics::new(&mut registry),
            upstream: UpstreamMetrics::new(&mut registry),
            registry: Mutex::new(registry),
        }
    }

    /// Everything, in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            self.open_files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
        let registry = self.registry.lock().expect("nothing panics while it holds this lock");
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a String does not fail");
        text
    }
}

/// What the audit log does.
#[derive(Debug)]
struct AuditMetrics {
    bytes: Counter,
    decisions: Counter,
    failures: Counter,
    lost_pulls: Counter,
}

impl AuditMetrics {
    fn new(registry: &mut Registry) -> Self {
        let mut counter = |name, help| register(registry, name, help, Counter::default());
        Self {
            bytes: counter("audit_bytes", "Bytes written to the audit log"),
            decisions: counter("audit_decisions", "Decisions written to the audit log"),
            failures: counter(
                "audit_failures",
                "Times the audit log could not be written in time; the decisions were refused",
            ),
            lost_pulls: counter(
                "audit_lost_pulls",
                "Pulls that could not be recorded because too many others waited",
            ),
        }
    }
}

impl Metrics {
    /// `decisions` were made durable in the audit log, `bytes` of lines in all.
    pub fn audit_committed(&self, decisions: u64, bytes: u64) {
        self.audit.decisions.inc_by(decisions);
        self.audit.bytes.inc_by(bytes);
    }

    /// The audit log could not be written, or not in time.
    pub fn audit_failed(&self) {
        self.audit.failures.inc();
    }

    /// A pull could not be kept for the audit log.
    pub fn audit_pull_lost(&self) {
        self.audit.lost_pulls.inc();
    }
}

/// What the mirror decides.
#[derive(Debug)]
struct MirrorMetrics {
    decisions: Family<DecisionLabels, Counter>,
    hits: Counter,
    integrity_failures: Family<UpstreamLabels, Counter>,
    judgement_seconds: Family<OutcomeLabels, Histogram, fn() -> Histogram>,
    misses: Counter,
    policy_reloads: Family<OutcomeLabels, Counter>,
    policy_is_current: Gauge,
    stale_tags: Family<UpstreamLabels, Counter>,
    tag_moves: Family<UpstreamLabels, Counter>,
}

impl MirrorMetrics {
    fn new(registry: &mut Registry) -> Self {
        let current = Gauge::default();
        current.set(1);
        let lookups = Family::<ResultLabels, Counter>::default();
        let lookup = |result| lookups.get_or_create(&ResultLabels { result }).clone();
        let (hits, misses) = (lookup("hit"), lookup("miss"));
        register(registry, "blob_lookups", "Blobs that were there, or had to be fetched", lookups);
        Self {
            hits,
            misses,
            decisions: register(registry, "decisions", "Verdicts on manifests", Family::default()),
            judgement_seconds: register(
                registry,
                "judgement_seconds",
                "Time of a judgement, from the first look for evidence until it is recorded",
                Family::new_with_constructor(|| Histogram::new(JUDGEMENT_SECONDS)),
            ),
            integrity_failures: register(
                registry,
                "upstream_integrity_failures",
                "Content from upstreams that was not what its digest names",
                Family::default(),
            ),
            policy_reloads: register(
                registry,
                "policy_reloads",
                "Times the policy was loaded again, by how that ended",
                Family::default(),
            ),
            policy_is_current: register(
                registry,
                "policy_is_current",
                "Whether the policy in force is the one on disk: 0 when that one does not load",
                current,
            ),
            stale_tags: register(
                registry,
                "stale_tags",
                "Tags answered from memory because the upstream could not be asked",
                Family::default(),
            ),
            tag_moves: register(
                registry,
                "tag_moves",
                "Tags that named another manifest than before",
                Family::default(),
            ),
        }
    }
}

impl Metrics {
    /// A manifest was judged.
    pub fn decision(&self, outcome: &'static str, reason: &'static str) {
        self.mirror.decisions.get_or_create(&DecisionLabels { outcome, reason }).inc();
    }

    /// A blob was asked for that may be read: `is_hit` when it was there.
    pub fn blob_lookup(&self, is_hit: bool) {
        let counter = if is_hit { &self.mirror.hits } else { &self.mirror.misses };
        counter.inc();
    }

    /// A judgement took `elapsed` and ended with `outcome`.
    pub fn judged(&self, outcome: &'static str, elapsed: Duration) {
        let seconds = self.mirror.judgement_seconds.get_or_create(&OutcomeLabels { outcome });
        seconds.observe(elapsed.as_secs_f64());
    }

    /// `upstream` sent content that is not what its digest names.
    pub fn integrity_failure(&self, upstream: &str) {
        self.mirror.integrity_failures.get_or_create(&UpstreamLabels::of(upstream)).inc();
    }

    /// The policy was loaded again, or could not be and the last good one stays.
    pub fn policy_reloaded(&self, loaded: bool) {
        let outcome = if loaded { "loaded" } else { "failed" };
        self.mirror.policy_reloads.get_or_create(&OutcomeLabels { outcome }).inc();
        self.mirror.policy_is_current.set(i64::from(loaded));
    }

    /// A tag of `upstream` was answered from memory because the upstream could not be asked.
    pub fn stale_tag(&self, upstream: &str) {
        self.mirror.stale_tags.get_or_create(&UpstreamLabels::of(upstream)).inc();
    }

    /// A tag of `upstream` names another manifest than before.
    pub fn tag_moved(&self, upstream: &str) {
        self.mirror.tag_moves.get_or_create(&UpstreamLabels::of(upstream)).inc();
    }
}

/// What the store does.
#[derive(Debug)]
struct StoreMetrics {
    blobs_evicted: Counter,
    content_damaged: Family<FoundByLabels, Counter>,
    disk_full: Counter,
    evicted_bytes: Counter,
    fill_bytes: Counter,
    fill_followers: Gauge,
    fills_running: Family<UpstreamLabels, Gauge>,
    fills_waiting: Family<UpstreamLabels, Gauge>,
    fills_finished: Family<OutcomeLabels, Counter>,
    fills_started: Counter,
    bytes: Gauge,
}

impl StoreMetrics {
    fn new(registry: &mut Registry) -> Self {
        let mut counter = |name, help| register(registry, name, help, Counter::default());
        Self {
            blobs_evicted: counter("blobs_evicted", "Blobs removed to make room"),
            disk_full: counter("disk_full", "Fills that found the disk full"),
            evicted_bytes: counter("evicted_bytes", "Bytes removed to make room"),
            fill_bytes: counter("fill_bytes", "Bytes written by fills"),
            fills_started: counter("fills_started", "Fills that had their turn"),
            content_damaged: register(
                registry,
                "content_damaged",
                "Stored content that no longer hashes to its digest",
                Family::default(),
            ),
            fill_followers: register(
                registry,
                "fill_followers",
                "Readers of content that is still coming",
                Gauge::default(),
            ),
            fills_running: register(
                registry,
                "fills_running",
                "Fills that have their turn",
                Family::default(),
            ),
            fills_waiting: register(
                registry,
                "fills_waiting",
                "Fills that wait for their turn",
                Family::default(),
            ),
            fills_finished: register(
                registry,
                "fills_finished",
                "Fills by how they ended",
                Family::default(),
            ),
            bytes: register(
                registry,
                "store_bytes",
                "Bytes of content in the store",
                Gauge::default(),
            ),
        }
    }
}

impl Metrics {
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

    /// Somebody reads content that is still coming, until the value is dropped.
    pub fn follower(&self) -> Present {
        Present::of(&self.store.fill_followers)
    }

    /// A fill from `origin` has its turn, until the value is dropped.
    pub fn fill_runs(&self, origin: &str) -> Present {
        Present::of(&self.store.fills_running.get_or_create(&UpstreamLabels::of(origin)))
    }

    /// A fill from `origin` waits for its turn, until the value is dropped.
    pub fn fill_waits(&self, origin: &str) -> Present {
        Present::of(&self.store.fills_waiting.get_or_create(&UpstreamLabels::of(origin)))
    }

    /// A fill had its turn.
    pub fn fill_started(&self) {
        self.store.fills_started.inc();
    }

    /// How much content is stored, in bytes.
    pub fn store_size(&self, bytes: u64) {
        self.store.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// What the mirror sees of its upstreams.
#[derive(Debug)]
struct UpstreamMetrics {
    breaker: Family<UpstreamLabels, Gauge<u64, AtomicU64>>,
    rate_limit_remaining: Family<UpstreamLabels, Gauge<u64, AtomicU64>>,
    request_seconds: Family<UpstreamLabels, Histogram, fn() -> Histogram>,
    requests: Family<UpstreamRequestLabels, Counter>,
}

impl UpstreamMetrics {
    fn new(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(UPSTREAM_SECONDS);
        let request_seconds = Family::new_with_constructor(seconds);
        registry.register_with_unit(
            "upstream_request",
            "Time from a request to the head of its answer",
            Unit::Seconds,
            request_seconds.clone(),
        );
        Self {
            breaker: register(
                registry,
                "upstream_breaker",
                "Whether an upstream is asked: 0 yes, 1 one call is trying, 2 not for now",
                Family::default(),
            ),
            rate_limit_remaining: register(
                registry,
                "upstream_rate_limit_remaining",
                "Requests left of an upstream's quota, as it said last",
                Family::default(),
            ),
            request_seconds,
            requests: register(
                registry,
                "upstream_requests",
                "Requests to upstreams, token servers and redirect targets",
                Family::default(),
            ),
        }
    }
}

impl Metrics {
    /// The breaker of `upstream` is now closed (0), probing (1) or open (2).
    pub fn upstream_breaker(&self, upstream: &str, position: u64) {
        self.upstream.breaker.get_or_create(&UpstreamLabels::of(upstream)).set(position);
    }

    /// `upstream` says how many requests are left of its quota.
    pub fn upstream_rate_limit_remaining(&self, upstream: &str, remaining: u64) {
        let gauge = self.upstream.rate_limit_remaining.get_or_create(&UpstreamLabels::of(upstream));
        gauge.set(remaining);
    }

    /// A request to `upstream`, or to where it redirects, ended with `status` (`2xx`, `3xx`, `4xx`,
    /// `429`, `5xx`, `timeout`, `error`); its head took `elapsed`.
    pub fn upstream_request(&self, upstream: &str, status: &'static str, elapsed: Duration) {
        let labels = UpstreamRequestLabels { upstream: upstream.to_owned(), status };
        self.upstream.requests.get_or_create(&labels).inc();
        let seconds = self.upstream.request_seconds.get_or_create(&UpstreamLabels::of(upstream));
        seconds.observe(elapsed.as_secs_f64());
    }
}

/// Something that is there until it is dropped.
#[derive(Debug)]
#[must_use = "it is gone when it is dropped"]
pub struct Present(Gauge);

impl Present {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

impl UpstreamLabels {
    fn of(upstream: &str) -> Self {
        Self { upstream: upstream.to_owned() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamRequestLabels {
    upstream: String,
    status: &'static str,
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Bounds of the histogram, from a registry next door to one that fetches from elsewhere itself.
const UPSTREAM_SECONDS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// From evidence that is here already to an upstream far away.
const JUDGEMENT_SECONDS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_every_metric() {
        let documented = include_str!("../../docs/operations.md");
        let metrics = Metrics::new();
        // A metric with labels shows when it was used once.
        metrics.content_damaged("scrub");
        metrics.decision("denied", "no_rule");
        metrics.fill_finished("complete");
        metrics.integrity_failure("registry.test");
        metrics.policy_reloaded(true);
        let ended = Ended { route: "manifest", status: "2xx", outcome: "served" };
        metrics.request_ended(ended, 1, Duration::ZERO, Duration::ZERO);
        metrics.judged("admitted", Duration::ZERO);
        drop((metrics.fill_runs("registry.test"), metrics.fill_waits("registry.test")));
        metrics.stale_tag("registry.test");
        metrics.tag_moved("registry.test");
        metrics.upstream_breaker("registry.test", 0);
        metrics.upstream_rate_limit_remaining("registry.test", 1);
        metrics.upstream_request("registry.test", "2xx", Duration::ZERO);
        let text = metrics.render();
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for name in names.filter_map(|line| line.split(' ').next()) {
            assert!(
                documented.contains(&format!("`{name}")),
                "`{name}` is not in docs/operations.md"
            );
        }
    }
}
