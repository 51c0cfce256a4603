//! G-35: a policy that changes judges again what was cached, at once.

use std::fs;

use crate::support::*;

const OTHER: &str = r#"
[authority.other]
key = "other.pub"
[[rule]]
match = "registry.test/**"
require = "other"
"#;

/// A stage whose folder also holds `other.pub`.
async fn scene() -> (Stage, Key) {
    let other = Key::p256();
    let stage = Stage::with(|setup| setup.key("other.pub", &other)).await;
    (stage, other)
}

/// Pulls `image` and its first layer, so that both are cached.
async fn cache(stage: &Stage, image: &Image) {
    stage.mirror.manifest("acme/app", "v1").await.serves(image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn g35_a_key_that_was_taken_out_stops_its_cached_images_by_every_door() {
    let (stage, _) = scene().await;
    let image = Image::oci("revoked");
    stage.push_signed("acme/app", "v1", &image);
    cache(&stage, &image).await;

    stage.mirror.adopt(OTHER).await;
    stage.mirror.manifest("acme/app", "v1").await.denied();
    stage.mirror.manifest("acme/app", image.digest).await.denied();
    stage.mirror.blob("acme/app", image.layer(0)).await.denied();
    stage.mirror.blob("acme/app", image.config()).await.denied();
    let part = Ask::get(format!("/v2/acme/app/blobs/{}", image.layer(0)));
    assert_eq!(stage.mirror.send(part.header("range", "bytes=0-1")).await.status, 403);
    let head = stage.mirror.head(format!("/v2/acme/app/manifests/{}", image.digest)).await;
    assert_eq!(head.status, 403);
    let etag = format!("\"{}\"", image.digest);
    let ask = Ask::get("/v2/acme/app/manifests/v1").header("if-none-match", etag);
    assert_eq!(stage.mirror.send(ask).await.status, 403);
}

#[tokio::test]
async fn g35_a_cached_image_is_served_again_when_its_key_is_back() {
    let (stage, _) = scene().await;
    let image = Image::oci("back again");
    stage.push_signed("acme/app", "v1", &image);
    cache(&stage, &image).await;
    stage.mirror.adopt(OTHER).await;
    stage.mirror.manifest("acme/app", "v1").await.denied();
    stage.mirror.adopt(stage::POLICY).await;
    cache(&stage, &image).await;
}

#[tokio::test]
async fn g35_a_changed_key_file_is_noticed_without_a_signal() {
    let (stage, other) = scene().await;
    let image = Image::oci("rotated");
    stage.push_signed("acme/app", "v1", &image);
    cache(&stage, &image).await;

    stage.mirror.replace("release.pub", other.public_pem());
    eventually("the old key no longer counts", || async {
        stage.mirror.manifest("acme/app", image.digest).await.status == 403
    })
    .await;
}

#[tokio::test]
async fn g35_a_changed_policy_file_is_noticed_without_a_signal() {
    let (stage, _) = scene().await;
    let image = Image::oci("file watched");
    stage.push_signed("acme/app", "v1", &image);
    cache(&stage, &image).await;
    let started = tokio::time::Instant::now();
    stage.mirror.replace("policy.toml", format!("version = 1\n{OTHER}"));
    eventually("the new policy is in force", || async {
        stage.mirror.manifest("acme/app", image.digest).await.status == 403
    })
    .await;
    assert!(started.elapsed().as_secs() < 5, "within two seconds, and the machine's own delay");
}

#[tokio::test]
async fn g35_a_digest_that_was_denied_stops_at_once() {
    let (stage, _) = scene().await;
    let (bad, good) = (Image::oci("denied later"), Image::oci("unharmed"));
    stage.push_signed("acme/app", "v1", &bad);
    stage.push_signed("acme/app", "v2", &good);
    cache(&stage, &bad).await;
    stage.mirror.manifest("acme/app", "v2").await.serves(&good);

    let deny = format!("[[deny]]\ndigest = \"{}\"\nreason = \"CVE-2026-0001\"", bad.digest);
    stage.mirror.adopt(&format!("{}\n{deny}", stage::POLICY)).await;
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "deny_list");
    stage.mirror.blob("acme/app", bad.layer(0)).await.denied();
    stage.mirror.manifest("acme/app", "v2").await.serves(&good);
}

#[tokio::test]
async fn g35_children_of_an_index_fall_with_it() {
    let (stage, _) = scene().await;
    let index = Image::index(vec![Image::oci("child")]);
    let child = &index.children[0];
    stage.push_signed("acme/app", "v1", &index);
    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(child);
    stage.mirror.blob("acme/app", child.layer(0)).await.carries(&child.blobs[1]);

    stage.mirror.adopt(OTHER).await;
    stage.mirror.manifest("acme/app", child.digest).await.denied();
    stage.mirror.blob("acme/app", child.layer(0)).await.denied();
    stage.mirror.manifest("acme/app", "v1").await.denied();
}

#[tokio::test]
async fn g35_a_policy_changed_while_the_mirror_was_down_counts_from_the_start() {
    let (mut stage, _) = scene().await;
    let image = Image::oci("changed while down");
    stage.push_signed("acme/app", "v1", &image);
    cache(&stage, &image).await;
    stage.mirror.stop().await;
    stage.mirror.replace("policy.toml", format!("version = 1\n{OTHER}"));
    stage.mirror.start_again().await;
    stage.mirror.blob("acme/app", image.layer(0)).await.denied();
    stage.mirror.manifest("acme/app", image.digest).await.denied();
}

#[tokio::test]
async fn g50_a_bad_policy_keeps_the_last_good_one_and_raises_an_alarm() {
    let (stage, _) = scene().await;
    let (signed, unsigned) = (Image::oci("still signed"), Image::oci("still not"));
    stage.push_signed("acme/app", "v1", &signed);
    stage.upstream.push("acme/app", "bad", &unsigned);
    cache(&stage, &signed).await;
    for broken in [
        "this is not TOML",
        "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"nobody\"",
        "[[rule]]\nmatch = \"registry.test/**\"\nrequire = { any = [] }",
        "[[rule]]\nmatch = \"**\"\nrequires = \"insecure-accept-anything\"",
        "[authority.release]\nkey = \"gone.pub\"",
    ] {
        stage.mirror.adopt(broken).await;
        stage.mirror.manifest("acme/app", "v1").await.serves(&signed);
        stage.mirror.manifest("acme/app", "bad").await.denied();
        let ready = stage.mirror.admin("/readyz").await;
        let body = String::from_utf8_lossy(&ready.body).into_owned();
        assert!(body.contains("policy"), "{broken}: {body}");
    }
    let log = stage.mirror.log();
    assert!(log.contains("nobody") && log.contains("gone.pub"), "every problem is told:\n{log}");

    fs::remove_file(stage.mirror.folder().join("policy.toml")).expect("it was there");
    stage.mirror.reload().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&signed);
    stage.mirror.manifest("acme/app", "bad").await.denied();

    stage.mirror.adopt(OTHER).await;
    stage.mirror.manifest("acme/app", "v1").await.denied();
}

#[tokio::test]
async fn a_mode_that_changes_applies_to_what_was_judged_before() {
    let (stage, _) = scene().await;
    let image = Image::oci("first warned, then enforced");
    stage.upstream.push("acme/app", "v1", &image);
    let warn = format!("{}mode = \"warn\"", stage::POLICY.trim_end().to_owned() + "\n");
    stage.mirror.adopt(&warn).await;
    cache(&stage, &image).await;
    stage.mirror.adopt(stage::POLICY).await;
    stage.mirror.manifest("acme/app", "v1").await.denied();
    stage.mirror.blob("acme/app", image.layer(0)).await.denied();
}

#[tokio::test]
async fn g35_what_a_window_admitted_ends_with_the_window() {
    let (signed, excepted) = (Image::oci("until the key ends"), Image::oci("until it is over"));
    let policy = format!(
        r#"
[authority.release]
keys = [{{ file = "release.pub", until = "{end}" }}, {{ file = "other.pub" }}]
[[rule]]
match = "registry.test/**"
require = "release"
[[exception]]
match = "registry.test/acme/legacy"
digest = "{digest}"
until = "{end}"
reason = "ticket 4711"
"#,
        end = in_seconds(3),
        digest = excepted.digest,
    );
    let stage = Stage::with(|setup| setup.policy(&policy).key("other.pub", &Key::p256())).await;
    stage.push_signed("acme/app", "v1", &signed);
    stage.upstream.push("acme/legacy", "v1", &excepted);
    cache(&stage, &signed).await;
    stage.mirror.manifest("acme/legacy", "v1").await.serves(&excepted);
    stage.mirror.blob("acme/legacy", excepted.layer(0)).await.carries(&excepted.blobs[1]);

    eventually("both have ended", || async {
        let signed = stage.mirror.manifest("acme/app", "v1").await;
        let excepted = stage.mirror.manifest("acme/legacy", "v1").await;
        signed.status == 403 && excepted.status == 403
    })
    .await;
    stage.mirror.blob("acme/app", signed.layer(0)).await.denied();
    stage.mirror.blob("acme/legacy", excepted.layer(0)).await.denied();
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert_eq!(stage.mirror.reason_of(&answer), "time_outside_validity");
}

#[tokio::test]
async fn g35_what_a_window_admitted_ends_over_a_restart_too() {
    let policy = format!(
        r#"
[authority.release]
keys = [{{ file = "release.pub", until = "{}" }}, {{ file = "other.pub" }}]
[[rule]]
match = "registry.test/**"
require = "release"
"#,
        in_seconds(2)
    );
    let mut stage = Stage::with(|setup| setup.policy(&policy).key("other.pub", &Key::p256())).await;
    let image = Image::oci("ended while down");
    stage.push_signed("acme/app", "v1", &image);
    cache(&stage, &image).await;
    stage.mirror.stop().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    stage.mirror.start_again().await;
    stage.mirror.blob("acme/app", image.layer(0)).await.denied();
    stage.mirror.manifest("acme/app", image.digest).await.denied();
}
