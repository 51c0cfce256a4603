//! The scrub finds what went bad on the disk.

use std::time::Duration;

use super::{content::damage, support::*};
use crate::oci::Digest;

#[tokio::test]
async fn damaged_content_is_moved_aside_and_filled_again() {
    let mut scene = Scene::new();
    let store = scene.open();
    let good = fill(&store, &content(5000)).await;
    let bad = fill(&store, &content(9 << 20)).await;
    let small = Digest::of(&content(100));
    store.publish(&small, content(100)).await.expect("publishes");
    // What is in memory and what is open must not hide what is on the disk.
    assert!(store.open_blob(&bad).await.expect("opens").is_some());
    assert!(store.read(&small, 1000).await.expect("reads").is_some());
    store.close().await;
    drop(store);
    damage(&scene, &bad);
    damage(&scene, &small);
    scene.scrub_every = Duration::from_millis(256);
    let store = scene.open();
    assert!(store.open_blob(&bad).await.expect("a hit is not hashed").is_some());
    eventually(|| {
        scene.clock.advance(Duration::from_millis(10));
        scene.files_in("damaged") == 2
    })
    .await;
    assert!(scene.metric("content_damaged_total{found_by=\"scrub\"}") > 0);
    // The file is moved first, and forgotten right after.
    for _ in 0..500 {
        if store.open_blob(&bad).await.expect("looks").is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(store.open_blob(&bad).await.expect("looks").is_none());
    assert!(store.read(&small, 1000).await.expect("looks").is_none());
    assert!(store.open_blob(&good).await.expect("opens").is_some());
    assert_eq!(fill(&store, &content(9 << 20)).await, bad);
    assert!(store.open_blob(&bad).await.expect("opens").is_some());
}

#[tokio::test]
async fn a_reader_that_came_up_short_has_it_checked_at_once() {
    let scene = Scene::new();
    let store = scene.open();
    let (good, bad) = (fill(&store, &content(5000)).await, fill(&store, &content(6000)).await);
    assert!(store.open_blob(&bad).await.expect("opens").is_some());
    damage(&scene, &bad);
    for digest in [good, bad, Digest::of(b"not here")] {
        store.recheck(&digest).await.expect("reads");
    }
    assert!(store.open_blob(&good).await.expect("opens").is_some());
    assert!(store.open_blob(&bad).await.expect("looks").is_none());
}
