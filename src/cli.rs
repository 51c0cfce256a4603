//! The command line: what can be asked, one file per subcommand.
//!
//! Exit codes are a contract: 0 yes, 1 no or failed, 2 wrong usage or configuration, 3 undecided.
//! Answers go to stdout and everything else to stderr; with `--json` stdout is JSON alone.

pub mod audit;
pub mod carry;
pub mod check;
pub mod completions;
pub mod demo;
pub mod failure;
pub mod health;
mod judge;
pub mod keygen;
pub mod output;
mod password;
mod remote;
mod scratch;
pub mod serve;
pub mod shared;
pub mod sign;
mod story;
#[cfg(test)]
mod tests;
pub mod verify;
pub mod why;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use self::{
    failure::{CliError, Exit},
    output::Output,
};
use crate::{config::Variables, environment::Environment};

/// A registry mirror that opens only for signed images.
///
/// Point podman, docker, containerd or any other OCI client at it. It pulls through from upstream
/// registries, keeps what it pulled, and hands out an image only after the policy that covers its
/// repository has admitted it.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version = env!("PORTCULLIS_VERSION"),
    max_term_width = 100,
    after_help = "\
Start here:
  portcullis demo                      see it work, without network
  portcullis keygen release            make a key pair
  portcullis check                     what configuration and policy mean
  portcullis serve                     run the mirror

`portcullis help COMMAND` says more about each."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Audit(audit::Audit),
    Check(check::Check),
    Completions(completions::Completions),
    Demo(demo::Demo),
    Export(Box<carry::export::Export>),
    Health(health::Health),
    Import(Box<carry::import::Import>),
    Inventory(Box<carry::inventory::InventoryCommand>),
    Keygen(keygen::Keygen),
    List(Box<carry::list::List>),
    Seed(Box<carry::seed::Seed>),
    Serve(Box<serve::Serve>),
    Sign(Box<sign::Sign>),
    Verify(Box<verify::Verify>),
    Why(why::Why),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`CliError`] says why it could not be done, and knows the exit code.
    pub async fn run(
        self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        match self.command {
            Command::Audit(audit) => audit.run(variables, environment, output),
            Command::Check(check) => check.run(variables, environment, output),
            Command::Completions(completions) => completions.run(Self::command(), output),
            Command::Demo(demo) => demo.run(environment, output).await,
            Command::Export(export) => export.run(variables, environment, output).await,
            Command::Health(health) => health.run(variables, output),
            Command::Import(import) => import.run(variables, environment, output).await,
            Command::Inventory(inventory) => inventory.run(variables, environment, output).await,
            Command::Keygen(keygen) => keygen.run(&variables, environment, output),
            Command::List(list) => list.run(variables, environment, output).await,
            Command::Seed(seed) => seed.run(variables, environment, output).await,
            Command::Serve(serve) => serve.run(variables, environment, output).await,
            Command::Sign(sign) => sign.run(variables, environment, output).await,
            Command::Verify(verify) => verify.start(variables, environment, output).await,
            Command::Why(why) => why.run(variables, output),
        }
    }
}
