//! What is cached is judged again, with evidence of now.
//!
//! A verdict holds as long as its policy and its windows do, so a signature that was taken back, or an
//! attestation that was replaced, would only be seen by the next first pull. A recheck looks at
//! everything again. What it denies is served no longer: the verdict is withdrawn, from memory and
//! from disk, and with it those of the children that were admitted through it. What it cannot look
//! at keeps its verdict.

use std::sync::Arc;

use serde::Serialize;

use super::{Context, Mirror, PullError, Room, judge::Case, look::Look};
use crate::{
    oci::{Digest, ImageName, Reference},
    trust::{Outcome, Reason, Verdict},
};

/// What a recheck found about one manifest.
#[derive(Clone, Debug, Serialize)]
pub struct Rechecked {
    /// The registry.
    pub upstream: String,
    /// The repository there.
    pub repository: String,
    /// The manifest.
    pub digest: Digest,
    /// How it stood before.
    pub before: Standing,
    /// How it stands now.
    pub now: Standing,
    /// The sentence that a client would be told now.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

/// How an image stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// How it was judged.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Who vouched for it.
    pub signed_by: Vec<String>,
}

impl Rechecked {
    /// Whether anything is not as it was.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.before != self.now
    }
}

impl Mirror {
    /// Every manifest that is here, for [`recheck`](Self::recheck).
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn kept_manifests(&self) -> Result<Vec<(ImageName, Digest)>, PullError> {
        let store = &self.room.store;
        let mut found = Vec::new();
        for image in store.images().await? {
            let digests = store.digests(&image).await?;
            found.extend(digests.into_iter().map(|digest| (image.clone(), digest)));
        }
        Ok(found)
    }

    /// Judges a cached manifest again; `None` when nothing was decided on it by itself: children of
    /// an image index stand and fall with it.
    ///
    /// # Errors
    /// When the verdict cannot be made or recorded. What was decided before stands then.
    ///
    /// # Cancel safety
    /// The manifest is rechecked or it is not.
    pub async fn recheck(
        &self,
        context: &Context,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<Option<Rechecked>, PullError> {
        let room = &self.room;
        let Some(fetched) = room.kept(image, digest).await? else { return Ok(None) };
        let Some(before) = Room::earlier(&fetched) else { return Ok(None) };
        if before.inherited_from.is_some() {
            return Ok(None);
        }
        let reference = Reference::Digest(*digest);
        let policy = room.policy.load_full();
        let case = Case::new(context.clone(), policy, image.clone(), reference, *digest);
        let look = Look::new(room);
        let verdict = room.verdict(&case, &fetched, &look, None).await?;
        let found = Rechecked {
            upstream: image.upstream.to_string(),
            repository: image.repository.to_string(),
            digest: *digest,
            before: standing(&before),
            now: standing(&verdict),
            message: verdict.message.clone(),
            next_step: verdict.next_step.clone(),
        };
        let is_same_policy = before.policy == verdict.policy && before.trust == verdict.trust;
        match verdict.outcome {
            Outcome::Admitted if is_same_policy && !found.has_changed() => look.kept().await,
            Outcome::Admitted => drop(room.record(&case, &fetched, verdict, &look).await?),
            Outcome::Denied => {
                room.withdraw_with_children(image, digest).await?;
                room.record(&case, &fetched, verdict, &look).await?;
            }
            Outcome::Undecided => look.kept().await,
        }
        Ok(Some(found))
    }
}

impl Room {
    /// Withdraws the verdict on a manifest and on everything that was admitted through it.
    async fn withdraw_with_children(
        self: &Arc<Self>,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<(), PullError> {
        let mut left = vec![*digest];
        while let Some(digest) = left.pop() {
            if let Some(fetched) = self.kept(image, &digest).await?
                && let Ok(manifest) = &fetched.manifest
                && manifest.is_index()
            {
                for child in manifest.references() {
                    let kept = self.kept(image, &child.digest).await?;
                    let verdict = kept.as_ref().and_then(Self::earlier);
                    // One whose verdict is withdrawn is not met again: the walk ends.
                    if verdict.is_some_and(|verdict| verdict.inherited_from == Some(digest)) {
                        left.push(child.digest);
                    }
                }
            }
            self.withdraw(image, &digest).await?;
        }
        Ok(())
    }
}

fn standing(verdict: &Verdict) -> Standing {
    Standing {
        outcome: verdict.outcome,
        reason: verdict.reason,
        signed_by: verdict.signed_by.clone(),
    }
}
