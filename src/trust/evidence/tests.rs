use serde_json::json;

use super::*;
use crate::trust::{
    Outcome,
    fixtures::{Registry, image, judge, key, look, now, policy, signature_tag},
};

const APP: &str = "registry.test/acme/app";

fn digest() -> Digest {
    Digest::of(b"the image")
}

fn found(evidence: &Evidence) -> usize {
    evidence.items().iter().filter(|item| matches!(item, Item::Found(_))).count()
}

fn failures(evidence: &Evidence) -> Vec<String> {
    let failure = |item: &Item| match item {
        Item::Failed { place, failure, .. } => Some(format!("{place}: {failure}")),
        _ => None,
    };
    evidence.items().iter().filter_map(failure).collect()
}

#[test]
fn finds_signatures_under_the_tag_among_referrers_and_elsewhere() {
    let key = key();
    let policy = policy("require = \"a\"\nsignatures_in = \"signatures.test/all\"", &[("a", &key)]);
    for kept in [APP, "signatures.test/all"] {
        let mut registry = Registry::default();
        registry.sign_as(&key, APP, kept, &digest());
        assert_eq!(found(&look(&policy, &registry, APP, &digest())), 1, "{kept}");
        assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Admitted);
        registry.refer(kept, &digest());
        assert_eq!(found(&look(&policy, &registry, APP, &digest())), 1, "referrer in {kept}");
        assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Admitted);
    }
}

#[test]
fn asks_nothing_where_nobody_has_to_vouch() {
    let key = key();
    let registry = Registry::default();
    let pin = format!("require = {{ any = [\"a\", {{ pin = [\"{}\"] }}] }}", digest());
    for rule in ["require = \"never\"", "require = \"insecure-accept-anything\"", &pin] {
        let evidence = look(&policy(rule, &[("a", &key)]), &registry, APP, &digest());
        assert!(!evidence.is_gathered(), "{rule}");
    }
    let elsewhere =
        look(&policy("require = \"a\"", &[("a", &key)]), &registry, "docker.io/x/y", &digest());
    assert!(!elsewhere.is_gathered());
    assert_eq!(*registry.asked.lock().unwrap(), Vec::<String>::new());
    look(&policy("require = \"a\"", &[("a", &key)]), &registry, APP, &digest());
    assert_eq!(registry.asked.lock().unwrap().len(), 2);
}

#[test]
fn g41_only_a_404_means_that_there_is_none() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    let denied = judge(&policy, &registry, APP, &digest());
    assert_eq!((denied.outcome, denied.reason), (Outcome::Denied, Reason::NoSignature));
    for failure in ["401", "403", "429", "500", "timeout", "HTML with 200", "truncated"] {
        let mut registry = Registry::default();
        let failure = Err(LookFailure::new(failure, false));
        registry.manifests.insert(signature_tag(APP, &digest()), failure);
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!(verdict.outcome, Outcome::Undecided);
        assert_eq!(verdict.reason, Reason::EvidenceUnreachable);
    }
    for body in ["", "<html>", "{\"schemaVersion\":2", "null"] {
        registry.manifests.insert(signature_tag(APP, &digest()), Ok(Bytes::from(body)));
        assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Undecided, "{body}");
    }
}

#[test]
fn g41_a_failure_to_look_does_not_hide_what_was_found() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    let place = format!("{APP}@{}", digest());
    registry.referrers.insert(place, Err(LookFailure::new("503", false)));
    assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Admitted);
}

#[test]
fn g3_a_referrer_of_another_manifest_is_ignored() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let other = Digest::of(b"another image");
    let mut registry = Registry::default();
    registry.sign(&key, APP, &other);
    registry.refer(APP, &other);
    let listed = registry.referrers.remove(&format!("{APP}@{other}")).unwrap();
    registry.referrers.insert(format!("{APP}@{}", digest()), listed);
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(verdict.outcome, Outcome::Denied);
    assert!(verdict.message.contains("does not refer to this manifest"), "{}", verdict.message);
}

#[test]
fn g43_junk_that_claims_to_be_signed_is_no_signature() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1,
        "digest": digest().to_string(), "annotations": {"signed": "yes"}});
    let config = json!({"mediaType": "x/y", "size": 1, "digest": digest().to_string()});
    let image = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let index = json!({"schemaVersion": 2, "manifests": []});
    for content in [image, index] {
        let mut registry = Registry::default();
        registry.manifests.insert(signature_tag(APP, &digest()), Ok(content.to_string().into()));
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!((verdict.outcome, verdict.reason), (Outcome::Denied, Reason::SignatureInvalid));
    }
}

#[test]
fn a_signature_that_is_listed_and_not_there_is_none() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    registry.blobs.clear();
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Denied, Reason::SignatureNotMirrored));
    registry.sign(&key, APP, &digest());
    registry.refer(APP, &digest());
    registry.manifests.clear();
    assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Denied);
}

#[test]
fn g7_bytes_that_their_digest_does_not_name_are_no_evidence() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    for content in registry.blobs.values_mut() {
        let mut bytes = content.clone().unwrap().to_vec();
        bytes[0] ^= 1;
        *content = Ok(bytes.into());
    }
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(
        (verdict.outcome, verdict.reason),
        (Outcome::Undecided, Reason::EvidenceUnreachable)
    );
}

/// Puts `count` junk layers before or after the signatures.
fn flood(registry: &mut Registry, count: usize, before: bool) {
    let junk: Vec<_> = (0..count)
        .map(|nth| {
            let payload = Bytes::from(format!("junk {nth}"));
            let digest = registry.put_blob(&payload);
            json!({"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "size": payload.len(), "digest": digest.to_string(),
                "annotations": {"dev.cosignproject.cosign/signature": "AAAA"}})
        })
        .collect();
    registry.edit(APP, &digest(), |manifest| {
        let layers = manifest["layers"].as_array_mut().unwrap();
        let at = if before { 0 } else { layers.len() };
        layers.splice(at..at, junk);
    });
}

#[test]
fn g36_ten_thousand_layers_are_not_looked_at() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    flood(&mut registry, 10_001, true);
    let evidence = look(&policy, &registry, APP, &digest());
    assert_eq!(found(&evidence), MAX_SIGNATURES);
    assert_eq!(failures(&evidence).len(), 1);
    assert!(registry.asked.lock().unwrap().len() <= MAX_SIGNATURES + 2);
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!((verdict.outcome, verdict.reason), (Outcome::Undecided, Reason::LimitReached));
}

#[test]
fn g39_a_flood_behind_a_good_signature_changes_nothing() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    flood(&mut registry, 200, false);
    assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Admitted);
}

#[test]
fn g39_a_flood_of_referrers_is_undecided_and_asked_for_by_type() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    registry.refer(APP, &digest());
    let place = format!("{APP}@{}", digest());
    let good = registry.referrers[&place].clone().unwrap();
    registry.referrers.insert(place.clone(), Err(LookFailure::new("more than 512", true)));
    assert_eq!(judge(&policy, &registry, APP, &digest()).reason, Reason::LimitReached);
    let kind = crate::oci::media_type::COSIGN_SIGNATURE_ARTIFACT;
    registry.referrers.insert(format!("{place} {kind}"), Ok(good));
    assert_eq!(judge(&policy, &registry, APP, &digest()).outcome, Outcome::Admitted);
}

#[test]
fn g36_a_payload_of_a_gigabyte_is_not_fetched() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    registry.edit(APP, &digest(), |manifest| manifest["layers"][0]["size"] = json!(1_u64 << 30));
    let evidence = look(&policy, &registry, APP, &digest());
    assert!(failures(&evidence)[0].contains("larger than 65536 bytes"), "{evidence:?}");
    assert!(!registry.asked.lock().unwrap().iter().any(|asked| asked.contains("blob")));
    assert_eq!(judge(&policy, &registry, APP, &digest()).reason, Reason::LimitReached);
}

#[test]
fn g40_a_registry_that_never_answers_is_left_after_the_deadline() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    registry.silent.push(format!("referrers {APP}@{} *", digest()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let places = Place::all(policy.covering(&image(APP)).unwrap(), &image(APP));
    let subject = digest();
    let deadline = Duration::from_millis(20);
    let named = image(APP);
    let judged = Subject { image: &named, digest: &subject, attested: false };
    let evidence = runtime.block_on(search(&registry, judged, &places, deadline));
    assert_eq!(found(&evidence), 1);
    assert_eq!(failures(&evidence).len(), 1, "{evidence:?}");
    let verdict = crate::trust::decide(&policy, &image(APP), &subject, &evidence, now());
    assert_eq!(verdict.outcome, Outcome::Admitted);
}

#[test]
fn g39_the_order_is_that_of_places_and_layers() {
    let (first, second) = (key(), key());
    let policy = policy("require = \"a\"", &[("a", &first)]);
    let mut registry = Registry::default();
    registry.sign(&second, APP, &digest());
    registry.refer(APP, &digest());
    registry.sign(&first, APP, &digest());
    registry.sign(&second, APP, &digest());
    let places: Vec<_> = look(&policy, &registry, APP, &digest())
        .items()
        .iter()
        .map(|item| match item {
            Item::Found(raw) => raw.place.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    // The signature by the second key is in both places and counts once.
    let tag = signature_tag(APP, &digest());
    assert_eq!(places, [tag.clone(), tag]);
}

#[test]
fn a_search_can_be_moved_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync>(_: &T) {}
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    is_shared(&policy);
    let (registry, clock) = (Registry::default(), crate::environment::SystemClock);
    is_send(&gather(&policy, &image(APP), &digest(), &registry, &clock));
}
