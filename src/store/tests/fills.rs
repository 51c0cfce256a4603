//! One fetch, many readers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::timeout;

use super::support::*;
use crate::{
    oci::{Algorithm, Digest},
    store::{FillError, FillSource, FillStream, SourceError, SourceErrorKind, StoreError},
};

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to see that something does not happen.
const A_WHILE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_follower_reads_what_has_come_while_more_is_coming() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(1000);
    let digest = Digest::of(&content);
    let (feed, source) = Fed::new(Some(1000));
    let mut follower = store.fill(&digest, None, source).await.expect("starts");

    feed.send(Ok(content.slice(..600))).expect("listens");
    assert_eq!(follower.size().await.expect("announced"), 1000);
    assert_eq!(follower.readable(0).await.expect("came"), 600);
    assert_eq!(read_at(follower.file(), 0, 600), content[..600]);
    assert!(store.open_blob(&digest).await.expect("opens").is_none(), "not whole yet");

    feed.send(Ok(content.slice(600..))).expect("listens");
    drop(feed);
    assert_eq!(follow(follower, 600).await.expect("fills"), content[600..]);
    published(&store, &digest).await;
    let blob = store.open_blob(&digest).await.expect("opens").expect("is there");
    assert_eq!(all_of(&blob), content);
    assert_eq!(scene.files_in("partial"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_followers_cause_one_fetch() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(3 << 20);
    let digest = Digest::of(&content);
    let source = Arc::new(Scripted::good(&content));
    let size = Some(content.len() as u64);
    let followers: Vec<_> = (0..50)
        .map(|number| {
            let (store, source, content) = (store.clone(), source.clone(), content.clone());
            tokio::spawn(async move {
                let follower = store.fill(&digest, size, source).await.expect("starts");
                // Ranges too: everyone begins somewhere else.
                let from = number * 50_000;
                let received = follow(follower, from).await.expect("fills");
                assert!(received == content[usize::try_from(from).expect("small")..]);
            })
        })
        .collect();
    for follower in followers {
        follower.await.expect("read all of it");
    }
    assert_eq!(source.asked(), [0]);
}

#[tokio::test]
async fn a_slow_follower_holds_up_nobody() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(8 << 20);
    let digest = Digest::of(&content);
    let source = Arc::new(Scripted::good(&content));
    let slow = store.fill(&digest, None, source.clone()).await.expect("starts");
    let fast = store.fill(&digest, None, source).await.expect("joins");
    assert!(timeout(PATIENCE, follow(fast, 0)).await.expect("in time").expect("fills") == content);
    published(&store, &digest).await;
    assert!(follow(slow, 0).await.expect("reads later") == content);
}

#[tokio::test]
async fn a_fill_survives_every_client() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(1000);
    let digest = Digest::of(&content);
    let (feed, source) = Fed::new(Some(1000));
    feed.send(Ok(content.slice(..500))).expect("listens");
    {
        let first = store.fill(&digest, None, source.clone());
        // The first client goes away before it even has an answer.
        let _ = timeout(Duration::ZERO, first).await;
        let second = store.fill(&digest, None, source.clone()).await.expect("joins");
        drop(second);
    }
    feed.send(Ok(content.slice(500..))).expect("still listens");
    drop(feed);
    published(&store, &digest).await;
    assert!(store.open_blob(&digest).await.expect("opens").is_some());
    assert_eq!(source.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_last_byte_waits_for_the_digest() {
    let scene = Scene::new();
    let store = scene.open();
    // Two contents, since what a fill leaves is gone on with.
    for (content, size) in [(content(1000), Some(1000)), (content(1001), None)] {
        let digest = Digest::of(&content);
        let last = content.len() as u64 - 1;
        let (feed, source) = Fed::new(size);
        let mut follower = store.fill(&digest, None, source).await.expect("starts");
        feed.send(Ok(content)).expect("listens");
        assert_eq!(follower.readable(0).await.expect("came"), last);
        // All bytes came, but the source has not ended: there might be more.
        assert!(timeout(A_WHILE, follower.readable(last)).await.is_err());
        assert!(timeout(A_WHILE, follower.verified()).await.is_err());
        feed.send(Err(broken())).expect("listens");
        assert!(matches!(follower.readable(last).await, Err(FillError::Source(_))));
        published(&store, &digest).await;
    }
}

#[tokio::test]
async fn g8_wrong_bytes_never_end_and_are_not_kept() {
    let scene = Scene::new();
    let store = scene.open();
    let good = content(300_000);
    let digest = Digest::of(&good);
    let mut wrong = good.to_vec();
    wrong[5] ^= 1;
    for says in [Some(300_000), None] {
        let source = Scripted { says, ..Scripted::good(&Bytes::from(wrong.clone())) };
        let follower = store.fill(&digest, says, Arc::new(source)).await.expect("starts");
        let (received, error) = follow(follower, 0).await.expect_err("is refused");
        assert!(received.len() < 300_000);
        assert!(matches!(error, FillError::Integrity { digest: named } if named == digest));
        published(&store, &digest).await;
        assert!(store.open_blob(&digest).await.expect("opens").is_none());
        assert_eq!(scene.files_in("partial"), 0);
        assert_eq!(scene.bytes_below("blobs-v1"), 0);
    }
    assert_eq!(scene.metric("fills_finished_total{outcome=\"integrity\"}"), 2);
}

#[tokio::test]
async fn g8_a_wrong_length_is_refused_at_once() {
    let scene = Scene::new();
    let store = scene.open();
    let good = content(100_000);
    let digest = Digest::of(&good);
    let size = Some(100_000);
    let longer = Scripted { says: None, ..Scripted::good(&content(200_000)) };
    let other_size = Scripted { says: Some(99_999), ..Scripted::good(&good) };
    for source in [longer, other_size] {
        let follower = store.fill(&digest, size, Arc::new(source)).await.expect("starts");
        let (received, error) = follow(follower, 0).await.expect_err("is refused");
        assert!(received.len() < 100_000);
        assert!(matches!(error, FillError::Integrity { .. }), "{error:?}");
        published(&store, &digest).await;
        assert_eq!(scene.files_in("partial"), 0);
    }
}

/// A source without the content.
#[derive(Debug)]
struct Refusing;

impl FillSource for Refusing {
    fn origin(&self) -> &str {
        "registry.test"
    }

    fn open(&self, _: u64) -> BoxFuture<'static, Result<FillStream, SourceError>> {
        let error = SourceError::new(SourceErrorKind::NotFound, "there is no such content");
        std::future::ready(Err(error)).boxed()
    }
}

#[tokio::test]
async fn an_ordered_length_is_told_only_once_the_source_has_answered() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = Digest::of(b"not there");
    let mut follower = store.fill(&digest, Some(9), Arc::new(Refusing)).await.expect("starts");
    let error = follower.size().await.expect_err("there is no such content");
    assert!(matches!(error, FillError::Source(_)), "{error:?}");
}

#[tokio::test]
async fn who_expects_another_length_does_not_join() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(1000);
    let digest = Digest::of(&content);
    let (_feed, source) = Fed::new(Some(1000));
    let mut follower = store.fill(&digest, Some(1000), source.clone()).await.expect("starts");
    assert_eq!(follower.size().await.expect("the source says it"), 1000);
    let joined = store.fill(&digest, Some(999), source).await;
    assert!(matches!(joined, Err(StoreError::Integrity { .. })));
}

#[tokio::test]
async fn what_is_published_already_is_not_fetched() {
    let scene = Scene::new();
    let store = scene.open();
    let content = content(1000);
    let digest = fill(&store, &content).await;
    let source = Arc::new(Scripted::good(&content));
    let follower = store.fill(&digest, None, source.clone()).await.expect("starts");
    assert_eq!(follow(follower, 0).await.expect("reads"), content);
    assert_eq!(source.asked(), [0; 0]);
}

#[tokio::test]
async fn empty_content_and_sha512_are_content_too() {
    let scene = Scene::new();
    let store = scene.open();
    let empty = Bytes::new();
    let digest = fill(&store, &empty).await;
    let blob = store.open_blob(&digest).await.expect("opens").expect("is there");
    assert_eq!(blob.size, 0);

    let content = content(1000);
    let digest = Digest::with(Algorithm::Sha512, &content);
    let source = Arc::new(Scripted::good(&content));
    let follower = store.fill(&digest, None, source).await.expect("starts");
    assert_eq!(follow(follower, 0).await.expect("fills"), content);
    published(&store, &digest).await;
    assert!(scene.blob_path(&digest).exists());
}

#[tokio::test]
async fn a_source_error_comes_back_as_what_it_was() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = Digest::of(b"abc");
    let (feed, source) = Fed::new(Some(3));
    let kind = SourceErrorKind::RateLimited { retry_after: Some(PATIENCE) };
    let own = std::io::Error::other("the upstream's own error");
    feed.send(Err(SourceError::new(kind, own))).expect("listens");
    let mut follower = store.fill(&digest, None, source).await.expect("starts");
    let Err(FillError::Source(error)) = follower.verified().await else { panic!("no such error") };
    assert_eq!(error.kind(), kind);
    assert_eq!(error.to_string(), "the upstream's own error");
    assert!(error.downcast_ref::<std::io::Error>().is_some());
}

#[tokio::test]
async fn closing_stops_fills_and_refuses_new_ones() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = Digest::of(b"abc");
    let (_feed, source) = Fed::new(Some(3));
    let mut follower = store.fill(&digest, None, source).await.expect("starts");
    timeout(PATIENCE, store.close()).await.expect("in time");
    assert!(matches!(follower.verified().await, Err(FillError::Stopped)));
    let (_feed, source) = Fed::new(Some(3));
    assert!(matches!(store.fill(&digest, None, source).await, Err(StoreError::Stopped)));
}

#[tokio::test]
async fn more_fills_than_slots_wait_for_their_turn() {
    let scene = Scene::new();
    let store = scene.open();
    let mut feeds = Vec::new();
    for number in 0..64_u8 {
        let (feed, source) = Fed::new(Some(1));
        let digest = Digest::of(&[number]);
        store.fill(&digest, None, source).await.expect("starts");
        feeds.push((feed, Bytes::copy_from_slice(&[number])));
    }
    let last = content(100);
    let digest = Digest::of(&last);
    let source = Arc::new(Scripted::good(&last));
    let waiting = store.fill(&digest, None, source.clone());
    assert!(timeout(A_WHILE, waiting).await.is_err());
    assert_eq!(source.asked(), [0; 0]);
    let (feed, byte) = feeds.pop().expect("64 of them");
    feed.send(Ok(byte)).expect("listens");
    drop(feed);
    let follower = store.fill(&digest, None, source).await.expect("has its turn");
    assert_eq!(follow(follower, 0).await.expect("fills"), last);
}
