//! Parts of blobs (RFC 9110, section 14): one range is answered, several get the whole.

use crate::support::*;

/// A stage and a cached blob of 1000 bytes.
async fn scene() -> (Stage, Bytes, String) {
    let stage = Stage::new().await;
    let image = Image::with_layers("ranges", vec![image::noise("ranges", 1_000)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let target = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.mirror.get(&target).await.carries(&image.blobs[1]);
    (stage, image.blobs[1].clone(), target)
}

#[tokio::test]
async fn one_range_is_answered_with_exactly_its_bytes() {
    let (stage, blob, target) = scene().await;
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=500-", 500, 1_000),
        ("bytes=-1", 999, 1_000),
        ("bytes=-300", 700, 1_000),
        ("bytes=-5000", 0, 1_000),
        ("bytes=900-5000", 900, 1_000),
        ("bytes=999-999", 999, 1_000),
        ("Bytes=0-9", 0, 10),
        ("bytes=0-18446744073709551615", 0, 1_000),
    ] {
        let answer = stage.mirror.send(Ask::get(&target).header("range", range)).await;
        assert_eq!(answer.status, 206, "{range}: {answer:?}");
        assert_eq!(answer.body, blob.slice(from..to), "{range}");
        let shown = format!("bytes {from}-{}/1000", to - 1);
        assert_eq!(answer.header("content-range"), Some(&*shown), "{range}");
        assert_eq!(answer.header("content-length"), Some(&*(to - from).to_string()), "{range}");
    }
}

#[tokio::test]
async fn a_range_outside_is_416_and_says_the_size() {
    let (stage, _, target) = scene().await;
    for range in ["bytes=1000-", "bytes=1000-1001", "bytes=5000-6000", "bytes=-0"] {
        let answer = stage.mirror.send(Ask::get(&target).header("range", range)).await;
        assert_eq!(answer.status, 416, "{range}: {answer:?}");
        assert_eq!(answer.header("content-range"), Some("bytes */1000"), "{range}");
        assert_eq!(answer.error().code, "RANGE_INVALID");
    }
}

#[tokio::test]
async fn what_is_no_single_range_gets_the_whole() {
    let (stage, blob, target) = scene().await;
    for range in [
        "bytes=0-9,20-29",
        "bytes=0-9, 20-29",
        "items=0-9",
        "bytes=9-0",
        "bytes=a-b",
        "bytes=",
        "bytes",
        "bytes=--1",
        "bytes=0x0-0x9",
        "bytes=99999999999999999999-",
    ] {
        let answer = stage.mirror.send(Ask::get(&target).header("range", range)).await;
        // A start beyond every number is beyond this blob, too.
        if answer.status != 416 {
            answer.carries(&blob);
        }
    }
}

#[tokio::test]
async fn if_range_continues_the_same_content_only() {
    let (stage, blob, target) = scene().await;
    let digest = target.rsplit('/').next().expect("it ends in a digest").to_owned();
    let ask = |tag: String| Ask::get(&target).header("range", "bytes=500-").header("if-range", tag);
    let same = stage.mirror.send(ask(format!("\"{digest}\""))).await;
    assert_eq!(same.status, 206);
    assert_eq!(same.body, blob.slice(500..));
    for other in [
        "\"sha256:other\"".to_owned(),
        format!("W/\"{digest}\""),
        "Tue, 24 Nov 2026 00:00:00 GMT".to_owned(),
    ] {
        stage.mirror.send(ask(other)).await.carries(&blob);
    }
}

#[tokio::test]
async fn head_ignores_ranges_and_names_the_unit() {
    let (stage, _, target) = scene().await;
    let answer = stage.mirror.send(Ask::head(&target).header("range", "bytes=0-9")).await;
    assert!([200, 206].contains(&answer.status.as_u16()));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
}
