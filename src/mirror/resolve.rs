//! From a tag to a digest.
//!
//! A fresh record answers at once. Otherwise the upstream is asked, once for all who wait. When it
//! cannot be reached, the last answer stands (RFC 9111, 4.2.4, "stale"): the digest it names is
//! judged as always, so a stale tag never admits anything. An upstream that says no is believed.

use std::{sync::Arc, time::SystemTime};

use super::{PullError, Room, Wanted};
use crate::{
    oci::{Digest, ImageName, Reference, Tag},
    upstream::UpstreamError,
};

/// What a tag meant, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct FreshTag {
    pub(super) digest: Digest,
    pub(super) resolved: SystemTime,
}

impl Room {
    /// The digest that `reference` means now.
    ///
    /// # Errors
    /// When it is a tag that the upstream does not know, or that cannot be asked for and was never
    /// resolved before.
    ///
    /// # Cancel safety
    /// The question to the upstream goes on and its answer is kept.
    pub(super) async fn resolve(
        self: &Arc<Self>,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Digest, PullError> {
        let tag = match reference {
            Reference::Digest(digest) => return Ok(*digest),
            Reference::Tag(tag) => tag,
        };
        let key = (image.clone(), tag.clone());
        if let Some(known) = self.tags.get(&key)
            && self.is_fresh(known.resolved)
        {
            return Ok(known.digest);
        }
        let recorded = self.store.tag(image, tag).await?;
        if let Some(record) = &recorded
            && self.is_fresh(record.resolved)
        {
            self.tags.insert(key, FreshTag { digest: record.digest, resolved: record.resolved });
            return Ok(record.digest);
        }
        let room = Arc::clone(self);
        let (asked, name) = (key.clone(), key.clone());
        let work = move || async move { room.ask(&asked.0, &asked.1).await };
        match self.resolving.run(name, work).await {
            Some(Ok(digest)) => Ok(digest),
            Some(Err(error)) => match recorded {
                Some(record) if error.is_temporary() => {
                    tracing::warn!(%image, %tag, digest = %record.digest, %error, "serving a stale tag");
                    self.metrics.stale_tag(image.upstream.as_str());
                    Ok(record.digest)
                }
                _ => Err(PullError::upstream(
                    Wanted::Manifest(image.clone(), reference.clone()),
                    error,
                )),
            },
            None => Err(PullError::Internal("resolving a tag")),
        }
    }

    /// Asks the upstream, however fresh its last answer is, and keeps what it says.
    ///
    /// # Errors
    /// When it says no, or cannot be asked.
    pub(super) async fn ask(&self, image: &ImageName, tag: &Tag) -> Result<Digest, UpstreamError> {
        let digest = self.origin(&image.upstream)?.resolve(image, tag).await?;
        let now = self.environment.clock.now();
        self.tags.insert((image.clone(), tag.clone()), FreshTag { digest, resolved: now });
        let before = self.store.tag(image, tag).await.ok().flatten().map(|record| record.digest);
        if before != Some(digest) {
            if let Some(before) = before {
                tracing::info!(%image, %tag, %before, after = %digest, "tag moved");
                self.metrics.tag_moved(image.upstream.as_str());
            }
            if let Err(error) = self.store.put_tag(image, tag, &digest, now).await {
                // The answer is right all the same; only a later outage will not know it.
                tracing::warn!(%image, %tag, %error, "tag record not written");
            }
        }
        Ok(digest)
    }

    fn is_fresh(&self, resolved: SystemTime) -> bool {
        // A time in the future is a clock that was set back: ask again.
        self.environment
            .clock
            .now()
            .duration_since(resolved)
            .is_ok_and(|age| age < self.freshness.tag)
    }
}
