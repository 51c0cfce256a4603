//! Holding a statement against what a rule requires of it.

use std::{sync::Arc, time::SystemTime};

use super::{
    condition::{Scope, Unmet},
    statement::Statement,
};
use crate::{
    oci::{Digest, ImageName},
    trust::{json::Json, policy::Attestation},
};

/// What came of it.
#[derive(Debug, Default)]
pub(in crate::trust) struct Testimony {
    /// The requirements that it meets, each until a time; `None` for ever.
    pub(in crate::trust) met: Vec<(Arc<Attestation>, Option<SystemTime>)>,
    /// The requirements that it does not meet, and why, in words.
    pub(in crate::trust) unmet: Vec<(Arc<Attestation>, String)>,
    /// Whether a condition would have cost too much.
    pub(in crate::trust) too_costly: bool,
}

impl Testimony {
    /// Holds `statement` against each of `wanted`, which are of its type, in the judgement of the
    /// manifest `digest` of `image` at `now`.
    pub(in crate::trust) fn of(
        statement: &Statement,
        wanted: &[Arc<Attestation>],
        image: &ImageName,
        digest: &Digest,
        now: SystemTime,
    ) -> Self {
        let (subject, image) = (statement.subject(digest), described(image, digest));
        let subject = subject.unwrap_or(&Json::Null);
        let scope = Scope { predicate: &statement.predicate, subject, image: &image, now };
        let mut testimony = Self::default();
        for attestation in wanted {
            let holds = attestation.condition.as_ref().map_or(Ok(None), |one| one.holds(scope));
            match holds {
                Ok(until) => testimony.met.push((attestation.clone(), until)),
                Err(Unmet::False(why)) => testimony.unmet.push((attestation.clone(), why)),
                Err(Unmet::TooCostly) => testimony.too_costly = true,
            }
        }
        testimony
    }
}

/// The variable `image` of a condition.
fn described(image: &ImageName, digest: &Digest) -> Json {
    let member = |name: &str, value: String| (name.to_owned(), Json::Text(value));
    Json::Object(vec![
        member("upstream", image.upstream.to_string()),
        member("repository", image.repository.to_string()),
        member("name", image.to_string()),
        member("digest", digest.to_string()),
    ])
}
