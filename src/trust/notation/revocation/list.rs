//! A certificate revocation list (RFC 5280, 5), and what several of them together say.
//!
//! A list counts for a certificate when the certificate's issuer signed it and may, when now lies
//! between its two updates, and when its scope covers that certificate. A complete list is enough; a
//! delta changes the newest complete list that it was made for. Lists by others about an issuer's
//! certificates (indirect), lists of some reasons only, and critical extensions that are not known here
//! are refused when they are read, since nobody should believe to be protected by them.

use std::{collections::HashMap, time::SystemTime};

use bytes::Bytes;
use sha2::Digest as _;
use spki::{ObjectIdentifier, der::Tag};

use super::{REVOCATION_LIST_POINTS, just_after};
use crate::{
    oci::digest::hex_of,
    trust::{
        der::{Der, around, instead},
        json::Malformed,
        keys::Scheme,
        pem,
        x509::{Certificate, KeyUsage},
    },
};

/// A list as it is written. Whether its issuer signed it is asked when it is used.
#[derive(Clone, Debug)]
pub(in crate::trust) struct RevocationList {
    der: Bytes,
    signed: Bytes,
    signature: Bytes,
    scheme: Option<Scheme>,
    issuer: Bytes,
    this_update: SystemTime,
    next_update: SystemTime,
    extensions: Extensions,
    entries: HashMap<Bytes, Entry>,
}

/// What a list says of itself.
#[derive(Clone, Debug, Default)]
struct Extensions {
    /// Big-endian, without leading zeros.
    number: Vec<u8>,
    /// The complete list that it changes, if it is a delta.
    base: Option<Vec<u8>>,
    scope: Scope,
}

/// Which certificates a list is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Scope {
    kind: Kind,
    /// Those that name this place, where an issuer divides its list: a `GeneralName` in DER.
    place: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    All,
    Authorities,
    Users,
}

/// What a list says of one certificate.
#[derive(Clone, Copy, Debug)]
struct Entry {
    invalid_since: Option<SystemTime>,
    /// A delta that takes a revocation back.
    is_removed: bool,
}

/// What lists say of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not revoked; asked again from this moment on.
    Good(SystemTime),
    /// It is.
    Revoked { invalid_since: Option<SystemTime> },
    /// There is no list of its issuer.
    Unlisted,
    /// There are, and none of them counts. Why, in words.
    Unusable(&'static str),
}

impl RevocationList {
    /// Reads a file: DER, or one PEM block.
    ///
    /// # Errors
    /// When it is anything else, or a list that is not understood.
    pub(in crate::trust) fn from_file(content: &[u8]) -> Result<Self, Malformed> {
        if content.first() == Some(&DER_SEQUENCE) {
            return Self::from_der(content);
        }
        let (_, der) =
            pem::decode(content, &["X509 CRL"]).map_err(|error| Malformed(error.to_string()))?;
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let der = Bytes::copy_from_slice(der);
        let mut outer = Der::only(&der, Tag::Sequence, WHAT)?.inside();
        let signed = outer.take(Tag::Sequence)?;
        let algorithm = outer.take(Tag::Sequence)?;
        let signature = outer.take(Tag::BitString)?.bits()?;
        outer.finish()?;
        let mut inner = signed.inside();
        if inner.take(Tag::Integer)?.small()? != VERSION_2 {
            return Err(Malformed("a revocation list is not of version 2".into()));
        }
        if inner.take(Tag::Sequence)?.raw() != algorithm.raw() {
            return Err(Malformed("a revocation list names two signature algorithms".into()));
        }
        let issuer = inner.take(Tag::Sequence)?.raw();
        let this_update = inner.value()?.time()?;
        let next_update = inner.value()?.time()?;
        let entries = match inner.take_if(Tag::Sequence)? {
            Some(entries) => read_entries(&der, &mut entries.inside())?,
            None => HashMap::new(),
        };
        let mut extensions = inner.take(around(0))?.inside();
        let list = extensions.take(Tag::Sequence)?;
        extensions.finish()?;
        inner.finish()?;
        Ok(Self {
            signed: der.slice_ref(signed.raw()),
            signature: der.slice_ref(signature),
            scheme: Scheme::of_algorithm(algorithm.raw()),
            issuer: der.slice_ref(issuer),
            this_update,
            next_update,
            extensions: read_list_extensions(&mut list.inside())?,
            entries,
            der,
        })
    }

    /// The DER of its issuer's name.
    pub(in crate::trust) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The last moment at which it counts.
    pub(in crate::trust) const fn next_update(&self) -> SystemTime {
        self.next_update
    }

    /// The SHA-256 of the whole list, in hex.
    pub(in crate::trust) fn fingerprint(&self) -> String {
        hex_of(&sha2::Sha256::digest(&self.der))
    }

    fn is_signed_by(&self, issuer: &Certificate) -> bool {
        let key = issuer.public_key();
        self.scheme.is_some_and(|scheme| key.verifies_by(scheme, &self.signed, &self.signature))
    }

    fn is_current(&self, now: SystemTime) -> bool {
        self.this_update <= now && now <= self.next_update
    }

    fn covers(&self, certificate: &Certificate) -> bool {
        let scope = &self.extensions.scope;
        let is_of_kind = match scope.kind {
            Kind::All => true,
            Kind::Authorities => certificate.is_authority().unwrap_or_default(),
            Kind::Users => !certificate.is_authority().unwrap_or(true),
        };
        let places = certificate.extension(REVOCATION_LIST_POINTS);
        // The whole value with its length is searched for, so that no longer address matches.
        is_of_kind
            && scope.place.as_ref().is_none_or(|place| {
                places.is_some_and(|it| it.value.windows(place.len()).any(|part| part == place))
            })
    }

    /// Whether this delta changes the complete list `base`.
    fn changes(&self, base: &Self) -> bool {
        let is_for = |first: &Vec<u8>| !is_greater(first, &base.extensions.number);
        self.extensions.base.as_ref().is_some_and(is_for)
            && is_greater(&self.extensions.number, &base.extensions.number)
            && self.extensions.scope == base.extensions.scope
    }
}

/// What those of `lists` that `issuer` made say of `certificate` at `now`.
pub(super) fn standing(
    certificate: &Certificate,
    issuer: &Certificate,
    lists: &[RevocationList],
    now: SystemTime,
) -> Standing {
    let of_issuer = |list: &&RevocationList| list.issuer == issuer.subject();
    let lists: Vec<_> =
        lists.iter().filter(of_issuer).filter(|it| it.covers(certificate)).collect();
    if lists.is_empty() {
        return Standing::Unlisted;
    }
    if !matches!(issuer.key_usage(), Ok(Some(usage)) if usage.allows(KeyUsage::REVOCATION_SIGNING))
    {
        return Standing::Unusable("its issuer may not sign revocation lists");
    }
    let mut lists: Vec<_> = lists.into_iter().filter(|list| list.is_signed_by(issuer)).collect();
    if lists.is_empty() {
        return Standing::Unusable("no list is signed by its issuer");
    }
    lists.retain(|list| list.is_current(now));
    let complete = lists.iter().filter(|list| list.extensions.base.is_none());
    let newest =
        complete.max_by(|one, other| order(&one.extensions.number, &other.extensions.number));
    let Some(newest) = newest else {
        return Standing::Unusable("no complete list of its issuer is current");
    };
    let deltas = lists.iter().filter(|list| list.changes(newest));
    let delta = deltas.max_by(|one, other| order(&one.extensions.number, &other.extensions.number));
    let serial = certificate.serial();
    let entry =
        delta.and_then(|list| list.entries.get(serial)).or_else(|| newest.entries.get(serial));
    match entry {
        Some(entry) if !entry.is_removed => {
            Standing::Revoked { invalid_since: entry.invalid_since }
        }
        _ => {
            let end =
                delta.map_or(newest.next_update, |list| list.next_update.min(newest.next_update));
            Standing::Good(just_after(end))
        }
    }
}

/// `SEQUENCE OF SEQUENCE { serial, date, extensions }`.
fn read_entries(der: &Bytes, list: &mut Der<'_>) -> Result<HashMap<Bytes, Entry>, Malformed> {
    let mut entries = HashMap::new();
    while !list.is_empty() {
        let mut fields = list.take(Tag::Sequence)?.inside();
        let serial = der.slice_ref(fields.take(Tag::Integer)?.content());
        fields.value()?.time()?;
        let mut entry = Entry { invalid_since: None, is_removed: false };
        if let Some(extensions) = fields.take_if(Tag::Sequence)? {
            let mut extensions = extensions.inside();
            while !extensions.is_empty() {
                let extension = Extension::read(&mut extensions)?;
                match extension.oid {
                    REASON => entry.is_removed = extension.value == REMOVED_FROM_LIST,
                    INVALIDITY_DATE => {
                        let mut date = Der::new(extension.value, WHAT);
                        entry.invalid_since = Some(date.take(Tag::GeneralizedTime)?.time()?);
                        date.finish()?;
                    }
                    _ => extension.refuse_if_critical()?,
                }
            }
        }
        fields.finish()?;
        if entries.insert(serial, entry).is_some() {
            return Err(Malformed("a revocation list has a certificate twice".into()));
        }
    }
    Ok(entries)
}

fn read_list_extensions(list: &mut Der<'_>) -> Result<Extensions, Malformed> {
    let mut extensions = Extensions::default();
    while !list.is_empty() {
        let extension = Extension::read(list)?;
        let number = || {
            let value = Der::only(extension.value, Tag::Integer, WHAT)?;
            Ok::<_, Malformed>(value.unsigned()?.to_vec())
        };
        match extension.oid {
            NUMBER => extensions.number = number()?,
            DELTA => extensions.base = Some(number()?),
            DISTRIBUTION_POINT => extensions.scope = scope_of(extension.value)?,
            _ => extension.refuse_if_critical()?,
        }
    }
    Ok(extensions)
}

/// `IssuingDistributionPoint` (RFC 5280, 5.2.5).
fn scope_of(value: &[u8]) -> Result<Scope, Malformed> {
    let mut fields = Der::only(value, Tag::Sequence, WHAT)?.inside();
    let mut scope = Scope::default();
    if let Some(point) = fields.take_if(around(0))? {
        let mut names = point.inside().take(around(0))?.inside();
        scope.place = Some(names.value()?.raw().to_vec());
    }
    for (number, only) in [(1, Kind::Users), (2, Kind::Authorities)] {
        if fields.take_if(instead(number))?.is_some() {
            scope.kind = only;
        }
    }
    if fields.is_empty() {
        Ok(scope)
    } else {
        let what = "a revocation list is of some reasons only, by somebody else, or of attributes";
        Err(Malformed(what.into()))
    }
}

struct Extension<'a> {
    oid: ObjectIdentifier,
    is_critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    fn read(list: &mut Der<'a>) -> Result<Self, Malformed> {
        let mut fields = list.take(Tag::Sequence)?.inside();
        let oid = fields.take(Tag::ObjectIdentifier)?.oid()?;
        let is_critical = match fields.take_if(Tag::Boolean)? {
            Some(is_critical) => is_critical.boolean()?,
            None => false,
        };
        let value = fields.take(Tag::OctetString)?.content();
        fields.finish()?;
        Ok(Self { oid, is_critical, value })
    }

    fn refuse_if_critical(&self) -> Result<(), Malformed> {
        if self.is_critical {
            let what = format!("a revocation list has a critical extension {}", self.oid);
            return Err(Malformed(format!("{what}, which is not known")));
        }
        Ok(())
    }
}

/// Compares whole numbers that are big-endian without leading zeros.
fn order(one: &[u8], other: &[u8]) -> std::cmp::Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

fn is_greater(one: &[u8], other: &[u8]) -> bool {
    order(one, other).is_gt()
}

const WHAT: &str = "a revocation list";
const DER_SEQUENCE: u8 = 0x30;
/// The number that says version 2.
const VERSION_2: u32 = 1;
/// The reason code `removeFromCRL` as an `ENUMERATED`.
const REMOVED_FROM_LIST: &[u8] = &[0x0a, 1, 8];
const NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");
const DELTA: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
