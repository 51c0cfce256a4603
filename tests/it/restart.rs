//! Killed at the worst moment, and started again: nothing wrong is served after, nothing is lost.

use std::{fs, path::PathBuf, time::Duration};

use crate::support::*;

/// Every file below `folder`.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// Whether every file in the blob store is what its name says.
#[track_caller]
fn store_is_true(mirror: &Mirror) {
    for file in files(mirror.data().join("blobs-v1")) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("hex");
        let content = fs::read(&file).expect("readable");
        assert_eq!(Digest::of(&content).hex(), name);
    }
}

#[tokio::test]
async fn killed_in_the_middle_of_a_fill() {
    let mut stage = Stage::new().await;
    let image = Image::with_layers("killed", vec![image::noise("layer", 4 << 20)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    for stop in [0, 100_000, 3 << 20] {
        stage.upstream.behave();
        let gate = Gate::closed();
        stage.upstream.times(1, &path, Fault::Hold { after: stop, gate });
        let mut client = tokio::spawn(Ask::get(&path).open(stage.mirror.address()));
        let before = stage.upstream.count(&path);
        eventually("the fill runs", || async { stage.upstream.count(&path) > 0 }).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.mirror.kill();
        client.abort();
        let _ = (&mut client).await;
        store_is_true(&stage.mirror);
        stage.mirror.start_again().await;
        assert!(stage.upstream.count(&path) >= before);
    }
    stage.upstream.behave();
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
    store_is_true(&stage.mirror);
}

#[tokio::test]
async fn killed_at_many_moments_of_a_pull() {
    let mut stage = Stage::new().await;
    for round in 0..12 {
        let image = Image::oci(&format!("round {round}"));
        stage.push_signed("acme/app", "v1", &image);
        let unsigned = Image::oci(&format!("unsigned {round}"));
        stage.upstream.push("acme/app", "bad", &unsigned);
        let address = stage.mirror.address();
        let pull = tokio::spawn(async move {
            let target = format!("/v2/acme/app/manifests/{}", image.digest);
            Ask::get(target).open(address).await
        });
        let bad = tokio::spawn(Ask::get("/v2/acme/app/manifests/bad").open(address));
        tokio::time::sleep(Duration::from_micros(1_500 * round)).await;
        stage.mirror.kill();
        pull.abort();
        bad.abort();
        let _ = tokio::join!(pull, bad);
        store_is_true(&stage.mirror);
        stage.mirror.start_again().await;
        stage.mirror.manifest("acme/app", unsigned.digest).await.denied();
        let image = Image::oci(&format!("round {round}"));
        stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
    }
}

#[tokio::test]
async fn an_admitted_image_survives_a_kill_without_the_upstream() {
    let mut stage = Stage::new().await;
    let image = Image::oci("survives");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for blob in &image.blobs {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
        let file = stage.mirror.stored(&Digest::of(blob));
        eventually("the blob is published", || async { file.exists() }).await;
    }
    stage.mirror.kill();
    stage.upstream.go_down().await;
    stage.mirror.start_again().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for blob in &image.blobs {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
    }
}

#[tokio::test]
async fn a_start_asks_the_upstream_for_nothing() {
    let mut stage = Stage::new().await;
    let image = Image::oci("quiet start");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.stop().await;
    stage.upstream.forget();
    stage.mirror.start_again().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.upstream.count("*"), 0);
}

#[tokio::test]
async fn deleting_the_accelerator_loses_nothing() {
    let mut stage = Stage::new().await;
    let index = Image::index(vec![Image::oci("child")]);
    let child = &index.children[0];
    stage.push_signed("acme/app", "v1", &index);
    stage.upstream.push("acme/app", "bad", &Image::oci("bad"));
    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(child);
    stage.mirror.blob("acme/app", child.layer(0)).await.carries(&child.blobs[1]);
    stage.mirror.manifest("acme/app", "bad").await.denied();

    stage.mirror.stop().await;
    fs::remove_dir_all(stage.mirror.data().join("meta-v1")).expect("it is there");
    stage.upstream.go_down().await;
    stage.mirror.start_again().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(child);
    stage.mirror.blob("acme/app", child.layer(0)).await.carries(&child.blobs[1]);
    assert_ne!(stage.mirror.manifest("acme/app", "bad").await.status, 200);
}

#[tokio::test]
async fn a_broken_accelerator_is_moved_aside() {
    let mut stage = Stage::new().await;
    let image = Image::oci("accelerated");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    stage.mirror.stop().await;
    for file in files(stage.mirror.data().join("meta-v1")) {
        write(&file, image::noise("garbage", 5_000));
    }
    stage.upstream.go_down().await;
    stage.mirror.start_again().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn g44_a_record_that_cannot_be_read_is_judged_again() {
    let mut stage = Stage::new().await;
    let (good, bad) = (Image::oci("good record"), Image::oci("bad record"));
    stage.push_signed("acme/app", "v1", &good);
    stage.upstream.push("acme/app", "bad", &bad);
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    stage.mirror.manifest("acme/app", "bad").await.denied();
    for garbage in ["", "{", "{}", "null", "{\"verdict\":{\"outcome\":\"admitted\"}}", "\0\0\0\0"] {
        stage.mirror.stop().await;
        let _ = fs::remove_dir_all(stage.mirror.data().join("meta-v1"));
        for file in files(stage.mirror.data().join("refs-v1")) {
            write(&file, garbage);
        }
        stage.mirror.start_again().await;
        stage.mirror.manifest("acme/app", "bad").await.denied();
        stage.mirror.manifest("acme/app", bad.digest).await.denied();
        assert_ne!(stage.mirror.blob("acme/app", bad.layer(0)).await.status, 200);
        stage.mirror.manifest("acme/app", "v1").await.serves(&good);
        stage.mirror.blob("acme/app", good.layer(0)).await.carries(&good.blobs[1]);
    }
}

#[tokio::test]
async fn a_blob_of_another_length_than_its_record_is_not_served() {
    let mut stage = Stage::new().await;
    let image = Image::with_layers("cut on disk", vec![image::noise("layer", 100_000)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    stage.mirror.stop().await;
    let file = stage.mirror.stored(&image.layer(0));
    for damage in [Bytes::new(), image.blobs[1].slice(..50_000)] {
        let _ = fs::remove_file(&file);
        write(&file, damage);
        stage.mirror.start_again().await;
        // The honest copy of the upstream replaces it.
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
        stage.mirror.stop().await;
        store_is_true(&stage.mirror);
    }
}

#[tokio::test]
async fn a_damaged_manifest_on_disk_is_not_served() {
    let mut stage = Stage::new().await;
    let image = Image::oci("damaged manifest");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.stop().await;
    let file = stage.mirror.stored(&image.digest);
    let mut evil = image.bytes().to_vec();
    let last = evil.len() - 2;
    evil[last] = b' ';
    fs::remove_file(&file).expect("it is there");
    write(&file, &evil);
    stage.mirror.start_again().await;
    let answer = stage.mirror.manifest("acme/app", image.digest).await;
    assert!(answer.status != 200 || answer.body == image.bytes(), "{answer:?}");
}

#[tokio::test]
async fn two_mirrors_do_not_share_a_data_folder() {
    let stage = Stage::new().await;
    let mut second = mirror::program()
        .args(["serve", "--config"])
        .arg(stage.mirror.folder().join("portcullis.toml"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut status = None;
    for _ in 0..500 {
        status = second.try_wait().expect("it is our child");
        if status.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = second.kill();
    let output = second.wait_with_output().expect("it has ended");
    assert_eq!(status.and_then(|status| status.code()), Some(1), "cannot start");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("data"), "{text}");
}

#[tokio::test]
async fn left_over_pieces_of_nothing_are_swept() {
    let mut stage = Stage::new().await;
    stage.mirror.stop().await;
    let stray = stage.mirror.data().join("partial/stray-file");
    write(&stray, "left over");
    stage.mirror.start_again().await;
    eventually("the stray file is gone", || async { !stray.exists() }).await;
}
