//! Attestations: what somebody says about an image, beside "I signed it" (in-toto attestation
//! framework 1.0; `signatures.md` f).
//!
//! An attestation is a [statement](statement) in a signed [envelope](dsse): which manifests it is
//! about, of what type it is, and a predicate, whose form is the type's own business. A rule requires
//! one by its [type](predicate), by who says it, and, with a [`Condition`], by what it says.
//!
//! A signature is the one statement that says nothing more than that it is one. The two are never
//! taken for each other (G-11): a signature fills the place of a signature, an attestation that of an
//! attestation of exactly its type.

mod attached;
mod condition;
pub(super) mod dsse;
mod predicate;
pub(super) mod statement;
mod testimony;

pub(super) use self::{attached::Attached, testimony::Testimony};
pub use self::{
    condition::{Condition, Mistake},
    predicate::{PredicateType, ShortName},
};

/// Bytes of an attestation, which may hold a whole bill of materials.
pub(super) const MAX_ATTESTATION: usize = 16 << 20;

#[cfg(test)]
mod tests;
