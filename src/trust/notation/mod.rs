//! Notation, the Notary Project's signature (`signatures.md` d): the third wire format.
//!
//! A signature is a referrer with one layer, an envelope in [JWS](jws) or [COSE](cose) that carries
//! the signer's whole chain of certificates. So the envelope alone shows that its bytes are whole, and
//! nothing about it shows that anybody should care: that is what an authority's trust store, its
//! identities and its level say ([`trust`], [`standing`]).
//!
//! | file | |
//! | --- | --- |
//! | [`envelope`], [`jws`], [`cose`], [`header`] | an envelope is read, and says one thing |
//! | [`algorithm`], [`chain`] | its key and its certificates are of the kinds that sign |
//! | [`payload`] | which manifest was signed |
//! | [`name`], [`trust`], [`revocation`] | whom a policy trusts |
//! | [`standing`] | what the signature is worth to an authority at a time |
//!
//! Stricter than notation, on purpose: an unknown critical header is refused without a plugin too, a
//! certificate for any purpose does not sign, envelopes are closed, and what cannot be looked at is
//! undecided and never remembered. One signature that cannot be read does not hide another.

mod algorithm;
mod chain;
mod cose;
mod envelope;
mod header;
mod jws;
mod name;
mod payload;
mod revocation;
mod standing;
mod trust;

use bytes::Bytes;

use self::payload::Target;
pub use self::trust::{Ending, NotationTrust};
pub(super) use self::{
    envelope::{COSE, Envelope, JWS},
    name::Name,
    revocation::RevocationList,
    standing::Signature,
    trust::{Action, Identities, Timestamps},
};
use super::{
    Format,
    evidence::RawSignature,
    format::{Limits, WireFormat},
    json::Malformed,
    steps::{Claim, Fault, Parsed, SignedBy},
};
use crate::oci::{Digest, Manifest, reference::CosignSuffix};

/// The format.
#[derive(Debug)]
pub(super) struct Notation;

impl WireFormat for Notation {
    fn format(&self) -> Format {
        Format::Notation
    }

    fn tag(&self) -> Option<CosignSuffix> {
        None
    }

    fn artifact_types(&self) -> &'static [&'static str] {
        &[ARTIFACT]
    }

    fn limits(&self, media_type: &str) -> Option<Limits> {
        let limits = Limits { signature: MAX_ENVELOPE, other: MAX_ENVELOPE };
        [JWS, COSE].contains(&media_type).then_some(limits)
    }

    fn most_layers(&self) -> usize {
        1
    }

    fn is_over_subject(&self, _payload: &[u8]) -> bool {
        true
    }

    fn parse(&self, raw: &RawSignature) -> Result<Parsed, Fault> {
        let envelope = Envelope::parse(&raw.media_type, &raw.payload)
            .map_err(|error| Fault::invalid(format!("cannot be read: {error}")))?;
        if let Some(subject) = &raw.subject {
            check_description(&envelope.payload, subject)?;
        }
        Ok(Parsed {
            message: Bytes::from(envelope.payload.clone()),
            signature: envelope.signature.clone(),
            signer: SignedBy::Notation(Box::new(envelope)),
            entries: Vec::new(),
            // The one timestamp of an envelope is a bare token, by authorities of Notation's own.
            timestamps: Vec::new(),
            stamped: Bytes::new(),
            claim: read_claim,
        })
    }
}

/// Whether `content` is a COSE envelope from its first byte to its last.
pub(super) fn is_cose(content: &[u8]) -> bool {
    cose::parse(content).is_ok()
}

/// Whoever signs the digest of `subject` also signs its size and media type, and has to be right.
fn check_description(payload: &[u8], subject: &[u8]) -> Result<(), Fault> {
    let Ok(target) = Target::parse(payload) else { return Ok(()) };
    let is_other = target.digest != Digest::of(subject);
    let media_type = Manifest::parse(subject, None).map(|manifest| manifest.media_type.as_str());
    let is_right = target.size == subject.len() as u64
        && media_type.is_ok_and(|media_type| media_type == target.media_type);
    if is_other || is_right {
        Ok(())
    } else {
        Err(Fault::invalid("gives the manifest another size or media type than it has"))
    }
}

fn read_claim(payload: &[u8]) -> Result<Claim, Malformed> {
    let target = Target::parse(payload)?;
    Ok(Claim { digests: vec![target.digest], reference: None })
}

/// The artifact type, and the media type of the configuration in the older form.
pub(super) const ARTIFACT: &str = "application/vnd.cncf.notary.signature";
/// Bytes of an envelope (`signatures.md` d.1). notation reads 32 MiB.
pub(super) const MAX_ENVELOPE: usize = 1 << 20;

#[cfg(test)]
mod tests;
