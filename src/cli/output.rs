//! Where a command writes: its answer to stdout, everything else to stderr.
//!
//! With `--json` stdout is JSON and nothing else. Colours are for terminals, and never where
//! `NO_COLOR` is set (no-color.org). Writers come in from outside, so that a test can read them.

use std::{
    fmt::{self, Display, Write as _},
    io::{self, IsTerminal as _, Write},
};

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

/// The two streams of a command.
pub struct Output {
    answer: Box<dyn Write + Send>,
    diagnostics: Box<dyn Write + Send>,
    colours: bool,
    colours_allowed: bool,
    is_process: bool,
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Output").field("colours", &self.colours).finish_non_exhaustive()
    }
}

impl Output {
    /// The streams of the process. There are colours on a terminal, where they are allowed.
    #[must_use]
    pub fn of_process(colours_allowed: bool) -> Self {
        Self {
            answer: Box::new(io::stdout()),
            diagnostics: Box::new(io::stderr()),
            colours: colours_allowed && io::stdout().is_terminal(),
            colours_allowed,
            is_process: true,
        }
    }

    /// Streams that go elsewhere, without colours.
    #[must_use]
    pub fn to(answer: Box<dyn Write + Send>, diagnostics: Box<dyn Write + Send>) -> Self {
        Self { answer, diagnostics, colours: false, colours_allowed: false, is_process: false }
    }

    /// Whether the person wants colours where a terminal can show them.
    #[must_use]
    pub const fn allows_colours(&self) -> bool {
        self.colours_allowed
    }

    /// A line of the answer.
    ///
    /// # Errors
    /// When stdout cannot be written to, or nobody reads it any more.
    pub fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.answer, "{line}")
    }

    /// A piece of the answer that ends no line.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&mut self, text: impl Display) -> io::Result<()> {
        write!(self.answer, "{text}")
    }

    /// The answer as JSON.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.answer, value)?;
        writeln!(self.answer)
    }

    /// A line of the answer as JSON, for answers that come one by one.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.answer, value)?;
        writeln!(self.answer)
    }

    /// A line beside the answer. Where even stderr is gone there is nobody to tell.
    pub fn note(&mut self, line: impl Display) {
        let _ = writeln!(self.diagnostics, "{line}");
    }

    /// A bar that shows how many of `length` things are done: on stderr, and only on a terminal.
    #[must_use]
    pub fn progress(&self, length: usize) -> ProgressBar {
        let target = match self.is_process && length > 1 {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        ProgressBar::with_draw_target(Some(length as u64), target)
    }

    /// The stream of the answer, for those who write more than lines.
    pub fn answer(&mut self) -> &mut dyn Write {
        &mut self.answer
    }

    /// `text` in `tone`, where there are colours.
    #[must_use]
    pub fn paint<T: Display>(&self, tone: Tone, text: T) -> String {
        if self.colours { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_string() }
    }
}

/// A text from outside, such as a client's name for itself, with everything escaped by which it could
/// move the cursor or turn the line around.
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a>(pub &'a str);

impl Display for Visible<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() || DIRECTIONS.contains(&character) {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// The characters that set the direction of what follows (Unicode UAX 9, 2).
const DIRECTIONS: [char; 9] = [
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}',
];

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Refused, failed, wrong.
    Bad,
    /// Less important.
    Faint,
    /// Admitted, satisfied.
    Good,
    /// A heading.
    Strong,
    /// Works, but look at it.
    Worrying,
}

impl Tone {
    /// The terminal's number for it (ECMA-48, 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Strong => "1",
            Self::Worrying => "33",
        }
    }
}
