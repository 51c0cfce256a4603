//! Space is given back, the oldest first, and what was evicted comes back.

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;

use super::support::*;
use crate::{
    oci::Digest,
    store::{ManifestRecord, Referenced, ReferencedAs, Store, evict},
};

fn blob(number: u8) -> Bytes {
    let mut bytes = content(1000).to_vec();
    bytes[0] = number;
    bytes.into()
}

/// Ten blobs, a minute apart.
async fn ten(scene: &Scene, store: &Store) -> Vec<Digest> {
    let mut digests = Vec::new();
    for number in 0..10 {
        digests.push(fill(store, &blob(number)).await);
        scene.clock.advance(Duration::from_secs(60));
    }
    accelerated(store).await;
    digests
}

fn there(scene: &Scene, digests: &[Digest]) -> Vec<usize> {
    let there = digests.iter().enumerate();
    there.filter(|(_, digest)| scene.blob_path(digest).exists()).map(|(at, _)| at).collect()
}

/// Opens the same data directory with a limit.
async fn limited(scene: &mut Scene, store: Store, max_size: u64) -> Store {
    store.close().await;
    drop(store);
    scene.max_size = max_size;
    scene.open()
}

#[tokio::test]
async fn the_least_recently_used_go_and_their_bytes_with_them() {
    let mut scene = Scene::new();
    let store = scene.open();
    let digests = ten(&scene, &store).await;
    // A hit makes the oldest the youngest, although nothing is written for it.
    drop(store.open_blob(&digests[0]).await.expect("opens"));
    scene.clock.advance(Duration::from_secs(60));
    drop(store.open_blob(&digests[0]).await.expect("opens"));
    let store = limited(&mut scene, store, 5000).await;
    accelerated(&store).await;
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert_eq!(there(&scene, &digests), [0, 7, 8, 9], "4750 bytes are allowed to stay");
    assert_eq!(scene.bytes_below("blobs-v1"), 4000);
    assert_eq!(scene.metric("blobs_evicted_total"), 6);
    assert_eq!(scene.metric("evicted_bytes_total"), 6000);
    assert_eq!(scene.metric("store_bytes"), 4000);
}

#[tokio::test]
async fn a_fill_that_passes_the_limit_starts_it_and_no_file_stays_open() {
    let mut scene = Scene::new();
    scene.max_size = 5000;
    let store = scene.open();
    accelerated(&store).await;
    let digests = ten(&scene, &store).await;
    eventually(|| scene.bytes_below("blobs-v1") <= 5000).await;
    assert!(there(&scene, &digests).contains(&9));
    let root = scene.root().to_owned();
    eventually(|| {
        let open = fs::read_dir("/proc/self/fd").expect("lists").flatten();
        !open
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|path| path.starts_with(&root) && path.to_string_lossy().ends_with("(deleted)"))
    })
    .await;
}

#[tokio::test]
async fn what_is_being_read_stays() {
    let mut scene = Scene::new();
    let store = scene.open();
    let digests = ten(&scene, &store).await;
    let store = limited(&mut scene, store, 1000).await;
    let reading = store.open_blob(&digests[3]).await.expect("opens").expect("is there");
    accelerated(&store).await;
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert_eq!(there(&scene, &digests), [3]);
    assert_eq!(all_of(&reading), blob(3));
    drop(reading);
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert_eq!(there(&scene, &digests), [3], "1000 bytes are allowed");
}

#[tokio::test]
async fn manifests_and_evidence_stay() {
    let mut scene = Scene::new();
    let store = scene.open();
    let manifest = blob(100);
    let digest = Digest::of(&manifest);
    store.publish(&digest, manifest.clone()).await.expect("publishes");
    let (layer, evidence) = (fill(&store, &blob(1)).await, fill(&store, &blob(2)).await);
    let record = ManifestRecord {
        references: vec![Referenced { digest: layer, size: 1000, kind: ReferencedAs::Content }],
        evidence: vec![evidence],
        ..ManifestRecord::default()
    };
    store.put_manifest(&image("r.io/a"), &digest, &record).await.expect("writes");
    let store = limited(&mut scene, store, 1).await;
    accelerated(&store).await;
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert_eq!(there(&scene, &[digest, layer, evidence]), [0, 2]);
    assert_eq!(store.read(&digest, 1000).await.expect("reads"), Some(manifest));
}

#[tokio::test]
async fn what_was_evicted_comes_back_by_a_fill() {
    let mut scene = Scene::new();
    let store = scene.open();
    let digests = ten(&scene, &store).await;
    let store = limited(&mut scene, store, 2000).await;
    accelerated(&store).await;
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert!(store.open_blob(&digests[0]).await.expect("looks").is_none());
    let source = Arc::new(Scripted::good(&blob(0)));
    let follower = store.fill(&digests[0], None, source.clone()).await.expect("starts");
    assert_eq!(follow(follower, 0).await.expect("fills"), blob(0));
    assert_eq!(source.asked(), [0]);
    published(&store, &digests[0]).await;
    assert!(store.open_blob(&digests[0]).await.expect("opens").is_some());
}

#[tokio::test]
async fn without_a_limit_nothing_goes() {
    let scene = Scene::new();
    let store = scene.open();
    let digests = ten(&scene, &store).await;
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert_eq!(there(&scene, &digests).len(), 10);
    assert_eq!(scene.metric("store_bytes"), 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_while_everything_is_evicted_never_see_a_wrong_byte() {
    let mut scene = Scene::new();
    scene.max_size = 4000;
    let store = scene.open();
    accelerated(&store).await;
    let pulls: Vec<_> = (0..8_u8)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..60_u8 {
                    let wanted = blob((client.wrapping_mul(7) ^ round.wrapping_mul(13)) % 16);
                    let digest = Digest::of(&wanted);
                    let received = match store.open_blob(&digest).await.expect("opens") {
                        Some(blob) => all_of(&blob),
                        None => {
                            let source = Arc::new(Scripted::good(&wanted));
                            let size = Some(wanted.len() as u64);
                            let follower = store.fill(&digest, size, source).await.expect("starts");
                            follow(follower, 0).await.expect("fills")
                        }
                    };
                    assert!(received == wanted);
                }
            })
        })
        .collect();
    for pull in pulls {
        pull.await.expect("never a wrong byte");
    }
    // The sweep counts a file after it is gone.
    eventually(|| scene.bytes_below("blobs-v1") <= 4000 && scene.metric("blobs_evicted_total") > 0)
        .await;
    assert_eq!(scene.files_in("damaged"), 0);
}

#[tokio::test]
async fn what_is_published_while_a_sweep_counts_is_counted() {
    let scene = Scene::new();
    let store = scene.open();
    accelerated(&store).await;
    let before = store.inner.blobs.counted();
    // The sweep has passed the place of this one already, and found nothing.
    let digest = fill(&store, &blob(1)).await;
    published(&store, &digest).await;
    assert_eq!(store.inner.blobs.recounted(before, 0), before + 1000);
}
