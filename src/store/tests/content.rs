//! Content that is here: opened, read, published, and found damaged.

use std::sync::Arc;

use bytes::Bytes;

use super::support::*;
use crate::{
    oci::Digest,
    store::{StoreError, tests::faults::Counter},
};

#[tokio::test]
async fn small_content_is_published_and_read_back() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(5000);
    let digest = Digest::of(&content);
    assert_eq!(store.read(&digest, 5000).await.expect("reads"), None);
    store.publish(&digest, content.clone()).await.expect("publishes");
    store.publish(&digest, content.clone()).await.expect("publishes again");
    assert_eq!(store.read(&digest, 5000).await.expect("reads"), Some(content.clone()));
    let blob = store.open_blob(&digest).await.expect("opens").expect("is there");
    assert_eq!(all_of(&blob), content);
    let error = store.read(&digest, 4999).await.expect_err("is too long");
    assert!(matches!(error, StoreError::TooLong { size: 5000, limit: 4999, .. }));
    store.close().await;
    drop((store, blob));
    let store = scene.open();
    assert!(matches!(store.read(&digest, 4999).await, Err(StoreError::TooLong { .. })));
    assert_eq!(store.read(&digest, 5000).await.expect("reads"), Some(content));
}

#[tokio::test]
async fn other_bytes_than_the_digest_names_are_not_published() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = Digest::of(b"this");
    let refused = store.publish(&digest, Bytes::from_static(b"that")).await;
    assert!(matches!(refused, Err(StoreError::Integrity { .. })));
    assert_eq!(scene.bytes_below("blobs-v1"), 0);
}

#[tokio::test]
async fn publishing_repairs_what_was_damaged() {
    let scene = Scene::new();
    let content = content(5000);
    let digest = Digest::of(&content);
    let store = scene.open();
    store.publish(&digest, content.clone()).await.expect("publishes");
    store.close().await;
    drop(store);
    damage(&scene, &digest);
    let store = scene.open();
    store.publish(&digest, content.clone()).await.expect("publishes again");
    store.close().await;
    drop(store);
    assert!(std::fs::read(scene.blob_path(&digest)).expect("reads") == content);
}

#[tokio::test]
async fn a_hit_does_not_touch_the_disk() {
    let scene = Scene::new();
    let counter = Arc::new(Counter::default());
    let store = scene.try_open(counter.files()).expect("opens");
    let content = content(5000);
    let digest = fill(&store, &content).await;
    let repository = image("docker.io/library/nginx");
    let tag = "v1".parse().expect("a tag");
    let at = std::time::SystemTime::UNIX_EPOCH;
    let warm = async || {
        assert!(store.open_blob(&digest).await.expect("opens").is_some());
        assert!(store.read(&digest, 5000).await.expect("reads").is_some());
        assert!(store.tag(&repository, &tag).await.expect("reads").is_some());
        assert!(store.manifest(&repository, &digest).await.expect("reads").is_some());
        assert!(store.referencing(&repository, &digest).await.expect("looks").is_empty());
        assert!(store.parents(&repository, &digest).await.expect("looks").is_empty());
    };
    store.put_tag(&repository, &tag, &digest, at).await.expect("writes");
    let record = Default::default();
    store.put_manifest(&repository, &digest, &record).await.expect("writes");
    warm().await;
    let before = counter.steps();
    warm().await;
    assert_eq!(counter.steps(), before);
}

#[tokio::test]
async fn content_of_another_length_is_set_aside_and_filled_again() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(5000);
    let digest = fill(&store, &content).await;
    store.close().await;
    drop(store);
    let file = std::fs::OpenOptions::new().write(true).open(scene.blob_path(&digest));
    file.expect("opens").set_len(4999).expect("cuts");
    let store = scene.open();
    assert!(store.open_blob(&digest).await.expect("looks").is_none());
    assert_eq!(scene.files_in("damaged"), 1);
    assert_eq!(scene.metric("content_damaged_total"), 1);
    fill(&store, &content).await;
    assert!(store.open_blob(&digest).await.expect("opens").is_some());
}

#[tokio::test]
async fn content_that_nobody_vouches_for_is_hashed_once() {
    let scene = Scene::new();
    let good = content(5000);
    let digest = Digest::of(&good);
    let path = scene.blob_path(&digest);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
    std::fs::copy(file_of(&scene, &good), &path).expect("copies");
    let store = scene.open();
    let blob = store.open_blob(&digest).await.expect("opens").expect("is good");
    assert_eq!(all_of(&blob), good);

    let missing = Digest::of(b"missing");
    let path = scene.blob_path(&missing);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
    std::fs::copy(file_of(&scene, &good), &path).expect("copies");
    assert!(store.open_blob(&missing).await.expect("looks").is_none());
    assert!(!path.exists());
}

#[tokio::test]
async fn damaged_small_content_is_never_read() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(5000);
    let digest = Digest::of(&content);
    store.publish(&digest, content).await.expect("publishes");
    store.close().await;
    drop(store);
    damage(&scene, &digest);
    let store = scene.open();
    assert_eq!(store.read(&digest, 5000).await.expect("looks"), None);
    assert_eq!(scene.files_in("damaged"), 1);
}

/// Changes one byte on the disk.
pub(super) fn damage(scene: &Scene, digest: &Digest) {
    let file = std::fs::OpenOptions::new().write(true).open(scene.blob_path(digest));
    let file = file.expect("opens");
    std::os::unix::fs::FileExt::write_all_at(&file, b"!", 17).expect("writes");
}

fn file_of(scene: &Scene, content: &[u8]) -> std::path::PathBuf {
    let path = scene.root().join("by-hand");
    let file = std::fs::File::create(&path).expect("creates");
    std::os::unix::fs::FileExt::write_all_at(&file, content, 0).expect("writes");
    path
}
