//! Conditions: what an attestation has to say, as an expression of the Common Expression Language.
//!
//! ```text
//! predicate.scanner.result.all(found, found.severity != 'critical') && timestamp(predicate.scanned) > now - duration('168h')
//! ```
//!
//! It is over `predicate`; `subject`, the statement's entry for the manifest that is judged; `image`,
//! which has `upstream`, `repository`, `name` and `digest`; and `now`. It is compiled when the policy
//! is loaded, and then it holds or does not: a missing field, a value of another kind, a result that
//! is neither true nor false do not hold, and say why. What costs too much is undecided.
//!
//! The language is read by the `cel` crate and evaluated here, over the document as it was parsed. The
//! crate's own evaluator copies the document into values of its own, and neither it nor a thread with
//! a deadline around it can be made to stop: a bill of materials has 100,000 entries, and one `all`
//! inside another is ten thousand million steps. Here every step is [paid for](value::Fuel), so the
//! same condition over the same attestation has the same end on every machine.

mod anchored;
mod evaluate;
mod term;
mod value;

use std::{fmt, time::SystemTime};

use self::{
    evaluate::{Machine, Stop},
    term::{Literal, Term},
};
use crate::trust::json::Json;

/// A condition that was compiled.
#[derive(Clone)]
pub struct Condition {
    text: String,
    /// What is joined by `&&`, each with its text. Not empty.
    parts: Vec<(String, Term)>,
}

/// What is wrong with the text of a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at line {line}, column {column} of the condition: {what}")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    /// From 1, in letters.
    pub column: usize,
    /// In words.
    pub what: String,
}

/// What a condition is over.
#[derive(Clone, Copy, Debug)]
pub(in crate::trust) struct Scope<'v> {
    pub(in crate::trust) predicate: &'v Json,
    pub(in crate::trust) subject: &'v Json,
    pub(in crate::trust) image: &'v Json,
    pub(in crate::trust) now: SystemTime,
}

/// Why a condition does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Unmet {
    /// In words.
    False(String),
    /// It would cost too much to find out.
    TooCostly,
}

/// More was to be done than is ever done.
#[derive(Debug)]
struct Limited;

impl Condition {
    /// Compiles `text`.
    ///
    /// # Errors
    /// Where it is wrong and how.
    pub fn compile(text: &str) -> Result<Self, Mistake> {
        if text.len() > MAX_LENGTH {
            return Err(Mistake::at(text, 0, format!("is longer than {MAX_LENGTH} bytes")));
        }
        let parts = with_stack(|| term::compile(text))
            .unwrap_or_else(|| Err(Mistake::at(text, 0, "cannot be read")))?;
        if let [(_, Term::Literal(literal))] = parts.as_slice()
            && !matches!(literal, Literal::Bool(_))
        {
            return Err(Mistake::at(text, 0, "is always the same, and neither true nor false"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The condition as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates it over whatever `statement` holds, for the fuzzer, which has no signer.
    #[cfg(fuzzing)]
    pub fn try_over(&self, statement: &[u8]) {
        use crate::trust::attestation::statement::Statement;
        let Ok(statement) = Statement::parse(statement) else { return };
        let predicate = &statement.predicate;
        let now = SystemTime::UNIX_EPOCH;
        let _ = self.holds(Scope { predicate, subject: predicate, image: &Json::Null, now });
    }

    /// Whether it holds in `scope`, and until when: `None` for ever.
    ///
    /// # Errors
    /// Which part of it does not, and why.
    pub(in crate::trust) fn holds(&self, scope: Scope<'_>) -> Result<Option<SystemTime>, Unmet> {
        let mut machine = Machine::new(scope);
        for (text, part) in &self.parts {
            let what = match machine.truth(part) {
                Ok(true) => continue,
                Ok(false) => format!("is false{}", found(&mut machine, part)),
                Err(Stop::Wrong(what)) => format!("cannot be told: it {what}"),
                Err(Stop::Limited) => return Err(Unmet::TooCostly),
            };
            return Err(Unmet::False(format!("`where` is not met: `{text}` {what}")));
        }
        Ok(machine.until())
    }
}

/// Runs `compile` on a stack of its own, because the reader of the language needs tens of kilobytes for
/// each level of parentheses and would end the process where there are not so many. `None` when it
/// panics, or there is no room.
fn with_stack<T: Send>(compile: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
        thread.ok()?.join().ok()
    })
}

/// What is there instead of what a comparison wants.
fn found<'v>(machine: &mut Machine<'v>, part: &'v Term) -> String {
    let Term::Compare(_, sides) = part else { return String::new() };
    let Some(side) = sides.iter().find(|side| !matches!(side, Term::Literal(_) | Term::List(_)))
    else {
        return String::new();
    };
    let shown = machine.value(side).ok().and_then(|value| value.shown());
    shown.map(|shown| format!(", there is `{shown}`")).unwrap_or_default()
}

impl Mistake {
    /// At the letter `position` of `text`, from 0.
    fn at(text: &str, position: usize, what: impl Into<String>) -> Self {
        let before: Vec<char> = text.chars().take(position).collect();
        let line = 1 + before.iter().filter(|letter| **letter == '\n').count();
        let column = 1 + before.iter().rev().take_while(|letter| **letter != '\n').count();
        Self { line, column, what: what.into() }
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Condition").field(&self.text).finish()
    }
}

/// Bytes for reading a condition, of which no more is used than it needs.
const STACK: usize = 64 << 20;
/// Bytes of a condition.
const MAX_LENGTH: usize = 4096;

#[cfg(test)]
mod tests;
