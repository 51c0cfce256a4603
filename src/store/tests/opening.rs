//! The data directory: who may have it, and what it must be.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use super::support::*;
use crate::store::{Files, Store, StoreError, background, tests::faults::Counter};

#[tokio::test]
async fn two_cannot_have_the_same_directory() {
    let scene = Scene::new();
    let store = scene.open();
    let error = scene.try_open(Files::default()).expect_err("is taken");
    assert!(matches!(error, StoreError::Locked { .. }));
    let root = scene.root().display();
    assert_eq!(
        error.to_string(),
        format!(
            "the data directory `{root}` is in use by another portcullis: stop that one, or name another directory with `--data`"
        )
    );
    store.close().await;
    drop(store);
    scene.open();
}

#[tokio::test]
async fn a_store_that_is_dropped_frees_the_directory() {
    let scene = Scene::new();
    let store = scene.open();
    fill(&store, &content(1000)).await;
    drop(store);
    eventually(|| scene.try_open(Files::default()).is_ok()).await;
}

#[tokio::test]
async fn a_directory_that_is_lost_is_noticed_and_so_is_its_return() {
    let scene = Scene::new();
    let store = scene.open();
    let maintain = |store: &Store| {
        let inner = Arc::clone(&store.inner);
        tokio::task::spawn_blocking(move || background::maintain(&inner, 1))
    };
    maintain(&store).await.expect("runs").expect("works");
    assert!(store.problem().is_none());
    fs::remove_dir_all(scene.root().join("partial")).expect("was there");
    maintain(&store).await.expect("runs").expect("goes on");
    assert!(store.problem().expect("is noticed").to_string().contains("partial"));
    fs::create_dir(scene.root().join("partial")).expect("can be made");
    maintain(&store).await.expect("runs").expect("works");
    assert!(store.problem().is_none());
}

#[tokio::test]
async fn a_place_where_no_directory_can_be_made_is_an_error() {
    let scene = Scene::new();
    // `/proc` says "not found" to every new folder, although it is there itself.
    let options = crate::store::Options { root: "/proc/portcullis/data".into(), ..scene.options() };
    let opened = Store::open(options, &scene.environment(), Arc::clone(&scene.metrics));
    assert!(opened.expect_err("is no place").to_string().contains("`--data`"));
}

#[tokio::test]
async fn what_is_not_a_directory_is_refused_with_a_next_step() {
    let mut scene = Scene::new();
    let file = scene.root().join("file");
    fs::File::create(&file).expect("creates");
    for root in [file.clone(), file.join("below")] {
        let mut options = scene.options();
        options.root = root;
        let opened = Store::open(options, &scene.environment(), Arc::clone(&scene.metrics));
        let message = opened.expect_err("is no directory").to_string();
        assert!(message.contains("cannot be used") && message.contains("`--data`"), "{message}");
    }
    scene.max_size = 0;
}

#[tokio::test]
async fn only_the_group_may_read_along() {
    let scene = Scene::new();
    let store = scene.open();
    let digest = fill(&store, &content(1000)).await;
    let path = scene.blob_path(&digest);
    let mode =
        |path: &std::path::Path| fs::metadata(path).expect("is there").permissions().mode() & 0o027;
    assert_eq!(mode(&path), 0);
    assert_eq!(mode(path.parent().expect("a folder")), 0);
}

#[tokio::test]
async fn opening_asks_no_more_of_a_large_store_than_of_a_small_one() {
    let scene = Scene::new();
    let counter = Arc::new(Counter::default());
    let steps = |store| {
        drop(store);
        counter.steps()
    };
    let store = scene.open();
    store.close().await;
    drop(store);
    let before = counter.steps();
    let store = scene.try_open(counter.files()).expect("opens");
    let small = counter.steps() - before;
    for number in 0..100 {
        fill(&store, &content(number)).await;
    }
    store.close().await;
    let before = steps(store);
    let _store = scene.try_open(counter.files()).expect("opens");
    assert_eq!(counter.steps() - before, small);
}
