//! Wycheproof's files, as many as there are: every case of every file, by the rules for images and by
//! the scheme that the file is about.

use serde_json::Value;

use super::*;
use crate::trust::vectors;

/// What a file is about.
struct Family {
    /// The scheme, where there is one for it here.
    scheme: Option<Scheme>,
    /// Whether image signatures are of this kind.
    is_for_images: bool,
}

impl Family {
    fn of(name: &str, group: &Value) -> Self {
        let hash = match group["sha"].as_str() {
            Some("SHA-256") => Some(Hash::Sha256),
            Some("SHA-384") => Some(Hash::Sha384),
            Some("SHA-512") => Some(Hash::Sha512),
            _ => None,
        };
        let is_p1363 = name.contains("p1363");
        if name.starts_with("ecdsa") && !is_p1363 {
            let of_curve = match group["publicKey"]["curve"].as_str() {
                Some("secp256r1") => Some(Hash::Sha256),
                Some("secp384r1") => Some(Hash::Sha384),
                Some("secp521r1") => Some(Hash::Sha512),
                _ => None,
            };
            let hash = hash.filter(|_| of_curve.is_some());
            let is_for_images = hash == Some(Hash::Sha256) || hash.is_some() && hash == of_curve;
            Self { scheme: hash.map(Scheme::Ecdsa), is_for_images }
        } else if name.starts_with("ed25519_test") {
            Self { scheme: Some(Scheme::Ed25519), is_for_images: true }
        } else if name.starts_with("rsa_signature") {
            let is_for_images = hash == Some(Hash::Sha256);
            Self { scheme: hash.map(Scheme::Pkcs1), is_for_images }
        } else if name.starts_with("rsa_pss") && !name.contains("params") {
            let is_plain = group["mgfSha"] == group["sha"]
                && hash.is_some_and(|hash| group["sLen"] == hash.length());
            Self { scheme: hash.filter(|_| is_plain).map(Scheme::Pss), is_for_images: false }
        } else {
            Self { scheme: None, is_for_images: false }
        }
    }
}

#[test]
fn g25_g33_agrees_with_every_file_of_wycheproof() {
    let Some(folder) = vectors::folder("wycheproof/testvectors_v1") else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut count = 0;
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let document: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for group in document["testGroups"].as_array().unwrap() {
            let Some(der) = group["publicKeyDer"].as_str() else { continue };
            let key = PublicKey::from_spki(&vectors::hex(der));
            let family = Family::of(name, group);
            for test in group["tests"].as_array().unwrap() {
                check(name, &family, key.as_ref().ok(), test);
                count += 1;
            }
        }
    }
    println!("wycheproof: {count} of {count}");
    assert!(files.len() >= 12 && count > 3000, "{count} cases in {} files", files.len());
}

fn check(name: &str, family: &Family, key: Option<&PublicKey>, test: &Value) {
    let Some(key) = key else {
        let is_wanted = family.scheme.is_some() && test["result"] == "valid";
        return assert!(!is_wanted, "{name}: its key is not taken");
    };
    let bytes = |name: &str| vectors::hex(test[name].as_str().unwrap());
    let (message, signature) = (bytes("msg"), bytes("sig"));
    let is_valid = match test["result"].as_str().unwrap() {
        "valid" => true,
        "invalid" => false,
        // Where Wycheproof leaves it open, anything is right.
        _ => return,
    };
    if let Some(scheme) = family.scheme {
        let verified = key.verifies_by(scheme, &message, &signature);
        assert_eq!(verified, is_valid, "{name}: {test}");
    }
    // The files about PSS hold PKCS #1 v1.5 signatures too, as wrong ones: they are right for images.
    let comment = test["comment"].as_str().unwrap();
    let is_of_images = family.is_for_images && is_valid
        || name.starts_with("rsa_pss")
            && comment.starts_with("PKCS #1 v1.5 signature with SHA-256");
    assert_eq!(key.verifies(&message, &signature), is_of_images, "{name}: {test}");
}
