//! Fills the accelerator from what is on disk, beside the requests.
//!
//! Adds what is missing and changes nothing that is there. A record that is written while the walk
//! is past its folder is noted by whoever writes it: records come to the disk before the index.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use super::{
    entry::{BlobEntry, seconds},
    index::Index,
};
use crate::{
    oci::{Algorithm, Digest},
    store::{
        disk::Disk,
        error::StoreError,
        layout::{Layout, MANIFESTS},
        records::{index_manifest, read_manifest},
    },
};

/// Walks over everything, or until `stop`.
pub(super) fn run(
    disk: &Disk,
    index: &Index,
    stop: &AtomicBool,
) -> Result<ControlFlow<()>, StoreError> {
    let mut walk = Walk { disk, index, stop, seen: 0 };
    if walk.blobs()?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    walk.repositories(&disk.layout.refs(), 0)
}

struct Walk<'a> {
    disk: &'a Disk,
    index: &'a Index,
    stop: &'a AtomicBool,
    seen: u32,
}

impl Walk<'_> {
    fn blobs(&mut self) -> Result<ControlFlow<()>, StoreError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for (_, shard) in self.disk.entries(&self.disk.layout.shards(algorithm))? {
                for entry in self.disk.files.list(&shard)?.into_iter().flatten().flatten() {
                    let name = entry.file_name();
                    let digest =
                        name.to_str().and_then(|name| Layout::blob_digest(algorithm, name));
                    if let Some((digest, metadata)) = digest.zip(entry.metadata().ok()) {
                        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        self.found(&digest, metadata.len(), modified);
                    }
                    if self.pause().is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn found(&self, digest: &Digest, size: u64, modified: SystemTime) {
        self.index.change_blob(digest, |known| {
            let unknown =
                BlobEntry { size, last_use: seconds(modified), verified: false, kept: false };
            Some(known.unwrap_or(unknown))
        });
    }

    /// Repositories lie in each other (`a` and `a/b`), but not deeper than a name is long.
    fn repositories(&mut self, folder: &Path, depth: usize) -> Result<ControlFlow<()>, StoreError> {
        if depth > MAX_DEPTH {
            return Ok(ControlFlow::Continue(()));
        }
        for entry in self.disk.files.list(folder)?.into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name() == MANIFESTS {
                if self.manifests(&path)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && self.repositories(&path, depth + 1)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn manifests(&mut self, folder: &Path) -> Result<ControlFlow<()>, StoreError> {
        let Some(image) = self.disk.layout.image_of(folder) else {
            return Ok(ControlFlow::Continue(()));
        };
        for entry in self.disk.files.list(folder)?.into_iter().flatten().flatten() {
            let digest = entry.file_name().to_str().and_then(Layout::manifest_digest);
            if let Some(digest) = digest
                && let Some(known) = read_manifest(self.disk, &entry.path())?
            {
                index_manifest(self.index, &image, &digest, &known);
            }
            if self.pause().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Leaves the disk and the processor to the requests half of the time.
    fn pause(&mut self) -> ControlFlow<()> {
        self.seen += 1;
        if self.seen.is_multiple_of(BATCH) {
            std::thread::sleep(PAUSE);
        }
        if self.stop.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Folders between `refs-v1` and a `_manifests`: a repository of 255 one-letter components, and
/// its upstream.
const MAX_DEPTH: usize = 130;
/// Entries between two pauses.
const BATCH: u32 = 256;
const PAUSE: Duration = Duration::from_millis(4);
