//! `portcullis remove` and `portcullis prune`: images are taken away again.

use std::collections::HashMap;

use clap::Args;

use super::Station;
use crate::{
    cli::{CliError, Exit, Output, shared::Shared},
    config::Variables,
    environment::Environment,
    images::ImageArgument,
    mirror::{Holding, PullError},
    oci::{ImageName, Reference, Tag},
    units::Rounded,
};

/// Takes images away, with everything that no other image needs.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis remove docker.io/acme/app:1.0 --dry-run
  portcullis remove docker.io/acme/app:1.0 docker.io/acme/app:1.1")]
pub struct Remove {
    /// Which images, with their tags
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<ImageArgument>,
    /// Show what would go, and leave it
    #[arg(long)]
    dry_run: bool,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

/// Takes old images away: all but the newest of each repository.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis prune --keep-last 3 --dry-run
  portcullis prune --keep-last 3")]
pub struct Prune {
    /// How many of each repository stay: those that came last
    #[arg(long, value_name = "N")]
    keep_last: usize,
    /// Show what would go, and leave it
    #[arg(long)]
    dry_run: bool,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl Remove {
    /// Removes.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables, output)?;
        let mut names = Vec::new();
        for argument in &self.images {
            let image = argument.image(&config.table);
            let image = image.map_err(|error| CliError::Usage(format!("`{argument}`: {error}")))?;
            match argument.reference() {
                Some(Reference::Tag(tag)) => names.push((image, tag)),
                _ => return Err(CliError::Usage(format!("`{argument}`: name a tag"))),
            }
        }
        let station = Station::open(&config, environment, "remove")?;
        let known = station.mirror.tagged().await.map_err(failed);
        let removed = match known {
            Ok(known) => match names.iter().find(|name| !known.contains(name)) {
                Some((image, tag)) => Err(CliError::Failed(format!("`{image}:{tag}` is not here"))),
                None => take_away(&station, &names, self.dry_run, output).await,
            },
            Err(error) => Err(error),
        };
        station.close().await;
        removed
    }
}

impl Prune {
    /// Prunes.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables, output)?;
        let station = Station::open(&config, environment, "prune")?;
        let removed = match station.mirror.holdings().await.map_err(failed) {
            Ok(holdings) => {
                let names = all_but_the_last(holdings, self.keep_last);
                take_away(&station, &names, self.dry_run, output).await
            }
            Err(error) => Err(error),
        };
        station.close().await;
        removed
    }
}

/// The names that came before the last `keep` of their repository.
fn all_but_the_last(mut holdings: Vec<Holding>, keep: usize) -> Vec<(ImageName, Tag)> {
    holdings.sort_by_key(|holding| std::cmp::Reverse(holding.since));
    let mut counts: HashMap<ImageName, usize> = HashMap::new();
    holdings.retain(|holding| {
        let count = counts.entry(holding.image.clone()).or_default();
        *count += 1;
        *count > keep
    });
    holdings.into_iter().map(|holding| (holding.image, holding.tag)).collect()
}

async fn take_away(
    station: &Station,
    names: &[(ImageName, Tag)],
    dry_run: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let removal = station.mirror.plan_removal(names).await.map_err(failed)?;
    if !dry_run {
        station.mirror.remove(&removal).await.map_err(failed)?;
    }
    for (image, tag) in &removal.names {
        output.line(format_args!("{image}:{tag}"))?;
    }
    let verb = if dry_run { "would be removed" } else { "removed" };
    output.note(format_args!("{} {verb}, {}", names.len(), Rounded(removal.freed)));
    Ok(Exit::Success)
}

fn failed(error: PullError) -> CliError {
    CliError::Failed(error.to_string())
}
