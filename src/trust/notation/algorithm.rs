//! Which algorithm a Notation signature is made with: the one that belongs to the signer's key.
//!
//! | key | JWS | COSE | signature |
//! | --- | --- | --- | --- |
//! | RSA 2048, 3072, 4096 | PS256, PS384, PS512 | -37, -38, -39 | PSS, MGF1 and salt as long as the hash |
//! | ECDSA P-256, P-384, P-521 | ES256, ES384, ES512 | -7, -35, -36 | `r` and `s`, each as long as the field |
//!
//! An envelope repeats the algorithm, and has to repeat the right one; nothing else about it is
//! believed, and what is not in this table does not exist: no `none`, no HMAC, no PKCS #1 v1.5, no
//! RSA key of another size (G-25). Sources: the Notary Project's signature specification, "Algorithm
//! selection"; RFC 7518, RFC 8152, RFC 8230.

use spki::{
    SubjectPublicKeyInfoRef,
    der::{Decode as _, Encode as _, Tag, asn1::UintRef},
};

use crate::trust::{
    der::{Der, wrapped},
    json::Malformed,
    keys::{self, Hash, PublicKey, Scheme},
};

/// An algorithm of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Es256,
    Es384,
    Es512,
    Ps256,
    Ps384,
    Ps512,
}

impl Algorithm {
    const ALL: [Self; 6] =
        [Self::Es256, Self::Es384, Self::Es512, Self::Ps256, Self::Ps384, Self::Ps512];

    /// The algorithm that belongs to `key`, if the key is of a kind that signs for Notation.
    pub(super) fn of(key: &PublicKey) -> Option<Self> {
        match (key.algorithm(), modulus_bits(key)) {
            (keys::Algorithm::EcdsaP256, _) => Some(Self::Es256),
            (keys::Algorithm::EcdsaP384, _) => Some(Self::Es384),
            (keys::Algorithm::EcdsaP521, _) => Some(Self::Es512),
            (keys::Algorithm::Rsa, Some(2048)) => Some(Self::Ps256),
            (keys::Algorithm::Rsa, Some(3072)) => Some(Self::Ps384),
            (keys::Algorithm::Rsa, Some(4096)) => Some(Self::Ps512),
            (keys::Algorithm::Rsa | keys::Algorithm::Ed25519, _) => None,
        }
    }

    /// Its name in a JWS.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Its number in COSE (IANA, "COSE Algorithms").
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Es512 => -36,
            Self::Ps256 => -37,
            Self::Ps384 => -38,
            Self::Ps512 => -39,
        }
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// Whether `signature` is that of `key` over `message`.
    pub(super) fn verifies(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        let scheme = match self {
            Self::Es256 => Scheme::Ecdsa(Hash::Sha256),
            Self::Es384 => Scheme::Ecdsa(Hash::Sha384),
            Self::Es512 => Scheme::Ecdsa(Hash::Sha512),
            Self::Ps256 => Scheme::Pss(Hash::Sha256),
            Self::Ps384 => Scheme::Pss(Hash::Sha384),
            Self::Ps512 => Scheme::Pss(Hash::Sha512),
        };
        match self.field_length() {
            Some(length) => to_der(signature, length)
                .is_ok_and(|signature| key.verifies_by(scheme, message, &signature)),
            None => key.verifies_by(scheme, message, signature),
        }
    }

    /// Bytes of a number of the curve.
    const fn field_length(self) -> Option<usize> {
        match self {
            Self::Es256 => Some(32),
            Self::Es384 => Some(48),
            Self::Es512 => Some(66),
            Self::Ps256 | Self::Ps384 | Self::Ps512 => None,
        }
    }
}

/// The signature of two numbers of `length` bytes each, as keys verify it.
fn to_der(signature: &[u8], length: usize) -> Result<Vec<u8>, Malformed> {
    if signature.len() != 2 * length {
        return Err(Malformed("a signature is not as long as its curve has it".into()));
    }
    let mut numbers = Vec::with_capacity(signature.len() + 6);
    for number in signature.chunks_exact(length) {
        let number = UintRef::new(number).and_then(|number| number.to_der());
        numbers.extend(number.map_err(|error| Malformed(error.to_string()))?);
    }
    wrapped(Tag::Sequence, &numbers)
}

/// Bits of an RSA key's modulus.
fn modulus_bits(key: &PublicKey) -> Option<usize> {
    let info = SubjectPublicKeyInfoRef::from_der(key.spki()).ok()?;
    let point = info.subject_public_key.as_bytes()?;
    let mut numbers = Der::only(point, Tag::Sequence, "a key").ok()?.inside();
    let modulus = numbers.take(Tag::Integer).ok()?.unsigned().ok()?;
    let unused = modulus.first()?.leading_zeros() as usize;
    Some(modulus.len() * 8 - unused)
}
