//! The vectors of the Notary Project: layouts with real signatures, trust policies, and envelopes.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    oci::Digest,
    trust::{
        Outcome, Policy, Reason,
        fixtures::{Registry, judge, table, write},
        notation::{cose, jws},
        vectors,
    },
};

const NAMED: &str = "registry.test/e2e";

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap()
}

/// Loads a policy that wants one Notation authority, made of `notation`.
fn load(notation: &str) -> Result<Policy, Vec<crate::trust::Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "version = 1\n[authority.corp.notation]\n{notation}\n[[rule]]\nmatch = \"{NAMED}\"\nrequire = \"corp\"\n"
    );
    let path = folder.path().join("policy.toml");
    write(&path, &text);
    Policy::load(&path, &table(), crate::trust::fixtures::now()).map(|(policy, _)| policy)
}

/// What a registry holds that serves the layout in `folder`, and the digest of the image `v1`.
fn registry_of(folder: &Path) -> (Registry, Digest) {
    let mut registry = Registry::default();
    let mut image = None;
    let index = read_json(&folder.join("index.json"));
    let listed = index["manifests"].as_array().unwrap();
    let tag_of = |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].clone();
    for entry in listed {
        let digest: Digest = entry["digest"].as_str().unwrap().parse().unwrap();
        let bytes = read(&folder.join("blobs/sha256").join(digest.hex()));
        registry.manifests.insert(format!("{NAMED}@{digest}"), Ok(bytes.clone()));
        match tag_of(entry).as_str() {
            Some("v1") => image = Some(digest),
            Some(tag) => {
                let subject = tag.replacen('-', ":", 1);
                let list: Value = serde_json::from_slice(&bytes).unwrap();
                let list = list["manifests"].as_array().unwrap().clone();
                registry.referrers.insert(format!("{NAMED}@{subject}"), Ok(list));
            }
            None => {}
        }
    }
    for blob in std::fs::read_dir(folder.join("blobs/sha256")).unwrap() {
        registry.put_blob(&read(&blob.unwrap().path()));
    }
    (registry, image.expect("a layout has a `v1`"))
}

/// How a layout of this name has to end, at each level.
fn expected(name: &str) -> [Reason; 2] {
    match name {
        _ if name.contains("expired") => [Reason::TimeOutsideValidity, Reason::Admitted],
        _ if name.contains("invalid") => [Reason::SignatureInvalid; 2],
        _ if name.contains("signature") => [Reason::Admitted; 2],
        _ => [Reason::NoSignature; 2],
    }
}

#[test]
fn judges_the_layouts_of_notation() {
    let Some(root) = vectors::folder("notation") else { return };
    let keys = root.join("config/localkeys");
    let policy = |certificate: &str, level: &str| {
        let certificate = keys.join(certificate);
        load(&format!(
            "trust_store = \"{}\"\nidentities = \"*\"\nlevel = \"{level}\"",
            certificate.display()
        ))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
    };
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("registry/oci_layout")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let (registry, digest) = registry_of(&folder);
        for (level, reason) in ["strict", "permissive"].into_iter().zip(expected(&name)) {
            let verdict = judge(&policy("e2e.crt", level), &registry, NAMED, &digest);
            assert_eq!(verdict.reason, reason, "{name} {level}: {}", verdict.message);
        }
        let verdict = judge(&policy("new_e2e.crt", "permissive"), &registry, NAMED, &digest);
        assert_ne!(verdict.outcome, Outcome::Admitted, "{name}: {}", verdict.message);
        count += 1;
    }
    println!("notation layouts: {count} of {count}");
    assert!(count >= 3);
}

/// What a trust policy of notation says about the signers, in our words; `None` where it says nothing
/// that has a counterpart (scopes, names, stores by name).
fn in_our_words(policy: &Value, certificate: &Path) -> Option<String> {
    let [statement] = policy["trustPolicies"].as_array()?.as_slice() else { return None };
    let identities = statement["trustedIdentities"].clone();
    let verification = &statement["signatureVerification"];
    let level = verification["level"].as_str()?;
    let mut text = format!("trust_store = \"{}\"\nlevel = \"{level}\"\n", certificate.display());
    if !identities.is_null() {
        text.push_str(&format!("identities = {identities}\n"));
    }
    if let Some(overrides) = verification["override"].as_object() {
        let name = |name: &str| name.replace("authenticTimestamp", "authentic_timestamp");
        let overrides: Vec<_> =
            overrides.iter().map(|(check, action)| format!("{} = {action}", name(check))).collect();
        text.push_str(&format!("override = {{ {} }}\n", overrides.join(", ")));
    }
    Some(text)
}

#[test]
fn g23_takes_the_identities_and_levels_that_notation_takes() {
    let Some(root) = vectors::folder("notation") else { return };
    let certificate = root.join("config/localkeys/e2e.crt");
    let mut judged = Vec::new();
    for entry in std::fs::read_dir(root.join("config/trustpolicies")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let Ok(policy) = serde_json::from_slice(&read(&path)) else { continue };
        let Some(text) = in_our_words(&policy, &certificate) else { continue };
        // These let in what nobody trusted has signed, and are refused for that here.
        let is_ours_stricter = ["audit", "skip", "override"].iter().any(|word| name.contains(word));
        // A state may be left out, with a warning; a country that does not exist is never met.
        let right = ["valid", "multiple", "invalid", "missing_state"];
        let is_wrong = name.contains("identity") && !right.iter().any(|one| name.starts_with(one));
        let loaded = load(&text).map(drop);
        assert_eq!(loaded.is_err(), is_wrong || is_ours_stricter, "{name}: {text} {loaded:?}");
        judged.push(name);
    }
    println!("notation trust policies: {0} of {0}", judged.len());
    assert!(judged.len() >= 20, "{judged:?}");
}

/// The envelopes of `notation-core-go` are signed over no certificate, and have critical headers of
/// their own. So they are refused, and for that.
#[test]
fn reads_the_envelopes_of_notation_core_go() {
    let Some(root) = vectors::folder("notation-core-go/signature") else { return };
    let envelope = read(&root.join("jws/testdata/conformance.json"));
    let refusal = jws::parse(&envelope).unwrap_err().0;
    assert!(refusal.contains("`x5c`"), "{refusal}");
    let mut with_chain: Value = serde_json::from_slice(&envelope).unwrap();
    with_chain["header"]["x5c"] = json!(["AAAA"]);
    let refusal = jws::parse(with_chain.to_string().as_bytes()).unwrap_err().0;
    assert!(refusal.contains("`signedCritKey1` is not understood"), "{refusal}");

    let case = read_json(&root.join("cose/testdata/conformance.json"));
    let hex = case["expectedOutput"]["cborHex"].as_str().unwrap().to_lowercase();
    let refusal = cose::parse(&vectors::hex(&hex)).unwrap_err().0;
    assert!(refusal.contains("`signedCritKey1` is not understood"), "{refusal}");
    println!("notation-core-go: 2 of 2");
}

/// Every path in a trust policy that is not a file or a folder of certificates is an error.
#[test]
fn refuses_stores_that_hold_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    write(&at("text.crt"), "no certificate");
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::create_dir(at("linked")).unwrap();
    std::os::unix::fs::symlink(at("text.crt"), at("linked").join("a.crt")).unwrap();
    for (path, why) in [
        ("text.crt", "no certificate to trust"),
        ("absent.crt", "cannot read"),
        ("empty", "from 1 to 256 files"),
        ("linked", "no regular file"),
    ] {
        let text = format!("trust_store = \"{}\"\nidentities = \"*\"", at(path).display());
        let problems = load(&text).unwrap_err();
        assert!(problems.iter().any(|one| one.what.contains(why)), "{path}: {problems:?}");
    }
}
