//! Since when: `30d`, or a day or time as RFC 3339 writes it.

use std::{str::FromStr, time::Duration};

use crate::{timestamp::Timestamp, units::parse_duration};

/// How far back a question goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From this long before now.
    Ago(Duration),
    /// From then.
    Time(Timestamp),
}

impl Since {
    /// The point in time, seen from `now`.
    pub(super) fn from(self, now: std::time::SystemTime) -> Timestamp {
        match self {
            Self::Ago(ago) => Timestamp(now.checked_sub(ago).unwrap_or(std::time::UNIX_EPOCH)),
            Self::Time(time) => time,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ago) = parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let time = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
        time.map(Self::Time).map_err(|_| {
            "write how long ago, such as `30d`, or a day, such as `2026-01-31`".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_long_ago_and_since_when() {
        let day: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        assert_eq!("2026-01-31".parse(), Ok(Since::Time(day)));
        assert_eq!("2026-01-31T00:00:00Z".parse(), Ok(Since::Time(day)));
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!("7d".parse(), Ok(Since::Ago(week)));
        assert_eq!(Since::Ago(week).from(day.0).to_string(), "2026-01-24T00:00:00.000Z");
        assert!("yesterday".parse::<Since>().is_err());
    }
}
