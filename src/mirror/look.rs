//! The eyes of `trust`: evidence from the upstream, and from the store when the upstream is away.
//!
//! A signature proves itself, so one that was seen before is as good when it comes from the store;
//! absence proves nothing then. [`Look::sight`] tells whether anything had to be taken from memory:
//! a denial that rests on such a look becomes "undecided".
//!
//! What is seen is kept for such a day, but judging does not wait for the disk: [`Look::kept`] does,
//! while the decision is being recorded.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::{Room, origin::Referrers};
use crate::{
    oci::{
        Descriptor, Digest, ImageName, Manifest, Reference, Shape, Tag, manifest::MAX_MANIFEST_SIZE,
    },
    trust::{EvidenceSource, LookFailure},
    upstream::{FetchedManifest, UpstreamError},
};

/// One look for evidence, at everything that one judgement needs.
#[derive(Clone, Debug)]
pub(super) struct Look {
    room: Arc<Room>,
    stale: Arc<Mutex<Option<String>>>,
    keeping: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// How good a look was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything was asked where it is.
    Clear,
    /// Something could not be asked, and what was known before was used. Says why.
    Stale(String),
}

impl Look {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), stale: Arc::default(), keeping: Arc::default() }
    }

    pub(super) fn sight(&self) -> Sight {
        let stale = self.stale.lock().expect("nothing panics while it holds this lock");
        stale.clone().map_or(Sight::Clear, Sight::Stale)
    }

    fn note(&self, failure: &UpstreamError) {
        let mut stale = self.stale.lock().expect("nothing panics while it holds this lock");
        stale.get_or_insert_with(|| failure.to_string());
    }

    /// The manifest that a tag of evidence meant when it was last seen.
    async fn remembered(&self, image: &ImageName, tag: &Tag) -> Option<Bytes> {
        let record = self.room.store.tag(image, tag).await.ok().flatten()?;
        self.room.store.read(&record.digest, MAX_MANIFEST_SIZE).await.ok().flatten()
    }

    /// Waits until everything that was seen is kept, as far as it can be.
    ///
    /// # Cancel safety
    /// What is not waited for is kept all the same.
    pub(super) async fn kept(&self) {
        let keeping = std::mem::take(
            &mut *self.keeping.lock().expect("nothing panics while it holds this lock"),
        );
        // Evidence that is not kept is looked for again: a full disk does not change a verdict.
        futures_util::future::join_all(keeping).await;
    }

    /// Keeps evidence in a task of its own.
    fn keep(&self, image: &ImageName, reference: &Reference, digest: &Digest, bytes: &Bytes) {
        let (room, bytes) = (Arc::clone(&self.room), bytes.clone());
        let (image, reference, digest) = (image.clone(), reference.clone(), *digest);
        let keeping = tokio::spawn(async move {
            let kept = async {
                room.store.publish(&digest, bytes).await?;
                if let Reference::Tag(tag) = &reference {
                    let now = room.environment.clock.now();
                    room.store.put_tag(&image, tag, &digest, now).await?;
                }
                Ok::<_, crate::store::StoreError>(())
            };
            if let Err(error) = kept.await {
                tracing::warn!(%image, %digest, %error, "evidence not kept");
            }
        });
        self.keeping.lock().expect("nothing panics while it holds this lock").push(keeping);
    }

    /// Writes down what a referrer refers to, in a task of its own, so that it is found when nobody can
    /// be asked.
    fn note_subject(&self, image: &ImageName, fetched: &FetchedManifest) {
        let manifest = Manifest::parse(&fetched.bytes, None);
        if !manifest.is_ok_and(|manifest| manifest.subject.is_some()) {
            return;
        }
        let (room, image, fetched) = (Arc::clone(&self.room), image.clone(), fetched.clone());
        let keeping = tokio::spawn(async move {
            let adopted = room.adopt(&image, &fetched.digest, fetched.bytes.clone(), None).await;
            if let Err(error) = adopted {
                tracing::warn!(%image, digest = %fetched.digest, %error, "evidence not noted");
            }
        });
        self.keeping.lock().expect("nothing panics while it holds this lock").push(keeping);
    }

    /// What refers to `subject`: from the referrers API, or from the fallback tag where there is no
    /// such API (OCI distribution 1.1, "Referrers tag schema").
    ///
    /// # Errors
    /// When the upstream cannot be asked.
    pub(super) async fn referrers_of(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, UpstreamError> {
        let origin = self.room.origin(&image.upstream)?;
        match origin.referrers(image, subject, artifact_type).await? {
            Referrers::All(listed) => Ok(listed),
            Referrers::BesideTag(mut listed) => {
                listed.extend(self.fallback(image, subject).await?);
                listed.sort_by_key(|descriptor| descriptor.digest);
                listed.dedup_by_key(|descriptor| descriptor.digest);
                Ok(listed)
            }
        }
    }

    async fn fallback(
        &self,
        image: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, UpstreamError> {
        let tag = Reference::Tag(Tag::referrers(subject));
        let Some(bytes) = self.manifest_of(image, &tag).await? else { return Ok(Vec::new()) };
        match Manifest::parse(&bytes, None).map(|manifest| manifest.shape) {
            Ok(Shape::Index { manifests }) => Ok(manifests),
            // Whoever may push tags may put anything there: it lists nothing.
            Ok(Shape::Image { .. }) | Err(_) => Ok(Vec::new()),
        }
    }

    pub(super) async fn manifest_of(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, UpstreamError> {
        let origin = self.room.origin(&image.upstream)?;
        if let Reference::Digest(digest) = reference
            && let Ok(Some(bytes)) = self.room.store.read(digest, MAX_MANIFEST_SIZE).await
        {
            return Ok(Some(bytes));
        }
        match origin.fetch_manifest(image, reference).await {
            Ok(fetched) => {
                self.keep(image, reference, &fetched.digest, &fetched.bytes);
                self.note_subject(image, &fetched);
                Ok(Some(fetched.bytes))
            }
            Err(UpstreamError::NotFound | UpstreamError::Offline) => Ok(None),
            Err(error) => {
                if let Reference::Tag(tag) = reference
                    && let Some(bytes) = self.remembered(image, tag).await
                {
                    self.note(&error);
                    return Ok(Some(bytes));
                }
                Err(error)
            }
        }
    }

    /// A small blob, such as the payload of a signature; `None` when it is not there.
    ///
    /// # Errors
    /// When the upstream cannot be asked, or the blob is larger than `limit` bytes.
    pub(super) async fn blob_of(
        &self,
        image: &ImageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, UpstreamError> {
        if let Ok(Some(bytes)) = self.room.store.read(digest, limit).await {
            return Ok(Some(bytes));
        }
        let origin = self.room.origin(&image.upstream)?;
        match origin.fetch_blob(image, digest, limit).await {
            Ok(bytes) => {
                self.keep(image, &Reference::Digest(*digest), digest, &bytes);
                Ok(Some(bytes))
            }
            Err(UpstreamError::NotFound | UpstreamError::Offline) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl EvidenceSource for Look {
    async fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        self.manifest_of(image, reference).await.map_err(failure)
    }

    async fn blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, LookFailure> {
        self.blob_of(image, digest, limit).await.map_err(failure)
    }

    async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, LookFailure> {
        self.referrers_of(image, subject, artifact_type).await.map_err(failure)
    }
}

fn failure(error: UpstreamError) -> LookFailure {
    LookFailure::new(error.to_string(), matches!(error, UpstreamError::Limit { .. }))
}
