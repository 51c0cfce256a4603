//! `portcullis recheck`: judges what is cached again, and says what changed.

use std::time::Duration;

use clap::Args;
use hyper::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    failure::{CliError, Exit},
    output::{Output, Visible},
    remote::Remote,
    shared::{self, Shared},
};
use crate::{
    audit,
    config::{Config, Variables},
    environment::Environment,
    recheck,
    trust::Pattern,
};

/// Judges cached images again with evidence of now, and says what changed.
///
/// What is denied now is not served any more, and is listed with who pulled it. Works on the data
/// directory of a mirror that does not run; with --server it has a running one do it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis recheck --all
  portcullis recheck 'ghcr.io/acme/**' --json
  portcullis recheck --all --server http://127.0.0.1:5001    the mirror's admin listener

Exits with 0, with 1 when something is denied now, with 3 when something could not be looked at.")]
pub struct Recheck {
    /// Repositories, as a rule's pattern names them
    #[arg(value_name = "MATCH", required_unless_present = "all", conflicts_with = "all")]
    matching: Option<String>,
    /// Everything that is cached
    #[arg(long)]
    all: bool,
    /// Have the mirror do it whose admin listener is there
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Recheck {
    pub(super) async fn run(
        self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let report = match &self.server {
            Some(url) => self.ask(url).await?,
            None => {
                let config = self.shared.start(variables, output)?;
                self.here(&config, environment, output).await?
            }
        };
        if self.json {
            output.json(&report)?;
        } else {
            tell(&report, output)?;
        }
        Ok(match (&report["denied"], &report["undecided"]) {
            (denied, _) if denied.as_u64() != Some(0) => Exit::No,
            (_, undecided) if undecided.as_u64() != Some(0) => Exit::Undecided,
            _ => Exit::Success,
        })
    }

    /// Has the running mirror do it.
    async fn ask(&self, url: &str) -> Result<Value, CliError> {
        let pattern = self.matching.as_deref().unwrap_or_default();
        let path = format!("/v1/recheck?match={}", utf8_percent_encode(pattern, NON_ALPHANUMERIC));
        let reply = Remote::new(url)?.ask(Method::POST, &path, None).await;
        let failed = |what: &dyn std::fmt::Display| {
            CliError::Failed(format!("the mirror at `{url}` did not recheck: {what}"))
        };
        let reply = reply.map_err(|error| failed(&error))?;
        if reply.status != StatusCode::OK {
            let text = String::from_utf8(reply.content.to_vec()).unwrap_or_default();
            return Err(failed(&format_args!("{}: {}", reply.status, Visible(text.trim()))));
        }
        serde_json::from_slice(&reply.content).map_err(|error| failed(&error))
    }

    /// Does it on the data directory.
    async fn here(
        &self,
        config: &Config,
        environment: &Environment,
        output: &Output,
    ) -> Result<Value, CliError> {
        let pattern = self.matching.as_deref().map(|text| Pattern::parse(text, &config.table));
        let pattern = pattern.transpose().map_err(|error| CliError::Usage(error.to_string()))?;
        let instead = "have it done by that with `--server http://ADMIN`";
        let (mirror, kept) = shared::open_mirror(config, environment, instead)?;
        let bar = output.progress(usize::MAX);
        let told = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let log = config.data.join(audit::FOLDER);
        let report = recheck::run(&mirror, &log, pattern.as_ref(), Duration::ZERO, told).await;
        bar.finish_and_clear();
        drop(mirror);
        kept.close().await;
        let report = report.map_err(CliError::Failed)?;
        serde_json::to_value(&report).map_err(|error| CliError::Failed(error.to_string()))
    }
}

fn tell(report: &Value, output: &mut Output) -> std::io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for change in report["changes"].as_array().into_iter().flatten() {
        let image = format!(
            "{}/{}@{}",
            text(&change["upstream"]),
            text(&change["repository"]),
            text(&change["digest"])
        );
        let (before, now) = (&change["before"], &change["now"]);
        output.line(format_args!(
            "{}: was {} ({}), is {} ({})",
            Visible(&image),
            text(&before["outcome"]),
            text(&before["reason"]),
            text(&now["outcome"]),
            text(&now["reason"])
        ))?;
        output.line(format_args!("  {}", Visible(&text(&change["message"]))))?;
        for puller in change["pulled_by"].as_array().into_iter().flatten() {
            let job = puller["job"].as_str().map(|job| format!(", job {job}")).unwrap_or_default();
            output.line(format_args!(
                "  pulled {} times by {}{}, last {}",
                puller["count"],
                text(&puller["address"]),
                Visible(&job),
                text(&puller["last"])
            ))?;
        }
        let next = text(&change["next_step"]);
        if !next.is_empty() {
            output.line(format_args!("  next {}", Visible(&next)))?;
        }
    }
    output.line(format_args!(
        "{} rechecked: {} admitted, {} denied, {} undecided",
        report["rechecked"], report["admitted"], report["denied"], report["undecided"]
    ))
}
