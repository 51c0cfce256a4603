//! Every rule, broken once.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use coset::cbor::Value as Cbor;
use proptest::prelude::*;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, date_time_ymd};
use serde_json::{Value, json};

use super::made::{EXPIRY, Plan, SCHEME, SIGNING_TIME, Signer, epoch, payload, protected, recoded};
use crate::trust::notation::{COSE, Envelope, JWS, Signature};

const MANIFEST: &[u8] = b"{}";

fn authenticate(media_type: &str, content: &[u8]) -> Result<Signature, String> {
    let envelope = Envelope::parse(media_type, content).map_err(|error| error.0)?;
    Signature::authenticate(&envelope).map_err(|error| error.0)
}

fn jws(envelope: &Value) -> Result<Signature, String> {
    authenticate(JWS, envelope.to_string().as_bytes())
}

/// Why the signer of `plan` is refused.
fn refusal(plan: Plan) -> String {
    jws(&Signer::new(plan).jws(&payload(MANIFEST), &protected())).unwrap_err()
}

#[test]
fn takes_what_notation_writes() {
    let signer = Signer::new(Plan::default());
    let signature = jws(&signer.jws(&payload(MANIFEST), &protected())).unwrap();
    assert!(signature.signer().starts_with("`C=US,CN=release,O=Acme,ST=WA` (sha256:"));
    let cose = signer.cose(&payload(MANIFEST), vec![("mine", Cbor::Bool(true))]);
    assert!(authenticate(COSE, &cose).is_ok());
    let expiring = signer.cose(&payload(MANIFEST), vec![(EXPIRY, epoch(1_880_272_000))]);
    assert!(authenticate(COSE, &expiring).is_ok());
    // What is JWS is no COSE, and the other way round.
    assert!(authenticate(JWS, &cose).is_err());
    let other = signer.jws(&payload(MANIFEST), &protected()).to_string();
    assert!(authenticate(COSE, other.as_bytes()).is_err());
}

#[test]
fn g25_the_algorithm_is_the_one_of_the_key() {
    let signer = Signer::new(Plan::default());
    for name in ["none", "HS256", "RS256", "ES384", "PS256", "es256", ""] {
        let mut headers = protected();
        headers["alg"] = json!(name);
        let refusal = jws(&signer.jws(&payload(MANIFEST), &headers)).unwrap_err();
        assert!(refusal.contains("algorithm"), "{name}: {refusal}");
    }
}

#[test]
fn g26_no_key_is_taken_from_a_header() {
    let signer = Signer::new(Plan::default());
    for name in ["jwk", "kid", "x5u", "alg", "crit"] {
        let mut envelope = signer.jws(&payload(MANIFEST), &protected());
        envelope["header"][name] = json!("x");
        let refusal = jws(&envelope).unwrap_err();
        assert!(refusal.contains(name) && refusal.contains("not known"), "{refusal}");
    }
}

#[test]
fn g14_g15_an_envelope_has_one_meaning() {
    let signer = Signer::new(Plan::default());
    let envelope = signer.jws(&payload(MANIFEST), &protected());
    let text = envelope.to_string();
    for changed in [
        text.replacen('{', r#"{"signatures":[],"#, 1),
        text.replacen('{', r#"{"payload":"e30","#, 1),
        text.replacen("\"signature\"", "\"Signature\"", 1),
        format!("{text} x"),
        format!("\u{feff}{text}"),
    ] {
        assert!(authenticate(JWS, changed.as_bytes()).is_err(), "{changed:.80}");
    }
    for member in ["payload", "protected", "signature"] {
        for (what, with) in [("", "="), ("", " "), ("", "\n")] {
            let mut changed = envelope.clone();
            let value = changed[member].as_str().unwrap().to_owned();
            changed[member] = json!(format!("{what}{value}{with}"));
            assert!(jws(&changed).is_err(), "{member} with {with:?}");
        }
    }
    let mut twice = envelope.clone();
    let headers = protected().to_string().replacen('{', r#"{"alg":"ES256","#, 1);
    let headers = URL_SAFE_NO_PAD.encode(headers);
    let message = format!("{headers}.{}", envelope["payload"].as_str().unwrap());
    twice["protected"] = json!(headers);
    twice["signature"] = json!(URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes())));
    assert!(jws(&twice).unwrap_err().contains("twice"));
}

#[test]
fn cose_envelopes_have_one_meaning() {
    let signer = Signer::new(Plan::default());
    let cose = signer.cose(&payload(MANIFEST), vec![]);
    let untagged = cose[1..].to_vec();
    let mut trailing = cose.clone();
    trailing.push(0);
    let detached = recoded(&cose, |parts| parts[2] = Cbor::Null);
    let hidden = recoded(&cose, |parts| {
        let Cbor::Map(unprotected) = &mut parts[1] else { panic!("no map") };
        unprotected.push((Cbor::Integer(1.into()), Cbor::Integer((-7).into())));
    });
    let doubled = recoded(&cose, |parts| {
        let Cbor::Map(unprotected) = &mut parts[1] else { panic!("no map") };
        unprotected.push(unprotected[0].clone());
    });
    let key_id = recoded(&cose, |parts| {
        let Cbor::Map(unprotected) = &mut parts[1] else { panic!("no map") };
        unprotected.push((Cbor::Integer(4.into()), Cbor::Bytes(b"kid".to_vec())));
    });
    for (what, bytes) in [
        ("untagged", untagged),
        ("trailing", trailing),
        ("detached", detached),
        ("algorithm outside", hidden),
        ("label twice", doubled),
        ("key id", key_id),
    ] {
        assert!(authenticate(COSE, &bytes).is_err(), "{what}");
    }
    for untimely in [Cbor::Integer(1.into()), Cbor::Text("2026-01-01T00:00:00Z".into())] {
        let bytes = signer.cose(&payload(MANIFEST), vec![(EXPIRY, untimely)]);
        let refusal = authenticate(COSE, &bytes).unwrap_err();
        assert!(refusal.contains("tag 1"), "{refusal}");
    }
}

#[test]
fn one_changed_byte_is_no_signature() {
    let signer = Signer::new(Plan::default());
    let envelope = signer.jws(&payload(MANIFEST), &protected());
    let mut changed = envelope.clone();
    changed["payload"] = signer.jws(&payload(b"[]"), &protected())["payload"].clone();
    assert!(jws(&changed).unwrap_err().contains("does not verify"));
    let mut changed = envelope;
    let other = Signer::new(Plan::default());
    changed["header"]["x5c"] = other.jws(&payload(MANIFEST), &protected())["header"]["x5c"].clone();
    assert!(jws(&changed).unwrap_err().contains("does not verify"));
    let cose = signer.cose(&payload(MANIFEST), vec![]);
    let changed = recoded(&cose, |parts| parts[2] = Cbor::Bytes(b"{}".to_vec()));
    assert!(authenticate(COSE, &changed).unwrap_err().contains("does not verify"));
}

#[test]
fn the_time_of_another_scheme_is_refused() {
    let signer = Signer::new(Plan::default());
    let mut headers = protected();
    headers[SCHEME] = json!("notary.x509.signingAuthority");
    assert!(jws(&signer.jws(&payload(MANIFEST), &headers)).is_err());
    let mut headers = protected();
    headers[SIGNING_TIME] = json!("yesterday");
    assert!(jws(&signer.jws(&payload(MANIFEST), &headers)).is_err());
}

#[test]
fn the_signers_certificate_signs_images_and_nothing_else() {
    type Change = fn(&mut Plan);
    let cases: [(Change, &str); 7] = [
        (|plan| plan.leaf.key_usages.clear(), "no key usage"),
        (|plan| plan.leaf.key_usages = vec![KeyUsagePurpose::ContentCommitment], "key usage"),
        (|plan| plan.leaf.key_usages.push(KeyUsagePurpose::KeyAgreement), "key usage"),
        (|plan| plan.leaf.key_usages.push(KeyUsagePurpose::KeyCertSign), "key usage"),
        (|plan| plan.leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::Any), "purpose"),
        (
            |plan| plan.leaf.extended_key_usages.push(ExtendedKeyUsagePurpose::TimeStamping),
            "purpose",
        ),
        (|plan| plan.leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "an authority"),
    ];
    for (change, why) in cases {
        let mut plan = Plan::default();
        change(&mut plan);
        let refusal = refusal(plan);
        assert!(refusal.contains(why), "{why}: {refusal}");
    }
    let mut plan = Plan::default();
    plan.leaf.key_usages.push(KeyUsagePurpose::ContentCommitment);
    plan.leaf.extended_key_usages.clear();
    assert!(jws(&Signer::new(plan).jws(&payload(MANIFEST), &protected())).is_ok());
}

#[test]
fn an_authority_may_sign_certificates() {
    let mut plan = Plan::default();
    plan.root.is_ca = IsCa::NoCa;
    assert!(refusal(plan).contains("basic constraints"));
    let mut plan = Plan::default();
    plan.root.key_usages = vec![KeyUsagePurpose::CrlSign];
    assert!(refusal(plan).contains("may not sign certificates"));
}

#[test]
fn a_chain_is_whole_and_in_order() {
    let mut signer = Signer::new(Plan::default());
    let whole = signer.chain.clone();
    let stranger = Signer::new(Plan::default()).chain[1].clone();
    for (chain, why) in [
        (vec![whole[0].clone()], "does not sign itself"),
        (vec![whole[0].clone(), stranger.clone()], "not signed by the next"),
        (vec![whole[0].clone(), whole[1].clone(), whole[1].clone()], "before the last one"),
        (vec![whole[1].clone(), whole[0].clone()], "does not sign itself"),
        (vec![whole[0].clone(), stranger, whole[1].clone()], "not signed by the next"),
        (vec![vec![0x30, 0]], "DER"),
        (vec![], "`x5c` is empty"),
        (vec![whole[1].clone(); 7], "more than 6"),
    ] {
        signer.chain = chain;
        let refusal = jws(&signer.jws(&payload(MANIFEST), &protected())).unwrap_err();
        assert!(refusal.contains(why), "{why}: {refusal}");
    }
}

#[test]
fn whether_a_certificate_is_valid_is_no_part_of_integrity() {
    let mut plan = Plan::default();
    plan.leaf.not_after = date_time_ymd(2026, 2, 1);
    assert!(jws(&Signer::new(plan).jws(&payload(MANIFEST), &protected())).is_ok());
}

proptest! {
    #[test]
    fn g18_reading_never_panics(
        bytes: Vec<u8>,
        text in "[\\[\\]{}:,\"a0e. ]{0,60}",
        at in 0_usize..400,
        byte: u8,
    ) {
        for media_type in [JWS, COSE] {
            let _ = Envelope::parse(media_type, &bytes);
            let _ = Envelope::parse(media_type, text.as_bytes());
        }
        thread_local! {
            static MADE: Vec<u8> = Signer::new(Plan::default()).cose(&payload(MANIFEST), vec![]);
        }
        let mut cose = MADE.with(Clone::clone);
        let at = at % cose.len();
        cose[at] = byte;
        let _ = authenticate(COSE, &cose);
    }
}
