use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    oci::digest::hex_of,
    trust::{
        Outcome, Policy, Verdict,
        fixtures::{Registry, judge, key, policy},
        signing::PrivateKey,
    },
};

const APP: &str = "registry.test/acme/app";
const IMAGE: &[u8] = b"the image";

fn digest() -> Digest {
    Digest::of(IMAGE)
}

fn statement(hex: &str) -> String {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": hex}}],
        "predicateType": SIGNATURE, "predicate": {},
    })
    .to_string()
}

fn image_hex() -> String {
    hex_of(digest().as_bytes())
}

/// The bytes to sign for an envelope with `payload`.
fn message(payload: &str) -> Vec<u8> {
    Envelope { payload: payload.into(), signature: vec![] }.message()
}

/// What cosign 3 writes for `payload`, signed by `key`.
fn bundle(key: &PrivateKey, payload: &str) -> Value {
    json!({
        "mediaType": MEDIA_TYPES[0],
        "verificationMaterial": {"publicKey": {"hint": "a hint"}},
        "dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": STANDARD.encode(key.sign(&message(payload)).unwrap())}],
        },
    })
}

/// A signature by `key` of the image.
fn signature(key: &PrivateKey) -> Value {
    bundle(key, &statement(&image_hex()))
}

/// A bare signature by `key` over the image.
fn message_signature(key: &PrivateKey) -> Value {
    use sha2::Digest as _;
    json!({
        "mediaType": MEDIA_TYPES[1],
        "verificationMaterial": {"publicKey": {}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256",
                "digest": STANDARD.encode(sha2::Sha256::digest(IMAGE))},
            "signature": STANDARD.encode(key.sign(IMAGE).unwrap()),
        },
    })
}

fn registry(bundles: &[&str]) -> Registry {
    let mut registry = Registry::default();
    registry.manifests.insert(format!("{APP}@{}", digest()), Ok(Bytes::from_static(IMAGE)));
    bundles.iter().for_each(|bundle| registry.put_bundle(APP, &digest(), bundle));
    registry
}

fn asks(key: &PrivateKey) -> Policy {
    policy("require = \"a\"", &[("a", key)])
}

/// What is judged of `bundle` where the rule asks `key`.
fn judged(key: &PrivateKey, bundle: &str) -> Verdict {
    judge(&asks(key), &registry(&[bundle]), APP, &digest())
}

fn end(verdict: &Verdict) -> (Outcome, Reason) {
    (verdict.outcome, verdict.reason)
}

fn changed(mut bundle: Value, pointer: &str, value: Value) -> String {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    bundle.pointer_mut(parent).unwrap()[name] = value;
    bundle.to_string()
}

const SIGNED: (Outcome, Reason) = (Outcome::Admitted, Reason::Admitted);
const INVALID: (Outcome, Reason) = (Outcome::Denied, Reason::SignatureInvalid);
const STRANGER: (Outcome, Reason) = (Outcome::Denied, Reason::SignerNotTrusted);

#[test]
fn admits_what_the_authority_signed() {
    let key = key();
    for bundle in [signature(&key), message_signature(&key)] {
        let verdict = judged(&key, &bundle.to_string());
        assert_eq!(end(&verdict), SIGNED, "{}", verdict.message);
        let finding = verdict.evidence.iter().find(|finding| finding.verified).unwrap();
        assert_eq!(
            (finding.format, finding.detail.as_str()),
            (Format::Bundle, "the signature verifies")
        );
    }
}

#[test]
fn finds_a_bundle_whatever_the_registry_lists_it_as() {
    let key = key();
    let kept = |listed_as: Option<&str>, layers: usize, layer: &str, kind: Option<&str>| {
        let mut registry = registry(&[]);
        let payload = Bytes::from(signature(&key).to_string());
        let blob = registry.put_blob(&payload).to_string();
        let layer = json!({"mediaType": layer, "size": payload.len(), "digest": blob});
        let manifest = json!({
            "schemaVersion": 2, "artifactType": kind, "layers": vec![layer; layers],
            "config": {"mediaType": "x/y", "size": 2, "digest": Digest::of(b"{}").to_string()},
            "subject": {"mediaType": "x/y", "digest": digest().to_string(), "size": 1},
        });
        registry.put_referrer(APP, &digest(), &manifest, listed_as);
        judge(&asks(&key), &registry, APP, &digest()).reason
    };
    let [new, old] = MEDIA_TYPES;
    for listed_as in [Some(new), Some(old), None, Some("application/vnd.oci.empty.v1+json")] {
        for layer in [new, old] {
            assert_eq!(kept(listed_as, 1, layer, Some(layer)), Reason::Admitted);
            assert_eq!(kept(listed_as, 1, layer, None), Reason::Admitted);
            assert_eq!(kept(listed_as, 2, layer, None), Reason::SignatureInvalid);
        }
    }
    assert_eq!(kept(Some("text/plain"), 1, new, Some(new)), Reason::NoSignature);
    let junk = "application/vnd.oci.image.layer.v1.tar";
    assert_eq!(kept(None, 1, junk, None), Reason::NoSignature);
    assert_eq!(kept(Some(new), 1, junk, Some(new)), Reason::SignatureInvalid);
    let version_2 = "application/vnd.dev.sigstore.bundle+json;version=0.2";
    assert_eq!(kept(None, 1, new, Some(version_2)), Reason::NoSignature);
    assert_eq!(kept(Some(new), 1, version_2, Some(new)), Reason::SignatureInvalid);
}

#[test]
fn formats_narrows_what_counts() {
    let key = key();
    let with =
        |formats: &str| policy(&format!("require = \"a\"\nformats = {formats}"), &[("a", &key)]);
    let mut classic = Registry::default();
    classic.sign(&key, APP, &digest());
    let bundle = registry(&[&signature(&key).to_string()]);
    for (formats, by_tag, by_bundle) in [
        (r#"["cosign", "bundle"]"#, Reason::Admitted, Reason::Admitted),
        (r#"["cosign"]"#, Reason::Admitted, Reason::NoSignature),
        (r#"["bundle"]"#, Reason::NoSignature, Reason::Admitted),
    ] {
        let policy = with(formats);
        assert_eq!(judge(&policy, &classic, APP, &digest()).reason, by_tag, "{formats}");
        assert_eq!(judge(&policy, &bundle, APP, &digest()).reason, by_bundle, "{formats}");
    }
    let verdict = judge(&with(r#"["cosign"]"#), &bundle, APP, &digest());
    assert!(verdict.message.contains("the rule's `formats` leaves out"), "{}", verdict.message);
}

#[test]
fn g1_g12_a_bundle_for_another_manifest_does_not_count() {
    let key = key();
    let other = hex_of(Digest::of(b"another image").as_bytes());
    let verdict = judged(&key, &bundle(&key, &statement(&other)).to_string());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::DigestMismatch));
    assert!(
        verdict.message.contains(&format!("by `a` is for sha256:{other}")),
        "{}",
        verdict.message
    );
    let second = format!(r#""subject":[{{"digest":{{"sha256":"{other}"}}}},"#);
    let payload = statement(&image_hex()).replacen(r#""subject":["#, &second, 1);
    assert_eq!(end(&judged(&key, &bundle(&key, &payload).to_string())), SIGNED);
    // The subject of the referrer and the digest of the blob are right, what is signed is not.
    let moved = changed(
        message_signature(&key),
        "/messageSignature/signature",
        json!(STANDARD.encode(key.sign(b"another image").unwrap())),
    );
    assert_eq!(end(&judged(&key, &moved)), STRANGER);
}

#[test]
fn g9_a_bundle_counts_in_every_repository_that_trusts_its_signer() {
    let key = key();
    let mut registry = Registry::default();
    let other = "registry.test/other/app";
    registry.put_bundle(other, &digest(), &signature(&key).to_string());
    assert_eq!(judge(&asks(&key), &registry, other, &digest()).reason, Reason::Admitted);
    let stranger = crate::trust::fixtures::key();
    assert_eq!(
        judge(&asks(&stranger), &registry, other, &digest()).reason,
        Reason::SignerNotTrusted
    );
}

#[test]
fn g11_an_attestation_is_no_signature() {
    let key = key();
    for kind in
        ["https://slsa.dev/provenance/v1", "https://cosign.sigstore.dev/attestation/vuln/v1", ""]
    {
        let payload = statement(&image_hex()).replace(SIGNATURE, kind);
        let attestation = bundle(&key, &payload);
        let verdict = judged(&key, &attestation.to_string());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoSignature), "{}", verdict.message);
        let words = format!("only an attestation of type `{kind}` in a Sigstore bundle");
        assert!(verdict.message.contains(&words), "{}", verdict.message);
        let finding = verdict.evidence.iter().find(|finding| finding.digest.is_some()).unwrap();
        assert!(!finding.verified && finding.detail.starts_with("an attestation"), "{finding:?}");
        let both = registry(&[&attestation.to_string(), &signature(&key).to_string()]);
        assert_eq!(judge(&asks(&key), &both, APP, &digest()).outcome, Outcome::Admitted);
    }
    for payload in ["", "x", "[]", "{}"] {
        assert_eq!(end(&judged(&key, &bundle(&key, payload).to_string())), INVALID, "{payload}");
    }
}

#[test]
fn g13_an_envelope_is_signed_once_and_as_a_whole() {
    let key = key();
    let good = signature(&key);
    let payload = statement(&image_hex());
    let signatures = good["dsseEnvelope"]["signatures"][0].clone();
    let bare = json!(STANDARD.encode(key.sign(payload.as_bytes()).unwrap()));
    assert_eq!(
        end(&judged(&key, &changed(good.clone(), "/dsseEnvelope/signatures/0/sig", bare))),
        STRANGER,
    );
    for (pointer, value) in [
        ("/dsseEnvelope/payloadType", json!("application/json")),
        ("/dsseEnvelope/signatures", json!([])),
        ("/dsseEnvelope/signatures", json!([signatures, signatures])),
        ("/messageSignature", message_signature(&key)["messageSignature"].clone()),
        ("/dsseEnvelope", Value::Null),
    ] {
        assert_eq!(
            end(&judged(&key, &changed(good.clone(), pointer, value.clone()))),
            INVALID,
            "{pointer} {value}"
        );
    }
    // The name of a key proves nothing, and takes nothing from what is proven.
    let stranger = crate::trust::fixtures::key();
    let name = json!(key.public().fingerprint().to_string());
    let lying = |signer: &PrivateKey| {
        let bundle = changed(signature(signer), "/dsseEnvelope/signatures/0/keyid", name.clone());
        changed(
            serde_json::from_str(&bundle).unwrap(),
            "/verificationMaterial/publicKey/hint",
            name.clone(),
        )
    };
    assert_eq!(end(&judged(&key, &lying(&stranger))), STRANGER);
    assert_eq!(end(&judged(&stranger, &lying(&stranger))), SIGNED);
}

#[test]
fn g14_g15_a_bundle_has_one_reading() {
    let key = key();
    let good = signature(&key).to_string();
    for (what, with) in [
        (r#"{"media"#, r#"{"more":1,"media"#),
        (r#""mediaType":"#, r#""mediaType":"x","mediaType":"#),
        (r#""mediaType":"#, r#""media_type":"#),
        (r#""hint":"#, r#""hint":"x","hint":"#),
        (r#""hint":"#, r#""rawBytes":"#),
        (r#""sig":"#, r#""sig":"","sig":"#),
        (r#""sig":""#, r#""sig":" "#),
        (r#""payload":""#, r#""payload":"\n"#),
        (r#""publicKey":{"#, r#""publicKeyX":{"#),
        (r#""publicKey":{"#, r#""tlogEntries":{},"publicKey":{"#),
    ] {
        let bad = good.replacen(what, with, 1);
        assert_ne!(bad, good, "{what}");
        assert_eq!(end(&judged(&key, &bad)), INVALID, "{bad}");
    }
    for bad in [
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        "[".repeat(10_000),
        "\u{1f}\u{8b}".into(),
    ] {
        assert_eq!(end(&judged(&key, &bad)), INVALID, "{bad:.80}");
    }
}

#[test]
fn g16_only_version_0_3_is_taken() {
    let key = key();
    for (kind, words) in [
        ("application/vnd.dev.sigstore.bundle+json;version=0.1", "version 0.1"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.2", "version 0.2"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.4", "an unknown version"),
        ("application/vnd.dev.sigstore.bundle.v0.3+json ", "an unknown version"),
        ("", "an unknown version"),
    ] {
        let verdict = judged(&key, &changed(signature(&key), "/mediaType", json!(kind)));
        assert_eq!(end(&verdict), INVALID, "{kind}");
        assert!(verdict.message.contains(words), "{}", verdict.message);
    }
    let other = changed(signature(&key), "/mediaType", json!(MEDIA_TYPES[1]));
    assert_eq!(end(&judged(&key, &other)), SIGNED);
}

#[test]
fn g26_a_certificate_does_not_count_for_a_key() {
    let key = key();
    let certificate = json!({"rawBytes": "AAAA"});
    for material in [
        json!({"certificate": certificate}),
        json!({"x509CertificateChain": {"certificates": [certificate]}}),
    ] {
        let verdict = judged(&key, &changed(signature(&key), "/verificationMaterial", material));
        assert_eq!(end(&verdict), STRANGER);
        assert!(verdict.message.contains("not supported yet"), "{}", verdict.message);
    }
    for material in [
        json!({}),
        json!({"publicKey": {}, "certificate": certificate}),
        json!({"x509CertificateChain": {"certificates": []}}),
        json!({"x509CertificateChain": {"certificates": vec![certificate; 7]}}),
    ] {
        let bundle = changed(signature(&key), "/verificationMaterial", material);
        assert_eq!(end(&judged(&key, &bundle)), INVALID, "{bundle}");
    }
}

#[test]
fn g27_one_key_fills_one_place_in_whatever_format() {
    let (a, b) = (key(), key());
    let policy = policy("require = { all = [\"a\", \"b\"] }", &[("a", &a), ("b", &b)]);
    let mut both = registry(&[&signature(&a).to_string(), &message_signature(&a).to_string()]);
    both.sign(&a, APP, &digest());
    let verdict = judge(&policy, &both, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::BelowThreshold));
    assert_eq!(verdict.evidence.iter().filter(|finding| finding.verified).count(), 3);
    both.put_bundle(APP, &digest(), &signature(&b).to_string());
    assert_eq!(judge(&policy, &both, APP, &digest()).signed_by, ["a", "b"]);
}

#[test]
fn a_bare_signature_agrees_with_its_digest_and_needs_the_manifest() {
    let key = key();
    let good = message_signature(&key);
    for (pointer, value) in [
        ("/messageSignature/messageDigest/digest", json!(STANDARD.encode([0; 32]))),
        ("/messageSignature/messageDigest/algorithm", json!("SHA2_512")),
        ("/messageSignature/messageDigest/algorithm", json!("MD5")),
        ("/messageSignature/more", json!(1)),
    ] {
        assert_eq!(
            end(&judged(&key, &changed(good.clone(), pointer, value))),
            INVALID,
            "{pointer}"
        );
    }
    let without = changed(good.clone(), "/messageSignature/messageDigest", Value::Null);
    assert_eq!(end(&judged(&key, &without)), SIGNED);
    let mut registry = registry(&[&good.to_string()]);
    let place = format!("{APP}@{}", digest());
    registry.manifests.insert(place.clone(), Ok(Bytes::from_static(b"another image")));
    let verdict = judge(&asks(&key), &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Undecided, Reason::EvidenceUnreachable));
    registry.manifests.remove(&place);
    assert_eq!(judge(&asks(&key), &registry, APP, &digest()).outcome, Outcome::Undecided);
}

#[test]
fn g36_what_is_too_large_for_a_signature_is_not_fetched() {
    let key = key();
    let sized = |size: u64| {
        let mut registry = registry(&[]);
        let layer =
            json!({"mediaType": MEDIA_TYPES[0], "size": size, "digest": digest().to_string()});
        let manifest = json!({
            "schemaVersion": 2, "artifactType": MEDIA_TYPES[0], "layers": [layer],
            "config": {"mediaType": "x/y", "size": 2, "digest": Digest::of(b"{}").to_string()},
            "subject": {"mediaType": "x/y", "digest": digest().to_string(), "size": 1},
        });
        registry.put_referrer(APP, &digest(), &manifest, Some(MEDIA_TYPES[0]));
        let verdict = judge(&asks(&key), &registry, APP, &digest());
        assert!(!registry.asked.lock().unwrap().iter().any(|asked| asked.contains("blob")));
        verdict
    };
    assert_eq!(end(&sized((1 << 20) + 1)), (Outcome::Denied, Reason::NoSignature));
    assert_eq!(end(&sized((16 << 20) + 1)), (Outcome::Undecided, Reason::LimitReached));
}

/// A log entry of Rekor 2 about `bundle`, by `signer`: the only one of its log.
fn entry(bundle: &Value, signer: &PrivateKey, change: impl Fn(&mut Value)) -> Value {
    use sha2::Digest as _;
    let envelope = &bundle["dsseEnvelope"];
    let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let message = message(std::str::from_utf8(&payload).unwrap());
    let mut body = json!({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": {
        "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(sha2::Sha256::digest(message))},
        "signature": {"content": envelope["signatures"][0]["sig"], "verifier": {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "publicKey": {"rawBytes": STANDARD.encode(signer.public().spki())}}}}}});
    change(&mut body);
    let body = body.to_string();
    let root = sha2::Sha256::new().chain_update([0]).chain_update(&body).finalize();
    let note = format!("log.test\n1\n{}\n\n\u{2014} log.test AAAAAAE=\n", STANDARD.encode(root));
    json!({
        "logId": {"keyId": STANDARD.encode([7; 32])}, "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {"checkpoint": {"envelope": note}},
        "canonicalizedBody": STANDARD.encode(body),
    })
}

#[test]
fn g10_a_log_entry_must_be_about_this_signature() {
    let (key, other) = (key(), key());
    let good = signature(&key);
    let with = |entries: Value| changed(good.clone(), "/verificationMaterial/tlogEntries", entries);
    let verdict = judged(&key, &with(json!([entry(&good, &key, |_| ())])));
    assert_eq!(end(&verdict), SIGNED, "{}", verdict.message);
    let detail = &verdict.evidence.iter().find(|finding| finding.verified).unwrap().detail;
    assert!(detail.contains("log entry not verified: no trust root configured"), "{detail}");
    assert_eq!(end(&judged(&key, &with(json!([entry(&good, &other, |_| ())])))), INVALID);
    let two = json!([entry(&good, &key, |_| ()), entry(&good, &other, |_| ())]);
    assert_eq!(end(&judged(&key, &with(two))), INVALID);
    let spec = "/spec/hashedRekordV002";
    for (pointer, value) in [
        (format!("{spec}/data/digest"), json!(STANDARD.encode([0; 32]))),
        (format!("{spec}/data/algorithm"), json!("SHA2_512")),
        (format!("{spec}/signature/content"), json!("AAAA")),
        (format!("{spec}/signature/verifier/keyDetails"), json!("PKIX_ECDSA_P384_SHA_384")),
        ("/kind".to_owned(), json!("rekord")),
        ("/apiVersion".to_owned(), json!("0.0.1")),
    ] {
        let entry = entry(&good, &key, |body| *body.pointer_mut(&pointer).unwrap() = value.clone());
        assert_eq!(end(&judged(&key, &with(json!([entry])))), INVALID, "{pointer}");
    }
    let nine = vec![entry(&good, &key, |_| ()); 9];
    assert_eq!(end(&judged(&key, &with(json!(nine)))), INVALID);
}

#[test]
fn g17_g29_a_log_entry_contradicts_nothing() {
    let key = key();
    let good = signature(&key);
    for (pointer, value) in [
        ("/logIndex", json!("-1")),
        ("/logIndex", json!("1")),
        ("/logIndex", json!("9223372036854775808")),
        ("/logIndex", json!("00")),
        ("/integratedTime", json!("1")),
        ("/inclusionPromise", json!({"signedEntryTimestamp": "AAAA"})),
        ("/inclusionProof", Value::Null),
        ("/inclusionProof/hashes", json!([STANDARD.encode([0; 32])])),
        ("/inclusionProof/hashes", json!(["AAAA"])),
        ("/inclusionProof/hashes", json!(vec![STANDARD.encode([0; 32]); 65])),
        ("/inclusionProof/checkpoint", json!({"envelope": "log.test\n"})),
        ("/kindVersion/version", json!("0.0.1")),
        ("/kindVersion/kind", json!("intoto")),
        ("/canonicalizedBody", json!("e30=")),
        ("/canonicalizedBody", json!({})),
        ("/more", json!(1)),
    ] {
        let entry: Value =
            serde_json::from_str(&changed(entry(&good, &key, |_| ()), pointer, value)).unwrap();
        let bundle = changed(good.clone(), "/verificationMaterial/tlogEntries", json!([entry]));
        assert_eq!(end(&judged(&key, &bundle)), INVALID, "{pointer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn g18_no_changed_byte_of_a_bundle_panics_or_proves_more(at: prop::sample::Index, with: u8) {
        let key = key();
        let good = signature(&key).to_string();
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let verdict = judged(&key, &text);
        // The hint is the one thing in it that may say anything.
        let same = |text: &str| {
            let mut bundle: Value = serde_json::from_str(text).ok()?;
            bundle["verificationMaterial"]["publicKey"]["hint"].take();
            Some(bundle)
        };
        prop_assert!(verdict.outcome != Outcome::Admitted || same(&text) == same(&good), "{}", text);
    }
}
