use super::*;

/// Made by `cosign generate-key-pair`.
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEztXUsy/RF5pvjUM1a+wXrZO0Sdvw
z6VW8bOKbW5Nvs3KgE75ztsxCkJXG4OxcYWFsGvHHLtDRkkYOE2ie1u0Yg==
-----END PUBLIC KEY-----
";

fn spki_of(pem: &str) -> Vec<u8> {
    pem::decode(pem.as_bytes(), &[LABEL]).unwrap().1
}

/// A `SubjectPublicKeyInfo` of `algorithm` (DER) around `key`.
fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = [&[0], key].concat();
    der(0x30, &[der(0x30, algorithm), der(0x03, &bits)].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match u8::try_from(length) {
        Ok(short @ ..0x80) => vec![tag, short],
        Ok(long) => vec![tag, 0x81, long],
        Err(_) => vec![tag, 0x82, (length >> 8) as u8, (length & 0xff) as u8],
    };
    [header, content.to_vec()].concat()
}

fn rsa(bits: usize, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xff; bits / 8];
    modulus.insert(0, 0);
    let key = der(0x30, &[der(0x02, &modulus), der(0x02, exponent)].concat());
    let algorithm = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
    spki(&algorithm, &key)
}

#[test]
fn a_key_has_one_name() {
    let key = PublicKey::from_pem(P256.as_bytes()).unwrap();
    assert_eq!(key.algorithm(), Algorithm::EcdsaP256);
    assert_eq!(key.to_pem(), P256);
    let name = key.fingerprint().to_string();
    assert_eq!(name.parse(), Ok(*key.fingerprint()));
    assert_eq!(name["sha256:".len()..].parse(), Ok(*key.fingerprint()));
    for bad in ["", "sha256:", &name.to_uppercase(), &name[..70], "sha512:00"] {
        assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
    }
}

#[test]
fn g25_refuses_keys_that_nobody_should_trust() {
    assert_eq!(PublicKey::from_spki(&rsa(1024, &[1, 0, 1])), Err(KeyError::RsaSize(1024)));
    assert_eq!(PublicKey::from_spki(&rsa(2040, &[1, 0, 1])), Err(KeyError::RsaSize(2040)));
    assert_eq!(PublicKey::from_spki(&rsa(16_384, &[1, 0, 1])), Err(KeyError::RsaSize(16_384)));
    assert_eq!(PublicKey::from_spki(&rsa(2048, &[1])), Err(KeyError::RsaExponent));
    assert_eq!(PublicKey::from_spki(&rsa(2048, &[4])), Err(KeyError::RsaExponent));
    assert_eq!(PublicKey::from_spki(&rsa(2048, &[1, 0, 0, 0, 1])), Err(KeyError::RsaExponent));
    assert!(PublicKey::from_spki(&rsa(2048, &[1, 0, 1])).is_ok());

    let mut wrong_point = spki_of(P256);
    *wrong_point.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::from_spki(&wrong_point), Err(KeyError::Point));
    let ec_public_key = [0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let secp256k1 = [0x06, 5, 0x2b, 0x81, 0x04, 0, 0x0a];
    let k256 = spki(&[&ec_public_key[..], &secp256k1].concat(), &[4; 65]);
    assert_eq!(PublicKey::from_spki(&k256), Err(KeyError::Algorithm));
}

#[test]
fn g27_refuses_a_second_encoding_of_a_key() {
    let good = spki_of(P256);
    let trailing = [good.as_slice(), &[0]].concat();
    assert_eq!(PublicKey::from_spki(&trailing), Err(KeyError::Spki));
    let long_length = [&[0x30, 0x81], &good[1..]].concat();
    assert_eq!(PublicKey::from_spki(&long_length), Err(KeyError::Spki));
    let point = &good[good.len() - 65..];
    let sign = 2 + (point[64] & 1);
    let algorithm = &good[4..23];
    let compressed = spki(algorithm, &[&[sign], &point[1..33]].concat());
    assert_eq!(PublicKey::from_spki(&compressed), Err(KeyError::Point));
    assert!(PublicKey::from_spki(&spki(algorithm, point)).is_ok());
}

#[test]
fn g33_refuses_ed25519_keys_of_small_order() {
    let algorithm = [0x06, 3, 0x2b, 0x65, 0x70];
    for y in 0..=1 {
        let mut key = [0; 32];
        key[0] = y;
        assert_eq!(PublicKey::from_spki(&spki(&algorithm, &key)), Err(KeyError::SmallOrder));
        key[31] = 0x80;
        assert_eq!(PublicKey::from_spki(&spki(&algorithm, &key)), Err(KeyError::SmallOrder));
    }
}

#[test]
fn g33_tells_strict_der_from_the_rest() {
    for (good, bytes) in [
        (true, &[0x30, 6, 2, 1, 1, 2, 1, 1][..]),
        (false, &[0x30, 6, 2, 1, 0, 2, 1, 1]),
        (false, &[0x30, 6, 2, 1, 1, 2, 1, 0]),
        (false, &[0x30, 7, 2, 2, 0, 1, 2, 1, 1]),
        (false, &[0x30, 6, 2, 1, 0x81, 2, 1, 1]),
        (false, &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1]),
        (false, &[0x30, 6, 2, 1, 1, 2, 1, 1, 0]),
        (false, &[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1]),
        (false, &[0x30, 3, 2, 1, 1]),
        (false, &[]),
    ] {
        assert_eq!(is_ecdsa_signature(bytes), good, "{bytes:?}");
    }
}

proptest::proptest! {
    #[test]
    fn g18_reading_keys_and_verifying_never_panics(bytes: Vec<u8>, message: Vec<u8>) {
        let _ = PublicKey::from_spki(&bytes);
        let _ = PublicKey::from_pem(&bytes);
        let _ = looks_like_a_signature(&bytes);
        let key = PublicKey::from_pem(P256.as_bytes()).unwrap();
        proptest::prop_assert!(!key.verifies(&message, &bytes));
    }

    #[test]
    fn g18_a_damaged_key_is_refused_or_another_one(at in 0_usize..91, with: u8) {
        let mut bytes = spki_of(P256);
        let before = bytes.clone();
        bytes[at] = with;
        if let Ok(key) = PublicKey::from_spki(&bytes) {
            proptest::prop_assert_eq!(key.spki(), bytes.as_slice());
            proptest::prop_assert!(before == bytes || key.fingerprint() != &Fingerprint::of(&before));
        }
    }
}
