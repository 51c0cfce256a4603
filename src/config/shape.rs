//! Whether a document has the shape of a configuration: known keys, right types.
//!
//! Serde would stop at the first mistake. This walks the whole document along the schema that
//! `raw` generates, reports every mistake with the nearest known key, and takes out what is wrong, so
//! that the values that are left can be checked too.

use std::sync::LazyLock;

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use toml::Value;

use super::{document::Document, problem::Problem, raw::Raw};

/// The JSON schema of `portcullis.toml`, as `config/schema.json` holds it.
#[must_use]
pub fn schema() -> &'static serde_json::Value {
    static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .with_transform(RecursiveTransform(without_null));
        settings.into_generator().into_root_schema_for::<Raw>().into()
    });
    &SCHEMA
}

/// TOML has no null: a setting is there or not.
fn without_null(schema: &mut Schema) {
    schema.remove("default");
    if let Some(serde_json::Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
}

/// Reports what in `document` is no setting, and takes it out.
pub(super) fn prune(document: &mut Document) -> Vec<Problem> {
    let mut values = Value::Table(std::mem::take(&mut document.values));
    let mut problems = Vec::new();
    walk(&mut values, schema(), "", &mut problems);
    if let Value::Table(values) = values {
        document.values = values;
    }
    for problem in &mut problems {
        problem.place = problem.key.as_deref().and_then(|key| document.place(key));
    }
    problems
}

/// Whether `value` is what `schema` says; what is wrong inside it is taken out.
fn walk(
    value: &mut Value,
    schema: &serde_json::Value,
    key: &str,
    problems: &mut Vec<Problem>,
) -> bool {
    let wanted = schema["type"].as_str().unwrap_or_default();
    match value {
        Value::Table(table) if wanted == "object" => {
            let known = &schema["properties"];
            table.retain(|name, value| {
                let key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                match known.get(name) {
                    Some(schema) => walk(value, schema, &key, problems),
                    None => {
                        problems.push(unknown(name, known).of(key));
                        false
                    }
                }
            });
            true
        }
        Value::Array(items) if wanted == "array" => {
            // An entry that is no entry stays as an empty one, so that the others keep their numbers.
            let before = problems.len();
            for (position, item) in items.iter_mut().enumerate() {
                if !walk(item, &schema["items"], &format!("{key}[{position}]"), problems) {
                    *item = Value::Table(toml::Table::new());
                }
            }
            problems.len() == before || schema["items"]["type"] == "object"
        }
        Value::String(_) if wanted == "string" => true,
        Value::Boolean(_) if wanted == "boolean" => true,
        Value::Integer(number) if wanted == "integer" => {
            let fits = u32::try_from(*number).is_ok();
            if !fits {
                problems.push(Problem::new(format!("must be from 0 to {}", u32::MAX)).of(key));
            }
            fits
        }
        _ => {
            let found = value.type_str();
            problems.push(
                Problem::new(format!("must be {}, not {}", article(wanted), article(found)))
                    .of(key),
            );
            false
        }
    }
}

fn unknown(name: &str, known: &serde_json::Value) -> Problem {
    let names = known.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let problem = Problem::new("is not a setting");
    match nearest(name, names.clone()) {
        Some(near) => problem.next(format!("did you mean `{near}`?")),
        None => problem.next(format!("known here: {}", names.collect::<Vec<_>>().join(", "))),
    }
}

/// The one of `known` that `name` is most likely a slip of.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    known
        .map(|candidate| (strsim::jaro_winkler(&name, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > MIN_LIKENESS)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn article(name: &str) -> String {
    match name {
        "object" | "table" => "a table".to_owned(),
        "array" => "a list".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => "a whole number".to_owned(),
        _ => format!("a {name}"),
    }
}

/// Below this, by Jaro and Winkler, two words have little in common.
const MIN_LIKENESS: f64 = 0.75;

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write as _,
        path::Path,
    };

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut document = Document::parse(Path::new("p.toml"), text).unwrap();
        let problems = prune(&mut document).iter().map(ToString::to_string).collect();
        // What is left always fits the structs.
        Value::Table(document.values).try_into::<Raw>().unwrap();
        problems
    }

    #[test]
    fn names_the_nearest_known_key() {
        assert_eq!(
            problems("[cache]\nmaxsize = '1'\n[[upstream]]\nurl='x'\nuser = 'y'\n"),
            [
                "p.toml:2: `cache.maxsize`: is not a setting\n  next: did you mean `max_size`?",
                "p.toml:5: `upstream[0].user`: is not a setting\n  next: did you mean `username`?",
            ]
        );
        assert!(problems("[log]\nzzzzzz = 1\n")[0].ends_with("known here: level, format"));
    }

    #[test]
    fn reports_every_wrong_type() {
        assert_eq!(
            problems("data = 1\nlisten = 'x'\nupstream = [1, {hosts = 'h', aliases = [2]}]\n"),
            [
                "p.toml:1: `data`: must be a string, not a whole number",
                "p.toml:2: `listen`: must be a table, not a string",
                "p.toml:3: `upstream[0]`: must be a table, not a whole number",
                "p.toml:3: `upstream[1].aliases[0]`: must be a string, not a whole number",
                "p.toml:3: `upstream[1].hosts`: must be a list, not a string",
            ]
        );
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(
            problems("[limits]\nrequests = -1\nstreams = 4294967296\n"),
            [
                "p.toml:2: `limits.requests`: must be from 0 to 4294967295",
                "p.toml:3: `limits.streams`: must be from 0 to 4294967295",
            ]
        );
    }

    #[test]
    fn the_schema_file_is_the_schema() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
        let current = serde_json::to_string_pretty(schema()).unwrap() + "\n";
        if std::env::var_os("PORTCULLIS_WRITE_SCHEMA").is_some() {
            File::create(&path).unwrap().write_all(current.as_bytes()).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap_or_default(),
            current,
            "run PORTCULLIS_WRITE_SCHEMA=1 cargo test the_schema_file_is_the_schema"
        );
    }
}
