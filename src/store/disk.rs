//! One data directory, locked: the paths, the access to them, and small files written whole.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use super::{
    error::StoreError,
    files::{Durability, Files},
    layout::Layout,
};
use crate::oci::Digest;

/// The data directory of one mirror. As long as this lives, no other process opens it.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) files: Files,
    pub(super) layout: Layout,
    next_scratch: AtomicU64,
    /// Closing it frees the lock, also when the process dies.
    _lock: File,
}

impl Disk {
    /// Locks `root`, making it where it is missing.
    pub(super) fn open(root: PathBuf, files: Files) -> Result<Self, StoreError> {
        let layout = Layout::new(root);
        let lock = prepare(&layout, &files).map_err(|reason| match reason {
            StoreError::Full { .. } => reason,
            _ => StoreError::Unusable { path: layout.root().to_owned(), reason: Box::new(reason) },
        })?;
        match lock {
            Some(lock) => Ok(Self { files, layout, next_scratch: AtomicU64::new(0), _lock: lock }),
            None => Err(StoreError::Locked { path: layout.root().to_owned() }),
        }
    }

    /// A name in `partial/` that nothing else uses while this process has the lock.
    pub(super) fn scratch(&self) -> PathBuf {
        self.layout.scratch(self.next_scratch.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts a small file in place, whole or not at all.
    ///
    /// With [`Durability::Synced`] the content is forced to the disk, but not the folder: a name
    /// that is lost in a power failure reads as absent, which every small file here may be.
    pub(super) fn replace(
        &self,
        target: &Path,
        content: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        let scratch = self.scratch();
        let written = self.files.create(&scratch).and_then(|file| {
            self.files.write(&file, &scratch, content, 0)?;
            if durability == Durability::Synced {
                self.files.sync(&file, &scratch)?;
            }
            self.files.rename(&scratch, target, Durability::Relaxed)
        });
        if written.is_err() {
            self.remove_quietly(&scratch);
        }
        written
    }

    /// Removes a file whose presence does no harm: the next start sweeps it.
    pub(super) fn remove_quietly(&self, path: &Path) {
        if let Err(error) = self.files.remove(path) {
            tracing::warn!(%error, "leftover_not_removed");
        }
    }

    /// Tries whether the directory still takes files: it may have been removed, or be mounted read-only.
    /// A full one is not broken, since what it holds is served.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let scratch = self.scratch();
        match self.files.create(&scratch) {
            Ok(_) => self.files.remove(&scratch).map(drop),
            Err(StoreError::Full { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Fails early where `size` bytes cannot fit.
    pub(super) fn require_space(&self, size: u64) -> Result<(), StoreError> {
        let path = self.layout.partial();
        if self.files.free_space(&path)? < size {
            return Err(StoreError::Full { path });
        }
        Ok(())
    }

    /// Removes from `partial/` what no fill can use: small files without a name, fills without
    /// their other half, and fills that nobody has asked to go on with for [`PARTIAL_KEPT`].
    /// Those in `busy` stay.
    pub(super) fn sweep_partial(
        &self,
        now: SystemTime,
        busy: &dyn Fn(&Digest) -> bool,
    ) -> Result<(), StoreError> {
        for (name, path) in self.entries(&self.layout.partial())? {
            let kept = match Layout::fill_digest(&name) {
                Some(digest) => busy(&digest) || self.can_resume(&digest, now)?,
                None => false,
            };
            if !kept {
                self.files.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes damaged content that nobody has looked at for [`DAMAGED_KEPT`].
    pub(super) fn sweep_damaged(&self, now: SystemTime) -> Result<(), StoreError> {
        for (_, path) in self.entries(&self.layout.damaged())? {
            if !self.is_younger(&path, now, DAMAGED_KEPT)? {
                self.files.remove(&path)?;
            }
        }
        Ok(())
    }

    /// The names in a folder, those that are text.
    pub(super) fn entries(&self, folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let listed = self.files.list(folder)?.into_iter().flatten();
        let names = listed.filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.to_owned(), path))
        });
        Ok(names.collect())
    }

    fn can_resume(&self, digest: &Digest, now: SystemTime) -> Result<bool, StoreError> {
        Ok(self.is_younger(&self.layout.fill_data(digest), now, PARTIAL_KEPT)?
            && self.is_younger(&self.layout.fill_state(digest), now, PARTIAL_KEPT)?)
    }

    /// Whether the file was written to within `age`. A time in the future counts as now.
    fn is_younger(&self, path: &Path, now: SystemTime, age: Duration) -> Result<bool, StoreError> {
        let modified = self.files.modified(path)?;
        Ok(modified.is_some_and(|at| now.duration_since(at).unwrap_or_default() < age))
    }
}

/// The lock, or `None` where another process holds it.
fn prepare(layout: &Layout, files: &Files) -> Result<Option<File>, StoreError> {
    files.make_folder(layout.root(), Durability::Synced)?;
    let path = layout.lock();
    let lock = match files.open_to_append(&path)? {
        Some(lock) => lock,
        None => files.create(&path)?,
    };
    if !files.lock(&lock, &path)? {
        return Ok(None);
    }
    for folder in [layout.blobs(), layout.refs(), layout.partial(), layout.damaged()] {
        files.make_folder(&folder, Durability::Synced)?;
    }
    Ok(Some(lock))
}

/// How long a fill that stopped waits for someone to ask for its blob again.
const PARTIAL_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How long damaged content stays for someone to look at.
const DAMAGED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
