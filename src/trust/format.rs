//! Wire formats: what a new one has to say.
//!
//! A format is one file with one implementation of [`WireFormat`], and one line in [`FORMATS`]. It
//! says where its signatures are kept and how to read one; finding them, and everything that makes a
//! signature count, is shared ([`super::evidence`], [`super::steps`]).

use super::{
    Format,
    classic::Classic,
    evidence::RawSignature,
    steps::{Fault, Parsed},
};
use crate::oci::{Digest, Tag};

/// One way in which signatures are kept in a registry.
pub(super) trait WireFormat: std::fmt::Debug + Sync {
    /// Its name in policies and records.
    fn format(&self) -> Format;

    /// The tag under which the signatures of `subject` are kept.
    fn tag(&self, subject: &Digest) -> Tag;

    /// The artifact type by which its signatures are found among referrers.
    fn artifact_type(&self) -> &'static str;

    /// How large a layer of this media type may be, in bytes; `None` for one that is no signature.
    fn payload_limit(&self, media_type: &str) -> Option<usize>;

    /// Step 1: reads one signature.
    ///
    /// # Errors
    /// When it does not have the form of one.
    fn parse(&self, raw: &RawSignature) -> Result<Parsed, Fault>;

    /// What is there and was not verified.
    fn remark(&self, raw: &RawSignature) -> Option<&'static str>;
}

/// Every format that is judged.
pub(super) const FORMATS: [&dyn WireFormat; 1] = [&Classic];

/// The format called `format`, if it is judged.
pub(super) fn judged(format: Format) -> Option<&'static dyn WireFormat> {
    FORMATS.into_iter().find(|known| known.format() == format)
}

/// What a referrer's artifact type says it is, of the formats that are known and not judged yet: so
/// that a person hears that the signature was seen.
pub(super) fn unjudged(artifact_type: &str) -> Option<Format> {
    if artifact_type.starts_with("application/vnd.dev.sigstore.bundle") {
        Some(Format::Bundle)
    } else if artifact_type == "application/vnd.cncf.notary.signature" {
        Some(Format::Notation)
    } else {
        None
    }
}
