//! Distinguished names: who a certificate says it is, and whom a policy trusts.
//!
//! A policy writes `C=US, ST=WA, O=Acme, CN=release` (RFC 4514); a certificate holds the same in DER.
//! An identity is met by every certificate that has all of its attributes, each letter by letter, and
//! maybe more: a subset. What two readers could read differently is refused on both sides (G-23): an
//! attribute that is there twice, two in one relative name (`+`), values in hexadecimal (`=#`, whose
//! length made notation run out of memory), and attributes that have no short name.
//!
//! Every identity names at least a country and an organisation. The Notary Project also demands a
//! state (`ST`); without one an identity is loaded with a warning, see [`Name::lacks_state`].

use std::{collections::BTreeMap, fmt};

use spki::{ObjectIdentifier, der::Tag};

use crate::trust::{
    der::{Der, Value},
    json::Malformed,
};

/// A distinguished name without ambiguity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::trust) struct Name(BTreeMap<&'static str, String>);

impl Name {
    /// Reads a name as RFC 4514 writes it. Short names count in any case; `S` is `ST`.
    ///
    /// # Errors
    /// In words that follow the name.
    pub(in crate::trust) fn parse(text: &str) -> Result<Self, String> {
        let mut letters = text.chars().peekable();
        let mut attributes = BTreeMap::new();
        loop {
            let kind: String = std::iter::from_fn(|| letters.next_if(|letter| *letter != '='))
                .take(MAX_KIND + 1)
                .collect();
            let kind = kind.trim_matches(' ');
            if letters.next() != Some('=') {
                return Err("must be attributes such as `O=Acme`, divided by commas".into());
            }
            let kind = short_name(kind)
                .ok_or_else(|| format!("has an attribute `{kind}`, which is not known"))?;
            let (value, end) = value(&mut letters)?;
            add(&mut attributes, kind, value)?;
            match end {
                None => break,
                Some(',') => {}
                Some(_) => return Err(SEVERAL.into()),
            }
        }
        let name = Self(attributes);
        match ["C", "O"].iter().find(|kind| !name.0.contains_key(*kind)) {
            Some(missing) => {
                Err(format!("has no `{missing}`: a country and an organisation are needed"))
            }
            None => Ok(name),
        }
    }

    /// Reads the DER of a certificate's subject.
    ///
    /// # Errors
    /// In words that follow "its subject".
    pub(super) fn of_der(der: &[u8]) -> Result<Self, String> {
        let mut attributes = BTreeMap::new();
        for relative in relatives(der).map_err(|_| "is no name".to_owned())? {
            let [(oid, value)] = relative.as_slice() else { return Err(SEVERAL.into()) };
            let kind = short_name_of(*oid)
                .ok_or_else(|| format!("has the attribute {oid}, which is not known"))?;
            let text =
                text(value).ok_or_else(|| format!("has a `{kind}` that is no plain text"))?;
            add(&mut attributes, kind, text)?;
        }
        Ok(Self(attributes))
    }

    /// Whether `other` has every attribute of this name.
    pub(in crate::trust) fn is_met_by(&self, other: &Self) -> bool {
        self.0.iter().all(|(kind, value)| other.0.get(kind) == Some(value))
    }

    /// Whether it names no state or province.
    pub(in crate::trust) fn lacks_state(&self) -> bool {
        !self.0.contains_key("ST")
    }
}

/// As RFC 4514 writes it.
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, value)) in self.0.iter().enumerate() {
            write!(formatter, "{}{kind}=", if at == 0 { "" } else { "," })?;
            let last = value.chars().count().saturating_sub(1);
            for (at, letter) in value.chars().enumerate() {
                let at_an_end =
                    (at == 0 && matches!(letter, ' ' | '#')) || (at == last && letter == ' ');
                if at_an_end || SPECIAL.contains(&letter) {
                    formatter.write_str("\\")?;
                }
                write!(formatter, "{letter}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

type Relative<'a> = Vec<(ObjectIdentifier, Value<'a>)>;

/// The relative names in the DER of a name, each with its attributes.
fn relatives(der: &[u8]) -> Result<Vec<Relative<'_>>, Malformed> {
    let mut list = Der::only(der, Tag::Sequence, "a name")?.inside();
    let mut relatives = Vec::new();
    while !list.is_empty() {
        let mut set = list.take(Tag::Set)?.inside();
        let mut relative = Vec::new();
        while !set.is_empty() {
            let mut attribute = set.take(Tag::Sequence)?.inside();
            relative.push((attribute.take(Tag::ObjectIdentifier)?.oid()?, attribute.value()?));
            attribute.finish()?;
        }
        relatives.push(relative);
    }
    Ok(relatives)
}

/// A value in one of the kinds of text that are in use, if it says something and hides nothing.
fn text(value: &Value<'_>) -> Option<String> {
    let text = std::str::from_utf8(value.content()).ok()?;
    let is_of_kind = match value.tag() {
        Tag::Utf8String => true,
        Tag::PrintableString | Tag::Ia5String => text.is_ascii(),
        _ => false,
    };
    let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
    (is_of_kind && is_plain).then(|| text.to_owned())
}

type Letters<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// A value and what ended it: a comma, a plus sign, or the end.
fn value(letters: &mut Letters<'_>) -> Result<(String, Option<char>), String> {
    while letters.next_if_eq(&' ').is_some() {}
    if letters.peek() == Some(&'#') {
        return Err("has a value in hexadecimal (`=#`), which is not taken".into());
    }
    let mut bytes = Vec::new();
    // Spaces that end a value do not belong to it, unless they are escaped.
    let mut kept = 0;
    let end = loop {
        match letters.next() {
            None => break None,
            Some(end @ (',' | '+')) => break Some(end),
            Some('\\') => {
                escaped(letters, &mut bytes)?;
                kept = bytes.len();
            }
            Some(letter @ ('"' | ';' | '<' | '>')) => {
                return Err(format!("has `{letter}` in a value: write a backslash before it"));
            }
            Some(letter) => {
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                if letter != ' ' {
                    kept = bytes.len();
                }
            }
        }
    };
    bytes.truncate(kept);
    let value =
        String::from_utf8(bytes).map_err(|_| "has an escape that is no UTF-8".to_owned())?;
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err("has a value that is empty or has control characters".into());
    }
    Ok((value, end))
}

/// What follows a backslash: a special letter, or a byte as two hexadecimal digits.
fn escaped(letters: &mut Letters<'_>, bytes: &mut Vec<u8>) -> Result<(), String> {
    let first = letters.next();
    match first {
        Some(letter) if SPECIAL.contains(&letter) || matches!(letter, ' ' | '#' | '=') => {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(())
        }
        Some(high) if high.is_ascii_hexdigit() => {
            let digits = high.to_digit(16).zip(letters.next().and_then(|low| low.to_digit(16)));
            let byte = digits.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            bytes.push(byte.ok_or("has a backslash with one hexadecimal digit")?);
            Ok(())
        }
        _ => Err("has a backslash that escapes nothing".into()),
    }
}

fn add(
    attributes: &mut BTreeMap<&'static str, String>,
    kind: &'static str,
    value: String,
) -> Result<(), String> {
    match attributes.insert(kind, value) {
        None => Ok(()),
        Some(_) => Err(format!("has `{kind}` twice")),
    }
}

fn short_name(kind: &str) -> Option<&'static str> {
    let kind = if kind.eq_ignore_ascii_case("S") { "ST" } else { kind };
    KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)).map(|(name, _)| *name)
}

fn short_name_of(oid: ObjectIdentifier) -> Option<&'static str> {
    KINDS.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name)
}

/// What has to be escaped anywhere in a value.
const SPECIAL: [char; 7] = ['"', '+', ',', ';', '<', '>', '\\'];
const SEVERAL: &str = "has several attributes in one relative name (`+`)";
/// Letters of an attribute's short name.
const MAX_KIND: usize = 32;
/// The attributes with a short name that notation writes (RFC 5280, appendix A.1).
const KINDS: [(&str, ObjectIdentifier); 9] = [
    ("C", ObjectIdentifier::new_unwrap("2.5.4.6")),
    ("CN", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("POSTALCODE", ObjectIdentifier::new_unwrap("2.5.4.17")),
    ("SERIALNUMBER", ObjectIdentifier::new_unwrap("2.5.4.5")),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap_or_else(|error| panic!("`{text}` {error}"))
    }

    #[test]
    fn reads_every_way_to_write_the_same_name() {
        let plain = name("C=US,ST=WA,O=Acme,CN=release");
        for same in [
            "CN=release,O=Acme,S=WA,C=US",
            "C=US, ST=WA, O=Acme, CN=release",
            "c = US,st= WA ,O=Acme,cn=release ",
            r"C=US,ST=WA,O=\41cme,CN=release",
        ] {
            assert_eq!(name(same), plain, "{same}");
        }
        assert_ne!(name("C=US,ST=WA,O=acme,CN=release"), plain);
        let escaped = name(r"C=US,ST=WA,O=Acme\, Inc.,CN=\ #a\=b=c");
        assert_eq!(escaped.to_string(), r"C=US,CN=\ #a=b=c,O=Acme\, Inc.,ST=WA");
        assert_eq!(name(r"C=US,O=Caf\c3\a9"), name("C=US,O=Café"));
    }

    #[test]
    fn g23_refuses_names_that_two_readers_could_read_differently() {
        for (text, why) in [
            ("C=US,O=#0c0441636d65", "hexadecimal"),
            ("C=US, O= #00", "hexadecimal"),
            ("C=US,O=Acme+CN=x", "several attributes"),
            ("C=US,O=Acme,O=Acme", "`O` twice"),
            ("C=US,ST=WA,S=WA,O=Acme", "`ST` twice"),
            ("C=US,CN=x", "no `O`"),
            ("O=Acme", "no `C`"),
            ("C=US,O=", "empty"),
            ("C=US,O=Acme,", "attributes such as"),
            ("", "attributes such as"),
            ("C=US,DC=x,O=y", "`DC`, which is not known"),
            ("C=US,2.5.4.3=x,O=y", "not known"),
            ("C=US;O=Acme", "backslash before"),
            ("C=US,O=\"Acme\"", "backslash before"),
            (r"C=US,O=Acme\", "escapes nothing"),
            (r"C=US,O=\4", "one hexadecimal digit"),
            (r"C=US,O=\ff", "no UTF-8"),
            (r"C=US,O=a\00", "control"),
        ] {
            let error = Name::parse(text).unwrap_err();
            assert!(error.contains(why), "`{text}` {error}");
        }
    }

    #[test]
    fn g23_an_identity_is_met_by_more_and_never_by_less() {
        let identity = name("C=US,ST=WA,O=Acme");
        assert!(identity.is_met_by(&name("C=US,ST=WA,O=Acme,CN=release")));
        assert!(identity.is_met_by(&identity));
        assert!(!name("C=US,ST=WA,O=Acme,CN=release").is_met_by(&identity));
        assert!(!identity.is_met_by(&name("C=US,ST=WA,O=Acme2")));
        assert!(!identity.is_met_by(&name("C=US,ST=wa,O=Acme")));
        assert!(!identity.is_met_by(&name("C=US,L=WA,O=Acme")));
    }

    /// DER of a name with these relative names, each of attributes `(last arc, tag, value)`.
    fn der(relatives: &[&[(u8, u8, &[u8])]]) -> Vec<u8> {
        let wrap = |tag: u8, content: Vec<u8>| {
            let mut out = vec![tag, u8::try_from(content.len()).unwrap()];
            out.extend(content);
            out
        };
        let relatives = relatives.iter().flat_map(|attributes| {
            let attributes = attributes.iter().flat_map(|(arc, tag, value)| {
                let mut content = vec![0x06, 3, 0x55, 4, *arc];
                content.extend(wrap(*tag, value.to_vec()));
                wrap(0x30, content)
            });
            wrap(0x31, attributes.collect())
        });
        wrap(0x30, relatives.collect())
    }

    #[test]
    fn g23_the_kind_of_text_in_a_certificate_does_not_matter() {
        let identity = name("C=US,O=Acme");
        for tag in [0x0c, 0x13, 0x16] {
            let subject = der(&[&[(6, 0x13, b"US")], &[(10, tag, b"Acme")]]);
            assert!(identity.is_met_by(&Name::of_der(&subject).unwrap()), "tag {tag}");
        }
    }

    #[test]
    fn g23_refuses_subjects_that_two_readers_could_read_differently() {
        for (relatives, why) in [
            (&[&[(6, 0x13, &b"US"[..]), (10, 0x13, b"Acme")][..]][..], "several"),
            (&[&[(10, 0x13, b"Acme")], &[(10, 0x13, b"Acme")]], "twice"),
            (&[&[(10, 0x1e, b"\0A\0c")]], "no plain text"),
            (&[&[(10, 0x0c, b"Ac\0me")]], "no plain text"),
            (&[&[(10, 0x0c, b"\xff\xfe")]], "no plain text"),
            (&[&[(13, 0x0c, b"x")]], "not known"),
        ] {
            let error = Name::of_der(&der(relatives)).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_round_trip(values in proptest::collection::vec("[ -~é]{1,8}", 3)) {
            let made = Name(["C", "O", "CN"].into_iter().zip(values).collect());
            prop_assert_eq!(Name::parse(&made.to_string()), Ok(made));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,40}|[A-Z=,+\\\\ #0-9a-f]{0,40}", bytes: Vec<u8>) {
            let _ = Name::parse(&text);
            let _ = Name::of_der(&bytes);
        }
    }
}
