//! Verdicts: what was decided about one manifest, by which rule, on what evidence, and what to do.
//!
//! A verdict is the whole story: the answer to a client, the audit record and `portcullis why` are
//! made of it and of nothing else. The words are a contract (interface, "Records"): each list here
//! is closed and spelled in one place.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::words::words;
use crate::oci::{Digest, ImageName};

words! {
    /// How a judgement ends. Three ways, never two: only [`Outcome::Admitted`] serves.
    pub enum Outcome {
        /// The manifest may be served.
        Admitted = "admitted",
        /// Policy refuses it.
        Denied = "denied",
        /// Nobody can tell now: something could not be looked at.
        Undecided = "undecided",
    }
}

words! {
    /// Why a judgement ended as it did.
    pub enum Reason {
        /// The requirement is met.
        Admitted = "admitted",
        /// Some who had to vouch did, and too few.
        BelowThreshold = "below_threshold",
        /// An attestation says something else than the policy wants.
        ConditionFalse = "condition_false",
        /// On the deny list: the digest, the repository, or the key that signed.
        DenyList = "deny_list",
        /// Signed, or pinned, for another digest.
        DigestMismatch = "digest_mismatch",
        /// Evidence could not be looked for.
        EvidenceUnreachable = "evidence_unreachable",
        /// Admitted by a dated exception.
        Exception = "exception",
        /// Admitted without any proof, as the rule wants.
        InsecureRule = "insecure_rule",
        /// More evidence than is ever looked at.
        LimitReached = "limit_reached",
        /// Signed for another repository.
        NameMismatch = "name_mismatch",
        /// The rule admits nothing.
        Never = "never",
        /// There is no policy.
        NoPolicy = "no_policy",
        /// No rule covers the repository.
        NoRule = "no_rule",
        /// There is no signature.
        NoSignature = "no_signature",
        /// The digest is one that the policy names.
        Pinned = "pinned",
        /// A signature is malformed, or contradicts what comes with it.
        SignatureInvalid = "signature_invalid",
        /// A signature is listed, and a part of it is not there.
        SignatureNotMirrored = "signature_not_mirrored",
        /// Signed by nobody whom the rule trusts.
        SignerNotTrusted = "signer_not_trusted",
        /// Signed by a key outside its window.
        TimeOutsideValidity = "time_outside_validity",
        /// A manifest that is not served at all.
        UnsupportedManifest = "unsupported_manifest",
        /// The upstream sent other bytes than the digest names.
        UpstreamIntegrity = "upstream_integrity",
        /// The upstream could not be asked.
        UpstreamUnreachable = "upstream_unreachable",
    }
}

words! {
    /// What a rule does with what it refuses.
    pub enum Mode {
        /// Serves it and records it.
        Audit = "audit",
        /// Refuses it.
        Enforce = "enforce",
        /// Serves it with a warning and records it.
        Warn = "warn",
    }
}

words! {
    /// A wire format of signatures, as `formats` in a rule names it.
    pub enum Format {
        /// A Sigstore bundle among the referrers.
        Bundle = "bundle",
        /// A classic cosign signature: `.sig` tag, or referrer.
        Cosign = "cosign",
        /// A Notary Project signature.
        Notation = "notation",
    }
}

/// What was decided about one manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The end of the judgement.
    pub outcome: Outcome,
    /// Why. For a rule that does not enforce: what the denial would have said.
    pub reason: Reason,
    /// The pattern that covers the repository, or `deny[0]`, `exception[0]`.
    pub rule: Option<String>,
    /// The rule's mode.
    pub mode: Mode,
    /// Whether policy had its way: `false` where it would have refused and the mode served anyway.
    pub enforced: bool,
    /// The hash of the policy, hex.
    pub policy: String,
    /// The hash of the trust material, hex.
    pub trust: String,
    /// One sentence: repository, digest, rule, what was required, what was found.
    pub message: String,
    /// What the person who reads this can do next. Empty when there is nothing to do.
    pub next_step: String,
    /// What was looked for, where, and what came of it.
    pub evidence: Vec<Finding>,
    /// What was required, with what met or failed each part of it.
    pub tree: Option<Node>,
    /// When the verdict has to be made again: the end of the first window that it rests on.
    #[serde(with = "optional_time")]
    pub valid_until: Option<SystemTime>,
    /// The authorities whose signatures met the requirement.
    pub signed_by: Vec<String>,
    /// The image index that lists this manifest and whose verdict this is.
    pub inherited_from: Option<Digest>,
}

/// One place that was looked at, or one signature that was found there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Where: `registry.test/acme/app:sha256-....sig`.
    pub place: String,
    /// The wire format that was looked for.
    pub format: Format,
    /// Whether something was there.
    pub found: bool,
    /// The manifest that holds the signature.
    pub manifest: Option<Digest>,
    /// The signature's payload.
    pub digest: Option<Digest>,
    /// Whether it counts.
    pub verified: bool,
    /// Why it does not.
    pub why_not: Option<Reason>,
    /// The same in words.
    pub detail: String,
    /// Whose key verifies it: authorities and fingerprint.
    pub signer: Option<String>,
}

/// One part of a requirement and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What is required, in words.
    pub requirement: String,
    /// Whether it is met.
    pub satisfied: bool,
    /// The signer that fills this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why nothing fills it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<Reason>,
    /// The same in words, for an attestation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The parts of this part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

impl Reason {
    /// Whether other evidence could have led to another end: a verdict for such a reason may change
    /// when a signature arrives, or through an index that lists the manifest.
    #[must_use]
    pub const fn depends_on_evidence(self) -> bool {
        match self {
            Self::BelowThreshold
            | Self::ConditionFalse
            | Self::DigestMismatch
            | Self::EvidenceUnreachable
            | Self::LimitReached
            | Self::NameMismatch
            | Self::NoSignature
            | Self::SignatureInvalid
            | Self::SignatureNotMirrored
            | Self::SignerNotTrusted
            | Self::TimeOutsideValidity => true,
            Self::Admitted
            | Self::DenyList
            | Self::Exception
            | Self::InsecureRule
            | Self::Never
            | Self::NoPolicy
            | Self::NoRule
            | Self::Pinned
            | Self::UnsupportedManifest
            | Self::UpstreamIntegrity
            | Self::UpstreamUnreachable => false,
        }
    }

    /// How a judgement for this reason ends, where policy is enforced.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Admitted | Self::Exception | Self::InsecureRule | Self::Pinned => {
                Outcome::Admitted
            }
            Self::EvidenceUnreachable | Self::LimitReached | Self::UpstreamUnreachable => {
                Outcome::Undecided
            }
            Self::BelowThreshold
            | Self::ConditionFalse
            | Self::DenyList
            | Self::DigestMismatch
            | Self::NameMismatch
            | Self::Never
            | Self::NoPolicy
            | Self::NoRule
            | Self::NoSignature
            | Self::SignatureInvalid
            | Self::SignatureNotMirrored
            | Self::SignerNotTrusted
            | Self::TimeOutsideValidity
            | Self::UnsupportedManifest
            | Self::UpstreamIntegrity => Outcome::Denied,
        }
    }
}

impl Verdict {
    /// The verdict on `child`, which the admitted image index `parent` of the same repository lists.
    /// It says whatever the parent's says, and ends when that ends.
    #[must_use]
    pub fn inherited(&self, image: &ImageName, child: &Digest, parent: &Digest) -> Self {
        let message = format!(
            "`{image}@{child}` is {} with the image index {parent}, which lists it: {}",
            self.outcome, self.message
        );
        Self { message, inherited_from: Some(*parent), ..self.clone() }
    }
}

/// `Option<SystemTime>` as RFC 3339.
mod optional_time {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::timestamp::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Timestamp).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Timestamp>::deserialize(deserializer)?.map(|time| time.0))
    }
}
