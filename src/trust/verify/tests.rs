use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::oci::Algorithm;
use crate::trust::{
    LookFailure, content_deny_listed,
    fixtures::{Registry, image, judge, key, load, look, now, policy, signature_tag},
    signing::PrivateKey,
};

const APP: &str = "registry.test/acme/app";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

fn digest() -> Digest {
    Digest::of(b"the image")
}

fn signed(keys: &[&PrivateKey]) -> Registry {
    let mut registry = Registry::default();
    keys.iter().for_each(|key| registry.sign(key, APP, &digest()));
    registry
}

fn end(verdict: &Verdict) -> (Outcome, Reason) {
    (verdict.outcome, verdict.reason)
}

/// Replaces the payload and signature of the only layer.
fn replace(registry: &mut Registry, payload: &str, signature: &str) {
    let payload = Bytes::from(payload.to_owned());
    let blob = registry.put_blob(&payload);
    registry.edit(APP, &digest(), |manifest| {
        let layer = &mut manifest["layers"][0];
        layer["digest"] = json!(blob.to_string());
        layer["size"] = json!(payload.len());
        layer["annotations"][SIGNATURE] = json!(signature);
    });
}

fn payload(digest: &str, reference: &str) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{reference}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    )
}

/// What is judged when `payload` is signed properly by the trusted key.
fn judged(payload: &str) -> Verdict {
    let key = key();
    let mut registry = signed(&[&key]);
    replace(&mut registry, payload, &STANDARD.encode(key.sign(payload.as_bytes()).unwrap()));
    judge(&policy("require = \"a\"", &[("a", &key)]), &registry, APP, &digest())
}

#[test]
fn admits_what_the_authority_signed() {
    let key = key();
    let verdict =
        judge(&policy("require = \"a\"", &[("a", &key)]), &signed(&[&key]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Admitted, Reason::Admitted));
    assert_eq!(verdict.rule.as_deref(), Some("registry.test/**"));
    assert_eq!(verdict.signed_by, ["a"]);
    assert!(verdict.enforced && verdict.next_step.is_empty() && verdict.valid_until.is_none());
    assert_eq!(
        verdict.message,
        format!(
            "`{APP}@{}` is admitted: rule `registry.test/**` requires a signature by `a`, and `a` signed it",
            digest()
        )
    );
    let finding = verdict.evidence.iter().find(|finding| finding.found).unwrap();
    let fingerprint = key.public().fingerprint();
    assert_eq!(finding.signer.as_deref(), Some(format!("a ({fingerprint})").as_str()));
    assert!(finding.verified && finding.digest.is_some() && finding.manifest.is_some());
    let tree = verdict.tree.unwrap();
    assert_eq!((tree.requirement.as_str(), tree.satisfied), ("`a`", true));
}

#[test]
fn a_verdict_survives_its_record() {
    let key = key();
    let text = "version = 1\n[authority.a]\nkeys = [{ file = \"a.pub\", until = \"2027-01-01T00:00:00Z\" }]\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n";
    let policy = load(text, &[("a", &key)]).unwrap().0;
    for registry in [signed(&[&key]), signed(&[])] {
        let verdict = judge(&policy, &registry, APP, &digest());
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
    let verdict = judge(&policy, &signed(&[&key]), APP, &digest());
    let record = serde_json::to_value(&verdict).unwrap();
    assert_eq!(record["valid_until"], "2027-01-01T00:00:00.000Z");
    assert_eq!((&record["outcome"], &record["mode"]), (&json!("admitted"), &json!("enforce")));
}

#[test]
fn g1_a_signature_for_another_manifest_does_not_count() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let other = Digest::of(b"another image");
    let mut registry = Registry::default();
    registry.sign(&key, APP, &other);
    let copied = registry.manifests.remove(&signature_tag(APP, &other)).unwrap();
    registry.manifests.insert(signature_tag(APP, &digest()), copied);
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::DigestMismatch));
    assert!(verdict.message.contains(&format!("by `a` is for {other}")), "{}", verdict.message);
}

#[test]
fn g2_a_digest_in_a_payload_has_one_spelling() {
    let good = digest().to_string();
    assert_eq!(judged(&payload(&good, APP)).outcome, Outcome::Admitted);
    for bad in [
        good.to_uppercase(),
        format!("{good}0"),
        good[..70].to_owned(),
        format!(" {good}"),
        good.replace("sha256", "sha512"),
        good["sha256:".len()..].to_owned(),
        "sha256:../../x".to_owned(),
        String::new(),
    ] {
        let verdict = judged(&payload(&bad, APP));
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignatureInvalid), "{bad}");
    }
    let long = Digest::with(Algorithm::Sha512, b"the image").to_string();
    assert_eq!(judged(&payload(&long, APP)).reason, Reason::DigestMismatch);
}

#[test]
fn g9_a_signature_for_another_repository_does_not_count() {
    let key = key();
    let mut registry = Registry::default();
    registry.sign_as(&key, "registry.test/other/app", APP, &digest());
    let verdict = judge(&policy("require = \"a\"", &[("a", &key)]), &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::NameMismatch));
    assert!(
        verdict.message.contains("was made for `registry.test/other/app`"),
        "{}",
        verdict.message
    );
    assert!(verdict.next_step.contains("`signed_as`"), "{}", verdict.next_step);
    let any = policy("require = \"a\"\nsigned_as = \"any\"", &[("a", &key)]);
    assert_eq!(judge(&any, &registry, APP, &digest()).outcome, Outcome::Admitted);
    let right = policy("require = \"a\"\nsigned_as = \"registry.test/other/*\"", &[("a", &key)]);
    assert_eq!(judge(&right, &registry, APP, &digest()).outcome, Outcome::Admitted);
    let wrong = policy("require = \"a\"\nsigned_as = \"registry.test/acme/*\"", &[("a", &key)]);
    assert_eq!(judge(&wrong, &registry, APP, &digest()).reason, Reason::NameMismatch);
}

#[test]
fn g9_a_name_counts_as_a_repository() {
    let good = digest().to_string();
    let other = Digest::of(b"another image");
    for (reference, reason) in [
        (format!("{APP}:v1"), Reason::Admitted),
        ("registry.alias/acme/app".to_owned(), Reason::Admitted),
        (format!("{APP}@{good}"), Reason::Admitted),
        (format!("{APP}:v1@{good}"), Reason::Admitted),
        (format!("{APP}@{other}"), Reason::DigestMismatch),
        (format!("{APP}/sub"), Reason::NameMismatch),
        ("acme/app".to_owned(), Reason::NameMismatch),
        (APP.to_uppercase(), Reason::NameMismatch),
        (String::new(), Reason::NameMismatch),
        (format!("https://{APP}"), Reason::NameMismatch),
    ] {
        assert_eq!(judged(&payload(&good, &reference)).reason, reason, "{reference}");
    }
}

#[test]
fn g14_a_signed_payload_with_two_readings_does_not_count() {
    let good = payload(&digest().to_string(), APP);
    for bad in [
        good.replace("\"critical\"", "\"Critical\""),
        good.replace("docker-manifest-digest", "Docker-manifest-digest"),
        good.replacen("\"type\"", "\"type\":\"x\",\"type\"", 1),
        good.replace("cosign container image signature", "atomic container signature"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        "{}".to_owned(),
    ] {
        assert_eq!(end(&judged(&bad)), (Outcome::Denied, Reason::SignatureInvalid), "{bad}");
    }
}

#[test]
fn g15_a_signature_is_strict_base64() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let text = payload(&digest().to_string(), APP);
    let bytes = key.sign(text.as_bytes()).unwrap();
    let good = STANDARD.encode(&bytes);
    let mut url_safe = good.replace('+', "-").replace('/', "_");
    if url_safe == good {
        url_safe.replace_range(0..1, "_");
    }
    for bad in [
        String::new(),
        format!("{good} "),
        format!("{}\n", good),
        format!(" {good}"),
        format!("{good}===="),
        format!("{}\n{}", &good[..10], &good[10..]),
        good.trim_end_matches('=').to_owned() + if good.ends_with('=') { "" } else { "=" },
        url_safe,
        "A".repeat(9_000),
    ] {
        let mut registry = signed(&[&key]);
        replace(&mut registry, &text, &bad);
        assert_eq!(
            judge(&policy, &registry, APP, &digest()).reason,
            Reason::SignatureInvalid,
            "{bad:?}"
        );
    }
    let mut registry = signed(&[&key]);
    registry.edit(APP, &digest(), |manifest| manifest["layers"][0]["annotations"] = json!({}));
    assert_eq!(judge(&policy, &registry, APP, &digest()).reason, Reason::SignatureInvalid);
}

#[test]
fn g18_a_panic_of_the_judge_is_undecided() {
    assert_eq!(guarded(|| 1), Some(1));
    assert_eq!(guarded(|| -> u8 { panic!("on purpose") }), None);
}

#[test]
fn g25_a_signature_by_a_key_of_another_kind_does_not_count() {
    let ed25519 = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
    let other = PrivateKey::from_pkcs8(ed25519.as_ref()).unwrap();
    let (mine, policy_key) = (signed(&[&other]), key());
    let verdict = judge(&policy("require = \"a\"", &[("a", &policy_key)]), &mine, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignerNotTrusted));
    let verdict = judge(&policy("require = \"a\"", &[("a", &other)]), &mine, APP, &digest());
    assert_eq!(verdict.outcome, Outcome::Admitted);
}

#[test]
fn says_whose_signature_it_is_that_nobody_asked_for() {
    let (asked, other, stranger) = (key(), key(), key());
    let keys = [("a", &asked), ("b", &other)];
    let policy = policy("require = \"a\"", &keys);
    let verdict = judge(&policy, &signed(&[&other]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignerNotTrusted));
    assert!(verdict.message.contains("is by b (sha256:"), "{}", verdict.message);
    let verdict = judge(&policy, &signed(&[&stranger]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignerNotTrusted));
    assert!(verdict.message.contains("verifies under none of the keys"), "{}", verdict.message);
    assert!(verdict.next_step.contains("portcullis sign"), "{}", verdict.next_step);
}

#[test]
fn one_bad_signature_does_not_hide_a_good_one() {
    let (good, stranger) = (key(), key());
    let policy = policy("require = \"a\"", &[("a", &good)]);
    for keys in [[&good, &stranger], [&stranger, &good]] {
        let verdict = judge(&policy, &signed(&keys), APP, &digest());
        assert_eq!(verdict.outcome, Outcome::Admitted);
        assert_eq!(verdict.evidence.iter().filter(|finding| finding.verified).count(), 1);
    }
}

#[test]
fn g27_one_signature_fills_one_place() {
    let (one, two, shared) = (key(), key(), key());
    let text = "version = 1\n[authority.a]\nkeys = [{ file = \"one.pub\" }, { file = \"shared.pub\" }]\n[authority.b]\nkeys = [{ file = \"two.pub\" }, { file = \"shared.pub\" }]\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = { at_least = 2, of = [\"a\", \"b\"] }\n";
    let policy = load(text, &[("one", &one), ("two", &two), ("shared", &shared)]).unwrap().0;
    let admitted = |keys: &[&PrivateKey]| judge(&policy, &signed(keys), APP, &digest());
    for keys in [&[&shared][..], &[&shared, &shared], &[&one], &[&one, &one]] {
        assert_eq!(end(&admitted(keys)), (Outcome::Denied, Reason::BelowThreshold));
    }
    for keys in [&[&one, &two][..], &[&shared, &one], &[&shared, &two], &[&one, &two, &shared]] {
        let verdict = admitted(keys);
        assert_eq!(verdict.outcome, Outcome::Admitted);
        assert_eq!(verdict.signed_by, ["a", "b"]);
    }
    let verdict = admitted(&[&shared]);
    assert!(
        verdict.message.contains("1 distinct key, each of which fills one place"),
        "{}",
        verdict.message
    );
    let tree = verdict.tree.unwrap();
    let parts: Vec<_> = tree.children.iter().map(|part| (part.satisfied, part.why_not)).collect();
    assert_eq!(parts, [(true, None), (false, Some(Reason::BelowThreshold))]);
}

/// The other encoding of the same ECDSA signature: `n - s` for `s`.
fn malleated(der: &[u8]) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_der(der).unwrap();
    let (r, s) = signature.split_scalars();
    p256::ecdsa::Signature::from_scalars(r, -s).unwrap().to_der().as_bytes().to_vec()
}

#[test]
fn g33_the_same_signature_in_its_other_form_is_not_a_second_one() {
    let (key, other) = (key(), key());
    let require = "require = { at_least = 2, of = [\"a\", \"b\"] }";
    let text = payload(&digest().to_string(), APP);
    let twin = STANDARD.encode(malleated(&key.sign(text.as_bytes()).unwrap()));
    let mut registry = signed(&[&key]);
    registry.edit(APP, &digest(), |manifest| {
        let mut layer = manifest["layers"][0].clone();
        layer["annotations"][SIGNATURE] = json!(twin);
        manifest["layers"].as_array_mut().unwrap().push(layer);
    });
    let verdict = judge(&policy(require, &[("a", &key), ("b", &other)]), &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::BelowThreshold));
    assert_eq!(verdict.evidence.iter().filter(|finding| finding.verified).count(), 2);
}

#[test]
fn says_who_is_missing() {
    let (a, b, c) = (key(), key(), key());
    let policy = policy(
        "require = { at_least = 2, of = [\"a\", \"b\", \"c\"] }",
        &[("a", &a), ("b", &b), ("c", &c)],
    );
    let verdict = judge(&policy, &signed(&[&b]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::BelowThreshold));
    assert!(
        verdict.message.contains("only `b` signed it: `a`, `c` did not"),
        "{}",
        verdict.message
    );
    assert!(verdict.next_step.contains("those who are missing"), "{}", verdict.next_step);
}

fn windows(rest: &str) -> String {
    format!(
        "version = 1\n[authority.a]\nkeys = [{{ file = \"new.pub\" }}, {{ file = \"old.pub\"{rest} }}]\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n"
    )
}

#[test]
fn g35_refuses_a_manifest_whose_only_signature_is_by_a_retired_key() {
    let (new, old) = (key(), key());
    let keys = [("new", &new), ("old", &old)];
    let retired = load(&windows(", until = \"2026-05-31T00:00:00Z\""), &keys).unwrap().0;
    let verdict = judge(&retired, &signed(&[&old]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::TimeOutsideValidity));
    assert!(verdict.message.contains("valid until 2026-05-31T00:00:00"), "{}", verdict.message);
    assert_eq!(judge(&retired, &signed(&[&old, &new]), APP, &digest()).outcome, Outcome::Admitted);
    let future = load(&windows(", from = \"2026-06-02T00:00:00Z\""), &keys).unwrap().0;
    assert_eq!(
        judge(&future, &signed(&[&old]), APP, &digest()).reason,
        Reason::TimeOutsideValidity
    );
}

#[test]
fn g35_a_verdict_ends_with_the_window_it_rests_on() {
    let (new, old) = (key(), key());
    let policy =
        load(&windows(", until = \"2026-07-01T00:00:00Z\""), &[("new", &new), ("old", &old)])
            .unwrap()
            .0;
    let registry = signed(&[&old]);
    let verdict = judge(&policy, &registry, APP, &digest());
    let until = now() + Duration::from_secs(30 * 86_400);
    assert_eq!(verdict.valid_until, Some(until));
    let evidence = look(&policy, &registry, APP, &digest());
    let at = |time| decide(&policy, &image(APP), &digest(), &evidence, time).reason;
    assert_eq!(at(until - Duration::from_secs(1)), Reason::Admitted);
    assert_eq!(at(until), Reason::TimeOutsideValidity);
}

#[test]
fn an_authority_vouches_for_its_own_repositories_only() {
    let key = key();
    let text = "version = 1\n[authority.a]\nkey = \"a.pub\"\nrepositories = [\"registry.test/mine/**\"]\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n";
    let policy = load(text, &[("a", &key)]).unwrap().0;
    let verdict = judge(&policy, &signed(&[&key]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignerNotTrusted));
    assert!(verdict.message.contains("may not vouch"), "{}", verdict.message);
    let mut registry = Registry::default();
    registry.sign(&key, "registry.test/mine/x", &digest());
    assert_eq!(
        judge(&policy, &registry, "registry.test/mine/x", &digest()).outcome,
        Outcome::Admitted
    );
}

fn with_rest(rest: &str, keys: &[(&str, &PrivateKey)]) -> Policy {
    let authorities: String = keys
        .iter()
        .map(|(name, _)| format!("[authority.{name}]\nkey = \"{name}.pub\"\n"))
        .collect();
    load(&format!("version = 1\n{authorities}{rest}"), keys).unwrap().0
}

#[test]
fn the_deny_list_names_content_whatever_digest_it_is_asked_by() {
    let content = b"a manifest";
    let names = [Algorithm::Sha256, Algorithm::Sha512].map(|by| Digest::with(by, content));
    for listed in names {
        let rest = format!("[[deny]]\ndigest = \"{listed}\"\nreason = \"CVE-2026-0001\"\n");
        let policy = with_rest(&rest, &[("a", &key())]);
        for asked in names {
            let verdict = content_deny_listed(&policy, &image(APP), &asked, content).unwrap();
            assert_eq!(end(&verdict), (Outcome::Denied, Reason::DenyList), "{listed} {asked}");
        }
        let other = b"another manifest";
        assert!(content_deny_listed(&policy, &image(APP), &Digest::of(other), other).is_none());
    }
}

#[test]
fn the_deny_list_wins_over_everything() {
    let key = key();
    let rule = "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\nmode = \"warn\"\n";
    let exception = format!(
        "[[exception]]\nmatch = \"{APP}\"\ndigest = \"{}\"\nuntil = \"2027-01-01T00:00:00Z\"\nreason = \"x\"\n",
        digest()
    );
    for deny in [
        format!("digest = \"{}\"", digest()),
        "match = \"registry.alias/acme/*\"".to_owned(),
        format!("match = [\"docker.io/x\", \"{APP}\"]"),
    ] {
        let rest = format!("{rule}{exception}[[deny]]\n{deny}\nreason = \"CVE-2026-0001\"\n");
        let policy = with_rest(&rest, &[("a", &key)]);
        let verdict = judge(&policy, &signed(&[&key]), APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::DenyList), "{deny}");
        assert_eq!(verdict.rule.as_deref(), Some("deny[0]"));
        assert!(
            verdict.enforced && verdict.message.contains("CVE-2026-0001"),
            "{}",
            verdict.message
        );
    }
}

#[test]
fn a_denied_key_never_counts_and_denies_nothing_else() {
    let (bad, good) = (key(), key());
    let rest = format!(
        "[[rule]]\nmatch = \"registry.test/**\"\nrequire = {{ any = [\"a\", \"b\"] }}\n[[deny]]\nkey = \"{}\"\nreason = \"stolen\"\n",
        bad.public().fingerprint()
    );
    let policy = with_rest(&rest, &[("a", &bad), ("b", &good)]);
    let verdict = judge(&policy, &signed(&[&bad]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::DenyList));
    assert!(verdict.message.contains("stolen"), "{}", verdict.message);
    assert_eq!(judge(&policy, &signed(&[&bad, &good]), APP, &digest()).signed_by, ["b"]);
}

#[test]
fn an_exception_admits_one_digest_until_its_date() {
    let key = key();
    let rest = |until: &str| {
        format!(
            "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n[[exception]]\nmatch = \"registry.test/acme/*\"\ndigest = \"{}\"\nuntil = \"{until}\"\nreason = \"ticket 4711\"\n",
            digest()
        )
    };
    let policy = with_rest(&rest("2026-07-01T00:00:00Z"), &[("a", &key)]);
    let registry = Registry::default();
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Admitted, Reason::Exception));
    assert_eq!(verdict.rule.as_deref(), Some("exception[0]"));
    assert!(verdict.message.contains("ticket 4711") && verdict.valid_until.is_some());
    assert!(registry.asked.lock().unwrap().is_empty());
    let other = Digest::of(b"another image");
    assert_eq!(judge(&policy, &registry, APP, &other).reason, Reason::NoSignature);
    assert_eq!(
        judge(&policy, &registry, "registry.test/x/y", &digest()).reason,
        Reason::NoSignature
    );
    let ended = with_rest(&rest("2026-06-01T00:00:00Z"), &[("a", &key)]);
    let verdict = judge(&ended, &registry, APP, &digest());
    assert_eq!(verdict.reason, Reason::NoSignature);
    assert!(verdict.message.contains("an exception for it ended"), "{}", verdict.message);
    // It ended between looking and judging, so nothing was looked for.
    let evidence = look(&policy, &registry, APP, &digest());
    let later = now() + Duration::from_secs(60 * 86_400);
    let verdict = decide(&policy, &image(APP), &digest(), &evidence, later);
    assert_eq!(end(&verdict), (Outcome::Undecided, Reason::EvidenceUnreachable));
}

#[test]
fn g51_what_no_rule_covers_is_denied() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let verdict = judge(&policy, &signed(&[&key]), "docker.io/library/nginx", &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoRule));
    assert!(
        verdict.next_step.contains("match = \"docker.io/library/nginx\""),
        "{}",
        verdict.next_step
    );
    let absent = Policy::absent(Some("policy.toml".into()));
    let verdict = judge(&absent, &signed(&[&key]), APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoPolicy));
    assert!(verdict.next_step.contains("portcullis keygen"), "{}", verdict.next_step);
}

#[test]
fn g51_the_most_specific_rule_decides_alone() {
    let (a, b) = (key(), key());
    let rest = "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n[[rule]]\nmatch = \"registry.test/acme/*\"\nrequire = \"b\"\n";
    let policy = with_rest(rest, &[("a", &a), ("b", &b)]);
    assert_eq!(judge(&policy, &signed(&[&a]), APP, &digest()).reason, Reason::SignerNotTrusted);
    assert_eq!(judge(&policy, &signed(&[&b]), APP, &digest()).outcome, Outcome::Admitted);
}

#[test]
fn leaves_that_need_nobody() {
    let key = key();
    let judge = |require: &str| {
        judge(
            &policy(&format!("require = {require}"), &[("a", &key)]),
            &Registry::default(),
            APP,
            &digest(),
        )
    };
    let pin = format!("{{ pin = [\"{}\"] }}", digest());
    assert_eq!(end(&judge(&pin)), (Outcome::Admitted, Reason::Pinned));
    let other = format!("{{ pin = [\"{}\"] }}", Digest::of(b"another image"));
    let verdict = judge(&other);
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::DigestMismatch));
    assert!(verdict.next_step.contains("`pin`"), "{}", verdict.next_step);
    assert_eq!(end(&judge("\"never\"")), (Outcome::Denied, Reason::Never));
    assert_eq!(end(&judge("{ all = [\"never\", \"a\"] }")), (Outcome::Denied, Reason::Never));
    let both = format!("{{ all = [{other}, \"a\"] }}");
    assert_eq!(end(&judge(&both)), (Outcome::Denied, Reason::DigestMismatch));
    let insecure = judge("\"insecure-accept-anything\"");
    assert_eq!(end(&insecure), (Outcome::Admitted, Reason::InsecureRule));
    assert!(insecure.message.contains("insecure-accept-anything"), "{}", insecure.message);
}

#[test]
fn a_rule_that_does_not_enforce_says_what_it_would_have_said() {
    let key = key();
    for (mode, word) in [("warn", Mode::Warn), ("audit", Mode::Audit)] {
        let policy = policy(&format!("require = \"a\"\nmode = \"{mode}\""), &[("a", &key)]);
        let verdict = judge(&policy, &Registry::default(), APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Admitted, Reason::NoSignature));
        assert_eq!((verdict.mode, verdict.enforced), (word, false));
        assert!(verdict.message.contains("served only because"), "{}", verdict.message);
        let mut broken = Registry::default();
        broken.manifests.insert(signature_tag(APP, &digest()), Err(LookFailure::new("503", false)));
        let verdict = judge_at_once(&policy, &broken);
        assert_eq!(end(&verdict), (Outcome::Admitted, Reason::EvidenceUnreachable));
        assert_eq!(verdict.valid_until, Some(now()));
        let verdict = judge_at_once(&policy, &signed(&[&key]));
        assert!(verdict.enforced && verdict.reason == Reason::Admitted);
    }
}

fn judge_at_once(policy: &Policy, registry: &Registry) -> Verdict {
    judge(policy, registry, APP, &digest())
}

#[test]
fn g44_evidence_that_was_never_looked_for_denies_nothing() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let verdict = decide(&policy, &image(APP), &digest(), &Evidence::default(), now());
    assert_eq!(end(&verdict), (Outcome::Undecided, Reason::EvidenceUnreachable));
}

#[test]
fn a_child_inherits_the_whole_verdict() {
    let key = key();
    let verdict =
        judge(&policy("require = \"a\"", &[("a", &key)]), &signed(&[&key]), APP, &digest());
    let child = Digest::of(b"child");
    let inherited = verdict.inherited(&image(APP), &child, &digest());
    assert_eq!(end(&inherited), (Outcome::Admitted, Reason::Admitted));
    assert_eq!(inherited.inherited_from, Some(digest()));
    assert!(
        inherited.message.starts_with(&format!("`{APP}@{child}` is admitted with the image index"))
    );
}

#[test]
fn says_that_a_keyless_signature_or_one_of_another_format_was_seen() {
    let key = key();
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = signed(&[&key]);
    registry.edit(APP, &digest(), |manifest| {
        manifest["layers"][0]["annotations"]["dev.sigstore.cosign/certificate"] = json!("x");
    });
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignerNotTrusted));
    assert!(
        verdict.message.contains("is keyless, which is not supported yet"),
        "{}",
        verdict.message
    );
    for (kind, words) in [
        (
            "application/vnd.cncf.notary.signature",
            "only a Notation signature, a format that is not",
        ),
        ("application/vnd.dev.sigstore.bundle+json;version=0.1", "of another version than 0.3"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.2", "of another version than 0.3"),
    ] {
        let mut registry = Registry::default();
        let listed = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 1,
            "digest": digest().to_string(), "artifactType": kind});
        registry.referrers.insert(format!("{APP}@{}", digest()), Ok(vec![listed]));
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::NoSignature));
        assert!(verdict.message.contains(words), "{}", verdict.message);
    }
}

/// Adds a log entry for `signer`'s signature over `payload` to the only layer.
fn log(registry: &mut Registry, signer: &PrivateKey, change: impl Fn(&mut Value)) {
    let bytes = registry.manifests[&signature_tag(APP, &digest())].clone().unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let layer = &manifest["layers"][0];
    let payload = layer["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let mut body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": payload}},
        "signature": {"content": layer["annotations"][SIGNATURE],
            "publicKey": {"content": STANDARD.encode(signer.public().to_pem())}}}});
    change(&mut body);
    let entry = json!({"SignedEntryTimestamp": "AAAA", "Payload": {
        "body": STANDARD.encode(body.to_string()), "integratedTime": 1, "logIndex": 1, "logID": "00".repeat(32)}});
    registry.edit(APP, &digest(), |manifest| {
        manifest["layers"][0]["annotations"]["dev.sigstore.cosign/bundle"] =
            json!(entry.to_string());
    });
}

#[test]
fn g10_a_log_entry_must_be_about_this_signature() {
    let (key, other) = (key(), key());
    let policy = policy("require = \"a\"", &[("a", &key)]);
    let mut registry = signed(&[&key]);
    log(&mut registry, &key, |_| ());
    let verdict = judge(&policy, &registry, APP, &digest());
    assert_eq!(verdict.outcome, Outcome::Admitted);
    let detail = &verdict.evidence.iter().find(|finding| finding.verified).unwrap().detail;
    assert!(detail.contains("log entry not verified: no trust root configured"), "{detail}");
    let mut registry = signed(&[&key]);
    log(&mut registry, &other, |_| ());
    assert_eq!(judge(&policy, &registry, APP, &digest()).reason, Reason::SignatureInvalid);
    for pointer in ["/spec/data/hash/value", "/spec/signature/content", "/kind"] {
        let mut registry = signed(&[&key]);
        log(&mut registry, &key, |body| *body.pointer_mut(pointer).unwrap() = json!("AAAA"));
        let verdict = judge(&policy, &registry, APP, &digest());
        assert_eq!(end(&verdict), (Outcome::Denied, Reason::SignatureInvalid), "{pointer}");
    }
    // A damaged signature that is logged for the right key is damaged, not a stranger's.
    let mut registry = signed(&[&other]);
    log(&mut registry, &key, |_| ());
    assert_eq!(judge(&policy, &registry, APP, &digest()).reason, Reason::SignatureInvalid);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn g18_no_changed_byte_of_a_signature_panics_or_is_admitted(at in 0_usize..400, with: u8) {
        let key = key();
        let policy = policy("require = \"a\"", &[("a", &key)]);
        let mut registry = signed(&[&key]);
        let text = payload(&digest().to_string(), APP);
        let signature = STANDARD.encode(key.sign(text.as_bytes()).unwrap());
        let mut bytes = [text.as_bytes(), signature.as_bytes()].concat();
        let at = at % bytes.len();
        let same = bytes[at] == with;
        bytes[at] = with;
        let (payload, signature) = bytes.split_at(text.len());
        let (Ok(payload), Ok(signature)) = (std::str::from_utf8(payload), std::str::from_utf8(signature)) else {
            return Ok(());
        };
        replace(&mut registry, payload, signature);
        let verdict = judge(&policy, &registry, APP, &digest());
        prop_assert_eq!(verdict.outcome == Outcome::Admitted, same, "{}", verdict.message);
    }
}
