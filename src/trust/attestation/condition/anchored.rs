//! Patterns that are over a whole text (G-20).
//!
//! `github.com/acme` is found in `https://evil.test/?github.com/acme`, so a pattern has to say where
//! it begins and where it ends, and what it says is then made true for every branch and line of it.

use regex::{Regex, RegexBuilder};

/// The pattern `text`, which begins with `^` and ends with `$`, over a whole text.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn anchored(text: &str) -> Result<Regex, String> {
    let inner = text.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let inner = inner
        .filter(|inner| !ends_in_escape(inner))
        .ok_or("a pattern has to be over the whole text: begin it with `^` and end it with `$`")?;
    // Alone, so that it cannot close the group around it.
    build(inner)?;
    if !alternatives_are_inside(inner) {
        return Err("only a part of this pattern is anchored: write `^(?:one|other)$`".to_owned());
    }
    build(&format!(r"\A(?:{inner})\z"))
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_SIZE)
        .build()
        .map_err(|error| format!("is no pattern: {error}"))
}

/// Whether what follows `text` is escaped by it.
fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Whether every `|` is within parentheses, so that nobody reads `^a|b$` as what it is not.
fn alternatives_are_inside(pattern: &str) -> bool {
    let (mut depth, mut in_class, mut escaped) = (0_usize, false, false);
    for letter in pattern.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => depth += 1,
            ')' if !in_class => depth = depth.saturating_sub(1),
            '|' if !in_class && depth == 0 => return false,
            _ => {}
        }
    }
    true
}

/// Bytes of a compiled pattern.
const MAX_SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g20_a_pattern_is_over_the_whole_text() {
        for (pattern, right, wrong) in [
            (
                "^https://github.com/acme/[a-z]+$",
                "https://github.com/acme/app",
                "https://x/?https://github.com/acme/app",
            ),
            ("^(?:a|b)$", "b", "ab"),
            ("^[|]$", "|", "||"),
            (r"^a\$$", "a$", "a"),
            ("^(?m)a$", "a", "a\nevil"),
            ("^$", "", "x"),
        ] {
            let regex = anchored(pattern).unwrap();
            assert!(regex.is_match(right), "{pattern}");
            assert!(!regex.is_match(wrong), "{pattern}");
        }
    }

    #[test]
    fn g20_g40_refuses_patterns_that_are_loose_or_huge() {
        for pattern in
            ["", "a", "^a", "a$", r"^a\$", "^a|b$", "^a)|(?:b$", "^($", "^(?:a{1000}){1000}$"]
        {
            assert!(anchored(pattern).is_err(), "{pattern} was taken");
        }
    }
}
