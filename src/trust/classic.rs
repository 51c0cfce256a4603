//! The classic cosign signature: the first wire format (`signatures.md` a).
//!
//! The signatures of a manifest are the layers of one other manifest, under the tag
//! `sha256-<hex>.sig` or, as an OCI 1.1 referrer, under an artifact type. A layer's blob is the signed
//! payload; the signature and all that goes with it are annotations of the layer's descriptor. The
//! spelling of the annotations is that of cosign's code, which its specification gets wrong.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    Format,
    evidence::RawSignature,
    format::{Limits, WireFormat},
    json::{Json, Malformed},
    log::{LogEntry, Signed},
    payload::{MAX_PAYLOAD_SIZE, Payload},
    pem,
    steps::{Chain, Claim, Fault, Parsed, SignedBy},
    x509::Certificate,
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
        let signature = read_signature(raw.annotations.get(SIGNATURE).map(String::as_str))?;
        let signed = Signed { signature: &signature, message: &raw.payload, payload: None };
        let Beside { entries, timestamps, signer } = Beside::read(raw, &signed)?;
        Ok(Parsed {
            message: raw.payload.clone(),
            stamped: signature.clone().into(),
            signature,
            signer,
            entries,
            timestamps,
            predicate_type: None,
            claim: read_claim,
        })
    }
}

/// What annotations say beside the signature, of signatures and of attestations alike.
pub(super) struct Beside {
    pub(super) entries: Vec<LogEntry>,
    pub(super) timestamps: Vec<Vec<u8>>,
    pub(super) signer: SignedBy,
}

impl Beside {
    /// Reads the annotations of `raw`, which go with `signed`.
    ///
    /// # Errors
    /// When one of them is malformed, or the log entry is about something else.
    pub(super) fn read(raw: &RawSignature, signed: &Signed<'_>) -> Result<Self, Fault> {
        let annotation = |name: &str| raw.annotations.get(name).map(String::as_str);
        let entry = annotation(LOG_ENTRY)
            .map(|text| LogEntry::parse(text, signed))
            .transpose()
            .map_err(|error| Fault::invalid(format!("comes with a wrong log entry: {error}")))?;
        let timestamp = annotation(TIMESTAMP)
            .map(read_timestamp)
            .transpose()
            .map_err(|error| Fault::invalid(format!("comes with a wrong timestamp: {error}")))?;
        let signer = read_signer(annotation(CERTIFICATE), annotation(CHAIN)).map_err(|error| {
            Fault::invalid(format!("comes with a malformed certificate: {error}"))
        })?;
        let (entries, timestamps) = (entry.into_iter().collect(), timestamp.into_iter().collect());
        Ok(Self { entries, timestamps, signer })
    }
}

fn read_signature(annotation: Option<&str>) -> Result<Vec<u8>, Fault> {
    let signature =
        annotation.ok_or_else(|| Fault::invalid(format!("has no `{SIGNATURE}` annotation")))?;
    if signature.is_empty() || signature.len() > MAX_SIGNATURE {
        return Err(Fault::invalid("is empty or longer than 8 KiB"));
    }
    STANDARD
        .decode(signature)
        .map_err(|_| Fault::invalid("is not standard base64, padded and without spaces"))
}

/// What comes above the certificate only ever leads to an authority of one's own, which may be its end:
/// cosign writes the root too.
fn read_signer(certificate: Option<&str>, chain: Option<&str>) -> Result<SignedBy, Malformed> {
    let Some(certificate) = certificate else { return Ok(SignedBy::Key) };
    let leaf = Certificate::from_pem(certificate.as_bytes())?;
    let blocks = match chain {
        Some(chain) if chain.len() > MAX_CHAIN => {
            return Err(Malformed("its chain is larger than 64 KiB".to_owned()));
        }
        Some(chain) => pem::decode_several(chain.as_bytes(), &["CERTIFICATE"], MAX_CERTIFICATES)
            .map_err(|error| Malformed(format!("its chain: {error}")))?,
        None => Vec::new(),
    };
    let intermediates = blocks.iter().map(|der| Certificate::from_der(der));
    let intermediates = intermediates.collect::<Result<_, _>>()?;
    Ok(SignedBy::Certificate(Box::new(Chain { leaf, intermediates })))
}

fn read_timestamp(annotation: &str) -> Result<Vec<u8>, Malformed> {
    if annotation.len() > MAX_TIMESTAMP {
        return Err(Malformed("it is larger than 64 KiB".to_owned()));
    }
    let [response] = Json::parse(annotation.as_bytes())?
        .members("the annotation", ["SignedRFC3161Timestamp"])?;
    response.base64("`SignedRFC3161Timestamp`")
}

fn read_claim(message: &[u8]) -> Result<Claim, Malformed> {
    let Payload { digest, reference } = Payload::parse(message)?;
    Ok(Claim { digests: vec![digest], reference: Some(reference), statement: None })
}

/// The annotation that holds the signature in base64.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotation that holds a keyless signer's certificate.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// The annotation that holds the certificates above it.
const CHAIN: &str = "dev.sigstore.cosign/chain";
/// The annotation that holds Rekor's promise.
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
/// The annotation that holds an RFC 3161 timestamp.
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// Characters of a signature in base64. RSA with 8192 bits has 1,368.
const MAX_SIGNATURE: usize = 8 << 10;
/// Characters of a chain.
const MAX_CHAIN: usize = 64 << 10;
/// Certificates of a chain.
const MAX_CERTIFICATES: usize = 6;
/// Characters of a timestamp's annotation. Real ones have 3,000.
const MAX_TIMESTAMP: usize = 64 << 10;
