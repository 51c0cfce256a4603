//! Sigstore's own conformance cases, each through all five steps, and each `_fail` for the reason in its
//! name. They are cases for a library: the older versions of bundles and statements of any kind among
//! them are what [`super::Bundle`] does not take from a registry, so that a registry would refuse them
//! earlier.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use super::{Content, Document, MEDIA_TYPES, dsse};
use crate::{
    oci::Digest,
    trust::{
        Policy,
        Reason::{self, SignatureInvalid, SignerNotTrusted, TimeOutsideValidity},
        fixtures::{image, load, now},
        json::Malformed,
        steps::{Candidates, Claim, Fault},
        vectors,
    },
};

/// Its wrong key is a right one with letters typed over, so it is refused before any bundle is read.
const UNREADABLE_KEY: &str = "managed-key-wrong-key_fail";
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const OLDER: [&str; 2] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
];

/// Why a case fails, and part of the words for it.
const FAILURES: &[(&str, Reason, &str)] = &[
    ("bundle-empty-certificate-chain_fail", SignatureInvalid, "`certificates` is empty"),
    (
        "bundle-from-wrong-instance_fail",
        SignatureInvalid,
        "an entry of a log that the trust root knows",
    ),
    ("bundle-malformed-json_fail", SignatureInvalid, "EOF while parsing"),
    ("bundle-negative-log-index_fail", SignatureInvalid, "`logIndex` is not a whole number"),
    ("bundle-with-root-cert_fail", SignatureInvalid, "`certificates` holds a root"),
    ("checkpoint-wrong-roothash_fail", SignatureInvalid, "does not lead to its checkpoint"),
    ("dsse-invalid-sig_fail", SignatureInvalid, "it is about another signature"),
    ("dsse-mismatch-sig_fail", SignatureInvalid, "it is about another signature"),
    ("inclusion-proof-corrupted-hash_fail", SignatureInvalid, "does not lead to its checkpoint"),
    ("incorrect-public-key_fail", SignatureInvalid, "does not lead to its checkpoint"),
    ("intoto-expired-certificate_fail", TimeOutsideValidity, "certificate"),
    ("intoto-log-entry-mismatch_fail", SignatureInvalid, "another signature"),
    ("intoto-set-outside-signing-cert-validity_fail", TimeOutsideValidity, "certificate"),
    ("intoto-tsa-timestamp-outside-cert-validity_fail", TimeOutsideValidity, "certificate"),
    ("invalid-checkpoint-signature_fail", SignatureInvalid, "checkpoint is not signed by its log"),
    ("invalid-ct-key_fail", SignerNotTrusted, "in no certificate log of the trust root"),
    ("message-digest-mismatch_fail", SignatureInvalid, "other content than this manifest"),
    ("rekor2-checkpoint-missing-log-signature_fail", SignatureInvalid, "no signed note"),
    ("rekor2-checkpoint-missing-origin_fail", SignatureInvalid, "checkpoint is malformed"),
    ("rekor2-checkpoint-missing-size_fail", SignatureInvalid, "checkpoint is malformed"),
    ("rekor2-dsse-invalid-sig_fail", SignatureInvalid, "it is about another signature"),
    ("rekor2-dsse-mismatch-sig_fail", SignatureInvalid, "it is about another signature"),
    ("rekor2-no-timestamp_fail", TimeOutsideValidity, "no time of signing"),
    ("rekor2-timestamp-outside-trust-root-tsa-validity_fail", SignatureInvalid, "timestamp"),
    ("rekor2-timestamp-payload-mismatch_fail", SignatureInvalid, "timestamp"),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", SignatureInvalid, "timestamp"),
    ("set-invalid-signature_fail", SignatureInvalid, "its promise is not signed by its log"),
    ("trust-root-tlog-missing-validity-start_fail", SignatureInvalid, "since when it is valid"),
    ("wrong-hashedrekord-artifact_fail", SignatureInvalid, "it is about another payload"),
    ("wrong-hashedrekord-cert-and-sig_fail", SignatureInvalid, "it is about another signature"),
    ("wrong-material_fail", SignatureInvalid, "other content than this manifest"),
];

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn text_in(path: &Path, default: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|_| default.to_owned());
    text.trim().to_owned()
}

/// A policy that asks for exactly what the case in `folder` is about.
fn policy_of(folder: &Path) -> Result<Policy, String> {
    let own = |name: &str| folder.join(name);
    let root = match own("trusted_root.json") {
        root if root.exists() => root.display().to_string(),
        _ => "public-good".to_owned(),
    };
    let who = match own("key.pub") {
        key if key.exists() => format!("key = \"{}\"", key.display()),
        _ => format!(
            "issuer = \"{}\"\nsubject = \"{}\"",
            text_in(&own("issuer"), ISSUER),
            text_in(&own("identity"), IDENTITY),
        ),
    };
    let text = format!(
        "version = 1\n[authority.a]\n{who}\ntrust_root = \"{root}\"\nlog = \"required\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n"
    );
    match load(&text, &[]) {
        Ok((policy, _)) => Ok(policy),
        Err(problems) => Err(format!("{problems:?}")),
    }
}

/// Every subject of a statement of any type.
fn subjects(message: &[u8]) -> Result<Claim, Malformed> {
    let statement: Value = serde_json::from_slice(dsse::payload_of(message).unwrap()).unwrap();
    let subjects = statement["subject"].as_array().unwrap().iter();
    let digests = subjects.map(|subject| {
        format!("sha256:{}", subject["digest"]["sha256"].as_str().unwrap()).parse().unwrap()
    });
    Ok(Claim { digests: digests.collect(), reference: None })
}

fn judge(policy: &Policy, bundle: &[u8], artifact: &Bytes) -> Result<(), Fault> {
    let taken = [MEDIA_TYPES, OLDER].concat();
    let document = Document::parse_versions(bundle, &taken)?;
    let is_statement = matches!(document.content, Content::Envelope(_));
    let mut parsed = document.into_parsed(Some(artifact))?;
    if is_statement {
        parsed.claim = subjects;
    }
    let app = image("registry.test/acme/app");
    let rule = policy.covering(&app).unwrap();
    let candidates = Candidates::of(policy, rule);
    let authentic = parsed.authenticate(&candidates).map_err(|refused| refused.1)?;
    let bound = authentic.at(now())?.bind(&Digest::of(artifact))?;
    bound.authorize(policy, rule, &app).map(drop)
}

#[test]
fn sigstore_conformance_cases_end_for_the_reason_in_their_name() {
    let Some(root) = vectors::folder("sigstore-conformance") else { return };
    let mut folders: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("bundle.sigstore.json").exists());
    folders.sort();
    let mut wrong = Vec::new();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let own = folder.join("artifact");
        let artifact = read(&if own.exists() { own } else { root.join("a.txt") });
        let policy = match policy_of(folder) {
            Ok(policy) => policy,
            Err(problems) if name == UNREADABLE_KEY => {
                assert!(problems.contains("is not a key to trust"), "{problems}");
                continue;
            }
            Err(problems) => panic!("{name}: {problems}"),
        };
        let verdict = judge(&policy, &read(&folder.join("bundle.sigstore.json")), &artifact);
        let expected = FAILURES.iter().find(|(failure, ..)| failure == &name);
        let is_right = match (&verdict, expected) {
            (Ok(()), None) => !name.ends_with("_fail"),
            (Err(fault), Some((_, reason, detail))) => {
                fault.reason == *reason && fault.detail.contains(detail)
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{name}: {verdict:?}"));
        }
    }
    let right = folders.len() - wrong.len();
    println!("sigstore-conformance: {right} of {}", folders.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(folders.len() >= 47, "only {} cases", folders.len());
}
