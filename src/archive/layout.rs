//! An archive that was opened: which images it says it has, and everything by its digest.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;

use super::{
    ArchiveError, EntryName, Inventory,
    inventory::is_signed,
    name::name_of,
    open::{Found, Small},
    shelf::{self, Shelf, ShelfBlob},
};
use crate::{
    mirror::{Collection, UpstreamError, descriptor_of},
    oci::{
        Descriptor, Digest, ImageName, Manifest, MediaType, Reference, Shape, Tag, UpstreamTable,
        manifest::MAX_MANIFEST_SIZE,
    },
    store::FillSource,
    trust::keys::PublicKey,
};

/// How an archive is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Whose key must have signed the inventory; nobody's, where there is none.
    pub key: Option<&'a PublicKey>,
    /// The repository of images whose names are only tags, as skopeo and oras write them.
    pub home: Option<&'a ImageName>,
    /// Which upstreams there are.
    pub table: &'a UpstreamTable,
}

/// An archive. Trusted for nothing: all content is hashed when it is read.
#[derive(Debug)]
pub struct Archive {
    name: String,
    images: Vec<(ImageName, Reference)>,
    tags: HashMap<(ImageName, Tag), Digest>,
    referrers: HashMap<Digest, Vec<Descriptor>>,
    nameless: Vec<Digest>,
    inventory: Option<Inventory>,
    shelf: Arc<dyn Shelf>,
}

impl Archive {
    /// Reads what was found.
    pub(super) async fn read(
        name: String,
        found: Found,
        reading: Reading<'_>,
    ) -> Result<Self, ArchiveError> {
        let Found { small, shelf } = found;
        let index = read_small(&small, reading.key)?;
        let inventory = small.file(&EntryName::Inventory).map(|bytes| Inventory::parse(bytes));
        let mut archive = Self {
            name,
            images: Vec::new(),
            tags: HashMap::new(),
            referrers: HashMap::new(),
            nameless: Vec::new(),
            inventory: inventory.transpose()?,
            shelf,
        };
        archive.check_content()?;
        let mut seen = HashSet::new();
        for descriptor in index {
            archive.note(&descriptor, reading, &mut seen).await?;
        }
        Ok(archive)
    }

    /// What it is called, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The images in it, in the order of its index.
    #[must_use]
    pub fn images(&self) -> &[(ImageName, Reference)] {
        &self.images
    }

    /// Manifests of which nothing says what they are called.
    #[must_use]
    pub fn nameless(&self) -> &[Digest] {
        &self.nameless
    }

    /// What it says about itself, if it was made by `portcullis export`.
    #[must_use]
    pub const fn inventory(&self) -> Option<&Inventory> {
        self.inventory.as_ref()
    }

    /// Which file `digest` is in, in words.
    #[must_use]
    pub fn place(&self, digest: &Digest) -> String {
        self.shelf.place(digest)
    }

    /// Everything that the inventory lists must be there.
    fn check_content(&self) -> Result<(), ArchiveError> {
        let listed = self.inventory.iter().flat_map(|inventory| &inventory.content);
        for digest in listed {
            if self.shelf.size(digest).is_none() {
                return Err(ArchiveError::Lacks { digest: *digest });
            }
        }
        Ok(())
    }

    /// Takes in an entry of the index.
    async fn note(
        &mut self,
        descriptor: &Descriptor,
        reading: Reading<'_>,
        seen: &mut HashSet<Digest>,
    ) -> Result<(), ArchiveError> {
        let digest = descriptor.digest;
        let mut is_referrer = false;
        let content = shelf::read(&*self.shelf, &digest, MAX_MANIFEST_SIZE).await?;
        if let Some(bytes) = content {
            if bytes.len() as u64 != descriptor.size {
                let reason = format!("it gives {digest} another length than it has");
                return Err(ArchiveError::Json { name: "index.json", reason });
            }
            let subject = Manifest::parse(&bytes, None).ok().and_then(|manifest| manifest.subject);
            is_referrer = subject.is_some();
            if let Some((subject, entry)) = subject.zip(descriptor_of(&digest, &bytes))
                && seen.insert(digest)
            {
                self.referrers.entry(subject.digest).or_default().push(entry);
            }
        } else if self.inventory.as_ref().is_none_or(|inventory| inventory.base.is_none()) {
            return Err(ArchiveError::Lacks { digest });
        }
        match name_of(&descriptor.annotations, reading.table, reading.home) {
            Some((image, Reference::Tag(tag))) => {
                let is_evidence = tag.is_evidence();
                let before = self.tags.insert((image.clone(), tag.clone()), digest);
                if before.is_some_and(|before| before != digest) {
                    return Err(ArchiveError::Duplicate { name: format!("{image}:{tag}") });
                }
                if before.is_none() && !is_evidence {
                    self.images.push((image, Reference::Tag(tag)));
                }
            }
            Some((image, reference @ Reference::Digest(named))) if named == digest => {
                self.images.push((image, reference));
            }
            Some((image, _)) => {
                let reason =
                    format!("it calls {digest} by the digest of something else in `{image}`");
                return Err(ArchiveError::Json { name: "index.json", reason });
            }
            None if is_referrer => {}
            None => self.nameless.push(digest),
        }
        Ok(())
    }
}

/// The descriptors of the index, once the small files were found to be what they should be.
fn read_small(small: &Small, key: Option<&PublicKey>) -> Result<Vec<Descriptor>, ArchiveError> {
    small.check()?;
    let file = |entry, name| small.file(&entry).ok_or(ArchiveError::Missing { name });
    if let Some(key) = key {
        let inventory = file(EntryName::Inventory, super::inventory::FILE)?;
        let signature = file(EntryName::Signature, super::inventory::SIGNATURE)?;
        if !is_signed(inventory, signature, key) {
            return Err(ArchiveError::InventorySignature { key: key.fingerprint().to_string() });
        }
    }
    let layout = file(EntryName::Layout, "oci-layout")?;
    let layout: LayoutVersion = serde_json::from_slice(layout)
        .map_err(|error| ArchiveError::Json { name: "oci-layout", reason: error.to_string() })?;
    if layout.version != "1.0.0" {
        let version = layout.version.chars().take(40).collect();
        return Err(ArchiveError::Version { version });
    }
    let index = file(EntryName::Index, "index.json")?;
    match Manifest::parse(index, Some(MediaType::OciIndex.as_str()))?.shape {
        Shape::Index { manifests } => Ok(manifests),
        Shape::Image { .. } => {
            let reason = "it is the manifest of an image".to_owned();
            Err(ArchiveError::Json { name: "index.json", reason })
        }
    }
}

/// `oci-layout` (OCI image specification 1.1, "oci-layout file").
#[derive(Deserialize)]
struct LayoutVersion {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

impl Collection for Archive {
    fn tag(&self, image: &ImageName, tag: &Tag) -> Option<Digest> {
        self.tags.get(&(image.clone(), tag.clone())).copied()
    }

    fn tags(&self, image: &ImageName) -> Vec<String> {
        let tags = self.tags.keys().filter(|(of, _)| of == image);
        let mut tags: Vec<_> = tags.map(|(_, tag)| tag.to_string()).collect();
        tags.sort_unstable();
        tags
    }

    fn referrers(&self, subject: &Digest) -> Vec<Descriptor> {
        self.referrers.get(subject).cloned().unwrap_or_default()
    }

    fn read(
        &self,
        digest: &Digest,
        limit: usize,
    ) -> BoxFuture<'_, Result<Option<Bytes>, UpstreamError>> {
        let digest = *digest;
        async move { Ok(shelf::read(&*self.shelf, &digest, limit).await?) }.boxed()
    }

    fn blob(&self, digest: &Digest) -> Option<Arc<dyn FillSource>> {
        self.shelf.size(digest)?;
        Some(Arc::new(ShelfBlob { shelf: Arc::clone(&self.shelf), digest: *digest }))
    }
}
