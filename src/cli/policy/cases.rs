//! The file of `portcullis policy test`: which recordings a policy must judge how.
//!
//! ```toml
//! version = 1
//! policy = "policy.toml"              # relative to this file; `--policy` replaces it
//!
//! [[case]]
//! name = "the release is admitted"
//! evidence = "recorded/app-1.0"       # what `portcullis verify --record` wrote
//! time = "2026-06-01T00:00:00Z"       # when it is judged; without it, when it was recorded
//! outcome = "admitted"
//! reason = "admitted"                 # optional, as are the next two
//! rule = "ghcr.io/acme/**"
//! signed_by = ["acme-ci"]
//! ```

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::failure::CliError;
use crate::{
    timestamp::Timestamp,
    trust::{Outcome, Reason, Verdict},
};

/// A file of cases, with the paths in it made absolute to its folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    version: u32,
    pub(super) policy: Option<PathBuf>,
    #[serde(rename = "case", default)]
    pub(super) cases: Vec<Case>,
}

/// One recording and what a policy must make of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) evidence: PathBuf,
    pub(super) time: Option<Timestamp>,
    outcome: Outcome,
    reason: Option<Reason>,
    rule: Option<String>,
    signed_by: Option<Vec<String>>,
}

impl Cases {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// When it is not such a file, or has no cases.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let told = |error: &dyn std::fmt::Display| {
            CliError::Usage(format!("`{}`: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let mut cases: Self = toml::from_str(&text).map_err(|error| told(&error))?;
        if cases.version != 1 {
            return Err(told(&"is of another version than 1"));
        }
        if cases.cases.is_empty() {
            return Err(told(&"has no cases, and what tests nothing must not pass"));
        }
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        cases.policy = cases.policy.map(|policy| folder.join(policy));
        for case in &mut cases.cases {
            case.evidence = folder.join(&case.evidence);
        }
        Ok(cases)
    }
}

impl Case {
    /// In what `verdict` differs from what was expected; nothing when it does not.
    pub(super) fn differences(&self, verdict: &Verdict) -> Vec<String> {
        let mut differences = Vec::new();
        let mut expect = |what: &str, expected: String, found: String| {
            if expected != found {
                differences.push(format!("{what} is {found}, expected {expected}"));
            }
        };
        expect("the outcome", self.outcome.to_string(), verdict.outcome.to_string());
        if let Some(reason) = self.reason {
            expect("the reason", reason.to_string(), verdict.reason.to_string());
        }
        if let Some(rule) = &self.rule {
            expect("the rule", rule.clone(), verdict.rule.clone().unwrap_or("none".to_owned()));
        }
        if let Some(signed_by) = &self.signed_by {
            let sorted = |names: &[String]| {
                let mut names = names.to_vec();
                names.sort_unstable();
                names.join(", ")
            };
            expect("who signed", sorted(signed_by), sorted(&verdict.signed_by));
        }
        differences
    }
}
