//! Content by digest: opening, reading, publishing, setting aside, and how much there is.
//!
//! A length that nobody vouches for is vouched for by hashing once. When content is published, the
//! accelerator notes its length; a file that is opened later with that length is taken as it is,
//! since hits are not hashed again. A file of another length, or one that the accelerator has
//! forgotten, is hashed before it is served, and what does not match is moved to `damaged/` and
//! counts as absent, so that the next request fills it again. Small content that is read into
//! memory is hashed whenever it comes from the disk.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Notify;

use super::{
    disk::Disk,
    error::StoreError,
    files::Durability,
    handles::{Blob, Handles, MAX_SMALL, Opened},
    keyed::KeyedLocks,
    meta::{BlobEntry, Index, seconds},
    partial::Partial,
};
use crate::{
    environment::Clock,
    oci::{Digest, Hasher},
    telemetry::Metrics,
};

/// The content of one store. Everything but the hits blocks.
pub(super) struct Blobs {
    pub(super) disk: Arc<Disk>,
    pub(super) index: Arc<Index>,
    handles: Handles,
    memory: Cache<Digest, Bytes>,
    locks: KeyedLocks<Digest>,
    clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    /// Bytes in `blobs-v1`, as far as they have been counted.
    total: AtomicU64,
    /// Rings when `total` has passed what is allowed.
    pub(super) crowded: Arc<Notify>,
    /// Held by the one eviction that runs.
    pub(super) sweeping: Mutex<()>,
    /// Bytes, 0 for no limit.
    pub(super) max_size: u64,
}

/// Who found content that does not hash to its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundBy {
    Open,
    Scrub,
}

impl FoundBy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Scrub => "scrub",
        }
    }
}

/// Whether eviction leaves content alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A layer or a configuration: it can be filled again.
    Evictable,
    /// Manifests and evidence: small, and needed to answer while the upstream is down.
    Kept,
}

impl fmt::Debug for Blobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blobs").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Blobs {
    pub(super) fn new(
        disk: Arc<Disk>,
        index: Arc<Index>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        max_size: u64,
    ) -> Self {
        let memory = Cache::builder()
            .max_capacity(MEMORY_CAPACITY)
            .weigher(|_, content: &Bytes| {
                u32::try_from(content.len() + size_of::<Digest>()).unwrap_or(u32::MAX)
            })
            .build();
        Self {
            disk,
            index,
            handles: Handles::new(),
            memory,
            locks: KeyedLocks::default(),
            clock,
            metrics,
            total: AtomicU64::new(0),
            crowded: Arc::default(),
            sweeping: Mutex::default(),
            max_size,
        }
    }

    /// The content, if its file is open. Touches nothing but memory.
    pub(super) fn hit(&self, digest: &Digest) -> Option<Blob> {
        self.handles.hit(digest, self.now())
    }

    /// The content, from the disk where it must be.
    pub(super) fn open(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        self.locks.with(digest, || self.open_locked(digest))
    }

    fn open_locked(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        if let Some(hit) = self.hit(digest) {
            return Ok(Some(hit));
        }
        let path = self.disk.layout.blob(digest);
        let Some(file) = self.disk.files.open(&path)? else { return Ok(None) };
        let now = self.now();
        let length = self.disk.files.length(&file, &path)?;
        let Some(size) = length else { return self.set_aside_locked(digest, FoundBy::Open) };
        let entry = self.index.blob(digest).filter(|entry| entry.verified);
        let small = if size <= MAX_SMALL {
            match self.disk.files.read(&path, size) {
                Ok(Some(content)) if digest.matches(&content) => Some(Bytes::from(content)),
                Err(error) if !error.is_unreadable() => return Err(error),
                _ => return self.set_aside_locked(digest, FoundBy::Open),
            }
        } else if entry.is_none_or(|entry| entry.size != size) {
            let mut hasher = Hasher::new(digest.algorithm());
            match self.disk.files.hash(&file, &path, 0..size, &mut hasher) {
                Ok(_) if hasher.finish() == *digest => None,
                Err(error) if !error.is_unreadable() => return Err(error),
                _ => return self.set_aside_locked(digest, FoundBy::Open),
            }
        } else {
            None
        };
        self.index.change_blob(digest, |known| {
            let kept = known.is_some_and(|known| known.kept);
            Some(BlobEntry { size, last_use: now, verified: true, kept })
        });
        Ok(Some(self.handles.insert(digest, Opened { file, size, small }, now)))
    }

    /// Small content, if it is in memory.
    pub(super) fn memory_hit(&self, digest: &Digest) -> Option<Bytes> {
        self.memory.get(digest)
    }

    /// Small content, from the disk.
    pub(super) fn read(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, StoreError> {
        self.locks.with(digest, || {
            if let Some(hit) = self.memory_hit(digest) {
                return Ok(Some(hit));
            }
            let path = self.disk.layout.blob(digest);
            let Some(file) = self.disk.files.open(&path)? else { return Ok(None) };
            let size = self.disk.files.length(&file, &path)?.unwrap_or(0);
            if size > limit as u64 {
                return Err(StoreError::TooLong { digest: *digest, size, limit });
            }
            let content = match self.disk.files.read(&path, size) {
                Ok(Some(content)) if digest.matches(&content) => Bytes::from(content),
                Ok(None) => return Ok(None),
                Err(error) if !error.is_unreadable() => return Err(error),
                _ => return self.set_aside_locked(digest, FoundBy::Open),
            };
            self.memory.insert(*digest, content.clone());
            Ok(Some(content))
        })
    }

    /// Stores small content that is whole in memory.
    pub(super) fn publish(&self, digest: &Digest, content: &[u8]) -> Result<(), StoreError> {
        if !digest.matches(content) {
            return Err(StoreError::Integrity { digest: *digest });
        }
        self.locks.with(digest, || {
            let path = self.disk.layout.blob(digest);
            let there = self.disk.files.read(&path, content.len() as u64 + 1)?;
            if there.as_deref() != Some(content) {
                self.write(digest, content)?;
                self.published(digest, content.len() as u64, Class::Kept);
            }
            // A copy, since the caller's bytes may be a small part of a large buffer.
            self.memory.insert(*digest, Bytes::copy_from_slice(content));
            Ok(())
        })
    }

    fn write(&self, digest: &Digest, content: &[u8]) -> Result<(), StoreError> {
        let mut partial = Partial::scratch(&self.disk, digest)?;
        if let Err(error) = partial.append(content) {
            partial.discard();
            return Err(error);
        }
        partial.verify(None)?.publish()
    }

    /// Notes that content has come to be on the disk under its digest.
    pub(super) fn published(&self, digest: &Digest, size: u64, class: Class) {
        let now = self.now();
        let mut before = 0;
        self.index.change_blob(digest, |known| {
            before = known.map_or(0, |known| known.size);
            let kept = class == Class::Kept || known.is_some_and(|known| known.kept);
            Some(BlobEntry { size, last_use: now, verified: true, kept })
        });
        let total = self.count(|total| (total + size).saturating_sub(before));
        if self.is_crowded(total) {
            self.crowded.notify_one();
        }
    }

    /// Moves content away that does not hash to its digest. Counts as absent from then on.
    pub(super) fn set_aside(&self, digest: &Digest, found_by: FoundBy) -> Result<(), StoreError> {
        self.locks.with(digest, || self.set_aside_locked::<()>(digest, found_by)).map(drop)
    }

    fn set_aside_locked<T>(
        &self,
        digest: &Digest,
        found_by: FoundBy,
    ) -> Result<Option<T>, StoreError> {
        let (from, to) = (self.disk.layout.blob(digest), self.disk.layout.damaged_blob(digest));
        self.disk.files.rename(&from, &to, Durability::Relaxed)?;
        tracing::error!(
            %digest,
            found_by = found_by.as_str(),
            moved_to = %to.display(),
            "stored_content_damaged"
        );
        self.metrics.content_damaged(found_by.as_str());
        self.forget(digest);
        Ok(None)
    }

    /// Gives the space of content back, unless someone reads it. The bytes that came free.
    pub(super) fn evict(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.locks.with(digest, || {
            if self.handles.is_read(digest) {
                return Ok(None);
            }
            self.disk.files.remove(&self.disk.layout.blob(digest))?;
            Ok(Some(self.forget(digest)))
        })
    }

    /// The length that was known.
    fn forget(&self, digest: &Digest) -> u64 {
        let mut size = 0;
        self.index.change_blob(digest, |known| {
            size = known.map_or(0, |known| known.size);
            None
        });
        self.handles.forget(digest);
        self.memory.invalidate(digest);
        self.count(|total| total.saturating_sub(size));
        size
    }

    /// Carries the last uses from memory to the accelerator.
    pub(super) fn note_uses(&self) {
        self.handles.take_uses(|digest, last_use| {
            self.index.change_blob(digest, |known| Some(BlobEntry { last_use, ..known? }));
        });
    }

    /// Whether `total` bytes are more than is allowed.
    pub(super) const fn is_crowded(&self, total: u64) -> bool {
        self.max_size != 0 && total > self.max_size
    }

    /// Bytes of content, as far as it was counted.
    pub(super) fn counted(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Replaces the count, which was `before` when somebody began to count anew, by what they
    /// `found` and what was published meanwhile. They may have seen a part of that: too high a
    /// count costs a sweep, too low a one would let the store outgrow its bound.
    pub(super) fn recounted(&self, before: u64, found: u64) -> u64 {
        self.count(|now| found.saturating_add(now).saturating_sub(before))
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        seconds(self.clock.now())
    }

    fn count(&self, change: impl Fn(u64) -> u64) -> u64 {
        let changed = self
            .total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |total| Some(change(total)));
        let total = change(changed.unwrap_or_else(|before| before));
        self.metrics.store_size(total);
        total
    }
}

/// Bytes of small content that stay in memory.
const MEMORY_CAPACITY: u64 = 32 << 20;
