//! What Sigstore's conformance cases say about each part by itself: certificate and identity, path,
//! receipts, log entries, timestamps. Whole bundles are judged where bundles are.

use std::path::{Path as File, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::*;
use crate::trust::{
    json::Json,
    log::{Record, Signed, count_receipts},
    stamp::{Stamp, verify_response},
    vectors,
    x509::fulcio::{Identity, Subject},
};

/// A bundle, taken apart without any care.
struct Case {
    name: String,
    root: TrustedRoot,
    bundle: Value,
    message: Vec<u8>,
    payload: Option<Vec<u8>>,
    signature: Vec<u8>,
}

/// Index and time of an entry; nothing where the root does not know its log.
type Vouched = Option<(u64, Option<SystemTime>)>;

impl Case {
    fn all() -> Vec<Self> {
        let Some(folder) = vectors::folder("sigstore-conformance") else { return Vec::new() };
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.iter().filter_map(|case| Self::read(&folder, case)).collect()
    }

    fn read(all: &File, folder: &File) -> Option<Self> {
        let bundle = std::fs::read(folder.join("bundle.sigstore.json")).ok()?;
        let bundle: Value = serde_json::from_slice(&bundle).ok()?;
        let own = folder.join("trusted_root.json");
        let public_good = embedded::ALL[0].document.as_bytes().to_vec();
        let root = std::fs::read(own).unwrap_or(public_good);
        let own = folder.join("artifact");
        let artifact = if own.exists() { own } else { all.join("a.txt") };
        let (message, payload, signature) = match bundle.get("dsseEnvelope") {
            Some(envelope) => {
                let payload = bytes_at(envelope, "/payload");
                let kind = envelope["payloadType"].as_str().unwrap();
                let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
                let message = [head.as_bytes(), &payload].concat();
                (message, Some(payload), bytes_at(envelope, "/signatures/0/sig"))
            }
            None => {
                let signature = bytes_at(&bundle, "/messageSignature/signature");
                (std::fs::read(artifact).unwrap(), None, signature)
            }
        };
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let root = TrustedRoot::parse(&root).unwrap_or_else(|error| panic!("{name}: {error}"));
        Some(Self { name, root, bundle, message, payload, signature })
    }

    fn certificate(&self) -> Option<Certificate> {
        let material = &self.bundle["verificationMaterial"];
        let certificate = material
            .pointer("/certificate/rawBytes")
            .or_else(|| material.pointer("/x509CertificateChain/certificates/0/rawBytes"))?;
        let der = STANDARD.decode(certificate.as_str().unwrap()).unwrap();
        Some(Certificate::from_der(&der).unwrap_or_else(|error| panic!("{}: {error}", self.name)))
    }

    /// What the logs vouch for, or why one does not.
    fn logged(&self) -> Result<Vec<Vouched>, String> {
        let entries = &self.bundle["verificationMaterial"]["tlogEntries"];
        let entries = entries.as_array().cloned().unwrap_or_default();
        let signed = Signed {
            signature: &self.signature,
            message: &self.message,
            payload: self.payload.as_deref(),
        };
        let verify = |entry: &Value| {
            let entry = Json::parse(entry.to_string().as_bytes())?;
            let logged = Record::of_bundle(entry)?.about(&signed)?.verify(&self.root)?;
            Ok(logged.map(|logged| (logged.index, logged.time)))
        };
        entries.iter().map(verify).collect::<Result<_, _>>().map_err(|error: Malformed| error.0)
    }

    /// What the authorities vouch for, or why one does not.
    fn stamps(&self) -> Result<Vec<Option<Stamp>>, String> {
        let stamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
        let stamps = self.bundle.pointer(stamps).and_then(Value::as_array).cloned();
        let authorities = self.root.timestamp_authorities();
        let verify = |stamp: &Value| {
            verify_response(&bytes_at(stamp, "/signedTimestamp"), &self.signature, authorities)
        };
        let stamps = stamps.unwrap_or_default();
        stamps.iter().map(verify).collect::<Result<_, _>>().map_err(|error| error.0)
    }

    fn is_of_rekor_2(&self) -> bool {
        let kind = self.bundle.pointer("/verificationMaterial/tlogEntries/0/kindVersion");
        kind.is_some_and(|kind| kind["kind"] == "hashedrekord" && kind["version"] == "0.0.2")
    }
}

fn bytes_at(value: &Value, pointer: &str) -> Vec<u8> {
    STANDARD.decode(value.pointer(pointer).unwrap().as_str().unwrap()).unwrap()
}

#[test]
fn every_certificate_names_who_signed() {
    let cases = Case::all();
    for (case, certificate) in cases.iter().filter_map(|case| Some((case, case.certificate()?))) {
        let identity = Identity::of(&certificate);
        let identity = identity.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert!(identity.issuer.starts_with("https://"), "{}: {}", case.name, identity.issuer);
        assert!(matches!(identity.subject, Subject::Uri(_) | Subject::Email(_)), "{}", case.name);
    }
}

#[test]
fn every_certificate_leads_to_its_root_and_was_seen_by_a_log() {
    for case in Case::all() {
        let Some(certificate) = case.certificate() else { continue };
        let paths = case.root.paths(&certificate, certificate.not_before());
        match &*case.name {
            "bundle-from-wrong-instance_fail" => {
                assert!(matches!(paths, Err(NoPath::Untrusted(_))), "{}: {paths:?}", case.name);
                continue;
            }
            // Its certificate is for a day in 2030, when its authority is not valid any more.
            "intoto-expired-certificate_fail" => {
                assert_eq!(paths, Err(NoPath::Untimely));
                continue;
            }
            _ => {}
        }
        let paths = paths.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let seen = paths.iter().map(|path| count_receipts(&certificate, path.issuer(), &case.root));
        let seen = seen.map(Result::unwrap).max();
        let expected = usize::from(case.name != "invalid-ct-key_fail");
        assert_eq!(seen, Some(expected), "{}", case.name);
    }
}

/// Why the log entry of a case is not taken, for the cases that are about log entries.
const ENTRIES: [(&str, &str); 21] = [
    ("bundle-empty-certificate-chain_fail", "no member `checkpoint`"),
    ("bundle-negative-log-index_fail", "not a whole number from 0 on"),
    ("bundle-with-root-cert_fail", "no member `checkpoint`"),
    ("checkpoint-wrong-roothash_fail", "does not lead to its checkpoint"),
    ("dsse-invalid-sig_fail", "about another signature"),
    ("dsse-mismatch-sig_fail", "about another signature"),
    ("inclusion-proof-corrupted-hash_fail", "does not lead to its checkpoint"),
    ("incorrect-public-key_fail", "does not lead to its checkpoint"),
    ("intoto-log-entry-mismatch_fail", "about another signature"),
    ("invalid-checkpoint-signature_fail", "checkpoint is not signed by its log"),
    ("rekor2-checkpoint-missing-log-signature_fail", "no signed note"),
    ("rekor2-checkpoint-missing-origin_fail", "checkpoint is malformed"),
    ("rekor2-checkpoint-missing-size_fail", "checkpoint is malformed"),
    ("rekor2-dsse-invalid-sig_fail", "about another signature"),
    ("rekor2-dsse-mismatch-sig_fail", "about another signature"),
    ("set-invalid-signature_fail", "promise is not signed by its log"),
    ("trust-root-tlog-missing-validity-start_fail", "since when it is valid"),
    ("wrong-hashedrekord-artifact_fail", "about another payload"),
    ("wrong-hashedrekord-cert-and-sig_fail", "about another signature"),
    ("wrong-hashedrekord-entry_fail", "about another"),
    ("wrong-material_fail", "about another payload"),
];

#[test]
fn g10_g16_g17_g29_every_log_entry_is_what_its_case_says() {
    for case in Case::all() {
        let logged = case.logged();
        let why = ENTRIES.iter().find(|(name, _)| *name == case.name).map(|(_, why)| why);
        match (logged, why) {
            (Err(error), Some(why)) => assert!(error.contains(why), "{}: {error}", case.name),
            (Ok(logged), None) if case.name == "bundle-from-wrong-instance_fail" => {
                assert_eq!(logged, [None], "its log is unknown");
            }
            (Ok(logged), None) => {
                let [Some((_, time))] = logged[..] else { panic!("{}: {logged:?}", case.name) };
                assert_eq!(time.is_none(), case.is_of_rekor_2(), "{}", case.name);
            }
            (logged, _) => panic!("{}: {logged:?}", case.name),
        }
    }
}

/// Why the timestamp of a case is not taken, for the cases that are about timestamps.
const STAMPS: [(&str, &str); 2] = [
    ("rekor2-timestamp-outside-trust-root-tsa-validity_fail", "not valid at that time"),
    ("rekor2-timestamp-payload-mismatch_fail", "about another signature"),
];

#[test]
fn g30_every_timestamp_is_what_its_case_says() {
    for case in Case::all() {
        let why = STAMPS.iter().find(|(name, _)| *name == case.name).map(|(_, why)| why);
        match (case.stamps(), why) {
            (Err(error), Some(why)) => assert!(error.contains(why), "{}: {error}", case.name),
            (Ok(stamps), None) => {
                let is_known =
                    case.name != "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail";
                let vouched = stamps.iter().all(|stamp| stamp.is_some() == is_known);
                assert!(vouched, "{}: {stamps:?}", case.name);
            }
            (stamps, _) => panic!("{}: {stamps:?}", case.name),
        }
    }
}
