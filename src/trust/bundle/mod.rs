//! The Sigstore bundle, version 0.3: what cosign 3 writes by itself (`signatures.md` b; Sigstore's
//! `protos/sigstore_bundle.proto` in the JSON form of protobuf).
//!
//! A bundle is one JSON document with a signature and all that it takes to verify it, kept as the one
//! layer of a referrer. What it signs is in one of two forms: an [envelope](dsse) with a
//! [statement](statement) that names the manifest's digest, or a bare signature over the manifest
//! itself. The first can say anything about an image, so a statement counts as a signature only when
//! it says that it is one; all others are attestations, which cosign takes for signatures and this
//! does not (G-11).
//!
//! Nothing in a bundle says which repository was meant: whoever signs a digest signs it for every
//! repository whose rule asks their key (G-9). The bundle's own `mediaType` is not signed either, and
//! older versions demand less of a log's proof, so they are not taken from a registry (G-16).

mod dsse;
mod material;
mod statement;

use bytes::Bytes;

use self::{
    dsse::Envelope,
    material::Material,
    statement::{SIGNATURE, Statement},
};
use super::{
    Format, Reason,
    evidence::RawSignature,
    format::{Limits, WireFormat},
    json::{Json, Malformed, Members},
    log::{Signed, hash_of},
    steps::{Claim, Fault, Parsed},
};
use crate::oci::{Digest, reference::CosignSuffix};

/// The format.
#[derive(Debug)]
pub(super) struct Bundle;

impl WireFormat for Bundle {
    fn format(&self) -> Format {
        Format::Bundle
    }

    fn tag(&self) -> Option<CosignSuffix> {
        None
    }

    fn artifact_types(&self) -> &'static [&'static str] {
        &MEDIA_TYPES
    }

    fn limits(&self, media_type: &str) -> Option<Limits> {
        let limits = Limits { signature: MAX_SIGNATURE, other: MAX_ATTESTATION };
        MEDIA_TYPES.contains(&media_type).then_some(limits)
    }

    fn most_layers(&self) -> usize {
        1
    }

    fn is_over_subject(&self, payload: &[u8]) -> bool {
        matches!(Document::parse(payload), Ok(Document { content: Content::Message { .. }, .. }))
    }

    fn parse(&self, raw: &RawSignature) -> Result<Parsed, Fault> {
        let document = Document::parse(&raw.payload)?;
        document.check_is_signature()?;
        document.into_parsed(raw.subject.as_ref())
    }
}

type ReadClaim = fn(&[u8]) -> Result<Claim, Malformed>;

/// A bundle as it is written. Nothing in it is true yet.
#[derive(Debug)]
struct Document {
    material: Material,
    content: Content,
}

/// What is signed, and the signature.
#[derive(Debug)]
enum Content {
    Envelope(Envelope),
    Message {
        /// Algorithm and value, where given.
        digest: Option<(String, Vec<u8>)>,
        signature: Vec<u8>,
    },
}

impl Document {
    /// Reads a bundle of the one version that is taken from a registry.
    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::parse_versions(bytes, &MEDIA_TYPES)
    }

    /// Reads a bundle of one of the versions that these media types name.
    fn parse_versions(bytes: &[u8], taken: &[&str]) -> Result<Self, Fault> {
        let malformed =
            |error| Fault::invalid(format!("is in a malformed Sigstore bundle: {error}"));
        let mut members = Json::parse(bytes)
            .and_then(|document| Members::of(document, "the bundle"))
            .map_err(malformed)?;
        let media_type = members.require("mediaType").and_then(|kind| kind.text("`mediaType`"));
        let media_type = media_type.map_err(malformed)?;
        if !taken.contains(&media_type.as_str()) {
            return Err(other_version(&media_type));
        }
        Self::read(members).map_err(malformed)
    }

    fn read(mut members: Members<'_>) -> Result<Self, Malformed> {
        let material = Material::parse(members.require("verificationMaterial")?)?;
        let content = match (members.take("dsseEnvelope"), members.take("messageSignature")) {
            (Some(envelope), None) => Content::Envelope(Envelope::parse(envelope)?),
            (None, Some(message)) => read_message(message)?,
            _ => return Err(Malformed("it does not hold exactly one signature".to_owned())),
        };
        members.finish()?;
        Ok(Self { material, content })
    }

    /// Refuses what says by itself that it is an attestation. It does not count whoever signed it, so
    /// this needs no key; that a *signature* says so is read again from authentic bytes.
    fn check_is_signature(&self) -> Result<(), Fault> {
        let Content::Envelope(envelope) = &self.content else { return Ok(()) };
        let statement = Statement::parse(&envelope.payload)
            .map_err(|error| Fault::invalid(format!("is over a malformed statement: {error}")))?;
        if statement.predicate_type == SIGNATURE {
            return Ok(());
        }
        let kind = statement.predicate_type;
        let kind: String = kind.chars().filter(|letter| !letter.is_control()).take(120).collect();
        let detail = format!("an attestation of type `{kind}` in a Sigstore bundle");
        Err(Fault::new(Reason::NoSignature, detail))
    }

    /// What is signed, by whom, and who has seen it; `subject` is the manifest that a bare signature is
    /// over.
    fn into_parsed(self, subject: Option<&Bytes>) -> Result<Parsed, Fault> {
        let (message, payload, signature, claim): (Bytes, _, _, ReadClaim) = match self.content {
            Content::Envelope(envelope) => {
                let message = envelope.message();
                (message.into(), Some(envelope.payload), envelope.signature, read_statement)
            }
            Content::Message { digest, signature } => {
                let message = subject.cloned().ok_or_else(|| {
                    Fault::invalid("is over the manifest itself, which is not there")
                })?;
                check_message_digest(digest, &message)?;
                (message, None, signature, read_manifest)
            }
        };
        let Material { signer, entries, timestamps } = self.material;
        let signed =
            Signed { signature: &signature, message: &message, payload: payload.as_deref() };
        let entries = entries.into_iter().map(|record| record.about(&signed));
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Fault::invalid(format!("comes with a wrong log entry: {error}")))?;
        let stamped = signature.clone().into();
        Ok(Parsed { message, signature, signer, entries, timestamps, stamped, claim })
    }
}

/// Only version 0.3 is taken from a registry, in either of its spellings.
fn other_version(media_type: &str) -> Fault {
    let older = ["0.1", "0.2"].into_iter().find(|version| {
        media_type.strip_prefix("application/vnd.dev.sigstore.bundle+json;version=")
            == Some(*version)
    });
    Fault::invalid(match older {
        Some(version) => format!(
            "is in a Sigstore bundle of version {version}: from a registry only version 0.3 is taken"
        ),
        None => {
            "is in a Sigstore bundle of an unknown version: only version 0.3 is taken".to_owned()
        }
    })
}

fn read_message(message: Json) -> Result<Content, Malformed> {
    let mut members = Members::of(message, "`messageSignature`")?;
    let digest = members.take("messageDigest").map(|digest| {
        let [algorithm, value] = digest.members("`messageDigest`", ["algorithm", "digest"])?;
        Ok((algorithm.text("`algorithm`")?, value.base64("`digest`")?))
    });
    let signature = members.require("signature")?.base64("`signature`")?;
    members.finish()?;
    Ok(Content::Message { digest: digest.transpose()?, signature })
}

/// Nobody signed this digest, and a bundle that contradicts itself is not taken all the same.
fn check_message_digest(digest: Option<(String, Vec<u8>)>, message: &[u8]) -> Result<(), Fault> {
    let Some((algorithm, value)) = digest else { return Ok(()) };
    let ours = hash_of(&algorithm, message)
        .map_err(|error| Fault::invalid(format!("is over a digest, and {error}")))?;
    if ours == value {
        Ok(())
    } else {
        Err(Fault::invalid("says that it is over other content than this manifest"))
    }
}

/// What is said in the envelope whose signed bytes are `message`.
fn read_statement(message: &[u8]) -> Result<Claim, Malformed> {
    let payload = dsse::payload_of(message)
        .ok_or_else(|| Malformed("it is not an envelope's message".to_owned()))?;
    let digests = Statement::parse(payload)?.signs()?;
    Ok(Claim { digests, reference: None })
}

/// A signature over a manifest says nothing but that.
fn read_manifest(message: &[u8]) -> Result<Claim, Malformed> {
    Ok(Claim { digests: vec![Digest::of(message)], reference: None })
}

/// The spellings of version 0.3, as the artifact type of a referrer, as the media type of its layer
/// and inside.
pub(super) const MEDIA_TYPES: [&str; 2] = [
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
];
/// Bytes of a bundle that is a signature. Real ones have 700 with a key, 10,000 with everything.
const MAX_SIGNATURE: usize = 1 << 20;
/// Bytes of a bundle that is an attestation and may hold a whole bill of materials.
pub(super) const MAX_ATTESTATION: usize = 16 << 20;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
