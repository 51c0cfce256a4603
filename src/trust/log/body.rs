//! The body of a log entry: what a log says that it has logged, in the four kinds that stand for
//! image signatures (`signatures.md` a.5 and c.4; Rekor's `pkg/types`, rekor-tiles' `api/proto`).
//!
//! | kind | for | says |
//! | --- | --- | --- |
//! | `hashedrekord` 0.0.1 | what is signed directly | hash, signature, key as PEM |
//! | `hashedrekord` 0.0.2 | everything, in Rekor 2 | hash, signature, key as DER and how it signs |
//! | `dsse` 0.0.1 | envelopes | hash of the payload, signature, key as PEM |
//! | `intoto` 0.0.2 | envelopes, earlier | hash of the payload, signature in base64 twice, key as PEM |
//!
//! The hash of the whole envelope, which the last two hold, is that of the text that was uploaded.
//! Nobody has that text any more, so it cannot be compared.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::Digest as _;

use crate::{
    oci::digest::hex_of,
    trust::{
        json::{Json, Malformed, Members},
        pem,
    },
};

/// What the entry must be about.
#[derive(Clone, Copy, Debug)]
pub(in crate::trust) struct Signed<'s> {
    pub(in crate::trust) signature: &'s [u8],
    /// The bytes that the signature is over.
    pub(in crate::trust) message: &'s [u8],
    /// The payload of the envelope, where there is one.
    pub(in crate::trust) payload: Option<&'s [u8]>,
}

/// The kinds of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Kind {
    Dsse,
    HashedRekord1,
    HashedRekord2,
    Intoto,
}

impl Kind {
    /// The kind of this name and version.
    ///
    /// # Errors
    /// When it stands for no signature.
    pub(in crate::trust) fn of(name: &str, version: &str) -> Result<Self, Malformed> {
        match (name, version) {
            ("dsse", "0.0.1") => Ok(Self::Dsse),
            ("hashedrekord", "0.0.1") => Ok(Self::HashedRekord1),
            ("hashedrekord", "0.0.2") => Ok(Self::HashedRekord2),
            ("intoto", "0.0.2") => Ok(Self::Intoto),
            _ => Err(Malformed("it is of a kind that stands for no signature".to_owned())),
        }
    }
}

/// A body that is about the signature it came with.
#[derive(Debug)]
pub(in crate::trust) struct Body {
    pub(super) kind: Kind,
    /// The key, or the certificate, that it says has signed: DER.
    pub(super) signer: Vec<u8>,
    /// How it says that the key signs, where it says so: a `PublicKeyDetails` of Sigstore.
    pub(super) details: Option<String>,
}

impl Body {
    /// Reads `bytes`, which came with `signed`.
    ///
    /// # Errors
    /// When they are no body, or are about something else.
    pub(in crate::trust) fn parse(bytes: &[u8], signed: &Signed<'_>) -> Result<Self, Malformed> {
        let [version, kind, spec] =
            Json::parse(bytes)?.members("the entry", ["apiVersion", "kind", "spec"])?;
        let kind = Kind::of(&kind.text("`kind`")?, &version.text("`apiVersion`")?)?;
        let (signer, details) = match kind {
            Kind::Dsse => (dsse(spec, signed)?, None),
            Kind::HashedRekord1 => (hashed_rekord_1(spec, signed)?, None),
            Kind::HashedRekord2 => {
                let verifier = hashed_rekord_2(spec, signed)?;
                if verifier.entry(signed) != bytes {
                    return Err(Malformed("it is not written in the one way".to_owned()));
                }
                (verifier.signer, Some(verifier.details))
            }
            Kind::Intoto => (intoto(spec, signed)?, None),
        };
        Ok(Self { kind, signer, details })
    }
}

fn hashed_rekord_1(spec: Json, signed: &Signed<'_>) -> Result<Vec<u8>, Malformed> {
    let [data, signature] = spec.members("`spec`", ["data", "signature"])?;
    let [hash] = data.members("`data`", ["hash"])?;
    check_hash(hash, signed.message)?;
    let [content, key] = signature.members("`signature`", ["content", "publicKey"])?;
    check_signature(&content.base64("`content`")?, signed)?;
    let [key] = key.members("`publicKey`", ["content"])?;
    signer_in_pem(&key.base64("`publicKey`")?)
}

fn hashed_rekord_2(spec: Json, signed: &Signed<'_>) -> Result<Verifier, Malformed> {
    let [spec] = spec.members("`spec`", ["hashedRekordV002"])?;
    let [data, signature] = spec.members("`hashedRekordV002`", ["data", "signature"])?;
    let [algorithm, digest] = data.members("`data`", ["algorithm", "digest"])?;
    let algorithm = algorithm.text("`algorithm`")?;
    if digest.base64("`digest`")? != hash_of(&algorithm, signed.message)? {
        return Err(Malformed("it is about another payload".to_owned()));
    }
    let [content, verifier] = signature.members("`signature`", ["content", "verifier"])?;
    check_signature(&content.base64("`content`")?, signed)?;
    let mut verifier = Members::of(verifier, "`verifier`")?;
    let details = verifier.require("keyDetails")?.text("`keyDetails`")?;
    // `PKIX_ECDSA_P256_SHA_256`, `PKIX_RSA_PKCS1V15_2048_SHA256`: what ends the one ends the other.
    if !details.ends_with(algorithm.trim_start_matches("SHA2_")) {
        return Err(Malformed("its key signs another hash".to_owned()));
    }
    let (kind, signer) = match (verifier.take(PUBLIC_KEY), verifier.take(CERTIFICATE)) {
        (Some(key), None) => (PUBLIC_KEY, key),
        (None, Some(certificate)) => (CERTIFICATE, certificate),
        _ => return Err(Malformed("`verifier` is not one key or certificate".to_owned())),
    };
    verifier.finish()?;
    let [bytes] = signer.members("`verifier`", ["rawBytes"])?;
    Ok(Verifier { kind, signer: bytes.base64("`rawBytes`")?, details, algorithm })
}

/// Who signed, in an entry of Rekor 2.
struct Verifier {
    kind: &'static str,
    signer: Vec<u8>,
    details: String,
    algorithm: String,
}

impl Verifier {
    /// The entry about `signed`, in canonical JSON (RFC 8785): what the log has hashed. It is made
    /// from what was signed, so that nothing in an entry can be read over.
    fn entry(&self, signed: &Signed<'_>) -> Vec<u8> {
        let digest = hash_of(&self.algorithm, signed.message).unwrap_or_default();
        let [digest, content, signer] =
            [&digest, signed.signature, &self.signer].map(|bytes| STANDARD.encode(bytes));
        let Self { kind, details, algorithm, .. } = self;
        format!(
            r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"{algorithm}","digest":"{digest}"}},"signature":{{"content":"{content}","verifier":{{"keyDetails":"{details}","{kind}":{{"rawBytes":"{signer}"}}}}}}}}}}}}"#
        )
        .into_bytes()
    }
}

const PUBLIC_KEY: &str = "publicKey";
const CERTIFICATE: &str = "x509Certificate";

fn dsse(spec: Json, signed: &Signed<'_>) -> Result<Vec<u8>, Malformed> {
    let [_, payload, signatures] =
        spec.members("`spec`", ["envelopeHash", "payloadHash", "signatures"])?;
    check_hash(payload, payload_of(signed)?)?;
    let [signature, verifier] =
        only(signatures)?.members("the signature", ["signature", "verifier"])?;
    check_signature(&signature.base64("`signature`")?, signed)?;
    signer_in_pem(&verifier.base64("`verifier`")?)
}

fn intoto(spec: Json, signed: &Signed<'_>) -> Result<Vec<u8>, Malformed> {
    let [content] = spec.members("`spec`", ["content"])?;
    let [envelope, _, payload] =
        content.members("`content`", ["envelope", "hash", "payloadHash"])?;
    check_hash(payload, payload_of(signed)?)?;
    let mut envelope = Members::of(envelope, "`envelope`")?;
    // Rekor keeps the payload apart. Where it is here all the same, `payloadHash` stands for it.
    let _ = (envelope.take("payload"), envelope.take("payloadType"));
    let mut signature = Members::of(only(envelope.require("signatures")?)?, "the signature")?;
    envelope.finish()?;
    let _ = signature.take("keyid");
    // In base64 twice, for no reason that anybody remembers.
    let signed_once = signature.require("sig")?.base64("`sig`")?;
    check_signature(&STANDARD.decode(signed_once).unwrap_or_default(), signed)?;
    let key = signature.require("publicKey")?.base64("`publicKey`")?;
    signature.finish()?;
    signer_in_pem(&key)
}

/// The one entry of a list.
fn only(signatures: Json) -> Result<Json, Malformed> {
    let entries = signatures.list("`signatures`", 1)?;
    entries.into_iter().next().ok_or_else(|| Malformed("it holds no signature".to_owned()))
}

fn payload_of<'s>(signed: &Signed<'s>) -> Result<&'s [u8], Malformed> {
    signed.payload.ok_or_else(|| Malformed("it is about an envelope, and there is none".to_owned()))
}

fn check_signature(logged: &[u8], signed: &Signed<'_>) -> Result<(), Malformed> {
    if logged == signed.signature {
        Ok(())
    } else {
        Err(Malformed("it is about another signature".to_owned()))
    }
}

/// The hash in the entry is of `content`. Keys on the longer curves may have signed a longer hash.
fn check_hash(hash: Json, content: &[u8]) -> Result<(), Malformed> {
    let [algorithm, value] = hash.members("`hash`", ["algorithm", "value"])?;
    let name = match algorithm.text("`algorithm`")?.as_str() {
        "sha256" => "SHA2_256",
        "sha384" => "SHA2_384",
        "sha512" => "SHA2_512",
        _ => "",
    };
    if value.text("`value`")? == hex_of(&hash_of(name, content)?) {
        Ok(())
    } else {
        Err(Malformed("it is about another payload".to_owned()))
    }
}

/// The hash of `content` by a Sigstore `HashAlgorithm`.
///
/// # Errors
/// When it is none that signers use.
pub(in crate::trust) fn hash_of(algorithm: &str, content: &[u8]) -> Result<Vec<u8>, Malformed> {
    match algorithm {
        "SHA2_256" => Ok(sha2::Sha256::digest(content).to_vec()),
        "SHA2_384" => Ok(sha2::Sha384::digest(content).to_vec()),
        "SHA2_512" => Ok(sha2::Sha512::digest(content).to_vec()),
        _ => Err(Malformed("its hash algorithm is not known".to_owned())),
    }
}

fn signer_in_pem(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    pem::decode(text, &["PUBLIC KEY", "CERTIFICATE"])
        .map(|(_, signer)| signer)
        .map_err(|error| Malformed(format!("its key: {error}")))
}
