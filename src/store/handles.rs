//! Open files of whole content, so that a hit needs neither the disk's names nor a lock.
//!
//! A hit touches the last use in memory; the maintenance carries it to the accelerator later, so
//! that nothing is written on a hit. Content that is being read is not evicted. Where a file goes
//! away under a reader all the same (a damaged one, or one that was pushed out of here while it was
//! read), the reader's open file stays what it was.

use std::{
    fmt,
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::oci::Digest;

/// Whole content, open for reading. Its bytes hash to its digest and never change.
#[derive(Debug)]
pub struct Blob {
    /// Where the bytes are. To be read by position: the file is shared.
    pub file: Arc<File>,
    /// The length in bytes.
    pub size: u64,
    /// The bytes themselves, where they are so few that asking for them would cost more than they do.
    pub small: Option<Bytes>,
    handle: Arc<Handle>,
}

impl Blob {
    fn new(file: Arc<File>, handle: Arc<Handle>) -> Self {
        handle.readers.fetch_add(1, Ordering::Relaxed);
        Self { file, size: handle.size, small: handle.small.clone(), handle }
    }
}

impl Clone for Blob {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.file), Arc::clone(&self.handle))
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        self.handle.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Content that was opened just now.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// The length in bytes.
    pub(super) size: u64,
    /// The bytes, where there are at most [`MAX_SMALL`].
    pub(super) small: Option<Bytes>,
}

/// The open files of one store.
pub(super) struct Handles {
    open: Cache<Digest, Arc<Handle>>,
}

#[derive(Debug)]
struct Handle {
    /// Emptied when the handle leaves the cache. The cache lets go of its values some time after,
    /// and until a file is closed its space is not free.
    file: ArcSwapOption<File>,
    size: u64,
    small: Option<Bytes>,
    readers: AtomicUsize,
    /// Seconds since 1970.
    last_use: AtomicU64,
    /// The `last_use` that the accelerator knows.
    noted: AtomicU64,
}

impl fmt::Debug for Handles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handles").finish_non_exhaustive()
    }
}

impl Handles {
    pub(super) fn new() -> Self {
        // Plain LRU: the frequency that moka weighs otherwise would keep a new file from staying.
        let open = Cache::builder()
            .max_capacity(MAX_OPEN_BLOBS)
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(|_, handle: Arc<Handle>, _| handle.file.store(None))
            .build();
        Self { open }
    }

    /// The content, if it is open, which counts as a use at `now`.
    pub(super) fn hit(&self, digest: &Digest, now: u64) -> Option<Blob> {
        let handle = self.open.get(digest)?;
        let file = handle.file.load_full()?;
        handle.last_use.store(now, Ordering::Relaxed);
        Some(Blob::new(file, handle))
    }

    /// Keeps content open that the accelerator already knows to be used at `now`.
    pub(super) fn insert(&self, digest: &Digest, opened: Opened, now: u64) -> Blob {
        let Opened { file, size, small } = opened;
        let file = Arc::new(file);
        let handle = Arc::new(Handle {
            file: ArcSwapOption::new(Some(Arc::clone(&file))),
            size,
            small,
            readers: AtomicUsize::new(0),
            last_use: AtomicU64::new(now),
            noted: AtomicU64::new(now),
        });
        self.open.insert(*digest, Arc::clone(&handle));
        Blob::new(file, handle)
    }

    /// Whether someone reads it now.
    pub(super) fn is_read(&self, digest: &Digest) -> bool {
        let handle = self.open.get(digest);
        handle.is_some_and(|handle| handle.readers.load(Ordering::Relaxed) > 0)
    }

    /// Closes it as soon as nobody reads it.
    pub(super) fn forget(&self, digest: &Digest) {
        self.open.invalidate(digest);
    }

    /// Shows every use that the accelerator does not know yet.
    pub(super) fn take_uses(&self, mut note: impl FnMut(&Digest, u64)) {
        for (digest, handle) in &self.open {
            let last_use = handle.last_use.load(Ordering::Relaxed);
            if handle.noted.swap(last_use, Ordering::Relaxed) != last_use {
                note(&digest, last_use);
            }
        }
    }
}

/// Files that are kept open. With one connection each they stay below the usual limit of 1024.
const MAX_OPEN_BLOBS: u64 = 512;
/// Bytes of content that is kept in memory beside its open file: a configuration has fewer. All of
/// them together are 8 MiB at most.
pub(super) const MAX_SMALL: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Opened {
        Opened { file: tempfile::tempfile().expect("a file"), size: 0, small: None }
    }

    #[test]
    fn forgotten_content_is_closed_at_once_when_nobody_reads_it() {
        let handles = Handles::new();
        let digests: Vec<_> = (0..64_u8).map(|byte| Digest::of(&[byte])).collect();
        let mut weak = Vec::new();
        for digest in &digests {
            weak.push(Arc::downgrade(&handles.insert(digest, opened(), 1).file));
        }
        for digest in &digests {
            assert!(handles.hit(digest, 2).is_some());
            handles.forget(digest);
        }
        assert_eq!(weak.iter().filter(|file| file.strong_count() > 0).count(), 0);
    }

    #[test]
    fn content_counts_as_read_until_the_last_reader_is_gone() {
        let handles = Handles::new();
        let digest = Digest::of(b"a");
        let first = handles.insert(&digest, opened(), 1);
        let second = first.clone();
        drop(first);
        assert!(handles.is_read(&digest));
        drop(second);
        assert!(!handles.is_read(&digest));
    }

    #[test]
    fn a_use_is_told_once() {
        let handles = Handles::new();
        let digest = Digest::of(b"a");
        drop(handles.insert(&digest, opened(), 1));
        let uses = || {
            let mut uses = Vec::new();
            handles.take_uses(|digest, at| uses.push((*digest, at)));
            uses
        };
        assert_eq!(uses(), []);
        drop(handles.hit(&digest, 5));
        assert_eq!(uses(), [(digest, 5)]);
        assert_eq!(uses(), []);
    }
}
