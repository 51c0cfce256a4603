//! `portcullis inventory`: what is here, for the near side to export the rest.

use std::{fs::File, io::Write as _, path::PathBuf};

use clap::Args;

use super::Station;
use crate::{
    archive::Selection,
    cli::{CliError, Exit, Output, shared::Shared},
    config::Variables,
    environment::Environment,
    mirror::Platforms,
    timestamp::Timestamp,
};

/// Writes what is here, as `portcullis export --since` reads it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis inventory --output far-side.json
  portcullis export --since far-side.json --output delta.tar --all     at the near side")]
pub struct InventoryCommand {
    /// Where to; standard output where it is not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where everything is
    #[command(flatten)]
    shared: Shared,
}

impl InventoryCommand {
    /// Writes the inventory.
    pub(in crate::cli) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let config = self.shared.start(variables, output)?;
        let station = Station::open(&config, environment, "inventory")?;
        let made = made(&station, Timestamp(environment.clock.now())).await;
        station.close().await;
        let bytes = made?;
        match &self.output {
            None => output.answer().write_all(&bytes)?,
            Some(path) => {
                let written = File::create(path).and_then(|mut file| file.write_all(&bytes));
                written.map_err(|error| {
                    CliError::Failed(format!("cannot write `{}`: {error}", path.display()))
                })?;
            }
        }
        Ok(Exit::Success)
    }
}

async fn made(station: &Station, created: Timestamp) -> Result<Vec<u8>, CliError> {
    let orders = station.everything(&Platforms::default()).await?;
    let selection = Selection { orders: &orders, since: None, key: None, created };
    let planned =
        crate::archive::export(&station.mirror, station.store(), &station.context, &selection);
    let (plan, _) = planned.await.map_err(super::export::failed)?;
    Ok(plan.inventory().to_vec())
}
