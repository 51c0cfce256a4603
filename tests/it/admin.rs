//! The listener for operators: alive, ready, measured; never on the clients' address.

use crate::support::*;

#[tokio::test]
async fn tells_that_it_is_alive_and_ready() {
    let stage = Stage::new().await;
    assert_eq!(stage.mirror.admin("/healthz").await.status, 200);
    let ready = stage.mirror.admin("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(!ready.body.is_empty(), "it says what it is ready with");
    assert_eq!(stage.mirror.admin("/other").await.status, 404);
}

#[tokio::test]
async fn a_mirror_whose_data_directory_is_gone_is_not_ready() {
    let stage = Stage::new().await;
    std::fs::remove_dir_all(stage.mirror.data().join("partial")).expect("was there");
    eventually("it is noticed", || async { stage.mirror.admin("/readyz").await.status == 503 })
        .await;
    let ready = stage.mirror.admin("/readyz").await;
    assert!(String::from_utf8_lossy(&ready.body).contains("partial"), "{ready:?}");
}

#[tokio::test]
async fn serves_nothing_of_the_registry_and_the_registry_nothing_of_it() {
    let stage = Stage::new().await;
    let image = Image::oci("not through admin");
    stage.push_signed("acme/app", "v1", &image);
    for target in ["/v2/", "/v2/acme/app/manifests/v1"] {
        assert_eq!(stage.mirror.admin(target).await.status, 404, "{target}");
    }
    for target in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(stage.mirror.get(target).await.status, 404, "{target}");
    }
    assert_eq!(stage.upstream.count("*"), 0);
}

#[tokio::test]
async fn counts_decisions_by_outcome_and_reason() {
    let stage = Stage::new().await;
    stage.push_signed("acme/app", "v1", &Image::oci("counted"));
    stage.upstream.push("acme/app", "bad", &Image::oci("counted, refused"));
    assert_eq!(stage.mirror.manifest("acme/app", "v1").await.status, 200);
    stage.mirror.manifest("acme/app", "bad").await.denied();

    let metrics = stage.mirror.admin("/metrics").await;
    assert!(metrics.header("content-type").is_some_and(|kind| kind.contains("text")));
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.starts_with("portcullis_"), "one prefix: {line}");
    }
    let decisions = "portcullis_decisions_total";
    assert!(stage.mirror.metric(decisions, "outcome=\"admitted\"").await >= 1.0, "{text}");
    assert!(stage.mirror.metric(decisions, "reason=\"no_signature\"").await >= 1.0, "{text}");
}

#[tokio::test]
async fn nothing_a_client_sends_becomes_a_label() {
    let stage = Stage::new().await;
    stage.mirror.manifest("acme/surprise", "unheard-of").await;
    stage.mirror.send(Ask::get("/v2/").header("user-agent", "unheard-of")).await;
    let metrics = stage.mirror.admin("/metrics").await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(!text.contains("surprise") && !text.contains("unheard-of"), "{text}");
}

#[tokio::test]
async fn every_request_is_one_line_in_the_log() {
    let stage = Stage::new().await;
    let answer = stage.mirror.get("/v2/").await;
    let id = answer.header("x-request-id").expect("an id").to_owned();
    eventually("the line is written", || async { stage.mirror.log().contains(&id) }).await;
    let log = stage.mirror.log();
    assert_eq!(log.lines().filter(|line| line.contains(&id)).count(), 1, "{log}");
}

#[tokio::test]
async fn admin_can_be_off() {
    let upstream = Upstream::start().await;
    let folder = tempfile::TempDir::new().expect("there is room");
    let setup = Setup::new().upstream(NAME, &upstream).policy("");
    setup.lay_out(folder.path());
    let mut process = mirror::program()
        .args(["serve", "--admin", "off", "--config"])
        .arg(folder.path().join("portcullis.toml"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program was built");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let _ = process.kill();
    let output = process.wait_with_output().expect("it has ended");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(mirror::announced(&log, "listening on ").is_some(), "{log}");
    assert_eq!(mirror::announced(&log, "admin on "), None, "{log}");
}
