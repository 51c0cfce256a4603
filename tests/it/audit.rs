//! Decisions are on disk before their first byte leaves, and no line is lost.

use std::{fs, path::PathBuf};

use crate::support::*;

fn log_files(mirror: &Mirror) -> Vec<PathBuf> {
    let entries = fs::read_dir(mirror.data().join("audit-v1")).expect("the folder is there");
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    // What a crash tore off is kept beside the log, under another name.
    files.retain(|file| !file.to_string_lossy().contains("torn"));
    files.sort();
    files
}

#[tokio::test]
async fn a_decision_is_recorded_with_everything_the_contract_names() {
    let stage = Stage::new().await;
    let (good, bad) = (Image::oci("recorded"), Image::oci("recorded, refused"));
    stage.push_signed("acme/app", "v1", &good);
    stage.upstream.push("acme/app", "bad", &bad);
    let admitted = stage.mirror.manifest("acme/app", "v1").await;
    let denied = stage.mirror.manifest("acme/app", "bad").await;
    for (answer, image, outcome, reason) in
        [(&admitted, &good, "admitted", "admitted"), (&denied, &bad, "denied", "no_signature")]
    {
        let record = stage.mirror.record_of(answer);
        assert_eq!(record["outcome"], outcome);
        assert_eq!(record["reason"], reason);
        assert_eq!(record["upstream"], "registry.test");
        assert_eq!(record["repository"], "acme/app");
        assert_eq!(record["digest"], image.digest.to_string());
        assert_eq!(record["mode"], "enforce");
        assert!(record["rule"].as_str().is_some_and(|rule| rule.contains("registry.test/**")));
        for member in ["time", "reference", "policy", "trust", "client", "request", "evidence"] {
            assert!(!record[member].is_null(), "{member} in {record}");
        }
        assert!(record["policy"].as_str().is_some_and(|hash| hash.len() >= 16), "{record}");
        assert!(record["time"].as_str().is_some_and(|time| time.starts_with("20")), "{record}");
        assert!(record["client"].to_string().contains("127.0.0.1"));
    }
    let evidence = stage.mirror.record_of(&admitted)["evidence"].clone();
    let text = evidence.to_string();
    assert!(text.contains(&signing::signature_tag(&good.digest)), "where it was found: {text}");
}

#[tokio::test]
async fn pulls_are_counted_and_head_and_304_are_not() {
    let mut stage = Stage::new().await;
    let image = Image::oci("counted");
    stage.push_signed("acme/app", "v1", &image);
    let target = "/v2/acme/app/manifests/v1";
    let decision = stage.mirror.get(target).await.decision();
    for _ in 0..4 {
        stage.mirror.get(target).await.serves(&image);
        stage.mirror.head(target).await;
        let etag = format!("\"{}\"", image.digest);
        stage.mirror.send(Ask::get(target).header("if-none-match", etag)).await;
    }
    stage.mirror.stop().await;
    let pulls: Vec<_> = stage
        .mirror
        .records()
        .into_iter()
        .filter(|record| record["decision"] == *decision && record.get("count").is_some())
        .collect();
    let count: u64 = pulls.iter().filter_map(|pull| pull["count"].as_u64()).sum();
    assert_eq!(count, 5, "{pulls:?}");
    assert!(pulls.len() < 5, "many in one second are one line");
    assert!(pulls.iter().all(|pull| pull["digest"] == image.digest.to_string()));
}

#[tokio::test]
async fn a_torn_last_line_is_repaired_and_said() {
    let mut stage = Stage::new().await;
    let (first, second) = (Image::oci("before the tear"), Image::oci("after the tear"));
    stage.push_signed("acme/app", "v1", &first);
    stage.push_signed("acme/app", "v2", &second);
    let before = stage.mirror.manifest("acme/app", "v1").await;
    stage.mirror.kill();
    let file = log_files(&stage.mirror).pop().expect("a log");
    let mut content = fs::read(&file).expect("readable");
    content.extend_from_slice(b"{\"time\":\"2026-11-24T00:00:00Z\",\"decision\":\"01ARZ3");
    write(&file, content);

    stage.mirror.start_again().await;
    let after = stage.mirror.manifest("acme/app", "v2").await;
    after.serves(&second);
    stage.mirror.record_of(&before);
    stage.mirror.record_of(&after);
    let log = stage.mirror.log();
    assert!(log.contains("audit"), "the repair is told:\n{log}");
    stage.mirror.stop().await;
    for file in log_files(&stage.mirror) {
        let text = fs::read_to_string(file).expect("UTF-8");
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    }
}

#[tokio::test]
async fn killed_in_the_middle_of_writing_no_served_decision_is_lost() {
    let mut stage = Stage::new().await;
    let images: Vec<_> = (0..30).map(|number| Image::oci(&format!("burst {number}"))).collect();
    for image in &images {
        stage.push_signed("acme/app", "v1", image);
    }
    let address = stage.mirror.address();
    let pulls: Vec<_> = images
        .iter()
        .map(|image| {
            let target = format!("/v2/acme/app/manifests/{}", image.digest);
            tokio::spawn(async move { Ask::get(target).open(address).await.headers })
        })
        .collect();
    // At least one is answered, most are on their way.
    eventually("some answers are there", || async { pulls.iter().any(|pull| pull.is_finished()) })
        .await;
    stage.mirror.kill();
    let recorded: Vec<_> = stage
        .mirror
        .records()
        .into_iter()
        .filter_map(|record| record["decision"].as_str().map(str::to_owned))
        .collect();
    let mut served = 0;
    for pull in pulls {
        if let Ok(headers) = pull.await {
            let id = headers["x-portcullis-decision"].to_str().expect("a ULID");
            assert!(recorded.iter().any(|known| known == id), "{id} was served and not recorded");
            served += 1;
        }
    }
    assert!(served > 0);
    stage.mirror.start_again().await;
}

#[tokio::test]
async fn decisions_stop_when_they_cannot_be_recorded() {
    let stage = Stage::new().await;
    let (first, second) = (Image::oci("recorded"), Image::oci("cannot be recorded"));
    stage.push_signed("acme/app", "v1", &first);
    stage.push_signed("acme/app", "v2", &second);
    stage.mirror.manifest("acme/app", "v1").await.serves(&first);

    let size: u64 = log_files(&stage.mirror)
        .iter()
        .map(|file| fs::metadata(file).expect("it is there").len())
        .max()
        .expect("a log");
    stage.mirror.limit_file_size(size);
    for reference in ["v2".to_owned(), second.digest.to_string()] {
        stage.mirror.manifest("acme/app", reference).await.unavailable();
    }
    assert_ne!(stage.mirror.blob("acme/app", second.layer(0)).await.status, 200);
    // What was decided, and recorded, before needs no new record.
    stage.mirror.manifest("acme/app", "v1").await.serves(&first);
}
