//! JUnit XML, as Jenkins, GitLab and most others read it: a suite for each file, a case for each
//! image. What is denied is a failure, what nobody could judge is an error.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{Answer, answer::Counts};
use crate::trust::Outcome;

/// Writes `answers` as one document.
///
/// # Errors
/// When `to` does not take it.
pub(super) fn write(answers: &[Answer], to: &mut dyn Write) -> io::Result<()> {
    let mut suites: BTreeMap<&str, Vec<(&Answer, Option<usize>)>> = BTreeMap::new();
    for answer in answers {
        for place in &answer.places {
            suites.entry(&place.file).or_default().push((answer, Some(place.line)));
        }
        if answer.places.is_empty() {
            suites.entry(COMMAND_LINE).or_default().push((answer, None));
        }
    }
    writeln!(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    let cases = suites.values().flatten().map(|(answer, _)| *answer);
    writeln!(to, "<testsuites name=\"portcullis verify\"{}>", totals(cases))?;
    for (file, cases) in &suites {
        let totals = totals(cases.iter().map(|(answer, _)| *answer));
        writeln!(to, "  <testsuite name=\"{}\"{totals}>", Escaped(file))?;
        for (answer, line) in cases {
            write_case(answer, file, *line, to)?;
        }
        writeln!(to, "  </testsuite>")?;
    }
    writeln!(to, "</testsuites>")
}

fn totals<'a>(answers: impl Iterator<Item = &'a Answer>) -> String {
    let Counts { admitted, denied, undecided } = Counts::of(answers);
    let all = admitted + denied + undecided;
    format!(" tests=\"{all}\" failures=\"{denied}\" errors=\"{undecided}\" skipped=\"0\"")
}

fn write_case(
    answer: &Answer,
    file: &str,
    line: Option<usize>,
    to: &mut dyn Write,
) -> io::Result<()> {
    let (name, file) = (answer.name(), Escaped(file));
    write!(to, "    <testcase classname=\"{file}\" name=\"{}\"", Escaped(&name))?;
    if let Some(line) = line {
        write!(to, " file=\"{file}\" line=\"{line}\"")?;
    }
    let message = answer.message();
    let element = match answer.outcome() {
        Outcome::Denied => "failure",
        Outcome::Undecided => "error",
        Outcome::Admitted if answer.is_tolerated() => {
            writeln!(to, ">\n      <system-out>{}</system-out>", Escaped(&message))?;
            return writeln!(to, "    </testcase>");
        }
        Outcome::Admitted => return writeln!(to, "/>"),
    };
    writeln!(to, ">")?;
    writeln!(
        to,
        "      <{element} type=\"{}\" message=\"{}\">{}</{element}>",
        answer.reason(),
        Escaped(&message),
        Escaped(answer.next_step())
    )?;
    writeln!(to, "    </testcase>")
}

/// A text as XML 1.0 takes it (2.2, 2.4): characters that it has no way to write become `?`.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\t' | '\n' | '\r' => write!(formatter, "&#{};", u32::from(character))?,
                '\u{0}'..' ' | '\u{fffe}' | '\u{ffff}' => formatter.write_str("?")?,
                character => write!(formatter, "{character}")?,
            }
        }
        Ok(())
    }
}

/// The suite of the images that no file mentions.
const COMMAND_LINE: &str = "command line";
