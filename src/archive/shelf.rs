//! Content by digest, wherever an archive keeps it: what all shapes of archives have in common.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};

use super::{ArchiveError, extent::Extent};
use crate::{
    mirror::{UpstreamError, source_error},
    oci::Digest,
    store::{FillSource, FillStream, SourceError},
};

/// The content of an archive.
pub(super) trait Shelf: Send + Sync + fmt::Debug {
    /// The length in bytes that the content should have; `None` when it is not there.
    fn size(&self, digest: &Digest) -> Option<u64>;

    /// Where the content lies.
    ///
    /// # Errors
    /// When the file cannot be opened, or is not what it was.
    fn open(&self, digest: &Digest) -> BoxFuture<'static, Result<Extent, ArchiveError>>;

    /// Which file, in words, for the error that says that the content is damaged.
    fn place(&self, digest: &Digest) -> String;
}

/// Small content, hashed; `None` when it is not there.
///
/// # Errors
/// When it is longer than `limit` bytes, damaged, or cannot be read.
pub(super) async fn read(
    shelf: &dyn Shelf,
    digest: &Digest,
    limit: usize,
) -> Result<Option<Bytes>, ArchiveError> {
    let Some(size) = shelf.size(digest) else { return Ok(None) };
    if size > limit as u64 {
        return Err(ArchiveError::TooLarge { name: digest.to_string(), size, limit });
    }
    let extent = shelf.open(digest).await?;
    let bytes = tokio::task::spawn_blocking(move || extent.read()).await;
    let bytes = bytes.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let bytes = bytes.map_err(|error| ArchiveError::io("read", shelf.place(digest), error))?;
    match digest.matches(&bytes) {
        true => Ok(Some(bytes.into())),
        false => Err(ArchiveError::Damaged { digest: *digest, place: shelf.place(digest) }),
    }
}

/// A content on a shelf, as the store's fills see it.
#[derive(Debug)]
pub(super) struct ShelfBlob {
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) digest: Digest,
}

impl FillSource for ShelfBlob {
    fn origin(&self) -> &str {
        "archive"
    }

    fn open(&self, from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        let place = self.shelf.place(&self.digest);
        let opening = self.shelf.open(&self.digest);
        async move {
            let extent = opening.await.map_err(|error| source_error(error.into()))?;
            let size = extent.size();
            let body = extent.stream(from).map(move |piece| {
                piece.map_err(|error| {
                    let reason = format!("{place} cannot be read: {error}");
                    source_error(UpstreamError::Invalid { reason })
                })
            });
            Ok(FillStream { from, size: Some(size), body: body.boxed() })
        }
        .boxed()
    }
}
