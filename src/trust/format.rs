//! Wire formats: what a new one has to say.
//!
//! A format is one file with one implementation of [`WireFormat`], and one line in [`FORMATS`]. It
//! says where its signatures are kept and how to read one; finding them, and everything that makes a
//! signature count, is shared ([`super::evidence`], [`super::steps`]).

use super::{
    Format,
    bundle::Bundle,
    classic::Classic,
    evidence::RawSignature,
    notation::Notation,
    steps::{Fault, Parsed},
};
use crate::oci::reference::CosignSuffix;

/// One way in which signatures are kept in a registry.
pub(super) trait WireFormat: std::fmt::Debug + Sync {
    /// Its name in policies and records.
    fn format(&self) -> Format;

    /// Under which of cosign's tags its signatures are kept, if under any.
    fn tag(&self) -> Option<CosignSuffix>;

    /// The artifact types by which its signatures are found among referrers.
    fn artifact_types(&self) -> &'static [&'static str];

    /// How large a layer of this media type may be; `None` for one that is no signature.
    fn limits(&self, media_type: &str) -> Option<Limits>;

    /// How many layers a manifest of signatures may have.
    fn most_layers(&self) -> usize;

    /// Whether this signature is over the manifest itself, so that its bytes are needed to verify it.
    fn is_over_subject(&self, payload: &[u8]) -> bool;

    /// Step 1: reads one signature.
    ///
    /// # Errors
    /// When it does not have the form of one.
    fn parse(&self, raw: &RawSignature) -> Result<Parsed, Fault>;
}

/// Sizes of a layer, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most that a signature has.
    pub(super) signature: usize,
    /// The most that something else of the same media type has. What is between the two is known to
    /// be no signature, and is not fetched.
    pub(super) other: usize,
}

/// Every format that is judged.
pub(super) const FORMATS: [&dyn WireFormat; 3] = [&Classic, &Bundle, &Notation];

/// The format called `format`, if it is judged.
pub(super) fn judged(format: Format) -> Option<&'static dyn WireFormat> {
    FORMATS.into_iter().find(|known| known.format() == format)
}

/// The judged format whose signatures have this artifact type.
pub(super) fn of_artifact_type(artifact_type: &str) -> Option<&'static dyn WireFormat> {
    FORMATS.into_iter().find(|known| known.artifact_types().contains(&artifact_type))
}

/// What a referrer's artifact type says it is, of the formats and versions that are known and not
/// judged, in words that follow "only": so that a person hears that it was seen.
pub(super) fn unjudged(artifact_type: &str) -> Option<(Format, &'static str)> {
    if artifact_type.starts_with("application/vnd.dev.sigstore.bundle") {
        let what =
            "a Sigstore bundle of another version than 0.3, which is not taken from a registry";
        Some((Format::Bundle, what))
    } else {
        None
    }
}
