//! The store: content by digest, records by name, fills in between. It never speaks HTTP.
//!
//! ```text
//! blobs-v1/sha256/ab/<hex>                          content, named by its digest, never modified
//! refs-v1/<upstream>/<repository>/_tags/<tag>       what a tag last resolved to, and its history
//! refs-v1/<upstream>/<repository>/_manifests/<hex>  media type, parents, evidence, verdict
//! partial/                                          content on its way
//! damaged/                                          content that went bad, for a week
//! meta-v1/                                          the accelerator
//! lock                                              held while a mirror runs
//! ```
//! The disk is the truth, and files are never changed in place. Content becomes visible in one way
//! (`partial.rs`): written beside, hashed, forced to the disk, renamed. Records are written beside
//! and renamed (`records/`). So a process may be killed at any point, and the next one serves what
//! was whole. What would need a walk over the disk is answered by the accelerator (`meta/`), which
//! may be deleted at any time. Whoever changes `blobs-v1` or `refs-v1` by hand deletes `meta-v1`
//! too. All of it has to be one file system, since files are renamed from `partial/`.
//!
//! A hit costs one lookup in memory: no system call, no lock across IO, nothing written. All else
//! runs on threads that may block. Nothing outside this module knows a path.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    environment::{Clock, Environment},
    oci::{Digest, ImageName, Tag},
    telemetry::Metrics,
};

mod background;
mod blobs;
mod disk;
mod error;
mod evict;
mod files;
mod fill;
mod handles;
mod keyed;
mod layout;
mod meta;
mod partial;
mod records;
mod scrub;
#[cfg(test)]
mod tests;

use background::Background;
use blobs::Blobs;
use disk::Disk;
pub use error::{FillError, SourceError, SourceErrorKind, StoreError};
pub use files::{Faults, Files, Step};
pub use fill::{FillSource, FillStream, Follower};
use fill::{Fills, Order};
pub use handles::Blob;
use meta::{Index, MetaDb, OpenDb, SledDb};
use records::Records;
pub use records::{MAX_HISTORY, ManifestRecord, Referenced, ReferencedAs, TagMove, TagRecord};

/// What a store is made with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory. Made where it is missing.
    pub root: PathBuf,
    /// Bytes of content to keep, 0 for no limit.
    pub max_size: u64,
    /// How often all content is read again; zero for never.
    pub scrub_every: Duration,
    /// Fills at the same time from one origin.
    pub fills_per_origin: NonZeroUsize,
}

/// One data directory, open. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    blobs: Arc<Blobs>,
    records: Arc<Records>,
    fills: Arc<Fills>,
    background: Background,
    /// What was wrong with the data directory when it was last looked at.
    problem: Mutex<Option<StoreError>>,
    scrub_every: Duration,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens the data directory and locks it. Returns at once, however much is stored: what has to
    /// be read first is read in the background.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Unusable`] when it cannot
    /// be written to.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        options: Options,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        Self::open_on(Files::default(), options, environment, metrics)
    }

    /// [`open`](Self::open) on a disk that can be made to fail.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Panics
    /// As [`open`](Self::open).
    pub fn open_on(
        files: Files,
        options: Options,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let sled: OpenDb =
            Box::new(|folder| SledDb::open(folder).map(|db| Arc::new(db) as Arc<dyn MetaDb>));
        let disk = Arc::new(Disk::open(options.root.clone(), files)?);
        let index = Arc::new(Index::new(Arc::clone(&disk), sled));
        Self::assemble(disk, index, &options, environment, metrics)
    }

    fn assemble(
        disk: Arc<Disk>,
        index: Arc<Index>,
        options: &Options,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let clock = Arc::clone(&environment.clock);
        disk.sweep_partial(clock.now(), &|_| false)?;
        let background = Background::new();
        let blobs = Arc::new(Blobs::new(
            Arc::clone(&disk),
            Arc::clone(&index),
            Arc::clone(&clock),
            metrics,
            options.max_size,
        ));
        let inner = Arc::new(Inner {
            fills: Fills::new(Arc::clone(&blobs), options.fills_per_origin, background.stopped()),
            blobs,
            records: Arc::new(Records::new(disk, index)),
            background,
            problem: Mutex::default(),
            scrub_every: options.scrub_every,
            clock,
        });
        Background::start(&inner);
        Ok(Self { inner })
    }

    /// Why the data directory takes no files, if it did not when it was last looked at, which is
    /// every ten seconds.
    #[must_use]
    pub fn problem(&self) -> Option<StoreError> {
        keyed::lock(&self.inner.problem).clone()
    }

    /// The content of `digest`, `None` where it is not whole here. Counts as a use.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn open_blob(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        if let Some(hit) = self.inner.blobs.hit(digest) {
            return Ok(Some(hit));
        }
        let (blobs, digest) = (Arc::clone(&self.inner.blobs), *digest);
        blocking(move || blobs.open(&digest)).await
    }

    /// The bytes of small content such as a manifest, `None` where it is not whole here.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] for content of more than `limit` bytes; when the disk refuses.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn read(&self, digest: &Digest, limit: usize) -> Result<Option<Bytes>, StoreError> {
        let content = match self.inner.blobs.memory_hit(digest) {
            Some(hit) => Some(hit),
            None => {
                let (blobs, digest) = (Arc::clone(&self.inner.blobs), *digest);
                blocking(move || blobs.read(&digest, limit)).await?
            }
        };
        match content {
            Some(content) if content.len() > limit => {
                let size = content.len() as u64;
                Err(StoreError::TooLong { digest: *digest, size, limit })
            }
            content => Ok(content),
        }
    }

    /// Stores small content: a manifest, or what a verdict rests on. Eviction leaves it alone.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] when `content` does not hash to `digest`; when the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the content is stored whether the future is dropped or not.
    pub async fn publish(&self, digest: &Digest, content: Bytes) -> Result<(), StoreError> {
        let (blobs, digest) = (Arc::clone(&self.inner.blobs), *digest);
        blocking(move || blobs.publish(&digest, &content)).await
    }

    /// Follows the fill of `digest`: the one that runs, else a new one from `source`. `size` is the
    /// length that the content should have, in bytes, where it is known.
    ///
    /// # Errors
    /// [`StoreError::Integrity`] when the content is known to have another length;
    /// [`StoreError::Full`]; [`StoreError::Busy`] when too many fills of its origin wait;
    /// [`StoreError::Stopped`] when the store is closing; when the disk refuses. What goes wrong later is told to the followers.
    ///
    /// # Cancel safety
    /// Once polled, the fill goes on whether the future is dropped or not.
    pub async fn fill(
        &self,
        digest: &Digest,
        size: Option<u64>,
        source: Arc<dyn FillSource>,
    ) -> Result<Follower, StoreError> {
        self.inner.fills.follow(Order { digest: *digest, size, source }).await
    }

    /// Removes content that nothing refers to. Content that somebody reads at the moment stays.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the content is removed whether the future is dropped or not.
    pub async fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        let (blobs, digest) = (Arc::clone(&self.inner.blobs), *digest);
        blocking(move || blobs.evict(&digest).map(drop)).await
    }

    /// Reads the content again, for someone whose read of it failed or came up short. What does not
    /// hash to its digest is moved aside, so that the next request fills it again.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the content is read whether the future is dropped or not.
    pub async fn recheck(&self, digest: &Digest) -> Result<(), StoreError> {
        let (blobs, digest) = (Arc::clone(&self.inner.blobs), *digest);
        blocking(move || scrub::check(&blobs, &digest)).await
    }

    /// What is known about a tag.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn tag(
        &self,
        image: &ImageName,
        tag: &Tag,
    ) -> Result<Option<Arc<TagRecord>>, StoreError> {
        let key = (image.clone(), tag.clone());
        if let Some(hit) = self.inner.records.tag_hit(&key) {
            return Ok(Some(hit));
        }
        self.records(move |records| records.tag(&key)).await
    }

    /// Notes that the upstream said at `at` that `tag` means `digest`.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the note is made whether the future is dropped or not.
    pub async fn put_tag(
        &self,
        image: &ImageName,
        tag: &Tag,
        digest: &Digest,
        at: SystemTime,
    ) -> Result<Arc<TagRecord>, StoreError> {
        self.bring_tag(image, tag, TagMove { digest: *digest, since: at, from: None }).await
    }

    /// Notes what `tag` means from `brought.since` on, and which archive says so.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the note is made whether the future is dropped or not.
    pub async fn bring_tag(
        &self,
        image: &ImageName,
        tag: &Tag,
        brought: TagMove,
    ) -> Result<Arc<TagRecord>, StoreError> {
        let key = (image.clone(), tag.clone());
        self.records(move |records| records.put_tag(&key, brought)).await
    }

    /// The tags of a repository that are known here, in lexical order.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn tags(&self, image: &ImageName) -> Result<Vec<String>, StoreError> {
        let image = image.clone();
        self.records(move |records| records.tags(&image)).await
    }

    /// What is known about a manifest in a repository. A record that cannot be read is none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn manifest(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<Option<Arc<ManifestRecord>>, StoreError> {
        let key = (image.clone(), *digest);
        if let Some(hit) = self.inner.records.manifest_hit(&key) {
            return Ok(Some(hit));
        }
        self.records(move |records| records.manifest(&key)).await
    }

    /// Replaces what is known about a manifest, except that parents are only added to.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the record is written whether the future is dropped or not.
    pub async fn put_manifest(
        &self,
        image: &ImageName,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<(), StoreError> {
        let (key, record) = ((image.clone(), *digest), record.clone());
        self.records(move |records| records.put_manifest(&key, &record)).await
    }

    /// Notes that the image index `parent` lists `child`, which may not be known itself. Costs
    /// nothing where the record of `parent` says so already.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the note is made whether the future is dropped or not.
    pub async fn add_parent(
        &self,
        image: &ImageName,
        child: &Digest,
        parent: &Digest,
    ) -> Result<(), StoreError> {
        let (image, child, parent) = (image.clone(), *child, *parent);
        self.records(move |records| records.add_parent(&image, &child, &parent)).await
    }

    /// The image indexes of a repository that list `child`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn parents(
        &self,
        image: &ImageName,
        child: &Digest,
    ) -> Result<Arc<[Digest]>, StoreError> {
        let key = (image.clone(), *child);
        if let Some(hit) = self.inner.records.parents_hit(&key) {
            return Ok(hit);
        }
        self.records(move |records| records.parents(&key.0, &key.1)).await
    }

    /// The manifests of a repository that list `blob` as their content.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn referencing(
        &self,
        image: &ImageName,
        blob: &Digest,
    ) -> Result<Arc<[Digest]>, StoreError> {
        let key = (image.clone(), *blob);
        if let Some(hit) = self.inner.records.referencing_hit(&key) {
            return Ok(hit);
        }
        self.records(move |records| records.referencing(&key.0, &key.1)).await
    }

    /// The manifests of a repository that are known here and name `subject` as theirs.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
    ) -> Result<Arc<[Digest]>, StoreError> {
        let (image, subject) = (image.clone(), *subject);
        self.records(move |records| records.referrers(&image, &subject)).await
    }

    /// The repositories of which anything is known here, in lexical order.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn images(&self) -> Result<Vec<ImageName>, StoreError> {
        self.records(Records::images).await
    }

    /// The manifests of a repository that have a record, in no order.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn manifests(&self, image: &ImageName) -> Result<Vec<Digest>, StoreError> {
        let image = image.clone();
        self.records(move |records| records.manifests(&image)).await
    }

    /// Forgets what a tag means.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the record is removed whether the future is dropped or not.
    pub async fn remove_tag(&self, image: &ImageName, tag: &Tag) -> Result<(), StoreError> {
        let key = (image.clone(), tag.clone());
        self.records(move |records| records.remove_tag(&key)).await
    }

    /// Forgets a manifest of a repository. Its bytes stay: other repositories may need them.
    ///
    /// # Errors
    /// When the disk refuses.
    ///
    /// # Cancel safety
    /// Once polled, the record is removed whether the future is dropped or not.
    pub async fn remove_manifest(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let key = (image.clone(), *digest);
        self.records(move |records| records.remove_manifest(&key)).await
    }

    /// The manifests of a repository of which anything is known here.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn digests(&self, image: &ImageName) -> Result<Vec<Digest>, StoreError> {
        let image = image.clone();
        self.records(move |records| records.digests(&image)).await
    }

    /// Stops the fills, which keep what they have, and the background tasks, and closes the
    /// accelerator in order. Content and records can be read as long as a clone lives.
    pub async fn close(&self) {
        let inner = &self.inner;
        inner.background.stop();
        inner.blobs.index.stop();
        inner.fills.ended().await;
        inner.background.stopped_all().await;
        let blobs = Arc::clone(&inner.blobs);
        let closed = blocking(move || {
            blobs.note_uses();
            blobs.index.close();
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "store_not_closed");
        }
    }

    async fn records<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let records = Arc::clone(&self.inner.records);
        blocking(move || work(&records)).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.blobs.index.stop();
    }
}

/// Does `work` on a thread that may block. The work is done even if the future is dropped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Stopped),
        },
    }
}
