//! A manifest is pulled: resolve, judge, answer.

use super::{
    Admitted, Context, Mirror, PullError, Wanted,
    judge::{Asked, Case},
    look::Look,
    record::failure_of,
};
use crate::{
    oci::{Digest, ImageName, Reference},
    trust::{
        self, Verdict,
        recording::{self, Recording},
    },
};

impl Mirror {
    /// The manifest that `reference` names in `image`, if policy admits it.
    ///
    /// # Errors
    /// [`PullError`] says whether policy refuses, nobody can tell, or it cannot be had.
    ///
    /// # Cancel safety
    /// Whatever was begun for other clients too (resolving, fetching, judging) goes on.
    pub async fn manifest(
        &self,
        context: &Context,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Admitted, PullError> {
        let policy = self.room.policy.load_full();
        let digest = match self.room.resolve(image, reference).await {
            Ok(digest) => digest,
            Err(error) => {
                let asked = Asked { context, image, reference };
                return Err(self.room.record_unresolved(asked, &policy, error).await);
            }
        };
        // Most requests end here: nothing is written, nothing is waited for.
        if let Some(decided) = self.room.known(image, &digest, &policy)
            && let Some(admitted) = decided.admitted(&digest)
        {
            return Ok(admitted);
        }
        let case = Case::new(context.clone(), policy, image.clone(), reference.clone(), digest);
        let decided = self.room.judge(&case).await?;
        self.room.answer(&case, &decided)
    }

    /// The verdict on what `reference` names in `image`, and the digest it names, once that is known.
    /// An upstream that cannot be asked is an undecided verdict.
    ///
    /// # Errors
    /// When there is nothing to judge: the upstream does not have it or denies access, or the verdict
    /// cannot be recorded.
    pub async fn verdict(
        &self,
        context: &Context,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<(Option<Digest>, Verdict), PullError> {
        let policy = self.room.policy.load_full();
        let digest = match self.room.resolve(image, reference).await {
            Ok(digest) => digest,
            Err(PullError::Upstream { error, .. }) if error.is_temporary() => {
                let why = error.to_string();
                return Ok((None, trust::unresolved(&policy, image, reference, &why)));
            }
            Err(error) => return Err(error),
        };
        let case = Case::new(context.clone(), policy, image.clone(), reference.clone(), digest);
        match self.room.judge(&case).await {
            Ok(decided) => Ok((Some(digest), (*decided.verdict).clone())),
            Err(error) => match failure_of(&error) {
                Some(reason) => {
                    let why = error.to_string();
                    Ok((Some(digest), trust::failed(&case.policy, image, &digest, reason, &why)))
                }
                None => Err(error),
            },
        }
    }

    /// Everything that is kept beside the manifest `digest` of `image`, and the manifest itself.
    pub async fn evidence(&self, image: &ImageName, digest: &Digest) -> Recording {
        let room = &self.room;
        let (policy, look) = (room.policy.load_full(), Look::new(room));
        recording::record(&policy, image, digest, &look, room.environment.clock.now()).await
    }

    /// Looks again at what `reference` names in `image`: at what the tag means, and, unless it is
    /// admitted, at the evidence.
    ///
    /// # Errors
    /// As [`Mirror::verdict`], and when the upstream cannot say what a tag means.
    pub async fn verdict_anew(
        &self,
        context: &Context,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<(Option<Digest>, Verdict), PullError> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => self.room.ask(image, tag).await.map_err(|error| {
                PullError::upstream(Wanted::Manifest(image.clone(), reference.clone()), error)
            })?,
        };
        self.room.forget_denials(image, &digest).await?;
        self.verdict(context, image, &Reference::Digest(digest)).await
    }
}
