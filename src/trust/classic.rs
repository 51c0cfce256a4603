//! The classic cosign signature: the first wire format (`signatures.md` a).
//!
//! The signatures of a manifest are the layers of one other manifest, under the tag
//! `sha256-<hex>.sig` or, as an OCI 1.1 referrer, under an artifact type. A layer's blob is the signed
//! payload; the signature and all that goes with it are annotations of the layer's descriptor. The
//! spelling of the annotations is that of cosign's code, which its specification gets wrong.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Format, Reason,
    evidence::RawSignature,
    format::{Limits, WireFormat},
    json::Malformed,
    log::{self, LogEntry, Signed},
    payload::{MAX_PAYLOAD_SIZE, Payload},
    steps::{Claim, Fault, Parsed},
};
use crate::oci::{
    media_type::{COSIGN_SIGNATURE_ARTIFACT, COSIGN_SIMPLE_SIGNING},
    reference::CosignSuffix,
};

/// The format.
#[derive(Debug)]
pub(super) struct Classic;

impl WireFormat for Classic {
    fn format(&self) -> Format {
        Format::Cosign
    }

    fn tag(&self) -> Option<CosignSuffix> {
        Some(CosignSuffix::Signatures)
    }

    fn artifact_types(&self) -> &'static [&'static str] {
        &[COSIGN_SIGNATURE_ARTIFACT]
    }

    fn limits(&self, media_type: &str) -> Option<Limits> {
        let limits = Limits { signature: MAX_PAYLOAD_SIZE, attestation: MAX_PAYLOAD_SIZE };
        (media_type == COSIGN_SIMPLE_SIGNING).then_some(limits)
    }

    fn most_layers(&self) -> usize {
        usize::MAX
    }

    fn is_over_subject(&self, _payload: &[u8]) -> bool {
        false
    }

    fn parse(&self, raw: &RawSignature) -> Result<Parsed, Fault> {
        let annotation = |name: &str| raw.annotations.get(name).map(String::as_str);
        if annotation(CERTIFICATE).is_some() {
            let detail = "is keyless, which is not supported yet";
            return Err(Fault::new(Reason::SignerNotTrusted, detail));
        }
        let signature = annotation(SIGNATURE)
            .ok_or_else(|| Fault::invalid(format!("has no `{SIGNATURE}` annotation")))?;
        if signature.is_empty() || signature.len() > MAX_SIGNATURE {
            return Err(Fault::invalid("is empty or longer than 8 KiB"));
        }
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| Fault::invalid("is not standard base64, padded and without spaces"))?;
        let signed = Signed { signature: &signature, message: &raw.payload, payload: None };
        let entry = annotation(LOG_ENTRY)
            .map(|text| LogEntry::parse(text, &signed))
            .transpose()
            .map_err(|error| Fault::invalid(format!("comes with a wrong log entry: {error}")))?;
        let remark = log::remark(entry.is_some(), annotation(TIMESTAMP).is_some());
        let entries = entry.into_iter().collect();
        let message = raw.payload.clone();
        let (predicate_type, claim) = (None, read_claim);
        Ok(Parsed { message, signature, entries, remark, predicate_type, claim })
    }
}

fn read_claim(message: &[u8]) -> Result<Claim, Malformed> {
    let Payload { digest, reference } = Payload::parse(message)?;
    Ok(Claim { digests: vec![digest], reference: Some(reference), statement: None })
}

/// The annotation that holds the signature in base64.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotation that holds a keyless signer's certificate.
pub(super) const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// The annotation that holds Rekor's promise.
pub(super) const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
/// The annotation that holds an RFC 3161 timestamp.
pub(super) const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// Characters of a signature in base64. RSA with 8192 bits has 1,368.
const MAX_SIGNATURE: usize = 8 << 10;
