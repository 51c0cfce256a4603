//! Finding evidence: the only part of this room that waits for anything.
//!
//! For every repository in which signatures may be, two things are asked at once: the tag of each
//! format that has one, and one pass over the referrers. What is found is fetched side by side, and handed on in
//! an order that does not depend on who answered first. Nothing is judged here.
//!
//! The difference that matters is between "there is none" and "nobody could look". Only a 404 means
//! the first. Everything else that is no valid answer, a cap that was hit, the deadline and the byte
//! budget are notes of the second kind (G-36, G-39, G-41): an attacker who floods a repository with
//! junk can make a judgement undecided, and can never make absence of it. The first 64 signatures of
//! a format are examined, in the order of their places and digests.
//!
//! # Cancel safety
//! [`gather`] only reads; dropping it loses what was found.

mod notes;
mod place;
mod referrer;
mod search;

use std::{
    collections::HashMap,
    future::Future,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use self::{
    place::Place,
    search::{Subject, search},
};
use super::{
    Format, Reason,
    places::{self, Filling, Free},
    policy::{Policy, Rule},
};
use crate::{
    environment::Clock,
    oci::{Descriptor, Digest, ImageName, Reference},
};

/// Where evidence comes from. `Ok(None)` is a real "not found" and nothing else.
pub trait EvidenceSource: Sync {
    /// The exact bytes of a manifest.
    ///
    /// # Errors
    /// When it could not be looked at.
    fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> impl Future<Output = Result<Option<Bytes>, LookFailure>> + Send;

    /// A blob of at most `limit` bytes.
    ///
    /// # Errors
    /// When it could not be looked at, or is larger.
    fn blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Bytes>, LookFailure>> + Send;

    /// What refers to `subject`: by the referrers API, or by the tag schema where there is no API.
    ///
    /// # Errors
    /// When it could not be looked at.
    fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Descriptor>, LookFailure>> + Send;
}

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LookFailure {
    reason: String,
    limit: bool,
}

impl LookFailure {
    /// A failure for `reason`; `limit` tells whether there was more than is ever looked at.
    pub fn new(reason: impl Into<String>, limit: bool) -> Self {
        Self { reason: reason.into(), limit }
    }

    pub(super) const fn is_limit(&self) -> bool {
        self.limit
    }
}

/// What was found for one manifest, and what could not be looked at.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    looked: bool,
    items: Vec<Item>,
}

/// One thing that came of looking.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// There is nothing at this place.
    Absent { place: String, format: Format },
    /// This place could not be looked at.
    Failed { place: String, format: Format, failure: LookFailure },
    /// A signature, as it is kept.
    Found(RawSignature),
    /// Something that claims to be a signature and is not.
    Ignored { place: String, format: Format, manifest: Digest, reason: Reason, detail: String },
}

/// A signature as it is kept in a registry.
#[derive(Clone, Debug)]
pub(super) struct RawSignature {
    pub(super) format: Format,
    pub(super) place: String,
    /// The manifest that holds it.
    pub(super) manifest: Digest,
    /// What `payload` is fetched by.
    pub(super) digest: Digest,
    /// What the layer says that it is.
    pub(super) media_type: String,
    pub(super) annotations: HashMap<String, String>,
    pub(super) payload: Bytes,
    /// The manifest that is judged, where the signature is over its very bytes.
    pub(super) subject: Option<Bytes>,
}

impl RawSignature {
    /// Whether `other` is the same signature, kept elsewhere.
    fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.annotations == other.annotations
    }
}

impl Evidence {
    /// Whether anything was looked for. A verdict that needs evidence cannot be made without.
    pub(super) const fn is_gathered(&self) -> bool {
        self.looked
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }
}

/// Looks for everything that the rule for `image` may ask about the manifest `digest`: at once, within
/// 20 seconds and 64 MiB. Where the rule asks nobody (a pin, `never`, the deny list, an exception)
/// nothing is looked for.
pub async fn gather<S: EvidenceSource>(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    source: &S,
    clock: &dyn Clock,
) -> Evidence {
    match rule_that_asks(policy, image, digest, clock.now()) {
        Some(rule) => {
            let subject = Subject { image, digest };
            search(source, subject, &Place::all(rule, image), DEADLINE).await
        }
        None => Evidence::default(),
    }
}

/// The rule that needs evidence to judge this manifest, if there is one.
fn rule_that_asks<'p>(
    policy: &'p Policy,
    image: &ImageName,
    digest: &Digest,
    now: SystemTime,
) -> Option<&'p Rule> {
    let overridden = policy.denial_of(image, digest).is_some()
        || policy.exception_for(image, digest, now).is_some();
    let rule = policy.covering(image).filter(|_| !overridden)?;
    let free = Free { insecure: true, pinned: Some(digest) };
    let needs_nobody = matches!(places::fill(&rule.require, &[], free), Filling::Filled(_));
    (!needs_nobody && rule.require.is_attainable(digest)).then_some(rule)
}

/// For the whole search.
const DEADLINE: Duration = Duration::from_secs(20);
/// Signatures of one format that are examined. cosign stops at 1000, notation at 100.
pub(super) const MAX_SIGNATURES: usize = 64;

#[cfg(test)]
mod tests;
