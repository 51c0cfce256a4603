//! Markdown, for the summary of a job or a comment on a change: a table, and below it what to do.

use std::io::{self, Write};

use super::{Answer, answer::Counts};
use crate::trust::Outcome;

/// Writes `answers` as one document.
///
/// # Errors
/// When `to` does not take it.
pub(super) fn write(answers: &[Answer], to: &mut dyn Write) -> io::Result<()> {
    let Counts { admitted, denied, undecided } = Counts::of(answers);
    writeln!(to, "## Image verification\n")?;
    writeln!(to, "{admitted} admitted, {denied} denied, {undecided} undecided\n")?;
    writeln!(to, "| outcome | image | reason | in |\n| --- | --- | --- | --- |")?;
    for answer in answers {
        let places: Vec<_> = answer.places.iter().map(|place| code(&place.to_string())).collect();
        writeln!(
            to,
            "| {} | {} | {} | {} |",
            outcome(answer),
            code(&answer.name()),
            answer.reason(),
            places.join("<br>")
        )?;
    }
    let refused = || answers.iter().filter(|answer| answer.outcome() != Outcome::Admitted);
    for answer in refused() {
        writeln!(to, "\n### {}\n\n{}", code(&answer.name()), text(&answer.message()))?;
        if !answer.next_step().is_empty() {
            writeln!(to, "\n**Next:** {}", text(answer.next_step()))?;
        }
    }
    Ok(())
}

fn outcome(answer: &Answer) -> &'static str {
    match answer.outcome() {
        Outcome::Admitted if answer.is_tolerated() => "⚠️ admitted, not enforced",
        Outcome::Admitted => "✅ admitted",
        Outcome::Denied => "❌ denied",
        Outcome::Undecided => "❓ undecided",
    }
}

/// `found` as code inside of a table (CommonMark 0.31, 6.1; GitHub's tables end cells at `|`).
fn code(found: &str) -> String {
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let found: String = found.chars().map(clean).collect();
    format!("`{}`", found.replace('`', "'").replace('|', "\\|"))
}

/// `found` as text: its own backticks stay, since messages mark names with them; nothing in it can
/// begin a tag, a link, an image or a new block.
fn text(found: &str) -> String {
    let mut safe = String::new();
    for character in found.chars() {
        match character {
            '<' | '[' | ']' | '!' | '*' | '_' | '|' | '\\' if !is_in_code(&safe) => {
                safe.push('\\');
                safe.push(character);
            }
            character if character.is_control() => safe.push(' '),
            character => safe.push(character),
        }
    }
    safe
}

fn is_in_code(before: &str) -> bool {
    before.matches('`').count() % 2 == 1
}
