//! `portcullis export`: an archive of what is here, for a site that no network reaches.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{Bars, Report, Station, wanted::Wanted};
use crate::{
    archive::{self, ArchiveError, Plan, Reading, Selection, Sink},
    cli::{CliError, Exit, Output, password, shared::Shared},
    config::{Config, Variables},
    environment::Environment,
    mirror::Platforms,
    timestamp::Timestamp,
    trust::signing::{PrivateKey, decrypt},
    units::{ByteSize, Rounded},
};

/// Writes an archive of images that are here, with all that vouches for them.
///
/// The archive is an OCI image layout that skopeo, crane, oras and podman can read. What policy does
/// not admit is left out. Nothing is asked of any upstream: `portcullis seed` comes first.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis export --output bag.tar --all
  portcullis export --output bag.tar --volume-size 4GiB images.txt
  portcullis export --output delta.tar --since far-side.json --all
  portcullis export --output - nginx:1.27 | ssh far portcullis import -

Exits with 0 when everything is in it, 1 when something was denied or is not here.")]
pub struct Export {
    /// A folder, a file whose name ends with .tar, or `-` for standard output
    #[arg(long, value_name = "DIR|FILE.tar|-")]
    output: PathBuf,
    /// Images, or files that name them, as `portcullis seed` reads them
    #[arg(value_name = "LIST", required_unless_present = "all", conflicts_with = "all")]
    lists: Vec<String>,
    /// Everything that has a tag here
    #[arg(long)]
    all: bool,
    /// Leave out what this inventory has: the portcullis.json of an earlier archive, or the answer of
    /// `portcullis inventory`
    #[arg(long, value_name = "INVENTORY", conflicts_with = "from_archive")]
    since: Option<PathBuf>,
    /// Leave out what this earlier archive has
    #[arg(long, value_name = "ARCHIVE")]
    from_archive: Option<PathBuf>,
    /// Cut the tar file into volumes of this size, such as 4GiB
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<ByteSize>,
    /// Sign the inventory with this key, as `keygen` and cosign write it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Only for these machines: linux/amd64,linux/arm64
    #[arg(long, value_name = "PLATFORMS")]
    platform: Option<Platforms>,
    /// Print a line of JSON for each image, on standard error when the archive goes to standard output
    #[arg(long)]
    json: bool,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl Export {
    /// Exports.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables.clone(), output)?;
        self.check_output()?;
        let key = self.read_key(&variables)?;
        let since = self.read_base(&config).await?;
        let station = Station::open(&config, environment, "export")?;
        let created = Timestamp(environment.clock.now());
        let given = Given { key: key.as_ref(), since: since.as_deref(), created };
        let exit = self.write(&station, &config, given, output).await;
        station.close().await;
        exit
    }

    async fn write(
        &self,
        station: &Station,
        config: &Config,
        given: Given<'_>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let Wanted { orders, unclear, .. } = self.wanted(station, config).await?;
        let Given { key, since, created } = given;
        let selection = Selection { orders: &orders, since, key, created };
        let planned =
            archive::export(&station.mirror, station.store(), &station.context, &selection).await;
        let (plan, items) = planned.map_err(failed)?;
        let mut aside = Output::to(Box::new(io::stderr()), Box::new(io::stderr()));
        let to_stdout = self.is_stream();
        let told = if to_stdout { &mut aside } else { output };
        let mut report = Report::new(self.json);
        for item in unclear.iter().chain(&items) {
            report.tell(item, told)?;
        }
        let (count, size) = (plan.content_count(), plan.content_size());
        let bars = Arc::new(Bars::new(!self.json));
        let sink = self.sink(&plan).map_err(failed)?;
        plan.write(station.store(), sink, bars.clone()).await.map_err(failed)?;
        bars.finish();
        told.note(format_args!("{}: {count} contents, {}", self.output.display(), Rounded(size)));
        Ok(report.finish(bars.fetched(), told))
    }

    fn is_stream(&self) -> bool {
        self.output.as_os_str() == "-"
    }

    fn is_tar(&self) -> bool {
        self.output.extension().is_some_and(|extension| extension == "tar")
    }

    fn check_output(&self) -> Result<(), CliError> {
        match self.volume_size {
            Some(ByteSize(size)) if size < MIN_VOLUME => Err(CliError::Usage(format!(
                "`--volume-size` must be at least {}",
                ByteSize(MIN_VOLUME)
            ))),
            Some(_) if !self.is_tar() => Err(CliError::Usage(
                "`--volume-size` needs an `--output` whose name ends with `.tar`".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn sink(&self, plan: &Plan) -> Result<Sink, ArchiveError> {
        if self.is_stream() {
            return Ok(Sink::stream(Box::new(io::stdout())));
        }
        let within = self.output.ancestors().skip(1).find(|folder| folder.is_dir());
        plan.require_space(within.unwrap_or(Path::new(".")))?;
        match self.is_tar() {
            true => Sink::tar(&self.output, self.volume_size.map(|size| size.0)),
            false => Sink::folder(&self.output),
        }
    }

    async fn wanted(&self, station: &Station, config: &Config) -> Result<Wanted, CliError> {
        let platforms = self.platform.clone().unwrap_or_default();
        if self.all {
            return Ok(Wanted::of(station.everything(&platforms).await?));
        }
        let mut wanted = Wanted::read(&self.lists, &platforms, &config.table)?;
        wanted.expand(&station.mirror.offline(), &station.context, &platforms).await;
        Ok(wanted)
    }

    async fn read_base(&self, config: &Config) -> Result<Option<Vec<u8>>, CliError> {
        if let Some(path) = &self.since {
            let read = fs::read(path).map_err(|error| {
                CliError::Usage(format!("cannot read the inventory `{}`: {error}", path.display()))
            });
            return read.map(Some);
        }
        let Some(path) = &self.from_archive else { return Ok(None) };
        let reading = Reading { key: None, home: None, table: &config.table };
        let archive = archive::open(path, reading).await.map_err(failed)?;
        let inventory = archive.inventory().ok_or_else(|| {
            CliError::Usage(format!(
                "`{}` has no inventory: it was not made by `portcullis export`",
                path.display()
            ))
        })?;
        Ok(Some(inventory.to_bytes()))
    }

    fn read_key(&self, variables: &Variables) -> Result<Option<PrivateKey>, CliError> {
        let Some(path) = &self.key else { return Ok(None) };
        let refused = |error: &dyn std::fmt::Display| {
            CliError::Usage(format!("cannot use the key `{}`: {error}", path.display()))
        };
        let file = fs::read(path).map_err(|error| refused(&error))?;
        let password = password::existing(variables, path)?;
        decrypt(&file, &password).map(Some).map_err(|error| refused(&error))
    }
}

/// What goes into the head of the inventory.
struct Given<'a> {
    key: Option<&'a PrivateKey>,
    since: Option<&'a [u8]>,
    created: Timestamp,
}

pub(super) fn failed(error: ArchiveError) -> CliError {
    CliError::Failed(error.to_string())
}

/// Bytes of the smallest volume: nobody carries smaller media.
const MIN_VOLUME: u64 = 64 << 10;
