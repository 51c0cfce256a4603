//! `Content-Range`: which part of a blob an answer is (RFC 9110, 14.4).

use std::str::FromStr;

use http::{HeaderMap, header::CONTENT_RANGE};

/// `bytes first-last/total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// The position of the first byte.
    pub(super) first: u64,
    /// The position of the last byte: not before the first.
    pub(super) last: u64,
    /// The length of the whole, beyond the last byte; absent where the upstream does not know it.
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// The range that `headers` announce.
    ///
    /// # Errors
    /// When there is none, several, or one that makes no sense.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, MalformedRange> {
        let mut values = headers.get_all(CONTENT_RANGE).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().map_err(|_| MalformedRange)?.parse(),
            _ => Err(MalformedRange),
        }
    }
}

impl FromStr for ContentRange {
    type Err = MalformedRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (unit, range) = text.trim().split_once(' ').ok_or(MalformedRange)?;
        let (part, total) = range.trim_start().split_once('/').ok_or(MalformedRange)?;
        let (first, last) = part.split_once('-').ok_or(MalformedRange)?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let (first, last) = (number(first)?, number(last)?);
        let fits = first <= last && total.is_none_or(|total| last < total);
        if !unit.eq_ignore_ascii_case("bytes") || !fits {
            return Err(MalformedRange);
        }
        Ok(Self { first, last, total })
    }
}

/// The answer does not say which part it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its `Content-Range` header cannot be read")]
pub(super) struct MalformedRange;

/// Digits alone: `str::parse` would take a sign.
fn number(text: &str) -> Result<u64, MalformedRange> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MalformedRange);
    }
    text.parse().map_err(|_| MalformedRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_ranges_that_make_no_sense() {
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 0-9",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes 0-/10",
            "bytes -9/10",
            "items 0-9/10",
            "bytes +0-9/10",
            "bytes 0-9/10, 0-9/10",
            "bytes 0-9/",
            "bytes 0-18446744073709551616/*",
            "bytes 0 - 9/10",
        ] {
            assert_eq!(bad.parse::<ContentRange>(), Err(MalformedRange), "{bad}");
        }
        let open: ContentRange = "BYTES 5-9/*".parse().unwrap();
        assert_eq!(open, ContentRange { first: 5, last: 9, total: None });
    }

    proptest! {
        #[test]
        fn ranges_round_trip(first in 0..1000u64, length in 1..1000u64, rest in 0..1000u64) {
            let last = first + length - 1;
            let range = ContentRange { first, last, total: Some(last + 1 + rest) };
            let text = format!("bytes {first}-{last}/{}", last + 1 + rest);
            prop_assert_eq!(text.parse(), Ok(range));
        }

        #[test]
        fn parsing_never_panics(text in "(bytes )?[0-9*/ +-]{0,24}") {
            let _ = text.parse::<ContentRange>();
        }
    }
}
