//! Policies tried on recordings.

use bytes::Bytes;

use super::*;
use crate::{
    oci::{Descriptor, Reference},
    trust::{EvidenceSource, LookFailure, recording},
};

const CONFIG: &str = "[[upstream]]\nname = \"registry.test\"\n";
const OPEN: &str =
    "version = 1\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"insecure-accept-anything\"\n";
const CLOSED: &str = "version = 1\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"never\"\n";
const CASES: &str = "\
version = 1
policy = \"open.toml\"
[[case]]
name = \"anything goes\"
evidence = \"recorded/app\"
outcome = \"admitted\"
rule = \"registry.test/**\"
[[case]]
name = \"nothing goes\"
evidence = \"recorded/app\"
time = \"2026-01-01T00:00:00Z\"
outcome = \"denied\"
reason = \"never\"
[[case]]
name = \"nothing there\"
evidence = \"recorded/other\"
outcome = \"denied\"
";

/// A desk with two policies, and the recording of one image.
async fn desk() -> Desk {
    let files = [
        ("portcullis.toml", CONFIG),
        ("open.toml", OPEN),
        ("closed.toml", CLOSED),
        ("cases.toml", CASES),
    ];
    let desk = Desk::with(&files);
    let image = table(&["registry.test"]).parse_image("registry.test/app").unwrap();
    let (policy, digest) = (Policy::absent(None), Digest::of(APP));
    let recording = recording::record(&policy, &image, &digest, &Unsigned, UNIX_EPOCH).await;
    recording.write(&desk.folder.path().join("recorded/app")).unwrap();
    desk
}

#[tokio::test]
async fn policy_test_says_which_cases_are_not_as_expected() {
    let desk = desk().await;
    let report = desk.path("report.xml");
    let cases = desk.path("cases.toml");
    let exit = desk.run(&["policy", "test", "--junit", &report, &cases]).await.unwrap();
    assert_eq!(exit, Exit::No);
    let told = desk.told();
    assert!(told.contains("cases.toml: anything goes: ok"), "{told}");
    assert!(told.contains("the outcome is admitted, expected denied"), "{told}");
    assert!(told.contains("the reason is insecure_rule, expected never"), "{told}");
    assert!(told.contains("nothing there: FAILED\n  it cannot be judged"), "{told}");
    assert!(told.ends_with("1 passed, 2 failed\n"), "{told}");
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains("tests=\"3\" failures=\"2\""), "{report}");
}

#[tokio::test]
async fn policy_test_takes_another_policy_and_tells_json() {
    let desk = desk().await;
    let (cases, policy) = (desk.path("cases.toml"), desk.path("closed.toml"));
    desk.run(&["policy", "test", "--json", "--policy", &policy, &cases]).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&desk.answer.text()).unwrap();
    assert_eq!((&told["passed"], &told["failed"]), (&1.into(), &2.into()));
    assert_eq!(told["cases"][1]["verdict"]["reason"], "never");
}

#[tokio::test]
async fn policy_test_refuses_a_file_that_tests_nothing() {
    let desk = desk().await;
    for (text, word) in [
        ("version = 1\n", "no cases"),
        (
            "version = 2\n[[case]]\nname = \"a\"\nevidence = \"b\"\noutcome = \"denied\"\n",
            "version",
        ),
        ("version = 1\n[[case]]\nname = \"a\"\nevidence = \"b\"\noutcom = \"denied\"\n", "outcom"),
    ] {
        let path = desk.path("other.toml");
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        let error = desk.run(&["policy", "test", &path]).await.unwrap_err();
        assert!(matches!(&error, CliError::Usage(why) if why.contains(word)), "{error}");
    }
}

#[tokio::test]
async fn policy_diff_lists_what_changes() {
    let desk = desk().await;
    let [open, closed, recorded] = ["open.toml", "closed.toml", "recorded"].map(|n| desk.path(n));
    let exit = desk.run(&["policy", "diff", &open, &open, &recorded]).await.unwrap();
    assert_eq!((exit, desk.told().as_str()), (Exit::Success, "1 judged, 0 changed\n"));
    let exit = desk.run(&["policy", "diff", &open, &closed, &recorded]).await.unwrap();
    assert_eq!(exit, Exit::No);
    let told = desk.told();
    assert!(told.contains("admitted (insecure_rule) -> denied (never)"), "{told}");
    let nothing = desk.run(&["policy", "diff", &open, &closed, &desk.path("nowhere")]).await;
    assert!(matches!(nothing, Err(CliError::Usage(_))));
}

/// Has one manifest and no evidence.
struct Unsigned;

impl EvidenceSource for Unsigned {
    async fn manifest(
        &self,
        _: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        let is_app = reference.to_string() == Digest::of(APP).to_string();
        Ok(is_app.then_some(Bytes::from_static(APP)))
    }

    async fn blob(
        &self,
        _: &ImageName,
        _: &Digest,
        _: usize,
    ) -> Result<Option<Bytes>, LookFailure> {
        Ok(None)
    }

    async fn referrers(
        &self,
        _: &ImageName,
        _: &Digest,
        _: Option<&str>,
    ) -> Result<Vec<Descriptor>, LookFailure> {
        Ok(Vec::new())
    }
}

/// A manifest.
const APP: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
