//! What was recorded is judged as it was found.

use super::{super::fixtures::*, *};
use crate::trust::{Outcome, Reason};

const RULE: &str = "require = \"release\"";

/// A signed image, and its recording by a policy that knows where to look.
async fn recorded(rule: &str, registry: &Registry) -> Recording {
    let name = image("registry.test/acme/app");
    let key = key();
    record(&policy(rule, &[("release", &key)]), &name, &Digest::of(APP), registry, now()).await
}

const APP: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn registry_with(signer: Option<&crate::trust::signing::PrivateKey>) -> Registry {
    let mut registry = Registry::default();
    let digest = Digest::of(APP);
    registry
        .manifests
        .insert(format!("registry.test/acme/app@{digest}"), Ok(Bytes::from_static(APP)));
    if let Some(key) = signer {
        let name = "registry.test/acme/app";
        registry.sign_as(key, name, name, &digest);
    }
    registry
}

#[tokio::test]
async fn a_recording_survives_its_folder_and_judges_as_the_registry_did() {
    let key = key();
    let recording = recorded(RULE, &registry_with(Some(&key))).await;
    let folder = tempfile::tempdir().unwrap();
    recording.write(folder.path()).unwrap();
    let read = Recording::read(folder.path()).unwrap();
    assert_eq!((read.about, read.answers.found), (recording.about, recording.answers.found));
    let read = Recording::read(folder.path()).unwrap();
    for (known, outcome) in
        [(&key, Outcome::Admitted), (&super::super::fixtures::key(), Outcome::Denied)]
    {
        let policy = policy(RULE, &[("release", known)]);
        let verdict = read.judge(&policy, &table(), now()).await.unwrap();
        assert_eq!(verdict.outcome, outcome, "{}", verdict.message);
    }
}

#[tokio::test]
async fn a_place_that_was_not_looked_at_leaves_the_image_undecided() {
    let recording = recorded(RULE, &registry_with(None)).await;
    let key = key();
    let elsewhere = format!("{RULE}\nsignatures_in = \"signatures.test/all\"");
    let verdict =
        recording.judge(&policy(&elsewhere, &[("release", &key)]), &table(), now()).await.unwrap();
    assert_eq!(verdict.reason, Reason::EvidenceUnreachable);
    assert!(verdict.evidence.iter().any(|finding| finding.detail.contains("was not looked at")));
}

#[tokio::test]
async fn g41_a_failure_to_look_stays_one() {
    let mut registry = registry_with(None);
    let digest = Digest::of(APP);
    let place = format!("registry.test/acme/app@{digest}");
    registry.referrers.insert(place, Err(LookFailure::new("503", false)));
    let recording = recorded(RULE, &registry).await;
    let key = key();
    let verdict =
        recording.judge(&policy(RULE, &[("release", &key)]), &table(), now()).await.unwrap();
    assert_eq!(verdict.outcome, Outcome::Undecided);
    assert_eq!(recording.failures().count(), 1);
}

#[tokio::test]
async fn content_that_is_not_what_its_name_says_is_refused() {
    let recording = recorded(RULE, &registry_with(None)).await;
    let folder = tempfile::tempdir().unwrap();
    recording.write(folder.path()).unwrap();
    let name = Digest::of(APP).to_string().replace(':', "-");
    write(&folder.path().join(name), "other");
    let error = Recording::read(folder.path()).unwrap_err();
    assert!(error.contains("is not what its name says"), "{error}");
}
