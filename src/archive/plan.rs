//! What an archive will consist of, known before its first byte is written.
//!
//! Digests and lengths come from the manifests, so the index and the inventory can be at the front,
//! where a reader of a stream wants them, and the space that is needed is known.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    Inventory, InventoryImage,
    checksums::{self, CHECKSUMS},
    inventory,
    item::full_name,
    name::{CONTAINERD_NAME, REF_NAME},
};
use crate::{
    mirror::{Cargo, Piece, Role, Weighed},
    oci::{Descriptor, Digest, ImageName, MediaType, Reference},
    trust::signing::{PrivateKey, PrivateKeyError},
};

/// Everything that an archive will hold.
#[derive(Debug)]
pub struct Plan {
    /// The files beside the content, by name.
    pub(super) small: Vec<(&'static str, Vec<u8>)>,
    /// The content with its lengths in bytes, manifests first.
    pub(super) content: Vec<(Digest, u64)>,
}

/// A plan that is growing.
#[derive(Debug)]
pub(super) struct Planner {
    entries: Vec<Value>,
    manifests: Vec<(Digest, u64)>,
    blobs: Vec<(Digest, u64)>,
    seen: HashSet<Digest>,
    named: HashSet<(String, Digest)>,
    base: HashSet<Digest>,
    inventory: Inventory,
}

impl Planner {
    /// A plan with the head of its inventory, leaving out what `base` has.
    pub(super) fn new(inventory: Inventory, base: HashSet<Digest>) -> Self {
        Self {
            entries: Vec::new(),
            manifests: Vec::new(),
            blobs: Vec::new(),
            seen: HashSet::new(),
            named: HashSet::new(),
            base,
            inventory,
        }
    }

    /// Adds an image with everything that belongs to it.
    pub(super) fn add(
        &mut self,
        image: &ImageName,
        reference: &Reference,
        weighed: &Weighed,
        cargo: &Cargo,
    ) {
        let name = full_name(image, reference);
        for piece in &cargo.manifests {
            self.manifest(piece, &name);
        }
        for blob in &cargo.blobs {
            if self.seen.insert(blob.0) {
                self.blobs.push(*blob);
            }
        }
        let evidence = cargo.manifests.iter().filter(|piece| piece.role == Role::Evidence);
        let verdict = &weighed.verdict;
        self.inventory.images.push(InventoryImage {
            image: name,
            digest: weighed.digest,
            size: cargo.size(),
            platforms: cargo.platforms.clone(),
            outcome: verdict.outcome.as_str().to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            rule: verdict.rule.clone(),
            signed_by: verdict.signed_by.clone(),
            evidence: evidence.map(|piece| piece.descriptor.digest).collect(),
        });
    }

    /// The finished plan, signed by `key` if there is one.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub(super) fn finish(self, key: Option<&PrivateKey>) -> Result<Plan, PrivateKeyError> {
        let Self { entries, manifests, blobs, base, mut inventory, .. } = self;
        let (omitted, content): (Vec<_>, Vec<_>) =
            manifests.into_iter().chain(blobs).partition(|(digest, _)| base.contains(digest));
        let sorted = |list: &[(Digest, u64)]| {
            let mut digests: Vec<_> = list.iter().map(|(digest, _)| *digest).collect();
            digests.sort_unstable();
            digests
        };
        inventory.content = sorted(&content);
        inventory.omitted = sorted(&omitted);
        let inventory = inventory.to_bytes();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciIndex.as_str(),
            "manifests": entries,
        });
        let mut small = vec![
            ("oci-layout", LAYOUT.as_bytes().to_vec()),
            ("index.json", index.to_string().into_bytes()),
        ];
        if let Some(key) = key {
            let signature = inventory::sign(&inventory, key)?;
            small.push((inventory::SIGNATURE, signature.into_bytes()));
        }
        small.push((inventory::FILE, inventory));
        let covered: Vec<_> =
            small.iter().map(|(name, content)| (*name, content.as_slice())).collect();
        let sums = checksums::write(&covered).into_bytes();
        small.push((CHECKSUMS, sums));
        Ok(Plan { small, content })
    }

    fn manifest(&mut self, piece: &Piece, image: &str) {
        let descriptor = &piece.descriptor;
        let name = match (&piece.name, piece.role) {
            (_, Role::Image) => Some(image.to_owned()),
            (Some((home, tag)), _) => Some(format!("{home}:{tag}")),
            (None, _) => None,
        };
        if self.seen.insert(descriptor.digest) {
            self.manifests.push((descriptor.digest, descriptor.size));
        }
        // A child is found through its index; evidence without a tag through its subject.
        if piece.role != Role::Child
            && self.named.insert((name.clone().unwrap_or_default(), descriptor.digest))
        {
            self.entries.push(entry(descriptor, name.as_deref()));
        }
    }
}

impl Plan {
    /// Bytes of all content together.
    #[must_use]
    pub fn content_size(&self) -> u64 {
        self.content.iter().map(|(_, size)| size).sum()
    }

    /// The inventory, as it will be written.
    #[must_use]
    pub fn inventory(&self) -> &[u8] {
        let inventory = self.small.iter().find(|(name, _)| *name == inventory::FILE);
        inventory.map_or(&[], |(_, content)| content)
    }

    /// How many contents there are.
    #[must_use]
    pub fn content_count(&self) -> usize {
        self.content.len()
    }
}

/// An entry of `index.json`.
fn entry(descriptor: &Descriptor, name: Option<&str>) -> Value {
    let mut entry = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    });
    if let Some(artifact_type) = &descriptor.artifact_type
        && name.is_none()
    {
        entry["artifactType"] = json!(artifact_type);
    }
    if let Some(name) = name {
        entry["annotations"] = json!({ (REF_NAME): name, (CONTAINERD_NAME): name });
    }
    entry
}

const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
