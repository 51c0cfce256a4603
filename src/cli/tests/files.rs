//! `verify` with files: its forms, its exit codes and its pins.

use super::*;

const DOCKERFILE: &str = "ARG TAG\nFROM app:good AS base\nFROM app:bad\nFROM app:${TAG}\n";

fn desk() -> Desk {
    let compose = "services:\n  a: {image: 'app:good'}\n  b: {image: app:unknown}\n";
    Desk::with(&[
        ("Dockerfile", DOCKERFILE),
        ("compose.yaml", compose),
        ("list.txt", "app:*good\n"),
    ])
}

/// Runs `verify` with the file of this `name`.
async fn with_file(desk: &Desk, name: &str, more: &[&str]) -> Result<Exit, CliError> {
    let file = desk.folder.path().join(name).display().to_string();
    verify(desk, &[&["--file", &file], more].concat()).await
}

fn content(desk: &Desk, name: &str) -> String {
    fs::read_to_string(desk.folder.path().join(name)).unwrap()
}

#[tokio::test]
async fn files_are_judged_with_what_cannot_be_told_from_them() {
    let desk = desk();
    assert_eq!(with_file(&desk, "Dockerfile", &[]).await.unwrap(), Exit::No);
    let told = desk.told();
    for line in [
        "registry.test/app:good: admitted (admitted)",
        "  in        Dockerfile:2",
        "app:${TAG}: cannot be judged: `TAG` has no value and no default",
        "3 images: 1 admitted, 1 denied, 1 undecided",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let given = desk.told().len();
    with_file(&desk, "Dockerfile", &["--variable", "TAG=good"]).await.unwrap();
    let told = desk.told();
    assert!(told[given..].contains("2 images: 1 admitted, 1 denied, 0 undecided"), "{told}");
    assert!(told[given..].contains("  in        Dockerfile:2, Dockerfile:4"), "{told}");
}

#[tokio::test]
async fn undecided_fails_unless_only_denied_is_to_fail() {
    let desk = desk();
    assert_eq!(with_file(&desk, "compose.yaml", &[]).await.unwrap(), Exit::Undecided);
    let lenient = with_file(&desk, "compose.yaml", &["--fail-on", "denied"]).await;
    assert_eq!(lenient.unwrap(), Exit::Success);
    let denied = with_file(&desk, "Dockerfile", &["--fail-on", "denied"]).await;
    assert_eq!(denied.unwrap(), Exit::No);
}

#[tokio::test]
async fn a_pattern_means_the_tags_that_it_matches() {
    let desk = desk();
    with_file(&desk, "list.txt", &["--json"]).await.unwrap();
    let printed: serde_json::Value = serde_json::from_str(&desk.answer.text()).unwrap();
    let images = printed["images"].as_array().unwrap().iter().map(|image| image["image"].clone());
    assert_eq!(images.collect::<Vec<_>>(), ["app:v1.good", "app:good", "app:v2.good"]);
    assert_eq!(printed["images"][1]["places"][0]["line"], 1);
    assert_eq!(printed["images"][0]["outcome"], "denied", "{printed}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_wrong_usage() {
    let desk = desk();
    assert!(matches!(with_file(&desk, "none", &[]).await, Err(CliError::Usage(_))));
}

#[tokio::test]
async fn junit_has_a_suite_for_each_file() {
    let desk = desk();
    with_file(&desk, "Dockerfile", &["--output", "junit", "app:unknown"]).await.unwrap();
    insta::assert_snapshot!(desk.told(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="portcullis verify" tests="4" failures="1" errors="2" skipped="0">
      <testsuite name="Dockerfile" tests="3" failures="1" errors="1" skipped="0">
        <testcase classname="Dockerfile" name="registry.test/app:good" file="Dockerfile" line="2"/>
        <testcase classname="Dockerfile" name="registry.test/app:bad" file="Dockerfile" line="3">
          <failure type="no_signature" message="`registry.test/app` is denied."></failure>
        </testcase>
        <testcase classname="Dockerfile" name="app:${TAG}" file="Dockerfile" line="4">
          <error type="image_unclear" message="`app:${TAG}` cannot be judged: `TAG` has no value and no default; give it with `--variable TAG=VALUE`"></error>
        </testcase>
      </testsuite>
      <testsuite name="command line" tests="1" failures="0" errors="1" skipped="0">
        <testcase classname="command line" name="registry.test/app:unknown">
          <error type="upstream_unreachable" message="`registry.test/app` is undecided."></error>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[tokio::test]
async fn markdown_has_a_table_and_what_to_do() {
    let desk = desk();
    with_file(&desk, "Dockerfile", &["--output", "markdown"]).await.unwrap();
    insta::assert_snapshot!(desk.told(), @"
    ## Image verification

    1 admitted, 1 denied, 1 undecided

    | outcome | image | reason | in |
    | --- | --- | --- | --- |
    | ✅ admitted | `registry.test/app:good` | admitted | `Dockerfile:2` |
    | ❌ denied | `registry.test/app:bad` | no_signature | `Dockerfile:3` |
    | ❓ undecided | `app:${TAG}` | image_unclear | `Dockerfile:4` |

    ### `registry.test/app:bad`

    `registry.test/app` is denied.

    ### `app:${TAG}`

    `app:${TAG}` cannot be judged: `TAG` has no value and no default; give it with `--variable TAG=VALUE`
    ");
}

#[tokio::test]
async fn sarif_has_a_result_for_each_place() {
    let desk = desk();
    with_file(&desk, "Dockerfile", &["--output", "sarif", "app:unknown"]).await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&desk.told()).unwrap();
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "Portcullis");
    let rules: Vec<_> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    assert_eq!(rules, ["image_unclear", "no_signature", "upstream_unreachable"]);
    let results = run["results"].as_array().unwrap();
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            assert!(result["message"]["text"].is_string());
            assert!(rules.contains(&&result["ruleId"]));
            let line = &result["locations"][0]["physicalLocation"]["region"]["startLine"];
            (result["level"].as_str().unwrap(), line.as_u64())
        })
        .collect();
    assert_eq!(told, [("warning", None), ("error", Some(3)), ("warning", Some(4))]);
}

#[tokio::test]
async fn pins_what_is_admitted_and_says_what_is_left() {
    let desk = desk();
    let digest = Digest::of(b"app");
    let checked = with_file(&desk, "Dockerfile", &["--pin", "--check"]).await;
    assert_eq!(checked.unwrap(), Exit::No);
    assert_eq!(content(&desk, "Dockerfile"), DOCKERFILE, "a check writes nothing");
    with_file(&desk, "Dockerfile", &["--pin", "--variable", "TAG=good"]).await.unwrap();
    let pinned = DOCKERFILE.replacen("app:good", &format!("app:good@{digest}"), 1);
    assert_eq!(content(&desk, "Dockerfile"), pinned);
    let notes = desk.notes.text();
    assert!(notes.contains("`app:bad` is not pinned: it is not admitted"), "{notes}");
    assert!(notes.contains("`app:good` is not pinned: it is put together"), "{notes}");
}

#[tokio::test]
async fn a_check_passes_when_everything_is_pinned() {
    let digest = Digest::of(b"app");
    let desk = Desk::with(&[("Dockerfile", &format!("FROM app:good@{digest}\n"))]);
    let checked = with_file(&desk, "Dockerfile", &["--pin", "--check"]).await;
    assert_eq!(checked.unwrap(), Exit::Success);
}
