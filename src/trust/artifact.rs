//! Signature artifacts: what may be read without a rule, because it is signature material and cannot
//! be anything else (G-48).
//!
//! Clients verify too, so the mirror must hand signatures out, and nobody signs signatures. An
//! attacker would therefore store a runnable image where a signature is expected: under
//! `sha256-<hex>.sig`, under an artifact type, as a referrer. Nothing of that is looked at here. What
//! is looked at is what a client would run: the manifest lists only layers of one signature type and
//! of a signature's size, its configuration describes nothing, and each layer parses as the document
//! that its type claims. A JSON document is neither a tar archive nor anything compressed, so no
//! runtime can unpack it.
//!
//! COSE signatures of Notation are the exception: they are no text, and bytes can be both COSE and a
//! tar archive. So they have to be a whole envelope, and must not begin with what every reader of tar
//! archives demands, a header with a right checksum.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    bundle,
    classic::SIGNATURE,
    evidence::MAX_SIGNATURES,
    json::{Json, member_names},
    notation,
    payload::Payload,
};
use crate::oci::{
    Descriptor, Manifest, MediaType, Shape,
    media_type::{
        COSIGN_SIGNATURE_ARTIFACT, COSIGN_SIMPLE_SIGNING, DSSE_ENVELOPE, OCI_CONFIG, OCI_EMPTY,
    },
};

/// Whether `manifest` lists signature material and nothing else. Its configuration and every layer
/// have to pass [`is_signature_config`] and [`is_signature_payload`] as well.
#[must_use]
pub fn is_signature_artifact(manifest: &Manifest) -> bool {
    let Shape::Image { config, layers } = &manifest.shape else { return false };
    let Some(kind) = layers.first().and_then(|layer| Kind::of(&layer.media_type)) else {
        return false;
    };
    manifest.media_type == MediaType::OciManifest
        && layers.len() <= MAX_SIGNATURES
        && layers.iter().all(|layer| kind.describes(layer))
        && kind.allows(config)
        && (manifest.subject.is_some() || !kind.is_referrer())
}

/// Whether `content` is a configuration that describes nothing to run: empty, or what cosign writes
/// beside `layers`.
#[must_use]
pub fn is_signature_config(media_type: &str, content: &[u8], layers: &[Descriptor]) -> bool {
    match media_type {
        OCI_EMPTY | notation::ARTIFACT => content == b"{}",
        OCI_CONFIG | COSIGN_SIGNATURE_ARTIFACT => {
            Json::parse(content).is_ok_and(|config| describes_nothing(config, layers))
        }
        _ => false,
    }
}

/// Whether `content` is the document that `media_type` claims.
#[must_use]
pub fn is_signature_payload(media_type: &str, content: &[u8]) -> bool {
    let Some(kind) = Kind::of(media_type) else { return false };
    content.len() as u64 <= kind.limit()
        && match kind {
            Kind::SimpleSigning => Payload::parse(content).is_ok(),
            Kind::Dsse => has_members(content, &["payload", "payloadType", "signatures"], &[]),
            Kind::Bundle => {
                let content_of = ["messageSignature", "dsseEnvelope"];
                has_members(content, &["mediaType", "verificationMaterial"], &content_of)
            }
            Kind::Cose => notation::is_cose(content) && !is_tar(content),
            Kind::Jws => {
                has_members(content, &["payload", "protected", "header", "signature"], &[])
            }
        }
}

/// What signature material there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bundle,
    Cose,
    Dsse,
    Jws,
    SimpleSigning,
}

impl Kind {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            COSIGN_SIMPLE_SIGNING => Some(Self::SimpleSigning),
            DSSE_ENVELOPE => Some(Self::Dsse),
            kind if bundle::MEDIA_TYPES.contains(&kind) => Some(Self::Bundle),
            notation::COSE => Some(Self::Cose),
            notation::JWS => Some(Self::Jws),
            _ => None,
        }
    }

    /// Bytes of a layer.
    const fn limit(self) -> u64 {
        match self {
            Self::SimpleSigning => 64 << 10,
            Self::Cose | Self::Jws => notation::MAX_ENVELOPE as u64,
            // Attestations carry whole bills of materials.
            Self::Bundle | Self::Dsse => bundle::MAX_ATTESTATION as u64,
        }
    }

    /// Whether it is only ever found by what it refers to.
    const fn is_referrer(self) -> bool {
        matches!(self, Self::Bundle | Self::Cose | Self::Jws)
    }

    fn describes(self, layer: &Descriptor) -> bool {
        let signature = layer.annotations.get(SIGNATURE).map(String::as_str);
        let is_signed = match self {
            Self::SimpleSigning => {
                signature.is_some_and(|text| !text.is_empty() && STANDARD.decode(text).is_ok())
            }
            // cosign writes the annotation on attestations too, and leaves it empty.
            Self::Dsse => signature.is_none_or(str::is_empty),
            Self::Bundle | Self::Cose | Self::Jws => true,
        };
        Self::of(&layer.media_type) == Some(self) && layer.size <= self.limit() && is_signed
    }

    fn allows(self, config: &Descriptor) -> bool {
        match config.media_type.as_str() {
            OCI_EMPTY => config.size == 2,
            OCI_CONFIG => !self.is_referrer() && config.size <= MAX_CONFIG,
            COSIGN_SIGNATURE_ARTIFACT => self == Self::SimpleSigning && config.size <= MAX_CONFIG,
            notation::ARTIFACT => matches!(self, Self::Cose | Self::Jws) && config.size == 2,
            _ => false,
        }
    }
}

/// Bytes of a configuration. cosign writes 109 per signature and 124 around them.
const MAX_CONFIG: u64 = 16 << 10;

/// Members of an image configuration that a signature's may have, each without saying anything.
fn describes_nothing(config: Json, layers: &[Descriptor]) -> bool {
    let Ok(members) = config.object("the configuration") else { return false };
    members.into_iter().all(|(name, value)| match name.as_str() {
        "architecture" | "os" => value == Json::Text(String::new()),
        "author" | "created" => matches!(value, Json::Text(_)),
        "config" => value == Json::Null || value == Json::Object(Vec::new()),
        "history" => is_plain_history(value, layers.len()),
        "rootfs" => lists_only(value, layers),
        _ => false,
    })
}

/// At most one entry per layer, of dates and remarks alone.
fn is_plain_history(history: Json, layers: usize) -> bool {
    let plain = |entry: Json| {
        entry.object("an entry").is_ok_and(|members| {
            members.iter().all(|(name, value)| {
                matches!(name.as_str(), "author" | "comment" | "created" | "created_by")
                    && matches!(value, Json::Text(_))
            })
        })
    };
    match history {
        Json::Null => true,
        Json::List(entries) => entries.len() <= layers && entries.into_iter().all(plain),
        _ => false,
    }
}

/// The "file system" of a signature is the payloads themselves, and no archive.
fn lists_only(rootfs: Json, layers: &[Descriptor]) -> bool {
    let Ok([kind, ids]) = rootfs.members("`rootfs`", ["type", "diff_ids"]) else { return false };
    let listed = match ids {
        Json::Null => Vec::new(),
        Json::List(ids) => ids,
        _ => return false,
    };
    let is_payload =
        |(id, layer): (&Json, &Descriptor)| *id == Json::Text(layer.digest.to_string());
    kind == Json::Text("layers".to_owned())
        && (listed.is_empty() || listed.len() == layers.len())
        && listed.iter().zip(layers).all(is_payload)
}

/// Whether a reader of tar archives would take `content`: whether the checksum of its first header is
/// that header's, with the checksum itself read as spaces (POSIX.1, `pax`, "ustar Interchange Format").
fn is_tar(content: &[u8]) -> bool {
    let Some(header) = content.first_chunk::<TAR_HEADER>() else { return false };
    let text = std::str::from_utf8(&header[TAR_CHECKSUM]).unwrap_or_default();
    let Ok(stated) = u64::from_str_radix(text.trim_matches(['\0', ' ']), 8) else { return false };
    let around = header.iter().enumerate().filter(|(at, _)| !TAR_CHECKSUM.contains(at));
    let spaces = TAR_CHECKSUM.len() as u64 * u64::from(b' ');
    let (mut unsigned, mut signed) = (spaces, spaces.cast_signed());
    for (_, byte) in around {
        unsigned += u64::from(*byte);
        signed += i64::from(byte.cast_signed());
    }
    // Old archives were written by programs whose bytes had a sign.
    stated == unsigned || stated.cast_signed() == signed
}

/// Bytes of a header in a tar archive, and where its checksum is.
const TAR_HEADER: usize = 512;
const TAR_CHECKSUM: std::ops::Range<usize> = 148..156;

/// Whether `content` is an object with exactly the members `all` and one of `one_of`.
fn has_members(content: &[u8], all: &[&str], one_of: &[&str]) -> bool {
    let Ok(names) = member_names(content) else { return false };
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let alternatives = names.iter().filter(|name| one_of.contains(name)).count();
    all.iter().all(|name| names.contains(name))
        && names.iter().all(|name| all.contains(name) || one_of.contains(name))
        && (one_of.is_empty() || alternatives == 1)
}

#[cfg(test)]
mod tests;
