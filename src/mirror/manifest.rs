//! A manifest is pulled: resolve, judge, answer.

use super::{
    Admitted, Context, Mirror, PullError,
    judge::{Asked, Case},
    record::failure_of,
};
use crate::{
    oci::{Digest, ImageName, Reference},
    trust::{self, Verdict},
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
}
