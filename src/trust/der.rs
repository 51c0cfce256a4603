//! DER from strangers: a value is read once, in its one encoding, and nothing may be left over.
//!
//! Certificates, timestamps and log extensions are all DER (X.690). The `der` crate reads tags and
//! lengths and refuses every second spelling of them; here is what the parsers say around it: which
//! tag comes next, what may be missing, and that the end is the end (G-22).

use std::time::SystemTime;

use spki::{
    ObjectIdentifier,
    der::{
        AnyRef, Decode as _, Encode as _, Header, Length, Reader as _, SliceReader, Tag, TagNumber,
        Tagged as _,
        asn1::{BitStringRef, GeneralizedTime, UintRef, UtcTime},
    },
};

use super::json::Malformed;

/// What is left to read of something called `what`.
#[derive(Debug)]
pub(super) struct Der<'a> {
    what: &'static str,
    rest: &'a [u8],
}

/// A value with its tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    what: &'static str,
    any: AnyRef<'a>,
    raw: &'a [u8],
}

impl<'a> Der<'a> {
    /// Reads `bytes`, which are any number of values after each other.
    pub(super) const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { what, rest: bytes }
    }

    /// The content of `bytes`, which are exactly one value tagged `tag`.
    ///
    /// # Errors
    /// When they are anything else.
    pub(super) fn only(
        bytes: &'a [u8],
        tag: Tag,
        what: &'static str,
    ) -> Result<Value<'a>, Malformed> {
        let mut reader = Self::new(bytes, what);
        let value = reader.take(tag)?;
        reader.finish()?;
        Ok(value)
    }

    /// The next value, whatever it is.
    ///
    /// # Errors
    /// When there is none, or it is no DER.
    pub(super) fn value(&mut self) -> Result<Value<'a>, Malformed> {
        let what = self.what;
        let read = || -> Result<_, spki::der::Error> {
            let raw = SliceReader::new(self.rest)?.tlv_bytes()?;
            Ok((raw, AnyRef::from_der(raw)?))
        };
        let (raw, any) = read().map_err(|_| malformed(what))?;
        self.rest = &self.rest[raw.len()..];
        Ok(Value { what, any, raw })
    }

    /// The next value, which is tagged `tag`.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn take(&mut self, tag: Tag) -> Result<Value<'a>, Malformed> {
        let value = self.value()?;
        if value.tag() == tag { Ok(value) } else { Err(malformed(self.what)) }
    }

    /// The next value if it is tagged `tag`.
    ///
    /// # Errors
    /// When what comes next is no DER.
    pub(super) fn take_if(&mut self, tag: Tag) -> Result<Option<Value<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let is_next = SliceReader::new(self.rest).and_then(|reader| Tag::peek(&reader));
        let is_next = is_next.map_err(|_| malformed(self.what))? == tag;
        is_next.then(|| self.value()).transpose()
    }

    /// Whether nothing is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(malformed(self.what)) }
    }
}

impl<'a> Value<'a> {
    /// Its tag.
    pub(super) fn tag(&self) -> Tag {
        self.any.tag()
    }

    /// Tag, length and content.
    pub(super) const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The content alone.
    pub(super) fn content(&self) -> &'a [u8] {
        self.any.value()
    }

    /// The values inside.
    pub(super) fn inside(&self) -> Der<'a> {
        Der::new(self.content(), self.what)
    }

    /// It as a type of the `der` crate.
    fn decode<T>(&self) -> Result<T, Malformed>
    where
        T: spki::der::Decode<'a>,
    {
        T::from_der(self.raw).map_err(|_| malformed(self.what))
    }

    /// The object identifier that it is.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn oid(&self) -> Result<ObjectIdentifier, Malformed> {
        self.decode()
    }

    /// The boolean that it is.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn boolean(&self) -> Result<bool, Malformed> {
        self.decode()
    }

    /// The whole number, from 0 on, that it is: big-endian, without leading zeros.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn unsigned(&self) -> Result<&'a [u8], Malformed> {
        Ok(self.decode::<UintRef<'a>>()?.as_bytes())
    }

    /// The small whole number, from 0 on, that it is.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn small(&self) -> Result<u32, Malformed> {
        self.decode()
    }

    /// The bytes of a bit string of whole bytes.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn bits(&self) -> Result<&'a [u8], Malformed> {
        self.decode::<BitStringRef<'a>>()?.as_bytes().ok_or_else(|| malformed(self.what))
    }

    /// The bit string that names flags: which of the first 16 are set, the first in bit 0.
    ///
    /// # Errors
    /// When it is none, or sets others.
    pub(super) fn flags(&self) -> Result<u16, Malformed> {
        let bits: BitStringRef<'a> = self.decode()?;
        if bits.bit_len() > 16 {
            return Err(malformed(self.what));
        }
        let flags = bits.bits().enumerate().filter(|(_, is_set)| *is_set);
        Ok(flags.fold(0, |flags, (at, _)| flags | 1 << at))
    }

    /// The time that it is, in either of X.509's two spellings (RFC 5280, 4.1.2.5).
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn time(&self) -> Result<SystemTime, Malformed> {
        match self.tag() {
            Tag::UtcTime => Ok(self.decode::<UtcTime>()?.to_system_time()),
            _ => Ok(self.decode::<GeneralizedTime>()?.to_system_time()),
        }
    }
}

/// The tag `[number]` of a structure around other values.
pub(super) const fn around(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

/// The tag `[number]` in place of a simple value's own.
pub(super) const fn instead(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number) }
}

/// `content` as a value tagged `tag`.
///
/// # Errors
/// When it is longer than 256 MiB.
pub(super) fn wrapped(tag: Tag, content: &[u8]) -> Result<Vec<u8>, Malformed> {
    let write = || -> Result<_, spki::der::Error> {
        let length = Length::try_from(content.len())?;
        let mut value = Header::new(tag, length).to_der()?;
        value.extend_from_slice(content);
        Ok(value)
    };
    write().map_err(|_| malformed("a value"))
}

/// How `what` is refused, when it is not the DER that it must be.
pub(super) fn malformed(what: &str) -> Malformed {
    Malformed(format!("{what} is not the DER that it must be"))
}
