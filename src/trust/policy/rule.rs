//! Rules, the deny list and exceptions.

use std::{fmt, time::SystemTime};

use super::{
    document::{Field, Place, Section},
    pattern::{self, Pattern},
    require::{self, Require},
};
use crate::{
    oci::{Digest, ImageName, UpstreamTable},
    trust::{Format, Mode, keys::Fingerprint},
};

/// What is required of the images that a rule covers.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it covers.
    pub patterns: Vec<Pattern>,
    /// Where the policy says so.
    pub place: Place,
    /// What it requires.
    pub require: Require,
    /// What it does with what it refuses.
    pub mode: Mode,
    /// Which wire formats count.
    pub formats: Vec<Format>,
    /// What the name inside a signature must be.
    pub signed_as: SignedAs,
    /// Where signatures may be beside the image's own repository.
    pub signatures_in: Option<ImageName>,
}

/// What the name inside a classic signature must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedAs {
    /// Anything, or nothing.
    Any,
    /// The repository that is pulled.
    Match,
    /// A repository that the pattern covers.
    Pattern(Pattern),
}

impl fmt::Display for SignedAs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("any"),
            Self::Match => formatter.write_str("match"),
            Self::Pattern(pattern) => pattern.fmt(formatter),
        }
    }
}

/// An entry of the deny list.
#[derive(Clone, Debug)]
pub struct Denial {
    /// Where the policy says so.
    pub place: Place,
    /// What is denied.
    pub what: Denied,
    /// Why, for people.
    pub reason: Option<String>,
}

/// What an entry of the deny list denies.
#[derive(Clone, Debug)]
pub enum Denied {
    /// A manifest, in every repository.
    Digest(Digest),
    /// A key: its signatures never count.
    Key(Fingerprint),
    /// Whole repositories.
    Match(Vec<Pattern>),
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(formatter),
            Self::Key(fingerprint) => write!(formatter, "key {fingerprint}"),
            Self::Match(patterns) => write_list(formatter, patterns),
        }
    }
}

/// An image that is admitted until a date, whatever its rule says.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Where the policy says so.
    pub place: Place,
    /// In which repositories.
    pub patterns: Vec<Pattern>,
    /// Which manifest.
    pub digest: Digest,
    /// The first moment at which it no longer applies.
    pub until: SystemTime,
    /// Why, for people.
    pub reason: String,
}

impl Exception {
    /// Whether it is about this manifest, ended or not.
    #[must_use]
    pub fn covers(&self, image: &ImageName, digest: &Digest) -> bool {
        self.digest == *digest && self.patterns.iter().any(|pattern| pattern.matches(image))
    }
}

/// `patterns` between backticks.
fn write_list(formatter: &mut fmt::Formatter<'_>, patterns: &[Pattern]) -> fmt::Result {
    for (at, pattern) in patterns.iter().enumerate() {
        write!(formatter, "{}`{pattern}`", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}

/// Reads rules, denials and exceptions.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    pub(super) requirements: require::Reader<'t>,
    pub(super) table: &'t UpstreamTable,
}

impl Reader<'_> {
    pub(super) fn rule(&self, section: Section<'_, '_>) -> Option<Rule> {
        let patterns =
            required(&section, "match").and_then(|field| read_patterns(&field, self.table));
        let require =
            required(&section, "require").and_then(|field| self.requirements.read(&field));
        let mode = match section.field("mode") {
            Some(field) => field.word(&words(Mode::ALL, Mode::as_str)),
            None => Some(Mode::Enforce),
        };
        let formats = match section.field("formats") {
            Some(field) => formats(&field),
            None => Some(Format::ALL.to_vec()),
        };
        let signed_as = match section.field("signed_as") {
            Some(field) => self.signed_as(&field),
            None => Some(SignedAs::Match),
        };
        let signatures_in = match section.field("signatures_in") {
            Some(field) => self.signatures_in(&field).map(Some),
            None => Some(None),
        };
        let place = section.place.clone();
        section.finish();
        Some(Rule {
            patterns: patterns?,
            place,
            require: require?,
            mode: mode?,
            formats: formats?,
            signed_as: signed_as?,
            signatures_in: signatures_in?,
        })
    }

    pub(super) fn denial(&self, section: Section<'_, '_>) -> Option<Denial> {
        let what = match section.present(&["digest", "key", "match"]).as_slice() {
            [_] => {
                let digest =
                    section.field("digest").map(|field| parsed(&field).map(Denied::Digest));
                let key = section.field("key").map(|field| parsed(&field).map(Denied::Key));
                let patterns = section
                    .field("match")
                    .map(|field| read_patterns(&field, self.table).map(Denied::Match));
                digest.or(key).or(patterns).flatten()
            }
            _ => {
                section.problem(
                    "must name one thing to deny",
                    "write exactly one of `digest`, `match` and `key`",
                );
                return None;
            }
        };
        let reason = section.field("reason").map(|field| field.text().map(str::to_owned));
        let place = section.place.clone();
        section.finish();
        Some(Denial { place, what: what?, reason: reason.flatten() })
    }

    pub(super) fn exception(&self, section: Section<'_, '_>) -> Option<Exception> {
        let patterns =
            required(&section, "match").and_then(|field| read_patterns(&field, self.table));
        let digest = required(&section, "digest").and_then(|field| parsed(&field));
        let until = required(&section, "until").and_then(|field| field.time());
        let reason = required(&section, "reason").and_then(|field| field.text().map(str::to_owned));
        let place = section.place.clone();
        section.finish();
        let (patterns, digest) = (patterns?, digest?);
        Some(Exception { place, patterns, digest, until: until?, reason: reason? })
    }

    fn signed_as(&self, field: &Field<'_, '_>) -> Option<SignedAs> {
        match field.text()? {
            "match" => Some(SignedAs::Match),
            "any" => Some(SignedAs::Any),
            text => match Pattern::parse(text, self.table) {
                Ok(pattern) => Some(SignedAs::Pattern(pattern)),
                Err(error) => {
                    field.problem(error.to_string(), "write `match`, `any` or a pattern");
                    None
                }
            },
        }
    }

    fn signatures_in(&self, field: &Field<'_, '_>) -> Option<ImageName> {
        let text = field.text()?;
        let image = Pattern::parse(text, self.table).ok().and_then(|pattern| pattern.image());
        let Some(image) = image else {
            field.problem(
                format!("`{text}` is not a repository"),
                "write it with its registry and without a tag: `registry.acme.org/signatures`",
            );
            return None;
        };
        if !pattern::is_configured(image.upstream.as_str(), self.table) {
            field.problem(
                format!(
                    "no upstream is called `{}`, so nothing can be found there",
                    image.upstream
                ),
                "add an `[[upstream]]` for it to `portcullis.toml`",
            );
            return None;
        }
        Some(image)
    }
}

/// Patterns from one text or a list of them.
pub(super) fn read_patterns(field: &Field<'_, '_>, table: &UpstreamTable) -> Option<Vec<Pattern>> {
    let mut patterns = Vec::new();
    let mut right = true;
    for (place, text) in field.texts()? {
        match Pattern::parse(text, table) {
            Ok(pattern) if patterns.contains(&pattern) => {
                right = false;
                field.problem_at(&place, format!("`{pattern}` is there twice"), "name it once");
            }
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                right = false;
                field.problem_at(&place, error.to_string(), "");
            }
        }
    }
    right.then_some(patterns)
}

fn required<'d, 'r>(section: &Section<'d, 'r>, name: &'static str) -> Option<Field<'d, 'r>> {
    let field = section.field(name);
    if field.is_none() {
        section.problem(format!("has no `{name}`"), format!("add `{name} = ...`"));
    }
    field
}

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(field: &Field<'_, '_>) -> Option<T> {
    let text = field.text()?;
    text.parse().map_err(|error| field.problem(format!("`{text}`: {error}"), "")).ok()
}

fn words<T: Copy>(values: &[T], word: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    values.iter().map(|value| (word(*value), *value)).collect()
}

fn formats(field: &Field<'_, '_>) -> Option<Vec<Format>> {
    let known = words(Format::ALL, Format::as_str);
    let formats: Vec<_> = field.list()?.iter().map(|entry| entry.word(&known)).collect();
    let formats = formats.into_iter().collect::<Option<Vec<_>>>()?;
    if formats.iter().enumerate().any(|(at, format)| formats[..at].contains(format)) {
        field.problem("names a format twice", "name it once");
    }
    Some(formats)
}
