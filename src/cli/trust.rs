//! `portcullis trust`: the trust roots that have a name, and how they are kept current by hand.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    failure::{CliError, Exit},
    output::{Output, Tone},
    shared::Shared,
};
use crate::{
    config::{Config, Variables},
    environment::Environment,
    refresh::{self, Schedule, Source, Standing},
    telemetry::Metrics,
    trust::material::KnownRoot,
    upstream::Site,
};

/// Shows and refreshes the trust roots that policies name: `public-good` and `github`.
///
/// `serve` refreshes those that its policy names by itself. These commands are for networks that it
/// cannot leave: refresh where there is a network, or carry a copy of the repository in.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis trust show
  portcullis trust refresh
  portcullis trust import public-good /media/tuf

A copy of a repository is made with any tool that keeps the names of files, such as
`wget --mirror --no-host-directories https://tuf-repo-cdn.sigstore.dev/`, of at least:
`timestamp.json`, the `N.snapshot.json` that it names, the `N.targets.json` that that one names, every
`N.root.json`, and `targets/<sha256>.trusted_root.json`.

Exits with 0 when all are current, 1 when one could not be refreshed or is stale.")]
pub struct Trust {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Say which roots are in force, and how old they are
    Show {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch what is newer, now
    Refresh {
        /// Which of them; all when none is named
        #[arg(value_name = "ROOT", value_parser = known_root)]
        roots: Vec<KnownRoot>,
    },
    /// Take what is newer from a folder with a copy of the repository
    Import {
        /// Which of them
        #[arg(value_name = "ROOT", value_parser = known_root)]
        root: KnownRoot,
        /// The folder with `timestamp.json` in it
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

impl Trust {
    /// Does it.
    pub(super) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables, output)?;
        match &self.command {
            Command::Show { json } => show(&config, environment, *json, output),
            Command::Refresh { roots } => {
                let roots = if roots.is_empty() { KnownRoot::ALL } else { roots };
                let mut exit = Exit::Success;
                for root in roots {
                    let source = Source::Site(Box::new(site(&config, *root, environment)?));
                    exit = worse(exit, take(&config, *root, source, environment, output).await?);
                }
                Ok(exit)
            }
            Command::Import { root, folder } => {
                let source = Source::Folder(folder.clone());
                take(&config, *root, source, environment, output).await
            }
        }
    }
}

/// Brings one root up to date, and says what came of it.
async fn take(
    config: &Config,
    root: KnownRoot,
    source: Source,
    environment: &Environment,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let now = environment.clock.now();
    match refresh::refresh(root, source, &config.trust.folder, now).await {
        Ok(state) => {
            output.line(format_args!(
                "{root}: current, {}, vouched for by root {} until {}",
                state.content, state.root_version, state.expires
            ))?;
            Ok(Exit::Success)
        }
        Err(error) => {
            let word = output.paint(Tone::Bad, "not refreshed");
            output.line(format_args!("{root}: {word}: {error}"))?;
            output.line("  the last verified one stays in force")?;
            Ok(Exit::No)
        }
    }
}

fn show(
    config: &Config,
    environment: &Environment,
    as_json: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let schedule = Schedule::from(&config.trust);
    let now = environment.clock.now();
    let standings: Vec<_> =
        KnownRoot::ALL.iter().map(|root| refresh::standing(&schedule, *root, now, None)).collect();
    if as_json {
        output.json(&json!({ "roots": standings }))?;
    } else {
        standings.iter().try_for_each(|standing| tell(standing, output))?;
    }
    let stale = standings.iter().any(|standing| standing.stale);
    Ok(if stale { Exit::No } else { Exit::Success })
}

fn tell(standing: &Standing, output: &mut Output) -> std::io::Result<()> {
    let origin = if standing.built_in { "built in, of" } else { "refreshed" };
    let (tone, word) =
        if standing.stale { (Tone::Worrying, "stale") } else { (Tone::Good, "current") };
    let word = output.paint(tone, word);
    output.line(format_args!("{}: {word}, {origin} {}", standing.root, standing.verified))?;
    if let Some(problem) = &standing.problem {
        output.line(format_args!("  {problem}"))?;
    }
    if standing.stale {
        let root = standing.root;
        output.line(format_args!(
            "  next: `portcullis trust refresh {root}`, or `trust import {root} DIR` without network"
        ))?;
    }
    Ok(())
}

fn site(config: &Config, root: KnownRoot, environment: &Environment) -> Result<Site, CliError> {
    let settings = config.trust.sites.iter().find(|(known, _)| *known == root);
    let (_, settings) = settings.expect("the configuration has a site for each known root");
    let metrics = std::sync::Arc::new(Metrics::new());
    Site::new(settings.clone(), environment, metrics)
        .map_err(|error| CliError::Usage(error.to_string()))
}

fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Success { other } else { one }
}

fn known_root(text: &str) -> Result<KnownRoot, String> {
    KnownRoot::from_word(text).ok_or_else(|| {
        let names: Vec<_> = KnownRoot::ALL.iter().map(|root| root.as_str()).collect();
        format!("known are {}", names.join(", "))
    })
}
