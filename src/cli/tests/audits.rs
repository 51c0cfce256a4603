//! `audit query` and `audit report` on a small log.

use super::*;
use crate::audit::PullRecord;

const SIGNER: &str =
    "release (sha256:79665385a4f21fdfcb848adb6a84ebc33a24dd73895c24204c7b18a69a9f2c34)";

/// An admitted image that two jobs pulled, a refused one, and a tag that moved.
async fn desk() -> Desk {
    let files = [("portcullis.toml", CONFIG), ("policy.toml", POLICY), ("release.pub", KEY)];
    let desk = Desk::with(&files);
    let now = environment().clock.now();
    let log = desk.folder.path().join("data").join(FOLDER);
    let audit = Audit::open(&log, &environment(), Arc::default()).unwrap();
    for (number, content) in ["first", "second"].into_iter().enumerate() {
        let id = format!("01KDVDNA00Z92FGRQ78VA9SS0{number}");
        let verified =
            Finding { found: true, verified: true, signer: Some(SIGNER.to_owned()), ..finding() };
        let record = DecisionRecord {
            time: now - Duration::from_secs(7200 - 60 * number as u64),
            decision: id.clone(),
            outcome: "admitted".to_owned(),
            reason: "admitted".to_owned(),
            repository: "web".to_owned(),
            digest: Some(Digest::of(content.as_bytes())),
            evidence: vec![serde_json::to_value(verified).unwrap()],
            ..denied()
        };
        audit.decision(record).await.unwrap();
        for job in ["acme/app#1", "acme/app#2"] {
            audit.pull(PullRecord {
                time: now - Duration::from_secs(60),
                decision: id.clone(),
                client: ClientRecord { job: Some(job.to_owned()), ..denied().client },
                digest: Digest::of(content.as_bytes()),
                count: 3,
            });
        }
    }
    let message = "<script>alert(1)</script>".to_owned();
    let repository = "evil<img>".to_owned();
    audit.decision(DecisionRecord { message, repository, ..denied() }).await.unwrap();
    audit.close().await;
    desk
}

#[tokio::test]
async fn a_query_says_which_jobs_pulled_a_digest() {
    let desk = desk().await;
    let digest = Digest::of(b"second").to_string();
    assert_eq!(desk.run(&["audit", "query", "--digest", &digest]).await.unwrap(), Exit::Success);
    insta::assert_snapshot!(desk.told(), @"
    2025-12-31T22:01:00.000Z admitted  registry.test/web:1.0 (admitted)
      pulled 3 times, last 2025-12-31T23:59:00.000Z, by 10.0.0.7, job acme/app#1, podman/5
      sha256:16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4, decision 01KDVDNA00Z92FGRQ78VA9SS01
    2025-12-31T22:01:00.000Z admitted  registry.test/web:1.0 (admitted)
      pulled 3 times, last 2025-12-31T23:59:00.000Z, by 10.0.0.7, job acme/app#2, podman/5
      sha256:16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4, decision 01KDVDNA00Z92FGRQ78VA9SS01
    2025-12-31T22:01:00.000Z admitted  registry.test/web:1.0 (admitted)
      asked, nothing was sent, by 10.0.0.7, podman/5
      sha256:16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4, decision 01KDVDNA00Z92FGRQ78VA9SS01
    ");
}

#[tokio::test]
async fn a_query_holds_all_of_its_conditions_together() {
    let desk = desk().await;
    let rows = async |arguments: &[&str]| {
        let before = desk.answer.text().len();
        let _ = desk.run(&[&["audit", "query", "--json"], arguments].concat()).await.unwrap();
        let told: serde_json::Value = serde_json::from_str(&desk.answer.text()[before..]).unwrap();
        told["rows"].as_array().unwrap().len()
    };
    assert_eq!(rows(&[]).await, 7, "two jobs and an asker each, and a refusal");
    assert_eq!(rows(&["--job", "acme/app#1"]).await, 2);
    assert_eq!(rows(&["--repository", "web", "--client", "10.0.0.7"]).await, 6);
    assert_eq!(rows(&["--repository", "registry.test/**", "--since", "2h"]).await, 6);
    assert_eq!(rows(&["--client", "10.0.0.8"]).await, 0);
    assert_eq!(desk.run(&["audit", "query", "--job", "none"]).await.unwrap(), Exit::No);
}

#[tokio::test]
async fn a_report_is_one_page_that_a_person_reads() {
    let desk = desk().await;
    desk.run(&["audit", "report", "--since", "7d"]).await.unwrap();
    insta::assert_snapshot!(desk.told(), @r#"
    # Portcullis audit report

    2025-12-25T00:00:00.000Z to 2026-01-01T00:00:00.000Z

    - 12 pulls served
    - 2 decisions admitted, 0 of them by rules that do not enforce
    - 1 denied, 0 undecided

    ## Why

    - `no_signature`: 1

    ## Pulled, and no longer trusted

    Everything that was pulled would still be trusted by who signed it.

    ## Trust that ends

    No key and no exception ends within 90 days.

    ## Refused

    | image | reason | times | clients | next step |
    | --- | --- | --- | --- | --- |
    | registry.test/evil\<img>:1.0 | no_signature | 1 | 1 | sign it with `portcullis sign` |

    ## Tags that moved

    | tag | meant |
    | --- | --- |
    | registry.test/web:1.0 | sha256:16367aacb67a since 2025-12-31, before sha256:a7937b64b8ca since 2025-12-31 |

    ## By repository

    |  | pulls | admitted | denied | undecided |
    | --- | --- | --- | --- | --- |
    | registry.test/evil\<img> | 0 | 0 | 1 | 0 |
    | registry.test/web | 12 | 2 | 0 | 0 |

    ## By client

    |  | pulls | admitted | denied | undecided |
    | --- | --- | --- | --- | --- |
    | 10.0.0.7 | 12 | 2 | 1 | 0 |

    ## By job

    |  | pulls | admitted | denied | undecided |
    | --- | --- | --- | --- | --- |
    | acme/app#1 | 6 | 0 | 0 | 0 |
    | acme/app#2 | 6 | 0 | 0 | 0 |

    ## By signer

    |  | pulls | admitted | denied | undecided |
    | --- | --- | --- | --- | --- |
    | release (sha256:79665385a4f21fdfcb848adb6a84ebc33a24dd73895c24204c7b18a69a9f2c34) | 12 | 2 | 0 | 0 |
    "#);
}

#[tokio::test]
async fn a_report_as_html_lets_no_image_write_in_it() {
    let desk = desk().await;
    desk.run(&["audit", "report", "--output", "html"]).await.unwrap();
    let page = desk.told();
    assert!(page.contains("evil&lt;img&gt;") && !page.contains("<img>"), "{page}");
    assert!(!page.contains("<script"), "{page}");
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[tokio::test]
async fn a_report_names_what_is_pulled_by_a_trust_that_is_gone() {
    let desk = desk().await;
    let policy = POLICY.replace("authority.release", "authority.other");
    let policy = policy.replace("require = 'release'", "require = 'other'");
    File::create(desk.folder.path().join("policy.toml"))
        .unwrap()
        .write_all(policy.as_bytes())
        .unwrap();
    desk.run(&["audit", "report", "--output", "json"]).await.unwrap();
    let report: serde_json::Value = serde_json::from_str(&desk.told()).unwrap();
    assert_eq!(report["totals"]["pulls"], 12);
    assert_eq!(report["distrusted"].as_array().unwrap().len(), 2);
    let why = report["distrusted"][0]["why"].as_str().unwrap();
    assert!(why.contains("nobody whom the policy knows now: release"), "{why}");
}
