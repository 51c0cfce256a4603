//! Sigstore's own conformance cases, as far as a key policy can judge them: every bundle by a
//! certificate and every older version is refused for just that.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    oci::Digest,
    trust::{
        Reason,
        fixtures::{Registry, judge, key, load_with_key, policy},
        vectors,
    },
};

const APP: &str = "registry.test/acme/app";
/// Its wrong key is a right one with letters typed over, so it is refused before any bundle is read.
const UNREADABLE_KEY: &str = "managed-key-wrong-key_fail";

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Why the case `name` ends under a policy that asks its key, or any key where it has none.
fn expected(name: &str, bundle: &Bytes) -> Reason {
    match name {
        "managed-key-happy-path" | "managed-key-and-trusted-root" => return Reason::Admitted,
        // What is malformed is told before whose key it is.
        "bundle-malformed-json_fail"
        | "message-digest-mismatch_fail"
        | "rekor2-checkpoint-missing-log-signature_fail"
        | "rekor2-checkpoint-missing-origin_fail"
        | "rekor2-checkpoint-missing-size_fail" => {
            return Reason::SignatureInvalid;
        }
        _ => {}
    }
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    let is_new = super::MEDIA_TYPES.contains(&bundle["mediaType"].as_str().unwrap());
    match (is_new, bundle.get("dsseEnvelope")) {
        (false, _) => Reason::SignatureInvalid,
        (true, Some(_)) => Reason::NoSignature,
        (true, None) => Reason::SignerNotTrusted,
    }
}

#[test]
fn judges_the_cases_of_sigstore_conformance() {
    let Some(root) = vectors::folder("sigstore-conformance") else { return };
    let mut folders: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("bundle.sigstore.json").exists());
    folders.sort();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let own = folder.join("artifact");
        let artifact = read(&if own.exists() { own } else { root.join("a.txt") });
        let digest = Digest::of(&artifact);
        let bundle = read(&folder.join("bundle.sigstore.json"));
        let mut registry = Registry::default();
        registry.put_bundle(APP, &digest, &String::from_utf8_lossy(&bundle));
        registry.manifests.insert(format!("{APP}@{digest}"), Ok(artifact));
        let key_file = folder.join("key.pub");
        let policy = if name == UNREADABLE_KEY {
            let problems = load_with_key(&key_file).expect_err("its base64 is not canonical");
            assert!(problems[0].what.contains("is not a key to trust"), "{problems:?}");
            continue;
        } else if key_file.exists() {
            load_with_key(&key_file).unwrap()
        } else {
            policy("require = \"a\"", &[("a", &key())])
        };
        let verdict = judge(&policy, &registry, APP, &digest);
        assert_eq!(verdict.reason, expected(name, &bundle), "{name}: {}", verdict.message);
    }
    println!("sigstore-conformance: {} of {}", folders.len(), folders.len());
    assert!(folders.len() >= 47, "only {} cases", folders.len());
}
