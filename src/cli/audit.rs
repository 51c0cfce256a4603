//! `portcullis audit`: questions to the records, one or all at once.
//!
//! Both read the log beside a running mirror, or without one; nothing is asked of anybody.

mod query;
mod report;
mod window;

use clap::{Args, Subcommand};

use super::{
    failure::{CliError, Exit},
    output::Output,
};
use crate::{config::Variables, environment::Environment};

/// Asks the records: who was given or refused what.
#[derive(Args, Clone, Debug)]
pub struct Audit {
    #[command(subcommand)]
    question: Question,
}

#[derive(Clone, Debug, Subcommand)]
enum Question {
    Query(Box<query::Query>),
    Report(Box<report::Report>),
}

impl Audit {
    /// Asks.
    pub(super) fn run(
        &self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        match &self.question {
            Question::Query(query) => query.run(variables, environment, output),
            Question::Report(report) => report.run(variables, environment, output),
        }
    }
}
