//! Settings from the environment: `PORTCULLIS_<SECTION>_<KEY>`.
//!
//! The names follow from the settings: `listen.address` is `PORTCULLIS_LISTEN_ADDRESS`, `data` is
//! `PORTCULLIS_DATA`, and the n-th upstream, counted from 1, has `PORTCULLIS_UPSTREAM_<n>_URL`. A list
//! is written with commas. An empty variable counts as one that is not set.

use std::{collections::BTreeMap, fmt};

use toml::Value;

use super::{
    document::{Document, Key},
    problem::{Place, Problem},
    shape,
};

/// The environment variables of the process. Their values may be secrets and are never printed.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of `name`, unless it is empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// The value of `name`, which may be empty, as a password may be.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// What the environment added to a document.
#[derive(Debug, Default)]
pub(super) struct Layered {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Puts the settings among `variables` into `document`.
pub(super) fn apply(document: &mut Document, variables: &Variables) -> Layered {
    let settings = settings();
    let mut layered = Layered::default();
    for (template, number, name, value) in settings_among(variables) {
        let place = Place::Variable(name.to_owned());
        let Some(setting) = settings.get(&template) else {
            let near = shape::nearest(&template, settings.keys().map(String::as_str));
            let near = near.map(|near| format!("{PREFIX}{}", near.replace(NUMBER, "1")));
            layered.warnings.push(unknown(near).at(Some(place)));
            continue;
        };
        let entry = match position(setting, number, document) {
            Ok(entry) => entry,
            Err(problem) => {
                layered.problems.push(problem.at(Some(place)));
                continue;
            }
        };
        let path = setting.path.iter().map(String::as_str).collect();
        let key = Key { list: entry.map(|position| (LIST, position)), path };
        match setting.kind.parse(value) {
            Some(value) => document.set(&key, value, place),
            None => {
                let what = format!("must be {}", setting.kind.as_str());
                layered.problems.push(Problem::new(what).of(key.to_string()).at(Some(place)));
            }
        }
    }
    let passwords = passwords_in(document);
    layered.warnings.retain(|warning| {
        !matches!(&warning.place, Some(Place::Variable(name)) if passwords.contains(name))
    });
    layered
}

/// The variables that the upstreams name as their passwords, whatever they are called.
fn passwords_in(document: &Document) -> Vec<String> {
    let upstreams = document.values.get(LIST).and_then(Value::as_array);
    let named = |upstream: &Value| upstream.get("password_env")?.as_str().map(str::to_owned);
    upstreams.into_iter().flatten().filter_map(named).collect()
}

/// The variables that mean to be settings; those of the first upstream come before the second's, so
/// that a new one is there when the one after it is added.
fn settings_among(
    variables: &Variables,
) -> impl Iterator<Item = (String, Option<usize>, &str, &str)> {
    let mut found: Vec<_> = variables
        .0
        .iter()
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix(PREFIX).filter(|_| !value.is_empty())?;
            let (template, number) = numbered(rest);
            let means_it = !NOT_SETTINGS.contains(&rest) && !is_from_kubernetes(rest);
            means_it.then_some((template, number, name.as_str(), value.as_str()))
        })
        .collect();
    found.sort_by_key(|(_, number, ..)| *number);
    found.into_iter()
}

/// Which entry of the list `setting` is in, counted from 0.
fn position(
    setting: &Setting,
    number: Option<usize>,
    document: &Document,
) -> Result<Option<usize>, Problem> {
    let Some(number) = number.filter(|_| setting.in_list) else { return Ok(None) };
    let length = document.length_of(LIST);
    if (1..=length + 1).contains(&number) {
        return Ok(Some(number - 1));
    }
    let what = format!("there are {length} upstreams before it, so it cannot be number {number}");
    Err(Problem::new(what).next("upstreams are numbered from 1, without gaps"))
}

fn unknown(near: Option<String>) -> Problem {
    let problem = Problem::new("is not a setting and was ignored");
    match near {
        Some(near) => problem.next(format!("did you mean {near}?")),
        None => problem,
    }
}

/// One setting that a variable can hold.
#[derive(Debug)]
struct Setting {
    in_list: bool,
    path: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Boolean,
    List,
    Number,
    Text,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "`true` or `false`",
            Self::List => "a list with commas",
            Self::Number => "a whole number",
            Self::Text => "a text",
        }
    }

    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Boolean => text.parse::<bool>().ok().map(Value::Boolean),
            Self::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(Value::from).collect()))
            }
            Self::Number => text.parse::<i64>().ok().map(Value::Integer),
            Self::Text => Some(Value::from(text)),
        }
    }
}

/// Every setting by the name of its variable, the prefix left out and a number written as `<N>`.
fn settings() -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    collect(shape::schema(), &[], false, &mut settings);
    settings
}

fn collect(
    schema: &serde_json::Value,
    path: &[String],
    in_list: bool,
    settings: &mut BTreeMap<String, Setting>,
) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let mut path = path.to_vec();
        path.push(name.clone());
        let kind = match schema["type"].as_str() {
            Some("object") => {
                collect(schema, &path, in_list, settings);
                continue;
            }
            Some("array") if schema["items"]["type"] == "object" => {
                collect(&schema["items"], &[], true, settings);
                continue;
            }
            Some("array") => Kind::List,
            Some("boolean") => Kind::Boolean,
            Some("integer") => Kind::Number,
            _ => Kind::Text,
        };
        let words = path.join("_").to_ascii_uppercase();
        let variable = if in_list { format!("UPSTREAM_{NUMBER}_{words}") } else { words };
        settings.insert(variable, Setting { in_list, path, kind });
    }
}

/// `UPSTREAM_2_URL` as `UPSTREAM_<N>_URL` and 2.
fn numbered(name: &str) -> (String, Option<usize>) {
    let mut number = None;
    let words: Vec<_> = name
        .split('_')
        .map(|word| match word.parse() {
            Ok(found) if number.is_none() => {
                number = Some(found);
                NUMBER
            }
            _ => word,
        })
        .collect();
    (words.join("_"), number)
}

/// A service called `portcullis` makes Kubernetes set these in every container beside it.
fn is_from_kubernetes(rest: &str) -> bool {
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

const PREFIX: &str = "PORTCULLIS_";
const NUMBER: &str = "<N>";
/// The one list of tables.
const LIST: &str = "upstream";
/// What the command line reads from the environment by itself.
const NOT_SETTINGS: [&str; 2] = ["CONFIG", "LOG"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn applied(text: &str, variables: &[(&str, &str)]) -> (Document, Layered) {
        let mut document = Document::parse(Path::new("p.toml"), text).unwrap();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let layered = apply(&mut document, &variables.collect());
        (document, layered)
    }

    #[test]
    fn every_setting_has_a_variable() {
        let settings = settings();
        for name in [
            "DATA",
            "LISTEN_ADDRESS",
            "LISTEN_TLS_CERTIFICATE",
            "CACHE_MAX_SIZE",
            "UPSTREAM_<N>_CA_ONLY",
            "UPSTREAM_<N>_TIMEOUTS_FIRST_BYTE",
        ] {
            assert!(settings.contains_key(name), "{name} among {:?}", settings.keys());
        }
    }

    #[test]
    fn replaces_what_the_file_says_and_adds_upstreams() {
        let (document, layered) = applied(
            "data = 'a'\n[[upstream]]\nname = 'x'\n",
            &[
                ("PORTCULLIS_DATA", "b"),
                ("PORTCULLIS_LISTEN_PLAIN_HTTP", "true"),
                ("PORTCULLIS_POLICY", ""),
                ("PORTCULLIS_UPSTREAM_1_URL", "http://x"),
                ("PORTCULLIS_UPSTREAM_2_HOSTS", "h, i"),
                ("HOME", "/root"),
            ],
        );
        assert!(layered.problems.is_empty() && layered.warnings.is_empty(), "{layered:?}");
        insta::assert_snapshot!(toml::to_string(&document.values).unwrap(), @r#"
        data = "b"

        [listen]
        plain_http = true

        [[upstream]]
        name = "x"
        url = "http://x"

        [[upstream]]
        hosts = ["h", "i"]
        "#);
    }

    #[test]
    fn warns_of_a_variable_that_is_no_setting() {
        let (_, layered) = applied(
            "",
            &[
                ("PORTCULLIS_CACHE_MAXSIZE", "1"),
                ("PORTCULLIS_LOG", "debug"),
                ("PORTCULLIS_PORT_5000_TCP_ADDR", "10.0.0.1"),
                ("PORTCULLIS_SERVICE_HOST", "10.0.0.1"),
                ("PORTCULLIS_UPSTREAM_1_URI", "x"),
            ],
        );
        let warnings: Vec<_> = layered.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "environment variable PORTCULLIS_CACHE_MAXSIZE: is not a setting and was ignored\n  next: did you mean PORTCULLIS_CACHE_MAX_SIZE?",
                "environment variable PORTCULLIS_UPSTREAM_1_URI: is not a setting and was ignored\n  next: did you mean PORTCULLIS_UPSTREAM_1_URL?",
            ]
        );
    }

    #[test]
    fn a_password_may_have_any_name() {
        let (_, layered) = applied(
            "[[upstream]]\nname = 'x'\npassword_env = 'PORTCULLIS_HUB_TOKEN'\n",
            &[("PORTCULLIS_HUB_TOKEN", "t"), ("PORTCULLIS_HUB", "x")],
        );
        assert_eq!(layered.warnings.len(), 1, "{layered:?}");
    }

    #[test]
    fn refuses_a_gap_in_the_upstreams_and_a_value_of_the_wrong_kind() {
        let (_, layered) = applied(
            "",
            &[("PORTCULLIS_LISTEN_PLAIN_HTTP", "yes"), ("PORTCULLIS_UPSTREAM_2_URL", "http://x")],
        );
        let problems: Vec<_> = layered.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "environment variable PORTCULLIS_LISTEN_PLAIN_HTTP: `listen.plain_http`: must be `true` or `false`",
                "environment variable PORTCULLIS_UPSTREAM_2_URL: there are 0 upstreams before it, so it cannot be number 2\n  next: upstreams are numbered from 1, without gaps",
            ]
        );
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        let variables: Variables = [("HUB".to_owned(), "hunter2".to_owned())].into_iter().collect();
        assert_eq!(format!("{variables:?}"), "{\"HUB\"}");
    }
}
