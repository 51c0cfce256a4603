//! What can go wrong in the store, by who is at fault: the disk, the content, or where it comes from.
//!
//! Every error is `Clone`, because one failed fill fails many followers.

use std::{error::Error, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use super::files::Step;
use crate::oci::Digest;

/// Why the store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// So many downloads of this origin run and wait that no other may.
    #[error("too many downloads from `{origin}` wait already")]
    Busy {
        /// The upstream's name.
        origin: String,
    },
    /// The disk has no room left. What is stored keeps being readable.
    #[error(
        "the disk under `{}` is full: free some space, or lower `cache.max_size`",
        path.display()
    )]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// The bytes are not those that the digest names; nothing was kept.
    #[error("the content does not hash to {digest}")]
    Integrity {
        /// What was asked for.
        digest: Digest,
    },
    /// The disk refused.
    #[error("cannot {} `{}`: {source}", step.as_str(), path.display())]
    Io {
        /// What was tried.
        step: Step,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: Arc<io::Error>,
    },
    /// Another process has this data directory.
    #[error(
        "the data directory `{}` is in use by another portcullis: stop that one, or name another directory with `--data`",
        path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The store is closing or its runtime is going away.
    #[error("the store is closing")]
    Stopped,
    /// The content is longer than the caller takes.
    #[error("{digest} is {size} bytes long, more than the {limit} that are read at once")]
    TooLong {
        /// What was asked for.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The data directory cannot be used at all.
    #[error(
        "the data directory `{}` cannot be used: {reason}. Make it a directory that this user may write to, or name another with `--data`",
        path.display()
    )]
    Unusable {
        /// The data directory.
        path: PathBuf,
        /// What was wrong with it.
        reason: Box<Self>,
    },
}

impl StoreError {
    pub(super) fn io(step: Step, path: &std::path::Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { step, path, source: Arc::new(error) },
        }
    }

    /// Whether a file is there and open, and its content cannot be had: as good as damaged.
    pub(super) const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Io { step: Step::Read, .. })
    }
}

/// Why a fill ended without its blob.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FillError {
    /// The disk has no room left.
    #[error("the disk is full: free some space, or lower `cache.max_size`")]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
    },
    /// The source's bytes are not those that the digest names; nothing was kept.
    #[error("the content does not hash to {digest}, or is not as long as announced")]
    Integrity {
        /// What was asked for.
        digest: Digest,
    },
    /// The source failed. What it sent so far is kept, and the next fill goes on from there.
    #[error(transparent)]
    Source(SourceError),
    /// The store is closing. What was filled so far is kept.
    #[error("the store is closing")]
    Stopped,
    /// The disk refused.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for FillError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { path } => Self::DiskFull { path },
            StoreError::Integrity { digest } => Self::Integrity { digest },
            StoreError::Stopped => Self::Stopped,
            other => Self::Store(other),
        }
    }
}

/// A failure of a [`FillSource`](super::FillSource): what it means to the store, and the source's
/// own error for whoever made the source.
#[derive(Clone, Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    error: Arc<dyn Error + Send + Sync>,
}

impl SourceError {
    /// `error`, which means `kind`.
    #[must_use]
    pub fn new(kind: SourceErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, error: Arc::from(error.into()) }
    }

    /// What it means.
    #[must_use]
    pub const fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// The source's own error, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: Error + 'static>(&self) -> Option<&T> {
        self.error.downcast_ref()
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl Error for SourceError {
    /// The message is the inner error's own, so the chain goes on below it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// What a [`SourceError`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceErrorKind {
    /// The source does not want to.
    Denied,
    /// The source's bytes contradict each other; what was received is thrown away.
    Integrity,
    /// The source has no such content.
    NotFound,
    /// The source wants to be left alone for a while.
    RateLimited {
        /// For how long, if it said so.
        retry_after: Option<Duration>,
    },
    /// The source cannot be reached, or broke off.
    Unavailable,
}
