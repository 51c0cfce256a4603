//! Public keys: read strictly, named by fingerprint, and what each verifies.
//!
//! | key | signature | hash |
//! | --- | --- | --- |
//! | ECDSA P-256 | DER | SHA-256 |
//! | ECDSA P-384, P-521 | DER | SHA-256, as cosign did until 2026, or the curve's own |
//! | RSA of 2048 to 8192 bits | PKCS #1 v1.5 | SHA-256 |
//! | Ed25519 | pure | (its own) |
//!
//! The algorithm follows from the key and never from what comes with a signature (G-25). A key is a
//! DER `SubjectPublicKeyInfo` in its one encoding, so that one key has one [`Fingerprint`]: two names
//! for it would be two voices (G-27). A high `s` is valid ECDSA and is taken, since signers write it;
//! that makes a second encoding of the same signature, and counting goes by keys for that reason
//! (G-33). Sources: `signatures.md` a.4; RFC 5480, RFC 3279, RFC 8410.

mod encoding;
mod scheme;

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::signature::{
    ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA512_ASN1,
    ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use spki::{
    SubjectPublicKeyInfoRef,
    der::{Decode as _, Encode as _},
};

pub(super) use self::{
    encoding::{is_ecdsa_signature, looks_like_a_signature},
    scheme::{Hash, Scheme},
};
use super::{pem, words::words};
use crate::oci::digest::hex_of;

words! {
    /// What a key is.
    pub enum Algorithm {
        /// ECDSA on NIST's P-256, what `cosign generate-key-pair` makes.
        EcdsaP256 = "ECDSA P-256",
        /// ECDSA on P-384.
        EcdsaP384 = "ECDSA P-384",
        /// ECDSA on P-521.
        EcdsaP521 = "ECDSA P-521",
        /// Ed25519.
        Ed25519 = "Ed25519",
        /// RSA.
        Rsa = "RSA",
    }
}

/// A key that signatures can be verified with.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    spki: Arc<[u8]>,
    fingerprint: Fingerprint,
    verifiers: Verifiers,
}

impl PublicKey {
    /// Reads a PEM file of one `PUBLIC KEY` block.
    ///
    /// # Errors
    /// When it is anything else, or a key that nobody should trust; see [`KeyError`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let (_, content) = pem::decode(text, &[LABEL])?;
        Self::from_spki(&content)
    }

    /// Reads a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// When it is none, in no canonical encoding, or a key that nobody should trust.
    pub fn from_spki(bytes: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(bytes).map_err(|_| KeyError::Spki)?;
        if info.to_der().ok().as_deref() != Some(bytes) {
            return Err(KeyError::Spki);
        }
        let point = info.subject_public_key.as_bytes().ok_or(KeyError::Spki)?;
        let algorithm = encoding::algorithm_of(&info)?;
        Ok(Self {
            algorithm,
            spki: bytes.into(),
            fingerprint: Fingerprint::of(bytes),
            verifiers: Verifiers::new(algorithm, point)?,
        })
    }

    /// What the key is.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's name.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The key as a PEM file.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(LABEL, &self.spki)
    }

    /// Whether `signature` is this key's signature over `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.verifiers {
            Verifiers::P256(key) => Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Verifiers::Ecdsa(keys) => {
                is_ecdsa_signature(signature)
                    && keys.iter().any(|key| key.verify_sig(message, signature).is_ok())
            }
            Verifiers::Other(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({} {})", self.algorithm, self.fingerprint)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for PublicKey {}

/// The name of a key: the SHA-256 of its DER `SubjectPublicKeyInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(spki: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(spki).into())
    }

    /// The hash itself.
    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", hex_of(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    /// Parses `sha256:<hex>`, or the hex alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let digest: crate::oci::Digest =
            format!("sha256:{hex}").parse().map_err(|_| ParseFingerprintError)?;
        digest.as_bytes().try_into().map(Self).map_err(|_| ParseFingerprintError)
    }
}

/// A text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fingerprint is the 64 lower-case hex characters of the SHA-256 of a key's DER `SubjectPublicKeyInfo`, as `portcullis check` prints them"
)]
pub struct ParseFingerprintError;

/// Why a file is not a key that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A kind of key that nothing here verifies.
    #[error(
        "it is a kind of key that is not supported: use ECDSA P-256, P-384 or P-521, RSA or Ed25519"
    )]
    Algorithm,
    /// Not one PEM block.
    #[error(transparent)]
    Pem(#[from] pem::PemError),
    /// Not a point of the curve, in the uncompressed form.
    #[error("its public key is not an uncompressed point of its curve")]
    Point,
    /// An RSA exponent with which anybody can sign, or nobody.
    #[error("its RSA exponent must be odd and from 3 to 4294967295")]
    RsaExponent,
    /// An RSA modulus that is too short to be safe, or too long to be cheap.
    #[error("its RSA modulus has {0} bits: from 2048 to 8192 are taken")]
    RsaSize(usize),
    /// An Ed25519 key of small order, under which one signature fits many messages.
    #[error("it is an Ed25519 key of small order: anybody can sign for it")]
    SmallOrder,
    /// Not a canonical `SubjectPublicKeyInfo`.
    #[error(
        "it is not a public key: the block must hold one DER `SubjectPublicKeyInfo` and nothing else"
    )]
    Spki,
}

/// The label of a public key's PEM block.
const LABEL: &str = "PUBLIC KEY";

#[derive(Clone)]
enum Verifiers {
    /// The same key once per hash.
    Ecdsa([ParsedPublicKey; 2]),
    Other(ParsedPublicKey),
    P256(Box<VerifyingKey>),
}

impl Verifiers {
    fn new(algorithm: Algorithm, point: &[u8]) -> Result<Self, KeyError> {
        let parse = |algorithm: &'static dyn VerificationAlgorithm, error: KeyError| {
            ParsedPublicKey::new(algorithm, point).map_err(|_| error)
        };
        Ok(match algorithm {
            Algorithm::EcdsaP256 => {
                let key = VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Point)?;
                Self::P256(Box::new(key))
            }
            Algorithm::EcdsaP384 => Self::Ecdsa([
                parse(&ECDSA_P384_SHA256_ASN1, KeyError::Point)?,
                parse(&ECDSA_P384_SHA384_ASN1, KeyError::Point)?,
            ]),
            Algorithm::EcdsaP521 => Self::Ecdsa([
                parse(&ECDSA_P521_SHA256_ASN1, KeyError::Point)?,
                parse(&ECDSA_P521_SHA512_ASN1, KeyError::Point)?,
            ]),
            Algorithm::Ed25519 => Self::Other(parse(&ED25519, KeyError::Point)?),
            Algorithm::Rsa => Self::Other(parse(&RSA_PKCS1_2048_8192_SHA256, KeyError::Spki)?),
        })
    }
}

#[cfg(test)]
mod tests;
