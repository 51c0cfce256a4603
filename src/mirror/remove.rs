//! Images are taken away by name, with everything that nothing else needs.
//!
//! What is needed is known from the records alone: a manifest that no removed name leads to stays,
//! and with it whatever it references. So an image without a name, pulled by digest, is never hurt.

use std::collections::HashSet;

use super::{Cargo, Mirror, Platforms, PullError, Role};
use crate::oci::{Digest, ImageName, Tag};

/// What taking names away comes to.
#[derive(Clone, Debug, Default)]
pub struct Removal {
    /// The names.
    pub names: Vec<(ImageName, Tag)>,
    /// Manifests that go with them, and the repositories that they are known in.
    manifests: Vec<(ImageName, Digest)>,
    /// Tags of evidence about these manifests.
    evidence: Vec<(ImageName, Tag)>,
    /// Content that nothing else needs.
    content: HashSet<Digest>,
    /// Bytes that come free.
    pub freed: u64,
}

impl Mirror {
    /// What would go if `names` were taken away.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn plan_removal(&self, names: &[(ImageName, Tag)]) -> Result<Removal, PullError> {
        let offline = self.offline();
        let mut removal = Removal { names: names.to_vec(), ..Removal::default() };
        let mut going: Vec<(ImageName, Cargo)> = Vec::new();
        let mut staying = HashSet::new();
        for (image, tag) in self.tagged().await? {
            let Some(cargo) = offline.cargo_of(&image, &tag).await? else { continue };
            if names.contains(&(image.clone(), tag)) {
                going.push((image, cargo));
            } else {
                staying.extend(cargo.manifests.iter().map(|piece| piece.descriptor.digest));
            }
        }
        for (image, cargo) in &going {
            for piece in &cargo.manifests {
                let digest = piece.descriptor.digest;
                if staying.contains(&digest) {
                    continue;
                }
                let home = piece.name.as_ref().map_or(image, |(home, _)| home);
                removal.manifests.push((home.clone(), digest));
                removal
                    .evidence
                    .extend(piece.name.clone().filter(|_| piece.role == Role::Evidence));
            }
        }
        let needed = self.needed_beside(&removal.manifests).await?;
        for (_, cargo) in &going {
            let manifests = cargo
                .manifests
                .iter()
                .map(|piece| (piece.descriptor.digest, piece.descriptor.size));
            for (digest, size) in manifests.chain(cargo.blobs.iter().copied()) {
                if !needed.contains(&digest) && removal.content.insert(digest) {
                    removal.freed += size;
                }
            }
        }
        Ok(removal)
    }

    /// Takes away what `removal` says: names first, so that none leads to a part of an image.
    ///
    /// # Errors
    /// When the disk refuses; what was not removed by then is found by the next removal.
    pub async fn remove(&self, removal: &Removal) -> Result<(), PullError> {
        let store = &self.room.store;
        for (image, tag) in removal.names.iter().chain(&removal.evidence) {
            store.remove_tag(image, tag).await?;
        }
        for (image, digest) in &removal.manifests {
            store.remove_manifest(image, digest).await?;
        }
        for digest in &removal.content {
            store.discard(digest).await?;
        }
        Ok(())
    }

    /// Everything that the manifests known here need, apart from `going`.
    async fn needed_beside(
        &self,
        going: &[(ImageName, Digest)],
    ) -> Result<HashSet<Digest>, PullError> {
        let store = &self.room.store;
        let going: HashSet<_> = going.iter().collect();
        let mut needed = HashSet::new();
        for image in store.images().await? {
            for digest in store.manifests(&image).await? {
                if going.contains(&(image.clone(), digest)) {
                    continue;
                }
                let record = store.manifest(&image, &digest).await?;
                needed.insert(digest);
                needed.extend(
                    record.iter().flat_map(|record| &record.references).map(|to| to.digest),
                );
                needed.extend(record.iter().flat_map(|record| &record.evidence));
            }
        }
        Ok(needed)
    }

    async fn cargo_of(&self, image: &ImageName, tag: &Tag) -> Result<Option<Cargo>, PullError> {
        let room = &self.room;
        let Some(record) = room.store.tag(image, tag).await? else { return Ok(None) };
        if room.kept(image, &record.digest).await?.is_none() {
            return Ok(None);
        }
        room.pack(image, &record.digest, &Platforms::default()).await.map(Some)
    }
}
