//! Fills: one fetch for everyone who wants the same cold content.
//!
//! ```text
//! source ──> transfer ──[queue]──> writer ──> partial file ──> blobs-v1
//!            async task            blocking thread  │
//!                                      └─ progress ─┴─> followers, each at its own pace
//! ```
//! A fill is a task that the store owns: it lives on when the client that caused it, or every
//! client, has gone. One thread per fill hashes and writes, fed by a bounded queue, so that neither
//! delays the async workers, no piece hops through a pool, and a slow disk slows the source instead
//! of filling memory. Followers read the file. They are told that the content is verified before it
//! is forced to the disk: the promise that costs time is not on their way.
//!
//! The fill is in the map from the moment it is wanted until its content is published, so a request
//! finds one or the other. It checks for published content first: who looked before that was
//! published, and asks for a fill after, causes no second fetch.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use tokio::sync::{Semaphore, watch};

use super::{
    blobs::Blobs,
    error::{FillError, StoreError},
    keyed::lock,
};
use crate::oci::Digest;

mod follower;
mod lanes;
mod progress;
mod source;
mod task;
mod transfer;
mod writer;

pub use follower::Follower;
use lanes::Lanes;
use progress::{Announcer, Progress, State};
pub use source::{FillSource, FillStream};

/// The running fills of one store.
pub(super) struct Fills {
    blobs: Arc<Blobs>,
    running: Mutex<HashMap<Digest, Announcer>>,
    lanes: Lanes,
    slots: Semaphore,
    /// Set, or closed, when fills shall stop.
    stop: watch::Receiver<bool>,
}

impl fmt::Debug for Fills {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fills").field("running", &self.running).finish_non_exhaustive()
    }
}

/// One fill that is wanted.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) digest: Digest,
    /// The length that the content should have, in bytes.
    pub(super) size: Option<u64>,
    pub(super) source: Arc<dyn FillSource>,
}

impl Fills {
    /// Fills, `width` at the same time from one origin.
    pub(super) fn new(
        blobs: Arc<Blobs>,
        width: NonZeroUsize,
        stop: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let lanes = Lanes::new(width.get(), Arc::clone(&blobs.metrics));
        let slots = Semaphore::new(MAX_FILLS);
        Arc::new(Self { blobs, running: Mutex::default(), lanes, slots, stop })
    }

    /// Joins the fill of this content, or starts one, and waits until its file is open.
    pub(super) async fn follow(self: &Arc<Self>, order: Order) -> Result<Follower, StoreError> {
        let digest = order.digest;
        let wanted_size = order.size;
        let mut progress = self.join_or_start(order)?;
        loop {
            let file = {
                let progress = progress.borrow_and_update();
                if progress.size.zip(wanted_size).is_some_and(|(known, wanted)| known != wanted) {
                    return Err(StoreError::Integrity { digest });
                }
                match (&progress.file, &progress.state) {
                    (Some(file), _) => Some(Arc::clone(file)),
                    (None, State::Failed(error)) => return Err(Self::before_opening(error)),
                    (None, _) => None,
                }
            };
            if let Some(file) = file {
                return Ok(Follower::new(progress, file, self.blobs.metrics.follower()));
            }
            progress.changed().await.map_err(|_| StoreError::Stopped)?;
        }
    }

    /// Whether this content is being filled.
    pub(super) fn is_running(&self, digest: &Digest) -> bool {
        lock(&self.running).contains_key(digest)
    }

    /// Waits until no fill runs; to be called once they were told to stop.
    pub(super) async fn ended(&self) {
        let all = u32::try_from(MAX_FILLS).expect("a small constant");
        // Closed never: an error cannot come.
        drop(self.slots.acquire_many(all).await);
    }

    /// A failure for someone who has no follower yet. The source has not been asked by then.
    fn before_opening(error: &FillError) -> StoreError {
        match error {
            FillError::DiskFull { path } => StoreError::Full { path: path.clone() },
            FillError::Integrity { digest } => StoreError::Integrity { digest: *digest },
            FillError::Source(_) | FillError::Stopped => StoreError::Stopped,
            FillError::Store(error) => error.clone(),
        }
    }

    fn join_or_start(
        self: &Arc<Self>,
        order: Order,
    ) -> Result<watch::Receiver<Progress>, StoreError> {
        let mut running = lock(&self.running);
        if let Some(announcer) = running.get(&order.digest)
            && !announcer.has_failed()
        {
            return Ok(announcer.follow());
        }
        let origin = order.source.origin();
        let place = self
            .lanes
            .enter(origin)
            .ok_or_else(|| StoreError::Busy { origin: origin.to_owned() })?;
        let announcer = Announcer::new();
        let progress = announcer.follow();
        running.insert(order.digest, announcer.clone());
        drop(running);
        let task = task::Task::new(Arc::clone(self), order, announcer);
        tokio::spawn(task.run(place));
        Ok(progress)
    }

    /// Takes the fill off the map, unless another has taken its place.
    fn leave(&self, digest: &Digest, announcer: &Announcer) {
        let mut running = lock(&self.running);
        if running.get(digest).is_some_and(|there| there.is(announcer)) {
            running.remove(digest);
        }
    }
}

/// Fills at the same time, of all origins. Each holds a thread, two files and a queue.
const MAX_FILLS: usize = 128;
