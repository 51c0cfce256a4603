//! What pipelines do: ask a mirror before they build, name their job, and have the cache rechecked.

use std::process::Output;

use portcullis::oci::{Tag, reference::CosignSuffix};

use crate::support::*;

/// Runs `portcullis` with `words` in the folder of `mirror`, off this runtime's threads.
async fn run(mirror: &Mirror, words: &[&str]) -> Output {
    let mut command = mirror::program();
    command.current_dir(mirror.folder()).args(words);
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("nothing panics in it")
        .expect("the program was built")
}

#[track_caller]
fn exits(output: &Output, code: i32) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}\n{notes}");
    format!("{told}{notes}")
}

/// A stage with a signed and an unsigned image.
async fn scene() -> (Stage, Image) {
    let stage = Stage::new().await;
    let (signed, unsigned) = (Image::oci("signed"), Image::oci("unsigned"));
    stage.push_signed("acme/app", "v1", &signed);
    stage.upstream.push("acme/raw", "v1", &unsigned);
    (stage, signed)
}

#[tokio::test]
async fn verify_through_a_mirror_gives_the_mirrors_own_answer() {
    let (stage, signed) = scene().await;
    let server = format!("http://{}", stage.mirror.address());
    write(
        &stage.mirror.folder().join("Dockerfile"),
        "FROM registry.test/acme/app:v1 AS a\nFROM registry.test/acme/raw:v1\n",
    );
    let through =
        ["verify", "--server", &server, "--job", "acme/app#7", "--json", "-f", "Dockerfile"];
    let output = run(&stage.mirror, &through).await;
    exits(&output, 1);
    let told: Value = serde_json::from_slice(&output.stdout).expect("stdout is JSON alone");
    let here = ["verify", "--config", "portcullis.toml", "--json", "-f", "Dockerfile"];
    let here = run(&stage.mirror, &here).await;
    let here: Value = serde_json::from_slice(&here.stdout).expect("stdout is JSON alone");
    for number in 0..2 {
        for member in ["outcome", "reason", "digest", "rule", "policy", "tree", "places"] {
            assert_eq!(told["images"][number][member], here["images"][number][member], "{member}");
        }
    }
    assert_eq!(told["images"][0]["digest"], signed.digest.to_string());
    let jobs = stage.mirror.records().into_iter().filter(|it| it["client"]["job"] == "acme/app#7");
    assert_eq!(jobs.count(), 2, "both decisions name the job");
}

#[tokio::test]
async fn verify_believes_no_registry_that_is_not_a_portcullis() {
    let (stage, _) = scene().await;
    let registry = stage.upstream.url();
    let output = run(&stage.mirror, &["verify", "--server", &registry, "acme/app:v1"]).await;
    assert!(exits(&output, 2).contains("is not a Portcullis"));
    stage.upstream.go_down().await;
    let output = run(&stage.mirror, &["verify", "--server", &registry, "acme/app:v1"]).await;
    exits(&output, 3);
    let server = format!("http://{}", stage.mirror.address());
    let unknown = run(&stage.mirror, &["verify", "--server", &server, "quay.io/a/b:1"]).await;
    assert!(exits(&unknown, 1).contains("quay.io"));
}

#[tokio::test]
async fn a_pin_is_written_where_the_tag_was() {
    let (stage, signed) = scene().await;
    let file = stage.mirror.folder().join("compose.yaml");
    let text = "services: # all\n  app: {image: \"registry.test/acme/app:v1\"} # keep\n";
    write(&file, text);
    let server = format!("http://{}", stage.mirror.address());
    let pin = ["verify", "--server", &server, "-f", "compose.yaml", "--pin"];
    exits(&run(&stage.mirror, &[&pin[..], &["--check"]].concat()).await, 1);
    exits(&run(&stage.mirror, &pin).await, 0);
    let pinned = text.replace("app:v1", &format!("app:v1@{}", signed.digest));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), pinned);
    exits(&run(&stage.mirror, &[&pin[..], &["--check"]].concat()).await, 0);
}

#[tokio::test]
async fn the_records_say_which_job_pulled_a_digest() {
    let (stage, signed) = scene().await;
    let ask = Ask::get("/v2/acme/app/manifests/v1").header("x-portcullis-job", "another 7");
    stage.mirror.send(ask).await;
    let ask = Ask::get("/v2/acme/app/manifests/v1").header("x-portcullis-job", "nightly 7");
    stage.mirror.send(ask).await.serves(&signed);
    let digest = signed.digest.to_string();
    let query = ["audit", "query", "--digest", &digest, "--job", "nightly 7", "--json"];
    eventually("the pull is recorded", || async {
        let output = run(&stage.mirror, &query).await;
        let told: Value = serde_json::from_slice(&output.stdout).expect("stdout is JSON alone");
        told["rows"][0]["pulls"] == 1
    })
    .await;
    let report = run(&stage.mirror, &["audit", "report", "--output", "html"]).await;
    assert!(exits(&report, 0).contains("nightly 7"));
}

#[tokio::test]
async fn g35_a_recheck_stops_what_lost_its_signature_and_names_who_pulled_it() {
    let (mut stage, signed) = scene().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&signed);
    let admin = format!("http://{}", stage.mirror.admin_address());
    let recheck = ["recheck", "--all", "--server", &admin];
    assert!(exits(&run(&stage.mirror, &recheck).await, 0).contains("1 rechecked: 1 admitted"));
    let locked = run(&stage.mirror, &["recheck", "--all"]).await;
    assert!(exits(&locked, 1).contains("--server"));

    let signature = Tag::cosign(&signed.digest, CosignSuffix::Signatures);
    stage.upstream.remove_tag("acme/app", signature.as_str());
    stage.mirror.manifest("acme/app", "v1").await.serves(&signed);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let told = exits(&run(&stage.mirror, &recheck).await, 1);
    assert!(told.contains("was admitted (admitted), is denied (no_signature)"), "{told}");
    assert!(told.contains("pulled 2 times by 127.0.0.1"), "{told}");
    stage.mirror.manifest("acme/app", signed.digest).await.denied();
    stage.mirror.blob("acme/app", signed.layer(0)).await.denied();

    stage.mirror.stop().await;
    stage.mirror.start_again().await;
    stage.mirror.manifest("acme/app", signed.digest).await.denied();
}

#[tokio::test]
async fn a_recheck_that_cannot_look_leaves_things_as_they_are() {
    let (mut stage, signed) = scene().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&signed);
    stage.mirror.stop().await;
    stage.upstream.go_down().await;
    let recheck = ["recheck", "registry.test/acme/*", "--json"];
    let output = run(&stage.mirror, &recheck).await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("stdout is JSON alone");
    assert_eq!(told["denied"], 0, "{told}");
    stage.mirror.start_again().await;
    stage.mirror.manifest("acme/app", signed.digest).await.serves(&signed);
}

#[tokio::test]
async fn what_is_kept_is_rechecked_on_schedule() {
    let upstream = Upstream::start().await;
    let key = Key::p256();
    let setup = Setup::new().upstream(NAME, &upstream).key("release.pub", &key);
    let setup = setup.policy(stage::POLICY).cache("\n[recheck]\nevery = \"1s\"\n");
    let stage = Stage { upstream, key, mirror: setup.start().await };
    let image = Image::oci("on schedule");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let signature = Tag::cosign(&image.digest, CosignSuffix::Signatures);
    stage.upstream.remove_tag("acme/app", signature.as_str());
    eventually("the schedule comes round", || async {
        stage.mirror.manifest("acme/app", image.digest).await.status == 403
    })
    .await;
}
