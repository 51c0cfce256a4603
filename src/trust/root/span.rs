//! The time for which a trust root vouches for something: `validFor`.

use std::{fmt, time::SystemTime};

use crate::timestamp::Timestamp;

/// A span of time with both its ends. Without a beginning it is for no time: whoever left it out has
/// not said since when, and "always" would be the most that they can have meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::trust) struct Span {
    start: Option<SystemTime>,
    end: Option<SystemTime>,
}

impl Span {
    /// The span from `start` to `end`; without an end it goes on.
    pub(super) const fn new(start: Option<SystemTime>, end: Option<SystemTime>) -> Self {
        Self { start, end }
    }

    /// Whether `at` is in it. Both ends are.
    pub(in crate::trust) fn contains(&self, at: SystemTime) -> bool {
        self.start.is_some_and(|start| start <= at) && self.end.is_none_or(|end| at <= end)
    }

    /// Whether it says since when.
    pub(in crate::trust) const fn has_start(&self) -> bool {
        self.start.is_some()
    }

    /// Its last moment.
    pub(in crate::trust) const fn end(&self) -> Option<SystemTime> {
        self.end
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Some(start) => write!(formatter, "from {}", Timestamp(start))?,
            None => formatter.write_str("for no time, because it has no start")?,
        }
        self.end.map_or(Ok(()), |end| write!(formatter, " to {}", Timestamp(end)))
    }
}
