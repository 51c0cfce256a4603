//! SARIF 2.1.0 (OASIS), which GitHub and others show beside the lines of a change.
//!
//! One result for each place that mentions an image which is not admitted, or admitted only because
//! its rule does not enforce. What is admitted is no result: the absence of findings is the good news.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Answer;
use crate::{images::Place, trust::Outcome};

/// The log file with `answers`.
pub(super) fn report(answers: &[Answer]) -> Value {
    let found = || answers.iter().filter(|answer| level(answer).is_some());
    let rules: BTreeSet<_> = found().map(Answer::reason).collect();
    let rules: Vec<_> = rules.iter().map(|reason| rule(reason)).collect();
    let results: Vec<_> = found()
        .flat_map(|answer| {
            let places = answer.places.iter().map(Some);
            let nowhere = answer.places.is_empty().then_some(None);
            places.chain(nowhere).map(|place| result(answer, place))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Portcullis",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(answer: &Answer) -> Option<&'static str> {
    match answer.outcome() {
        Outcome::Admitted => answer.is_tolerated().then_some("note"),
        Outcome::Denied => Some("error"),
        Outcome::Undecided => Some("warning"),
    }
}

fn rule(reason: &str) -> Value {
    let words = reason.replace('_', " ");
    json!({
        "id": reason,
        "shortDescription": { "text": format!("Image not admitted: {words}") },
        "help": { "text": "`portcullis verify IMAGE` shows what was required and what was found." },
    })
}

fn result(answer: &Answer, place: Option<&Place>) -> Value {
    let mut text = answer.message();
    if !answer.next_step().is_empty() {
        text = format!("{text}\nNext: {}", answer.next_step());
    }
    let logical = json!([{ "fullyQualifiedName": answer.name(), "kind": "resource" }]);
    let mut location = json!({ "logicalLocations": logical });
    if let Some(place) = place {
        location["physicalLocation"] = json!({
            "artifactLocation": artifact(&place.file),
            "region": { "startLine": place.line },
        });
    }
    json!({
        "ruleId": answer.reason(),
        "level": level(answer),
        "message": { "text": text },
        "locations": [location],
        // Two runs mean the same finding by the same image at the same file, wherever the line went.
        "partialFingerprints": { "image/v1": format!("{} {}", answer.asked, answer.reason()) },
    })
}

/// A file as a URI (RFC 3986): relative ones start where the checkout does.
fn artifact(file: &str) -> Value {
    let path = utf8_percent_encode(file.strip_prefix("./").unwrap_or(file), PATH).to_string();
    if path.starts_with('/') {
        json!({ "uri": format!("file://{path}") })
    } else {
        json!({ "uri": path, "uriBaseId": "%SRCROOT%" })
    }
}

/// What has to be encoded in a path.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
