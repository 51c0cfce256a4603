//! A fill that stopped goes on from what is on disk.

use std::sync::Arc;

use super::support::*;
use crate::{
    oci::Digest,
    store::{FillError, Store},
};

const SIZE: usize = 10 << 20;
const CUT: u64 = 9_000_001;

/// A fill that breaks off at [`CUT`].
async fn break_off(store: &Store) -> Digest {
    let content = content(SIZE);
    let digest = Digest::of(&content);
    let source = Scripted { breaks_at: Some(CUT), ..Scripted::good(&content) };
    let follower = store.fill(&digest, None, Arc::new(source)).await.expect("starts");
    let (received, error) = follow(follower, 0).await.expect_err("breaks off");
    assert!(matches!(error, FillError::Source(_)));
    assert!(received.len() as u64 <= CUT && content.starts_with(&received));
    published(store, &digest).await;
    digest
}

async fn assert_goes_on_from(store: &Store, digest: &Digest, source: Scripted, asked: u64) {
    let content = content(SIZE);
    let source = Arc::new(source);
    let follower =
        store.fill(digest, Some(SIZE as u64), source.clone()).await.expect("starts again");
    assert!(follow(follower, 0).await.expect("fills") == content);
    assert_eq!(source.asked(), [asked]);
    published(store, digest).await;
    let blob = store.open_blob(digest).await.expect("opens").expect("is there");
    assert!(all_of(&blob) == content);
}

#[tokio::test]
async fn the_next_fill_asks_only_for_what_is_missing() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    assert_goes_on_from(&store, &digest, Scripted::good(&content(SIZE)), CUT).await;
    assert_eq!(scene.files_in("partial"), 0);
}

#[tokio::test]
async fn a_restart_loses_nothing() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    store.close().await;
    drop(store);
    let store = scene.open();
    assert_goes_on_from(&store, &digest, Scripted::good(&content(SIZE)), CUT).await;
}

#[tokio::test]
async fn closing_keeps_what_a_running_fill_has() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(SIZE);
    let digest = Digest::of(&content);
    let (feed, source) = Fed::new(Some(SIZE as u64));
    let mut follower = store.fill(&digest, None, source).await.expect("starts");
    feed.send(Ok(content.slice(..1000))).expect("listens");
    follower.readable(998).await.expect("came");
    store.close().await;
    drop(store);
    let store = scene.open();
    assert_goes_on_from(&store, &digest, Scripted::good(&content), 1000).await;
}

#[tokio::test]
async fn a_source_that_starts_over_is_heard_from_where_we_are() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    let source = Scripted { ignores_from: true, ..Scripted::good(&content(SIZE)) };
    assert_goes_on_from(&store, &digest, source, CUT).await;
}

#[tokio::test]
async fn what_is_sent_twice_cannot_replace_what_followers_read() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    // Another beginning, and the right end: the beginning is ours, so the whole is right.
    let mut bytes = content(SIZE).to_vec();
    bytes[..1000].fill(0);
    let source = Scripted { ignores_from: true, ..Scripted::good(&bytes.into()) };
    assert_goes_on_from(&store, &digest, source, CUT).await;
}

#[tokio::test]
async fn an_unknown_length_asks_for_one_byte_again() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    let content = content(SIZE);
    let source = Arc::new(Scripted { says: None, ..Scripted::good(&content) });
    let follower = store.fill(&digest, None, source.clone()).await.expect("starts again");
    assert!(follow(follower, 0).await.expect("fills") == content);
    assert_eq!(source.asked(), [CUT - 1]);
}

#[tokio::test]
async fn nothing_is_asked_for_when_nothing_is_missing() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(1000);
    let digest = Digest::of(&content);
    let source = Scripted { breaks_at: Some(1000), ..Scripted::good(&content) };
    let follower = store.fill(&digest, None, Arc::new(source)).await.expect("starts");
    follow(follower, 0).await.expect_err("breaks off after the last byte");
    published(&store, &digest).await;
    let source = Arc::new(Scripted::good(&content));
    let follower = store.fill(&digest, Some(1000), source.clone()).await.expect("starts again");
    assert_eq!(follow(follower, 0).await.expect("verifies"), content);
    assert_eq!(source.asked(), [0; 0]);
}

#[tokio::test]
async fn a_prefix_that_the_disk_has_changed_is_fetched_again() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    store.close().await;
    drop(store);
    let data = scene.root().join("partial").join(format!("sha256-{}.data", digest.hex()));
    let file = std::fs::OpenOptions::new().write(true).open(data).expect("opens");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 1 << 20).expect("writes");
    let store = scene.open();
    assert_goes_on_from(&store, &digest, Scripted::good(&content(SIZE)), 0).await;
}

#[tokio::test]
async fn bytes_beyond_the_checkpoint_are_not_believed() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    store.close().await;
    drop(store);
    let data = scene.root().join("partial").join(format!("sha256-{}.data", digest.hex()));
    let file = std::fs::OpenOptions::new().write(true).open(data).expect("opens");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], CUT).expect("writes");
    let store = scene.open();
    assert_goes_on_from(&store, &digest, Scripted::good(&content(SIZE)), CUT).await;
}

#[tokio::test]
async fn a_start_sweeps_what_cannot_be_resumed() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = break_off(&store).await;
    store.close().await;
    drop(store);
    let other = Digest::of(b"other");
    let partial = scene.root().join("partial");
    for name in [
        "7.new".to_owned(),
        "stray".to_owned(),
        format!("sha256-{}.data", other.hex()),
        format!("sha512-{}.state", other.hex()),
    ] {
        std::fs::File::create(partial.join(name)).expect("creates");
    }
    let store = scene.open();
    assert_eq!(scene.files_in("partial"), 2, "the data and the state of the fill that stopped");
    assert_goes_on_from(&store, &digest, Scripted::good(&content(SIZE)), CUT).await;
}
