//! Dockerfiles: every image that a build pulls.
//!
//! Dockerfile reference, "FROM", "Understand how ARG and FROM interact", "COPY --from",
//! "RUN --mount", "syntax", "escape" and "Here-documents". A stage that an earlier `FROM .. AS`
//! named is no image, nor is `scratch`. Only an `ARG` before the first `FROM` counts there.

mod instructions;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use self::instructions::{Instruction, Word};
use super::{
    ReadError, Reading, Text, Values,
    variables::{Escape, SubstituteError, substitute},
};

pub(super) fn read(source: &Text<'_>, values: &Values) -> Result<Reading, ReadError> {
    let (directives, instructions) = instructions::split(source);
    let mut build = Build::new(source, values);
    if let Some(word) = directives.syntax {
        build.reading.mention(source, &word.text, word.span);
    }
    for instruction in &instructions {
        build.follow(instruction);
    }
    Ok(build.reading)
}

/// What is known at one point of the file.
struct Build<'a> {
    source: &'a Text<'a>,
    values: &'a Values,
    arguments: BTreeMap<String, Argument>,
    declared: BTreeSet<String>,
    stages: BTreeSet<String>,
    /// Whether a `FROM` has come.
    begun: bool,
    reading: Reading,
}

/// An `ARG` with a value.
struct Argument {
    value: String,
    /// Where its default is written, if that is what counts.
    span: Option<Range<usize>>,
}

impl<'a> Build<'a> {
    fn new(source: &'a Text<'a>, values: &'a Values) -> Self {
        Self {
            source,
            values,
            arguments: BTreeMap::new(),
            declared: BTreeSet::new(),
            stages: BTreeSet::new(),
            begun: false,
            reading: Reading::default(),
        }
    }

    fn follow(&mut self, instruction: &Instruction) {
        match instruction.keyword.as_str() {
            "ARG" if !self.begun => instruction.words.iter().for_each(|word| self.argument(word)),
            "COPY" => {
                for word in instruction.flags() {
                    if let Some(image) = word.after("--from=") {
                        self.used(&image);
                    }
                }
            }
            "FROM" => self.from(instruction),
            "RUN" => {
                for word in instruction.flags() {
                    let Some(mount) = word.after("--mount=") else { continue };
                    for part in mount.split(',') {
                        if let Some(image) = part.after("from=") {
                            self.used(&image);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn argument(&mut self, word: &Word) {
        let (name, default) = match word.text.split_once('=') {
            Some((name, _)) => (name.to_owned(), word.after(&format!("{name}="))),
            None => (word.text.clone(), None),
        };
        self.declared.insert(name.clone());
        let given = self.values.get(&name).cloned();
        let argument = match (given, default) {
            (Some(value), _) => Argument { value, span: None },
            (None, Some(default)) => {
                let default = default.unquoted();
                // A default that cannot be completed is as good as none, until somebody needs it.
                let Ok(value) = self.complete(&default.text) else { return };
                Argument { value, span: Some(default.span) }
            }
            (None, None) => return,
        };
        self.arguments.insert(name, argument);
    }

    fn from(&mut self, instruction: &Instruction) {
        self.begun = true;
        let mut words = instruction.words.iter().filter(|word| !word.text.starts_with("--"));
        let Some(image) = words.next() else {
            let place = self.source.place(instruction.start);
            return self.reading.unclear(place, "FROM", "`FROM` names no image");
        };
        let image = image.unquoted();
        match self.complete(&image.text) {
            Ok(text) if text.eq_ignore_ascii_case("scratch") || self.is_stage(&text) => {}
            Ok(text) => {
                let span = self.written_at(&image);
                self.reading.mention(self.source, &text, span);
            }
            Err(why) => {
                let place = self.source.place(image.span.start);
                self.reading.unclear(place, &image.text, why);
            }
        }
        if words.next().is_some_and(|word| word.text.eq_ignore_ascii_case("as"))
            && let Some(stage) = words.next()
        {
            self.stages.insert(stage.text.to_ascii_lowercase());
        }
    }

    /// An image, a stage or the number of a stage, as `COPY --from` takes it.
    fn used(&mut self, word: &Word) {
        let word = word.unquoted();
        let is_number = word.text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || word.text.eq_ignore_ascii_case("scratch") || self.is_stage(&word.text) {
            return;
        }
        if word.text.contains('$') {
            let place = self.source.place(word.span.start);
            let why =
                "variables are not replaced here; name a stage `FROM` the image and copy from it";
            return self.reading.unclear(place, &word.text, why);
        }
        self.reading.mention(self.source, &word.text, word.span);
    }

    fn is_stage(&self, text: &str) -> bool {
        self.stages.contains(&text.to_ascii_lowercase())
    }

    fn complete(&self, text: &str) -> Result<String, String> {
        let value = |name: &str| self.arguments.get(name).map(|argument| argument.value.clone());
        substitute(text, Escape::Backslash, &value).map_err(|error| match error {
            SubstituteError::Unset(name) if !self.declared.contains(&name) => {
                format!("no `ARG {name}` before the first `FROM` declares it")
            }
            error => error.to_string(),
        })
    }

    /// Where the image of a `FROM` is written: in the `ARG`, when it is that and nothing else.
    fn written_at(&self, image: &Word) -> Range<usize> {
        let name = image.text.strip_prefix('$').unwrap_or_default();
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        let argument = self.arguments.get(name).and_then(|argument| argument.span.clone());
        argument.unwrap_or_else(|| image.span.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::images::Writing;

    fn read_text(text: &str, values: &[(&str, &str)]) -> Reading {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        read(&Text::new("Dockerfile", text), &values.iter().map(own).collect()).unwrap()
    }

    /// Line, image and the text that a pin would follow.
    fn told(text: &str, values: &[(&str, &str)]) -> Vec<String> {
        let reading = read_text(text, values);
        let mentions = reading.mentions.iter().map(|mention| {
            let written = match &mention.writing {
                Writing::Literal(span) => &text[span.clone()],
                Writing::Computed => "-",
            };
            format!("{} {} {written}", mention.place.line, mention.wanted)
        });
        let unclear = reading
            .unclear
            .iter()
            .map(|unclear| format!("{} ? {}: {}", unclear.place.line, unclear.text, unclear.why));
        mentions.chain(unclear).collect()
    }

    #[test]
    fn stages_and_scratch_are_no_images() {
        let text = "FROM --platform=$BUILDPLATFORM golang:1.24 AS Build\n\
                    RUN go build\n\
                    FROM scratch\n\
                    COPY --from=build /app /app\n\
                    COPY --from=0 /x /x\n\
                    COPY --chown=1 --from=busybox:1 /bin/sh /bin/sh\n\
                    from BUILD as test\n";
        assert_eq!(told(text, &[]), ["1 golang:1.24 golang:1.24", "6 busybox:1 busybox:1"]);
    }

    #[test]
    fn arguments_have_defaults_and_are_given() {
        let text = "ARG BASE=docker.io/acme/base:1\nARG TAG=3.20 OTHER\nFROM ${BASE}\nFROM alpine:${TAG}\n\
                    ARG TAG=9\nFROM $OTHER\n";
        assert_eq!(
            told(text, &[("OTHER", "busybox")]),
            ["1 docker.io/acme/base:1 docker.io/acme/base:1", "4 alpine:3.20 -", "6 busybox -",]
        );
        let unset = told(text, &[("BASE", "mine:2")]);
        assert_eq!(unset[0], "3 mine:2 -");
        assert!(unset[2].starts_with("6 ? $OTHER: `OTHER` has no value"), "{}", unset[2]);
    }

    #[test]
    fn lines_go_on_and_documents_are_inside() {
        let text = "# syntax=docker/dockerfile:1\n# escape=`\nFROM `\n  # a comment\n\n  debian:12 `\n  AS base\n\
                    RUN <<EOF <<-'TWO'\nFROM evil:1\nEOF\nFROM evil:2\n\tTWO\nFROM base\n";
        assert_eq!(
            told(text, &[]),
            ["1 docker/dockerfile:1 docker/dockerfile:1", "6 debian:12 debian:12"]
        );
    }

    #[test]
    fn a_word_goes_on_over_a_line_break() {
        assert_eq!(told("FROM ngi\\\nnx:1\n", &[]), ["1 nginx:1 -"]);
    }

    #[test]
    fn mounts_and_deferred_instructions_pull_too() {
        let text = "FROM a:1\nRUN --mount=type=bind,from=tools:2,target=/t make\n\
                    ONBUILD COPY --from=late:3 / /\nCOPY --from=$X / /\n";
        let told = told(text, &[]);
        assert_eq!(told[..3], ["1 a:1 a:1", "2 tools:2 tools:2", "3 late:3 late:3"]);
        assert!(told[3].starts_with("4 ? $X"), "{}", told[3]);
    }

    #[test]
    fn line_endings_of_windows_are_line_endings() {
        assert_eq!(
            told("FROM \"nginx:1\"\r\nFROM app \\\r\n AS x\r\n", &[]),
            ["1 nginx:1 nginx:1", "2 app app"]
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "(FROM|ARG|COPY|RUN|--from=|--mount=|\\$|[a-z:{}<\"'\\\\`=# \n\r-]){0,60}") {
            for mention in read_text(&text, &[]).mentions {
                if let Writing::Literal(span) = mention.writing {
                    prop_assert_eq!(&text[span], mention.wanted.to_string());
                }
            }
        }
    }
}
