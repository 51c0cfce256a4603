//! A TOML document with positions, read so that every problem is found and not only the first.
//!
//! A serde derive stops at its first error. Here a [`Section`] hands out its fields one by one, notes
//! which names are known, and at the end reports each name that is not, with the known one that is
//! nearest to it. What a field should be is asked of the [`Field`]; an answer of another kind is
//! reported with its line and reads as if it were absent.

use std::{cell::RefCell, ops::Range, path::Path, time::SystemTime};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::problem::{Problem, Warning, WarningKind};
use crate::{timestamp::Timestamp, trust::words::listed};

/// Where problems and warnings of one file go.
#[derive(Debug)]
pub(super) struct Report<'d> {
    file: &'d Path,
    text: &'d str,
    /// Where each line begins.
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'d> Report<'d> {
    pub(super) fn new(file: &'d Path, text: &'d str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(line_ends.map(|(at, _)| at + 1)).collect();
        let (problems, warnings) = (RefCell::default(), RefCell::default());
        Self { file, text, lines, problems, warnings }
    }

    /// The document, or its syntax errors.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'d>>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = self.place(String::new(), &error.span().unwrap_or_default());
            let message = error.message().trim().replace('\n', ", ");
            self.problem(&place, format!("not TOML: {message}"), "");
        }
        errors.is_empty().then_some(document)
    }

    pub(super) fn problem(
        &self,
        place: &Place,
        what: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.to_owned(),
            line: Some(place.line),
            key: place.key.clone(),
            what: what.into(),
            next_step: next_step.into(),
        });
    }

    pub(super) fn warning(&self, place: &Place, kind: WarningKind, what: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning {
            kind,
            file: self.file.to_owned(),
            line: Some(place.line),
            key: place.key.clone(),
            what: what.into(),
        });
    }

    fn place(&self, key: String, span: &Range<usize>) -> Place {
        Place { key, line: self.lines.partition_point(|begin| *begin <= span.start) }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// Everything reported, in the order of the file.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        warnings.sort_by_key(|warning| warning.line);
        warnings.dedup();
        (problems, warnings)
    }
}

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key path: `rule[0].require`.
    pub key: String,
    /// The line, from 1.
    pub line: usize,
}

impl Place {
    fn below(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }
}

/// A table.
#[derive(Debug)]
pub(super) struct Section<'d, 'r> {
    pub(super) place: Place,
    table: &'d DeTable<'d>,
    report: &'r Report<'d>,
    known: RefCell<Vec<&'static str>>,
}

impl<'d, 'r> Section<'d, 'r> {
    pub(super) fn root(document: &'d Spanned<DeTable<'d>>, report: &'r Report<'d>) -> Self {
        let place = report.place(String::new(), &(0..0));
        Self { place, table: document.get_ref(), report, known: RefCell::default() }
    }

    /// The field `name`, which is a known one from now on.
    pub(super) fn field(&self, name: &'static str) -> Option<Field<'d, 'r>> {
        self.known.borrow_mut().push(name);
        let (key, value) = self.table.get_key_value(name)?;
        let place = self.report.place(self.place.below(name), &key.span());
        Some(Field { place, value: value.get_ref(), report: self.report })
    }

    /// Every field of a table whose names are free.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'d str, Field<'d, 'r>)> {
        self.table.iter().map(|(key, value)| {
            let name: &'d str = key.get_ref().as_ref();
            let place = self.report.place(self.place.below(name), &key.span());
            (name, Field { place, value: value.get_ref(), report: self.report })
        })
    }

    /// Which of `names` are there.
    pub(super) fn present(&self, names: &[&'static str]) -> Vec<&'static str> {
        names.iter().copied().filter(|name| self.table.contains_key(*name)).collect()
    }

    pub(super) fn problem(&self, what: impl Into<String>, next_step: impl Into<String>) {
        self.report.problem(&self.place, what, next_step);
    }

    /// Reports every name that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let place = self.report.place(self.place.below(name), &key.span());
            let next_step = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", listed(&known)),
            };
            self.report.problem(&place, "there is no such key", next_step);
        }
    }
}

/// A value.
#[derive(Debug)]
pub(super) struct Field<'d, 'r> {
    pub(super) place: Place,
    value: &'d DeValue<'d>,
    report: &'r Report<'d>,
}

impl<'d, 'r> Field<'d, 'r> {
    pub(super) fn problem(&self, what: impl Into<String>, next_step: impl Into<String>) {
        self.report.problem(&self.place, what, next_step);
    }

    /// A problem of one entry of this field.
    pub(super) fn problem_at(
        &self,
        place: &Place,
        what: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        self.report.problem(place, what, next_step);
    }

    /// A warning about one entry of this field.
    pub(super) fn warning_at(&self, place: &Place, kind: WarningKind, what: impl Into<String>) {
        self.report.warning(place, kind, what);
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    /// A text that says something.
    pub(super) fn text(&self) -> Option<&'d str> {
        match self.value {
            DeValue::String(text) if text.trim().is_empty() => {
                self.problem("is empty", "write a value or take the key out");
                None
            }
            DeValue::String(text) => Some(text.as_ref()),
            _ => self.wrong("a text in quotes"),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self) -> Option<u64> {
        match self.value {
            DeValue::Integer(number) => {
                let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
                value.or_else(|| self.wrong("a whole number from 0 up"))
            }
            _ => self.wrong("a whole number"),
        }
    }

    /// A point in time: a text as RFC 3339 has it, or TOML's own form of the same.
    pub(super) fn time(&self) -> Option<SystemTime> {
        let text = match self.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            _ => return self.wrong("a time in quotes, such as `\"2026-01-31T08:00:00Z\"`"),
        };
        match text.parse::<Timestamp>() {
            Ok(time) => Some(time.0),
            Err(error) => {
                self.problem(format!("is not a time: {error}"), "");
                None
            }
        }
    }

    /// One of a closed list of words.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format!("`{text}` is not known here"), format!("use {}", listed(&known)));
        }
        found
    }

    /// The entries of a list that is not empty.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        match self.value {
            DeValue::Array(list) if list.is_empty() => {
                self.problem("is an empty list", "name what you mean, or take the key out");
                None
            }
            DeValue::Array(list) => Some(self.entries(list)),
            _ => self.wrong("a list"),
        }
    }

    /// The texts of a list, or of one text.
    pub(super) fn texts(&self) -> Option<Vec<(Place, &'d str)>> {
        if self.is_text() {
            return Some(vec![(self.place.clone(), self.text()?)]);
        }
        let texts: Vec<_> = self
            .list()?
            .into_iter()
            .map(|entry| Some((entry.place.clone(), entry.text()?)))
            .collect();
        texts.into_iter().collect()
    }

    /// A table.
    pub(super) fn section(&self) -> Option<Section<'d, 'r>> {
        match self.value {
            DeValue::Table(table) => Some(Section {
                place: self.place.clone(),
                table,
                report: self.report,
                known: RefCell::default(),
            }),
            _ => self.wrong("a table"),
        }
    }

    fn entries(&self, list: &'d toml::de::DeArray<'d>) -> Vec<Self> {
        list.iter()
            .enumerate()
            .map(|(at, entry)| Self {
                place: self.report.place(format!("{}[{at}]", self.place.key), &entry.span()),
                value: entry.get_ref(),
                report: self.report,
            })
            .collect()
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.problem(format!("must be {wanted}, not {}", kind_of(self.value)), "");
        None
    }
}

const fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known name that `name` was probably meant to be.
pub(super) fn nearest<'n, T: AsRef<str>>(name: &str, known: &'n [T]) -> Option<&'n str> {
    let name: String = name.chars().take(MAX_NAME).collect();
    known
        .iter()
        .map(|known| (strsim::levenshtein(&name, known.as_ref()), known.as_ref()))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min()
        .map(|(_, known)| known)
}

/// Letters of an unknown name that are compared.
const MAX_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use strsim::levenshtein as distance;

    use super::*;

    #[test]
    fn finds_the_name_that_was_meant() {
        let known = ["require", "repositories", "mode", "match"];
        assert_eq!(nearest("requires", &known), Some("require"));
        assert_eq!(nearest("repositorys", &known), Some("repositories"));
        assert_eq!(nearest("mach", &known), Some("match"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(
            (distance("abc", "abc"), distance("", "abc"), distance("kitten", "sitting")),
            (0, 3, 3)
        );
    }

    #[test]
    fn reports_every_syntax_error_with_its_line() {
        let text = "version = 1\nversion = 2\n[a]\nb = \n";
        let report = Report::new(Path::new("policy.toml"), text);
        assert!(report.parse().is_none());
        let lines: Vec<_> = report.finish().0.into_iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [Some(2), Some(4)]);
    }
}
