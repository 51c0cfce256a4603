//! `portcullis audit report`: one page on what the gate did, for people who did not watch it.
//!
//! The records are folded into a summary in one pass, in memory that depends on how many
//! repositories, clients and signers there were and not on how often (`summary`); the policy of now
//! is held against it (`trust`); and the result is written in one of three forms.

mod chart;
mod html;
mod markdown;
mod summary;
mod tables;
mod trusted;

use clap::{Args, ValueEnum};

use self::summary::Summary;
use super::window::Since;
use crate::{
    audit::{self, Audit, AuditError},
    cli::{
        failure::{CliError, Exit},
        output::Output,
        shared::Shared,
    },
    config::{Config, Variables},
    environment::Environment,
    reload::PolicySource,
    timestamp::Timestamp,
    trust::Policy,
};

/// Reports what was served and refused, to whom, and by whose signature.
///
/// Says also which images are still pulled whose signer the policy no longer trusts, which trust
/// ends soon, and which tags moved.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis audit report --since 30d --output html > report.html
  portcullis audit report --since 2026-01-01 --output markdown
  portcullis audit report --output json | jq .totals")]
pub(super) struct Report {
    /// From when: how long ago, as in 30d, or a day or time
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: Since,
    /// How to write it
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Markdown)]
    output: Form,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Html,
    Json,
    Markdown,
}

impl Report {
    pub(super) fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.load(variables, output)?.config;
        let policy = policy(&config, environment)?;
        let now = environment.clock.now();
        let since = self.since.from(now);
        let summary = gather(&config, since, Timestamp(now), policy.as_ref())
            .map_err(|error| CliError::Failed(error.to_string()))?;
        match self.output {
            Form::Html => output.text(html::page(&summary))?,
            Form::Json => output.json(&summary)?,
            Form::Markdown => output.text(markdown::page(&summary))?,
        }
        Ok(Exit::Success)
    }
}

/// The policy of now, which the records are held against; none where none is named.
fn policy(config: &Config, environment: &Environment) -> Result<Option<Policy>, CliError> {
    if config.policy.is_none() {
        return Ok(None);
    }
    match PolicySource::of(config).load(&config.table, environment.clock.now()) {
        Ok((policy, _)) => Ok(Some(policy)),
        Err(problems) => Err(CliError::Config(problems.into_iter().map(Into::into).collect())),
    }
}

fn gather(
    config: &Config,
    since: Timestamp,
    until: Timestamp,
    policy: Option<&Policy>,
) -> Result<Summary, AuditError> {
    let mut summary = Summary::new(since, until);
    for decided in Audit::history(&config.data.join(audit::FOLDER), since.0)? {
        summary.add(&decided?, policy);
    }
    if let Some(policy) = policy {
        summary.expiring = trusted::expiring(policy, until.0);
    }
    summary.finish();
    Ok(summary)
}
