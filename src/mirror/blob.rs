//! A blob is pulled: through an admitted manifest of the same repository, or not at all.
//!
//! Blobs are kept once for all repositories, so that a digest alone must open nothing (G-45). The
//! manifest that made a blob readable is remembered, and judged again at every request: from memory
//! while its verdict holds. Manifests are never readable here, whoever lists them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::BoxFuture;

use super::{BlobContent, Context, Mirror, PullError, ReadableBlob, Room, Wanted, judge::Case};
use crate::{
    oci::{Digest, ImageName, Reference},
    store::{FillError, FillSource, FillStream, SourceError, SourceErrorKind, StoreError},
    trust::{self, Outcome, Policy},
    upstream::UpstreamError,
};

impl Mirror {
    /// The blob `digest`, if an admitted manifest of `image` references it.
    ///
    /// # Errors
    /// [`PullError`] says whether nothing references it, only refused manifests do, or it cannot be
    /// had.
    ///
    /// # Cancel safety
    /// A fill that was begun goes on and its content is kept.
    pub async fn blob(
        &self,
        context: &Context,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<ReadableBlob, PullError> {
        let policy = self.room.policy.load_full();
        if let Some(manifest) = self.room.known_door(image, digest, &policy) {
            return self.room.open_blob(image, digest, &manifest).await;
        }
        let reference = Reference::Digest(*digest);
        let case = Case::new(context.clone(), policy, image.clone(), reference, *digest);
        let manifest = self.room.open_door(&case).await?;
        self.room.open_blob(image, digest, &manifest).await
    }
}

impl Room {
    /// The manifest that made the blob readable under this policy, if its verdict in memory still
    /// admits.
    fn known_door(&self, image: &ImageName, digest: &Digest, policy: &Policy) -> Option<Digest> {
        let door = self.readable.get(&(image.clone(), *digest))?;
        if *door.policy != *policy.hash() {
            return None;
        }
        let decided = self.known(image, &door.manifest, policy)?;
        (decided.verdict.outcome == Outcome::Admitted).then_some(door.manifest)
    }

    /// Finds a way to the blob under this policy, and remembers it.
    async fn open_door(self: &Arc<Self>, case: &Case) -> Result<Digest, PullError> {
        let manifest = self.find_door(case).await?;
        self.refuse_denied(case).await?;
        let door = Door { manifest, policy: case.policy.hash().into() };
        self.readable.insert((case.image.clone(), case.digest), door);
        Ok(manifest)
    }

    /// Finds an admitted manifest that references the blob.
    async fn find_door(self: &Arc<Self>, case: &Case) -> Result<Digest, PullError> {
        let key = (case.image.clone(), case.digest);
        if let Some(Door { manifest, .. }) = self.readable.get(&key) {
            let decided = self.judge(&case.about(manifest)).await?;
            if decided.verdict.outcome == Outcome::Admitted {
                return Ok(manifest);
            }
            self.readable.invalidate(&key);
        }
        let referencing = self.store.referencing(&case.image, &case.digest).await?;
        if referencing.is_empty() || self.store.manifest(&case.image, &case.digest).await?.is_some()
        {
            return Err(PullError::BlobUnreferenced(case.digest));
        }
        let mut failure = None;
        let mut refused = None;
        for manifest in referencing.iter().copied() {
            let about = case.about(manifest);
            let judged = self.judge(&about).await;
            match judged.and_then(|decided| self.answer(&about, &decided)) {
                Ok(_) => return Ok(manifest),
                Err(PullError::Denied(refusal)) => refused = Some(refusal),
                Err(error) => failure = Some(error),
            }
        }
        let blob_refused = |refusal| PullError::BlobRefused { digest: case.digest, refusal };
        Err(failure
            .or_else(|| refused.map(blob_refused))
            .unwrap_or(PullError::BlobUnreferenced(case.digest)))
    }

    /// The deny list names content, and a layer is content as a manifest is. The refusal is recorded
    /// as one, and remembered as long, so that a client that insists writes one line.
    async fn refuse_denied(&self, case: &Case) -> Result<(), PullError> {
        let Some(verdict) = trust::deny_listed(&case.policy, &case.image, &case.digest) else {
            return Ok(());
        };
        let known = self.decided.get(&(case.image.clone(), case.digest));
        let decided = match known.filter(|known| self.holds(known, &case.policy)) {
            Some(known) => known,
            None => self.record_content(case, verdict).await?,
        };
        self.answer(case, &decided).map(drop)
    }

    /// The blob from the store, or else a fill of as many bytes as `manifest` lists for it: an
    /// upstream cannot send more than that.
    pub(super) async fn open_blob(
        self: &Arc<Self>,
        image: &ImageName,
        digest: &Digest,
        manifest: &Digest,
    ) -> Result<ReadableBlob, PullError> {
        let stored = self.store.open_blob(digest).await?;
        self.metrics.blob_lookup(stored.is_some());
        if let Some(blob) = stored {
            return Ok(ReadableBlob {
                digest: *digest,
                size: blob.size,
                content: BlobContent::Stored(blob),
            });
        }
        let failure = |error| PullError::upstream(Wanted::Blob(image.clone(), *digest), error);
        let origin = self.origin(&image.upstream).map_err(failure)?.blob(image, digest);
        let record = self.store.manifest(image, manifest).await?;
        let size = record.and_then(|record| record.size_of(digest));
        let source = Arc::new(Noting { origin, asked: AtomicBool::new(false) });
        // A fill is everybody's who wants these bytes, and somebody else's repository may not have
        // them while this one has: what its upstream says is not believed for this one.
        let opened = match self.fill(digest, size, &source).await {
            Err(error) if is_refusal(&error) && !source.asked.load(Ordering::Relaxed) => {
                self.fill(digest, size, &source).await
            }
            opened => opened,
        };
        opened.map_err(|error| self.fill_failure(image, digest, error))
    }

    async fn fill(
        &self,
        digest: &Digest,
        size: Option<u64>,
        source: &Arc<Noting>,
    ) -> Result<ReadableBlob, FillError> {
        let source: Arc<dyn FillSource> = source.clone();
        let mut follower = self.store.fill(digest, size, source).await.map_err(FillError::Store)?;
        let size = follower.size().await?;
        Ok(ReadableBlob { digest: *digest, size, content: BlobContent::Filling(follower) })
    }

    pub(super) fn fill_failure(
        &self,
        image: &ImageName,
        digest: &Digest,
        error: FillError,
    ) -> PullError {
        match error {
            FillError::Source(error) => {
                let error = error
                    .downcast_ref::<UpstreamError>()
                    .cloned()
                    .unwrap_or_else(|| UpstreamError::Invalid { reason: error.to_string() });
                PullError::upstream(Wanted::Blob(image.clone(), *digest), error)
            }
            FillError::Integrity { digest } => {
                PullError::Integrity { upstream: image.upstream.to_string(), digest }
            }
            FillError::DiskFull { path } => PullError::Store(StoreError::Full { path }),
            FillError::Stopped => PullError::Store(StoreError::Stopped),
            FillError::Store(error) => PullError::Store(error),
        }
    }
}

/// What made a blob readable.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// The admitted manifest that references it.
    manifest: Digest,
    /// The hash of the policy whose deny list does not name the blob.
    policy: Arc<str>,
}

/// A blob where it comes from, and whether it was asked for there.
#[derive(Debug)]
struct Noting {
    origin: Arc<dyn FillSource>,
    /// Whether a fill has taken its bytes from here.
    asked: AtomicBool,
}

impl FillSource for Noting {
    fn origin(&self) -> &str {
        self.origin.origin()
    }

    fn open(&self, from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        self.asked.store(true, Ordering::Relaxed);
        self.origin.open(from)
    }
}

/// Whether an upstream said that it does not have, or does not give, the blob.
fn is_refusal(error: &FillError) -> bool {
    let FillError::Source(error) = error else { return false };
    matches!(error.kind(), SourceErrorKind::NotFound | SourceErrorKind::Denied)
}
