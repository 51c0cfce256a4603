//! Signatures judged under a policy: what the signer is worth to an authority at a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, KeyIdMethod, RevocationReason,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

use super::made::{EXPIRY, Plan, Signer, payload, protected};
use crate::{
    oci::Digest,
    trust::{
        Outcome, Policy, Problem, Reason, Verdict, decide,
        fixtures::{Registry, image, look, now, table, write},
        notation::{COSE, JWS},
    },
};

const NAMED: &str = "registry.test/acme/app";
const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a/b","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[]}"#;

/// Loads a policy that wants the Notation authority `corp`, beside these files.
fn load(notation: &str, files: &[(&str, &str)]) -> Result<Policy, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(&folder.path().join(name), content);
    }
    let path = folder.path().join("policy.toml");
    let rule = format!("[[rule]]\nmatch = \"{NAMED}\"\nrequire = \"corp\"");
    write(&path, &format!("version = 1\n[authority.corp.notation]\n{notation}\n{rule}\n"));
    Policy::load(&path, &table(), now()).map(|(policy, _)| policy)
}

/// A policy that trusts everybody under the root of `signer`.
fn policy(signer: &Signer, more: &str) -> Policy {
    let notation = format!("trust_store = \"root.pem\"\nidentities = \"*\"\n{more}");
    load(&notation, &[("root.pem", &signer.root_pem())]).unwrap_or_else(|why| panic!("{why:?}"))
}

/// A registry in which `envelope` is attached to the manifest.
fn registry(media_type: &str, envelope: &[u8]) -> Registry {
    let mut registry = Registry::default();
    put(&mut registry, media_type, envelope, &json!([]));
    registry
}

fn put(registry: &mut Registry, media_type: &str, envelope: &[u8], more_layers: &Value) {
    let digest = Digest::of(MANIFEST.as_bytes());
    registry.manifests.insert(format!("{NAMED}@{digest}"), Ok(Bytes::from(MANIFEST)));
    let blob = registry.put_blob(&Bytes::copy_from_slice(envelope));
    let mut layers =
        vec![json!({"mediaType": media_type, "size": envelope.len(), "digest": blob.to_string()})];
    layers.extend(more_layers.as_array().unwrap().iter().cloned());
    let kind = "application/vnd.cncf.notary.signature";
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"mediaType": kind, "size": 2, "digest": Digest::of(b"{}").to_string()},
        "layers": layers,
        "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest.to_string(), "size": MANIFEST.len()},
    });
    registry.put_referrer(NAMED, &digest, &manifest, Some(kind));
}

fn judge_at(policy: &Policy, registry: &Registry, at: SystemTime) -> Verdict {
    let digest = Digest::of(MANIFEST.as_bytes());
    let evidence = look(policy, registry, NAMED, &digest);
    decide(policy, &image(NAMED), &digest, &evidence, at)
}

fn judge(policy: &Policy, registry: &Registry) -> Verdict {
    judge_at(policy, registry, now())
}

fn jws(signer: &Signer) -> Registry {
    let envelope = signer.jws(&payload(MANIFEST.as_bytes()), &protected());
    registry(JWS, envelope.to_string().as_bytes())
}

/// The beginning of a year.
fn year(year: u64) -> SystemTime {
    let days = (1970..year).map(|year| if year % 4 == 0 { 366 } else { 365 }).sum::<u64>();
    UNIX_EPOCH + Duration::from_secs(days * 86_400)
}

#[test]
fn admits_what_a_trusted_signer_signed() {
    let signer = Signer::new(Plan::default());
    let verdict = judge(&policy(&signer, ""), &jws(&signer));
    assert_eq!(verdict.reason, Reason::Admitted, "{}", verdict.message);
    assert_eq!(verdict.signed_by, ["corp"]);
    // The verdict ends with the certificate.
    assert_eq!(verdict.valid_until, Some(year(2028) + Duration::from_nanos(1)));
    let cose = registry(COSE, &signer.cose(&payload(MANIFEST.as_bytes()), vec![]));
    assert_eq!(judge(&policy(&signer, ""), &cose).outcome, Outcome::Admitted);
}

#[test]
fn refuses_a_stranger_and_says_who_it_is() {
    let (signer, stranger) = (Signer::new(Plan::default()), Signer::new(Plan::default()));
    let verdict = judge(&policy(&signer, ""), &jws(&stranger));
    assert_eq!(verdict.reason, Reason::SignerNotTrusted);
    let detail = &verdict.evidence.iter().find(|one| one.found).unwrap().detail;
    assert!(detail.contains("`C=US,CN=release,O=Acme,ST=WA`"), "{detail}");
    assert!(detail.contains("in the trust store"), "{detail}");
}

#[test]
fn g1_refuses_a_signature_of_another_manifest() {
    let signer = Signer::new(Plan::default());
    let envelope = signer.jws(&payload(b"another"), &protected());
    let verdict = judge(&policy(&signer, ""), &registry(JWS, envelope.to_string().as_bytes()));
    assert_eq!(verdict.reason, Reason::DigestMismatch, "{}", verdict.message);
}

#[test]
fn size_and_media_type_are_signed_too() {
    let signer = Signer::new(Plan::default());
    for (member, value) in [
        ("size", json!(MANIFEST.len() + 1)),
        ("mediaType", json!("application/vnd.oci.image.index.v1+json")),
    ] {
        let mut target = payload(MANIFEST.as_bytes());
        target["targetArtifact"][member] = value;
        let envelope = signer.jws(&target, &protected());
        let verdict = judge(&policy(&signer, ""), &registry(JWS, envelope.to_string().as_bytes()));
        assert_eq!(verdict.reason, Reason::SignatureInvalid, "{member}: {}", verdict.message);
    }
}

#[test]
fn g23_only_identities_may_sign() {
    let signer = Signer::new(Plan::default());
    let files = [("root.pem", signer.root_pem())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    for (identity, reason) in [
        ("C=US, ST=WA, O=Acme", Reason::Admitted),
        ("CN=release,O=Acme,S=WA,C=US", Reason::Admitted),
        ("C=US, ST=WA, O=Acme, CN=other", Reason::SignerNotTrusted),
        ("C=US, ST=WA, O=Acme, CN=release, OU=more", Reason::SignerNotTrusted),
    ] {
        let notation =
            format!("trust_store = \"root.pem\"\nidentities = [\"x509.subject: {identity}\"]");
        let verdict = judge(&load(&notation, &files).unwrap(), &jws(&signer));
        assert_eq!(verdict.reason, reason, "{identity}: {}", verdict.message);
    }
}

#[test]
fn an_expired_signature_counts_where_the_level_only_notes_it() {
    let signer = Signer::new(Plan::default());
    let mut headers = protected();
    headers[EXPIRY] = json!("2026-06-02T00:00:00Z");
    headers["crit"].as_array_mut().unwrap().push(json!(EXPIRY));
    let envelope = signer.jws(&payload(MANIFEST.as_bytes()), &headers);
    let registry = registry(JWS, envelope.to_string().as_bytes());
    let day = Duration::from_secs(86_400);
    let strict = policy(&signer, "");
    let before = judge_at(&strict, &registry, now() + day - Duration::from_millis(1));
    assert_eq!(before.outcome, Outcome::Admitted, "{}", before.message);
    assert_eq!(before.valid_until, Some(now() + day));
    let after = judge_at(&strict, &registry, now() + day);
    assert_eq!(after.reason, Reason::TimeOutsideValidity, "{}", after.message);
    for more in ["level = \"permissive\"", "override = { expiry = \"log\" }"] {
        let verdict = judge_at(&policy(&signer, more), &registry, now() + day);
        assert_eq!(verdict.outcome, Outcome::Admitted, "{}", verdict.message);
        let detail = &verdict.evidence.iter().find(|one| one.verified).unwrap().detail;
        assert!(detail.contains("noted only") && detail.contains("expired"), "{detail}");
    }
}

#[test]
fn g28_g32_a_chain_that_is_not_valid_now_needs_a_timestamp() {
    let signer = Signer::new(Plan::default());
    let strict = policy(&signer, "");
    for (at, reason) in [
        (year(2026), Reason::Admitted),
        (year(2028), Reason::Admitted),
        (year(2026) - Duration::from_secs(1), Reason::TimeOutsideValidity),
        (year(2028) + Duration::from_secs(1), Reason::TimeOutsideValidity),
    ] {
        let verdict = judge_at(&strict, &jws(&signer), at);
        assert_eq!(verdict.reason, reason, "{at:?}: {}", verdict.message);
    }
    let verdict = judge_at(&policy(&signer, "level = \"permissive\""), &jws(&signer), year(2029));
    assert_eq!(verdict.outcome, Outcome::Admitted, "{}", verdict.message);
}

#[test]
fn metadata_that_is_asked_for_must_be_signed() {
    let signer = Signer::new(Plan::default());
    let mut target = payload(MANIFEST.as_bytes());
    target["targetArtifact"]["annotations"] = json!({"build": "release"});
    let envelope = signer.jws(&target, &protected());
    let registry = registry(JWS, envelope.to_string().as_bytes());
    let verdict = judge(&policy(&signer, "metadata = { build = \"release\" }"), &registry);
    assert_eq!(verdict.reason, Reason::Admitted, "{}", verdict.message);
    let verdict = judge(&policy(&signer, "metadata = { build = \"test\" }"), &registry);
    assert_eq!(verdict.reason, Reason::ConditionFalse, "{}", verdict.message);
}

#[test]
fn one_broken_signature_does_not_hide_another() {
    let signer = Signer::new(Plan::default());
    let mut registry = jws(&signer);
    put(&mut registry, JWS, b"{}", &json!([]));
    put(&mut registry, COSE, b"{}", &json!([]));
    let verdict = judge(&policy(&signer, ""), &registry);
    assert_eq!(verdict.outcome, Outcome::Admitted, "{}", verdict.message);
}

#[test]
fn a_signature_has_exactly_one_layer() {
    let signer = Signer::new(Plan::default());
    let envelope = signer.jws(&payload(MANIFEST.as_bytes()), &protected()).to_string();
    let other = json!([{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1,
        "digest": Digest::of(b"x").to_string()}]);
    let mut registry = Registry::default();
    put(&mut registry, JWS, envelope.as_bytes(), &other);
    let verdict = judge(&policy(&signer, ""), &registry);
    assert_eq!(verdict.reason, Reason::SignatureInvalid, "{}", verdict.message);
}

#[test]
fn g36_a_huge_envelope_is_undecided_and_not_fetched() {
    let signer = Signer::new(Plan::default());
    let verdict = judge(&policy(&signer, ""), &registry(JWS, &vec![b' '; (1 << 20) + 1]));
    assert_eq!(verdict.reason, Reason::LimitReached);
}

#[test]
fn levels_that_let_anybody_sign_do_not_load() {
    let signer = Signer::new(Plan::default());
    let files = [("root.pem", signer.root_pem())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    for (more, why) in [
        ("level = \"audit\"", "nobody trusted has made"),
        ("level = \"skip\"", "nobody trusted has made"),
        ("level = \"strictest\"", "not known here"),
        ("override = { authenticity = \"log\" }", "always enforced"),
        ("override = { integrity = \"enforce\" }", "always enforced"),
        ("override = { expiry = \"skip\" }", "not known here"),
        ("override = { expiry = \"enforce\" }", "what the level says already"),
        ("verify_timestamp = \"always\"", "no effect without `tsa`"),
        ("metadata = {}", "asks for nothing"),
        ("crl = \"root.pem\"", "no revocation list"),
        ("trust = \"root.pem\"", "no such key"),
    ] {
        let notation = format!("trust_store = \"root.pem\"\nidentities = \"*\"\n{more}");
        let problems = load(&notation, &files).unwrap_err();
        assert!(problems.iter().any(|one| one.what.contains(why)), "{more}: {problems:?}");
    }
    let bare = load("identities = \"*\"", &[]).unwrap_err();
    assert!(bare.iter().any(|one| one.what.contains("no `trust_store`")), "{bare:?}");
}

// ---- revocation

/// A signer whose certificate names a place to ask whether it is revoked.
fn revocable() -> Signer {
    let mut plan = Plan::default();
    let uris = vec!["http://crl.test/corp.crl".to_owned()];
    plan.leaf.crl_distribution_points = vec![CrlDistributionPoint { uris }];
    Signer::new(plan)
}

/// A list by the root of `signer`, current from 2026-05 to 2026-07, that revokes these serials.
fn list(signer: &Signer, revoked: &[u64], invalid_since: Option<i32>) -> CrlText {
    let revoked = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 5, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: invalid_since.map(|year| date_time_ymd(year, 1, 1)),
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 5, 1),
        next_update: date_time_ymd(2026, 7, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    CrlText(list.signed_by(&signer.root).unwrap().pem().unwrap().replace('\r', ""))
}

/// A list as a PEM file.
struct CrlText(String);

fn with_list(signer: &Signer, list: &CrlText, more: &str) -> Result<Policy, Vec<Problem>> {
    let notation =
        format!("trust_store = \"root.pem\"\nidentities = \"*\"\ncrl = \"a.crl\"\n{more}");
    load(&notation, &[("root.pem", &signer.root_pem()), ("a.crl", &list.0)])
}

#[test]
fn a_revoked_certificate_signs_nothing() {
    let signer = revocable();
    let good = judge(&with_list(&signer, &list(&signer, &[8], None), "").unwrap(), &jws(&signer));
    assert_eq!(good.outcome, Outcome::Admitted, "{}", good.message);
    let july = now() + Duration::from_secs(30 * 86_400);
    assert_eq!(good.valid_until, Some(july + Duration::from_nanos(1)), "until the next update");
    let revoked = list(&signer, &[7], None);
    let verdict = judge(&with_list(&signer, &revoked, "").unwrap(), &jws(&signer));
    assert_eq!(verdict.reason, Reason::SignerNotTrusted, "{}", verdict.message);
    assert!(verdict.evidence.iter().any(|one| one.detail.contains("is revoked")));
    for more in ["override = { revocation = \"log\" }", "override = { revocation = \"skip\" }"] {
        let verdict = judge(&with_list(&signer, &revoked, more).unwrap(), &jws(&signer));
        assert_eq!(verdict.outcome, Outcome::Admitted, "{more}: {}", verdict.message);
    }
}

#[test]
fn g32_nobody_knows_without_a_current_list_of_the_issuer() {
    let signer = revocable();
    let absent = judge(&policy(&signer, ""), &jws(&signer));
    assert_eq!(absent.reason, Reason::EvidenceUnreachable, "{}", absent.message);
    assert_eq!(absent.outcome, Outcome::Undecided);
    let stale = with_list(&signer, &list(&signer, &[], None), "").unwrap();
    let verdict = judge_at(&stale, &jws(&signer), now() + Duration::from_secs(60 * 86_400));
    assert_eq!(verdict.reason, Reason::EvidenceUnreachable, "{}", verdict.message);
    // Of the same name, by another key.
    let other = list(&Signer::new(Plan::default()), &[], None);
    let verdict = judge(&with_list(&signer, &other, "").unwrap(), &jws(&signer));
    assert_eq!(verdict.reason, Reason::EvidenceUnreachable, "{}", verdict.message);
    // A stranger's signature beside it makes no denial of it.
    let mut registry = jws(&signer);
    let stranger = Signer::new(Plan::default()).jws(&payload(MANIFEST.as_bytes()), &protected());
    put(&mut registry, JWS, stranger.to_string().as_bytes(), &json!([]));
    let verdict = judge(&policy(&signer, ""), &registry);
    assert_eq!(verdict.outcome, Outcome::Undecided, "{}", verdict.message);
}

#[test]
fn a_certificate_that_names_no_place_needs_no_list_and_is_revoked_by_one() {
    let signer = Signer::new(Plan::default());
    assert_eq!(judge(&policy(&signer, ""), &jws(&signer)).outcome, Outcome::Admitted);
    let revoked = with_list(&signer, &list(&signer, &[7], None), "").unwrap();
    assert_eq!(judge(&revoked, &jws(&signer)).reason, Reason::SignerNotTrusted);
}

#[test]
fn the_signers_own_word_about_the_time_undoes_no_revocation() {
    let signer = revocable();
    let revoked = list(&signer, &[7], Some(2027));
    let verdict = judge(&with_list(&signer, &revoked, "").unwrap(), &jws(&signer));
    assert_eq!(verdict.reason, Reason::SignerNotTrusted, "{}", verdict.message);
}

#[test]
fn g35_a_new_list_is_new_trust_material() {
    let signer = revocable();
    let hash = |list| with_list(&signer, &list, "").unwrap().trust_hash().to_owned();
    assert_ne!(hash(list(&signer, &[], None)), hash(list(&signer, &[7], None)));
}
