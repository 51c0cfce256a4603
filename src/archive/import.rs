//! An import: each image of an archive is judged here, and what is admitted gets its name.

use std::sync::Arc;

use super::{Archive, ArchiveError, Item, Outcome, item::full_name};
use crate::{
    mirror::{Collection, Context, Denied, Mirror, Order, Platforms, PullError, Watch},
    oci::{Digest, ImageName, Reference},
    store::Store,
};

/// One import.
#[derive(Debug)]
pub struct Import<'a> {
    /// The mirror into which it goes.
    pub mirror: &'a Mirror,
    /// Its store.
    pub store: &'a Store,
    /// Who asks.
    pub context: &'a Context,
    /// What becomes of what policy denies.
    pub denied: Denied,
}

/// Imports every image of `archive`, each on its own: what is wrong with one stops no other. Says
/// what became of each as soon as that is known, by `tell`.
///
/// # Errors
/// [`ArchiveError::BaseMissing`] for a delta that cannot be used here; when the disk refuses.
///
/// # Cancel safety
/// What was fetched so far is kept, and the next import of the same archive goes on from there.
pub async fn import(
    import: &Import<'_>,
    archive: Arc<Archive>,
    watch: &dyn Watch,
    tell: &mut (dyn FnMut(&Item) + Send),
) -> Result<(), ArchiveError> {
    require_base(import.store, &archive).await?;
    let collection: Arc<dyn Collection> = Arc::clone(&archive) as _;
    let mirror = import.mirror.importing(&collection);
    for (image, reference) in archive.images() {
        let item = import.one(&mirror, &archive, (image, reference), watch).await;
        tell(&item);
    }
    for digest in archive.nameless() {
        let message = "the archive does not say what it is called".to_owned();
        let mut item = Item::failed(digest.to_string(), message);
        item.digest = Some(*digest);
        item.next_step = "name its repository with `--repository`".to_owned();
        tell(&item);
    }
    Ok(())
}

impl Import<'_> {
    async fn one(
        &self,
        mirror: &Mirror,
        archive: &Archive,
        (image, reference): (&ImageName, &Reference),
        watch: &dyn Watch,
    ) -> Item {
        if self.mirror.table().named(image.upstream.as_str()).is_none() {
            let name = &image.upstream;
            let message = format!("`{name}` is not an upstream of this mirror");
            let mut item = Item::failed(full_name(image, reference), message);
            item.next_step = format!(
                "add an `[[upstream]]` with `name = \"{name}\"` to `portcullis.toml`, with `offline = true` where there is no network"
            );
            return item;
        }
        let order = Order {
            image: image.clone(),
            reference: reference.clone(),
            platforms: Platforms::default(),
            denied: self.denied,
            from: Some(archive.name().to_owned()),
        };
        let carried = mirror.carry(self.context, &order, watch).await;
        let mut item = Item::of(&order, &carried);
        if let Err(error) = &carried
            && let Some(digest) = damaged(error)
        {
            let place = archive.place(&digest);
            item.message = ArchiveError::Damaged { digest, place }.to_string();
        }
        if item.outcome == Outcome::Failed && item.next_step.is_empty() {
            item.next_step =
                "copy the archive again, and import it again: what is here already is kept"
                    .to_owned();
        }
        item
    }
}

/// A delta needs what it leaves out.
async fn require_base(store: &Store, archive: &Archive) -> Result<(), ArchiveError> {
    let Some(inventory) = archive.inventory() else { return Ok(()) };
    let mut missing = Vec::new();
    for digest in &inventory.omitted {
        if store.open_blob(digest).await?.is_none() {
            missing.push(*digest);
        }
    }
    match (missing.first(), &inventory.base) {
        (Some(first), Some(base)) => Err(ArchiveError::BaseMissing {
            base: base.created.to_string(),
            missing: missing.len(),
            digest: *first,
        }),
        _ => Ok(()),
    }
}

/// The content whose bytes were others.
fn damaged(error: &PullError) -> Option<Digest> {
    match error {
        PullError::Integrity { digest, .. } => Some(*digest),
        PullError::Shared(error) => damaged(error),
        PullError::Store(crate::store::StoreError::Integrity { digest }) => Some(*digest),
        _ => None,
    }
}
