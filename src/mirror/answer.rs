//! What a pull ends with, in the words of the mirror, not of HTTP.
//!
//! [`Admitted`] is the witness type of tenet 1: its fields are private, only the mirror's decision
//! makes one, and the response that carries a manifest takes nothing else.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use super::Job;
use crate::{
    oci::{Digest, ImageName, Reference},
    store::{Blob, Follower, StoreError},
    trust::Verdict,
    upstream::UpstreamError,
};

/// Who asks. One value, made at the door and carried to decisions and records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where the connection comes from.
    pub address: IpAddr,
    /// What the client calls itself (`User-Agent`), cut to [`MAX_LABEL_LENGTH`]. Never trusted.
    pub label: Option<String>,
    /// The job that it works for (`X-Portcullis-Job`). Never trusted.
    pub job: Option<Job>,
}

/// Characters of a client's label that are kept.
pub const MAX_LABEL_LENGTH: usize = 120;

/// One request, as far as decisions and records need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The request's id: in the answer's `X-Request-Id`, in logs and records.
    pub request: String,
    /// Who asks.
    pub client: Client,
    /// Whether content will be sent (`GET`), which is what the records call a pull.
    pub content: bool,
}

/// Manifest bytes that policy has admitted in one repository. Only the mirror's decision makes one.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    pub(super) etag: Arc<str>,
    pub(super) media_type: Arc<str>,
    pub(super) decision: Arc<str>,
    pub(super) warning: Option<Arc<str>>,
}

impl Admitted {
    /// The exact bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What they hash to.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The digest in quotes, for `ETag`.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// For `Content-Type`.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The id of the decision (ULID), for `X-Portcullis-Decision` and `portcullis why`.
    #[must_use]
    pub fn decision(&self) -> &str {
        &self.decision
    }

    /// What a rule in `warn` mode has to say, for `Warning: 299`.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// An answer without a decision, for the tests of the doors.
    #[cfg(test)]
    pub(crate) fn undecided_for_tests(bytes: &'static [u8], warning: Option<&str>) -> Self {
        Self {
            bytes: Bytes::from_static(bytes),
            digest: Digest::of(bytes),
            etag: format!("\"{}\"", Digest::of(bytes)).into(),
            media_type: crate::oci::MediaType::OciManifest.as_str().into(),
            decision: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            warning: warning.map(Into::into),
        }
    }
}

/// A blob that an admitted manifest of the repository references.
#[derive(Debug)]
pub struct ReadableBlob {
    /// What it hashes to.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where the bytes are.
    pub content: BlobContent,
}

/// Where a blob's bytes are.
#[derive(Debug)]
pub enum BlobContent {
    /// Still coming from the upstream.
    Filling(Follower),
    /// Whole, on disk.
    Stored(Blob),
}

/// A page of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// In lexical order.
    pub tags: Vec<String>,
    /// The value of `last` that asks for the next page, if there is one.
    pub next: Option<String>,
}

/// The referrers of a manifest: an image index, made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrersIndex {
    /// The document.
    pub bytes: Bytes,
    /// Whether `artifactType` was applied.
    pub filtered: bool,
}

/// What a pull can fail with.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// Policy refuses the manifest: 403.
    #[error("refused: {}", .0.verdict.message)]
    Denied(Box<Refusal>),
    /// Nobody can tell now: 503.
    #[error("undecided: {}", .0.verdict.message)]
    Undecided(Box<Refusal>),
    /// A blob that only refused manifests of the repository reference: 403.
    #[error("only manifests that policy refuses reference blob {digest}: {}", .refusal.verdict.message)]
    BlobRefused {
        /// The blob.
        digest: Digest,
        /// Of the last of these manifests.
        refusal: Box<Refusal>,
    },
    /// A blob that no manifest known in the repository references: 404.
    #[error("no manifest known here references blob {0}")]
    BlobUnreferenced(Digest),
    /// The upstream failed or said no.
    #[error("{error}")]
    Upstream {
        /// What was asked for.
        what: Box<Wanted>,
        /// What happened.
        #[source]
        error: UpstreamError,
        /// Which upstream.
        upstream: String,
    },
    /// The same failure as somebody else who waited for the same work.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The upstream sent other bytes than the digest names: 502.
    #[error("upstream `{upstream}` sent other bytes than {digest} names")]
    Integrity {
        /// Which upstream.
        upstream: String,
        /// What the bytes should have hashed to.
        digest: Digest,
    },
    /// The local disk failed or is full: 503.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decision could not be recorded, so nothing is served: 503.
    #[error("the decision could not be recorded: {0}")]
    Audit(String),
    /// A task of ours broke: 500. Says what it was doing.
    #[error("{0} failed inside the mirror")]
    Internal(&'static str),
}

impl PullError {
    /// `error` of the upstream that was asked for `what`.
    pub(super) fn upstream(what: Wanted, error: UpstreamError) -> Self {
        let upstream = what.image().upstream.to_string();
        match error {
            UpstreamError::Integrity { digest } => Self::Integrity { upstream, digest },
            error => Self::Upstream { what: Box::new(what), error, upstream },
        }
    }
}

/// What a request wanted, for the code of its error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A blob.
    Blob(ImageName, Digest),
    /// A manifest.
    Manifest(ImageName, Reference),
    /// The referrers of a manifest.
    Referrers(ImageName, Digest),
    /// The tags of a repository.
    Tags(ImageName),
}

impl Wanted {
    /// The repository it was wanted from.
    const fn image(&self) -> &ImageName {
        match self {
            Self::Blob(image, _)
            | Self::Manifest(image, _)
            | Self::Referrers(image, _)
            | Self::Tags(image) => image,
        }
    }
}

/// A decision that serves nothing.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The repository.
    pub image: ImageName,
    /// What the client asked for.
    pub reference: Reference,
    /// What was judged, once it is known.
    pub digest: Option<Digest>,
    /// The id of the decision (ULID).
    pub decision: Arc<str>,
    /// Why.
    pub verdict: Arc<Verdict>,
    /// When it is worth asking again, for `Retry-After`.
    pub retry_after: Duration,
}
