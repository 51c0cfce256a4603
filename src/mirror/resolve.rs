//! From a tag to a digest.
//!
//! A fresh record answers at once. Otherwise the upstream is asked, once for all who wait. When it
//! cannot be reached, the last answer stands (RFC 9111, 4.2.4, "stale"): the digest it names is
//! judged as always, so a stale tag never admits anything. An upstream that says no is believed.
//!
//! A tag in use never waits for the upstream: in the last part of its freshness the first who asks
//! for it has the question put in the background, and is answered from memory like all others.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

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
    /// Whether the upstream has been asked again already.
    pub(super) asked_again: bool,
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
            if !known.asked_again && self.is_due(known.resolved) {
                self.tags.insert(key.clone(), FreshTag { asked_again: true, ..known });
                self.revalidate(key);
            }
            return Ok(known.digest);
        }
        let recorded = self.store.tag(image, tag).await?;
        if let Some(record) = &recorded
            && self.is_fresh(record.resolved)
        {
            let (digest, resolved) = (record.digest, record.resolved);
            self.tags.insert(key, FreshTag { digest, resolved, asked_again: false });
            return Ok(digest);
        }
        match self.ask_once(key).await {
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

    /// Asks the upstream in the background. When it does not answer, whoever asks after the end of
    /// the freshness hears so.
    fn revalidate(self: &Arc<Self>, key: (ImageName, Tag)) {
        let room = Arc::clone(self);
        tokio::spawn(async move { room.ask_once(key).await });
    }

    /// The upstream's answer, asked once for all who wait; `None` when asking it broke.
    async fn ask_once(
        self: &Arc<Self>,
        key: (ImageName, Tag),
    ) -> Option<Result<Digest, UpstreamError>> {
        let (room, asked) = (Arc::clone(self), key.clone());
        let work = move || async move { room.ask(&asked.0, &asked.1).await };
        self.resolving.run(key, work).await
    }

    /// Asks the upstream, however fresh its last answer is, and keeps what it says.
    ///
    /// # Errors
    /// When it says no, or cannot be asked.
    pub(super) async fn ask(&self, image: &ImageName, tag: &Tag) -> Result<Digest, UpstreamError> {
        let digest = self.origin(&image.upstream)?.resolve(image, tag).await?;
        let now = self.environment.clock.now();
        let fresh = FreshTag { digest, resolved: now, asked_again: false };
        self.tags.insert((image.clone(), tag.clone()), fresh);
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
        self.is_younger(resolved, self.freshness.tag)
    }

    /// Whether a fresh tag will not be fresh for long.
    fn is_due(&self, resolved: SystemTime) -> bool {
        !self.is_younger(resolved, self.freshness.tag * 4 / 5)
    }

    fn is_younger(&self, resolved: SystemTime, limit: Duration) -> bool {
        // A time in the future is a clock that was set back: ask again.
        self.environment.clock.now().duration_since(resolved).is_ok_and(|age| age < limit)
    }
}
