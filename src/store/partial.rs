//! Content on its way: the one function that publishes, and what leads up to it.
//!
//! A [`Partial`] is a file in `partial/` that is hashed while it grows. [`Partial::verify`] turns
//! it into a [`Verified`], which alone can be published: forced to the disk, renamed to its digest,
//! its folder forced to the disk. Fills and small content in memory go the same way.
//!
//! A fill that stops keeps its file beside a checkpoint: a length and the digest of that many
//! bytes. Whoever goes on hashes the file up to there and compares. The state of the hash function
//! could be saved instead, and no byte read again; but then bytes that a power failure took from
//! the file would still be believed, and the upstream would be accused of what the disk did.
//! Reading again costs 0.7 s a GB, once, on a rare path.

use std::{fs::File, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    disk::Disk,
    error::StoreError,
    files::Durability,
    records::codec::{self, Record},
};
use crate::oci::{Digest, Hasher};

/// Content that is being written and hashed.
#[derive(Debug)]
pub(super) struct Partial {
    disk: Arc<Disk>,
    digest: Digest,
    file: Arc<File>,
    data: PathBuf,
    /// Where checkpoints go; `None` for content that would only be written from the start again.
    state: Option<PathBuf>,
    hasher: Hasher,
    written: u64,
    /// `written` at the last checkpoint.
    saved: u64,
}

/// What of a stopped fill is known to be good.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    /// Bytes from the start.
    length: u64,
    /// What they hash to.
    prefix: Digest,
}

impl Record for Checkpoint {
    const VERSION: u32 = 1;
}

impl Partial {
    /// A file for content that is already in memory.
    pub(super) fn scratch(disk: &Arc<Disk>, digest: &Digest) -> Result<Self, StoreError> {
        Self::empty(disk, digest, disk.scratch(), None)
    }

    /// The file of a fill: the one that an earlier fill left, up to its checkpoint, else a new one.
    pub(super) fn resume(disk: &Arc<Disk>, digest: &Digest) -> Result<Self, StoreError> {
        if let Some(resumed) = Self::from_checkpoint(disk, digest)? {
            return Ok(resumed);
        }
        Self::restart(disk, digest)
    }

    /// The file of a fill, from the first byte.
    pub(super) fn restart(disk: &Arc<Disk>, digest: &Digest) -> Result<Self, StoreError> {
        let state = disk.layout.fill_state(digest);
        // Before the data: a checkpoint beside a file it does not describe would only cost time.
        disk.files.remove(&state)?;
        Self::empty(disk, digest, disk.layout.fill_data(digest), Some(state))
    }

    fn empty(
        disk: &Arc<Disk>,
        digest: &Digest,
        data: PathBuf,
        state: Option<PathBuf>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            disk: Arc::clone(disk),
            digest: *digest,
            file: Arc::new(disk.files.create(&data)?),
            data,
            state,
            hasher: Hasher::new(digest.algorithm()),
            written: 0,
            saved: 0,
        })
    }

    fn from_checkpoint(disk: &Arc<Disk>, digest: &Digest) -> Result<Option<Self>, StoreError> {
        let (data, state) = (disk.layout.fill_data(digest), disk.layout.fill_state(digest));
        let saved = disk.files.read(&state, MAX_CHECKPOINT_SIZE)?;
        let Some(saved) = saved.and_then(|content| codec::decode::<Checkpoint>(&content)) else {
            return Ok(None);
        };
        let Some(file) = disk.files.open_to_append(&data)? else { return Ok(None) };
        let length = saved.length;
        if disk.files.length(&file, &data)?.is_none_or(|there| there < length) {
            return Ok(None);
        }
        let mut hasher = Hasher::new(digest.algorithm());
        disk.files.hash(&file, &data, 0..length, &mut hasher)?;
        if hasher.clone().finish() != saved.prefix {
            tracing::warn!(%digest, length, "partial_fill_damaged");
            return Ok(None);
        }
        disk.files.truncate(&file, &data, length)?;
        Ok(Some(Self {
            disk: Arc::clone(disk),
            digest: *digest,
            file: Arc::new(file),
            data,
            state: Some(state),
            hasher,
            written: length,
            saved: length,
        }))
    }

    /// The growing file.
    pub(super) const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Bytes so far.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Adds the next piece, and a checkpoint after every [`CHECKPOINT_EVERY`] bytes, so that a
    /// killed process loses no more than that.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.disk.files.write(&self.file, &self.data, piece, self.written)?;
        self.hasher.update(piece);
        self.written += piece.len() as u64;
        if self.state.is_some() && self.written - self.saved >= CHECKPOINT_EVERY {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Leaves what is there for a later [`resume`](Self::resume).
    pub(super) fn keep(mut self) {
        if self.written == 0 || self.state.is_none() {
            return self.discard();
        }
        if let Err(error) = self.checkpoint() {
            tracing::warn!(digest = %self.digest, %error, "checkpoint_not_saved");
        }
    }

    /// Gives the space back.
    pub(super) fn discard(self) {
        if let Some(state) = &self.state {
            self.disk.remove_quietly(state);
        }
        self.disk.remove_quietly(&self.data);
    }

    /// Checks what was written, against its digest and against `size` where that is known.
    ///
    /// # Errors
    /// [`StoreError::Integrity`]; then nothing is kept.
    pub(super) fn verify(self, size: Option<u64>) -> Result<Verified, StoreError> {
        let right_size = size.is_none_or(|size| size == self.written);
        if right_size && self.hasher.clone().finish() == self.digest {
            return Ok(Verified(self));
        }
        let digest = self.digest;
        self.discard();
        Err(StoreError::Integrity { digest })
    }

    /// Not forced to the disk: after a power failure the prefix is hashed and compared.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(state) = &self.state else { return Ok(()) };
        let checkpoint = Checkpoint { length: self.written, prefix: self.hasher.clone().finish() };
        self.disk.replace(state, &codec::encode(&checkpoint), Durability::Relaxed)?;
        self.saved = self.written;
        Ok(())
    }
}

/// Content that hashes to its digest. Only [`Partial::verify`] makes one.
#[derive(Debug)]
pub(super) struct Verified(Partial);

impl Verified {
    /// The length in bytes.
    pub(super) const fn size(&self) -> u64 {
        self.0.written
    }

    /// Makes the content visible under its digest. After `Ok` it survives a power failure.
    pub(super) fn publish(self) -> Result<(), StoreError> {
        let Self(partial) = self;
        let Partial { disk, digest, file, data, state, .. } = &partial;
        let published = disk
            .files
            .sync(file, data)
            .and_then(|()| disk.files.rename(data, &disk.layout.blob(digest), Durability::Synced));
        match (published, state) {
            (Ok(()), Some(state)) => {
                disk.remove_quietly(state);
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(error), _) => {
                partial.discard();
                Err(error)
            }
        }
    }
}

/// Bytes between two checkpoints of a fill.
pub(super) const CHECKPOINT_EVERY: u64 = 4 << 20;
const MAX_CHECKPOINT_SIZE: u64 = 4096;
