//! Attestations as cosign kept them before bundles (`signatures.md` a.1, a.5 and a.7).
//!
//! Those of a manifest are the layers of one other manifest, under the tag `sha256-<hex>.att` or as a
//! referrer of type `application/vnd.in-toto+json`. A layer's blob is an envelope, which holds its own
//! signature; the annotations that go with classic signatures go with it too, and that of the
//! signature is there and empty. Beside envelopes, BuildKit keeps statements that nobody has signed:
//! they are no evidence.

use super::{
    MAX_ATTESTATION,
    dsse::{Envelope, claim_of},
};
use crate::{
    oci::{media_type::DSSE_ENVELOPE, reference::CosignSuffix},
    trust::{
        Format,
        classic::Beside,
        evidence::RawSignature,
        format::{Limits, WireFormat},
        json::Json,
        log::Signed,
        steps::{Fault, Parsed},
    },
};

/// The format.
#[derive(Debug)]
pub(in crate::trust) struct Attached;

impl WireFormat for Attached {
    fn format(&self) -> Format {
        Format::Cosign
    }

    fn only_attests(&self) -> bool {
        true
    }

    fn tag(&self) -> Option<CosignSuffix> {
        Some(CosignSuffix::Attestations)
    }

    fn artifact_types(&self) -> &'static [&'static str] {
        &["application/vnd.in-toto+json"]
    }

    fn limits(&self, media_type: &str) -> Option<Limits> {
        let limits = Limits { signature: MAX_ATTESTATION, attestation: MAX_ATTESTATION };
        (media_type == DSSE_ENVELOPE).then_some(limits)
    }

    fn most_layers(&self) -> usize {
        usize::MAX
    }

    fn is_over_subject(&self, _payload: &[u8]) -> bool {
        false
    }

    fn parse(&self, raw: &RawSignature) -> Result<Parsed, Fault> {
        let envelope = Json::parse(&raw.payload).and_then(Envelope::parse);
        let envelope = envelope
            .map_err(|error| Fault::invalid(format!("is in a malformed envelope: {error}")))?;
        let Some(kind) = envelope.attests()? else {
            return Err(Fault::invalid("is a signature where attestations are kept"));
        };
        let message = envelope.message();
        let signed = Signed {
            signature: &envelope.signature,
            message: &message,
            payload: Some(&envelope.payload),
        };
        let Beside { entries, timestamps, signer } = Beside::read(raw, &signed)?;
        Ok(Parsed {
            message: message.into(),
            // There is no signature beside the envelope to be stamped, so the envelope is.
            stamped: raw.payload.clone(),
            signature: envelope.signature,
            signer,
            entries,
            timestamps,
            predicate_type: Some(kind),
            claim: claim_of(true),
        })
    }
}
