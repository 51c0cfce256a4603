//! What a text in a certificate must be: exactly something, a pattern by segments, or a regular
//! expression.
//!
//! | written | means |
//! | --- | --- |
//! | `https://github.com/acme/app` | just this |
//! | `https://github.com/acme/*/.github/workflows/release.yml@refs/tags/v*` | `*` is any part of one segment |
//! | `https://github.com/acme/**` | `**` is any number of whole segments |
//! | `^https://github\.com/acme/(app\|web)@refs/tags/.*$` | a regular expression over the whole text |
//!
//! Segments end at `/`, and `*` also stops at `@`: in a workflow's identity that is where the file ends and
//! the branch begins, and a branch may be called anything, `x/release.yml@refs/tags/v1` among it. So a
//! `**` in the middle crosses no `@` either; at the end it takes whatever is left.
//!
//! A regular expression says so by `^` and `$`, both of them, and is held against the whole text whatever
//! alternatives and flags it has inside (G-20). All three become one linear-time automaton (G-40).

use std::fmt;

use regex::{Regex, RegexBuilder};

/// What a text must be.
#[derive(Clone, Debug)]
pub struct Matcher {
    text: String,
    is_exact: bool,
    regex: Regex,
}

/// Why a text is not a matcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Matches whatever there is.
    #[error("`{0}` is anybody: write at least the beginning of whom you mean")]
    Anybody(String),
    /// `**` with something beside it.
    #[error("`**` stands for whole segments: write it between two `/` or at the end")]
    Beside,
    /// Longer than any identity.
    #[error("it is longer than {MAX_TEXT} characters")]
    Long,
    /// No regular expression that is taken.
    #[error("it is not a regular expression: {0}")]
    Regex(String),
    /// A regular expression that could match in the middle of a text.
    #[error("it reads like a regular expression and is not anchored: write `^...$`")]
    Unanchored,
}

impl Matcher {
    /// Reads `text`.
    ///
    /// # Errors
    /// When it says something else than was probably meant.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        if text.len() > MAX_TEXT {
            return Err(MatcherError::Long);
        }
        if let Some(inside) = text.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) {
            return Self::compile(text, &format!("(?:{inside})"));
        }
        if looks_like_regex(text) {
            return Err(MatcherError::Unanchored);
        }
        Self::compile(text, &glob(text)?)
    }

    /// Whether it matches exactly one text.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether it is a regular expression.
    #[must_use]
    pub fn is_regex(&self) -> bool {
        self.text.starts_with('^')
    }

    /// Whether `text` is what it must be.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    fn compile(text: &str, pattern: &str) -> Result<Self, MatcherError> {
        let one_line = |error: regex::Error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        };
        // Alone first, so that it cannot close the group that is put around it.
        let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(MAX_AUTOMATON).build();
        build(pattern)
            .and_then(|_| build(&format!(r"\A(?s:{pattern})\z")))
            .map(|regex| Self { text: text.to_owned(), is_exact: is_exact(text), regex })
            .map_err(|error| MatcherError::Regex(one_line(error)))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn is_exact(text: &str) -> bool {
    !text.starts_with('^') && !text.contains('*')
}

/// What nobody writes who means a plain text. `.`, `+`, `?` and brackets stand in real identities.
fn looks_like_regex(text: &str) -> bool {
    text.starts_with('^')
        || text.ends_with('$')
        || text.contains(['\\', '|', '('])
        || text.contains(".+")
        || text.split('/').any(|segment| segment == ".*")
}

/// The regular expression of a pattern by segments.
fn glob(text: &str) -> Result<String, MatcherError> {
    let segments: Vec<_> = text.split('/').collect();
    if segments[0].starts_with('*') && !text.contains('@') {
        return Err(MatcherError::Anybody(text.to_owned()));
    }
    let mut pattern = String::new();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "**" if is_last => pattern.push_str("(?:/.*)?"),
            "**" => pattern.push_str("(?:/[^/@]+)*"),
            segment if segment.contains("**") => return Err(MatcherError::Beside),
            segment => {
                let slash = if at == 0 { "" } else { "/" };
                let any = if segment == "*" { "[^/@]+" } else { "[^/@]*" };
                let parts: Vec<_> = segment.split('*').map(regex::escape).collect();
                pattern.push_str(slash);
                pattern.push_str(&parts.join(any));
            }
        }
    }
    Ok(pattern)
}

/// Characters of a matcher. The longest real identities have 300.
const MAX_TEXT: usize = 1024;
/// Bytes of a compiled regular expression.
const MAX_AUTOMATON: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matcher(text: &str) -> Matcher {
        Matcher::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn matches_by_segments() {
        const RELEASE: &str =
            "https://github.com/acme/*/.github/workflows/release.yml@refs/tags/v*";
        let release = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0";
        for (text, right, wrong) in [
            (
                RELEASE,
                vec![release],
                vec![
                    &*release.replace("acme/app", "acme/app/more"),
                    &release.replace("acme/app", "acme/"),
                    &release.replace("acme", "acme2"),
                    &release.replace("v1.0", "v1/x"),
                    &release.replace("tags", "heads"),
                    &release.replace("release.yml", "release_yml"),
                    &format!("{release}\n"),
                    &format!("x{release}"),
                ],
            ),
            (
                "https://github.com/acme/**",
                vec![release, "https://github.com/acme", "https://github.com/acme/"],
                vec!["https://github.com/acme2", "http://github.com/acme/app"],
            ),
            (
                "*@acme.test",
                vec!["dev@acme.test", "@acme.test"],
                vec!["dev@evil.test@acme.test", "dev@acme.test.evil", "dev@acmeXtest"],
            ),
            ("dev@acme.test", vec!["dev@acme.test"], vec!["Dev@acme.test", "dev@acme_test"]),
            ("a/**/c", vec!["a/c", "a/b/c", "a/b/b/c"], vec!["a/b", "a/b@x/c", "ac", "a//c"]),
        ] {
            let matcher = matcher(text);
            right.iter().for_each(|one| assert!(matcher.matches(one), "{text}: {one}"));
            wrong.iter().for_each(|one| assert!(!matcher.matches(one), "{text}: {one}"));
        }
    }

    #[test]
    fn g24_a_branch_cannot_pass_for_a_file() {
        let any = matcher("https://github.com/acme/**/release.yml@refs/tags/v*");
        let flow = "https://github.com/acme/app/.github/workflows";
        assert!(any.matches(&format!("{flow}/release.yml@refs/tags/v1")));
        assert!(!any.matches(&format!("{flow}/evil.yml@refs/heads/x/release.yml@refs/tags/v1")));
    }

    #[test]
    fn g20_a_regular_expression_is_anchored() {
        let host = matcher(r"^https://github\.com/acme/.*$");
        assert!(host.matches("https://github.com/acme/app"));
        for wrong in [
            "https://evil.test/?https://github.com/acme/app",
            "https://githubXcom/acme/app",
            "x\nhttps://github.com/acme/app",
        ] {
            assert!(!host.matches(wrong), "{wrong}");
        }
        // Alternatives and flags inside do not reach out of the anchors.
        for text in ["^a|b$", "^(?m)a|b$", "^(?:a)|b$"] {
            let either = matcher(text);
            assert!(either.matches("a") && either.matches("b"), "{text}");
            for wrong in ["ax", "xb", "x\nb", "a\nx", "b\n"] {
                assert!(!either.matches(wrong), "{text}: {wrong}");
            }
        }
    }

    #[test]
    fn g20_refuses_what_says_something_else_than_was_meant() {
        for (text, error) in [
            (r"https://github\.com/acme/app", MatcherError::Unanchored),
            ("https://github.com/acme/.*", MatcherError::Unanchored),
            ("https://github.com/.+/app", MatcherError::Unanchored),
            ("^https://github.com/acme/app", MatcherError::Unanchored),
            ("https://github.com/acme/app$", MatcherError::Unanchored),
            ("a@b.test|c@d.test", MatcherError::Unanchored),
            ("https://github.com/a**/x", MatcherError::Beside),
            ("**", MatcherError::Anybody("**".to_owned())),
            ("*", MatcherError::Anybody("*".to_owned())),
            ("*/app", MatcherError::Anybody("*/app".to_owned())),
        ] {
            assert_eq!(Matcher::parse(text).err(), Some(error), "{text}");
        }
        assert_eq!(Matcher::parse(&"x".repeat(1025)).err(), Some(MatcherError::Long));
        // What would close the group around it, cannot be compiled, or grows too large.
        for text in ["^a)(?:b$", "^[$", "^(?:x{1000}){1000}$"] {
            assert!(matches!(Matcher::parse(text), Err(MatcherError::Regex(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_stars_matches_itself_alone(
            text in "[a-z:./@?+\\[\\]{}-]{1,30}",
            other in "[a-z:./@?+\\[\\]{}-]{1,30}",
        ) {
            if let Ok(matcher) = Matcher::parse(&text) {
                prop_assert!(matcher.is_exact());
                prop_assert!(matcher.matches(&text));
                prop_assert_eq!(matcher.matches(&other), text == other);
            }
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}", other in "\\PC{0,40}") {
            if let Ok(matcher) = Matcher::parse(&text) {
                let _ = matcher.matches(&other);
            }
        }
    }
}
