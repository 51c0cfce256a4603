use serde_json::{Value, json};

use crate::{
    oci::{Digest, digest::hex_of},
    trust::{
        LookFailure, Node, Outcome, Policy, Reason, Verdict,
        bundle::MEDIA_TYPES,
        fixtures::{Registry, envelope, judge, key, now, policy, problems},
        signing::PrivateKey,
    },
};

const APP: &str = "registry.test/acme/app";
const IMAGE: &[u8] = b"the image";
const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

fn digest() -> Digest {
    Digest::of(IMAGE)
}

/// A statement of this type about the image.
fn statement(kind: &str, predicate: &Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": [{"name": APP, "digest": {"sha256": hex_of(digest().as_bytes())}}],
        "predicateType": kind, "predicate": predicate,
    })
}

/// A scan that found vulnerabilities of these severities.
fn scan(severities: &[&str]) -> Value {
    let found: Vec<_> = severities.iter().map(|severity| json!({"severity": severity})).collect();
    let predicate = json!({
        "scanner": {"uri": "scan.test", "result": found},
        "metadata": {"scanFinishedOn": "2026-05-31T00:00:00Z"},
    });
    statement(VULN, &predicate)
}

fn bundle(envelope: &Value) -> String {
    json!({
        "mediaType": MEDIA_TYPES[0],
        "verificationMaterial": {"publicKey": {"hint": "a hint"}},
        "dsseEnvelope": envelope,
    })
    .to_string()
}

/// Each way in which `said` by `key` can be kept, in a registry of its own.
fn kept(key: &PrivateKey, said: &[Value]) -> [Registry; 3] {
    let envelopes: Vec<_> = said.iter().map(|said| envelope(key, &said.to_string())).collect();
    let [mut tagged, mut referring, mut bundled] = [(); 3].map(|()| Registry::default());
    tagged.put_attached(APP, &digest(), &envelopes);
    let mut manifest = Registry::default().put_attached(APP, &digest(), &envelopes);
    for envelope in &envelopes {
        referring.put_blob(&envelope.to_string().into());
        bundled.put_bundle(APP, &digest(), &bundle(envelope));
    }
    let kind = "application/vnd.in-toto+json";
    manifest["artifactType"] = json!(kind);
    manifest["subject"] = json!({"mediaType": "x/y", "digest": digest().to_string(), "size": 1});
    referring.put_referrer(APP, &digest(), &manifest, Some(kind));
    [tagged, referring, bundled]
}

fn asks(condition: &str, key: &PrivateKey) -> Policy {
    let rule = format!(
        "require = {{ attestation = {{ type = \"vuln\", by = \"a\", where = \"{condition}\" }} }}"
    );
    policy(&rule, &[("a", key)])
}

const NONE_CRITICAL: &str = "predicate.scanner.result.all(found, found.severity != 'critical')";

fn end(verdict: &Verdict) -> (Outcome, Reason) {
    (verdict.outcome, verdict.reason)
}

const SAID: (Outcome, Reason) = (Outcome::Admitted, Reason::Admitted);
const FALSE: (Outcome, Reason) = (Outcome::Denied, Reason::ConditionFalse);

#[test]
fn admits_what_says_what_the_rule_wants_however_it_is_kept() {
    let key = key();
    for registry in kept(&key, &[scan(&["low", "medium"])]) {
        let verdict = judge(&asks(NONE_CRITICAL, &key), &registry, APP, &digest());
        assert_eq!(end(&verdict), SAID, "{}", verdict.message);
        assert!(verdict.message.ends_with("and `a` vouched for it"), "{}", verdict.message);
        assert_eq!(verdict.signed_by, ["a"]);
        let finding = verdict.evidence.iter().find(|finding| finding.verified).unwrap();
        assert_eq!(finding.detail, "the attestation verifies");
    }
}

#[test]
fn refuses_what_says_something_else_and_names_the_part() {
    let key = key();
    for registry in kept(&key, &[scan(&["low", "critical"])]) {
        let verdict = judge(&asks(NONE_CRITICAL, &key), &registry, APP, &digest());
        assert_eq!(end(&verdict), FALSE, "{}", verdict.message);
        let part = format!(
            "the attestation found does not count: `where` is not met: `{NONE_CRITICAL}` is false"
        );
        assert!(verdict.message.contains(&part), "{}", verdict.message);
        assert!(
            verdict.next_step.contains("change `where` in the rule at"),
            "{}",
            verdict.next_step
        );
        let Node { satisfied, why_not, detail, .. } = verdict.tree.unwrap();
        assert_eq!((satisfied, why_not), (false, Some(Reason::ConditionFalse)));
        assert!(detail.unwrap().contains("`where` is not met"));
    }
}

#[test]
fn a_missing_field_is_named() {
    let key = key();
    let policy = asks("predicate.scanner.version == '2'", &key);
    for registry in kept(&key, &[scan(&[])]) {
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!(end(&verdict), FALSE);
        assert!(
            verdict.message.contains("`predicate.scanner.version` is missing"),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn g11_a_signature_is_no_attestation_and_the_reverse() {
    let key = key();
    let mut registry = Registry::default();
    registry.sign(&key, APP, &digest());
    let wants_scan = asks("true", &key);
    let verdict = judge(&wants_scan, &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoSignature), "{}", verdict.message);
    assert!(verdict.message.contains("no attestation was found"), "{}", verdict.message);
    let wants_both = policy(
        "require = { all = [\"a\", { attestation = { type = \"vuln\", by = \"a\" } }] }",
        &[("a", &key)],
    );
    for mut registry in kept(&key, &[scan(&[])]) {
        let wants_signature = policy("require = \"a\"", &[("a", &key)]);
        let verdict = judge(&wants_signature, &registry, APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoSignature), "{}", verdict.message);
        let verdict = judge(&wants_both, &registry, APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::BelowThreshold), "{}", verdict.message);
        assert!(verdict.message.contains("a signature by `a` is missing"), "{}", verdict.message);
        registry.sign(&key, APP, &digest());
        assert_eq!(end(&judge(&wants_both, &registry, APP, &digest())), SAID);
    }
}

#[test]
fn g11_refuses_every_other_type_and_what_is_no_statement() {
    let key = key();
    let policy = asks("true", &key);
    for kind in [
        json!("https://slsa.dev/provenance/v1"),
        json!("https://cosign.sigstore.dev/attestation/vuln/v1/"),
        json!("https://sigstore.dev/cosign/sign/v1"),
        json!("vuln"),
        json!(""),
        json!([VULN]),
        Value::Null,
    ] {
        let mut said = scan(&[]);
        said["predicateType"] = kind.clone();
        for registry in kept(&key, &[said]) {
            let verdict = judge(&policy, &registry, APP, &digest());
            assert_eq!(verdict.outcome, Outcome::Denied, "{kind}: {}", verdict.message);
        }
    }
    let twice = scan(&[]).to_string().replacen(
        "\"predicateType\"",
        "\"predicateType\":\"https://sigstore.dev/cosign/sign/v1\",\"predicateType\"",
        1,
    );
    for payload in ["", "{}", "[]", "null", twice.as_str()] {
        let mut registry = Registry::default();
        registry.put_attached(APP, &digest(), &[envelope(&key, payload)]);
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignatureInvalid), "{payload}");
    }
}

#[test]
fn g12_an_attestation_is_about_this_manifest_by_sha256() {
    let key = key();
    let policy = asks("subject.digest.sha256.size() == 64", &key);
    let ours = hex_of(digest().as_bytes());
    let other = hex_of(Digest::of(b"other").as_bytes());
    let subject = |digests: Value| json!({"name": APP, "digest": digests});
    let many = vec![subject(json!({"sha256": other})); 1025];
    for (subjects, reason) in [
        (json!([subject(json!({"sha256": other}))]), Reason::DigestMismatch),
        (json!([]), Reason::SignatureInvalid),
        (json!(many), Reason::SignatureInvalid),
        (json!([{"name": APP}]), Reason::SignatureInvalid),
        (json!([subject(json!({"sha1": "00"}))]), Reason::SignatureInvalid),
        (json!([subject(json!({"sha256": ours, "sha512": "00"}))]), Reason::SignatureInvalid),
        (json!([subject(json!({"sha256": ours.to_uppercase()}))]), Reason::SignatureInvalid),
        (json!([subject(json!({"sha256": format!("{ours}0")}))]), Reason::SignatureInvalid),
        (json!(ours), Reason::SignatureInvalid),
    ] {
        let mut said = scan(&[]);
        said["subject"] = subjects.clone();
        for registry in kept(&key, &[said]) {
            let verdict = judge(&policy, &registry, APP, &digest());
            assert_eq!(end(&verdict), (Outcome::Denied, reason), "{subjects:.100}");
        }
    }
    let mut said = scan(&[]);
    said["subject"] = json!([
        subject(json!({"gitCommit": "00"})),
        subject(json!({"sha256": other})),
        {"digest": {"sha256": ours}},
    ]);
    for registry in kept(&key, &[said]) {
        assert_eq!(end(&judge(&policy, &registry, APP, &digest())), SAID);
    }
}

#[test]
fn g13_refuses_every_other_envelope() {
    let key = key();
    let policy = asks("true", &key);
    let payload = scan(&[]).to_string();
    let good = envelope(&key, &payload);
    let signature = good["signatures"][0].clone();
    let over_payload = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        json!([{"sig": STANDARD.encode(key.sign(payload.as_bytes()).unwrap())}])
    };
    let url_safe = signature["sig"].as_str().unwrap().replace('+', "-").replace('/', "_");
    for (pointer, value) in [
        ("payloadType", json!("application/vnd.in-toto.vuln+json")),
        ("signatures", json!([])),
        ("signatures", json!([signature, signature])),
        ("signatures", over_payload),
        ("signatures", json!([{"sig": format!("{url_safe}_")}])),
        ("signatures", json!([{"sig": ""}])),
    ] {
        let mut bad = good.clone();
        bad[pointer] = value.clone();
        let mut tagged = Registry::default();
        tagged.put_attached(APP, &digest(), std::slice::from_ref(&bad));
        let mut bundled = Registry::default();
        bundled.put_bundle(APP, &digest(), &bundle(&bad));
        for registry in [tagged, bundled] {
            let verdict = judge(&policy, &registry, APP, &digest());
            assert_eq!(verdict.outcome, Outcome::Denied, "{value}: {}", verdict.message);
        }
    }
    let mut lying = good;
    lying["signatures"][0]["keyid"] = json!("somebody else");
    let mut registry = Registry::default();
    registry.put_attached(APP, &digest(), &[lying]);
    assert_eq!(end(&judge(&policy, &registry, APP, &digest())), SAID);
}

#[test]
fn refuses_an_attestation_by_somebody_else() {
    let (ours, theirs) = (key(), key());
    let rule = "require = { attestation = { type = \"vuln\", by = \"a\" } }";
    for keys in [&[("a", &ours)][..], &[("a", &ours), ("b", &theirs)]] {
        for registry in kept(&theirs, &[scan(&[])]) {
            let verdict = judge(&policy(rule, keys), &registry, APP, &digest());
            assert_eq!(
                end(&verdict),
                (Outcome::Denied, Reason::SignerNotTrusted),
                "{}",
                verdict.message
            );
        }
    }
    // Who is asked to sign is not thereby asked to say anything.
    let rule = "require = { any = [\"b\", { attestation = { type = \"vuln\", by = \"a\" } }] }";
    for registry in kept(&theirs, &[scan(&[])]) {
        let verdict =
            judge(&policy(rule, &[("a", &ours), ("b", &theirs)]), &registry, APP, &digest());
        assert_eq!(
            end(&verdict),
            (Outcome::Denied, Reason::SignerNotTrusted),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn one_good_attestation_among_bad_ones_counts() {
    let key = key();
    let said = [
        scan(&["critical"]),
        statement("https://slsa.dev/provenance/v1", &json!({})),
        scan(&["low"]),
    ];
    for registry in kept(&key, &said) {
        let verdict = judge(&asks(NONE_CRITICAL, &key), &registry, APP, &digest());
        assert_eq!(end(&verdict), SAID, "{}", verdict.message);
    }
}

#[test]
fn g27_one_attestation_fills_one_place() {
    let (ours, theirs) = (key(), key());
    let keys = [("a", &ours), ("b", &theirs)];
    let twice = policy(
        "require = { all = [{ attestation = { type = \"vuln\", by = \"a\" } }, { attestation = { type = \"vuln\", by = \"a\", where = \"true\" } }] }",
        &keys,
    );
    for registry in kept(&ours, &[scan(&[])]) {
        assert_eq!(judge(&twice, &registry, APP, &digest()).outcome, Outcome::Denied);
    }
    for registry in kept(&ours, &[scan(&[]), scan(&["low"])]) {
        assert_eq!(end(&judge(&twice, &registry, APP, &digest())), SAID);
    }
    let both = policy(
        "require = { attestation = { type = \"vuln\", by = { at_least = 2, of = [\"a\", \"b\"] } } }",
        &keys,
    );
    let [mut registry, ..] = kept(&ours, &[scan(&[]), scan(&["low"])]);
    let verdict = judge(&both, &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::BelowThreshold), "{}", verdict.message);
    registry.put_bundle(APP, &digest(), &bundle(&envelope(&theirs, &scan(&[]).to_string())));
    assert_eq!(end(&judge(&both, &registry, APP, &digest())), SAID);
}

#[test]
fn g44_a_verdict_ends_when_its_condition_does() {
    let key = key();
    let policy = asks("now - timestamp(predicate.metadata.scanFinishedOn) < duration('72h')", &key);
    let [registry, ..] = kept(&key, &[scan(&[])]);
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(end(&verdict), SAID);
    let days = std::time::Duration::from_secs(2 * 86_400);
    assert_eq!(verdict.valid_until, Some(now() + days));
}

#[test]
fn g36_g39_what_is_too_large_or_not_there_is_undecided() {
    let key = key();
    let policy = asks(
        "predicate.scanner.result.all(a, predicate.scanner.result.all(b, predicate.scanner.result.all(c, a.severity == b.severity)))",
        &key,
    );
    for registry in kept(&key, &[scan(&["low"; 400])]) {
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!(
            end(&verdict),
            (Outcome::Undecided, Reason::LimitReached),
            "{}",
            verdict.message
        );
        assert!(verdict.message.contains("a `where` costs more"), "{}", verdict.message);
    }
    let mut registry = Registry::default();
    let tag = format!("{APP}:sha256-{}.att", hex_of(digest().as_bytes()));
    registry.manifests.insert(tag, Err(LookFailure::new("500", false)));
    let verdict = judge(&asks("true", &key), &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Undecided, Reason::EvidenceUnreachable));
}

#[test]
fn attestations_are_looked_for_only_where_one_is_required() {
    let key = key();
    let asked = |policy: &Policy| {
        let registry = Registry::default();
        let _ = judge(policy, &registry, APP, &digest());
        registry.asked.into_inner().unwrap().iter().filter(|place| place.ends_with(".att")).count()
    };
    assert_eq!(asked(&policy("require = \"a\"", &[("a", &key)])), 0);
    assert_eq!(asked(&asks("true", &key)), 1);
}

#[test]
fn attestations_by_buildkit_are_seen_and_never_count() {
    let key = key();
    let child = Digest::of(b"child");
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": child.to_string(), "size": 5,
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": digest().to_string()},
        }],
    })
    .to_string();
    let digest = Digest::of(index.as_bytes());
    let mut registry = Registry::default();
    registry.manifests.insert(format!("{APP}@{digest}"), Ok(index.into()));
    let verdict = judge(&asks("true", &key), &registry, APP, &digest);
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoSignature));
    assert!(
        verdict.message.contains("no attestation that counts was found, only attestations by BuildKit, which nobody has signed"),
        "{}", verdict.message
    );
    let finding = verdict.evidence.iter().find(|finding| finding.manifest == Some(child)).unwrap();
    assert!(finding.found && !finding.verified);
}

#[test]
fn a_policy_says_where_its_attestations_are_wrong() {
    let key = key();
    let wrong = |attestation: &str| {
        let text = format!(
            "version = 1\n[authority.a]\nkey = \"a.pub\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = {{ attestation = {attestation} }}\n"
        );
        problems(&text, &[("a", &key)]).join("\n")
    };
    for (attestation, what) in [
        (
            "{}",
            "6 rule[0].require.attestation: has no `type`\n6 rule[0].require.attestation: has no `by`",
        ),
        ("{ type = \"vulns\", by = \"a\" }", "is neither a short name"),
        (
            "{ type = \"https://sigstore.dev/cosign/sign/v1\", by = \"a\" }",
            "is the type of a signature",
        ),
        ("{ type = \"vuln\", by = \"b\" }", "there is no authority `b`"),
        ("{ type = \"vuln\", by = \"never\" }", "said by authorities"),
        ("{ type = \"vuln\", by = { pin = [\"sha256:00\"] } }", "sha256:00"),
        (
            "{ type = \"vuln\", by = { attestation = { type = \"vuln\", by = \"a\" } } }",
            "said by authorities",
        ),
        ("{ type = \"vuln\", by = { at_least = 2, of = [\"a\", \"a\"] } }", "is there twice"),
        ("{ type = \"vuln\", by = \"a\", where = \"\" }", "is empty"),
        (
            "{ type = \"vuln\", by = \"a\", where = \"predicate.x == nobody\" }",
            "at line 1, column 16 of the condition: there is no `nobody`",
        ),
        ("{ type = \"vuln\", by = \"a\", where = 1 }", "must be a text"),
        ("{ type = \"vuln\", by = \"a\", were = \"true\" }", "there is no such key"),
    ] {
        let problems = wrong(attestation);
        assert!(problems.contains(what), "{attestation}: {problems}");
    }
}
