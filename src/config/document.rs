//! What was written, all layers of it, and where each piece was.
//!
//! The file is the lowest layer, environment variables replace its settings, and options on the
//! command line replace both. The result is one TOML table that keeps, for every setting, the place
//! it came from: errors name it, and relative paths in a file are relative to that file while those
//! of the other layers are relative to the current folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::problem::{Place, Problem};

/// A table of settings and where they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) values: Table,
    places: BTreeMap<String, Place>,
    /// The folder of the file, for relative paths in it.
    folder: PathBuf,
}

impl Document {
    /// Reads `text`, which is what `path` holds.
    ///
    /// # Errors
    /// Every breach of the TOML grammar.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let (parsed, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let lines = Lines { path, text };
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| {
                let place = error.span().map(|span| lines.place(span.start));
                Problem::new(error.message().trim_end()).at(place)
            };
            return Err(errors.iter().map(problem).collect());
        }
        let values = toml::from_str(text)
            .map_err(|error| vec![Problem::new(error.message()).at(Some(lines.place(0)))])?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut document = Self { values, places: BTreeMap::new(), folder };
        document.note_table("", parsed.get_ref(), &lines);
        Ok(document)
    }

    /// Sets what `key` leads to, making the tables on the way.
    pub(super) fn set(&mut self, key: &Key<'_>, value: Value, place: Place) {
        let mut table = &mut self.values;
        if let Some((list, position)) = key.list {
            let entry = table.entry(list).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(items) = entry else { return };
            while items.len() <= position {
                items.push(Value::Table(Table::new()));
            }
            let Value::Table(item) = &mut items[position] else { return };
            table = item;
        }
        let (name, sections) = key.path.split_last().expect("a key has at least a name");
        for section in sections {
            let entry = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = entry else { return };
            table = inner;
        }
        table.insert((*name).to_owned(), value);
        self.places.insert(key.to_string(), place);
    }

    /// How many entries the list `name` has.
    pub(super) fn length_of(&self, name: &str) -> usize {
        self.values.get(name).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// Where `key` was written, or the nearest table around it.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        let mut key = key;
        loop {
            if let Some(place) = self.places.get(key) {
                return Some(place.clone());
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// The path that `text`, the value of `key`, means.
    pub(super) fn path(&self, key: &str, text: &str) -> PathBuf {
        match self.place(key) {
            Some(Place::File { .. }) => self.folder.join(text),
            _ => PathBuf::from(text),
        }
    }

    fn note(&mut self, key: String, value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) {
        self.places.insert(key.clone(), lines.place(value.span().start));
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(&key, table, lines),
            DeValue::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    self.note(format!("{key}[{position}]"), item, lines);
                }
            }
            _ => {}
        }
    }

    fn note_table(&mut self, key: &str, table: &DeTable<'_>, lines: &Lines<'_>) {
        for (name, value) in table {
            let key = if key.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{key}.{name}", name = name.get_ref())
            };
            self.note(key.clone(), value, lines);
            self.places.insert(key, lines.place(name.span().start));
        }
    }
}

/// The way to a setting: `listen.address`, or `url` of the entry 0 of the list `upstream`.
#[derive(Clone, Debug)]
pub(super) struct Key<'a> {
    pub(super) list: Option<(&'a str, usize)>,
    pub(super) path: Vec<&'a str>,
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((list, position)) = self.list {
            write!(formatter, "{list}[{position}].")?;
        }
        formatter.write_str(&self.path.join("."))
    }
}

struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Place::File { path: self.path.to_owned(), line: Some(line) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "data = 'd'\n[listen]\naddress = 'a'\n\n[[upstream]]\nname = 'x'\n[[upstream]]\nname = 'y'\nhosts = [\n 'h',\n]\n";

    fn parse(text: &str) -> Document {
        Document::parse(Path::new("etc/p.toml"), text).unwrap()
    }

    fn line(document: &Document, key: &str) -> usize {
        match document.place(key) {
            Some(Place::File { line: Some(line), .. }) => line,
            other => panic!("{key} is at {other:?}"),
        }
    }

    #[test]
    fn knows_the_line_of_every_setting() {
        let document = parse(TEXT);
        for (key, expected) in [
            ("data", 1),
            ("listen", 2),
            ("listen.address", 3),
            ("upstream[0].name", 6),
            ("upstream[1].name", 8),
            ("upstream[1].hosts[0]", 10),
            ("upstream[1].url", 7),
        ] {
            assert_eq!(line(&document, key), expected, "{key}");
        }
        assert_eq!(document.place("cache.max_size"), None);
    }

    #[test]
    fn a_later_layer_replaces_a_setting_and_its_place() {
        let mut document = parse(TEXT);
        let place = Place::Variable("PORTCULLIS_UPSTREAM_3_NAME".to_owned());
        let key = Key { list: Some(("upstream", 2)), path: vec!["name"] };
        document.set(&key, Value::from("z"), place.clone());
        assert_eq!(document.length_of("upstream"), 3);
        assert_eq!(document.place("upstream[2].name"), Some(place));
        assert_eq!(document.path("data", "d"), Path::new("etc/d"));
        document.set(
            &Key { list: None, path: vec!["data"] },
            Value::from("e"),
            Place::Option("--data"),
        );
        assert_eq!(document.path("data", "e"), Path::new("e"));
    }

    #[test]
    fn tells_every_breach_of_the_grammar() {
        let problems = Document::parse(Path::new("p.toml"), "a = \nb = 1\nc = [1\n").unwrap_err();
        assert!(problems.len() > 1, "{problems:?}");
        assert!(problems[0].to_string().starts_with("p.toml:1: "), "{}", problems[0]);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}|[a-c.=\\[\\]'\"\\n 0-9{}]{0,60}") {
            let _ = Document::parse(Path::new("p.toml"), &text);
        }
    }
}
