//! `portcullis policy test`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{
    super::{
        failure::{CliError, Exit},
        output::{Output, Tone, Visible},
        shared::Shared,
    },
    cases::{Case, Cases},
    junit, load,
};
use crate::{
    config::Variables,
    environment::Environment,
    oci::UpstreamTable,
    timestamp::Timestamp,
    trust::{Policy, Verdict, recording::Recording},
};

/// Judges recorded images, and says whether the policy does what was expected.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis verify --record recorded/app app:1.0
  portcullis policy test cases.toml
  portcullis policy test --junit report.xml --policy new-policy.toml cases.toml

A file of cases, in TOML:
  version = 1
  policy = \"policy.toml\"
  [[case]]
  name = \"the release is admitted\"
  evidence = \"recorded/app\"
  time = \"2026-06-01T00:00:00Z\"
  outcome = \"admitted\"        # admitted, denied or undecided
  reason = \"admitted\"         # optional; also `rule` and `signed_by`

Paths are relative to the file. Without `time` a case is judged at the time of its recording. What an
image index would admit is not: a case is about one manifest.

Exits with 0 when all pass, 1 when one does not, 2 when a file cannot be read.")]
pub(super) struct Test {
    /// Files of cases
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
    /// Write the results for a CI system too, as JUnit does
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    shared: Shared,
}

/// What became of one case.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) passed: bool,
    /// In what it differs from what was expected.
    pub(super) differences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<Verdict>,
}

impl Test {
    pub(super) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.load(variables, output)?.config;
        let mut tested = Vec::new();
        for file in &self.files {
            let cases = Cases::read(file)?;
            let named = self.shared.policy().map(PathBuf::from);
            let Some(path) = named.or(cases.policy).or_else(|| config.policy.clone()) else {
                let file = file.display();
                let what = format!("`{file}` names no policy: write `policy`, or use `--policy`");
                return Err(CliError::Usage(what));
            };
            let policy = load(&path, &config, environment)?;
            for case in &cases.cases {
                tested.push(judge(file, case, &policy, &config.table).await);
            }
        }
        if let Some(path) = &self.junit {
            junit::write(path, &tested).map_err(|error| {
                CliError::Failed(format!("cannot write `{}`: {error}", path.display()))
            })?;
        }
        let failed = tested.iter().filter(|tested| !tested.passed).count();
        if self.json {
            let passed = tested.len() - failed;
            output.json(&json!({ "passed": passed, "failed": failed, "cases": tested }))?;
        } else {
            tell(&tested, failed, output)?;
        }
        Ok(if failed == 0 { Exit::Success } else { Exit::No })
    }
}

/// Judges one case. A recording that cannot be read fails it: the others are judged all the same.
async fn judge(file: &Path, case: &Case, policy: &Policy, table: &UpstreamTable) -> Tested {
    let judged = match Recording::read(&case.evidence) {
        Ok(recording) => {
            let time = case.time.unwrap_or(Timestamp(recording.recorded())).0;
            recording.judge(policy, table, time).await
        }
        Err(error) => Err(error),
    };
    let (differences, verdict) = match judged {
        Ok(verdict) => (case.differences(&verdict), Some(verdict)),
        Err(error) => (vec![format!("it cannot be judged: {error}")], None),
    };
    Tested {
        file: file.display().to_string(),
        name: case.name.clone(),
        passed: differences.is_empty(),
        differences,
        verdict,
    }
}

fn tell(tested: &[Tested], failed: usize, output: &mut Output) -> std::io::Result<()> {
    for case in tested {
        let (tone, word) = if case.passed { (Tone::Good, "ok") } else { (Tone::Bad, "FAILED") };
        let word = output.paint(tone, word);
        output.line(format_args!("{}: {}: {word}", Visible(&case.file), Visible(&case.name)))?;
        for difference in &case.differences {
            output.line(format_args!("  {}", Visible(difference)))?;
        }
        if let Some(verdict) = case.verdict.as_ref().filter(|_| !case.passed) {
            output.line(format_args!("  {}", Visible(&verdict.message)))?;
        }
    }
    output.line(format_args!("{} passed, {failed} failed", tested.len() - failed))
}
