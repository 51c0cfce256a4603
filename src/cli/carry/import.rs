//! `portcullis import`: takes in an archive, by this side's policy.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{Bars, Report, Station, export::failed, server::ServerAddress};
use crate::{
    archive::{self, Archive, Import as Work, Reading},
    cli::{CliError, Exit, Output, shared::Shared},
    config::{Config, Variables},
    environment::Environment,
    http::ImportWanted,
    images::ImageArgument,
    mirror::Denied,
    oci::Digest,
    timestamp::Timestamp,
    trust::keys::PublicKey,
};

/// Takes in archives: every image is judged by this side's policy, at the archive's evidence only.
///
/// Reads folders, tar files, volumes and streams, also such that skopeo, crane, oras and docker made.
/// What is admitted can be pulled under its name afterwards; nothing is asked of any upstream.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis import bag.tar
  portcullis import bag.tar.001            the volumes beside it are found
  portcullis import layout/ --repository docker.io/acme/app
  ssh near portcullis export --output - --all | portcullis import -

Exits with 0 when all are admitted, 1 when one is denied or failed, 3 when one is undecided.")]
pub struct Import {
    /// Folders, tar files, first volumes, or `-` for standard input
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,
    /// The repository of images whose names in the archive are only tags
    #[arg(long, value_name = "NAME")]
    repository: Option<ImageArgument>,
    /// Keep what policy denies: it cannot be pulled until a later policy admits it
    #[arg(long)]
    keep_denied: bool,
    /// The public key that must have signed the inventory
    #[arg(long, value_name = "FILE")]
    inventory_key: Option<PathBuf>,
    /// Import into the running mirror whose admin listener this is
    #[arg(long, value_name = "ADDR", conflicts_with = "inventory_key")]
    server: Option<ServerAddress>,
    /// Print a line of JSON for each image
    #[arg(long)]
    json: bool,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl Import {
    /// Imports.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables, output)?;
        if let Some(server) = &self.server {
            return self.send(server, output);
        }
        let key = self.read_key()?;
        let station = Station::open(&config, environment, "import")?;
        let exit = self.take_in(&station, (&config, environment), key.as_ref(), output).await;
        station.close().await;
        exit
    }

    /// Sends every source to the mirror that runs.
    fn send(&self, server: &ServerAddress, output: &mut Output) -> Result<Exit, CliError> {
        let wanted = ImportWanted {
            keep_denied: self.keep_denied,
            repository: self.repository.as_ref().map(ToString::to_string),
        };
        let path = format!("/v1/import?{}", wanted.to_query());
        let mut report = Report::new(self.json);
        for source in &self.sources {
            let mut archive: Box<dyn io::Read> = match source.as_os_str() == "-" {
                true => Box::new(io::stdin()),
                false => archive::outgoing(source).map_err(failed)?,
            };
            for line in server.send(&path, &mut archive)?.lines() {
                let item = serde_json::from_str(line).map_err(|error| {
                    CliError::Failed(format!("the mirror's answer makes no sense: {error}"))
                })?;
                report.tell(&item, output)?;
            }
        }
        Ok(report.finish(0, output))
    }

    async fn take_in(
        &self,
        station: &Station,
        (config, environment): (&Config, &Environment),
        key: Option<&PublicKey>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let home = self.repository.as_ref().map(|name| {
            let image = name.image(&config.table);
            image.map_err(|error| CliError::Usage(format!("`{name}`: {error}")))
        });
        let home = home.transpose()?;
        let reading = Reading { key, home: home.as_ref(), table: &config.table };
        let bars = Bars::new(!self.json);
        let mut report = Report::new(self.json);
        for source in &self.sources {
            let (archive, fresh) = self.open(source, station, reading).await?;
            warn_of_the_future(&archive, environment, output);
            self.one(station, archive, (&bars, &mut report), output).await?;
            for digest in &fresh {
                station
                    .mirror
                    .discard_unneeded(digest)
                    .await
                    .map_err(|error| CliError::Failed(error.to_string()))?;
            }
        }
        bars.finish();
        Ok(report.finish(bars.fetched(), output))
    }

    async fn open(
        &self,
        source: &Path,
        station: &Station,
        reading: Reading<'_>,
    ) -> Result<(Archive, Vec<Digest>), CliError> {
        let named = |error| CliError::Failed(format!("{}: {error}", source.display()));
        match source.as_os_str() == "-" {
            true => archive::receive(io::stdin(), station.store(), reading).await.map_err(named),
            false => Ok((archive::open(source, reading).await.map_err(named)?, Vec::new())),
        }
    }

    async fn one(
        &self,
        station: &Station,
        archive: Archive,
        (bars, report): (&Bars, &mut Report),
        output: &mut Output,
    ) -> Result<(), CliError> {
        let denied = if self.keep_denied { Denied::Kept } else { Denied::Left };
        let Station { mirror, context, .. } = station;
        let work = Work { mirror, store: station.store(), context, denied };
        let mut told = Ok(());
        let mut tell = |item: &archive::Item| {
            if told.is_ok() {
                told = bars.beside(|| report.tell(item, output));
            }
        };
        archive::import(&work, Arc::new(archive), bars, &mut tell).await.map_err(failed)?;
        Ok(told?)
    }

    fn read_key(&self) -> Result<Option<PublicKey>, CliError> {
        let Some(path) = &self.inventory_key else { return Ok(None) };
        let refused = |error: &dyn std::fmt::Display| {
            CliError::Usage(format!("cannot use the key `{}`: {error}", path.display()))
        };
        let text = fs::read(path).map_err(|error| refused(&error))?;
        PublicKey::from_pem(&text).map(Some).map_err(|error| refused(&error))
    }
}

/// An archive cannot be younger than the present: one of the two clocks is wrong, and windows of
/// validity are judged by this one.
fn warn_of_the_future(archive: &Archive, environment: &Environment, output: &mut Output) {
    let Some(inventory) = archive.inventory() else { return };
    let now = environment.clock.now();
    if inventory.created.0.duration_since(now).is_ok_and(|ahead| ahead > CLOCK_TOLERANCE) {
        output.note(format_args!(
            "warning: the archive was made {}, and it is {} by this machine's clock: set the clock, since validity is judged by it",
            inventory.created,
            Timestamp(now)
        ));
    }
}

/// What clocks that nobody sets may differ by.
const CLOCK_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
