//! How a command ends.

use std::{fmt, io, process::ExitCode};

use crate::{
    config::{Place, Problem, Rejected},
    trust,
};

/// How a command ended that could do its work. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and the answer is yes.
    Success,
    /// The answer is no: denied, not ready, nothing recorded.
    No,
    /// Nobody can tell now.
    Undecided,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::No => Self::from(1),
            Exit::Undecided => Self::from(3),
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum CliError {
    /// The configuration or the policy is wrong: exit 2.
    Config(Vec<Problem>),
    /// It tried and failed: exit 1.
    Failed(String),
    /// The answer cannot be written: exit 1, and silent when the reader has gone.
    Output(io::Error),
    /// It was asked for something that cannot be: exit 2.
    Usage(String),
}

impl CliError {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::from(2),
            // A reader like `head` that has seen enough is no failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Output(_) => ExitCode::FAILURE,
        }
    }

    /// Whether there is anything to say about it.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => {
                let count = problems.len();
                let plural = if count == 1 { "" } else { "s" };
                write!(formatter, "{count} problem{plural} in configuration or policy:")?;
                problems.iter().try_for_each(|problem| write!(formatter, "\n{problem}"))
            }
            Self::Failed(what) | Self::Usage(what) => formatter.write_str(what),
            Self::Output(error) => write!(formatter, "cannot write the answer: {error}"),
        }
    }
}

impl std::error::Error for CliError {}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Rejected> for CliError {
    fn from(rejected: Rejected) -> Self {
        Self::Config(rejected.problems)
    }
}

/// A problem of the policy, in the form that those of the configuration have.
impl From<trust::Problem> for Problem {
    fn from(problem: trust::Problem) -> Self {
        let told = Self::new(problem.what)
            .at(Some(Place::File { path: problem.file, line: problem.line }));
        let told = if problem.next_step.is_empty() { told } else { told.next(problem.next_step) };
        if problem.key.is_empty() { told } else { told.of(problem.key) }
    }
}

/// A warning of the policy, in the same form.
impl From<trust::Warning> for Problem {
    fn from(warning: trust::Warning) -> Self {
        let told = Self::new(warning.what)
            .at(Some(Place::File { path: warning.file, line: warning.line }));
        if warning.key.is_empty() { told } else { told.of(warning.key) }
    }
}
