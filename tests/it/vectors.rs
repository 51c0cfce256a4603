//! Signatures made by others: recordings of real signers kept in `tests/vectors`, and the fixtures
//! of containers/image, which are read where they are and never copied.
//!
//! The folder of the latter comes from `PORTCULLIS_VECTORS`, else `../shared/vectors` beside the
//! crate. Without it those tests say `skipped: vectors not found`; `.ci/run` fails when they do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::*;

#[expect(clippy::print_stdout, reason = "`.ci/run` looks for it in what the tests print")]
fn shared() -> Option<PathBuf> {
    let folder = match std::env::var_os("PORTCULLIS_VECTORS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: vectors not found");
    None
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&read(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The manifest of a `dir:` image of containers/image, with its own media type.
fn image_of(folder: &Path) -> Image {
    let manifest = read(&folder.join("manifest.json"));
    let value: Value = serde_json::from_slice(&manifest).expect("manifests are JSON");
    let media_type = value["mediaType"].as_str().expect("they name their type").to_owned();
    Image::raw(&media_type, manifest, Vec::new())
}

/// A signature in the file format of containers/image: a line of magic, then JSON.
fn signature_of(file: &Path) -> Signature {
    let content = read(file);
    let start = content.iter().position(|byte| *byte == b'{').expect("JSON after the magic");
    let value: Value = serde_json::from_slice(&content[start..]).expect("JSON");
    let payload = STANDARD.decode(value["payload"].as_str().expect("base64")).expect("base64");
    let mut signature = Signature::made_of(payload, b"");
    signature.media_type = value["mimeType"].as_str().expect("a media type").to_owned();
    signature.annotations = value["annotations"].as_object().expect("annotations").clone();
    signature
}

#[tokio::test]
async fn fixtures_of_containers_image_are_judged_as_they_should_be() {
    let Some(vectors) = shared() else { return };
    let fixtures = vectors.join("containers-image/fixtures");
    let policy = r#"
[authority.cosign]
key = "cosign.pub"
[authority.cosign2]
key = "cosign2.pub"
log = "optional"
[[rule]]
match = "registry.test/any/**"
require = "cosign"
signed_as = "any"
[[rule]]
match = "registry.test/pattern/**"
require = "cosign"
signed_as = "192.168.64.2:5000/**"
[[rule]]
match = "registry.test/match/**"
require = "cosign"
[[rule]]
match = "registry.test/two/**"
require = "cosign2"
signed_as = "any"
"#;
    let stage = Stage::with(|setup| {
        setup
            .policy(policy)
            .file("cosign.pub", read(&fixtures.join("cosign.pub")))
            .file("cosign2.pub", read(&fixtures.join("cosign2.pub")))
    })
    .await;
    let valid = image_of(&fixtures.join("dir-img-cosign-valid"));
    let signature = signature_of(&fixtures.join("dir-img-cosign-valid/signature-1"));
    let second = signature_of(&fixtures.join("dir-img-cosign-valid-2/signature-2"));
    let tagged = signature_of(&fixtures.join("dir-img-cosign-valid-with-tag/signature-1"));
    let other = signature_of(&fixtures.join("dir-img-cosign-other-attachment/signature-1"));
    let modified = image_of(&fixtures.join("dir-img-cosign-modified-manifest"));

    for (repository, image, signatures, reason) in [
        ("any/valid", &valid, vec![signature.clone()], "admitted"),
        ("pattern/valid", &valid, vec![signature.clone()], "admitted"),
        ("match/valid", &valid, vec![signature.clone()], "name_mismatch"),
        ("any/tagged", &valid, vec![tagged.clone()], "admitted"),
        ("pattern/tagged", &valid, vec![tagged], "admitted"),
        ("any/second", &valid, vec![second.clone()], "admitted"),
        ("any/both", &valid, vec![second, signature.clone()], "admitted"),
        // A manifest under the tag of signatures that holds none.
        ("any/other", &valid, vec![other.clone()], "signature_invalid"),
        ("any/mixed", &valid, vec![other, signature.clone()], "admitted"),
        // G-1: the signature is right, the manifest is not the one that was signed.
        ("any/modified", &modified, vec![signature.clone()], "digest_mismatch"),
        ("two/valid", &valid, vec![signature], "signer_not_trusted"),
    ] {
        let answer = stage.judge(repository, image, &signatures).await;
        assert_eq!(answer.status == 200, reason == "admitted", "{repository}: {answer:?}");
        assert_eq!(stage.mirror.reason_of(&answer), reason, "{repository}");
    }
    let logged = fixtures.join("dir-img-cosign-key-rekor-valid");
    let answer = stage
        .judge("two/logged", &image_of(&logged), &[signature_of(&logged.join("signature-1"))])
        .await;
    // A log entry is not asked for here; without the log's key it may be refused, never misread.
    assert!([200, 403].contains(&answer.status.as_u16()), "{answer:?}");
}

#[tokio::test]
async fn keyless_signatures_do_not_pass_for_signatures_by_key() {
    let Some(vectors) = shared() else { return };
    let fixtures = vectors.join("containers-image/fixtures");
    let policy = "[authority.cosign]\nkey = \"cosign.pub\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"cosign\"\nsigned_as = \"any\"\n";
    let stage = Stage::with(|setup| {
        setup.policy(policy).file("cosign.pub", read(&fixtures.join("cosign.pub")))
    })
    .await;
    // G-26: a certificate in the annotations is no key of ours.
    for folder in ["dir-img-cosign-fulcio-rekor-valid", "dir-img-cosign-pki-valid"] {
        let folder = fixtures.join(folder);
        let signature = signature_of(&folder.join("signature-1"));
        let answer = stage.judge("acme/keyless", &image_of(&folder), &[signature]).await;
        answer.denied();
    }
}

/// A recording: see `tests/vectors/README.md` for its files.
struct Recording {
    folder: PathBuf,
    case: Value,
}

fn recordings() -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut found: Vec<_> = fs::read_dir(&root)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()))
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join("case.json").is_file())
        .map(|folder| Recording { case: read_json(&folder.join("case.json")), folder })
        .collect();
    found.sort_by(|one, other| one.folder.cmp(&other.folder));
    assert!(found.len() >= 10, "only {} recordings in {}", found.len(), root.display());
    found
}

impl Recording {
    fn document(&self, file: &str) -> Document {
        let bytes = read(&self.folder.join(file));
        let value: Value = serde_json::from_slice(&bytes).expect("manifests are JSON");
        let media_type = value["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        Document::new(&media_type, bytes)
    }

    fn payloads(&self) -> Vec<Bytes> {
        (0..)
            .map(|number| self.folder.join(format!("payload-{number}.json")))
            .take_while(|file| file.is_file())
            .map(|file| read(&file).into())
            .collect()
    }

    /// Fills `upstream` with what the registry held.
    fn play(&self, upstream: &Upstream, repository: &str) {
        let digest = self.case["digest"].as_str().expect("a digest").to_owned();
        upstream.put_manifest(repository, Some("v1"), self.document("manifest.json"));
        for child in (0..).map(|n| format!("child-{n}.json")) {
            if !self.folder.join(&child).is_file() {
                break;
            }
            upstream.put_manifest(repository, None, self.document(&child));
        }
        for payload in self.payloads() {
            upstream.put_blob(repository, &payload);
        }
        let signatures = self.document("signatures.json");
        if self.case["found_by"] == "referrers" {
            upstream.offer_referrers();
            upstream.put_manifest(repository, None, signatures);
        } else {
            let tag = format!("{}.sig", digest.replace(':', "-"));
            upstream.put_manifest(repository, Some(&tag), signatures);
        }
    }

    fn policy(&self) -> String {
        let keys = self.case["keys"].as_array().expect("a list");
        let mut text = String::new();
        for (number, key) in keys.iter().enumerate() {
            text += &format!("[authority.k{number}]\nkey = {key}\n");
        }
        let names: Vec<_> = (0..keys.len()).map(|number| format!("\"k{number}\"")).collect();
        text + &format!(
            "[[rule]]\nmatch = \"registry.test/**\"\nrequire = {{ all = [{}] }}\n",
            names.join(", ")
        )
    }
}

#[tokio::test]
async fn recordings_of_real_signers_are_judged_as_recorded() {
    for recording in recordings() {
        let what = recording.folder.display().to_string();
        let name = recording.case["name"].as_str().expect("a name");
        let repository = name.strip_prefix("registry.test/").expect("the name of our upstream");
        let upstream = Upstream::start().await;
        recording.play(&upstream, repository);
        let setup = Setup::new().upstream(NAME, &upstream).policy(&recording.policy());
        let keys = recording.case["keys"].as_array().expect("a list").iter();
        let mirror = keys
            .filter_map(Value::as_str)
            .fold(setup, |setup, key| setup.file(key, read(&recording.folder.join(key))))
            .start()
            .await;
        let answer =
            mirror.manifest(repository, recording.case["digest"].as_str().expect("one")).await;
        let admitted = recording.case["verdict"] == "admitted";
        assert_eq!(answer.status == 200, admitted, "{what}: {answer:?}");
        assert_eq!(mirror.reason_of(&answer), recording.case["reason"], "{what}");
        let child = recording.folder.join("child-0.json");
        if admitted && child.is_file() {
            let child = Digest::of(&read(&child));
            assert_eq!(mirror.manifest(repository, child).await.status, 200, "{what}: its child");
        }
    }
}

/// A recording of what cosign signs with a whole Sigstore, found among the referrers.
fn sigstore_recording(kind: &str) -> Recording {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sigstore").join(kind);
    let mut case = read_json(&folder.join("case.json"));
    case["found_by"] = "referrers".into();
    Recording { folder, case }
}

#[tokio::test]
async fn a_keyless_signature_is_pulled_by_who_asks_for_its_identity() {
    let upstream = Upstream::start().await;
    let kinds = ["bundle-keyless-rekor2-tsa", "bundle-keyless-rekor1", "bundle-key-rekor1"];
    for kind in kinds {
        sigstore_recording(kind).play(&upstream, &format!("acme/{kind}"));
    }
    let policy = |subject: &str| {
        format!(
            "[authority.ci]\nissuer = \"https://token.actions.githubusercontent.com\"\nsubject = \"{subject}\"\ntrust_root = \"root.json\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"ci\"\n"
        )
    };
    let right = policy("https://github.com/acme/*/.github/workflows/release.yml@refs/tags/v*");
    let wrong = policy("https://github.com/acme/*/.github/workflows/release.yml@refs/heads/*");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sigstore");
    let root = read(&root.join("trusted_root.json"));
    let setup = Setup::new().upstream(NAME, &upstream).policy(&right).file("root.json", root);
    let mirror = setup.start().await;
    let digest = sigstore_recording(kinds[0]).case["digest"].as_str().expect("one").to_owned();
    for (kind, reason) in kinds.into_iter().zip(["admitted", "admitted", "signer_not_trusted"]) {
        let answer = mirror.manifest(&format!("acme/{kind}"), &digest).await;
        assert_eq!(answer.status == 200, reason == "admitted", "{kind}: {answer:?}");
        assert_eq!(mirror.reason_of(&answer), reason, "{kind}");
    }
    // G-35: another identity is asked for, and what was cached is judged again.
    mirror.adopt(&wrong).await;
    let answer = mirror.manifest(&format!("acme/{}", kinds[0]), &digest).await;
    answer.denied();
    let record = mirror.record_of(&answer).to_string();
    assert!(record.contains("release.yml@refs/tags/v1.0.0"), "it names who signed: {record}");
}
