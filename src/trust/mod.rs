//! The gate's judgement: may this manifest be served?
//!
//! A **policy** is rules over **authorities**; an authority is someone who can vouch. Exactly one rule
//! covers a repository, the most specific. **Evidence** is what registries hold about a manifest:
//! signatures. [`gather`] finds it, [`decide`] makes a **verdict** of it, and a verdict has three
//! outcomes, never two: admitted, denied, undecided. Only the first serves; "nobody could look" is
//! neither of the others, and absence is never believed before it was seen.
//!
//! What holds everywhere in here (`signatures.md` 0):
//!
//! - A signature goes through five steps in types, each of which can only be made from the one before:
//!   parse within bounds, authenticate the bytes, authenticate the key at a time, bind to *this*
//!   digest, authorize. A wire format supplies the first; nobody can leave one of the others out.
//! - Tags, subjects, annotations and artifact types are written by strangers: they say where to look
//!   and never what is true. What counts is what the signed bytes say.
//! - One bad signature does not hide a good one, and one good one is never counted twice.
//! - Judging is pure: bytes and a time go in. Only [`evidence`](EvidenceSource) waits for anything.
//!
//! Judging costs up to 64 signatures times the keys that a rule asks, each 0.1 to 0.5 ms.

mod artifact;
mod attestation;
mod bundle;
mod classic;
mod der;
mod evidence;
#[cfg(test)]
mod fixtures;
mod format;
#[cfg(fuzzing)]
pub mod fuzzed;
mod hearing;
mod json;
pub mod keys;
mod log;
pub mod material;
mod named;
mod notation;
mod outright;
mod payload;
mod pem;
mod places;
mod policy;
pub mod recording;
mod root;
mod sentence;
mod signer;
pub mod signing;
mod stamp;
mod steps;
mod tree;
#[cfg(test)]
mod vectors;
mod verdict;
mod verify;
mod words;
mod x509;

pub use self::{
    artifact::{is_signature_artifact, is_signature_config, is_signature_payload},
    attestation::{Condition, Mistake, PredicateType, ShortName},
    evidence::{Evidence, EvidenceSource, LookFailure, gather},
    notation::NotationTrust,
    outright::{
        content_deny_listed, deny_listed, failed, readable_artifact, unreachable, unresolved,
        unsupported,
    },
    policy::{
        Anchors, Attestation, Authority, AuthorityKey, CATALOGUE, Certifier, Denial, Denied,
        Ending, Exception, Group, Keyless, Keys, Kind, Matcher, MatcherError, Pattern,
        PatternError, Place, Policy, Problem, Quantity, Require, Rule, SOON, SignedAs,
        SubjectMatcher, TrustRoot, Wanted, Warning, WarningKind, Window,
    },
    verdict::{Finding, Format, Mode, Node, Outcome, Reason, Verdict},
    verify::decide,
};
