//! Signatures that real signers wrote: recordings in `tests/vectors`, and the vectors of others.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    oci::{Digest, Manifest, Shape},
    trust::{
        Outcome, Policy, Reason,
        fixtures::{Registry, image, judge, now, signature_tag, table, write},
        is_signature_artifact, is_signature_payload, vectors,
    },
};

/// A policy that wants every one of `keys` to have signed `named`.
fn policy(named: &str, keys: &[PathBuf]) -> Policy {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..keys.len()).map(|at| format!("\"key{at}\"")).collect();
    let mut text = "version = 1\n".to_owned();
    for (at, key) in keys.iter().enumerate() {
        text.push_str(&format!("[authority.key{at}]\nkey = \"{}\"\n", key.display()));
    }
    let all = names.join(", ");
    text.push_str(&format!("[[rule]]\nmatch = \"{named}\"\nrequire = {{ all = [{all}] }}\n"));
    let path = folder.path().join("policy.toml");
    write(&path, &text);
    Policy::load(&path, &table(), now()).unwrap().0
}

pub(super) fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

pub(super) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

/// What the registry held when the recording in `folder` was made.
pub(super) fn registry_of(folder: &Path, named: &str, digest: &Digest) -> Registry {
    let mut registry = Registry::default();
    let signatures = read(&folder.join("signatures.json"));
    let manifest = Manifest::parse(&signatures, None).unwrap();
    assert!(is_signature_artifact(&manifest), "{}", folder.display());
    let Shape::Image { layers, .. } = manifest.shape else { panic!("not an image") };
    for (at, layer) in layers.iter().enumerate() {
        let payload = read(&folder.join(format!("payload-{at}.json")));
        assert!(is_signature_payload(&layer.media_type, &payload));
        registry.put_blob(&payload);
    }
    let referrers = folder.join("referrers.json");
    if referrers.exists() {
        let place = format!("{named}@{}", Digest::of(&signatures));
        registry.manifests.insert(place, Ok(signatures));
        let listed = read_json(&referrers)["manifests"].as_array().unwrap().clone();
        registry.referrers.insert(format!("{named}@{digest}"), Ok(listed));
    } else {
        registry.manifests.insert(signature_tag(named, digest), Ok(signatures));
    }
    registry
}

#[test]
fn judges_every_recording_as_recorded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut count = 0;
    for entry in std::fs::read_dir(&root).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("case.json").exists() {
            continue;
        }
        let case = read_json(&folder.join("case.json"));
        let named = case["name"].as_str().unwrap();
        let digest: Digest = case["digest"].as_str().unwrap().parse().unwrap();
        assert!(digest.matches(&read(&folder.join("manifest.json"))));
        let keys = case["keys"].as_array().unwrap().iter();
        let keys: Vec<_> = keys.map(|key| folder.join(key.as_str().unwrap())).collect();
        let registry = registry_of(&folder, named, &digest);
        let verdict = judge(&policy(named, &keys), &registry, named, &digest);
        let expected = (&case["verdict"], &case["reason"]);
        let name = folder.display();
        assert_eq!(
            (&json!(verdict.outcome), &json!(verdict.reason)),
            expected,
            "{name}: {}",
            verdict.message
        );
        count += 1;
    }
    println!("recordings: {count} of {count}");
    assert!(count >= 30, "only {count} recordings in {}", root.display());
}

/// A layer of the folder format of containers/image: a line, then JSON with everything in it.
fn layer_of(path: &Path, registry: &mut Registry) -> Value {
    let bytes = read(path);
    let json = bytes.strip_prefix(b"\0sigstore-json\n").unwrap();
    let signature: Value = serde_json::from_slice(json).unwrap();
    let payload = Bytes::from(STANDARD.decode(signature["payload"].as_str().unwrap()).unwrap());
    json!({
        "mediaType": signature["mimeType"], "size": payload.len(),
        "digest": registry.put_blob(&payload).to_string(),
        "annotations": signature["annotations"],
    })
}

#[test]
fn g1_judges_the_vectors_of_containers_image() {
    let Some(root) = vectors::folder("containers-image/fixtures") else { return };
    let cases = containers_image_cases();
    let count = cases.len();
    for (manifest, signature, named, key, reason) in cases {
        let digest = Digest::of(&read(&root.join(manifest).join("manifest.json")));
        let mut registry = Registry::default();
        let layer = layer_of(&root.join(signature), &mut registry);
        let config =
            json!({"mediaType": "x/y", "size": 2, "digest": Digest::of(b"{}").to_string()});
        let signatures = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        registry.manifests.insert(signature_tag(named, &digest), Ok(signatures.to_string().into()));
        let named = image(named).to_string();
        let verdict = judge(&policy(&named, &[root.join(key)]), &registry, &named, &digest);
        assert_eq!(verdict.reason, reason, "{signature}: {}", verdict.message);
        assert_eq!(verdict.outcome == Outcome::Admitted, reason == Reason::Admitted);
    }
    println!("containers-image: {count} of {count}");
}

type ContainersImageCase = (&'static str, &'static str, &'static str, &'static str, Reason);

/// Folder of the manifest, file of the signature, repository, key, and how it ends.
#[rustfmt::skip]
fn containers_image_cases() -> Vec<ContainersImageCase> {
    let one = "192.168.64.2:5000/cosign-signed-single-sample";
    let valid = "dir-img-cosign-valid";
    let signature = "dir-img-cosign-valid/signature-1";
    vec![
        (valid, signature, one, "cosign.pub", Reason::Admitted),
        (valid, "dir-img-cosign-valid-2/signature-2", one, "cosign.pub", Reason::Admitted),
        (valid, signature, one, "cosign2.pub", Reason::SignerNotTrusted),
        (valid, signature, one, "some-rsa-key.pub", Reason::SignerNotTrusted),
        (valid, signature, "192.168.64.2:5000/other", "cosign.pub", Reason::NameMismatch),
        (valid, "unknown-cosign-key.signature", one, "cosign.pub", Reason::SignerNotTrusted),
        (valid, "dir-img-cosign-other-attachment/signature-1", one, "cosign.pub", Reason::SignatureInvalid),
        ("dir-img-cosign-modified-manifest", signature, one, "cosign.pub", Reason::DigestMismatch),
        ("dir-img-cosign-valid-with-tag", "dir-img-cosign-valid-with-tag/signature-1",
            "192.168.64.2:5000/skopeo-signed", "cosign.pub", Reason::Admitted),
        ("dir-img-cosign-key-rekor-valid", "dir-img-cosign-key-rekor-valid/signature-1",
            "192.168.64.2:5000/cosign-signed/key-1", "cosign2.pub", Reason::Admitted),
        ("dir-img-cosign-fulcio-rekor-valid", "dir-img-cosign-fulcio-rekor-valid/signature-1",
            "192.168.64.2:5000/cosign-signed/fulcio-rekor-1", "cosign.pub", Reason::SignerNotTrusted),
        // Its signature is in lines of base64, which is none (G-15).
        ("dir-img-cosign-pki-valid", "dir-img-cosign-pki-valid/signature-1",
            "localhost:5000/test", "cosign.pub", Reason::SignatureInvalid),
    ]
}
