//! A full cache gives up what was used least, and fetches it again when it is asked for.

use std::{fs, path::Path};

use crate::support::*;

fn size(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test]
async fn the_least_recently_used_blobs_go_first_and_come_back_by_a_pull() {
    let stage = Stage::with(|setup| setup.cache("max_size = \"4MiB\"")).await;
    let images: Vec<_> = (0..6)
        .map(|number| {
            let seed = format!("evicted {number}");
            Image::with_layers(&seed, vec![image::noise(&seed, 1 << 20)])
        })
        .collect();
    for (number, image) in images.iter().enumerate() {
        let tag = format!("v{number}");
        stage.push_signed("acme/app", &tag, image);
        stage.mirror.manifest("acme/app", &tag).await.serves(image);
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
        // The first stays in use.
        stage.mirror.blob("acme/app", images[0].layer(0)).await.carries(&images[0].blobs[1]);
    }
    let newest = stage.mirror.stored(&images[5].layer(0));
    eventually("the newest is published", || async { newest.exists() }).await;
    let blobs = stage.mirror.data().join("blobs-v1");
    eventually("the cache is below its bound", || async { size(&blobs) <= 4 << 20 }).await;
    assert!(stage.mirror.stored(&images[0].layer(0)).exists(), "in use");
    assert!(newest.exists(), "the newest");
    assert!(!stage.mirror.stored(&images[1].layer(0)).exists(), "the oldest unused");

    for (number, image) in images.iter().enumerate() {
        stage.mirror.manifest("acme/app", format!("v{number}")).await.serves(image);
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    }
}

#[tokio::test]
async fn a_blob_that_is_being_read_is_read_to_its_end() {
    let stage = Stage::with(|setup| setup.cache("max_size = \"4MiB\"")).await;
    let read = Image::with_layers("being read", vec![image::noise("being read", 3 << 20)]);
    stage.push_signed("acme/app", "read", &read);
    stage.mirror.manifest("acme/app", "read").await.serves(&read);
    stage.mirror.blob("acme/app", read.layer(0)).await.carries(&read.blobs[1]);
    let target = format!("/v2/acme/app/blobs/{}", read.layer(0));
    let mut reader = stage.mirror.open(Ask::get(target)).await;
    let mut body = reader.read(1_000).await;
    for number in 0..4 {
        let seed = format!("pushing out {number}");
        let image = Image::with_layers(&seed, vec![image::noise(&seed, 1 << 20)]);
        stage.push_signed("acme/app", "v1", &image);
        stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    }
    let rest = reader.finish().await;
    body.extend_from_slice(&rest.body);
    assert!(rest.whole && body == read.blobs[1]);
}

#[tokio::test]
async fn decisions_outlive_the_blobs() {
    let stage = Stage::with(|setup| setup.cache("max_size = \"2MiB\"")).await;
    let first = Image::with_layers("first", vec![image::noise("first", 1 << 20)]);
    stage.push_signed("acme/app", "first", &first);
    stage.mirror.manifest("acme/app", "first").await.serves(&first);
    stage.mirror.blob("acme/app", first.layer(0)).await.carries(&first.blobs[1]);
    for number in 0..3 {
        let seed = format!("filler {number}");
        let image = Image::with_layers(&seed, vec![image::noise(&seed, 1 << 20)]);
        stage.push_signed("acme/app", "v1", &image);
        stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    }
    eventually("the first blob is evicted", || async {
        !stage.mirror.stored(&first.layer(0)).exists()
    })
    .await;
    stage.upstream.forget();
    stage.mirror.blob("acme/app", first.layer(0)).await.carries(&first.blobs[1]);
    assert_eq!(stage.upstream.count("*.sig"), 0, "nothing is judged again for a blob");
}
