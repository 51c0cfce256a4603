//! Where the mirror gets what it does not have: a registry, an archive, or nowhere at all.
//!
//! All three answer the same questions, so there is one way from bytes to a verdict. An import is a
//! pull whose upstream is the archive; a mirror that is offline has itself for an upstream. In both
//! of these what is not there is known not to be there: absence is an answer, and a denial that
//! rests on it stands.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};

use crate::{
    oci::{
        Descriptor, Digest, ImageName, Manifest, Reference, Shape, Tag, manifest::MAX_MANIFEST_SIZE,
    },
    store::{FillSource, FillStream, SourceError, SourceErrorKind, Store},
    upstream::{FetchedManifest, ReferrersAnswer, TagList, Upstream, UpstreamError},
};

/// Content that somebody brought on a medium.
pub trait Collection: Send + Sync + fmt::Debug {
    /// What `tag` means in it.
    fn tag(&self, image: &ImageName, tag: &Tag) -> Option<Digest>;

    /// The tags that it has of `image`.
    fn tags(&self, image: &ImageName) -> Vec<String>;

    /// The manifests in it that name `subject` as theirs.
    fn referrers(&self, subject: &Digest) -> Vec<Descriptor>;

    /// A small content of at most `limit` bytes; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read or is longer.
    fn read(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, UpstreamError>>;

    /// Where a content can be read from; `None` when it is not there.
    fn blob(&self, digest: &Digest) -> Option<Arc<dyn FillSource>>;
}

/// Where what belongs to one upstream comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An archive, and the store for what a delta leaves out.
    Archive(Arc<dyn Collection>, Store),
    /// Nowhere: what was imported is all there is.
    Offline(Store),
    /// The upstream itself.
    Registry(Upstream),
}

/// What refers to a manifest.
pub(super) enum Referrers {
    /// The complete list.
    All(Vec<Descriptor>),
    /// The ones without the tag schema, which may list more.
    BesideTag(Vec<Descriptor>),
}

impl Origin {
    /// The digest that `tag` means there.
    ///
    /// # Errors
    /// When it does not have the tag, or cannot be asked.
    pub(super) async fn resolve(
        &self,
        image: &ImageName,
        tag: &Tag,
    ) -> Result<Digest, UpstreamError> {
        match self {
            Self::Archive(archive, _) => archive.tag(image, tag).ok_or(UpstreamError::NotFound),
            Self::Offline(store) => {
                let record = store.tag(image, tag).await.map_err(unreadable)?;
                Ok(record.ok_or(UpstreamError::Offline)?.digest)
            }
            Self::Registry(upstream) => Ok(upstream.resolve(&image.repository, tag).await?.digest),
        }
    }

    /// The manifest that `reference` names there.
    ///
    /// # Errors
    /// When it does not have it, or cannot be asked.
    pub(super) async fn fetch_manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<FetchedManifest, UpstreamError> {
        let (bytes, digest) = match (self, reference) {
            (Self::Registry(upstream), _) => {
                return upstream.fetch_manifest(&image.repository, reference).await;
            }
            // That other repositories have it says nothing about this one (G-45).
            (Self::Offline(_), Reference::Digest(_)) => return Err(UpstreamError::Offline),
            (Self::Offline(store), Reference::Tag(tag)) => {
                let digest = self.resolve(image, tag).await?;
                (stored(store, &digest).await?.ok_or(UpstreamError::Offline)?, digest)
            }
            (Self::Archive(archive, store), _) => {
                let digest = match reference {
                    Reference::Digest(digest) => *digest,
                    Reference::Tag(tag) => self.resolve(image, tag).await?,
                };
                let carried = archive.read(&digest, MAX_MANIFEST_SIZE).await?;
                let bytes = match carried {
                    Some(bytes) => bytes,
                    None => stored(store, &digest).await?.ok_or(UpstreamError::NotFound)?,
                };
                (bytes, digest)
            }
        };
        match digest.matches(&bytes) {
            true => Ok(FetchedManifest { bytes, digest, content_type: None }),
            false => Err(UpstreamError::Integrity { digest }),
        }
    }

    /// A small blob of at most `limit` bytes, compared with its digest.
    ///
    /// # Errors
    /// When it does not have it, it is longer, or it cannot be asked.
    pub(super) async fn fetch_blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, UpstreamError> {
        match self {
            Self::Archive(archive, _) => {
                let bytes = archive.read(digest, limit).await?.ok_or(UpstreamError::NotFound)?;
                match digest.matches(&bytes) {
                    true => Ok(bytes),
                    false => Err(UpstreamError::Integrity { digest: *digest }),
                }
            }
            Self::Offline(_) => Err(UpstreamError::Offline),
            Self::Registry(upstream) => upstream.fetch_blob(&image.repository, digest, limit).await,
        }
    }

    /// Where a blob can be read from.
    pub(super) fn blob(&self, image: &ImageName, digest: &Digest) -> Arc<dyn FillSource> {
        match self {
            Self::Archive(archive, _) => {
                archive.blob(digest).unwrap_or_else(|| Arc::new(Missing(UpstreamError::NotFound)))
            }
            Self::Offline(_) => Arc::new(Missing(UpstreamError::Offline)),
            Self::Registry(upstream) => Arc::new(UpstreamBlob {
                upstream: upstream.clone(),
                image: image.clone(),
                digest: *digest,
            }),
        }
    }

    /// What refers to `subject`.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, UpstreamError> {
        match self {
            Self::Archive(archive, _) => Ok(Referrers::BesideTag(archive.referrers(subject))),
            Self::Offline(store) => {
                let known = store.referrers(image, subject).await.map_err(unreadable)?;
                let mut listed = Vec::new();
                for digest in known.iter() {
                    let bytes = stored(store, digest).await?;
                    listed.extend(bytes.and_then(|bytes| descriptor_of(digest, &bytes)));
                }
                Ok(Referrers::BesideTag(listed))
            }
            Self::Registry(upstream) => {
                match upstream.referrers(&image.repository, subject, artifact_type).await? {
                    ReferrersAnswer::Listed { descriptors, .. } => Ok(Referrers::All(descriptors)),
                    ReferrersAnswer::Absent => Ok(Referrers::BesideTag(Vec::new())),
                }
            }
        }
    }

    /// A page of its tags.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(super) async fn list_tags(
        &self,
        image: &ImageName,
        count: Option<u32>,
        last: Option<&str>,
    ) -> Result<TagList, UpstreamError> {
        let tags = match self {
            Self::Archive(archive, _) => archive.tags(image),
            Self::Offline(store) => store.tags(image).await.map_err(unreadable)?,
            Self::Registry(upstream) => {
                return upstream.list_tags(&image.repository, count, last).await;
            }
        };
        match (self, tags.is_empty()) {
            (Self::Offline(_), true) => Err(UpstreamError::Offline),
            (_, true) => Err(UpstreamError::NotFound),
            (_, false) => Ok(TagList { tags, more: false }),
        }
    }

    /// Whether a "no" from it holds for everybody: an archive speaks for itself only.
    pub(super) const fn speaks_for_all(&self) -> bool {
        !matches!(self, Self::Archive(..))
    }
}

/// A list entry for a manifest that refers to another one (OCI distribution 1.1, "Listing
/// referrers"); `None` for what is no manifest.
#[must_use]
pub fn descriptor_of(digest: &Digest, bytes: &[u8]) -> Option<Descriptor> {
    let manifest = Manifest::parse(bytes, None).ok()?;
    let config = match &manifest.shape {
        Shape::Image { config, .. } => Some(config.media_type.clone()),
        Shape::Index { .. } => None,
    };
    Some(Descriptor {
        media_type: manifest.media_type.as_str().to_owned(),
        digest: *digest,
        size: bytes.len() as u64,
        artifact_type: manifest.artifact_type.or(config),
        annotations: manifest.annotations,
        platform: None,
    })
}

async fn stored(store: &Store, digest: &Digest) -> Result<Option<Bytes>, UpstreamError> {
    store.read(digest, MAX_MANIFEST_SIZE).await.map_err(unreadable)
}

/// The disk under the mirror fails: as good as an upstream that cannot be asked.
fn unreadable(error: crate::store::StoreError) -> UpstreamError {
    UpstreamError::Invalid { reason: error.to_string() }
}

/// A blob that is not there.
#[derive(Debug)]
struct Missing(UpstreamError);

impl FillSource for Missing {
    fn origin(&self) -> &str {
        "none"
    }

    fn open(&self, _from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        std::future::ready(Err(source_error(self.0.clone()))).boxed()
    }
}

/// A blob at an upstream, as the store's fills see it.
#[derive(Debug)]
struct UpstreamBlob {
    upstream: Upstream,
    image: ImageName,
    digest: Digest,
}

impl FillSource for UpstreamBlob {
    fn origin(&self) -> &str {
        self.upstream.name().as_str()
    }

    fn open(&self, from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        let (upstream, image, digest) = (self.upstream.clone(), self.image.clone(), self.digest);
        async move {
            let stream =
                upstream.open_blob(&image.repository, &digest, from).await.map_err(source_error)?;
            let (from, size) = (stream.from, stream.size);
            let body = stream.body.map(|piece| piece.map_err(source_error)).boxed();
            Ok(FillStream { from, size, body })
        }
        .boxed()
    }
}

/// `error`, as the store's fills hear it.
#[must_use]
pub fn source_error(error: UpstreamError) -> SourceError {
    let kind = match &error {
        UpstreamError::Denied { .. } => SourceErrorKind::Denied,
        UpstreamError::Integrity { .. } => SourceErrorKind::Integrity,
        UpstreamError::NotFound | UpstreamError::Offline => SourceErrorKind::NotFound,
        UpstreamError::RateLimited { retry_after } => {
            SourceErrorKind::RateLimited { retry_after: *retry_after }
        }
        UpstreamError::Invalid { .. }
        | UpstreamError::Limit { .. }
        | UpstreamError::Unreachable { .. } => SourceErrorKind::Unavailable,
    };
    SourceError::new(kind, error)
}
