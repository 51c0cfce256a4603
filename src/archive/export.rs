//! An export: what the near side's policy admits, with all that vouches for it.

use std::{collections::HashSet, path::Path, sync::Arc};

use super::{
    ArchiveError, Base, Inventory, Item, Outcome, Plan, Sink, extent::Extent, inventory,
    plan::Planner, sink::tar_size,
};
use crate::{
    mirror::{Context, Mirror, Order, Watch, Weighed},
    oci::Digest,
    store::Store,
    timestamp::Timestamp,
    trust::signing::PrivateKey,
};

/// What to export, and on top of what.
#[derive(Debug)]
pub struct Selection<'a> {
    /// The images.
    pub orders: &'a [Order],
    /// An earlier inventory: what it has is left out.
    pub since: Option<&'a [u8]>,
    /// Who signs the inventory.
    pub key: Option<&'a PrivateKey>,
    /// When.
    pub created: Timestamp,
}

/// Judges the images of `selection` by what `store` has, and plans an archive of those that are
/// admitted and whole. Says what became of each.
///
/// # Errors
/// When an earlier inventory is none, or the key cannot sign.
pub async fn export(
    mirror: &Mirror,
    store: &Store,
    context: &Context,
    selection: &Selection<'_>,
) -> Result<(Plan, Vec<Item>), ArchiveError> {
    let (mirror, policy) = (mirror.offline(), mirror.policy());
    let since = selection.since.map(Inventory::parse).transpose()?;
    let base = since
        .as_ref()
        .zip(selection.since)
        .map(|(since, bytes)| Base { created: since.created, inventory: Digest::of(bytes) });
    let held: HashSet<_> = since.iter().flat_map(Inventory::held).copied().collect();
    let head = Inventory {
        version: inventory::VERSION,
        created: selection.created,
        policy: policy.hash().to_owned(),
        trust: policy.trust_hash().to_owned(),
        images: Vec::new(),
        base,
        content: Vec::new(),
        omitted: Vec::new(),
    };
    let mut planner = Planner::new(head, held.clone());
    let mut items = Vec::new();
    for order in selection.orders {
        let weighed = mirror.weigh(context, order).await;
        let mut item = Item::of(order, &weighed);
        if let Ok(weighed @ Weighed { cargo: Some(cargo), .. }) = &weighed {
            match missing(store, cargo.blobs.iter().map(|(digest, _)| digest), &held).await? {
                None => planner.add(&order.image, &order.reference, weighed, cargo),
                Some(digest) => {
                    item.outcome = Outcome::Failed;
                    item.message = format!("{digest} of it is not here");
                    item.next_step = format!("run `portcullis seed {}` first", item.image);
                }
            }
        }
        items.push(item);
    }
    let plan = planner.finish(selection.key);
    let unsigned = |error| ArchiveError::io("sign", "the inventory", std::io::Error::other(error));
    Ok((plan.map_err(unsigned)?, items))
}

impl Plan {
    /// Writes the archive.
    ///
    /// # Errors
    /// When content has gone or is damaged, or the disk refuses. Nothing has its final name then.
    pub async fn write(
        self,
        store: &Store,
        sink: Sink,
        watch: Arc<dyn Watch>,
    ) -> Result<(), ArchiveError> {
        watch.planned(self.content_size());
        let mut sink = sink;
        for (name, content) in &self.small {
            sink.small(name, content)?;
        }
        for (digest, _) in self.content {
            let blob = store.open_blob(&digest).await?.ok_or(ArchiveError::Lacks { digest })?;
            let watch = Arc::clone(&watch);
            sink = blocking(move || {
                let extent = Extent::whole(blob.file.clone(), blob.size);
                sink.content(&digest, &extent, &mut |bytes| watch.arrived(bytes, true))?;
                Ok(sink)
            })
            .await?;
        }
        blocking(move || sink.finish()).await
    }

    /// Fails early where the archive cannot fit under `folder`.
    ///
    /// # Errors
    /// [`ArchiveError::NoSpace`].
    pub fn require_space(&self, folder: &Path) -> Result<(), ArchiveError> {
        require_space(folder, tar_size(self))
    }
}

/// Fails where `needed` bytes do not fit under `folder`.
///
/// # Errors
/// [`ArchiveError::NoSpace`]; when the system does not say how much is free.
pub fn require_space(folder: &Path, needed: u64) -> Result<(), ArchiveError> {
    let figures = rustix::fs::statvfs(folder).map_err(|error| {
        ArchiveError::io("measure", format!("`{}`", folder.display()), error.into())
    })?;
    let free = figures.f_bavail.saturating_mul(figures.f_frsize);
    // Some network file systems do not say.
    match figures.f_blocks > 0 && free < needed {
        true => Err(ArchiveError::NoSpace { path: folder.to_owned(), needed, free }),
        false => Ok(()),
    }
}

/// The first of `digests` that is neither in the store nor `held` at the far side.
async fn missing(
    store: &Store,
    digests: impl Iterator<Item = &Digest>,
    held: &HashSet<Digest>,
) -> Result<Option<Digest>, ArchiveError> {
    for digest in digests {
        if !held.contains(digest) && store.open_blob(digest).await?.is_none() {
            return Ok(Some(*digest));
        }
    }
    Ok(None)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(ArchiveError::io("write", "the archive", std::io::Error::other(error)))
    })
}
