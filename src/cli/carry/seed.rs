//! `portcullis seed`: fills a data directory from the upstreams.

use clap::Args;
use futures_util::{StreamExt as _, stream};

use super::{Bars, Report, Station, wanted::Wanted};
use crate::{
    archive::Item,
    cli::{CliError, Exit, Output, scratch::Scratch, shared::Shared},
    config::Variables,
    environment::Environment,
    mirror::{Order, Platforms},
};

/// Brings images here with everything that vouches for them, before anybody pulls them.
///
/// What policy denies is not carried. A second run transfers only what changed.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis seed images.txt
  portcullis seed nginx:1.27 ghcr.io/acme/app@sha256:... --platform linux/amd64
  portcullis seed images.txt --dry-run
  helm template chart/ | portcullis seed kubernetes=-

Exits with 0 when all are here, 1 when one is denied or failed, 3 when one is undecided.")]
pub struct Seed {
    /// Images, or files that name them: lists, Compose files, Kubernetes manifests, Dockerfiles,
    /// folders of these, `-` for standard input
    #[arg(value_name = "LIST", required = true)]
    lists: Vec<String>,
    /// Only for these machines: linux/amd64,linux/arm64
    #[arg(long, value_name = "PLATFORMS")]
    platform: Option<Platforms>,
    /// Say what would be carried, and carry nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop at the first image that is not admitted
    #[arg(long)]
    fail_fast: bool,
    /// Print a line of JSON for each image
    #[arg(long)]
    json: bool,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl Seed {
    /// Seeds.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let mut config = self.shared.start(variables, output)?;
        let platforms = self.platform.clone().unwrap_or_default();
        let wanted = Wanted::read(&self.lists, &platforms, &config.table)?;
        let scratch = match self.dry_run {
            true => {
                let made = Scratch::new(environment);
                Some(made.map_err(|error| {
                    CliError::Failed(format!("cannot make a temporary folder: {error}"))
                })?)
            }
            false => None,
        };
        if let Some(folder) = &scratch {
            folder.path().clone_into(&mut config.data);
        }
        let station = Station::open(&config, environment, "seed")?;
        let exit = self.carry(&station, wanted, output).await;
        station.close().await;
        exit
    }

    async fn carry(
        &self,
        station: &Station,
        mut wanted: Wanted,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let bars = Bars::new(!self.json);
        let mut report = Report::new(self.json);
        let platforms = self.platform.clone().unwrap_or_default();
        wanted.expand(&station.mirror, &station.context, &platforms).await;
        for item in &wanted.unclear {
            report.tell(item, output)?;
        }
        let work: Vec<_> =
            wanted.orders.iter().map(|order| self.one(station, order, &bars)).collect();
        let mut work = stream::iter(work).buffered(IMAGES_AT_ONCE);
        while let Some(item) = work.next().await {
            bars.beside(|| report.tell(&item, output))?;
            if self.fail_fast && item.outcome != crate::archive::Outcome::Admitted {
                break;
            }
        }
        bars.finish();
        Ok(report.finish(bars.fetched(), output))
    }

    async fn one(&self, station: &Station, order: &Order, bars: &Bars) -> Item {
        let result = match self.dry_run {
            true => station.mirror.weigh(&station.context, order).await,
            false => station.mirror.carry(&station.context, order, bars).await,
        };
        Item::of(order, &result)
    }
}

/// Images that are brought at the same time.
const IMAGES_AT_ONCE: usize = 3;
