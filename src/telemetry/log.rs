//! The log: what the program says about its own work, on stderr.
//!
//! For a person at a terminal, or one JSON object a line for machines. Everything goes to stderr,
//! because stdout belongs to the answers of commands.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    str::FromStr,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _,
    filter::Targets,
    fmt::{self as format, MakeWriter},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{human::HumanLine, lines::Lines};

/// How to log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSettings {
    /// What to log.
    pub filter: LogFilter,
    /// In which form.
    pub format: LogFormat,
}

/// What to log: a level, or levels by module, such as `info,portcullis::store=debug`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

impl LogFilter {
    /// Warnings and errors.
    #[must_use]
    pub fn warnings() -> Self {
        Self(Targets::new().with_default(LevelFilter::WARN))
    }
}

impl Default for LogFilter {
    /// `info`.
    fn default() -> Self {
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

impl FromStr for LogFilter {
    type Err = ParseLogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut targets = Targets::new();
        for part in text.split(',').map(str::trim) {
            let (target, level) = match part.split_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim()),
                None => (None, part),
            };
            let level = level_named(level).ok_or(ParseLogError::Level)?;
            targets = match target {
                Some("") => return Err(ParseLogError::Level),
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            };
        }
        Ok(Self(targets))
    }
}

/// In which form to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for a person.
    #[default]
    Human,
    /// An object for a machine.
    Json,
}

impl LogFormat {
    /// The spelling in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = ParseLogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Human, Self::Json];
        all.into_iter().find(|format| format.as_str() == text).ok_or(ParseLogError::Format)
    }
}

/// Why a text does not say how to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseLogError {
    /// Not a format.
    #[error("the format of the log is `human` or `json`")]
    Format,
    /// Not a level.
    #[error(
        "the log's level is `off`, `error`, `warn`, `info`, `debug` or `trace`, or a list such as `info,portcullis::store=debug`"
    )]
    Level,
}

/// Starts logging to stderr. Colours only on a terminal, and only where `colours` allows them.
///
/// Only the first call in a process counts.
pub fn start(settings: &LogSettings, colours: bool) {
    install(settings, colours, io::stderr);
}

/// As [`start`], for a program that serves: what is no warning is written by a thread of its own,
/// and the rest of it when the value is dropped.
///
/// # Errors
/// When there can be no thread.
pub fn start_serving(settings: &LogSettings, colours: bool) -> io::Result<Unwritten> {
    let lines = Lines::start(Box::new(io::stderr()))?;
    install(settings, colours, lines.clone());
    Ok(Unwritten(lines))
}

/// Lines of the log that may not be written yet; dropping it writes them.
#[must_use = "the last lines are written when it is dropped"]
pub struct Unwritten(Lines);

impl fmt::Debug for Unwritten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Unwritten").finish_non_exhaustive()
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.0.flush();
    }
}

fn install<W>(settings: &LogSettings, colours: bool, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = format::layer().with_writer(writer);
    let layer = match settings.format {
        LogFormat::Human => {
            layer.with_ansi(colours && io::stderr().is_terminal()).event_format(HumanLine).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    };
    let layer = layer.with_filter(settings.filter.0.clone());
    // A second subscriber is refused, which is what only the first call counts means.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// `LevelFilter` also takes numbers and the empty text, which nobody means.
fn level_named(text: &str) -> Option<LevelFilter> {
    let named = text.starts_with(|first: char| first.is_ascii_alphabetic());
    named.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_levels_and_formats() {
        for good in ["info", "WARN", "off", "info,portcullis::store=debug", "warn, hyper=off"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "debgu", "1", "=info", "portcullis=", "info,", "info,store"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("JSON".parse::<LogFormat>().is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,30}") {
            let _ = text.parse::<LogFilter>();
        }
    }
}
