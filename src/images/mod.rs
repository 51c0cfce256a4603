//! The images that files speak of: what `seed` fetches, `verify` judges and `--pin` rewrites.
//!
//! A reader takes the text of a file and says which images it mentions, on which line and in which
//! bytes, so that a report can point there and a pin can be written there. There are four kinds:
//!
//! | kind | what is read |
//! | --- | --- |
//! | `compose` | `services.*.image` of the Compose specification |
//! | `dockerfile` | `FROM`, `COPY --from`, `RUN --mount=from=` and `# syntax=` of the Dockerfile reference |
//! | `kubernetes` | containers of every built-in kind with a pod specification |
//! | `list` | an image a line, with globs and version ranges over tags |
//!
//! Reading is pure; only [`Source`] touches files. Nobody here asks a registry. What cannot be told
//! (a variable without a value, a template) is an [`Unclear`] mention and never dropped: whoever
//! checks images must not take silence for consent.

mod argument;
mod compose;
mod dockerfile;
mod kind;
mod kubernetes;
mod list;
mod pin;
mod source;
mod tags;
mod variables;
mod yaml;

use std::{fmt, ops::Range, sync::Arc};

pub use self::{
    argument::{ImageArgument, ParseImageError},
    kind::Kind,
    pin::{Pin, pin},
    source::{Document, MAX_FILE_LENGTH, ParseSourceError, Source, SourceError},
    tags::{TagPattern, TagPatternError},
    variables::Values,
};

/// What one file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Images, in the order of the file.
    pub mentions: Vec<Mention>,
    /// Where an image is meant and cannot be told.
    pub unclear: Vec<Unclear>,
    /// What was passed over on purpose, and the person should know.
    pub notes: Vec<Note>,
}

/// An image somewhere in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Which image, or which images of a repository.
    pub wanted: Selection,
    /// Where it is said.
    pub place: Place,
    /// How it is written there.
    pub writing: Writing,
}

/// Which images are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those tags of a repository that a pattern matches; only lists say such a thing.
    Many {
        /// The repository, as it is written.
        name: String,
        /// Which of its tags.
        tags: TagPattern,
    },
    /// One image.
    One(ImageArgument),
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Many { name, tags } => write!(formatter, "{name}:{tags}"),
            Self::One(image) => image.fmt(formatter),
        }
    }
}

/// How an image is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Put together from variables or escapes: there is no text to put a pin behind.
    Computed,
    /// As these bytes of the file, literally.
    Literal(Range<usize>),
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    /// The file as the person named it; `-` is the standard input.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// An image that cannot be told from the file alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// Where.
    pub place: Place,
    /// What is written there.
    pub text: String,
    /// Why it cannot be told, and what to do.
    pub why: String,
}

/// Something that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What, in words.
    pub what: String,
}

/// A file that cannot be read as what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ReadError {
    /// Where reading stopped.
    pub place: Place,
    /// What is wrong there, and what to do.
    pub what: String,
}

/// A text that is being read, and where it comes from.
#[derive(Debug)]
struct Text<'a> {
    file: Arc<str>,
    text: &'a str,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'a> Text<'a> {
    fn new(file: &str, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        // An editor's mark of byte order is no part of the first line.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text, starts }
    }

    /// The line that holds the byte at `offset`.
    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        Place { file: Arc::clone(&self.file), line }
    }

    /// The lines without their breaks, each with the offset where it starts.
    fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let text = self.text;
        self.starts.iter().enumerate().map(move |(number, start)| {
            let end = self.starts.get(number + 1).copied().unwrap_or(text.len());
            (*start, text[*start..end].trim_end_matches(['\n', '\r']))
        })
    }
}

impl Reading {
    /// Notes the image that `text` names. It is literal when exactly these bytes stand at `span`.
    fn mention(&mut self, source: &Text<'_>, text: &str, span: Range<usize>) {
        let place = source.place(span.start);
        let image = if text.bytes().all(is_of_names) {
            text.parse().map_err(|error: ParseImageError| error.to_string())
        } else if text.contains("{{") {
            Err("a template is no image yet; read what `helm template` prints".to_owned())
        } else {
            Err("this is not how an image is written".to_owned())
        };
        match image {
            Ok(image) => {
                let literal = source.text.get(span.clone()) == Some(text);
                let writing = if literal { Writing::Literal(span) } else { Writing::Computed };
                self.mentions.push(Mention { wanted: Selection::One(image), place, writing });
            }
            Err(why) => self.unclear(place, text, why),
        }
    }

    fn unclear(&mut self, place: Place, text: &str, why: impl Into<String>) {
        self.unclear.push(Unclear { place, text: text.to_owned(), why: why.into() });
    }

    fn note(&mut self, place: Place, what: impl Into<String>) {
        self.notes.push(Note { place, what: what.into() });
    }
}

/// Whether a byte can be in an image: what hosts, repositories, tags and digests are made of.
const fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b':' | b'@')
}
