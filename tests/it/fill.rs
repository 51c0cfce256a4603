//! One upstream fetch for any number of clients, each at its own pace, outliving all of them.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::*;

/// A signed image with one layer of `length` bytes, its manifest already served.
async fn scene(length: usize) -> (Stage, Image, String) {
    let stage = Stage::new().await;
    let image = Image::with_layers("filled", vec![image::noise("layer", length)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    (stage, image, path)
}

#[tokio::test]
async fn a_hundred_clients_of_a_cold_blob_cost_one_upstream_request() {
    let (stage, image, path) = scene(1 << 20).await;
    let gate = Gate::closed();
    stage.upstream.always(&path, Fault::Hold { after: 100_000, gate: gate.clone() });
    let pulls = join_all((0..100).map(|_| stage.mirror.get(&path)));
    let open = async {
        eventually("the fill has begun", || async { stage.upstream.count(&path) > 0 }).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(pulls, open);
    for answer in answers {
        answer.carries(&image.blobs[1]);
    }
    assert_eq!(stage.upstream.count(&path), 1);
}

#[tokio::test]
async fn followers_get_what_is_there_before_the_fill_has_ended() {
    let (stage, image, path) = scene(1 << 20).await;
    let gate = Gate::closed();
    stage.upstream.always(&path, Fault::Hold { after: 600_000, gate: gate.clone() });
    let mut first = stage.mirror.open(Ask::get(&path)).await;
    let mut second = stage.mirror.open(Ask::get(&path)).await;
    for follower in [&mut first, &mut second] {
        let start = tokio::time::timeout(Duration::from_secs(10), follower.read(500_000)).await;
        let start = start.expect("bytes flow while the upstream pauses");
        assert!(image.blobs[1].starts_with(&start));
    }
    gate.open();
    let rest = first.finish().await;
    assert!(rest.whole && image.blobs[1].ends_with(&rest.body));
}

#[tokio::test]
async fn a_slow_follower_slows_nobody() {
    let (stage, image, path) = scene(8 << 20).await;
    // It reads nothing but the headers while the others finish.
    let slow = stage.mirror.open(Ask::get(&path)).await;
    let quick = tokio::time::timeout(Duration::from_secs(30), stage.mirror.get(&path)).await;
    quick.expect("one slow client stops nobody").carries(&image.blobs[1]);
    assert_eq!(stage.upstream.count(&path), 1);
    slow.finish().await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn a_fill_survives_the_client_that_started_it() {
    let (stage, image, path) = scene(1 << 20).await;
    let gate = Gate::closed();
    stage.upstream.always(&path, Fault::Hold { after: 500_000, gate: gate.clone() });
    let mut client = stage.mirror.open(Ask::get(&path)).await;
    client.read(100_000).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open();
    let file = stage.mirror.stored(&image.layer(0));
    eventually("the blob is published without any client", || async { file.exists() }).await;
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
    assert_eq!(stage.upstream.count(&path), 1);
}

#[tokio::test]
async fn one_client_that_gives_up_takes_no_other_along() {
    let (stage, image, path) = scene(1 << 20).await;
    let gate = Gate::closed();
    stage.upstream.always(&path, Fault::Hold { after: 500_000, gate: gate.clone() });
    let leader = stage.mirror.open(Ask::get(&path)).await;
    let follower = stage.mirror.open(Ask::get(&path)).await;
    drop(leader);
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open();
    follower.finish().await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn ranges_are_answered_while_the_blob_fills() {
    let (stage, image, path) = scene(1 << 20).await;
    let gate = Gate::closed();
    stage.upstream.always(&path, Fault::Hold { after: 600_000, gate: gate.clone() });
    let range = |text: &str| Ask::get(&path).header("range", format!("bytes={text}"));
    let mut early = stage.mirror.open(range("1000-100999")).await;
    assert_eq!(early.status, 206);
    assert_eq!(early.headers["content-range"], "bytes 1000-100999/1048576");
    let mut start = tokio::time::timeout(Duration::from_secs(10), early.read(50_000)).await;
    let start = start.as_mut().expect("bytes flow while the upstream pauses");
    let late = tokio::spawn(range("900000-900009").open(stage.mirror.address()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open();

    // The end of a part waits for the proof of the whole.
    let rest = early.finish().await;
    start.extend_from_slice(&rest.body);
    assert!(rest.whole && *start == image.blobs[1].slice(1_000..101_000));
    let late = late.await.expect("nothing panics in it").finish().await;
    assert_eq!(late.status, 206, "{late:?}");
    assert_eq!(late.body, image.blobs[1].slice(900_000..900_010));
    assert_eq!(stage.upstream.count(&path), 1, "ranges share the fill");
}

#[tokio::test]
async fn a_body_that_breaks_is_resumed_where_it_broke() {
    let (stage, image, path) = scene(1 << 20).await;
    stage.upstream.times(1, &path, Fault::Truncate(400_000));
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
    let requests = stage.upstream.requests(&path);
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("range"), None);
    let range = requests[1].header("range").expect("the rest is asked for");
    let start: usize = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-'))
        .and_then(|start| start.parse().ok())
        .expect("an open range");
    assert!((1..=400_000).contains(&start), "{range}");
    assert!(requests[1].header("if-range").is_some(), "only the same content continues");
}

#[tokio::test]
async fn an_upstream_that_ignores_ranges_is_read_from_the_start_again() {
    let (stage, image, path) = scene(1 << 20).await;
    let whole = Fault::Answer {
        status: 200,
        headers: vec![("content-type", "application/octet-stream".to_owned())],
        body: image.blobs[1].clone(),
    };
    stage.upstream.always(&path, whole);
    stage.upstream.times(1, &path, Fault::Truncate(400_000));
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn a_resume_with_other_bytes_breaks_the_transfer() {
    let (stage, image, path) = scene(1 << 20).await;
    let evil = image::noise("evil", 1 << 20);
    let other = Fault::Answer {
        status: 206,
        headers: vec![("content-range", "bytes 400000-1048575/1048576".to_owned())],
        body: evil.slice(400_000..),
    };
    stage.upstream.always(&path, other);
    stage.upstream.times(1, &path, Fault::Truncate(400_000));
    let answer = stage.mirror.get(&path).await;
    assert!(!answer.whole || answer.status == 502, "{:?}", answer.status);
    assert!(answer.body.len() < image.blobs[1].len());
    stage.upstream.behave();
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn an_upstream_cut_at_every_stage_never_ends_a_body_early() {
    let (stage, image, path) = scene(300_000).await;
    // Each try gets so little further that the tries end before the blob does.
    for stop in [0, 1, 1_000] {
        stage.upstream.behave();
        stage.upstream.always(&path, Fault::Truncate(stop));
        let answer = stage.mirror.get(&path).await;
        let refused = answer.status == 503 || answer.status == 502 || !answer.whole;
        assert!(refused, "cut after {stop}: {} bytes as if whole", answer.body.len());
        if answer.status == 200 {
            assert!(image.blobs[1].starts_with(&answer.body), "only true bytes before the break");
        }
    }
    stage.upstream.behave();
    eventually("the whole blob at last", || async {
        let answer = stage.mirror.get(&path).await;
        answer.status == 200 && answer.whole && answer.body == image.blobs[1]
    })
    .await;
}

#[tokio::test]
async fn head_of_a_cold_blob_tells_its_size() {
    let (stage, image, path) = scene(300_000).await;
    let head = stage.mirror.head(&path).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("300000"));
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn one_blob_in_two_repositories_is_kept_once() {
    let (stage, image, path) = scene(300_000).await;
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
    stage.push_signed("acme/other", "v1", &image);
    stage.mirror.manifest("acme/other", "v1").await.serves(&image);
    stage.mirror.blob("acme/other", image.layer(0)).await.carries(&image.blobs[1]);
    let there = path.replace("acme/app", "acme/other");
    assert_eq!(stage.upstream.count(&there), 0, "it is here already");
}

#[tokio::test]
async fn what_another_repository_lacks_is_asked_for_in_ones_own() {
    for status in [404, 403] {
        let (stage, image, path) = scene(300_000).await;
        stage.push_signed("acme/other", "v1", &image);
        stage.mirror.manifest("acme/other", "v1").await.serves(&image);
        let there = path.replace("acme/app", "acme/other");
        let gate = Gate::closed();
        stage.upstream.always(&there, Fault::Late { gate: gate.clone(), status });
        let second = async {
            eventually("the fill has begun", || async { stage.upstream.count(&there) > 0 }).await;
            let open = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                gate.open();
            };
            tokio::join!(stage.mirror.get(&path), open).0
        };
        let (first, second) = tokio::join!(stage.mirror.get(&there), second);
        assert_eq!(first.status, status);
        second.carries(&image.blobs[1]);
        assert_eq!(stage.upstream.count(&path), 1);
    }
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let stage = Stage::new().await;
    let image = Image::with_layers("empty layer", vec![Bytes::new()]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for _ in 0..2 {
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&Bytes::new());
    }
}

#[tokio::test]
async fn clients_that_go_away_in_the_middle_harm_nobody() {
    let (stage, image, path) = scene(6 << 20).await;
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
    let pulls = (0..40_usize).map(|number| {
        let (stage, path, blob) = (&stage, &path, &image.blobs[1]);
        async move {
            let mut client = stage.mirror.open(Ask::get(path)).await;
            if number % 2 == 0 {
                client.read(number * 50_000).await;
                return;
            }
            let answer = client.finish().await;
            assert!(answer.whole && answer.body == *blob, "client {number}");
        }
    });
    join_all(pulls).await;
    stage.mirror.get(&path).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn an_image_is_fetched_ahead_where_that_is_wanted() {
    let stage = Stage::with(|setup| setup.cache("prefetch = true")).await;
    let layers = vec![image::noise("first", 300_000), image::noise("second", 1_000)];
    let ahead = Image::with_layers("ahead", layers);
    stage.push_signed("acme/app", "v1", &ahead);
    let unsigned = Image::oci("unsigned");
    stage.upstream.push("acme/app", "unsigned", &unsigned);

    stage.mirror.manifest("acme/app", "v1").await.serves(&ahead);
    stage.mirror.manifest("acme/app", "unsigned").await.denied();
    eventually("everything has been fetched", || async {
        stage.mirror.metric("portcullis_fills_finished_total", "published").await >= 3.0
    })
    .await;
    for blob in &ahead.blobs {
        let path = format!("/v2/acme/app/blobs/{}", Digest::of(blob));
        stage.mirror.get(&path).await.carries(blob);
        assert_eq!(stage.upstream.count(&path), 1);
    }
    for blob in &unsigned.blobs {
        let path = format!("/v2/acme/app/blobs/{}", Digest::of(blob));
        assert_eq!(stage.upstream.count(&path), 0, "what is refused is not fetched");
    }
}

#[tokio::test]
async fn downloads_of_one_upstream_take_turns() {
    let stage = Stage::with(|setup| setup.cache("fills_per_upstream = 1")).await;
    let layers = vec![image::noise("slow", 300_000), image::noise("other", 300_000)];
    let image = Image::with_layers("turns", layers);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let [slow, other] = [0, 1].map(|layer| format!("/v2/acme/app/blobs/{}", image.layer(layer)));
    let gate = Gate::closed();
    stage.upstream.always(&slow, Fault::Hold { after: 100_000, gate: gate.clone() });
    let first = stage.mirror.open(Ask::get(&slow)).await;
    let second = stage.mirror.get(&other);
    let turns = async {
        let waiting = || async { stage.mirror.metric("portcullis_fills_waiting", "").await > 0.0 };
        eventually("the second waits", waiting).await;
        assert_eq!(stage.upstream.count(&other), 0);
        gate.open();
    };
    let (second, ()) = tokio::join!(second, turns);
    second.carries(&image.blobs[2]);
    assert!(first.finish().await.whole);
}
