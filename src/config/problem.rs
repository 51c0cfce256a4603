//! What is wrong with a configuration, and where.

use std::{fmt, path::PathBuf};

/// Something wrong, or worrying, in what was configured.
///
/// Prints as `portcullis.toml:12: upstream[0].url: what is wrong` and, on a line of its own, the
/// next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written.
    pub place: Option<Place>,
    /// The setting, as a path: `upstream[0].url`.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it, where that is known.
    pub next_step: Option<String>,
}

impl Problem {
    /// A problem that no place and no setting can be named for yet.
    pub fn new(what: impl Into<String>) -> Self {
        Self { place: None, key: None, what: what.into(), next_step: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }

    /// The same, of this setting.
    #[must_use]
    pub fn of(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same, written there.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        if let Some(key) = &self.key {
            write!(formatter, "`{key}`: ")?;
        }
        formatter.write_str(&self.what)?;
        match &self.next_step {
            Some(step) => write!(formatter, "\n  next: {step}"),
            None => Ok(()),
        }
    }
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file.
    File {
        /// Which one.
        path: PathBuf,
        /// The line, counted from 1, where it is about one.
        line: Option<usize>,
    },
    /// On the command line.
    Option(&'static str),
    /// In the environment.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(formatter, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(formatter, "{}", path.display()),
            Self::Option(name) => write!(formatter, "{name}"),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
        }
    }
}
