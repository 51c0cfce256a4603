//! Private keys: made, read from PKCS #8, and signed with.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _},
};
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        AnyRef, Encode as _,
        asn1::{BitStringRef, Null},
    },
};

use crate::{
    environment::Entropy,
    secret::Secret,
    trust::keys::{KeyError, PublicKey},
};

/// A key that signs. Of every kind that [`PublicKey`] verifies.
pub struct PrivateKey {
    public: PublicKey,
    signer: Signer,
    pkcs8: Secret<Vec<u8>>,
}

enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    P256(SigningKey),
    Rsa(Box<RsaKeyPair>),
}

impl PrivateKey {
    /// Makes an ECDSA P-256 key, as `cosign generate-key-pair` does.
    ///
    /// # Errors
    /// [`PrivateKeyError`] when the key cannot be encoded.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, PrivateKeyError> {
        let mut scalar = [0; 32];
        let secret = loop {
            entropy.fill(&mut scalar);
            // All but one in 2^32 of the numbers are keys.
            if let Ok(secret) = p256::SecretKey::from_slice(&scalar) {
                break secret;
            }
        };
        let pkcs8 = secret.to_pkcs8_der().map_err(|_| PrivateKeyError)?;
        Self::from_pkcs8(pkcs8.as_bytes())
    }

    /// Reads a PKCS #8 document.
    ///
    /// # Errors
    /// When it holds no key of a kind that signatures can be verified for.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, PrivateKeyError> {
        let (signer, public) = signer_of(pkcs8).ok_or(PrivateKeyError)?;
        let public = public.map_err(|_| PrivateKeyError)?;
        Ok(Self { public, signer, pkcs8: Secret::new(pkcs8.to_vec()) })
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key as PKCS #8.
    pub(super) const fn pkcs8(&self) -> &Secret<Vec<u8>> {
        &self.pkcs8
    }

    /// Signs `message`, by the algorithm that [`PublicKey`] expects of the key.
    ///
    /// # Errors
    /// When the key cannot sign, which the library does not explain.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PrivateKeyError> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::P256(key) => {
                let signature: Signature = key.sign(message);
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Signer::Ecdsa(key) => {
                let signature = key.sign(&random, message).map_err(|_| PrivateKeyError)?;
                Ok(signature.as_ref().to_vec())
            }
            Signer::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| PrivateKeyError)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PrivateKey({})", self.public.fingerprint())
    }
}

/// A private key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a private key to sign with: use ECDSA P-256, P-384 or P-521, RSA or Ed25519")]
pub struct PrivateKeyError;

/// The signer in a PKCS #8 document, and its public half.
fn signer_of(pkcs8: &[u8]) -> Option<(Signer, Result<PublicKey, KeyError>)> {
    if let Ok(secret) = p256::SecretKey::from_pkcs8_der(pkcs8) {
        let spki = secret.public_key().to_public_key_der().ok()?;
        let public = PublicKey::from_spki(spki.as_bytes());
        return Some((Signer::P256(SigningKey::from(secret)), public));
    }
    for (algorithm, curve) in
        [(&ECDSA_P384_SHA384_ASN1_SIGNING, P384), (&ECDSA_P521_SHA512_ASN1_SIGNING, P521)]
    {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8) {
            let public = public_of(EC_PUBLIC_KEY, Some((&curve).into()), key.public_key().as_ref());
            return Some((Signer::Ecdsa(key), public));
        }
    }
    if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
        let public = public_of(ID_ED25519, None, key.public_key().as_ref());
        return Some((Signer::Ed25519(key), public));
    }
    let key = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
    let public = public_of(RSA_ENCRYPTION, Some(Null.into()), key.public_key().as_ref());
    Some((Signer::Rsa(Box::new(key)), public))
}

/// The public key `bits` with an algorithm around it.
fn public_of(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    bits: &[u8],
) -> Result<PublicKey, KeyError> {
    let subject_public_key = BitStringRef::from_bytes(bits).map_err(|_| KeyError::Spki)?;
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    let info = SubjectPublicKeyInfoRef { algorithm, subject_public_key };
    PublicKey::from_spki(&info.to_der().map_err(|_| KeyError::Spki)?)
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
