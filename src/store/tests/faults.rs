//! The disk fails, or the process dies, at every step; nothing wrong is ever served after.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use super::support::*;
use crate::{
    oci::Digest,
    store::{
        Disk, Faults, Files, FillError, Index, ManifestRecord, MetaDb, OpenDb, Referenced,
        ReferencedAs, Step, Store, StoreError, meta::memory::MemoryDb, partial::CHECKPOINT_EVERY,
    },
};

/// Counts the steps, and fails none.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicUsize);

impl Counter {
    pub(super) fn files(self: &Arc<Self>) -> Files {
        Files::with(self.clone())
    }

    pub(super) fn steps(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Faults for Counter {
    fn strike(&self, _: Step, _: &Path) -> io::Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Lets so many steps happen and then none: what is on the disk is what a killed process leaves.
#[derive(Debug)]
struct DeadAfter {
    left: AtomicUsize,
    counts: AtomicBool,
}

impl DeadAfter {
    fn new(steps: usize, counts: bool) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(steps), counts: AtomicBool::new(counts) })
    }
}

impl Faults for DeadAfter {
    fn strike(&self, _: Step, _: &Path) -> io::Result<()> {
        if !self.counts.load(Ordering::SeqCst) {
            return Ok(());
        }
        let one_less = |left: usize| left.checked_sub(1);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        left.map(drop).map_err(|_| io::Error::other("the process is dead"))
    }
}

/// Fails one kind of step, with one error, while it is switched on.
#[derive(Debug)]
struct Failing {
    step: Step,
    error: rustix::io::Errno,
    on: AtomicBool,
}

impl Failing {
    fn new(step: Step, error: rustix::io::Errno) -> Arc<Self> {
        Arc::new(Self { step, error, on: AtomicBool::new(true) })
    }
}

impl Faults for Failing {
    fn strike(&self, step: Step, _: &Path) -> io::Result<()> {
        match step == self.step && self.on.load(Ordering::SeqCst) {
            true => Err(self.error.into()),
            false => Ok(()),
        }
    }
}

/// A store whose accelerator forgets everything when the store is dropped.
fn open_forgetful(scene: &Scene, files: Files) -> Result<Store, StoreError> {
    let options = scene.options();
    let disk = Arc::new(Disk::open(options.root.clone(), files)?);
    let memory: OpenDb = Box::new(|_| Ok(Arc::new(MemoryDb::default()) as Arc<dyn MetaDb>));
    let index = Arc::new(Index::new(Arc::clone(&disk), memory));
    Store::assemble(disk, index, &options, &scene.environment(), Arc::clone(&scene.metrics))
}

/// One pull's worth of work, as far as the disk lets it happen.
async fn pull(store: &Store) -> Result<(), Box<dyn std::error::Error>> {
    let (manifest, layer) = (content(3000), content(CHECKPOINT_EVERY as usize + 1000));
    let (digest, layer_digest) = (Digest::of(&manifest), Digest::of(&layer));
    let image = image("registry.test:5000/a/b");
    store.publish(&digest, manifest).await?;
    store.put_manifest(&image, &digest, &record(&layer_digest)).await?;
    store.put_tag(&image, &"v1".parse()?, &digest, SystemTime::UNIX_EPOCH).await?;
    let source = Arc::new(Scripted::good(&layer));
    let follower = store.fill(&layer_digest, Some(layer.len() as u64), source).await?;
    follow(follower, 0).await.map_err(|(_, error)| error)?;
    published(store, &layer_digest).await;
    Ok(())
}

fn record(layer: &Digest) -> ManifestRecord {
    ManifestRecord {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        size: 3000,
        references: vec![Referenced {
            digest: *layer,
            size: CHECKPOINT_EVERY + 1000,
            kind: ReferencedAs::Content,
        }],
        verdict: Some(serde_json::json!({ "outcome": "admitted" })),
        ..ManifestRecord::default()
    }
}

/// Whatever is there is right. How much of it there is.
async fn assert_nothing_wrong(store: &Store) -> usize {
    let (manifest, layer) = (content(3000), content(CHECKPOINT_EVERY as usize + 1000));
    let (digest, layer_digest) = (Digest::of(&manifest), Digest::of(&layer));
    let image = image("registry.test:5000/a/b");
    let mut there = 0;
    if let Some(bytes) = store.read(&digest, 1 << 20).await.expect("reads") {
        assert_eq!(bytes, manifest);
        there += 1;
    }
    if let Some(blob) = store.open_blob(&layer_digest).await.expect("opens") {
        assert!(all_of(&blob) == layer);
        there += 1;
    }
    let known = store.manifest(&image, &digest).await.expect("reads");
    if let Some(known) = &known {
        assert_eq!(**known, record(&layer_digest));
        there += 1;
    }
    let referencing = store.referencing(&image, &layer_digest).await.expect("looks");
    assert_eq!(referencing.contains(&digest), known.is_some());
    if let Some(tag) = store.tag(&image, &"v1".parse().expect("a tag")).await.expect("reads") {
        assert_eq!((tag.digest, tag.history.len()), (digest, 1));
        there += 1;
    }
    there
}

#[tokio::test]
async fn a_process_that_dies_at_any_step_leaves_nothing_wrong() {
    let mut survived = Vec::new();
    for steps in 0.. {
        let scene = Scene::without_disk();
        let faults = DeadAfter::new(steps, false);
        let store = open_forgetful(&scene, Files::with(faults.clone())).expect("opens");
        accelerated(&store).await;
        faults.counts.store(true, Ordering::SeqCst);
        let pulled = pull(&store).await.is_ok();
        store.close().await;
        drop(store);
        let store = open_forgetful(&scene, Files::default()).expect("opens after the crash");
        survived.push(assert_nothing_wrong(&store).await);
        pull(&store).await.expect("what is missing is pulled again");
        assert_eq!(assert_nothing_wrong(&store).await, 4);
        store.close().await;
        assert_eq!(scene.files_in("partial"), 0, "after {steps} steps");
        if pulled && survived.last() == Some(&4) {
            break;
        }
    }
    assert!(survived.len() > 30, "there were only {} steps", survived.len());
    assert!(survived.is_sorted(), "more steps, more content: {survived:?}");
}

#[tokio::test]
async fn a_process_that_dies_while_it_opens_leaves_nothing_wrong() {
    let scene = Scene::without_disk();
    let store = open_forgetful(&scene, Files::default()).expect("opens");
    pull(&store).await.expect("pulls");
    store.close().await;
    drop(store);
    for steps in 0..40 {
        if let Ok(store) = open_forgetful(&scene, Files::with(DeadAfter::new(steps, true))) {
            store.close().await;
        }
        let store = open_forgetful(&scene, Files::default()).expect("opens after the crash");
        assert_eq!(assert_nothing_wrong(&store).await, 4);
        store.close().await;
    }
}

#[tokio::test]
async fn a_killed_fill_goes_on_from_its_last_checkpoint() {
    let scene = Scene::new();
    let content = content(3 * CHECKPOINT_EVERY as usize);
    let digest = Digest::of(&content);
    let faults = Failing::new(Step::Sync, rustix::io::Errno::IO);
    let store = scene.try_open(Files::with(faults.clone())).expect("opens");
    let (feed, source) = Fed::new(Some(content.len() as u64));
    let mut follower = store.fill(&digest, None, source).await.expect("starts");
    let sent = CHECKPOINT_EVERY + 1000;
    feed.send(Ok(content.slice(..CHECKPOINT_EVERY as usize))).expect("listens");
    feed.send(Ok(content.slice(CHECKPOINT_EVERY as usize..sent as usize))).expect("listens");
    follower.readable(sent - 2).await.expect("came");
    // What a killed process leaves is what is on the disk now.
    let killed = Scene::new();
    let copied = std::fs::create_dir_all(killed.root().join("partial"));
    copied.expect("creates");
    for entry in std::fs::read_dir(scene.root().join("partial")).expect("lists").flatten() {
        let to = killed.root().join("partial").join(entry.file_name());
        std::fs::copy(entry.path(), to).expect("copies");
    }
    let store = killed.open();
    let source = Arc::new(Scripted::good(&content));
    let follower = store.fill(&digest, None, source.clone()).await.expect("starts");
    assert!(follow(follower, 0).await.expect("fills") == content);
    assert_eq!(source.asked(), [CHECKPOINT_EVERY - 1]);
}

#[tokio::test]
async fn a_full_disk_fails_fills_and_nothing_else() {
    let scene = Scene::new();
    let faults = Failing::new(Step::Write, rustix::io::Errno::NOSPC);
    faults.on.store(false, Ordering::SeqCst);
    let store = scene.try_open(Files::with(faults.clone())).expect("opens");
    let cached = content(5000);
    let cached_digest = fill(&store, &cached).await;

    faults.on.store(true, Ordering::SeqCst);
    let wanted = content(6000);
    let digest = Digest::of(&wanted);
    let source = Arc::new(Scripted::good(&wanted));
    let follower = store.fill(&digest, None, source).await.expect("opens its file");
    let (received, error) = follow(follower, 0).await.expect_err("there is no room");
    assert!(received.len() < 6000);
    assert!(matches!(error, FillError::DiskFull { .. }));
    published(&store, &digest).await;
    assert_eq!(scene.files_in("partial"), 0, "the space is given back");
    assert_eq!(scene.metric("disk_full_total"), 1);
    let small = Digest::of(b"small");
    let refused = store.publish(&small, bytes::Bytes::from_static(b"small")).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })));
    let blob = store.open_blob(&cached_digest).await.expect("opens").expect("is served");
    assert_eq!(all_of(&blob), cached);

    faults.on.store(false, Ordering::SeqCst);
    fill(&store, &wanted).await;
}

#[tokio::test]
async fn content_that_cannot_fit_is_refused_before_its_first_byte() {
    let scene = Scene::new();
    let store = scene.open();
    let source = Arc::new(Scripted::good(&content(10)));
    let refused = store.fill(&Digest::of(b"huge"), Some(u64::MAX / 2), source.clone()).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })));
    assert_eq!(source.asked(), [0; 0]);
    assert_eq!(scene.files_in("partial"), 0);
}

#[tokio::test]
async fn followers_of_verified_content_do_not_care_that_it_cannot_be_stored() {
    for step in [Step::Sync, Step::Rename, Step::SyncFolder] {
        let scene = Scene::new();
        let faults = Failing::new(step, rustix::io::Errno::IO);
        faults.on.store(false, Ordering::SeqCst);
        let store = scene.try_open(Files::with(faults.clone())).expect("opens");
        let content = content(5000);
        let digest = Digest::of(&content);
        faults.on.store(true, Ordering::SeqCst);
        let source = Arc::new(Scripted::good(&content));
        let follower = store.fill(&digest, None, source).await.expect("starts");
        assert_eq!(follow(follower, 0).await.expect("is verified"), content);
        published(&store, &digest).await;
        assert_eq!(scene.metric("fills_finished_total{outcome=\"store\"}"), 1);
        assert_eq!(scene.files_in("partial"), 0);
        faults.on.store(false, Ordering::SeqCst);
        fill(&store, &content).await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_error_and_not_an_absence() {
    let scene = Scene::new();
    let faults = Failing::new(Step::Open, rustix::io::Errno::MFILE);
    faults.on.store(false, Ordering::SeqCst);
    let store = scene.try_open(Files::with(faults.clone())).expect("opens");
    let digest = Digest::of(b"content");
    faults.on.store(true, Ordering::SeqCst);
    let error = store.open_blob(&digest).await.expect_err("there are too many");
    assert!(matches!(&error, StoreError::Io { step: Step::Open, .. }));
    assert!(error.to_string().starts_with("cannot open `"), "{error}");
    assert!(store.manifest(&image("r.io/a"), &digest).await.is_err());
}

#[tokio::test]
async fn a_file_whose_content_cannot_be_had_is_damaged() {
    let scene = Scene::new();
    let (small, layer) = (content(100), content(5000));
    let (digest, layer_digest) = (Digest::of(&small), Digest::of(&layer));
    let image = image("r.io/a");
    let store = open_forgetful(&scene, Files::default()).expect("opens");
    store.publish(&digest, small).await.expect("publishes");
    store.put_manifest(&image, &digest, &record(&layer_digest)).await.expect("writes");
    fill(&store, &layer).await;
    store.close().await;
    drop(store);
    let faults = Failing::new(Step::Read, rustix::io::Errno::IO);
    faults.on.store(false, Ordering::SeqCst);
    let store = open_forgetful(&scene, Files::with(faults.clone())).expect("opens");
    accelerated(&store).await;
    faults.on.store(true, Ordering::SeqCst);
    assert_eq!(store.manifest(&image, &digest).await.expect("verify again"), None);
    faults.on.store(false, Ordering::SeqCst);
    store.put_manifest(&image, &digest, &record(&layer_digest)).await.expect("writes");
    assert!(store.manifest(&image, &digest).await.expect("reads").is_some());
    faults.on.store(true, Ordering::SeqCst);
    store.recheck(&layer_digest).await.expect("moves it aside");
    assert_eq!(scene.files_in("damaged"), 1);
    assert!(store.open_blob(&layer_digest).await.expect("looks").is_none());
}
