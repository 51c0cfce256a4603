//! Whom a certificate is about: its subject alternative names (RFC 5280, 4.2.1.6).
//!
//! A name is one of several kinds, and a mail address that reads like a URI is still a mail address:
//! kind and text are compared together. Text that could end early or hide something, by a control
//! character or a letter that looks like another one, is refused (G-21).

use spki::{ObjectIdentifier, der::Tag};

use super::Certificate;
use crate::trust::{
    der::{Der, Value, around, instead, malformed},
    json::Malformed,
};

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::trust) enum AlternativeName {
    /// `dNSName`.
    Dns(String),
    /// `rfc822Name`: a mail address.
    Email(String),
    /// A kind that nobody signs images by, under its number in RFC 5280.
    Other(u32),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// An `otherName` of Fulcio's own type: what somebody is called at their issuer.
    UserName(String),
}

/// The names in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct AlternativeNames {
    pub(in crate::trust) is_critical: bool,
    pub(in crate::trust) names: Vec<AlternativeName>,
}

impl Certificate {
    /// Its subject alternative names, at least one.
    ///
    /// # Errors
    /// When they are malformed, or hold text that no name holds.
    pub(in crate::trust) fn alternative_names(
        &self,
    ) -> Result<Option<AlternativeNames>, Malformed> {
        let Some(extension) = self.extension(SUBJECT_ALTERNATIVE_NAME) else { return Ok(None) };
        let mut list = Der::only(&extension.value, Tag::Sequence, WHAT)?.inside();
        let mut names = Vec::new();
        while !list.is_empty() {
            names.push(read_name(&list.value()?)?);
        }
        if names.is_empty() {
            return Err(malformed(WHAT));
        }
        Ok(Some(AlternativeNames { is_critical: extension.is_critical, names }))
    }
}

fn read_name(name: &Value<'_>) -> Result<AlternativeName, Malformed> {
    let tag = name.tag();
    if tag == around(0) {
        read_other_name(name)
    } else if tag == instead(1) {
        ascii(name).map(AlternativeName::Email)
    } else if tag == instead(2) {
        ascii(name).map(AlternativeName::Dns)
    } else if tag == instead(6) {
        ascii(name).map(AlternativeName::Uri)
    } else {
        match tag {
            Tag::ContextSpecific { number, .. } => Ok(AlternativeName::Other(number.0)),
            _ => Err(malformed(WHAT)),
        }
    }
}

fn read_other_name(name: &Value<'_>) -> Result<AlternativeName, Malformed> {
    let mut fields = name.inside();
    let kind = fields.take(Tag::ObjectIdentifier)?.oid()?;
    let mut value = fields.take(around(0))?.inside();
    fields.finish()?;
    if kind != FULCIO_USER_NAME {
        return Ok(AlternativeName::Other(0));
    }
    let text = utf8(&value.take(Tag::Utf8String)?)?;
    value.finish()?;
    Ok(AlternativeName::UserName(text))
}

/// Text that is a name: some, and no control characters.
pub(super) fn utf8(value: &Value<'_>) -> Result<String, Malformed> {
    let text = std::str::from_utf8(value.content()).map_err(|_| malformed(WHAT))?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Malformed("a name in a certificate is empty or has control characters".into()));
    }
    Ok(text.to_owned())
}

/// `IA5String` that is a name: as RFC 5280 has it, in ASCII, and without spaces.
fn ascii(value: &Value<'_>) -> Result<String, Malformed> {
    let text = utf8(value)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Malformed("a name in a certificate is not plain ASCII".to_owned()))
    }
}

const WHAT: &str = "`subjectAltName`";
const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const FULCIO_USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
