//! Sizes and durations as people write them: `"512MiB"`, `"90s"`.

use std::{fmt, str::FromStr, time::Duration};

/// A number of bytes. Written as digits with an optional unit: `B`, `KiB`, `MiB`, `GiB`, `TiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        scale(text, &SIZE_UNITS).map(Self).ok_or(ParseUnitError::Size)
    }
}

impl fmt::Display for ByteSize {
    /// The largest unit that divides it, so that printing and parsing round-trip.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            SIZE_UNITS.iter().rev().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = whole.unwrap_or(&SIZE_UNITS[0]);
        write!(formatter, "{}{name}", self.0 / unit)
    }
}

/// A number of bytes as people like to read it: `1.4 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded(pub u64);

impl fmt::Display for Rounded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZE_UNITS.iter().rev().find(|(_, unit)| *unit > 1 && self.0 >= *unit) {
            None => write!(formatter, "{} B", self.0),
            // Tenths, rounded down, without a detour over floating point.
            Some((name, unit)) => {
                let (whole, tenth) = (self.0 / unit, self.0 % unit * 10 / unit);
                write!(formatter, "{whole}.{tenth} {name}")
            }
        }
    }
}

/// Parses a duration: digits with a unit, `ms`, `s`, `m`, `h` or `d`.
///
/// # Errors
/// [`ParseUnitError::Duration`] for anything else.
pub fn parse_duration(text: &str) -> Result<Duration, ParseUnitError> {
    if !text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return Err(ParseUnitError::Duration);
    }
    scale(text, &DURATION_UNITS).map(Duration::from_millis).ok_or(ParseUnitError::Duration)
}

/// Why a text is not a size or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUnitError {
    /// Not a duration.
    #[error(
        "a duration is a whole number and a unit (`ms`, `s`, `m`, `h`, `d`), such as `\"90s\"`"
    )]
    Duration,
    /// Not a size.
    #[error(
        "a size is a whole number and a unit (`B`, `KiB`, `MiB`, `GiB`, `TiB`), such as `\"512MiB\"`"
    )]
    Size,
}

const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

fn scale(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1,
        _ => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!("512MiB".parse(), Ok(ByteSize(512 << 20)));
        assert_eq!("0".parse(), Ok(ByteSize(0)));
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "MiB", "1.5GiB", "-1", "1 GiB", "1GB", "99999999999TiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
        for bad in ["", "s", "90", "1w", "1.5s", "-1s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn sizes_round_trip(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
    }
}
