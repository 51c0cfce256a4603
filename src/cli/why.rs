//! `portcullis why`: what was decided about an image, and what that rested on.
//!
//! Reads the audit log and nothing else: no upstream is asked, and a running mirror is not disturbed.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{
    failure::{CliError, Exit},
    output::Output,
    shared::Shared,
    story::Story,
};
use crate::{
    audit::{self, Audit, DecisionRecord, Wanted},
    config::{Config, Variables},
    images::ImageArgument,
    oci::{ImageName, Reference},
    store::TagRecord,
    timestamp::Timestamp,
};

/// Tells why an image was served or refused.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis why nginx:1.27
  portcullis why mirror.example:5000/docker.io/library/nginx:1.27   as the client wrote it
  portcullis why 01JQ4E6Y9Z3V7M0T5C8K2H1XWB                         the decision an error named
  portcullis why --json app@sha256:... | jq .evidence

Exits with 0, or with 1 when nothing is recorded.")]
pub struct Why {
    /// An image, as its client wrote it, or the id of a decision
    #[arg(value_name = "IMAGE|DECISION")]
    wanted: String,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: Shared,
}

impl Why {
    /// Looks the decision up and tells it.
    pub(super) fn run(&self, variables: Variables, output: &mut Output) -> Result<Exit, CliError> {
        let config = self.shared.load(variables, output)?.config;
        let wanted = self.wanted(&config)?;
        match newest(&config.data, &wanted)? {
            Some(record) => self.tell(&record, output),
            None => self.nothing(&config.data, &wanted, output),
        }
    }

    fn tell(&self, record: &DecisionRecord, output: &mut Output) -> Result<Exit, CliError> {
        if self.json {
            output.json(record)?;
        } else {
            story(record).tell(output)?;
        }
        Ok(Exit::Success)
    }

    fn nothing(
        &self,
        data: &Path,
        wanted: &[Wanted],
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let looked_for: Vec<_> = wanted.iter().map(describe).collect();
        if self.json {
            output.json(&json!({ "decision": null, "looked_for": looked_for }))?;
        }
        let log = data.join(audit::FOLDER);
        output.note(format_args!(
            "nothing is recorded in `{}` about {}",
            log.display(),
            looked_for.join(", nor about ")
        ));
        output.note("next: pull it through the mirror, or ask `portcullis verify` now");
        Ok(Exit::No)
    }

    /// What the argument can mean, the most likely meaning first.
    fn wanted(&self, config: &Config) -> Result<Vec<Wanted>, CliError> {
        if is_decision(&self.wanted) {
            return Ok(vec![Wanted::Decision(self.wanted.to_ascii_uppercase())]);
        }
        let usage = |error: &dyn std::fmt::Display| {
            CliError::Usage(format!(
                "`{}` is neither an image nor a decision: {error}",
                self.wanted
            ))
        };
        let image: ImageArgument = self.wanted.parse().map_err(|error| usage(&error))?;
        let readings = image.readings(&config.table).map_err(|error| usage(&error))?;
        Ok(readings.into_iter().map(|name| Wanted::Image(name, image.reference())).collect())
    }
}

/// The newest decision that one of `wanted` means. One about a tag is recorded under the reference
/// it was first asked by; a second tag of the same image is followed to its digest.
fn newest(data: &Path, wanted: &[Wanted]) -> Result<Option<Box<DecisionRecord>>, CliError> {
    let log = data.join(audit::FOLDER);
    let followed: Vec<_> = wanted.iter().filter_map(|wanted| followed(data, wanted)).collect();
    for wanted in wanted.iter().chain(&followed) {
        let found = Audit::find(&log, wanted);
        if let Some(record) = found.map_err(|error| CliError::Failed(error.to_string()))? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

fn followed(data: &Path, wanted: &Wanted) -> Option<Wanted> {
    let Wanted::Image(image, Some(Reference::Tag(tag))) = wanted else { return None };
    let digest = TagRecord::peek(data, image, tag)?.digest;
    Some(Wanted::Image(image.clone(), Some(Reference::Digest(digest))))
}

/// A ULID: 26 characters of Crockford's alphabet.
fn is_decision(text: &str) -> bool {
    text.len() == ulid::ULID_LEN && ulid::Ulid::from_string(text).is_ok()
}

fn story(record: &DecisionRecord) -> Story<'_> {
    let client = match (&record.client.user, &record.client.label) {
        (Some(user), _) => format!("{user} at {}", record.client.address),
        (None, Some(label)) => format!("{} ({label})", record.client.address),
        (None, None) => record.client.address.to_string(),
    };
    let mut facts = vec![
        ("decision", format!("{} at {}", record.decision, Timestamp(record.time))),
        ("client", format!("{client}, request {}", record.request)),
    ];
    facts.extend(record.digest.map(|digest| ("digest", digest.to_string())));
    let rule = record.rule.as_deref().unwrap_or("none");
    facts.push(("rule", format!("{rule}, mode {}", record.mode)));
    facts.push(("policy", format!("{}, trust {}", record.policy, record.trust)));
    let separator = if record.reference.contains(':') { '@' } else { ':' };
    Story {
        image: format!("{}/{}{separator}{}", record.upstream, record.repository, record.reference),
        outcome: &record.outcome,
        reason: &record.reason,
        enforced: record.enforced,
        message: &record.message,
        next_step: &record.next_step,
        facts,
        // What a later version wrote in words of its own is left to `--json`.
        tree: record.tree.clone().and_then(|tree| serde_json::from_value(tree).ok()),
        evidence: record
            .evidence
            .iter()
            .filter_map(|finding| serde_json::from_value(finding.clone()).ok())
            .collect(),
    }
}

fn describe(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Decision(id) => format!("the decision {id}"),
        Wanted::Image(image, None) => format!("`{image}`"),
        Wanted::Image(image, Some(reference)) => format!("`{}`", with_reference(image, reference)),
    }
}

/// `app:1.0` or `app@sha256:...`.
pub(super) fn with_reference(image: &ImageName, reference: &Reference) -> String {
    let separator = match reference {
        Reference::Digest(_) => '@',
        Reference::Tag(_) => ':',
    };
    format!("{image}{separator}{reference}")
}
