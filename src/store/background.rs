//! What the store does without being asked: opening the accelerator, carrying last uses to it,
//! evicting, sweeping and scrubbing.
//!
//! The tasks hold the store weakly between two steps, so dropping the last [`Store`](super::Store)
//! ends them too; [`Background::stop`] ends them in order. Failures here are logged and tried again
//! at the next turn: no request depends on them.

use std::{
    ops::Range,
    sync::{Arc, Mutex, Weak},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, task::JoinHandle};

use super::{Inner, blobs::Blobs, blocking, error::StoreError, evict, keyed::lock, scrub};

/// The background tasks of one store.
#[derive(Debug)]
pub(super) struct Background {
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    pub(super) fn new() -> Self {
        Self { stop: watch::Sender::new(false), tasks: Mutex::default() }
    }

    /// Becomes true, or closed, when everything shall stop.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Starts the tasks of `inner`, whose background this is.
    pub(super) fn start(inner: &Arc<Inner>) {
        let background = &inner.background;
        let tasks = [
            tokio::spawn(open_index(Arc::clone(&inner.blobs))),
            tokio::spawn(maintain_in_turns(Arc::downgrade(inner), background.stopped())),
            tokio::spawn(evict_when_crowded(Arc::downgrade(inner), background.stopped())),
            tokio::spawn(scrub_in_slots(Arc::downgrade(inner), background.stopped())),
        ];
        lock(&background.tasks).extend(tasks);
    }

    /// Tells everything to stop, fills included.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the tasks have stopped.
    pub(super) async fn stopped_all(&self) {
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "background_task_panicked");
            }
        }
    }
}

/// Opens the accelerator, which makes it known how much there is.
async fn open_index(blobs: Arc<Blobs>) {
    attempt("start", move || {
        blobs.index.open();
        evict::sweep(&blobs)
    })
    .await;
}

async fn maintain_in_turns(store: Weak<Inner>, stop: watch::Receiver<bool>) {
    let mut turn = 0_u32;
    while !waited(TURN, &stop).await {
        let Some(inner) = store.upgrade() else { return };
        turn = turn.wrapping_add(1);
        attempt("maintenance", move || maintain(&inner, turn)).await;
    }
}

/// Keeps the accelerator working and the small folders small. Blocks.
pub(super) fn maintain(inner: &Inner, turn: u32) -> Result<(), StoreError> {
    let (blobs, index) = (&inner.blobs, &inner.blobs.index);
    let is_long = turn.is_multiple_of(LONG_TURN);
    let problem = blobs.disk.check().err();
    if let Some(error) = &problem {
        tracing::error!(%error, "data_directory_unusable");
    }
    *lock(&inner.problem) = problem;
    let reopened = turn.is_multiple_of(REOPENING_TURN) && index.open();
    blobs.note_uses();
    index.flush();
    if is_long || reopened {
        evict::sweep(blobs)?;
    }
    if is_long {
        let now = inner.clock.now();
        blobs.disk.sweep_partial(now, &|digest| inner.fills.is_running(digest))?;
        blobs.disk.sweep_damaged(now)?;
    }
    Ok(())
}

async fn evict_when_crowded(store: Weak<Inner>, mut stop: watch::Receiver<bool>) {
    loop {
        let Some(blobs) = store.upgrade().map(|inner| Arc::clone(&inner.blobs)) else { return };
        let crowded = Arc::clone(&blobs.crowded);
        drop(blobs);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = crowded.notified() => {}
        }
        let Some(blobs) = store.upgrade().map(|inner| Arc::clone(&inner.blobs)) else { return };
        attempt("eviction", move || evict::sweep(&blobs)).await;
    }
}

async fn scrub_in_slots(store: Weak<Inner>, stop: watch::Receiver<bool>) {
    loop {
        let Some(inner) = store.upgrade() else { return };
        let Some(slot) = scrub::slot_length(inner.scrub_every) else { return };
        let slots = slots_due(&inner).await;
        drop(inner);
        for slot in slots {
            if scrub_shard(&store, &stop, slot).await.is_none() {
                return;
            }
        }
        if waited(Duration::from_millis(slot).max(SHORTEST_SLOT), &stop).await {
            return;
        }
    }
}

async fn slots_due(inner: &Inner) -> Range<u64> {
    let index = Arc::clone(&inner.blobs.index);
    let last = attempt("scrub", move || Ok(index.scrubbed())).await.flatten();
    let now = inner.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    scrub::due(last, now, inner.scrub_every)
}

/// `None` when it was stopped.
async fn scrub_shard(store: &Weak<Inner>, stop: &watch::Receiver<bool>, slot: u64) -> Option<()> {
    let shard = scrub::shard_of(slot);
    let blobs = Arc::clone(&store.upgrade()?.blobs);
    let digests = attempt("scrub", move || scrub::digests(&blobs, shard)).await;
    for digest in digests.unwrap_or_default() {
        let mut check = Some(scrub::Check::new(&digest));
        while let Some(current) = check {
            let blobs = Arc::clone(&store.upgrade()?.blobs);
            let stepped = attempt("scrub", move || current.step(&blobs)).await;
            let (read, left) = stepped.unwrap_or_default();
            if waited(scrub::rest_after(read), stop).await {
                return None;
            }
            check = left;
        }
    }
    let inner = store.upgrade()?;
    attempt("scrub", move || {
        let length = scrub::slot_length(inner.scrub_every).unwrap_or_default();
        inner.blobs.index.set_scrubbed(slot.saturating_mul(length));
        Ok(())
    })
    .await
}

/// Waits; whether it was stopped meanwhile.
async fn waited(time: Duration, stop: &watch::Receiver<bool>) -> bool {
    let mut stop = stop.clone();
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => true,
        () = tokio::time::sleep(time) => false,
    }
}

async fn attempt<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Option<T> {
    let done = blocking(work).await;
    done.inspect_err(|error| tracing::warn!(what, %error, "background_failed")).ok()
}

/// Between two turns of the maintenance: how much of the last uses a killed process forgets.
const TURN: Duration = Duration::from_secs(10);
/// Every how many turns a broken accelerator is begun anew. A full disk breaks it again at once,
/// and beginning anew means walking over the store.
pub(super) const REOPENING_TURN: u32 = 30;
/// Every how many turns everything is counted and swept.
const LONG_TURN: u32 = 360;
/// The scrub does not look at the clock more often than this.
const SHORTEST_SLOT: Duration = Duration::from_millis(10);
