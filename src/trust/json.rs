//! JSON from strangers: one meaning or none.
//!
//! Two readers must not see two documents in the same bytes (G-14). So a member that appears twice is
//! an error at every level, names are compared letter by letter, nothing may follow the document,
//! and it may not be deeper than [`MAX_DEPTH`]. serde_json itself refuses a byte order mark, lone
//! surrogates and numbers that are too large.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

/// A document without ambiguity.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Bool(bool),
    List(Vec<Self>),
    Null,
    Number(Number),
    /// In the order of the document; no name is there twice.
    Object(Vec<(String, Self)>),
    Text(String),
}

impl Json {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// When they are not exactly one document of a bounded depth.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        // Each value after the first follows a comma or opens a level, so commas bound what is held.
        if bytes.iter().filter(|byte| **byte == b',').count() > MAX_VALUES {
            return Err(Malformed(format!("it has more than {MAX_VALUES} values")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("it is not UTF-8".into()))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let document = Level(MAX_DEPTH)
            .deserialize(&mut deserializer)
            .map_err(|error| Malformed(error.to_string()))?;
        deserializer.end().map_err(|error| Malformed(error.to_string()))?;
        Ok(document)
    }

    /// The values of exactly the members `names` of an object called `what`.
    ///
    /// # Errors
    /// When it is no object, or a member is missing or too much.
    pub(super) fn members<const N: usize>(
        self,
        what: &str,
        names: [&str; N],
    ) -> Result<[Self; N], Malformed> {
        let mut members = self.object(what)?;
        let mut values = [const { Self::Null }; N];
        for (value, name) in values.iter_mut().zip(names) {
            let position = members.iter().position(|(member, _)| member == name);
            let position =
                position.ok_or_else(|| Malformed(format!("{what} has no member `{name}`")))?;
            *value = members.swap_remove(position).1;
        }
        match members.first() {
            None => Ok(values),
            Some((name, _)) => {
                let name: String = name.chars().take(40).collect();
                Err(Malformed(format!("{what} has a member `{name}`, which is not known")))
            }
        }
    }

    /// The members of an object called `what`.
    ///
    /// # Errors
    /// When it is no object.
    pub(super) fn object(self, what: &str) -> Result<Vec<(String, Self)>, Malformed> {
        match self {
            Self::Object(members) => Ok(members),
            _ => Err(Malformed(format!("{what} is not an object"))),
        }
    }

    /// The text called `what`.
    ///
    /// # Errors
    /// When it is no text.
    pub(super) fn text(self, what: &str) -> Result<String, Malformed> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Malformed(format!("{what} is not a text"))),
        }
    }

    /// The whole number called `what`.
    ///
    /// # Errors
    /// When it is no number, or not a whole one.
    pub(super) fn integer(&self, what: &str) -> Result<i64, Malformed> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
        .ok_or_else(|| Malformed(format!("{what} is not a whole number")))
    }

    /// The list called `what`, of at most `most` entries.
    ///
    /// # Errors
    /// When it is no list, or a longer one.
    pub(super) fn list(self, what: &str, most: usize) -> Result<Vec<Self>, Malformed> {
        match self {
            Self::List(entries) if entries.len() <= most => Ok(entries),
            Self::List(_) => Err(Malformed(format!("{what} has more than {most} entries"))),
            _ => Err(Malformed(format!("{what} is not a list"))),
        }
    }

    /// The bytes of the text called `what` in standard base64, which is the strict one: padded,
    /// canonical, no spaces (G-15).
    ///
    /// # Errors
    /// When it is anything else.
    pub(super) fn base64(self, what: &str) -> Result<Vec<u8>, Malformed> {
        let text = self.text(what)?;
        STANDARD.decode(text).map_err(|_| Malformed(format!("{what} is not standard base64")))
    }
}

/// An object whose members are taken out by name, for documents in which some may be missing. Call
/// [`Members::finish`] at the end: nothing may be left that nobody has looked at.
#[derive(Debug)]
pub(super) struct Members<'w> {
    what: &'w str,
    members: Vec<(String, Json)>,
}

impl<'w> Members<'w> {
    /// The members of the object `json`, which is called `what`.
    ///
    /// # Errors
    /// When it is no object.
    pub(super) fn of(json: Json, what: &'w str) -> Result<Self, Malformed> {
        Ok(Self { what, members: json.object(what)? })
    }

    /// The member `name`, if it is there. `null` is not, as the JSON form of protobuf has it.
    pub(super) fn take(&mut self, name: &str) -> Option<Json> {
        let position = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.swap_remove(position).1).filter(|value| *value != Json::Null)
    }

    /// The member `name`.
    ///
    /// # Errors
    /// When it is missing.
    pub(super) fn require(&mut self, name: &str) -> Result<Json, Malformed> {
        self.take(name).ok_or_else(|| Malformed(format!("{} has no member `{name}`", self.what)))
    }

    /// Makes sure that every member was taken.
    ///
    /// # Errors
    /// When there is one more, which is not known.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        let Self { what, members } = self;
        Json::Object(members).members(what, []).map(|[]| ())
    }
}

/// The names of the members of the object that `bytes` hold, each once and at most
/// [`MAX_MEMBERS`]. The values are read over and not kept, so that a large document costs no more
/// memory than itself.
///
/// # Errors
/// When `bytes` are no such object.
pub(super) fn member_names(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed("it is not UTF-8".into()))?;
    let Names(names) = serde_json::from_str(text).map_err(|error| Malformed(error.to_string()))?;
    Ok(names)
}

/// Why a document was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

/// Objects and lists inside each other. Real documents use five; serde_json would allow 128.
const MAX_DEPTH: usize = 32;
/// Values of a document: a few times what a large bill of materials has. Each takes tens of bytes.
const MAX_VALUES: usize = 1 << 20;
/// Members of an object whose values are not kept.
const MAX_MEMBERS: usize = 16;

struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Names, A::Error> {
                let mut names: Vec<String> = Vec::new();
                while let Some((name, IgnoredAny)) = access.next_entry()? {
                    if names.len() == MAX_MEMBERS || names.contains(&name) {
                        return Err(A::Error::custom("it has too many members, or one twice"));
                    }
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(NamesVisitor)
    }
}

/// Reads a value that may hold this many levels.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom(format_args!("it is deeper than {MAX_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(below)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut seen = std::collections::HashSet::new();
        let mut members = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                let name: String = name.chars().take(40).collect();
                return Err(A::Error::custom(format_args!("the member `{name}` is there twice")));
            }
            members.push((name, access.next_value_seed(below)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn g36_a_document_of_countless_values_is_not_read() {
        let values = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        assert!(Json::parse(values(1000).as_bytes()).is_ok());
        let error = Json::parse(values(MAX_VALUES + 2).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 1048576 values"), "{error}");
    }

    #[test]
    fn g14_refuses_documents_with_two_meanings() {
        for bad in [
            r#"{"a":1,"a":2}"#.to_owned(),
            r#"{"a":1,"\u0061":2}"#.to_owned(),
            r#"[{"b":{"a":1,"a":1}}]"#.to_owned(),
            "{} {}".to_owned(),
            "{}x".to_owned(),
            "\u{feff}{}".to_owned(),
            r#""\ud800""#.to_owned(),
            "1e400".to_owned(),
            "NaN".to_owned(),
            "[".repeat(10_000),
            format!("{}{}", "[".repeat(33), "]".repeat(33)),
            String::new(),
        ] {
            assert!(Json::parse(bad.as_bytes()).is_err(), "{bad:.60} was taken");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        assert!(Json::parse(format!("{}{}", "[".repeat(32), "]".repeat(32)).as_bytes()).is_ok());
    }

    #[test]
    fn members_are_exact() {
        let read = |text: &str| {
            Json::parse(text.as_bytes()).unwrap().members("it", ["a", "b"]).map_err(|error| error.0)
        };
        assert_eq!(read(r#"{"b":null,"a":true}"#), Ok([Json::Bool(true), Json::Null]));
        assert_eq!(read(r#"{"a":1}"#), Err("it has no member `b`".to_owned()));
        assert_eq!(read(r#"{"a":1,"B":1}"#), Err("it has no member `b`".to_owned()));
        let more = read(r#"{"a":1,"b":1,"c":1}"#);
        assert_eq!(more, Err("it has a member `c`, which is not known".to_owned()));
        assert_eq!(read("[]"), Err("it is not an object".to_owned()));
    }

    #[test]
    fn names_of_members_are_read_without_their_values() {
        let names = |text: &str| member_names(text.as_bytes()).ok();
        assert_eq!(names(r#"{"a":[1,{"b":2}],"c":null}"#), Some(vec!["a".into(), "c".into()]));
        let many = (0..17).map(|at| format!("\"{at}\":0")).collect::<Vec<_>>().join(",");
        for bad in [r#"{"a":1,"a":2}"#, "[]", "{}x", "{\"a\":}", "", &format!("{{{many}}}")] {
            assert_eq!(names(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>, text in "[\\[\\]{}:,\"a0e. ]{0,60}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let _ = Json::parse(bytes);
                let _ = member_names(bytes);
            }
        }
    }
}
