//! Small files that say what tags and manifests meant. They are the truth; memory and the
//! accelerator only find them faster.
//!
//! What survives a power failure is chosen per record, because each forced write costs
//! milliseconds, and a lost record only means "ask again":
//!
//! | record | forced to the disk | because losing it means |
//! | --- | --- | --- |
//! | a manifest's, with its verdict | its content | verifying again, impossible while the upstream is down |
//! | a tag that moved | its content | forgetting when it moved |
//! | a tag that is new or did not move | no | asking the upstream once more |
//! | parents without a manifest | its content | refusing a child until its index is asked for again |
//!
//! So the first pull of a manifest costs three forced writes: its bytes, their folder, its record.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use moka::sync::Cache;

use super::{
    disk::Disk,
    error::StoreError,
    files::Durability,
    keyed::KeyedLocks,
    layout::{Layout, MANIFESTS, TAGS},
    meta::Index,
};
use crate::oci::{Digest, ImageName, Tag};

pub(super) mod codec;
mod manifest;
mod shelf;
mod tag;

pub(super) use manifest::KnownManifest;
pub use manifest::{ManifestRecord, Referenced, ReferencedAs};
use shelf::Shelf;
pub use tag::{MAX_HISTORY, TagMove, TagRecord};

/// The records of one store. Everything but [`hits`](Self::manifest_hit) blocks.
pub(super) struct Records {
    disk: Arc<Disk>,
    index: Arc<Index>,
    tags: Shelf<(ImageName, Tag), TagRecord>,
    manifests: Shelf<(ImageName, Digest), KnownManifest>,
    incoming: Cache<(ImageName, Digest), Incoming>,
    /// Counts changes, so that an answer which a change has overtaken is not kept.
    changes: AtomicU64,
    walks: KeyedLocks<ImageName>,
}

/// The manifests of a repository that reference something.
#[derive(Clone, Debug)]
struct Incoming {
    as_content: Arc<[Digest]>,
    as_manifest: Arc<[Digest]>,
    as_subject: Arc<[Digest]>,
}

impl fmt::Debug for Records {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Records").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl Records {
    pub(super) fn new(disk: Arc<Disk>, index: Arc<Index>) -> Self {
        let incoming = Cache::builder()
            .max_capacity(INCOMING_CAPACITY)
            .weigher(|_, incoming: &Incoming| incoming.weight())
            .build();
        Self {
            disk,
            index,
            tags: Shelf::new(TAG_CAPACITY),
            manifests: Shelf::new(MANIFEST_CAPACITY),
            incoming,
            changes: AtomicU64::new(0),
            walks: KeyedLocks::default(),
        }
    }

    pub(super) fn tag_hit(&self, key: &(ImageName, Tag)) -> Option<Arc<TagRecord>> {
        self.tags.hit(key)
    }

    pub(super) fn tag(&self, key: &(ImageName, Tag)) -> Result<Option<Arc<TagRecord>>, StoreError> {
        self.tags.load(key, &self.disk, &self.disk.layout.tag(&key.0, &key.1))
    }

    pub(super) fn put_tag(
        &self,
        key: &(ImageName, Tag),
        seen: TagMove,
    ) -> Result<Arc<TagRecord>, StoreError> {
        let path = self.disk.layout.tag(&key.0, &key.1);
        let put = self.tags.change(key, &self.disk, &path, |before| {
            let moved = before.is_some_and(|before| before.digest != seen.digest);
            let durability = if moved { Durability::Synced } else { Durability::Relaxed };
            Some((TagRecord::after(before, seen), durability))
        })?;
        Ok(put.expect("the change above always makes a record"))
    }

    /// The tags that have a record, in lexical order.
    pub(super) fn tags(&self, image: &ImageName) -> Result<Vec<String>, StoreError> {
        let entries = self.disk.entries(&self.disk.layout.tags(image))?;
        let mut tags: Vec<_> = entries
            .into_iter()
            .filter_map(|(name, _)| name.parse::<Tag>().is_ok().then_some(name))
            .collect();
        tags.sort_unstable();
        Ok(tags)
    }

    pub(super) fn manifest_hit(&self, key: &(ImageName, Digest)) -> Option<Arc<ManifestRecord>> {
        self.manifests.hit(key)?.record.clone()
    }

    pub(super) fn manifest(
        &self,
        key: &(ImageName, Digest),
    ) -> Result<Option<Arc<ManifestRecord>>, StoreError> {
        let path = self.disk.layout.manifest(&key.0, &key.1);
        let known = self.manifests.load(key, &self.disk, &path)?;
        Ok(known.and_then(|known| known.record.clone()))
    }

    pub(super) fn put_manifest(
        &self,
        key: &(ImageName, Digest),
        record: &ManifestRecord,
    ) -> Result<(), StoreError> {
        let (image, digest) = key;
        let path = self.disk.layout.manifest(image, digest);
        let put = self.manifests.change(key, &self.disk, &path, |before| {
            let after = KnownManifest::with_record(before, record);
            (before != Some(&after)).then_some((after, Durability::Synced))
        })?;
        // The disk first: a rebuild of the accelerator that has passed this folder by now would
        // miss a record that came after its index.
        if let Some(known) = put {
            index_manifest(&self.index, image, digest, &known);
            let referenced = record.references.iter().map(|referenced| referenced.digest);
            self.forget_incoming(image, referenced.chain([*digest]));
        }
        Ok(())
    }

    pub(super) fn add_parent(
        &self,
        image: &ImageName,
        child: &Digest,
        parent: &Digest,
    ) -> Result<(), StoreError> {
        if self.incoming(image, child)?.as_manifest.contains(parent) {
            return Ok(());
        }
        let key = (image.clone(), *child);
        let path = self.disk.layout.manifest(image, child);
        let put = self.manifests.change(&key, &self.disk, &path, |before| {
            Some((KnownManifest::with_parent(before, parent), Durability::Synced))
        })?;
        if let Some(known) = put {
            index_manifest(&self.index, image, child, &known);
            self.forget_incoming(image, std::iter::once(*child));
        }
        Ok(())
    }

    pub(super) fn parents_hit(&self, key: &(ImageName, Digest)) -> Option<Arc<[Digest]>> {
        self.incoming.get(key).map(|incoming| incoming.as_manifest)
    }

    pub(super) fn parents(
        &self,
        image: &ImageName,
        child: &Digest,
    ) -> Result<Arc<[Digest]>, StoreError> {
        Ok(self.incoming(image, child)?.as_manifest)
    }

    pub(super) fn referencing_hit(&self, key: &(ImageName, Digest)) -> Option<Arc<[Digest]>> {
        self.incoming.get(key).map(|incoming| incoming.as_content)
    }

    pub(super) fn referencing(
        &self,
        image: &ImageName,
        blob: &Digest,
    ) -> Result<Arc<[Digest]>, StoreError> {
        Ok(self.incoming(image, blob)?.as_content)
    }

    pub(super) fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
    ) -> Result<Arc<[Digest]>, StoreError> {
        Ok(self.incoming(image, subject)?.as_subject)
    }

    /// The repositories that have a record. They lie in each other: `a` beside `a/b`.
    pub(super) fn images(&self) -> Result<Vec<ImageName>, StoreError> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.disk.layout.refs()];
        while let Some(folder) = folders.pop() {
            for (name, path) in self.disk.entries(&folder)? {
                match name.as_str() {
                    MANIFESTS | TAGS => found.extend(self.disk.layout.image_of(&path)),
                    _ if path.is_dir() => folders.push(path),
                    _ => {}
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    fn incoming(&self, image: &ImageName, digest: &Digest) -> Result<Incoming, StoreError> {
        let key = (image.clone(), *digest);
        let changes = self.changes.load(Ordering::SeqCst);
        let found = match self.index.references_to(image, digest) {
            Some(found) => Incoming::new(found.into_iter()),
            None => return self.walk_once(&key),
        };
        self.keep_incoming(&key, &found, changes);
        Ok(found)
    }

    /// Reads all records of the repository. Requests that need the same walk wait for each other,
    /// since the second then mostly finds its answer in memory.
    fn walk_once(&self, key: &(ImageName, Digest)) -> Result<Incoming, StoreError> {
        self.walks.with(&key.0, || {
            if let Some(hit) = self.incoming.get(key) {
                return Ok(hit);
            }
            let changes = self.changes.load(Ordering::SeqCst);
            let found = Incoming::new(self.walk(&key.0, &key.1)?.into_iter());
            self.keep_incoming(key, &found, changes);
            Ok(found)
        })
    }

    fn walk(
        &self,
        image: &ImageName,
        wanted: &Digest,
    ) -> Result<Vec<(Digest, ReferencedAs)>, StoreError> {
        let mut found = Vec::new();
        for (name, path) in self.disk.entries(&self.disk.layout.manifests(image))? {
            let Some(manifest) = Layout::manifest_digest(&name) else { continue };
            let Some(known) = read_manifest(&self.disk, &path)? else { continue };
            found.extend(
                known
                    .references()
                    .filter(|referenced| referenced.digest == *wanted)
                    .map(|referenced| (manifest, referenced.kind)),
            );
            if manifest == *wanted {
                found.extend(known.parents.iter().map(|parent| (*parent, ReferencedAs::Manifest)));
            }
        }
        Ok(found)
    }

    fn keep_incoming(&self, key: &(ImageName, Digest), found: &Incoming, changes: u64) {
        let overtaken = || self.changes.load(Ordering::SeqCst) != changes;
        if !overtaken() {
            self.incoming.insert(key.clone(), found.clone());
            // A change that came between counted first and forgot then, perhaps before the insert.
            if overtaken() {
                self.incoming.invalidate(key);
            }
        }
    }

    fn forget_incoming(&self, image: &ImageName, digests: impl Iterator<Item = Digest>) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        for digest in digests {
            self.incoming.invalidate(&(image.clone(), digest));
        }
    }
}

impl Incoming {
    fn new(found: impl Iterator<Item = (Digest, ReferencedAs)>) -> Self {
        let (mut as_content, mut as_manifest, mut as_subject) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (manifest, kind) in found {
            match kind {
                ReferencedAs::Content => as_content.insert(manifest),
                ReferencedAs::Manifest => as_manifest.insert(manifest),
                ReferencedAs::Subject => as_subject.insert(manifest),
            };
        }
        Self {
            as_content: as_content.into_iter().collect(),
            as_manifest: as_manifest.into_iter().collect(),
            as_subject: as_subject.into_iter().collect(),
        }
    }

    fn weight(&self) -> u32 {
        let digests = self.as_content.len() + self.as_manifest.len() + self.as_subject.len();
        u32::try_from((digests + 4) * size_of::<Digest>()).unwrap_or(u32::MAX)
    }
}

/// The record of a manifest in a file; `None` where there is none that can be read.
pub(super) fn read_manifest(disk: &Disk, path: &Path) -> Result<Option<KnownManifest>, StoreError> {
    Ok(shelf::read::<KnownManifest>(disk, path)?.map(|(known, _)| known))
}

/// Tells the accelerator what a record of `image` says.
pub(super) fn index_manifest(
    index: &Index,
    image: &ImageName,
    digest: &Digest,
    known: &KnownManifest,
) {
    index.put_references(image, digest, known.references());
    for parent in &known.parents {
        let child = Referenced { digest: *digest, size: 0, kind: ReferencedAs::Manifest };
        index.put_references(image, parent, std::iter::once(&child));
    }
    let evidence = known.record.iter().flat_map(|record| &record.evidence);
    for small in evidence.chain([digest]) {
        index.change_blob(small, |blob| Some(super::meta::BlobEntry { kept: true, ..blob? }));
    }
}

/// Bytes of tag records, as they are on disk, that stay in memory.
const TAG_CAPACITY: u64 = 4 << 20;
/// Bytes of manifest records, as they are on disk, that stay in memory.
const MANIFEST_CAPACITY: u64 = 16 << 20;
/// Bytes of answers to "which manifests reference this" that stay in memory.
const INCOMING_CAPACITY: u64 = 8 << 20;
