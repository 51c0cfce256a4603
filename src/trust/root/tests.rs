use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    fixtures::{authority, empty, log, parsed, span, with},
    *,
};
use crate::trust::x509::fixtures::{Issued, at, fulcio, plan};

fn read(document: &Value) -> Result<TrustedRoot, Malformed> {
    TrustedRoot::parse(document.to_string().as_bytes())
}

/// A root with one of each, and a signer below its authority.
fn whole() -> (Value, Issued) {
    let top = Issued::authority("top", None);
    let leaf = Issued::new(Some(&top), plan(fulcio(1, "dev@acme.test"))).unwrap();
    let root = with(empty(), "tlogs", log("https://log.test", &top));
    let root = with(root, "ctlogs", log("https://ct.test/log", &top));
    let root =
        with(root, "certificateAuthorities", authority("https://ca.test", &[&top.certificate]));
    let root =
        with(root, "timestampAuthorities", authority("https://tsa.test", &[&top.certificate]));
    (root, leaf)
}

#[test]
fn the_roots_that_come_along_are_whole() {
    for embedded in &embedded::ALL {
        let root = embedded::root(embedded.name).unwrap();
        assert_eq!(root.hash(), &Digest::of(embedded.document.as_bytes()));
        assert!(!root.certificate_authorities.is_empty(), "{}", embedded.name);
        assert!(!root.timestamp_authorities().is_empty(), "{}", embedded.name);
        assert!(root.logs().iter().chain(root.certificate_logs()).all(|log| log.key().is_ok()));
    }
    let public_good = embedded::root("public-good").unwrap();
    let rekor = "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d";
    let rekor = public_good.log(LogId::from_hex(rekor).unwrap()).unwrap();
    assert_eq!(&*rekor.origin, "rekor.sigstore.dev");
    assert_eq!(public_good.certificate_logs().len(), 2);
    assert!(embedded::root("github").unwrap().logs().is_empty());
    assert!(embedded::root("staging").is_none());
}

#[test]
fn g28_spans_include_both_ends_and_begin_somewhere() {
    let (root, leaf) = whole();
    let from = |from, until| {
        let mut root = root.clone();
        root["certificateAuthorities"][0]["validFor"] = span(from, until);
        parsed(&root).paths(&leaf.certificate, at(150))
    };
    assert_eq!(from(150, 150).unwrap().len(), 1);
    assert_eq!(from(151, 500), Err(NoPath::Untimely));
    assert_eq!(from(0, 149), Err(NoPath::Untimely));
    let mut endless = root.clone();
    endless["certificateAuthorities"][0]["validFor"] = json!({"end": "2030-01-01T00:00:00Z"});
    assert_eq!(parsed(&endless).paths(&leaf.certificate, at(150)), Err(NoPath::Untimely));
    endless["tlogs"][0]["publicKey"]["validFor"] = json!({});
    assert!(parsed(&endless).logs()[0].key().is_err());
    let stranger = Issued::authority("stranger", None);
    let stranger = Issued::new(Some(&stranger), plan(Vec::new())).unwrap().certificate;
    assert!(matches!(parsed(&root).paths(&stranger, at(150)), Err(NoPath::Untrusted(_))));
}

#[test]
fn says_what_of_it_ends_and_when() {
    let (root, _) = whole();
    let expiries = parsed(&root).expiries();
    let named: Vec<_> = expiries.iter().map(|expiry| (&*expiry.what, expiry.at)).collect();
    assert_eq!(
        named,
        [
            ("the log `log.test`", at(500)),
            ("the log `ct.test`", at(500)),
            ("the authority `https://ca.test`", at(500)),
            ("the authority `https://tsa.test`", at(500)),
        ]
    );
}

#[test]
fn g14_refuses_roots_with_two_meanings() {
    let (good, _) = whole();
    assert!(read(&good).is_ok());
    let key = good["tlogs"][0]["publicKey"]["rawBytes"].as_str().unwrap().to_owned();
    for (pointer, bad) in [
        ("/mediaType", json!("application/vnd.dev.sigstore.trustedroot+json;version=9")),
        ("/more", json!(1)),
        ("/tlogs/0/more", json!(1)),
        ("/tlogs/0/hashAlgorithm", json!("SHA2_512")),
        ("/tlogs/0/logId/keyId", json!("AAAA")),
        ("/tlogs/0/publicKey/rawBytes", json!(key.trim_end_matches('='))),
        ("/tlogs/0/publicKey/validFor/start", json!("yesterday")),
        ("/tlogs/0/publicKey/validFor/since", json!("2026-01-01T00:00:00Z")),
        ("/certificateAuthorities/0/certChain/certificates", json!([])),
        ("/certificateAuthorities/0/certChain/certificates/0/rawBytes", json!("AAAA")),
        ("/certificateAuthorities/0/validFor", Value::Null),
    ] {
        let mut changed = good.clone();
        let (above, name) = pointer.rsplit_once('/').unwrap();
        match changed.pointer_mut(above).unwrap() {
            Value::Array(entries) => entries[0] = bad,
            object => object[name] = bad,
        }
        assert!(read(&changed).is_err(), "{pointer}");
    }
    let twice = with(good.clone(), "tlogs", good["tlogs"][0].clone());
    assert!(read(&twice).is_err(), "one log twice");
    let text = good.to_string().replacen("\"tlogs\"", "\"tlogs\":[],\"tlogs\"", 1);
    assert!(TrustedRoot::parse(text.as_bytes()).is_err(), "one member twice");
}

#[test]
fn a_key_that_cannot_be_used_costs_its_own_log_only() {
    let (good, _) = whole();
    let other = STANDARD.encode([1; 32]);
    for (pointer, bad) in [
        ("/tlogs/0/publicKey/rawBytes", json!("AAAA")),
        ("/tlogs/0/publicKey/keyDetails", json!("PKIX_ED25519")),
        ("/tlogs/0/publicKey/keyDetails", json!("PKIX_ML_DSA_65")),
        ("/tlogs/0/logId/keyId", json!(other)),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = bad;
        let root = parsed(&changed);
        assert!(root.logs()[0].key().is_err(), "{pointer}");
        assert!(root.certificate_logs()[0].key().is_ok(), "{pointer}");
    }
}

proptest! {
    #[test]
    fn g18_reading_never_panics(cut in 0_usize..7000, with in "\\PC{0,9}") {
        let real = embedded::ALL[0].document;
        let cut = real.floor_char_boundary(cut);
        let _ = TrustedRoot::parse(format!("{}{with}{}", &real[..cut], &real[cut..]).as_bytes());
    }
}
