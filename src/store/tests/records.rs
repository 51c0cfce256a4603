//! Tags and manifests.

use std::time::{Duration, SystemTime};

use super::support::*;
use crate::{
    oci::{Algorithm, Digest, Tag},
    store::{ManifestRecord, Referenced, ReferencedAs, Store},
};

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn manifest(references: &[(&Digest, ReferencedAs)]) -> ManifestRecord {
    ManifestRecord {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        size: 123,
        references: references
            .iter()
            .map(|(digest, kind)| Referenced { digest: **digest, size: 7, kind: *kind })
            .collect(),
        parents: Vec::new(),
        evidence: vec![Digest::of(b"signature")],
        verdict: Some(serde_json::json!({ "outcome": "denied", "z": 1, "a": [1.5, null] })),
    }
}

async fn reopened(scene: &Scene, store: Store) -> Store {
    store.close().await;
    drop(store);
    scene.open()
}

#[tokio::test]
async fn a_tag_keeps_its_history_over_a_restart() {
    let scene = Scene::new();
    let store = scene.open();
    let image = image("registry.test:5000/a/b");
    let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
    assert_eq!(store.tag(&image, &tag("v1")).await.expect("reads"), None);
    store.put_tag(&image, &tag("v1"), &old, at(1)).await.expect("writes");
    store.put_tag(&image, &tag("v1"), &old, at(2)).await.expect("writes");
    let put = store.put_tag(&image, &tag("v1"), &new, at(3)).await.expect("writes");
    assert_eq!((put.digest, put.resolved), (new, at(3)));
    assert_eq!(put.history.iter().map(|was| was.since).collect::<Vec<_>>(), [at(1), at(3)]);
    let store = reopened(&scene, store).await;
    assert_eq!(store.tag(&image, &tag("v1")).await.expect("reads"), Some(put));
}

#[tokio::test]
async fn tags_are_listed_in_order_and_by_repository() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = Digest::of(b"x");
    for (name, text) in [("r.io/a", "v2"), ("r.io/a", "V1"), ("r.io/a", "_x"), ("r.io/a/b", "no")] {
        store.put_tag(&image(name), &tag(text), &digest, at(1)).await.expect("writes");
    }
    assert_eq!(store.tags(&image("r.io/a")).await.expect("lists"), ["V1", "_x", "v2"]);
    assert_eq!(store.tags(&image("r.io/none")).await.expect("lists"), [""; 0]);
}

#[tokio::test]
async fn a_manifest_record_comes_back_as_it_was() {
    let scene = Scene::new();
    let store = scene.open();
    let (one, other) = (image("r.io/a"), image("r.io/a/b"));
    let layer = Digest::of(b"layer");
    for digest in [Digest::of(b"m"), Digest::with(Algorithm::Sha512, b"m")] {
        let record = manifest(&[(&layer, ReferencedAs::Content)]);
        store.put_manifest(&one, &digest, &record).await.expect("writes");
        assert_eq!(store.manifest(&other, &digest).await.expect("reads"), None);
        let read = store.manifest(&one, &digest).await.expect("reads").expect("is there");
        assert_eq!(*read, record);
    }
    let store = reopened(&scene, store).await;
    let read = store.manifest(&one, &Digest::of(b"m")).await.expect("reads").expect("is there");
    assert_eq!(*read, manifest(&[(&layer, ReferencedAs::Content)]));
    // Byte for byte, members in order: the verdict belongs to someone else.
    assert_eq!(
        read.verdict.as_ref().map(ToString::to_string).as_deref(),
        Some(r#"{"outcome":"denied","z":1,"a":[1.5,null]}"#)
    );
}

#[tokio::test]
async fn a_blob_is_referenced_in_its_repository_only_and_as_content_only() {
    let scene = Scene::new();
    let store = scene.open();
    let (here, elsewhere) = (image("r.io/a"), image("r.io/b"));
    let (layer, child) = (Digest::of(b"layer"), Digest::of(b"child"));
    let (first, second) = (Digest::of(b"1"), Digest::of(b"2"));
    assert!(store.referencing(&here, &layer).await.expect("looks").is_empty());
    let record = manifest(&[(&layer, ReferencedAs::Content), (&child, ReferencedAs::Manifest)]);
    store.put_manifest(&here, &first, &record).await.expect("writes");
    assert_eq!(*store.referencing(&here, &layer).await.expect("looks"), [first]);
    store.put_manifest(&here, &second, &record).await.expect("writes");
    let mut both = [first, second];
    both.sort();
    assert_eq!(*store.referencing(&here, &layer).await.expect("looks"), both);
    assert!(store.referencing(&elsewhere, &layer).await.expect("looks").is_empty());
    assert!(store.referencing(&here, &child).await.expect("looks").is_empty());
    assert_eq!(*store.parents(&here, &child).await.expect("looks"), both);
}

#[tokio::test]
async fn parents_that_come_before_the_child_are_not_lost() {
    let scene = Scene::new();
    let store = scene.open();
    let image = image("r.io/a");
    let (child, early, late) = (Digest::of(b"child"), Digest::of(b"early"), Digest::of(b"late"));
    store.add_parent(&image, &child, &early).await.expect("writes");
    assert_eq!(store.manifest(&image, &child).await.expect("reads"), None);
    store.put_manifest(&image, &child, &manifest(&[])).await.expect("writes");
    store.add_parent(&image, &child, &late).await.expect("writes");
    store.put_manifest(&image, &child, &manifest(&[])).await.expect("writes");
    let mut both = [early, late];
    both.sort();
    let store = reopened(&scene, store).await;
    let read = store.manifest(&image, &child).await.expect("reads").expect("is there");
    assert_eq!(read.parents, both);
    assert_eq!(*store.parents(&image, &child).await.expect("looks"), both);
}

#[tokio::test]
async fn a_record_that_was_torn_or_altered_reads_as_absent() {
    let scene = Scene::new();
    let store = scene.open();
    let image = image("r.io/a");
    let digest = Digest::of(b"m");
    let folder = scene.root().join("refs-v1/r.io/a");
    store.put_manifest(&image, &digest, &manifest(&[])).await.expect("writes");
    store.put_tag(&image, &tag("v1"), &digest, at(1)).await.expect("writes");
    let mut store = store;
    for path in [folder.join("_manifests").join(digest.hex()), folder.join("_tags/v1")] {
        let whole = std::fs::read_to_string(&path).expect("reads");
        let altered = whole.replacen("sha256", "sha512", 1);
        for bad in ["", &whole[..whole.len() / 2], "{}", "\0\0\0\0", &altered] {
            store.close().await;
            drop(store);
            let file = std::fs::File::create(&path).expect("creates");
            std::os::unix::fs::FileExt::write_all_at(&file, bad.as_bytes(), 0).expect("writes");
            store = scene.open();
            if path.ends_with("v1") {
                assert_eq!(store.tag(&image, &tag("v1")).await.expect("reads"), None, "{bad}");
            } else {
                assert_eq!(store.manifest(&image, &digest).await.expect("reads"), None, "{bad}");
            }
        }
    }
    store.put_manifest(&image, &digest, &manifest(&[])).await.expect("writes");
    assert!(store.manifest(&image, &digest).await.expect("reads").is_some());
}

#[tokio::test]
async fn the_longest_names_work() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = Digest::of(b"m");
    for name in ["a".repeat(255), ["a"; 128].join("/")] {
        let image = image(&format!("r.io:65535/{name}"));
        let long = tag(&"t".repeat(128));
        store.put_tag(&image, &long, &digest, at(1)).await.expect("writes");
        store.put_manifest(&image, &digest, &manifest(&[])).await.expect("writes");
        assert_eq!(store.tags(&image).await.expect("lists"), [long.as_str()]);
    }
    store.close().await;
    drop(store);
    std::fs::remove_dir_all(scene.root().join("meta-v1")).expect("removes");
    let store = scene.open();
    accelerated(&store).await;
    let deep = image(&format!("r.io:65535/{}", ["a"; 128].join("/")));
    assert!(store.manifest(&deep, &digest).await.expect("reads").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_do_not_undo_each_other() {
    let scene = Scene::new();
    let store = scene.open();
    let image = image("r.io/a");
    let child = Digest::of(b"child");
    let parents: Vec<_> = (0..20_u8).map(|number| Digest::of(&[number])).collect();
    let tasks: Vec<_> = parents
        .iter()
        .map(|parent| {
            let (store, image, parent) = (store.clone(), image.clone(), *parent);
            tokio::spawn(async move { store.add_parent(&image, &child, &parent).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("does not panic").expect("writes");
    }
    let mut expected = parents;
    expected.sort();
    assert_eq!(*store.parents(&image, &child).await.expect("looks"), *expected);
}
