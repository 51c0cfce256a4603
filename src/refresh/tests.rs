//! A repository made here, and every way in which one can lie (G-34).

use std::{fs, path::PathBuf, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

/// A signer: an Ed25519 key made from one byte, so that keys can be told apart and made again.
#[derive(Clone, Copy)]
struct Signer(u8);

impl Signer {
    fn pair(self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.0; 32]).unwrap()
    }

    fn id(self) -> String {
        format!("{:02x}", self.0).repeat(32)
    }

    fn key(self) -> Value {
        let public = crate::oci::digest::hex_of(self.pair().public_key().as_ref());
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public } })
    }
}

/// A repository in a folder. Each test tells one lie in it.
struct Repository {
    folder: tempfile::TempDir,
    /// Where refreshed roots are kept.
    kept: tempfile::TempDir,
}

const ROOT: [Signer; 2] = [Signer(1), Signer(2)];
const ONLINE: Signer = Signer(3);
const CONTENT: &str = sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

const LATER: &str = "2027-02-01T00:00:00Z";
const BEFORE: &str = "2027-01-01T00:00:00Z";

impl Repository {
    /// A repository at version 1 of everything, in good order.
    fn new() -> Self {
        let repository =
            Self { folder: tempfile::tempdir().unwrap(), kept: tempfile::tempdir().unwrap() };
        repository.put_content(CONTENT);
        repository.put_lower(1, LATER);
        repository
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        publish::write_whole(&path, content).unwrap();
    }

    fn put_content(&self, content: &str) {
        let name = Digest::of(content.as_bytes()).hex();
        self.write(&format!("targets/{name}.trusted_root.json"), content.as_bytes());
    }

    /// Timestamp, snapshot and targets of one version, in good order.
    fn put_lower(&self, version: u64, expires: &str) {
        self.put_targets(version, CONTENT);
        self.put_snapshot(version, version);
        self.put_timestamp(version, version, expires);
    }

    fn put_targets(&self, version: u64, content: &str) {
        let hash = Digest::of(content.as_bytes()).hex();
        let target = json!({ "length": content.len(), "hashes": { "sha256": hash } });
        let signed = json!({
            "_type": "targets", "spec_version": "1.0", "version": version, "expires": LATER,
            "targets": { "trusted_root.json": target },
        });
        self.write(&format!("{version}.targets.json"), &sign(&signed, &[ONLINE]));
    }

    fn put_snapshot(&self, version: u64, targets: u64) {
        let signed = json!({
            "_type": "snapshot", "spec_version": "1.0", "version": version, "expires": LATER,
            "meta": { "targets.json": { "version": targets } },
        });
        self.write(&format!("{version}.snapshot.json"), &sign(&signed, &[ONLINE]));
    }

    fn put_timestamp(&self, version: u64, snapshot: u64, expires: &str) {
        let signed = json!({
            "_type": "timestamp", "spec_version": "1.0", "version": version, "expires": expires,
            "meta": { "snapshot.json": { "version": snapshot } },
        });
        self.write("timestamp.json", &sign(&signed, &[ONLINE]));
    }

    async fn refresh(&self) -> Result<State, RefreshError> {
        self.refresh_at(now()).await
    }

    async fn refresh_at(&self, now: SystemTime) -> Result<State, RefreshError> {
        let first = sign(&root(1, 2, LATER), &ROOT);
        let source = Source::Folder(self.folder.path().to_owned());
        refresh_from(KnownRoot::PublicGood, &first, source, self.kept.path(), now).await
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.kept.path().join("public-good").join(name)
    }
}

fn root(version: u64, threshold: u64, expires: &str) -> Value {
    let role = |signers: &[Signer], threshold: u64| {
        let ids: Vec<_> = signers.iter().map(|signer| signer.id()).collect();
        json!({ "keyids": ids, "threshold": threshold })
    };
    let online = role(&[ONLINE], 1);
    json!({
        "_type": "root", "spec_version": "1.0", "version": version, "expires": expires,
        "consistent_snapshot": true,
        "keys": {
            ROOT[0].id(): ROOT[0].key(), ROOT[1].id(): ROOT[1].key(), ONLINE.id(): ONLINE.key(),
        },
        "roles": {
            "root": role(&ROOT, threshold), "timestamp": online, "snapshot": online,
            "targets": online,
        },
    })
}

/// `signed` in its envelope, signed over its canonical form.
fn sign(signed: &Value, signers: &[Signer]) -> Vec<u8> {
    let ids: Vec<_> = signers.iter().map(|signer| (signer.id(), *signer)).collect();
    sign_as(signed, &ids)
}

fn sign_as(signed: &Value, signers: &[(String, Signer)]) -> Vec<u8> {
    let canonical = sigstore_tuf::canonical_json::to_canonical_bytes(signed).unwrap();
    let signatures: Vec<_> = signers
        .iter()
        .map(|(id, signer)| {
            let signature = signer.pair().sign(&canonical);
            json!({ "keyid": id, "sig": crate::oci::digest::hex_of(signature.as_ref()) })
        })
        .collect();
    serde_json::to_vec(&json!({ "signatures": signatures, "signed": signed })).unwrap()
}

/// That the refresh failed, for a reason that has `word` in it, and that nothing is in force.
#[track_caller]
fn refused(repository: &Repository, outcome: Result<State, RefreshError>, word: &str) {
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains(word), "{error}");
    assert!(!repository.kept("state.json").exists());
}

#[tokio::test]
async fn what_is_published_is_put_in_force_and_read_back() {
    let repository = Repository::new();
    let state = repository.refresh().await.unwrap();
    assert_eq!(state.content, Digest::of(CONTENT.as_bytes()));
    assert_eq!(state.root_version, 1);
    let material = KnownRoot::PublicGood.read(Some(repository.kept.path()));
    assert_eq!(material.content, CONTENT.as_bytes());
}

#[tokio::test]
async fn a_newer_content_takes_the_place_of_the_one_before() {
    let repository = Repository::new();
    let before = repository.refresh().await.unwrap();
    let newer = format!("{CONTENT}\n");
    repository.put_content(&newer);
    repository.put_targets(2, &newer);
    repository.put_snapshot(2, 2);
    repository.put_timestamp(2, 2, LATER);
    let after = repository.refresh().await.unwrap();
    assert_eq!(after.content, Digest::of(newer.as_bytes()));
    let folder = repository.kept.path();
    assert!(!KnownRoot::PublicGood.content_file(folder, &before.content).exists());
}

#[tokio::test]
async fn a_failed_refresh_leaves_what_is_in_force() {
    let repository = Repository::new();
    let before = repository.refresh().await.unwrap();
    fs::remove_file(repository.folder.path().join("timestamp.json")).unwrap();
    repository.refresh().await.unwrap_err();
    assert_eq!(KnownRoot::PublicGood.state(repository.kept.path()), Ok(Some(before)));
}

#[tokio::test]
async fn g34_a_root_chain_is_followed_and_stays_after_a_restart() {
    let repository = Repository::new();
    repository.write("2.root.json", &sign(&root(2, 2, LATER), &ROOT));
    assert_eq!(repository.refresh().await.unwrap().root_version, 2);
    fs::remove_file(repository.folder.path().join("2.root.json")).unwrap();
    assert_eq!(repository.refresh().await.unwrap().root_version, 2, "it is on the shelf");
}

#[tokio::test]
async fn g34_a_new_root_is_kept_also_when_the_rest_fails() {
    let repository = Repository::new();
    repository.write("2.root.json", &sign(&root(2, 2, LATER), &ROOT));
    repository.put_timestamp(1, 1, BEFORE);
    repository.refresh().await.unwrap_err();
    assert!(repository.kept("tuf/root_history/2.root.json").exists());
    assert!(!repository.kept("tuf/timestamp.json").exists());
}

#[tokio::test]
async fn g34_rollback_of_each_role_is_refused_after_a_restart() {
    let repository = Repository::new();
    repository.put_lower(5, LATER);
    repository.refresh().await.unwrap();
    let kept = KnownRoot::PublicGood.state(repository.kept.path());
    let lies: [(&str, &dyn Fn()); 3] = [
        ("timestamp", &|| repository.put_timestamp(4, 5, LATER)),
        ("snapshot", &|| repository.put_timestamp(6, 1, LATER)),
        ("targets", &|| {
            repository.put_snapshot(6, 1);
            repository.put_timestamp(6, 6, LATER);
        }),
    ];
    for (role, lie) in lies {
        repository.put_lower(5, LATER);
        lie();
        let error = repository.refresh().await.unwrap_err().to_string();
        assert!(error.contains("rollback") && error.contains(role), "{role}: {error}");
        assert_eq!(KnownRoot::PublicGood.state(repository.kept.path()), kept);
    }
}

#[tokio::test]
async fn g34_a_frozen_repository_is_refused() {
    let repository = Repository::new();
    repository.put_timestamp(1, 1, BEFORE);
    let outcome = repository.refresh().await;
    refused(&repository, outcome, "timestamp metadata expired");
    let repository = Repository::new();
    repository.refresh().await.unwrap();
    let month = Duration::from_secs(30 * 24 * 3600);
    let error = repository.refresh_at(now() + month).await.unwrap_err().to_string();
    assert!(error.contains("expired"), "the same again, too late: {error}");
}

#[tokio::test]
async fn g34_only_the_last_root_of_a_chain_has_to_be_current() {
    let repository = Repository::new();
    repository.write("2.root.json", &sign(&root(2, 2, BEFORE), &ROOT));
    let outcome = repository.refresh().await;
    refused(&repository, outcome, "root metadata expired");
    repository.write("3.root.json", &sign(&root(3, 2, LATER), &ROOT));
    assert_eq!(repository.refresh().await.unwrap().root_version, 3);
}

#[tokio::test]
async fn g34_a_gap_in_the_chain_of_roots_is_refused() {
    let repository = Repository::new();
    repository.write("2.root.json", &sign(&root(3, 2, LATER), &ROOT));
    let outcome = repository.refresh().await;
    refused(&repository, outcome, "increment by one");
}

#[tokio::test]
async fn g34_a_threshold_counts_keys_and_not_ids_or_signatures() {
    let [first, _] = ROOT;
    // One signer, twice: under one id, and under two.
    let twice = sign(&root(2, 2, LATER), &[first, first]);
    let mut shared = root(2, 2, LATER);
    shared["keys"]["ff"] = first.key();
    shared["roles"]["root"]["keyids"] = json!([first.id(), "ff"]);
    let under_two_ids =
        sign_as(&shared, &[(first.id(), first), ("ff".to_owned(), first), (ROOT[1].id(), ROOT[1])]);
    let nobody = sign(&root(2, 0, LATER), &ROOT);
    let one = sign(&root(2, 2, LATER), &[first]);
    for (lie, word) in [
        (twice, "duplicate signature"),
        (under_two_ids, "one key has two ids"),
        (nobody, "threshold 0"),
        (one, "threshold not met"),
    ] {
        let repository = Repository::new();
        repository.write("2.root.json", &lie);
        let outcome = repository.refresh().await;
        refused(&repository, outcome, word);
    }
}

#[tokio::test]
async fn g34_a_successor_that_the_one_before_did_not_sign_is_refused() {
    let strangers = [Signer(8), Signer(9)];
    let mut other = root(2, 2, LATER);
    for stranger in strangers {
        other["keys"][stranger.id()] = stranger.key();
    }
    other["roles"]["root"]["keyids"] = json!([strangers[0].id(), strangers[1].id()]);
    let repository = Repository::new();
    repository.write("2.root.json", &sign(&other, &strangers));
    let outcome = repository.refresh().await;
    refused(&repository, outcome, "threshold not met");
}

#[tokio::test]
async fn g34_content_of_another_hash_or_length_is_refused() {
    for lie in ["{}".to_owned(), CONTENT.replacen("rekor", "r3kor", 1)] {
        let repository = Repository::new();
        let name = Digest::of(CONTENT.as_bytes()).hex();
        repository.write(&format!("targets/{name}.trusted_root.json"), lie.as_bytes());
        let outcome = repository.refresh().await;
        refused(&repository, outcome, "trusted_root.json");
    }
}

#[tokio::test]
async fn g34_content_that_is_no_trust_root_is_not_put_in_force() {
    let repository = Repository::new();
    repository.put_content("{}");
    repository.put_targets(1, "{}");
    let outcome = repository.refresh().await;
    refused(&repository, outcome, "no trust root");
}

#[tokio::test]
async fn g34_an_oversized_file_is_not_read_whole() {
    let repository = Repository::new();
    repository.write("timestamp.json", &vec![b' '; 1 << 20]);
    let outcome = repository.refresh().await;
    refused(&repository, outcome, "more than 16384 bytes");
}

#[tokio::test]
async fn g34_a_name_that_leads_out_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::Folder(folder.path().join("inside"));
    fs::create_dir(folder.path().join("inside")).unwrap();
    publish::write_whole(&folder.path().join("secret"), b"{}").unwrap();
    for name in ["../secret", "/etc/passwd", "a/../../secret"] {
        let found = sigstore_tuf::Repository::fetch_metadata(&source, name, 100).await;
        assert!(found.is_err(), "{name}");
    }
}

#[tokio::test]
async fn g34_fast_forward_is_mended_by_a_new_online_key() {
    // Whoever stole the online key went to the highest version; a root with another key starts over.
    let repository = Repository::new();
    repository.put_lower(u64::from(u32::MAX), LATER);
    repository.refresh().await.unwrap();
    let fresh = Signer(4);
    let mut next = root(2, 2, LATER);
    next["keys"][fresh.id()] = fresh.key();
    for role in ["timestamp", "snapshot", "targets"] {
        next["roles"][role]["keyids"] = json!([fresh.id()]);
    }
    repository.write("2.root.json", &sign(&next, &ROOT));
    repository.put_lower(1, LATER);
    for name in ["timestamp.json", "1.snapshot.json", "1.targets.json"] {
        let path = repository.folder.path().join(name);
        let document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        publish::write_whole(&path, &sign(&document["signed"], &[fresh])).unwrap();
    }
    assert_eq!(repository.refresh().await.unwrap().root_version, 2);
}

#[test]
fn the_built_in_roots_of_keys_pass_the_screen_and_verify() {
    for known in KnownRoot::ALL {
        let root = first_root(*known);
        screen::screen(root).unwrap();
        sigstore_tuf::TrustedMetadataSet::from_root(root).unwrap();
        check_trusted_root(&known.read(None).content).unwrap();
    }
}

#[test]
fn g14_a_member_that_is_there_twice_is_refused() {
    let root = String::from_utf8(sign(&root(2, 2, LATER), &ROOT)).unwrap();
    assert_eq!(screen::screen(root.as_bytes()), Ok(()));
    let twice = root.replacen("\"version\":2", "\"version\":2,\"version\":3", 1);
    assert_ne!(root, twice);
    screen::screen(twice.as_bytes()).unwrap_err();
}
