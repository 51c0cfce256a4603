//! The encodings around keys and signatures: which key is it, and is it written in the one way.

use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _, asn1::UintRef},
};

use super::{Algorithm, KeyError};

/// What `info` holds, once everything about it but the curve equation has been checked.
///
/// # Errors
/// When it is no key that can be trusted.
pub(super) fn algorithm_of(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Algorithm, KeyError> {
    let parameters = info.algorithm.parameters;
    let key = info.subject_public_key.as_bytes().ok_or(KeyError::Spki)?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY => {
            let curve = parameters.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
            let (algorithm, length) = match curve.ok_or(KeyError::Algorithm)? {
                P256 => (Algorithm::EcdsaP256, 65),
                P384 => (Algorithm::EcdsaP384, 97),
                P521 => (Algorithm::EcdsaP521, 133),
                _ => return Err(KeyError::Algorithm),
            };
            let uncompressed = key.len() == length && key[0] == 4;
            if uncompressed { Ok(algorithm) } else { Err(KeyError::Point) }
        }
        RSA_ENCRYPTION => {
            if !parameters.is_some_and(|null| null.tag() == Tag::Null && null.value().is_empty()) {
                return Err(KeyError::Spki);
            }
            check_rsa(key)?;
            Ok(Algorithm::Rsa)
        }
        ID_ED25519 => {
            if parameters.is_some() || key.len() != 32 {
                return Err(KeyError::Spki);
            }
            if is_small_order(key) { Err(KeyError::SmallOrder) } else { Ok(Algorithm::Ed25519) }
        }
        _ => Err(KeyError::Algorithm),
    }
}

/// Whether `bytes` are one ECDSA signature in DER: two positive integers, minimal, nothing after.
pub(in crate::trust) fn is_ecdsa_signature(bytes: &[u8]) -> bool {
    two_integers(bytes).is_some_and(|(r, s)| [r, s].iter().all(|number| number != &[0]))
}

/// Whether `bytes` could be a signature of any kind of key: a difference that only explains things.
pub(in crate::trust) fn looks_like_a_signature(bytes: &[u8]) -> bool {
    const ED25519: usize = 64;
    const RSA: std::ops::RangeInclusive<usize> = 2048 / 8..=8192 / 8;
    is_ecdsa_signature(bytes) || bytes.len() == ED25519 || RSA.contains(&bytes.len())
}

/// RFC 8017, A.1.1: `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn check_rsa(key: &[u8]) -> Result<(), KeyError> {
    let (modulus, exponent) = two_integers(key).ok_or(KeyError::Spki)?;
    let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::RsaSize(bits));
    }
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if odd && exponent.len() <= 4 && exponent != [1] { Ok(()) } else { Err(KeyError::RsaExponent) }
}

/// The integers of a DER sequence of two, big-endian without leading zeros.
fn two_integers(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let pair = reader
        .sequence(|inner| {
            Ok::<_, spki::der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?))
        })
        .ok()?;
    reader.is_finished().then(|| (pair.0.as_bytes(), pair.1.as_bytes()))
}

/// Whether an Ed25519 key is one of the points whose order divides 8, in any encoding.
fn is_small_order(key: &[u8]) -> bool {
    let mut y: [u8; 32] = key.try_into().unwrap_or_default();
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// `number` as 32 little-endian bytes, the rest filled with `fill`.
const fn little_endian(number: u8, fill: u8, top: u8) -> [u8; 32] {
    let mut bytes = [fill; 32];
    bytes[0] = number;
    bytes[31] = top;
    bytes
}

/// The `y` coordinates of the points of small order: 0, 1 and -1, the first two also unreduced
/// (p and p + 1), and the two of order 8. p = 2^255 - 19.
const SMALL_ORDER: [[u8; 32]; 7] = [
    little_endian(0, 0, 0),
    little_endian(1, 0, 0),
    little_endian(0xec, 0xff, 0x7f),
    little_endian(0xed, 0xff, 0x7f),
    little_endian(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];
