//! `portcullis policy`: a policy is tried before it bites.
//!
//! Both commands judge recordings (`verify --record`), so they need no network, and what they say
//! today they will say in a year: the time is part of a case.

mod cases;
mod diff;
mod junit;
mod test;

use std::path::Path;

use clap::{Args, Subcommand};

use super::{
    failure::{CliError, Exit},
    output::Output,
};
use crate::{
    config::{Config, Problem, Variables},
    environment::Environment,
    reload::PolicySource,
    trust::Policy,
};

/// Tries a policy on recorded images: test it, or compare two.
#[derive(Args, Clone, Debug)]
pub struct PolicyCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Diff(diff::Diff),
    Test(test::Test),
}

impl PolicyCommand {
    /// Does it.
    pub(super) async fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        match &self.command {
            Command::Diff(diff) => diff.run(variables, environment, output).await,
            Command::Test(test) => test.run(variables, environment, output).await,
        }
    }
}

/// The policy in `path`, as it would be loaded at the time `environment` shows.
fn load(path: &Path, config: &Config, environment: &Environment) -> Result<Policy, CliError> {
    let source = PolicySource { path: Some(path.to_owned()), ..PolicySource::of(config) };
    match source.load(&config.table, environment.clock.now()) {
        Ok((policy, _)) => Ok(policy),
        Err(problems) => Err(CliError::Config(problems.into_iter().map(Problem::from).collect())),
    }
}
