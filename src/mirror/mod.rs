//! The use cases: what happens when somebody pulls.
//!
//! `mirror` joins the three rooms that do not see each other: `upstream` brings bytes, `trust` judges
//! them, `store` keeps them. It knows neither HTTP nor paths. A manifest goes through five steps,
//! one file each: `resolve` (tag to digest), `fetch` (digest to bytes), `judge` (bytes to
//! verdict, with `look` as the eyes of `trust`), `record` (verdict to disk and audit), and the
//! answer, an [`Admitted`] that only `judge` can make. A blob is served through an admitted
//! manifest that references it.
//!
//! Every request works with one policy from start to end: a snapshot is taken first and handed on.

pub mod answer;
mod artifact;
mod blob;
mod cargo;
mod carry;
mod fetch;
mod flight;
mod holdings;
mod job;
mod judge;
mod look;
mod manifest;
mod origin;
mod prefetch;
mod recheck;
mod record;
mod referrers;
mod remove;
mod resolve;
mod tag;

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use moka::sync::Cache;

pub use self::answer::{
    Admitted, BlobContent, Client, Context, MAX_LABEL_LENGTH, PullError, ReadableBlob,
    ReferrersIndex, Refusal, TagPage, Wanted,
};
pub use self::cargo::{Cargo, ParsePlatformsError, Piece, Platforms, Role};
pub use self::carry::{Denied, Order, Watch, Weighed};
pub use self::holdings::Holding;
pub use self::job::{Job, MAX_JOB_LENGTH};
pub use self::origin::{Collection, Origin, descriptor_of, source_error};
pub use self::recheck::{Rechecked, Standing};
pub use self::remove::Removal;
use self::{blob::Door, fetch::Fetched, flight::Flights, judge::Decided, resolve::FreshTag};
use crate::{
    audit::{Audit, PullRecord},
    environment::Environment,
    oci::{Digest, ImageName, Tag, UpstreamName, UpstreamTable},
    store::Store,
    telemetry::Metrics,
    trust::Policy,
};
// What answers are made of in the rooms below, so that `http` needs to see this one only.
pub use crate::{
    store::{Blob, FillError, Follower, StoreError},
    trust::{Reason, Verdict},
    upstream::UpstreamError,
};

/// How long answers stay good.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// A tag is answered without asking the upstream.
    pub tag: Duration,
    /// A denial is remembered.
    pub denied: Duration,
}

/// What a mirror is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where verdicts go before anything is served.
    pub audit: Audit,
    /// Time and chance.
    pub environment: Environment,
    /// How long answers stay good.
    pub freshness: Freshness,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The policy to begin with.
    pub policy: Arc<Policy>,
    /// Whether all blobs of an image are fetched as soon as it is admitted.
    pub prefetch: bool,
    /// Where content is kept.
    pub store: Store,
    /// All spellings of the upstreams' names.
    pub table: UpstreamTable,
    /// Where what belongs to each upstream comes from.
    pub origins: Vec<(UpstreamName, Origin)>,
}

/// The mirror. Cheap to clone: clones share everything.
#[derive(Clone, Debug)]
pub struct Mirror {
    room: Arc<Room>,
}

/// What all requests share.
#[derive(Debug)]
struct Room {
    audit: Audit,
    environment: Environment,
    freshness: Freshness,
    metrics: Arc<Metrics>,
    policy: Arc<ArcSwap<Policy>>,
    prefetch: bool,
    store: Store,
    table: UpstreamTable,
    origins: HashMap<UpstreamName, Origin>,
    tags: Cache<(ImageName, Tag), FreshTag>,
    decided: Cache<(ImageName, Digest), Arc<Decided>>,
    /// Which manifest made a blob readable: asked again about that manifest at every request.
    readable: Cache<(ImageName, Digest), Door>,
    resolving: Flights<(ImageName, Tag), Result<Digest, UpstreamError>>,
    fetching: Flights<(ImageName, Digest), Result<Fetched, Arc<PullError>>>,
    judging: Flights<Judging, Result<Arc<Decided>, Arc<PullError>>>,
}

/// A manifest and the policy by which it is being judged.
type Judging = (ImageName, Digest, String);

impl Mirror {
    /// Puts a mirror together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let decided = Cache::builder()
            .max_capacity(DECIDED_CACHE_BYTES)
            .weigher(|_, decided: &Arc<Decided>| decided.weight());
        Self {
            room: Arc::new(Room {
                audit: parts.audit,
                environment: parts.environment,
                freshness: parts.freshness,
                metrics: parts.metrics,
                policy: Arc::new(ArcSwap::new(parts.policy)),
                prefetch: parts.prefetch,
                store: parts.store,
                table: parts.table,
                origins: parts.origins.into_iter().collect(),
                tags: Cache::new(TAG_CACHE_ENTRIES),
                decided: decided.build(),
                readable: Cache::new(READABLE_CACHE_ENTRIES),
                resolving: Flights::default(),
                fetching: Flights::default(),
                judging: Flights::default(),
            }),
        }
    }

    /// Replaces the policy. Requests under way end with the one they began with; the next one
    /// judges everything again that the old one admitted.
    pub fn replace_policy(&self, policy: Arc<Policy>) {
        self.room.policy.store(policy);
    }

    /// The policy that the next request will see.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.room.policy.load_full()
    }

    /// Why the data directory cannot be used, if it cannot.
    #[must_use]
    pub fn store_problem(&self) -> Option<StoreError> {
        self.room.store.problem()
    }

    /// The names of the upstreams.
    #[must_use]
    pub fn table(&self) -> &UpstreamTable {
        &self.room.table
    }

    /// Notes that the manifest `digest`, admitted by `decision`, was sent. Never waits.
    pub fn served(&self, context: &Context, decision: &str, digest: &Digest) {
        self.room.audit.pull(PullRecord {
            time: self.room.environment.clock.now(),
            decision: decision.to_owned(),
            client: record::client_record(&context.client),
            digest: *digest,
            count: 1,
        });
    }
}

impl Room {
    /// Where what belongs to the upstream `name` comes from; the route made sure that there is one.
    fn origin(&self, name: &UpstreamName) -> Result<&Origin, UpstreamError> {
        self.origins.get(name).ok_or_else(|| UpstreamError::Invalid {
            reason: format!("`{name}` is not a configured upstream"),
        })
    }
}

/// Manifests and verdicts in memory, in bytes.
const DECIDED_CACHE_BYTES: u64 = 64 << 20;
/// Tag resolutions in memory.
const TAG_CACHE_ENTRIES: u64 = 100_000;
/// Readable blobs in memory.
const READABLE_CACHE_ENTRIES: u64 = 100_000;
