//! Points in time as records and policies write them: RFC 3339, in UTC when written.
//!
//! Records carry milliseconds, `2026-01-31T08:00:00.250Z`; what is read may carry any fraction and
//! any offset. Only years 1970 to 9999 exist, which is what four digits and an unsigned clock share.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A point in time. Printing cuts to milliseconds; printing what was parsed changes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub SystemTime);

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / DAY, since.as_secs() % DAY);
        let (year, month, day) = civil_date(days);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            second / 3600,
            second / 60 % 60,
            second % 60,
            since.subsec_millis()
        )
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Self).ok_or(ParseTimestampError)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is not a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as RFC 3339 says, such as `2026-01-31T08:00:00Z`")]
pub struct ParseTimestampError;

/// Seconds in a day; RFC 3339 has no leap seconds that matter here.
const DAY: u64 = 86_400;

fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = match date.as_bytes() {
        [_, _, _, _, b'-', _, _, b'-', _, _] => {
            (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?)
        }
        _ => return None,
    };
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (hour, minute, second) = clock_parts(clock)?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            (nanoseconds(&rest[..digits])?, &rest[digits..])
        }
        None => (0, rest),
    };
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return None;
    }
    let local = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(i64::try_from(local).ok()? - offset_seconds(rest)?).ok()?;
    Some(UNIX_EPOCH + Duration::new(seconds, fraction))
}

fn clock_parts(text: &str) -> Option<(u64, u64, u64)> {
    let [_, _, b':', _, _, b':', _, _] = text.as_bytes() else { return None };
    let (hour, minute, second) = (number(&text[..2])?, number(&text[3..5])?, number(&text[6..])?);
    (hour < 24 && minute < 60 && second < 60).then_some((hour, minute, second))
}

/// How far local time is ahead of UTC.
fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, minute, _) = clock_parts(&format!("{}:00", text.get(1..6)?))?;
    let whole = text.len() == 6;
    whole.then_some(sign * i64::try_from(hour * 3600 + minute * 60).ok()?)
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn nanoseconds(digits: &str) -> Option<u32> {
    let kept = digits.get(..digits.len().min(9))?;
    let scale = 10_u32.pow(u32::try_from(9 - kept.len()).ok()?);
    kept.parse::<u32>().ok()?.checked_mul(scale)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch. A year counts from March, so that the leap day comes last.
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - DAYS_TO_EPOCH
}

/// The reverse of [`days_from_civil`].
const fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_EPOCH;
    let (era, rest) = (days / 146_097, days % 146_097);
    let year = (rest - rest / 1_460 + rest / 36_524 - rest / 146_096) / 365;
    let day_of_year = rest - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year + era * 400;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_TO_EPOCH: u64 = 719_468;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn writes_and_reads_known_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(at(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(at(seconds)));
        }
    }

    #[test]
    fn reads_offsets_and_fractions() {
        assert_eq!("2026-01-01T01:30:00+01:30".parse(), Ok(at(1_767_225_600)));
        assert_eq!("2025-12-31T23:00:00-01:00".parse(), Ok(at(1_767_225_600)));
        let half: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        assert_eq!(half.to_string(), "2026-01-01T00:00:00.500Z");
    }

    #[test]
    fn refuses_what_is_no_time() {
        for bad in [
            "",
            "2026-01-01",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00+01:00x",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trip(seconds in 0_u64..253_402_300_800, milliseconds in 0_u64..1000) {
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + milliseconds);
            prop_assert_eq!(Timestamp(time).to_string().parse(), Ok(Timestamp(time)));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}|[0-9T:.Z+-]{0,40}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
