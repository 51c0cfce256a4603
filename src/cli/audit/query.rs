//! `portcullis audit query`: which decisions and pulls there were of an image, by a client, for a job.

use std::{net::IpAddr, time::SystemTime};

use clap::Args;
use serde::Serialize;

use super::window::Since;
use crate::{
    audit::{self, Audit, ClientRecord, Decided, DecisionRecord},
    cli::{
        failure::{CliError, Exit},
        output::{Output, Tone, Visible},
        shared::Shared,
    },
    config::Variables,
    environment::Environment,
    mirror::Job,
    oci::{Digest, ImageName, UpstreamTable},
    timestamp::Timestamp,
    trust::Pattern,
};

/// Finds decisions and pulls in the records.
///
/// A line for each client that asked for or pulled an image, the newest decision first. All that is
/// asked for has to apply.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis audit query --digest sha256:...        who pulled this, and for which job
  portcullis audit query --repository 'ghcr.io/acme/**' --since 7d
  portcullis audit query --job acme/app#1234 --json
  portcullis audit query --client 10.0.0.7

Exits with 0, or with 1 when nothing is recorded.")]
pub(super) struct Query {
    /// Manifests of this digest
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// Images of this repository; a pattern as a rule has it matches several
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// What this address asked for
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// What was asked for under this label (`X-Portcullis-Job`)
    #[arg(long, value_name = "LABEL")]
    job: Option<String>,
    /// Only since then: how long ago, as in 30d, or a day or time
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Print the rows as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: Shared,
}

/// What one client did with one decision; `docs/json.md` describes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row<'a> {
    decision: &'a str,
    time: Timestamp,
    outcome: &'a str,
    reason: &'a str,
    upstream: &'a str,
    repository: &'a str,
    reference: &'a str,
    digest: Option<Digest>,
    client: &'a ClientRecord,
    /// How often it was sent; 0 when the client only asked.
    pulls: u64,
    first_pull: Option<Timestamp>,
    last_pull: Option<Timestamp>,
}

impl Query {
    pub(super) fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.load(variables, output)?.config;
        let filter = self.filter(&config.table, environment.clock.now())?;
        let log = config.data.join(audit::FOLDER);
        let failed = |error: audit::AuditError| CliError::Failed(error.to_string());
        let mut found = 0_usize;
        for decided in Audit::history(&log, filter.since).map_err(failed)? {
            let decided = decided.map_err(failed)?;
            for row in filter.rows(&decided) {
                if self.json {
                    output.text(if found == 0 { "{\"rows\": [\n" } else { ",\n" })?;
                    output.text(serde_json::to_string(&row).map_err(std::io::Error::from)?)?;
                } else {
                    tell(&row, output)?;
                }
                found += 1;
            }
        }
        if self.json {
            output.line(if found == 0 { "{\"rows\": []}" } else { "\n]}" })?;
        }
        if found == 0 {
            output.note(format_args!("nothing in `{}` is about that", log.display()));
            return Ok(Exit::No);
        }
        Ok(Exit::Success)
    }

    fn filter(&self, table: &UpstreamTable, now: SystemTime) -> Result<Filter, CliError> {
        let pattern = self.repository.as_deref().map(|text| pattern(text, table)).transpose()?;
        Ok(Filter {
            digest: self.digest,
            pattern,
            client: self.client,
            job: self.job.as_deref().and_then(Job::of),
            since: self.since.map_or(SystemTime::UNIX_EPOCH, |since| since.from(now).0),
        })
    }
}

/// What `text` names: a repository as people write it, or a pattern.
fn pattern(text: &str, table: &UpstreamTable) -> Result<Pattern, CliError> {
    let canonical = match text.contains('*') {
        true => text.to_owned(),
        false => table
            .parse_image(text)
            .map_err(|error| CliError::Usage(format!("`{text}`: {error}")))?
            .to_string(),
    };
    Pattern::parse(&canonical, table)
        .map_err(|error| CliError::Usage(format!("`{text}` is no pattern: {error}")))
}

/// What a row has to be about.
#[derive(Debug)]
struct Filter {
    digest: Option<Digest>,
    pattern: Option<Pattern>,
    client: Option<IpAddr>,
    job: Option<Job>,
    since: SystemTime,
}

impl Filter {
    fn rows<'a>(&self, decided: &'a Decided) -> Vec<Row<'a>> {
        let record = &decided.record;
        if !self.is_about(record) {
            return Vec::new();
        }
        let wanted = |digest: Option<Digest>, client: &ClientRecord| {
            (self.digest.is_none() || digest == self.digest) && self.is_by(client)
        };
        let mut rows: Vec<_> = decided
            .pulls
            .iter()
            .filter(|pulled| wanted(Some(pulled.digest), &pulled.client))
            .map(|pulled| Row {
                digest: Some(pulled.digest),
                client: &pulled.client,
                pulls: pulled.count,
                first_pull: Some(Timestamp(pulled.first)),
                last_pull: Some(Timestamp(pulled.last)),
                ..asked(record)
            })
            .collect();
        let has_pulled = decided.pulls.iter().any(|pulled| pulled.client == record.client);
        if decided.is_recent && !has_pulled && wanted(record.digest, &record.client) {
            rows.push(asked(record));
        }
        rows
    }

    fn is_about(&self, record: &DecisionRecord) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let image = record.upstream.parse().ok().zip(record.repository.parse().ok());
        image.is_some_and(|(upstream, repository)| {
            pattern.matches(&ImageName { upstream, repository })
        })
    }

    fn is_by(&self, client: &ClientRecord) -> bool {
        self.client.is_none_or(|address| client.address == address)
            && self.job.as_ref().is_none_or(|job| client.job.as_deref() == Some(job.as_str()))
    }
}

fn asked(record: &DecisionRecord) -> Row<'_> {
    Row {
        decision: &record.decision,
        time: Timestamp(record.time),
        outcome: &record.outcome,
        reason: &record.reason,
        upstream: &record.upstream,
        repository: &record.repository,
        reference: &record.reference,
        digest: record.digest,
        client: &record.client,
        pulls: 0,
        first_pull: None,
        last_pull: None,
    }
}

fn tell(row: &Row<'_>, output: &mut Output) -> std::io::Result<()> {
    let tone = match row.outcome {
        "admitted" => Tone::Good,
        "denied" => Tone::Bad,
        _ => Tone::Worrying,
    };
    let outcome = output.paint(tone, format_args!("{:<9}", row.outcome));
    let separator = if row.reference.contains(':') { '@' } else { ':' };
    let image = format!("{}/{}{separator}{}", row.upstream, row.repository, row.reference);
    output.line(format_args!("{} {outcome} {} ({})", row.time, Visible(&image), row.reason))?;
    let mut who = row.client.address.to_string();
    if let Some(job) = &row.client.job {
        who = format!("{who}, job {job}");
    }
    if let Some(label) = &row.client.label {
        who = format!("{who}, {label}");
    }
    let pulls = match (row.pulls, row.last_pull) {
        (count, Some(last)) => format!("pulled {count} times, last {last}"),
        (_, None) => "asked, nothing was sent".to_owned(),
    };
    output.line(format_args!("  {pulls}, by {}", Visible(&who)))?;
    if let Some(digest) = row.digest {
        output.line(format_args!("  {digest}, decision {}", row.decision))?;
    }
    Ok(())
}
