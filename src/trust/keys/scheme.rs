//! Signature schemes that a document names: certificates and timestamps say how they were signed
//! (RFC 5280, 4.1.1.2; RFC 4055; RFC 5758; RFC 8410).
//!
//! Images do not, for them the key decides ([`PublicKey::verifies`]). What is named here must still
//! fit the key: an ECDSA scheme under an RSA key verifies nothing (G-25). SHA-1 is not among them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use sha2::Digest as _;
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode as _, Tag, Tagged as _, asn1::AnyRef},
};

use super::{Algorithm, PublicKey, is_ecdsa_signature};
use crate::trust::der::{Der, around};

/// A hash function that signatures may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// How something was signed, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Scheme {
    Ecdsa(Hash),
    Ed25519,
    /// RSASSA-PKCS1-v1_5.
    Pkcs1(Hash),
    /// RSASSA-PSS with a salt as long as the hash.
    Pss(Hash),
}

impl Hash {
    /// The function that the DER `AlgorithmIdentifier` names.
    pub(in crate::trust) fn of_algorithm(der: &[u8]) -> Option<Self> {
        let algorithm = AlgorithmIdentifierRef::from_der(der).ok()?;
        is_null_or_absent(algorithm.parameters).then(|| Self::of_oid(algorithm.oid))?
    }

    /// The function that the object identifier names.
    pub(in crate::trust) fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            SHA_256 => Some(Self::Sha256),
            SHA_384 => Some(Self::Sha384),
            SHA_512 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The hash of `content`.
    pub(in crate::trust) fn of(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(content).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(content).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(content).to_vec(),
        }
    }

    /// Bytes of a hash.
    const fn length(self) -> u32 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Scheme {
    /// The scheme that the DER `AlgorithmIdentifier` names.
    pub(in crate::trust) fn of_algorithm(der: &[u8]) -> Option<Self> {
        let algorithm = AlgorithmIdentifierRef::from_der(der).ok()?;
        let parameters = algorithm.parameters;
        let scheme = match algorithm.oid {
            ECDSA_SHA_256 => Self::Ecdsa(Hash::Sha256),
            ECDSA_SHA_384 => Self::Ecdsa(Hash::Sha384),
            ECDSA_SHA_512 => Self::Ecdsa(Hash::Sha512),
            ED25519 => Self::Ed25519,
            RSA_SHA_256 => Self::Pkcs1(Hash::Sha256),
            RSA_SHA_384 => Self::Pkcs1(Hash::Sha384),
            RSA_SHA_512 => Self::Pkcs1(Hash::Sha512),
            RSA_PSS => return pss(parameters?),
            _ => return None,
        };
        let fits = match scheme {
            Self::Pkcs1(_) => is_null_or_absent(parameters),
            _ => parameters.is_none(),
        };
        fits.then_some(scheme)
    }

    /// The scheme of a CMS signer, who may name the kind of key only and the hash apart from it
    /// (RFC 5652, 5.3; RFC 3370, 3.2).
    pub(in crate::trust) fn of_signer(der: &[u8], hash: Hash) -> Option<Self> {
        let algorithm = AlgorithmIdentifierRef::from_der(der).ok()?;
        if algorithm.oid == RSA && is_null_or_absent(algorithm.parameters) {
            return Some(Self::Pkcs1(hash));
        }
        Self::of_algorithm(der).filter(|scheme| scheme.hash().is_none_or(|named| named == hash))
    }

    /// The hash that it names.
    const fn hash(self) -> Option<Hash> {
        match self {
            Self::Ecdsa(hash) | Self::Pkcs1(hash) | Self::Pss(hash) => Some(hash),
            Self::Ed25519 => None,
        }
    }
}

impl PublicKey {
    /// Whether `signature` is this key's signature over `message` by `scheme`.
    pub(in crate::trust) fn verifies_by(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        if matches!(scheme, Scheme::Ecdsa(_)) && !is_ecdsa_signature(signature) {
            return false;
        }
        let algorithm: &'static dyn VerificationAlgorithm = match (self.algorithm, scheme) {
            (Algorithm::EcdsaP256, Scheme::Ecdsa(Hash::Sha256))
            | (Algorithm::Ed25519, Scheme::Ed25519) => return self.verifies(message, signature),
            (Algorithm::EcdsaP256, Scheme::Ecdsa(Hash::Sha384)) => &ECDSA_P256_SHA384_ASN1,
            (Algorithm::EcdsaP256, Scheme::Ecdsa(Hash::Sha512)) => &ECDSA_P256_SHA512_ASN1,
            (Algorithm::EcdsaP384, Scheme::Ecdsa(Hash::Sha256)) => &ECDSA_P384_SHA256_ASN1,
            (Algorithm::EcdsaP384, Scheme::Ecdsa(Hash::Sha384)) => &ECDSA_P384_SHA384_ASN1,
            (Algorithm::EcdsaP384, Scheme::Ecdsa(Hash::Sha512)) => &ECDSA_P384_SHA512_ASN1,
            (Algorithm::EcdsaP521, Scheme::Ecdsa(Hash::Sha256)) => &ECDSA_P521_SHA256_ASN1,
            (Algorithm::EcdsaP521, Scheme::Ecdsa(Hash::Sha384)) => &ECDSA_P521_SHA384_ASN1,
            (Algorithm::EcdsaP521, Scheme::Ecdsa(Hash::Sha512)) => &ECDSA_P521_SHA512_ASN1,
            (Algorithm::Rsa, Scheme::Pkcs1(Hash::Sha256)) => &RSA_PKCS1_2048_8192_SHA256,
            (Algorithm::Rsa, Scheme::Pkcs1(Hash::Sha384)) => &RSA_PKCS1_2048_8192_SHA384,
            (Algorithm::Rsa, Scheme::Pkcs1(Hash::Sha512)) => &RSA_PKCS1_2048_8192_SHA512,
            (Algorithm::Rsa, Scheme::Pss(Hash::Sha256)) => &RSA_PSS_2048_8192_SHA256,
            (Algorithm::Rsa, Scheme::Pss(Hash::Sha384)) => &RSA_PSS_2048_8192_SHA384,
            (Algorithm::Rsa, Scheme::Pss(Hash::Sha512)) => &RSA_PSS_2048_8192_SHA512,
            _ => return false,
        };
        SubjectPublicKeyInfoRef::from_der(&self.spki)
            .ok()
            .and_then(|info| info.subject_public_key.as_bytes())
            .and_then(|point| ParsedPublicKey::new(algorithm, point).ok())
            .is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

/// RFC 4055, 3.1: one hash for the message and for MGF1, a salt as long, and the one trailer.
fn pss(parameters: AnyRef<'_>) -> Option<Scheme> {
    if parameters.tag() != Tag::Sequence {
        return None;
    }
    let mut fields = Der::new(parameters.value(), "PSS parameters");
    let hash = Hash::of_algorithm(fields.take(around(0)).ok()?.content())?;
    let mut around_mask = fields.take(around(1)).ok()?.inside();
    let mut mask = around_mask.take(Tag::Sequence).ok()?.inside();
    let function = mask.take(Tag::ObjectIdentifier).ok()?.oid().ok()?;
    let mask_hash = Hash::of_algorithm(mask.take(Tag::Sequence).ok()?.raw())?;
    let mut salt = fields.take(around(2)).ok()?.inside();
    let length = salt.take(Tag::Integer).ok()?.small().ok()?;
    let is_right = function == MGF_1 && mask_hash == hash && length == hash.length();
    let is_all = [around_mask, mask, salt, fields].iter().all(Der::is_empty);
    (is_right && is_all).then_some(Scheme::Pss(hash))
}

fn is_null_or_absent(parameters: Option<AnyRef<'_>>) -> bool {
    parameters.is_none_or(|null| null.tag() == Tag::Null && null.value().is_empty())
}

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const ECDSA_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
