//! Fetching an image's blobs before its client asks for them.
//!
//! A client pulls the manifest, reads it, and asks for the blobs a few at a time. Where that is
//! wanted (`prefetch = true`), their fills begin as soon as the manifest is admitted, the smallest
//! first: the configuration is what a client needs next. What is fetched is served as everything
//! else, through an admitted manifest that references it. An index is not followed: its client wants
//! one platform of many.

use std::sync::Arc;

use futures_util::future;

use super::{Room, fetch::Fetched, judge::Case};
use crate::oci::{Descriptor, Shape};

impl Room {
    /// Begins to fetch what an image that has been admitted just now is made of. Waits for nothing.
    pub(super) fn prefetch(self: &Arc<Self>, case: &Case, fetched: &Fetched) {
        let Ok(manifest) = &fetched.manifest else { return };
        if !self.prefetch || !case.context.content || !matches!(manifest.shape, Shape::Image { .. })
        {
            return;
        }
        let mut blobs: Vec<Descriptor> = manifest.references().cloned().collect();
        blobs.sort_by_key(|blob| blob.size);
        let (room, image, manifest) = (Arc::clone(self), case.image.clone(), case.digest);
        tokio::spawn(async move {
            let fetches = blobs.iter().map(|blob| room.open_blob(&image, &blob.digest, &manifest));
            let opened = future::join_all(fetches).await;
            // Whoever asks for one that failed will hear what is wrong with it.
            let failed = opened.iter().filter(|opened| opened.is_err()).count();
            tracing::debug!(%image, %manifest, blobs = blobs.len(), failed, "prefetched");
        });
    }
}
