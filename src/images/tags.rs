//! Patterns over tags: `v1.*` and `^1.2`, as image lists write them.
//!
//! A glob has `*` and `?`. A range is what Cargo and npm mean by `^1.2`, `~1.4`, `>=1.2, <2`; only
//! tags that are whole versions (`1.2.3`, `v1.2.3`) can be inside of one, because `1.2` is a name for
//! whichever patch is newest. Semantic Versioning 2.0.0, 11, says how they are ordered; a tag spells
//! `+` as `_`.

use std::{fmt, str::FromStr};

use semver::{Version, VersionReq};

/// Which tags are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagPattern {
    /// Those that look like it.
    Glob(String),
    /// The versions inside of it.
    Range(VersionReq),
}

impl TagPattern {
    /// Whether `text`, the part of an image after its colon, is a pattern and no tag.
    pub(super) fn is_meant_by(text: &str) -> bool {
        text.contains(['*', '?']) || is_range(text)
    }

    /// Whether it means `tag`.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        match self {
            Self::Glob(glob) => fits(glob.as_bytes(), tag.as_bytes()),
            Self::Range(range) => version(tag).is_some_and(|version| range.matches(&version)),
        }
    }

    /// Those of `tags` that it means; versions in their order, others as they come.
    #[must_use]
    pub fn select<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut selected: Vec<_> = tags.into_iter().filter(|tag| self.matches(tag)).collect();
        if let Self::Range(_) = self {
            selected.sort_by_cached_key(|tag| version(tag));
        }
        selected
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(glob) => formatter.write_str(glob),
            Self::Range(range) => range.fmt(formatter),
        }
    }
}

impl FromStr for TagPattern {
    type Err = TagPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_range(text) {
            return text.parse().map(Self::Range).map_err(TagPatternError::Range);
        }
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte);
        if text.is_empty() || text.len() > MAX_GLOB_LENGTH || !text.bytes().all(right) {
            return Err(TagPatternError::Glob);
        }
        Ok(Self::Glob(text.to_owned()))
    }
}

/// Why a text is not a pattern.
#[derive(Debug, thiserror::Error)]
pub enum TagPatternError {
    /// A character that no tag has.
    #[error(
        "a glob over tags has what tags have, `*` and `?`, and at most {MAX_GLOB_LENGTH} of it"
    )]
    Glob,
    /// No range of versions.
    #[error("not a range of versions such as `^1.2` or `>=1.2, <2`: {0}")]
    Range(semver::Error),
}

fn is_range(text: &str) -> bool {
    text.starts_with(['^', '~', '=', '<', '>'])
}

fn version(tag: &str) -> Option<Version> {
    Version::parse(&tag.strip_prefix('v').unwrap_or(tag).replace('_', "+")).ok()
}

/// Whether `text` fits `glob`: two positions and one way back, so never more than their product.
fn fits(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (at, read) = (after, from + 1);
            }
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

/// As long as a tag may be.
const MAX_GLOB_LENGTH: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn select(pattern: &str, tags: &[&'static str]) -> Vec<&'static str> {
        assert!(TagPattern::is_meant_by(pattern), "{pattern}");
        pattern.parse::<TagPattern>().unwrap().select(tags.iter().copied())
    }

    #[test]
    fn a_glob_matches_whole_tags() {
        let tags = ["v1", "v1.0", "v1.10-slim", "v2.0", "xv1.0"];
        assert_eq!(select("v1.*", &tags), ["v1.0", "v1.10-slim"]);
        assert_eq!(select("*-slim", &tags), ["v1.10-slim"]);
        assert_eq!(select("v?.0", &tags), ["v1.0", "v2.0"]);
        assert_eq!(select("*", &tags), tags);
    }

    #[test]
    fn a_range_matches_whole_versions_in_their_order() {
        let tags =
            ["1.10.0", "1.9.1", "v1.2.3", "1.2", "2.0.0", "1.3.0-rc.1", "1.4.0_build", "latest"];
        assert_eq!(select("^1.2", &tags), ["v1.2.3", "1.4.0_build", "1.9.1", "1.10.0"]);
        assert_eq!(select(">=1.9, <1.10", &tags), ["1.9.1"]);
        assert_eq!(select("~1.2.0", &tags), ["v1.2.3"]);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for bad in ["^one", ">=", "a*b c", "*/x"] {
            assert!(bad.parse::<TagPattern>().is_err(), "{bad}");
        }
        assert!(!TagPattern::is_meant_by("1.2"));
    }

    proptest! {
        #[test]
        fn never_panics_and_prints_what_it_parsed(text in "[a-z0-9.*?^~<>=, -]{0,20}", tag in "[a-z0-9.]{0,20}") {
            if let Ok(pattern) = text.parse::<TagPattern>() {
                prop_assert_eq!(&pattern.to_string().parse::<TagPattern>().unwrap(), &pattern);
                let _ = pattern.matches(&tag);
            }
        }

        #[test]
        fn a_tag_with_a_part_left_out_still_fits(before in "[a-z0-9.]{0,9}", cut in "[a-z0-9.]{0,9}", after in "[a-z0-9.]{0,9}") {
            let glob = TagPattern::Glob(format!("{before}*{after}"));
            let tag = format!("{before}{cut}{after}");
            prop_assert!(glob.matches(&tag));
        }
    }
}
