//! The accelerator may be deleted, damaged or broken: only time is lost.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
};

use super::support::*;
use crate::{
    oci::{Digest, ImageName},
    store::{
        Disk, Files, Index, ManifestRecord, MetaDb, OpenDb, Referenced, ReferencedAs, Store,
        background::{self, REOPENING_TURN},
        evict,
        meta::{MetaError, memory::MemoryDb},
    },
};

struct Known {
    image: ImageName,
    manifest: Digest,
    layer: Digest,
    child: Digest,
    orphan: Digest,
}

async fn pull(store: &Store) -> Known {
    let layer = fill(store, &content(5000)).await;
    let known = Known {
        image: image("registry.test:5000/a/b"),
        manifest: Digest::of(&content(100)),
        layer,
        child: Digest::of(b"child"),
        orphan: Digest::of(b"orphan"),
    };
    store.publish(&known.manifest, content(100)).await.expect("publishes");
    let reference = |digest, kind| Referenced { digest, size: 5000, kind };
    let record = ManifestRecord {
        references: vec![
            reference(layer, ReferencedAs::Content),
            reference(known.child, ReferencedAs::Manifest),
        ],
        ..ManifestRecord::default()
    };
    store.put_manifest(&known.image, &known.manifest, &record).await.expect("writes");
    store.add_parent(&known.image, &known.orphan, &known.manifest).await.expect("writes");
    known
}

async fn assert_all_known(store: &Store, known: &Known) {
    let Known { image, manifest, layer, child, orphan } = known;
    assert_eq!(*store.referencing(image, layer).await.expect("looks"), [*manifest]);
    assert_eq!(*store.parents(image, child).await.expect("looks"), [*manifest]);
    assert_eq!(*store.parents(image, orphan).await.expect("looks"), [*manifest]);
    assert!(store.open_blob(layer).await.expect("opens").is_some());
    assert!(store.manifest(image, manifest).await.expect("reads").is_some());
    assert!(store.read(manifest, 1000).await.expect("reads").is_some());
}

#[tokio::test]
async fn deleting_it_loses_nothing() {
    let mut scene = Scene::new();
    let store = scene.open();
    let known = pull(&store).await;
    store.close().await;
    drop(store);
    fs::remove_dir_all(scene.root().join("meta-v1")).expect("removes");
    let store = scene.open();
    assert_all_known(&store, &known).await;
    accelerated(&store).await;
    assert_all_known(&store, &known).await;
    store.close().await;
    drop(store);
    // What is kept and how much there is has been found out again too.
    scene.max_size = 1;
    let store = scene.open();
    accelerated(&store).await;
    evict::sweep(&store.inner.blobs).expect("sweeps");
    assert_eq!(scene.metric("store_bytes"), 100);
    assert_eq!(scene.bytes_below("blobs-v1"), 100);
}

#[tokio::test]
async fn damage_moves_it_aside_and_loses_nothing() {
    let scene = Scene::new();
    let store = scene.open();
    let known = pull(&store).await;
    store.close().await;
    drop(store);
    for entry in fs::read_dir(scene.root().join("meta-v1")).expect("lists").flatten() {
        if entry.file_type().expect("a type").is_file() {
            let file = fs::OpenOptions::new().write(true).open(entry.path()).expect("opens");
            let garbage = [0xa5; 64 << 10];
            std::os::unix::fs::FileExt::write_all_at(&file, &garbage, 0).expect("writes");
        }
    }
    let store = scene.open();
    assert_all_known(&store, &known).await;
    accelerated(&store).await;
    assert_all_known(&store, &known).await;
    assert!(scene.root().join("meta-v1.broken").exists());
}

#[tokio::test]
async fn a_process_that_was_not_closed_rebuilds_what_was_not_flushed() {
    let scene = Scene::new();
    let store = scene.open();
    accelerated(&store).await;
    store.inner.blobs.index.flush();
    let meta = scene.root().join("meta-v1");
    let before = tempfile::tempdir().expect("a folder");
    copy_below(&meta, before.path());
    let known = pull(&store).await;
    store.close().await;
    drop(store);
    // As if what came after had never reached the disk.
    fs::remove_dir_all(&meta).expect("removes");
    copy_below(before.path(), &meta);
    let store = scene.open();
    accelerated(&store).await;
    assert_all_known(&store, &known).await;
    assert!(!scene.root().join("meta-v1.broken").exists());
}

fn copy_below(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for entry in fs::read_dir(from).expect("lists").flatten() {
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_below(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("copies")),
        }
    }
}

#[tokio::test]
async fn while_it_is_broken_the_disk_answers_and_later_it_is_made_anew() {
    let scene = Scene::new();
    let databases = Arc::new(Mutex::new(Vec::<Arc<MemoryDb>>::new()));
    let made = Arc::clone(&databases);
    let open: OpenDb = Box::new(move |_| {
        let db = Arc::new(MemoryDb::default());
        made.lock().expect("not poisoned").push(Arc::clone(&db));
        Ok(db as Arc<dyn MetaDb>)
    });
    let options = scene.options();
    let disk = Arc::new(Disk::open(options.root.clone(), Files::default()).expect("opens"));
    let index = Arc::new(Index::new(Arc::clone(&disk), open));
    let store =
        Store::assemble(disk, index, &options, &scene.environment(), Arc::clone(&scene.metrics))
            .expect("opens");
    accelerated(&store).await;
    databases.lock().expect("not poisoned")[0].broken.store(true, Ordering::SeqCst);
    let known = pull(&store).await;
    assert!(!store.inner.blobs.index.blobs(|_, _| {}), "it is not believed");
    assert_all_known(&store, &known).await;

    let inner = Arc::clone(&store.inner);
    let maintained =
        tokio::task::spawn_blocking(move || background::maintain(&inner, REOPENING_TURN));
    maintained.await.expect("runs").expect("works");
    assert_eq!(databases.lock().expect("not poisoned").len(), 2);
    accelerated(&store).await;
    assert_all_known(&store, &known).await;
    assert_eq!(scene.metric("store_bytes"), 5100);
}

#[tokio::test]
async fn a_whole_one_answers_without_a_walk() {
    let scene = Scene::new();
    let store = scene.open();
    let known = pull(&store).await;
    store.close().await;
    drop(store);
    let store = scene.open();
    accelerated(&store).await;
    // If it walked, it would find nothing.
    fs::remove_dir_all(scene.root().join("refs-v1")).expect("removes");
    let referencing = store.referencing(&known.image, &known.layer).await.expect("looks");
    assert_eq!(*referencing, [known.manifest]);
}

#[tokio::test]
async fn one_that_never_opens_costs_time_only() {
    let scene = Scene::new();
    let open: OpenDb = Box::new(|_| Err(MetaError("does not open".to_owned())));
    let options = scene.options();
    let disk = Arc::new(Disk::open(options.root.clone(), Files::default()).expect("opens"));
    let index = Arc::new(Index::new(Arc::clone(&disk), open));
    let store =
        Store::assemble(disk, index, &options, &scene.environment(), Arc::clone(&scene.metrics))
            .expect("opens");
    let known = pull(&store).await;
    assert_all_known(&store, &known).await;
    store.close().await;
}
