use std::path::Path;

use super::*;
use crate::{
    environment::SystemEntropy,
    oci::{Digest, Manifest, Shape, UpstreamTable},
    secret::Secret,
    trust::{
        is_signature_artifact, is_signature_config, is_signature_payload, keys::Algorithm, pem,
    },
};

/// A key file that cosign wrote, the password that opens it, and the key's public half.
fn recorded() -> (Vec<u8>, Secret<Vec<u8>>, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/encrypted-key");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let case: serde_json::Value = serde_json::from_slice(&read("case.json")).unwrap();
    let public = String::from_utf8(read("key.pub")).unwrap();
    (read("encrypted.key"), password(case["password"].as_str().unwrap()), public)
}

fn password(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

#[test]
fn reads_what_cosign_wrote_under_both_labels() {
    let (file, right, public) = recorded();
    assert_eq!(decrypt(&file, &right).unwrap().public().to_pem(), public);
    let text = String::from_utf8(file).unwrap();
    assert!(decrypt(text.replace("SIGSTORE", "COSIGN").as_bytes(), &right).is_ok());
    let wrong = decrypt(text.as_bytes(), &password("Only for tests"));
    assert_eq!(wrong.unwrap_err(), EncryptedKeyError::Password);
    let other = text.replace("ENCRYPTED SIGSTORE", "RSA");
    assert!(matches!(decrypt(other.as_bytes(), &right), Err(EncryptedKeyError::Pem(_))));
}

#[test]
fn a_key_survives_its_file() {
    let key = PrivateKey::generate(&SystemEntropy).unwrap();
    assert_eq!(key.public().algorithm(), Algorithm::EcdsaP256);
    let file = encrypt(&key, &password(""), &SystemEntropy).unwrap();
    let again = decrypt(file.as_bytes(), &password("")).unwrap();
    assert_eq!(again.public(), key.public());
    let signature = again.sign(b"message").unwrap();
    assert!(key.public().verifies(b"message", &signature));
    assert!(!key.public().verifies(b"massage", &signature));
}

#[test]
fn g36_a_key_file_cannot_ask_for_all_memory() {
    let (file, right, _) = recorded();
    let label = "ENCRYPTED SIGSTORE PRIVATE KEY";
    let json = String::from_utf8(pem::decode(&file, &[label]).unwrap().1).unwrap();
    let error = |what: &str, with: &str| {
        let changed = json.replacen(what, with, 1);
        assert_ne!(changed, json);
        decrypt(pem::encode(label, changed.as_bytes()).as_bytes(), &right).unwrap_err()
    };
    for (what, with) in [
        (r#""N":65536"#, r#""N":1099511627776"#),
        (r#""N":65536"#, r#""N":65535"#),
        (r#""N":65536"#, r#""N":0"#),
        (r#""r":8"#, r#""r":4294967295"#),
        (r#""r":8"#, r#""r":0"#),
        (r#""p":1"#, r#""p":1000000"#),
        (r#""p":1"#, r#""p":0"#),
    ] {
        assert_eq!(error(what, with), EncryptedKeyError::Parameters, "{with}");
    }
    for (what, with) in [
        ("scrypt", "argon2"),
        ("nacl/secretbox", "none"),
        (r#""kdf""#, r#""more":1,"kdf""#),
        (r#""salt":""#, r#""salt":"-"#),
        (r#""nonce":""#, r#""nonce":"AAAA"#),
    ] {
        assert_eq!(error(what, with), EncryptedKeyError::Shape, "{with}");
    }
}

#[test]
fn signs_with_every_kind_of_key_that_it_verifies() {
    use aws_lc_rs::{
        encoding::AsDer as _,
        rsa::KeySize,
        signature::{
            ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
            Ed25519KeyPair,
        },
    };
    let p384 =
        EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
    let p521 =
        EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
    let rsa = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    for (pkcs8, algorithm) in [
        (p384.as_ref(), Algorithm::EcdsaP384),
        (p521.as_ref(), Algorithm::EcdsaP521),
        (ed25519.as_ref(), Algorithm::Ed25519),
        (rsa.as_ref(), Algorithm::Rsa),
    ] {
        let key = PrivateKey::from_pkcs8(pkcs8).unwrap();
        assert_eq!(key.public().algorithm(), algorithm);
        let signature = key.sign(b"message").unwrap();
        assert!(key.public().verifies(b"message", &signature), "{algorithm}");
    }
    assert_eq!(PrivateKey::from_pkcs8(b"no key").unwrap_err(), PrivateKeyError);
}

#[test]
fn a_signature_is_one_more_layer() {
    let image = UpstreamTable::default().parse_image("registry.test/acme/app").unwrap();
    let digest = Digest::of(b"image");
    let (first, second) = (
        PrivateKey::generate(&SystemEntropy).unwrap(),
        PrivateKey::generate(&SystemEntropy).unwrap(),
    );
    let one = attach(&first, &image, &digest, None).unwrap();
    let two = attach(&second, &image, &digest, Some(&one.manifest)).unwrap();
    let manifest = Manifest::parse(&two.manifest, None).unwrap();
    let Shape::Image { config, layers } = &manifest.shape else { panic!("not an image") };
    assert_eq!(layers.len(), 2);
    assert!(config.digest.matches(&two.config) && config.size == two.config.len() as u64);
    assert!(layers.iter().all(|layer| layer.digest.matches(&two.payload)));
    let Shape::Image { layers: earlier, .. } = Manifest::parse(&one.manifest, None).unwrap().shape
    else {
        panic!("not an image")
    };
    assert_eq!(layers[0], earlier[0]);
    assert!(is_signature_artifact(&manifest));
    assert!(is_signature_config(&config.media_type, &two.config, layers));
    assert!(is_signature_payload(&layers[0].media_type, &two.payload));

    // ECDSA as RFC 6979 has it gives the same signature again, which is there already.
    let again = attach(&first, &image, &digest, Some(&two.manifest)).unwrap();
    assert_eq!(again.manifest, two.manifest);
}

#[test]
fn keeps_what_others_wrote_into_their_layers() {
    let image = UpstreamTable::default().parse_image("registry.test/acme/app").unwrap();
    let key = PrivateKey::generate(&SystemEntropy).unwrap();
    let one = attach(&key, &image, &Digest::of(b"image"), None).unwrap();
    let existing = String::from_utf8(one.manifest.to_vec()).unwrap();
    let existing =
        existing.replace(r#""annotations":{"#, r#""urls":["x"],"annotations":{"a":"b","#);
    let other = PrivateKey::generate(&SystemEntropy).unwrap();
    let two = attach(&other, &image, &Digest::of(b"image"), Some(existing.as_bytes())).unwrap();
    let text = String::from_utf8(two.manifest.to_vec()).unwrap();
    assert!(text.contains(r#""urls":["x"],"annotations":{"a":"b","#));
    let index = br#"{"schemaVersion":2,"manifests":[]}"#;
    assert_eq!(attach(&other, &image, &Digest::of(b"x"), Some(index)), Err(AttachError::Index));
    let junk = attach(&other, &image, &Digest::of(b"x"), Some(b"<html>"));
    assert!(matches!(junk, Err(AttachError::Manifest(_))));
}

#[test]
fn a_private_key_does_not_print_itself() {
    let key = PrivateKey::generate(&SystemEntropy).unwrap();
    assert_eq!(format!("{key:?}"), format!("PrivateKey({})", key.public().fingerprint()));
}
