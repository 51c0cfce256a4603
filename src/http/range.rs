//! `Range` of a request: which bytes of a blob are wanted.
//!
//! RFC 9110, 14.1.2 and 14.2. One range of bytes is answered with `206`; a range that starts behind
//! the end with `416`; everything else (several ranges, another unit, bad syntax) is ignored, as the
//! RFC allows, and answered with the whole blob. Clients that ask for several ranges
//! (containers/image with zstd:chunked) take the whole.

/// What a request for a range gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These bytes of it.
    Part(Span),
    /// None of the bytes asked for are there.
    Unsatisfiable,
    /// All of it.
    Whole,
}

/// Bytes `start..end` of a blob; never empty when it comes from a [`Selection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

impl Span {
    /// The number of bytes.
    #[must_use]
    pub const fn length(self) -> u64 {
        self.end - self.start
    }
}

impl Selection {
    /// What the value `text` of a `Range` header selects of a blob of `size` bytes.
    #[must_use]
    pub fn parse(text: &str, size: u64) -> Self {
        let Some(set) = text
            .split_once('=')
            .and_then(|(unit, set)| unit.trim_ascii().eq_ignore_ascii_case("bytes").then_some(set))
        else {
            return Self::Whole;
        };
        // An element of a list may be empty: RFC 9110, 5.6.1.
        let mut ranges = set.split(',').map(str::trim_ascii).filter(|range| !range.is_empty());
        match (ranges.next(), ranges.next()) {
            (Some(range), None) => Self::one(range, size),
            _ => Self::Whole,
        }
    }

    fn one(range: &str, size: u64) -> Self {
        match range.split_once('-').map(|(first, last)| (number(first), number(last))) {
            Some((Number::Absent, Number::Is(0))) => Self::Unsatisfiable,
            // The suffix of nothing is nothing, which no `Content-Range` can say.
            Some((Number::Absent, Number::Is(_))) if size == 0 => Self::Whole,
            Some((Number::Absent, Number::Is(length))) => {
                Self::Part(Span { start: size.saturating_sub(length), end: size })
            }
            Some((Number::Is(first), Number::Is(last))) if last < first => Self::Whole,
            Some((Number::Is(first), Number::Absent | Number::Is(_))) if first >= size => {
                Self::Unsatisfiable
            }
            Some((Number::Is(start), Number::Absent)) => Self::Part(Span { start, end: size }),
            Some((Number::Is(start), Number::Is(last))) => {
                Self::Part(Span { start, end: last.saturating_add(1).min(size) })
            }
            None | Some((Number::Invalid, _) | (_, Number::Invalid) | (Number::Absent, _)) => {
                Self::Whole
            }
        }
    }
}

enum Number {
    Absent,
    Invalid,
    /// Its value, or the largest there is: no blob is longer.
    Is(u64),
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Absent
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Invalid
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(start: u64, end: u64) -> Selection {
        Selection::Part(Span { start, end })
    }

    #[test]
    fn selects_one_range_of_any_form() {
        for (text, size, selection) in [
            ("bytes=0-0", 10, part(0, 1)),
            ("bytes=2-5", 10, part(2, 6)),
            ("bytes=2-", 10, part(2, 10)),
            ("bytes=-3", 10, part(7, 10)),
            ("bytes=-30", 10, part(0, 10)),
            ("bytes=5-99999999999999999999", 10, part(5, 10)),
            ("Bytes = 0-1", 10, part(0, 2)),
            ("bytes=,0-1 ,", 10, part(0, 2)),
        ] {
            assert_eq!(Selection::parse(text, size), selection, "{text}");
        }
    }

    #[test]
    fn a_range_behind_the_end_cannot_be_satisfied() {
        for (text, size) in [
            ("bytes=10-", 10),
            ("bytes=10-11", 10),
            ("bytes=-0", 10),
            ("bytes=0-", 0),
            ("bytes=99999999999999999999-", 10),
        ] {
            assert_eq!(Selection::parse(text, size), Selection::Unsatisfiable, "{text}");
        }
    }

    #[test]
    fn ignores_what_is_no_single_range_of_bytes() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-2",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=0-1,3-4",
            "bytes=0-1,99-",
            "lines=0-1",
            "bytes 0-1",
            "bytes=0x1-2",
        ] {
            assert_eq!(Selection::parse(text, 10), Selection::Whole, "{text}");
        }
        assert_eq!(Selection::parse("bytes=-5", 0), Selection::Whole);
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_inside(text in ".*", size: u64) {
            if let Selection::Part(span) = Selection::parse(&text, size) {
                prop_assert!(span.start < span.end && span.end <= size);
            }
        }

        #[test]
        fn a_range_inside_is_what_it_says(first in 0..1000_u64, length in 1..1000_u64, more in 0..1000_u64) {
            let (end, size) = (first + length, first + length + more);
            let text = format!("bytes={first}-{}", end - 1);
            prop_assert_eq!(Selection::parse(&text, size), part(first, end));
            prop_assert_eq!(Selection::parse(&format!("bytes=-{length}"), size), part(size - length, size));
        }
    }
}
