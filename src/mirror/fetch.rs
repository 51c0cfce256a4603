//! From a digest to a manifest's exact bytes.
//!
//! The bytes are fetched once, hashed and kept; what is judged is what is served (G-6). Content that
//! another repository already brought here is not enough: the upstream must say that this
//! repository has it too, so the first pull in each repository asks (G-45).

use std::sync::Arc;

use bytes::Bytes;

use super::{PullError, Room, Wanted};
use crate::{
    oci::{
        Descriptor, Digest, ImageName, Manifest, ManifestError, Reference,
        manifest::{MAX_MANIFEST_SIZE, Shape},
    },
    store::{ManifestRecord, Referenced, ReferencedAs},
};

/// A manifest's bytes and what they mean.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    /// The view, or why there is none: what cannot be read in one way only is not served.
    pub(super) manifest: Result<Arc<Manifest>, ManifestError>,
    /// The record on disk; `None` for what cannot be served.
    pub(super) record: Option<Arc<ManifestRecord>>,
}

impl Room {
    /// The manifest `digest` of `image`, from the store or else from the upstream.
    ///
    /// # Errors
    /// When it is nowhere, or nobody can be asked.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<Fetched, Arc<PullError>> {
        match self.kept(image, digest).await.map_err(Arc::new)? {
            Some(known) => Ok(known),
            None => self.fetch_anew(image, digest).await,
        }
    }

    /// The manifest from the upstream, asked once for all who wait.
    ///
    /// # Errors
    /// When it is not there, or the upstream cannot be asked.
    ///
    /// # Cancel safety
    /// The fetch goes on and its bytes are kept.
    pub(super) async fn fetch_anew(
        self: &Arc<Self>,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<Fetched, Arc<PullError>> {
        let room = Arc::clone(self);
        let (asked, wanted) = (image.clone(), *digest);
        let work =
            move || async move { room.fetch_upstream(&asked, &wanted).await.map_err(Arc::new) };
        let answer = self.fetching.run((image.clone(), *digest), work).await;
        answer.unwrap_or_else(|| Err(Arc::new(PullError::Internal("fetching a manifest"))))
    }

    /// The manifest as this repository's record and the store have it.
    pub(super) async fn kept(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<Option<Fetched>, PullError> {
        let Some(record) = self.store.manifest(image, digest).await? else { return Ok(None) };
        let Some(bytes) = self.store.read(digest, MAX_MANIFEST_SIZE).await? else {
            return Ok(None);
        };
        match Manifest::parse(&bytes, Some(&record.media_type)) {
            Ok(manifest) => {
                Ok(Some(Fetched { bytes, manifest: Ok(Arc::new(manifest)), record: Some(record) }))
            }
            Err(error) => {
                tracing::warn!(%image, %digest, %error, "the record does not fit its manifest; fetching again");
                Ok(None)
            }
        }
    }

    async fn fetch_upstream(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<Fetched, PullError> {
        let wanted = Reference::Digest(*digest);
        let answer = match self.origin(&image.upstream) {
            Ok(origin) => origin.fetch_manifest(image, &wanted).await,
            Err(error) => Err(error),
        };
        // Whose bytes are those of the digest: the upstream's side compares them.
        let fetched = answer.map_err(|error| {
            PullError::upstream(Wanted::Manifest(image.clone(), wanted.clone()), error)
        })?;
        self.adopt(image, digest, fetched.bytes, fetched.content_type.as_deref()).await
    }

    /// Takes in the manifest `bytes`, which are those of `digest` and of this repository: who calls
    /// this had them from its origin.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) async fn adopt(
        &self,
        image: &ImageName,
        digest: &Digest,
        bytes: Bytes,
        content_type: Option<&str>,
    ) -> Result<Fetched, PullError> {
        let manifest = Manifest::parse(&bytes, content_type).map(Arc::new);
        let record = match &manifest {
            Ok(manifest) => Some(Arc::new(self.keep(image, digest, &bytes, manifest).await?)),
            Err(_) => None,
        };
        Ok(Fetched { bytes, manifest, record })
    }

    /// Publishes the bytes, then the record: a record never points to what is not there. The record
    /// of an index makes it the parent of what it lists.
    async fn keep(
        &self,
        image: &ImageName,
        digest: &Digest,
        bytes: &Bytes,
        manifest: &Manifest,
    ) -> Result<ManifestRecord, PullError> {
        self.store.publish(digest, bytes.clone()).await?;
        let known = self.store.manifest(image, digest).await?;
        let kind = match manifest.shape {
            Shape::Image { .. } => ReferencedAs::Content,
            Shape::Index { .. } => ReferencedAs::Manifest,
        };
        let referenced = |descriptor: &Descriptor, kind| Referenced {
            digest: descriptor.digest,
            size: descriptor.size,
            kind,
        };
        let listed = manifest.references().map(|descriptor| referenced(descriptor, kind));
        let subject = manifest.subject.iter();
        let about = subject.map(|descriptor| referenced(descriptor, ReferencedAs::Subject));
        let references = listed.chain(about).collect();
        let record = ManifestRecord {
            media_type: manifest.media_type.as_str().to_owned(),
            size: bytes.len() as u64,
            references,
            ..known.map(Arc::unwrap_or_clone).unwrap_or_default()
        };
        self.store.put_manifest(image, digest, &record).await?;
        // A manifest is no blob, also when somebody lists it as one and it was read as one before.
        self.readable.invalidate(&(image.clone(), *digest));
        Ok(record)
    }
}
