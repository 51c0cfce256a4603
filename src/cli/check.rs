//! `portcullis check`: what configuration and policy mean, and what is wrong with them.

mod summary;
mod text;

use std::{path::PathBuf, time::SystemTime};

use clap::Args;
use serde_json::json;

use self::summary::{JsonProblem, Summary};
use super::{
    failure::{CliError, Exit},
    output::Output,
    shared::Shared,
};
use crate::{
    config::{self, Problem, Variables},
    environment::Environment,
    oci::UpstreamTable,
    refresh::{self, Schedule},
    reload::PolicySource,
    timestamp::Timestamp,
    trust::Policy,
};

/// Loads configuration and policy as `serve` would, and says what they mean.
///
/// Prints which rule covers what and what it requires, whose keys count and until when, and warns of
/// everything that weakens enforcement. Asks nothing of any upstream.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis check
  portcullis check --config /etc/portcullis/portcullis.toml
  portcullis check --policy new-policy.toml --json | jq .warnings

Exits with 0, or with 2 and every problem that was found.")]
pub struct Check {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Check {
    /// Checks.
    pub(super) fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let now = environment.clock.now();
        match understand(self.shared.request(variables), now) {
            Ok((summary, warnings)) => {
                output.note(format_args!("configuration: {}", summary.source));
                if self.json {
                    let warnings: Vec<_> = warnings.iter().map(JsonProblem::from).collect();
                    let understood =
                        serde_json::to_value(&summary).map_err(std::io::Error::from)?;
                    output.json(&json!({
                        "ok": true, "problems": [], "warnings": warnings, "understood": understood,
                    }))?;
                } else {
                    summary.print(&warnings, output)?;
                }
                Ok(Exit::Success)
            }
            Err(problems) => {
                if self.json {
                    let problems: Vec<_> = problems.iter().map(JsonProblem::from).collect();
                    output.json(&json!({ "ok": false, "problems": problems, "warnings": [] }))?;
                }
                Err(CliError::Config(problems))
            }
        }
    }
}

/// What configuration and policy mean, with the warnings of both; or the problems of both.
fn understand(
    request: config::ConfigRequest,
    now: SystemTime,
) -> Result<(Summary, Vec<Problem>), Vec<Problem>> {
    let loaded = match config::load(&request) {
        Ok(loaded) => loaded,
        Err(rejected) => {
            // The policy is read all the same: whoever mends one mends both.
            let table = UpstreamTable::default();
            let source = PolicySource { path: rejected.policy, roots: PathBuf::new() };
            let policy = policy(&source, &table, now);
            let mut problems = rejected.problems;
            problems.extend(policy.err().unwrap_or_default());
            return Err(problems);
        }
    };
    let config = &loaded.config;
    let (policy, policy_warnings) = policy(&PolicySource::of(config), &config.table, now)?;
    let mut warnings = loaded.warnings;
    warnings.extend(policy_warnings);
    if policy.is_absent() {
        let what = "no policy is named: the built-in catalogue is in force, and every other image is refused";
        let step = "write one and name it with `policy`; `portcullis catalogue --toml` is a start";
        warnings.push(Problem::new(what).of("policy").next(step));
    }
    for known in policy.known_roots() {
        let standing = refresh::standing(&Schedule::from(&config.trust), known, now, None);
        let since = standing.verified;
        if standing.stale {
            let what = format!("the trust root `{known}` was last known to be current at {since}");
            let step = format!(
                "run `portcullis trust refresh {known}`, or `trust import` without network"
            );
            warnings.push(Problem::new(what).of("trust").next(step));
        }
        warnings.extend(standing.problem.map(|problem| Problem::new(problem).of("trust")));
    }
    for ending in policy.endings(now) {
        let what = format!("{} ends soon, at {}", ending.what, Timestamp(ending.at));
        warnings.push(Problem::new(what).of("policy"));
    }
    Ok((Summary::of(config, &loaded.source, &policy, now), warnings))
}

fn policy(
    source: &PolicySource,
    table: &UpstreamTable,
    now: SystemTime,
) -> Result<(Policy, Vec<Problem>), Vec<Problem>> {
    match source.load(table, now) {
        Ok((policy, warnings)) => Ok((policy, warnings.into_iter().map(Into::into).collect())),
        Err(problems) => Err(problems.into_iter().map(Into::into).collect()),
    }
}
