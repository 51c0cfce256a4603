//! What is known about a manifest in one repository.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::Record;
use crate::oci::Digest;

/// What is known about a manifest in one repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// Its own media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it lists.
    pub references: Vec<Referenced>,
    /// Image indexes of the same repository that list it. Those that are already known here stay
    /// when a record is put without them.
    #[serde(skip)]
    pub parents: Vec<Digest>,
    /// Stored content that its verdict rests on.
    pub evidence: Vec<Digest>,
    /// What was decided; the store does not look inside.
    pub verdict: Option<serde_json::Value>,
}

impl ManifestRecord {
    /// The length in bytes that it lists for `digest`, if it lists it.
    #[must_use]
    pub fn size_of(&self, digest: &Digest) -> Option<u64> {
        self.references.iter().find(|listed| listed.digest == *digest).map(|listed| listed.size)
    }
}

/// Something that a manifest lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referenced {
    /// What it hashes to.
    pub digest: Digest,
    /// The length that the manifest gives it, in bytes.
    pub size: u64,
    /// What it is listed as.
    pub kind: ReferencedAs,
}

/// What something is listed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferencedAs {
    /// A configuration or a layer.
    Content,
    /// A child of an image index.
    Manifest,
    /// What the manifest is about: its `subject`. A hint, which nothing signs.
    Subject,
}

/// What a file in `_manifests` holds.
///
/// Parents may be known before the manifest itself is: an index lists children that nobody has
/// asked for yet. In memory the record has the parents too, ready to be handed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "ManifestFile", into = "ManifestFile")]
pub(in crate::store) struct KnownManifest {
    pub(in crate::store) parents: Vec<Digest>,
    pub(in crate::store) record: Option<Arc<ManifestRecord>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ManifestFile {
    parents: Vec<Digest>,
    manifest: Option<ManifestRecord>,
}

impl KnownManifest {
    /// `before`, with `record` as what is known, and no parent lost.
    pub(super) fn with_record(before: Option<&Self>, record: &ManifestRecord) -> Self {
        let mut parents = record.parents.clone();
        parents.extend(before.iter().flat_map(|before| &before.parents));
        Self::new(parents, Some(record.clone()))
    }

    /// `before`, with one more parent.
    pub(super) fn with_parent(before: Option<&Self>, parent: &Digest) -> Self {
        let mut parents = before.map_or_else(Vec::new, |before| before.parents.clone());
        parents.push(*parent);
        let record = before.and_then(|before| before.record.as_deref());
        Self::new(parents, record.cloned())
    }

    /// What the manifest lists, as far as it is known.
    pub(in crate::store) fn references(&self) -> impl Iterator<Item = &Referenced> {
        self.record.iter().flat_map(|record| &record.references)
    }

    fn new(mut parents: Vec<Digest>, record: Option<ManifestRecord>) -> Self {
        parents.sort_unstable();
        parents.dedup();
        let record =
            record.map(|record| Arc::new(ManifestRecord { parents: parents.clone(), ..record }));
        Self { parents, record }
    }
}

impl Record for KnownManifest {
    const VERSION: u32 = 1;
}

impl From<ManifestFile> for KnownManifest {
    fn from(file: ManifestFile) -> Self {
        Self::new(file.parents, file.manifest)
    }
}

impl From<KnownManifest> for ManifestFile {
    fn from(known: KnownManifest) -> Self {
        Self { parents: known.parents, manifest: known.record.map(Arc::unwrap_or_clone) }
    }
}
