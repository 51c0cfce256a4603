//! What notation's own signer wrote, and what its verifier said of it (`tests/vectors/notation`).

use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    oci::Digest,
    timestamp::Timestamp,
    trust::{
        Outcome, Policy, Verdict, decide,
        fixtures::{Registry, image, look, table, write},
        notation::{COSE, JWS},
    },
};

const NAMED: &str = "registry.test/acme/app";

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// What `case` was judged with by notation, in our words.
fn policy_text(folder: &Path, case: &Value) -> String {
    let mut text = format!("trust_store = \"{}\"\n", folder.join("ca.pem").display());
    let options: Vec<_> =
        case["judged_with"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let mut identities = "*";
    for option in options.chunks_exact(2) {
        match option {
            ["-identity", identity] => identities = identity,
            ["-level", level] => text.push_str(&format!("level = \"{level}\"\n")),
            ["-tsa-root", file] => {
                text.push_str(&format!("tsa = \"{}\"\n", folder.join(file).display()));
            }
            other => panic!("{other:?}"),
        }
    }
    text.push_str(&format!("identities = \"{identities}\"\n"));
    text
}

/// Judges the recorded envelope as `case` has it.
fn judge(folder: &Path, case: &Value) -> Verdict {
    let names = [("envelope.jws", JWS), ("envelope.cose", COSE)];
    let (name, media_type) =
        names.into_iter().find(|(name, _)| folder.join(name).exists()).expect("an envelope");
    judge_envelope(folder, case, media_type, &read(&folder.join(name)))
}

/// Judges `envelope` as if it were the recorded one.
fn judge_envelope(folder: &Path, case: &Value, media_type: &str, envelope: &Bytes) -> Verdict {
    let at = case["time"].as_str().unwrap().parse::<Timestamp>().unwrap().0;
    let manifest = read(&folder.join("manifest.json"));
    let digest = Digest::of(&manifest);
    let mut registry = Registry::default();
    registry.manifests.insert(format!("{NAMED}@{digest}"), Ok(manifest));
    let blob = registry.put_blob(envelope);
    let kind = "application/vnd.cncf.notary.signature";
    let signature = json!({
        "schemaVersion": 2,
        "config": {"mediaType": kind, "size": 2, "digest": Digest::of(b"{}").to_string()},
        "layers": [{"mediaType": media_type, "size": envelope.len(), "digest": blob.to_string()}],
        "subject": {"mediaType": "x/y", "digest": digest.to_string(), "size": 1},
    });
    registry.put_referrer(NAMED, &digest, &signature, Some(kind));
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("policy.toml");
    let notation = policy_text(folder, case);
    let rule = format!("[[rule]]\nmatch = \"{NAMED}\"\nrequire = \"corp\"");
    write(&path, &format!("version = 1\n[authority.corp.notation]\n{notation}\n{rule}\n"));
    let policy = Policy::load(&path, &table(), at).unwrap().0;
    let evidence = look(&policy, &registry, NAMED, &digest);
    decide(&policy, &image(NAMED), &digest, &evidence, at)
}

#[test]
fn g25_g30_judges_every_recording_as_notation_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/notation");
    let mut count = 0;
    for entry in std::fs::read_dir(&root).unwrap() {
        let folder = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&read(&folder.join("case.json"))).unwrap();
        let verdict = judge(&folder, &case);
        let name = folder.display();
        assert_eq!(json!(verdict.reason), case["reason"], "{name}: {}", verdict.message);
        let is_admitted = verdict.outcome == Outcome::Admitted;
        assert_eq!(json!(is_admitted), case["notation_accepts"], "{name}");
        count += 1;
    }
    println!("notation recordings: {count} of {count}");
    assert!(count >= 30, "only {count} recordings in {}", root.display());
}

/// `tests/clients/notation-differential.sh` changes recordings, asks notation, and names the folder in
/// `PORTCULLIS_DIFFERENTIAL`. Nothing may be taken here that notation refuses, but for one thing: a
/// timestamp brings certificates along, which nobody signed, and one that is broken and not needed is
/// passed over. What notation takes and we refuse is a change outside of what is signed, which closed
/// envelopes do not allow.
#[test]
fn agrees_with_notation_about_changed_envelopes() {
    let Some(root) = std::env::var_os("PORTCULLIS_DIFFERENTIAL") else { return };
    let (mut count, mut stricter, mut passed_over) = (0, Vec::new(), 0);
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&read(&folder.join("case.json"))).unwrap();
        let verdicts = String::from_utf8(read(&folder.join("verdicts")).to_vec()).unwrap();
        for line in verdicts.lines() {
            let theirs: Value = serde_json::from_str(line).unwrap();
            let name = theirs["file"].as_str().unwrap();
            let media_type = if name.ends_with(".jws") { JWS } else { COSE };
            let envelope = read(&folder.join("copies").join(name));
            let ours = judge_envelope(&folder, &case, media_type, &envelope);
            let is_taken = ours.outcome == Outcome::Admitted;
            let is_taken_there = theirs["accepted"] == json!(true);
            if is_taken && !is_taken_there {
                let why = theirs["error"].as_str().unwrap();
                let is_about_certificates = why.contains("parse timestamp countersignature");
                assert!(is_about_certificates, "{name}: only we take it: {why}");
                passed_over += 1;
            }
            if is_taken_there && !is_taken {
                stricter.push(format!("{name}: {}", ours.message));
            }
            count += 1;
        }
    }
    stricter.iter().for_each(|line| println!("stricter here: {line}"));
    println!(
        "notation differential: {count} envelopes, {} refused here alone, {passed_over} with a broken certificate that is not needed",
        stricter.len()
    );
    assert!(count > 1000 && stricter.len() * 20 < count, "{} of {count}", stricter.len());
}
