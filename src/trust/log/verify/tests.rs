use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::trust::{
    json::Json,
    log::Signed,
    root::fixtures::{empty, log, parsed, span, with},
    x509::fixtures::{Issued, at},
};

const MESSAGE: &[u8] = b"a payload";
const SIGNATURE: &[u8] = b"a signature";
const OLD: &str = "https://rekor.test";
const NEW: &str = "https://log2026.test";

/// Two logs, one of each kind, and a signer.
struct Logs {
    root: Value,
    old: Issued,
    new: Issued,
    signer: Issued,
}

impl Logs {
    fn new() -> Self {
        let [old, new, signer] =
            ["rekor", "tiles", "signer"].map(|name| Issued::authority(name, None));
        let root = with(empty(), "tlogs", log(OLD, &old));
        Self { root: with(root, "tlogs", log(NEW, &new)), old, new, signer }
    }

    /// An entry of the old log, as a bundle has it.
    fn old_entry(&self) -> Value {
        let key = self.signer.certificate.public_key();
        let body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hex_of(&Sha256::digest(MESSAGE))}},
            "signature": {"content": STANDARD.encode(SIGNATURE),
                "publicKey": {"content": STANDARD.encode(key.to_pem())}}}});
        let body = STANDARD.encode(body.to_string());
        let id = self.old.certificate.public_key().fingerprint();
        let time = seconds(150);
        let promised = format!(
            r#"{{"body":"{body}","integratedTime":{time},"logID":"{}","logIndex":7}}"#,
            hex_of(id.as_bytes())
        );
        let checkpoint = checkpoint("rekor.test - 99", "rekor.test", &body, &self.old);
        json!({
            "logIndex": "7", "logId": {"keyId": STANDARD.encode(id.as_bytes())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
            "integratedTime": time.to_string(),
            "inclusionPromise": {
                "signedEntryTimestamp": STANDARD.encode(self.old.sign(promised.as_bytes()))},
            "inclusionProof": {"logIndex": "0", "treeSize": "1", "hashes": [],
                "rootHash": root_hash(&body), "checkpoint": {"envelope": checkpoint}},
            "canonicalizedBody": body,
        })
    }

    /// An entry of the new log.
    fn new_entry(&self) -> Value {
        let key = self.signer.certificate.public_key();
        let body = format!(
            r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"{}"}},"signature":{{"content":"{}","verifier":{{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{{"rawBytes":"{}"}}}}}}}}}}}}"#,
            STANDARD.encode(Sha256::digest(MESSAGE)),
            STANDARD.encode(SIGNATURE),
            STANDARD.encode(key.spki()),
        );
        let body = STANDARD.encode(body);
        let id = self.new.certificate.public_key().fingerprint();
        let checkpoint = checkpoint("log2026.test", "log2026.test", &body, &self.new);
        json!({
            "logId": {"keyId": STANDARD.encode(id.as_bytes())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {"checkpoint": {"envelope": checkpoint}},
            "canonicalizedBody": body,
        })
    }

    fn root(&self) -> TrustedRoot {
        parsed(&self.root)
    }
}

/// The checkpoint of a tree of one entry.
fn checkpoint(origin: &str, name: &str, body: &str, log: &Issued) -> String {
    let text = format!("{origin}\n1\n{}\n", root_hash(body));
    let hint = &log.certificate.public_key().fingerprint().as_bytes()[..4];
    let signature = [hint, &log.sign(text.as_bytes())].concat();
    format!("{text}\n\u{2014} witness AAAAAAE=\n\u{2014} {name} {}\n", STANDARD.encode(signature))
}

fn root_hash(body: &str) -> String {
    let body = STANDARD.decode(body).unwrap();
    STANDARD.encode(Sha256::new().chain_update([0]).chain_update(body).finalize())
}

fn seconds(after: u64) -> u64 {
    at(after).duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn verify(entry: &Value, root: &TrustedRoot) -> Result<Option<Logged>, Malformed> {
    let signed = Signed { signature: SIGNATURE, message: MESSAGE, payload: None };
    let entry = Json::parse(entry.to_string().as_bytes())?;
    Record::of_bundle(entry)?.about(&signed)?.verify(root)
}

#[test]
fn both_kinds_of_logs_vouch_for_what_they_have() {
    let logs = Logs::new();
    let logged = verify(&logs.old_entry(), &logs.root()).unwrap().unwrap();
    assert_eq!((logged.index, logged.time), (7, Some(at(150))));
    let logged = verify(&logs.new_entry(), &logs.root()).unwrap().unwrap();
    assert_eq!((logged.index, logged.time), (0, None));
    let nobody = parsed(&empty());
    assert_eq!(verify(&logs.old_entry(), &nobody), Ok(None));
    assert_eq!(verify(&logs.new_entry(), &nobody), Ok(None));
}

#[test]
fn g29_a_time_that_no_promise_covers_is_none() {
    let logs = Logs::new();
    let root = logs.root();
    let mut entry = logs.old_entry();
    entry.as_object_mut().unwrap().remove("inclusionPromise");
    assert_eq!(verify(&entry, &root).unwrap().unwrap().time, None);
    for (name, value) in [
        ("integratedTime", json!((seconds(150) + 1).to_string())),
        ("logIndex", json!("8")),
        ("inclusionPromise", json!({"signedEntryTimestamp": "MAYCAQECAQE="})),
    ] {
        let mut entry = logs.old_entry();
        entry[name] = value;
        let error = verify(&entry, &root).unwrap_err();
        assert!(error.0.contains("promise is not signed"), "{name}: {error}");
    }
    let mut entry = logs.new_entry();
    entry["integratedTime"] = json!(seconds(150).to_string());
    assert!(verify(&entry, &root).unwrap_err().0.contains("which its log does not give"));
}

#[test]
fn g28_a_log_is_valid_when_it_logs_and_both_ends_count() {
    let logs = Logs::new();
    let verify_in = |from, until| {
        let mut root = logs.root.clone();
        root["tlogs"][0]["publicKey"]["validFor"] = span(from, until);
        verify(&logs.old_entry(), &parsed(&root))
    };
    assert!(verify_in(150, 150).unwrap().is_some());
    assert!(verify_in(0, 149).is_err());
    assert!(verify_in(151, 500).is_err());
}

#[test]
fn g17_a_checkpoint_is_its_own_logs() {
    let logs = Logs::new();
    let root = logs.root();
    let old_body = logs.old_entry()["canonicalizedBody"].as_str().unwrap().to_owned();
    let new_body = logs.new_entry()["canonicalizedBody"].as_str().unwrap().to_owned();
    let pointer = "/inclusionProof/checkpoint/envelope";
    for bad in [
        checkpoint("log2026.test", "log2026.test", &new_body, &logs.old),
        checkpoint("other.test", "log2026.test", &new_body, &logs.new),
        checkpoint("log2026.test", "other.test", &new_body, &logs.new),
        checkpoint("log2026.test - 99", "log2026.test", &new_body, &logs.new),
        checkpoint("log2026.test", "log2026.test", &old_body, &logs.new),
    ] {
        let mut entry = logs.new_entry();
        *entry.pointer_mut(pointer).unwrap() = json!(bad);
        assert!(verify(&entry, &root).is_err(), "{bad}");
    }
    for bad in [
        checkpoint("rekor.test - 99", "rekor.test", &old_body, &logs.new),
        checkpoint("rekor.test", "rekor.test", &old_body, &logs.old),
        checkpoint("rekor.test - x", "rekor.test", &old_body, &logs.old),
        checkpoint("rekor.test - 99", "other.test", &old_body, &logs.old),
    ] {
        let mut entry = logs.old_entry();
        *entry.pointer_mut(pointer).unwrap() = json!(bad);
        assert!(verify(&entry, &root).is_err(), "{bad}");
    }
}

#[test]
fn g10_an_entry_in_another_spelling_is_another_entry() {
    let logs = Logs::new();
    let entry = logs.new_entry();
    let body = STANDARD.decode(entry["canonicalizedBody"].as_str().unwrap()).unwrap();
    let body = String::from_utf8(body).unwrap();
    let spaced = STANDARD.encode(body.replacen(':', ": ", 1));
    let mut changed = entry;
    changed["canonicalizedBody"] = json!(spaced);
    let note = checkpoint("log2026.test", "log2026.test", &spaced, &logs.new);
    changed["inclusionProof"]["checkpoint"]["envelope"] = json!(note);
    let error = verify(&changed, &logs.root()).unwrap_err();
    assert!(error.0.contains("not written in the one way"), "{error}");
}

#[test]
fn an_entry_names_the_certificate_that_signed() {
    let logs = Logs::new();
    let signer = &logs.signer.certificate;
    let body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": hex_of(&Sha256::digest(MESSAGE))}},
        "signature": {"content": STANDARD.encode(SIGNATURE), "publicKey": {"content":
            STANDARD.encode(crate::trust::pem::encode("CERTIFICATE", signer.der()))}}}});
    let annotation = json!({"SignedEntryTimestamp": "AAAA", "Payload": {
        "body": STANDARD.encode(body.to_string()), "integratedTime": 1, "logIndex": 2,
        "logID": "ab".repeat(32)}});
    let entry = LogEntry::parse(&annotation.to_string(), SIGNATURE, MESSAGE).unwrap();
    assert!(entry.names_certificate(signer));
    assert!(!entry.names_certificate(&logs.old.certificate));
    assert!(!entry.names(signer.public_key()), "its key alone is another signer");
}

proptest! {
    #[test]
    fn g18_reading_records_never_panics(pick: usize, with in "\\PC{0,9}") {
        let text = ENTRY.clone();
        let mut at = pick % text.len();
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let text = format!("{}{with}{}", &text[..at], &text[at..]);
        if let Ok(json) = Json::parse(text.as_bytes()) {
            let _ = Record::of_bundle(json);
        }
        let _ = Record::of_annotation(&text);
    }
}

static ENTRY: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| Logs::new().old_entry().to_string());
