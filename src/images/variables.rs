//! `${NAME:-default}` and its kin, as Dockerfiles and Compose files write them.
//!
//! Dockerfile reference, "Environment replacement"; Compose specification, "Interpolation". Both
//! know `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+instead}` and
//! `${NAME+instead}`; Compose adds `${NAME:?complaint}`. A variable without a value is an error here,
//! where both programs put nothing in its place: an image with a hole in it is nobody's wish.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// What variables are set to from outside.
pub type Values = BTreeMap<String, String>;

/// How a dollar sign is written that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// `\$`: Dockerfiles.
    Backslash,
    /// `$$`: Compose files.
    Doubled,
}

/// Why a text cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubstituteError {
    /// The variable has neither value nor default.
    #[error("`{0}` has no value and no default; give it with `--variable {0}=VALUE`")]
    Unset(String),
    /// A dollar sign that begins nothing.
    #[error("`$` begins no variable here")]
    Syntax,
}

/// `text` with every variable replaced by what `value` says.
pub(super) fn substitute(
    text: &str,
    escape: Escape,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, SubstituteError> {
    substitute_within(text, escape, value, MAX_DEPTH)
}

fn substitute_within(
    text: &str,
    escape: Escape,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Result<String, SubstituteError> {
    let mut replaced = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' if escape == Escape::Backslash => replaced.extend(rest.next()),
            '$' if escape == Escape::Doubled && rest.peek() == Some(&'$') => {
                replaced.extend(rest.next());
            }
            '$' if rest.peek() == Some(&'{') => {
                rest.next();
                let inner = braced(&mut rest).ok_or(SubstituteError::Syntax)?;
                replaced.push_str(&expand(&inner, escape, value, depth)?);
            }
            '$' => {
                let name = name(&mut rest);
                if name.is_empty() {
                    return Err(SubstituteError::Syntax);
                }
                replaced.push_str(&value(&name).ok_or(SubstituteError::Unset(name))?);
            }
            character => replaced.push(character),
        }
    }
    Ok(replaced)
}

/// What stands between `{` and the `}` that closes it.
fn braced(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut inner = String::new();
    let mut open = 1;
    for character in rest.by_ref() {
        match character {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(inner);
        }
        inner.push(character);
    }
    None
}

fn name(rest: &mut Peekable<Chars<'_>>) -> String {
    let word = |character: &char| character.is_ascii_alphanumeric() || *character == '_';
    std::iter::from_fn(|| rest.next_if(word)).collect()
}

fn expand(
    inner: &str,
    escape: Escape,
    value: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Result<String, SubstituteError> {
    let depth = depth.checked_sub(1).ok_or(SubstituteError::Syntax)?;
    let mut rest = inner.chars().peekable();
    let name = name(&mut rest);
    if name.is_empty() {
        return Err(SubstituteError::Syntax);
    }
    let or_empty = rest.next_if_eq(&':').is_some();
    let operator = rest.next();
    let word: String = rest.collect();
    let set = value(&name).filter(|value| !or_empty || !value.is_empty());
    match (operator, set) {
        (None, _) if or_empty => Err(SubstituteError::Syntax),
        (None | Some('?'), None) => Err(SubstituteError::Unset(name)),
        (None | Some('-' | '?'), Some(set)) => Ok(set),
        (Some('-'), None) | (Some('+'), Some(_)) => substitute_within(&word, escape, value, depth),
        (Some('+'), None) => Ok(String::new()),
        (Some(_), _) => Err(SubstituteError::Syntax),
    }
}

/// Defaults inside defaults.
const MAX_DEPTH: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(text: &str, escape: Escape) -> Result<String, SubstituteError> {
        let value = |name: &str| match name {
            "TAG" => Some("1.2".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(text, escape, &value)
    }

    #[test]
    fn puts_values_and_defaults_in_place() {
        for (text, expected) in [
            ("app:$TAG", "app:1.2"),
            ("app:${TAG}-slim", "app:1.2-slim"),
            ("app:${NONE:-3}", "app:3"),
            ("app:${NONE-3}", "app:3"),
            ("app:${EMPTY-3}", "app:"),
            ("app:${EMPTY:-3}", "app:3"),
            ("app${TAG:+:new}", "app:new"),
            ("app${NONE+:new}", "app"),
            ("app:${NONE:-${TAG}}", "app:1.2"),
            ("app:${TAG:?needed}", "app:1.2"),
        ] {
            assert_eq!(put(text, Escape::Doubled).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(put("a$$b", Escape::Doubled).as_deref(), Ok("a$b"));
        assert_eq!(put("a\\$b", Escape::Backslash).as_deref(), Ok("a$b"));
    }

    #[test]
    fn refuses_to_leave_a_hole() {
        let unset = |name: &str| Err(SubstituteError::Unset(name.to_owned()));
        assert_eq!(put("app:$NONE", Escape::Backslash), unset("NONE"));
        assert_eq!(put("app:${NONE:?why}", Escape::Doubled), unset("NONE"));
        for text in ["$", "${", "${}", "${TAG", "${TAG*}", "a$-"] {
            assert_eq!(put(text, Escape::Doubled), Err(SubstituteError::Syntax), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z${}:?+\\\\-]{0,40}") {
            let _ = put(&text, Escape::Doubled);
            let _ = put(&text, Escape::Backslash);
        }

        #[test]
        fn a_text_without_dollars_stays_as_it_is(text in "[a-z0-9:/.@]{0,40}") {
            prop_assert_eq!(put(&text, Escape::Doubled), Ok(text.clone()));
        }
    }
}
