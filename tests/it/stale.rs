//! The upstream is down: what was admitted still pulls, and nothing else does.

use std::time::Duration;

use crate::support::*;

#[tokio::test]
async fn cached_signed_images_are_served_while_the_upstream_is_down() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"100ms\"")).await;
    let image = Image::oci("kept");
    let index = Image::index(vec![Image::oci("kept child")]);
    stage.push_signed("acme/app", "v1", &image);
    stage.push_signed("acme/app", "index", &index);
    let child = &index.children[0];
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.manifest("acme/app", "index").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(child);
    for blob in image.blobs.iter().chain(&child.blobs) {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
    }

    let signature = signing::signature_tag(&image.digest);
    assert_eq!(stage.mirror.manifest("acme/app", &signature).await.status, 200);

    stage.upstream.go_down().await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
    stage.mirror.manifest("acme/app", "index").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(child);
    for blob in image.blobs.iter().chain(&child.blobs) {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
    }
    let signature = stage.mirror.manifest("acme/app", &signature).await;
    assert_eq!(signature.status, 200, "clients that verify need the signatures too");
}

#[tokio::test]
async fn the_same_holds_after_a_restart() {
    let mut stage = Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"")).await;
    let image = Image::oci("kept over a restart");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    stage.upstream.go_down().await;
    stage.mirror.stop().await;
    stage.mirror.start_again().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn unsigned_and_unknown_images_are_not_served_because_the_upstream_is_down() {
    let stage =
        Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"\ndenied_fresh = \"1ms\"")).await;
    let (unsigned, unknown) = (Image::oci("unsigned"), Image::oci("never pulled"));
    stage.upstream.push("acme/app", "bad", &unsigned);
    stage.push_signed("acme/app", "unknown", &unknown);
    stage.mirror.manifest("acme/app", "bad").await.denied();

    stage.upstream.go_down().await;
    for reference in ["bad".to_owned(), unsigned.digest.to_string()] {
        let answer = stage.mirror.manifest("acme/app", reference).await;
        assert!([403, 503].contains(&answer.status.as_u16()), "{answer:?}");
    }
    let blob = stage.mirror.blob("acme/app", unsigned.layer(0)).await;
    assert!([403, 404, 503].contains(&blob.status.as_u16()), "{blob:?}");
    for reference in ["unknown".to_owned(), unknown.digest.to_string()] {
        stage.mirror.manifest("acme/app", reference).await.unavailable();
    }
}

#[tokio::test]
async fn a_stale_tag_whose_image_lost_its_key_is_not_served() {
    let other = Key::p256();
    let stage =
        Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"").key("other.pub", &other)).await;
    let image = Image::oci("stale and revoked");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.upstream.go_down().await;
    let policy = stage::POLICY.replace("release.pub", "other.pub");
    stage.mirror.adopt(&policy).await;
    for reference in ["v1".to_owned(), image.digest.to_string()] {
        let answer = stage.mirror.manifest("acme/app", reference).await;
        assert!([403, 503].contains(&answer.status.as_u16()), "{answer:?}");
    }
}

#[tokio::test]
async fn every_way_of_failing_serves_the_stale_tag() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"")).await;
    let image = Image::oci("stale if error");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for fault in
        [Fault::status(500), Fault::status(503), Fault::status(429), Fault::Cut, Fault::html()]
    {
        let what = format!("{fault:?}");
        stage.upstream.behave();
        stage.upstream.always("*", fault);
        let answer = stage.mirror.manifest("acme/app", "v1").await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        answer.serves(&image);
    }
}

#[tokio::test]
async fn a_tag_that_the_upstream_deleted_is_gone() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"")).await;
    let image = Image::oci("deleted upstream");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.upstream.remove_tag("acme/app", "v1");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert_eq!((answer.status.as_u16(), &*answer.error().code), (404, "MANIFEST_UNKNOWN"));
    stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
}

#[tokio::test]
async fn a_known_outage_fails_fast_and_ends_by_itself() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"")).await;
    let (kept, late) = (Image::oci("kept"), Image::oci("late"));
    stage.push_signed("acme/app", "v1", &kept);
    stage.push_signed("acme/app", "late", &late);
    stage.mirror.manifest("acme/app", "v1").await.serves(&kept);
    stage.upstream.go_down().await;
    // A few failures teach the breaker.
    for _ in 0..10 {
        stage.mirror.manifest("acme/app", "late").await.unavailable();
    }
    let started = tokio::time::Instant::now();
    stage.mirror.manifest("acme/app", "late").await.unavailable();
    stage.mirror.manifest("acme/app", "v1").await.serves(&kept);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());

    stage.upstream.come_back().await;
    // The breaker lets a request through after its pause, which is longer than other patience.
    for _ in 0..3 {
        let answer = stage.mirror.manifest("acme/app", "late").await;
        if answer.status == 200 {
            break;
        }
        let retry = answer.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or(1);
        tokio::time::sleep(Duration::from_secs(retry)).await;
    }
    stage.mirror.manifest("acme/app", "late").await.serves(&late);
}

#[tokio::test]
async fn tags_known_here_are_listed_while_the_upstream_is_down() {
    let stage = Stage::new().await;
    let image = Image::oci("listed offline");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.upstream.go_down().await;
    let answer = stage.mirror.get("/v2/acme/app/tags/list").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let list: Value = serde_json::from_slice(&answer.body).expect("tags are JSON");
    let tags = list["tags"].as_array().expect("a list");
    assert!(tags.contains(&json!("v1")), "{list}");
}
