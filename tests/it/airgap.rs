//! Images carried to a site that no network reaches, by the real program at both sides.
//!
//! The near side sees the upstream; the far side has one by name only, `offline`, and would be heard
//! of by the scripted upstream if it asked. What is denied at one side is not carried; what is
//! carried is judged again at the other.

use std::{fs, path::Path, process::Output};

use tempfile::TempDir;

use crate::support::{mirror::program, stage::POLICY, *};

/// One side: a configuration, a policy and a data directory.
struct Site {
    folder: TempDir,
    setup: Setup,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    answer: String,
    beside: String,
}

impl Site {
    fn new(setup: Setup) -> Self {
        let folder = TempDir::new().expect("there is room for a folder");
        setup.lay_out(folder.path());
        Self { folder, setup }
    }

    fn near(upstream: &Upstream, key: &Key) -> Self {
        Self::new(Setup::new().upstream(NAME, upstream).key("release.pub", key).policy(POLICY))
    }

    fn far(upstream: &Upstream, key: &Key) -> Self {
        let setup = Setup::new().upstream_with(NAME, upstream, "offline = true");
        Self::new(setup.key("release.pub", key).policy(POLICY))
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn run(&self, words: &[&str]) -> Said {
        let (folder, words) = (self.folder.path().to_owned(), owned(words));
        let ran = tokio::task::spawn_blocking(move || {
            program().args(words).current_dir(folder).output().expect("the program was built")
        });
        ran.await.expect("it does not panic").into()
    }

    /// Runs a command that must end well.
    async fn runs(&self, words: &[&str]) -> Said {
        let said = self.run(words).await;
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said
    }

    /// Serves what is here.
    async fn serve(self) -> Mirror {
        Mirror::serve(self.folder, &["--config", "portcullis.toml"]).await
    }
}

impl Said {
    /// The items of a `--json` answer.
    fn items(&self) -> Vec<Value> {
        self.answer.lines().map(|line| serde_json::from_str(line).expect("lines of JSON")).collect()
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            answer: String::from_utf8_lossy(&output.stdout).into_owned(),
            beside: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// An upstream with a signed image `acme/app:v1` and an unsigned `acme/bad:v1`.
async fn upstream() -> (Upstream, Key, Image) {
    let (upstream, key) = (Upstream::start().await, Key::p256());
    let (app, bad) = (Image::oci("app"), Image::oci("bad"));
    upstream.push("acme/app", "v1", &app);
    sign(&upstream, &key, "acme/app", &app);
    upstream.push("acme/bad", "v1", &bad);
    (upstream, key, app)
}

fn sign(upstream: &Upstream, key: &Key, repository: &str, image: &Image) {
    let signature = Signature::by(key, &format!("{NAME}/{repository}"), &image.digest);
    upstream.attach(repository, &image.digest, &[signature]);
}

/// Seeds `app` and exports everything to `output`.
async fn export(near: &Site, output: &str, words: &[&str]) {
    near.runs(&["seed", "acme/app:v1"]).await;
    near.runs(&[&["export", "--all", "--output", output][..], words].concat()).await;
}

#[tokio::test]
async fn what_was_exported_and_imported_is_pulled_without_a_network() {
    let (upstream, key, app) = upstream().await;
    let near = Site::near(&upstream, &key);
    let seeded = near.run(&["seed", "--json", "acme/app:v1", "acme/bad:v1"]).await;
    assert_eq!(seeded.code, Some(1), "{seeded:?}");
    let items = seeded.items();
    assert_eq!(items[0]["outcome"], "admitted", "{items:?}");
    assert_eq!(items[1]["outcome"], "denied", "{items:?}");
    assert_eq!(items[1]["reason"], "no_signature", "{items:?}");
    for output in ["layout", "bag.tar"] {
        near.runs(&["export", "--all", "--output", output]).await;
        upstream.forget();
        let far = Site::far(&upstream, &key);
        let archive = near.path(output);
        far.runs(&["import", &archive]).await;
        let again = far.runs(&["import", &archive]).await;
        assert!(again.beside.contains(" 0 B moved"), "{again:?}");
        let listed = far.runs(&["list"]).await;
        assert!(listed.answer.contains(&format!("from {output}")), "{listed:?}");
        let mirror = far.serve().await;
        let answer = mirror.manifest("acme/app", "v1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body, app.document.bytes);
        for blob in &app.blobs {
            assert_eq!(mirror.blob("acme/app", Digest::of(blob)).await.body, blob);
        }
        let signatures = signing::signature_tag(&app.digest);
        assert_eq!(mirror.manifest("acme/app", signatures).await.status, 200);
        let absent = mirror.manifest("acme/bad", "v1").await;
        assert_eq!(absent.status, 404, "{absent:?}");
        let text = String::from_utf8_lossy(&absent.body).into_owned();
        assert!(text.contains("offline") && text.contains("portcullis import"), "{text}");
        assert_eq!(upstream.count("*"), 0, "the far side asked for something");
    }
}

#[tokio::test]
async fn the_far_side_judges_for_itself() {
    let (upstream, key, app) = upstream().await;
    let near = Site::near(&upstream, &key);
    export(&near, "bag.tar", &[]).await;
    let far = Site::far(&upstream, &Key::p256());
    let refused = far.run(&["import", "--json", &near.path("bag.tar")]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.items()[0]["outcome"], "denied");
    let mirror = far.serve().await;
    assert_eq!(mirror.manifest("acme/app", "v1").await.status, 404);
    mirror.manifest("acme/app", app.digest).await.denied();
}

#[tokio::test]
async fn what_is_kept_though_denied_is_admitted_by_a_later_policy() {
    let (upstream, key, app) = upstream().await;
    let near = Site::near(&upstream, &key);
    export(&near, "bag.tar", &[]).await;
    let far = Site::far(&upstream, &Key::p256());
    let kept = far.run(&["import", "--keep-denied", "--json", &near.path("bag.tar")]).await;
    assert_eq!(kept.items()[0]["outcome"], "kept", "{kept:?}");
    let mirror = far.serve().await;
    mirror.manifest("acme/app", "v1").await.denied();
    assert_eq!(mirror.blob("acme/app", Digest::of(&app.blobs[0])).await.status, 403);
    mirror.replace("release.pub", key.public_pem());
    mirror.reload().await;
    assert_eq!(mirror.manifest("acme/app", "v1").await.status, 200);
    assert_eq!(mirror.blob("acme/app", Digest::of(&app.blobs[0])).await.status, 200);
}

#[tokio::test]
async fn volumes_are_equal_are_joined_by_cat_and_are_read_without() {
    let (upstream, key, _) = upstream().await;
    let big = Image::with_layers("big", vec![Bytes::from(vec![7; 200 << 10])]);
    upstream.push("acme/app", "v1", &big);
    sign(&upstream, &key, "acme/app", &big);
    let near = Site::near(&upstream, &key);
    export(&near, "bag.tar", &["--volume-size", "64KiB"]).await;
    let volume = |number: u32| near.folder.path().join(format!("bag.tar.{number:03}"));
    let lengths: Vec<_> =
        (1..).map_while(|number| Some(fs::metadata(volume(number)).ok()?.len())).collect();
    let (last, full) = lengths.split_last().expect("there are volumes");
    assert!(full.len() >= 3 && full.iter().all(|length| *length == 64 << 10), "{lengths:?}");
    assert!((1..=64 << 10).contains(last));
    let sums = fs::read_to_string(near.path("bag.tar.sha256")).unwrap();
    assert_eq!(sums.lines().count(), lengths.len());
    for (line, number) in sums.lines().zip(1..) {
        let digest = Digest::of(&fs::read(volume(number)).unwrap());
        assert!(line.starts_with(&digest.hex()), "{line}");
    }
    Site::far(&upstream, &key).runs(&["import", &near.path("bag.tar.001")]).await;
    let joined: Vec<_> = (1..=lengths.len())
        .flat_map(|n| fs::read(volume(u32::try_from(n).unwrap())).unwrap())
        .collect();
    write(&near.folder.path().join("joined.tar"), joined);
    Site::far(&upstream, &key).runs(&["import", &near.path("joined.tar")]).await;

    let second = volume(2);
    let content = fs::read(&second).unwrap();
    let mut flipped = content.clone();
    flipped[40 << 10] ^= 1;
    write(&second, &flipped);
    let damaged = Site::far(&upstream, &key).run(&["import", &near.path("bag.tar.001")]).await;
    assert_eq!(damaged.code, Some(1));
    assert!(damaged.answer.contains("bag.tar.002"), "{damaged:?}");
    fs::remove_file(&second).unwrap();
    let lost = Site::far(&upstream, &key).run(&["import", &near.path("bag.tar.001")]).await;
    assert!(lost.beside.contains("bag.tar.002") && lost.beside.contains("not there"), "{lost:?}");
}

#[tokio::test]
async fn a_delta_carries_what_changed_and_needs_its_base() {
    let (upstream, key, _) = upstream().await;
    let layers = |last: &str| vec![Bytes::from(vec![1; 50 << 10]), Bytes::from(last.to_owned())];
    let first = Image::with_layers("app", layers("one"));
    upstream.push("acme/app", "v1", &first);
    sign(&upstream, &key, "acme/app", &first);
    let near = Site::near(&upstream, &key);
    export(&near, "full.tar", &[]).await;
    let second = Image::with_layers("app", layers("two"));
    upstream.push("acme/app", "v2", &second);
    sign(&upstream, &key, "acme/app", &second);
    near.runs(&["seed", "acme/app:v2"]).await;
    near.runs(&["export", "--all", "--from-archive", "full.tar", "--output", "delta.tar"]).await;
    let length = fs::metadata(near.path("delta.tar")).unwrap().len();
    assert!(length < 40 << 10, "{length}");

    let far = Site::far(&upstream, &key);
    let refused = far.run(&["import", &near.path("delta.tar")]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.beside.contains("delta on top of the one made 2"), "{refused:?}");
    far.runs(&["import", &near.path("full.tar")]).await;
    far.runs(&["inventory", "--output", "far.json"]).await;
    far.runs(&["import", &near.path("delta.tar")]).await;
    let since = far.path("far.json");
    near.runs(&["export", "--all", "--since", &since, "--output", "second.tar"]).await;
    assert_eq!(fs::metadata(near.path("second.tar")).unwrap().len() / 1024, length / 1024);
    let mirror = far.serve().await;
    assert_eq!(mirror.manifest("acme/app", "v2").await.body, second.document.bytes);
    assert_eq!(mirror.blob("acme/app", Digest::of(&layers("two")[0])).await.status, 200);
}

#[tokio::test]
async fn a_stream_is_taken_in_as_it_passes() {
    let (upstream, key, _) = upstream().await;
    let near = Site::near(&upstream, &key);
    export(&near, "bag.tar", &[]).await;
    let far = Site::far(&upstream, &key);
    let archive = fs::File::open(near.path("bag.tar")).unwrap();
    let folder = far.folder.path().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        program().args(["import", "-"]).current_dir(folder).stdin(archive).output().unwrap()
    });
    let said = Said::from(ran.await.unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    let mirror = far.serve().await;
    assert_eq!(mirror.manifest("acme/app", "v1").await.status, 200);
}

#[tokio::test]
async fn evidence_comes_along_in_the_forms_that_it_had() {
    let (upstream, key, app) = upstream().await;
    upstream.offer_referrers();
    let signature = Signature::by(&key, &format!("{NAME}/acme/app"), &app.digest);
    let referrer = upstream.attach_referrer("acme/app", &app, &[signature]);
    let near = Site::near(&upstream, &key);
    export(&near, "layout", &[]).await;
    let index: Value =
        serde_json::from_slice(&fs::read(near.path("layout/index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let names: Vec<_> = entries
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str())
        .collect();
    let tag = signing::signature_tag(&app.digest);
    assert!(names.contains(&Some(&format!("{NAME}/acme/app:v1"))), "{names:?}");
    assert!(names.contains(&Some(&format!("{NAME}/acme/app:{tag}"))), "{names:?}");
    let listed = entries.iter().find(|entry| entry["digest"] == json!(referrer.digest));
    assert!(listed.is_some_and(|entry| entry.get("annotations").is_none()), "{index:#}");

    let far = Site::far(&upstream, &key);
    far.runs(&["import", &near.path("layout")]).await;
    let mirror = far.serve().await;
    let referrers = mirror.get(format!("/v2/acme/app/referrers/{}", app.digest)).await;
    let text = String::from_utf8_lossy(&referrers.body).into_owned();
    assert!(text.contains(&referrer.digest.to_string()), "{text}");
    assert_eq!(mirror.manifest("acme/app", referrer.digest).await.status, 200);
}

#[tokio::test]
async fn a_running_mirror_keeps_its_data_directory() {
    let (upstream, key, _) = upstream().await;
    let near = Site::near(&upstream, &key);
    export(&near, "bag.tar", &[]).await;
    let far = Site::far(&upstream, &key);
    let (setup, archive) = (far.setup.clone(), near.path("bag.tar"));
    let mirror = far.serve().await;
    let other = Site { folder: TempDir::new().unwrap(), setup };
    other.setup.lay_out(other.folder.path());
    let data = mirror.data().display().to_string();
    let refused = other.run(&["import", "--data", &data, &archive]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.beside.contains("--server"), "{refused:?}");
}

/// Changes one byte of each kind of file in a layout, and expects to be told which it was.
#[tokio::test]
async fn a_flipped_byte_in_each_kind_of_file_is_named() {
    let (upstream, key, app) = upstream().await;
    let near = Site::near(&upstream, &key);
    export(&near, "layout", &[]).await;
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let (manifest, layer) = (blob(&app.digest), blob(&Digest::of(&app.blobs[1])));
    for name in ["index.json", "portcullis.json", "oci-layout", "SHA256SUMS", &manifest, &layer] {
        let path = near.path(&format!("layout/{name}"));
        let content = fs::read(&path).unwrap();
        let mut flipped = content.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        write(Path::new(&path), &flipped);
        let far = Site::far(&upstream, &key);
        let said = far.run(&["import", &near.path("layout")]).await;
        assert_eq!(said.code, Some(1), "{name}: {said:?}");
        let told = format!("{}{}", said.answer, said.beside);
        let hex = name.rsplit('/').next().unwrap();
        assert!(told.contains("damaged"), "{name}: {told}");
        // A wrong checksum may point at the file it is for.
        assert!(told.contains(hex) || name == "SHA256SUMS", "{name}: {told}");
        write(Path::new(&path), content);
        let mirror = far.serve().await;
        assert_eq!(mirror.manifest("acme/app", "v1").await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_signed_inventory_must_be_by_its_key() {
    let (upstream, key, _) = upstream().await;
    let near = Site::near(&upstream, &key);
    let made = program()
        .args(["keygen", "exporter"])
        .env("COSIGN_PASSWORD", "")
        .current_dir(near.folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    near.runs(&["seed", "acme/app:v1"]).await;
    let exported = program()
        .args(["export", "--all", "--output", "bag.tar", "--key", "exporter.key"])
        .env("COSIGN_PASSWORD", "")
        .current_dir(near.folder.path())
        .output()
        .unwrap();
    assert!(exported.status.success(), "{exported:?}");
    let archive = near.path("bag.tar");
    let right = near.path("exporter.pub");
    Site::far(&upstream, &key).runs(&["import", "--inventory-key", &right, &archive]).await;
    let wrong = near.path("release.pub");
    let refused =
        Site::far(&upstream, &key).run(&["import", "--inventory-key", &wrong, &archive]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.beside.contains("not signed by the key"), "{refused:?}");
}
