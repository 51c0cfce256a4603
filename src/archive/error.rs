//! What can be wrong with an archive. Each fault has a name of its own, and says what to do.

use std::{io, path::PathBuf};

use crate::{
    mirror::{PullError, UpstreamError},
    oci::{Digest, ManifestError},
    store::{FillError, StoreError},
};

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A delta whose base was never imported here.
    #[error(
        "the archive is a delta on top of the one made {base}, which was not imported here: {missing} of its contents are missing, such as {digest}. Import that archive first"
    )]
    BaseMissing {
        /// When the base was made.
        base: String,
        /// How much of it is missing.
        missing: usize,
        /// One of them.
        digest: Digest,
    },
    /// A file under `blobs/` whose name is no digest.
    #[error("`{name}` in the archive is under `blobs/` and its name is no digest")]
    BlobName {
        /// Its name.
        name: String,
    },
    /// Content whose bytes are not those of its digest.
    #[error(
        "{digest} is damaged in {place}: its bytes hash to something else. Copy the archive again"
    )]
    Damaged {
        /// What the bytes should have hashed to.
        digest: Digest,
        /// Which file or volume it is in.
        place: String,
    },
    /// A small file whose checksum is wrong.
    #[error(
        "`{name}` in the archive is damaged: it does not have the checksum that `SHA256SUMS` gives it. Copy the archive again"
    )]
    DamagedFile {
        /// Its name.
        name: String,
    },
    /// The same name twice.
    #[error("the archive has `{name}` twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// It exists and is something else.
    #[error("`{}` exists and is not an archive to go on with: name another", path.display())]
    Exists {
        /// What was to be written.
        path: PathBuf,
    },
    /// A file that is no regular file: a link, a device, a sparse file.
    #[error("`{name}` in the archive is a {kind}; an archive has regular files only")]
    Kind {
        /// Its name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The archive is compressed as a whole.
    #[error("`{}` is compressed: decompress it on the way, as in `zcat {} | portcullis import -`", path.display(), path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
    },
    /// Bytes cannot be read or written.
    #[error("cannot {verb} {what}: {source}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// With what.
        what: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The signature of the inventory does not verify.
    #[error(
        "the inventory `portcullis.json` is not signed by the key `{key}`: do not use this archive"
    )]
    InventorySignature {
        /// The fingerprint of the key that was asked for.
        key: String,
    },
    /// A JSON document that is none.
    #[error("`{name}` in the archive is not valid: {reason}")]
    Json {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no room for it.
    #[error("{needed} bytes are needed under `{}`, and {free} are free", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// Bytes that the archive will have.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// What the inventory lists is not there.
    #[error(
        "the archive lacks {digest}, which its inventory lists: a part of it was lost. Copy it again"
    )]
    Lacks {
        /// What is lacking.
        digest: Digest,
    },
    /// A volume is not there, or has another length.
    #[error("the volume `{}` {fault}. All volumes have to be in one folder", path.display())]
    Volume {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A file that every layout has is missing.
    #[error("there is no `{name}`: it is not an OCI image layout")]
    Missing {
        /// The name of the file.
        name: &'static str,
    },
    /// What was judged changed, or cannot be had.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// More than is ever needed.
    #[error("the archive has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A small file that is too large.
    #[error("`{name}` in the archive has {size} bytes; {limit} are allowed")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its length in bytes.
        size: u64,
        /// Bytes that it may have.
        limit: usize,
    },
    /// The local disk fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tar file itself is broken.
    #[error("the tar file is broken at byte {position}: {reason}")]
    Tar {
        /// Where.
        position: u64,
        /// How.
        reason: String,
    },
    /// It ends in the middle of a file.
    #[error("the archive ends in the middle of `{name}`: it was not copied whole")]
    Truncated {
        /// The file.
        name: String,
    },
    /// A name that leaves its folder.
    #[error("the archive has a file with the unsafe name `{name}`: do not use this archive")]
    UnsafeName {
        /// The name.
        name: String,
    },
    /// A layout of another version.
    #[error("the layout has version `{version}`; version 1.0.0 can be read")]
    Version {
        /// What it says.
        version: String,
    },
}

impl ArchiveError {
    pub(super) fn io(verb: &'static str, what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { verb, what: what.into(), source }
    }

    pub(super) fn fill(error: FillError, place: &str) -> Self {
        match error {
            FillError::Integrity { digest } => Self::Damaged { digest, place: place.to_owned() },
            FillError::DiskFull { path } => Self::Store(StoreError::Full { path }),
            FillError::Stopped => Self::Store(StoreError::Stopped),
            FillError::Store(error) => Self::Store(error),
            FillError::Source(error) => {
                Self::io("read", place, io::Error::other(error.to_string()))
            }
        }
    }
}

impl From<ManifestError> for ArchiveError {
    fn from(error: ManifestError) -> Self {
        Self::Json { name: "index.json", reason: error.to_string() }
    }
}

/// A fault of the archive as the mirror's rooms hear it: somebody who gave no valid answer.
impl From<ArchiveError> for UpstreamError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Damaged { digest, .. } => Self::Integrity { digest },
            error => Self::Invalid { reason: error.to_string() },
        }
    }
}
