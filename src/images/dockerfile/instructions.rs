//! From the lines of a Dockerfile to its instructions, each word with its place in the file.
//!
//! Dockerfile reference, "Format", "Parser directives", "Here-documents". A line that ends with the
//! escape character goes on in the next one; comments and empty lines between do not end it.

use std::ops::Range;

use crate::images::Text;

/// What the first comments of the file say to the parser.
#[derive(Debug, Default)]
pub(super) struct Directives {
    /// The image that reads the Dockerfile.
    pub(super) syntax: Option<Word>,
    escape: Option<char>,
}

/// One instruction.
#[derive(Debug)]
pub(super) struct Instruction {
    /// In capitals; that of the deferred instruction for `ONBUILD`.
    pub(super) keyword: String,
    /// What follows, without line ends and comments.
    pub(super) words: Vec<Word>,
    /// Where it begins.
    pub(super) start: usize,
}

impl Instruction {
    /// The flags before everything else.
    pub(super) fn flags(&self) -> impl Iterator<Item = &Word> {
        self.words.iter().take_while(|word| word.text.starts_with("--"))
    }
}

/// Text without white space.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    /// The bytes of the file that it comes from.
    pub(super) span: Range<usize>,
}

impl Word {
    /// What follows `prefix` in it.
    pub(super) fn after(&self, prefix: &str) -> Option<Self> {
        let text = self.text.strip_prefix(prefix)?.to_owned();
        Some(Self { text, span: self.span.start + prefix.len()..self.span.end })
    }

    /// Without the quotes around it.
    pub(super) fn unquoted(&self) -> Self {
        let inner = ['"', '\'']
            .iter()
            .find_map(|quote| self.text.strip_prefix(*quote)?.strip_suffix(*quote));
        match inner {
            Some(inner) => {
                Self { text: inner.to_owned(), span: self.span.start + 1..self.span.end - 1 }
            }
            None => self.clone(),
        }
    }

    /// Its parts between `separator`s.
    pub(super) fn split(&self, separator: char) -> Vec<Self> {
        let mut start = self.span.start;
        let part = |text: &str| {
            let span = start..start + text.len();
            start = span.end + separator.len_utf8();
            Self { text: text.to_owned(), span }
        };
        self.text.split(separator).map(part).collect()
    }
}

/// The file's directives and instructions.
pub(super) fn split(source: &Text<'_>) -> (Directives, Vec<Instruction>) {
    let directives = directives(source);
    let escape = directives.escape.unwrap_or('\\');
    let mut instructions = Vec::new();
    let mut lines = source.lines();
    while let Some((start, line)) = lines.next() {
        if is_passed_over(line) {
            continue;
        }
        let mut words = Vec::new();
        let mut goes_on = add_words(&mut words, start, line, escape, false);
        while goes_on != GoesOn::No {
            let Some((start, line)) = lines.next() else { break };
            if !is_passed_over(line) {
                let joined = goes_on == GoesOn::InsideWord;
                goes_on = add_words(&mut words, start, line, escape, joined);
            }
        }
        let Some(instruction) = instruction(words, start) else { continue };
        for document in documents(&instruction) {
            // Its lines are what the instruction is given, whatever they look like.
            let is_end = |line: &str| match document.strips_tabs {
                true => line.trim_start_matches('\t') == document.end,
                false => line == document.end,
            };
            lines.by_ref().take_while(|(_, line)| !is_end(line)).for_each(drop);
        }
        instructions.push(instruction);
    }
    (directives, instructions)
}

fn directives(source: &Text<'_>) -> Directives {
    let mut directives = Directives::default();
    for (start, line) in source.lines() {
        let Some((name, value)) =
            line.trim_start().strip_prefix('#').and_then(|line| line.split_once('='))
        else {
            break;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "escape" => directives.escape = value.chars().next(),
            "syntax" if !value.is_empty() => {
                let end = start + line.trim_end().len();
                let span = end - value.len()..end;
                directives.syntax = Some(Word { text: value.to_owned(), span });
            }
            "check" => {}
            _ => break,
        }
    }
    directives
}

/// Whether and how an instruction goes on in the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    /// The last word is not over.
    InsideWord,
    No,
    Yes,
}

fn is_passed_over(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Adds the words of `line`. Where the last line ended inside of a word, the first one belongs to it.
fn add_words(
    words: &mut Vec<Word>,
    start: usize,
    line: &str,
    escape: char,
    joined: bool,
) -> GoesOn {
    let content = line.trim_end();
    let (content, goes_on) = match content.strip_suffix(escape) {
        Some(content) if content.ends_with(char::is_whitespace) => (content, GoesOn::Yes),
        Some(content) => (content, GoesOn::InsideWord),
        None => (content, GoesOn::No),
    };
    let mut joined = joined && !content.starts_with(char::is_whitespace);
    for (at, text) in words_of(content) {
        let span = start + at..start + at + text.len();
        match words.last_mut().filter(|_| joined) {
            Some(last) => {
                last.text.push_str(text);
                last.span.end = span.end;
            }
            None => words.push(Word { text: text.to_owned(), span }),
        }
        joined = false;
    }
    goes_on
}

/// The words of `line` and where they begin in it.
fn words_of(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end + line[end..].find(|character: char| !character.is_whitespace())?;
        let length = line[start..].find(char::is_whitespace);
        end = length.map_or(line.len(), |length| start + length);
        Some((start, &line[start..end]))
    })
}

fn instruction(words: Vec<Word>, start: usize) -> Option<Instruction> {
    let mut words = words.into_iter();
    let mut keyword = words.next()?.text.to_ascii_uppercase();
    if keyword == "ONBUILD" {
        keyword = words.next()?.text.to_ascii_uppercase();
    }
    Some(Instruction { keyword, words: words.collect(), start })
}

/// A here-document that an instruction announces.
struct Document {
    end: String,
    strips_tabs: bool,
}

fn documents(instruction: &Instruction) -> Vec<Document> {
    if !matches!(instruction.keyword.as_str(), "ADD" | "COPY" | "RUN") {
        return Vec::new();
    }
    let announced = instruction.words.iter().filter_map(|word| {
        let name = word.text.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let name = name.strip_prefix("<<")?;
        let strips_tabs = name.starts_with('-');
        let name = name.strip_prefix('-').unwrap_or(name).trim_matches(['"', '\'']);
        let right = |character: char| character.is_ascii_alphanumeric() || character == '_';
        (!name.is_empty() && name.chars().all(right))
            .then(|| Document { end: name.to_owned(), strips_tabs })
    });
    announced.collect()
}
