//! `portcullis policy diff`.

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
    load,
};
use crate::{
    config::Variables,
    environment::Environment,
    oci::Digest,
    trust::{Outcome, Reason, Verdict, recording::Recording},
};

/// Judges recorded images by two policies, and lists where they differ.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis policy diff policy.toml stricter.toml recorded/
  portcullis policy diff --json policy.toml stricter.toml recorded/ | jq '.changes[]'

A folder is a recording that `portcullis verify --record` wrote, or holds such folders, at any depth.
All are judged at the time that it is now.

Exits with 0 when nothing changes, 1 when something does, 2 when a policy or a recording cannot be read.")]
pub(super) struct Diff {
    /// The policy that is in force
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The policy that is to be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Folders with recordings
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shared: Shared,
}

/// An image of which two policies say different things.
#[derive(Debug, Serialize)]
struct Change {
    image: String,
    digest: Digest,
    old: Side,
    new: Side,
}

/// What one policy says.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Side {
    outcome: Outcome,
    reason: Reason,
    enforced: bool,
    rule: Option<String>,
    signed_by: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl Diff {
    pub(super) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.load(variables, output)?.config;
        let old = load(&self.old, &config, environment)?;
        let new = load(&self.new, &config, environment)?;
        let now = environment.clock.now();
        let mut recordings = Vec::new();
        for folder in &self.folders {
            let before = recordings.len();
            find(folder, &mut recordings)?;
            if recordings.len() == before {
                let what = format!("`{}` holds no recording", folder.display());
                return Err(CliError::Usage(what));
            }
        }
        let mut changes = Vec::new();
        for recording in &recordings {
            let by_old = recording.judge(&old, &config.table, now).await;
            let by_new = recording.judge(&new, &config.table, now).await;
            let (old, new) = by_old.and_then(|old| Ok((old, by_new?))).map_err(CliError::Usage)?;
            let (old, new) = (Side::from(old), Side::from(new));
            if old.differs_from(&new) {
                let image = recording.image().to_owned();
                changes.push(Change { image, digest: *recording.digest(), old, new });
            }
        }
        if self.json {
            output.json(&json!({ "judged": recordings.len(), "changes": changes }))?;
        } else {
            changes.iter().try_for_each(|change| change.tell(output))?;
            let (judged, changed) = (recordings.len(), changes.len());
            output.line(format_args!("{judged} judged, {changed} changed"))?;
        }
        Ok(if changes.is_empty() { Exit::Success } else { Exit::No })
    }
}

/// Every recording in `folder` and below.
fn find(folder: &Path, found: &mut Vec<Recording>) -> Result<(), CliError> {
    if Recording::is_in(folder) {
        found.push(Recording::read(folder).map_err(CliError::Usage)?);
        return Ok(());
    }
    let told = |error| CliError::Usage(format!("`{}`: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(told)?;
    let mut inside: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    inside.sort_unstable();
    inside.iter().try_for_each(|path| find(path, found))
}

impl Side {
    /// Whether anybody would notice: words of a message do not count.
    fn differs_from(&self, other: &Self) -> bool {
        let told = |side: &Self| (side.outcome, side.reason, side.enforced, side.signed_by.clone());
        told(self) != told(other)
    }
}

impl From<Verdict> for Side {
    fn from(verdict: Verdict) -> Self {
        Self {
            outcome: verdict.outcome,
            reason: verdict.reason,
            enforced: verdict.enforced,
            rule: verdict.rule,
            signed_by: verdict.signed_by,
            message: verdict.message,
        }
    }
}

impl Change {
    fn tell(&self, output: &mut Output) -> std::io::Result<()> {
        let tone = |side: &Side| match side.outcome {
            Outcome::Admitted => Tone::Good,
            Outcome::Denied => Tone::Bad,
            Outcome::Undecided => Tone::Worrying,
        };
        let word = |side: &Side| output.paint(tone(side), side.outcome);
        let (old, new) = (word(&self.old), word(&self.new));
        let (image, digest) = (Visible(&self.image), &self.digest);
        output.line(format_args!(
            "{image}@{digest}: {old} ({}) -> {new} ({})",
            self.old.reason, self.new.reason
        ))?;
        output.line(format_args!("  {}", Visible(&self.new.message)))
    }
}
