//! Certificates: one strict parser for all signature formats (RFC 5280, 4.1).
//!
//! A certificate says that a name has a key, and somebody signed that. Fulcio's are Sigstore's
//! [identities](fulcio), a timestamping authority's lead to its root, Notation's are whole chains.
//! They differ in which certificates they allow and agree on how one is read, so that is here, once:
//! version 3, no extension twice, nothing after the end, the algorithm inside the one outside, and a
//! key that this program can verify with (G-22, G-25).
//!
//! Nothing is trusted for having been parsed. [`path`] leads from a certificate to an anchor at a
//! time; what an extension says is read by the methods in [`extensions`].

mod extensions;
pub(in crate::trust) mod fulcio;
mod names;
pub(in crate::trust) mod path;

use std::{fmt, time::SystemTime};

use bytes::Bytes;
use sha2::Digest as _;
use spki::{ObjectIdentifier, der::Tag};

pub(in crate::trust) use self::{
    extensions::{BasicConstraints, ExtendedKeyUsage, KeyUsage, TIME_STAMPING},
    names::AlternativeName,
};
use super::{
    der::{Der, around, malformed},
    json::Malformed,
    keys::{PublicKey, Scheme},
    pem,
};
use crate::oci::digest::hex_of;

/// A certificate as it is written. Nobody vouches for it yet.
#[derive(Clone)]
pub(in crate::trust) struct Certificate {
    der: Bytes,
    signed: Bytes,
    serial: Bytes,
    issuer: Bytes,
    subject: Bytes,
    not_before: SystemTime,
    not_after: SystemTime,
    key: PublicKey,
    extensions: Vec<Extension>,
    /// How it was signed; nothing when by no scheme that is known.
    scheme: Option<Scheme>,
    signature: Bytes,
}

/// Something that a certificate says besides name and key.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Extension {
    pub(in crate::trust) oid: ObjectIdentifier,
    pub(in crate::trust) is_critical: bool,
    pub(in crate::trust) value: Bytes,
}

impl Certificate {
    /// Reads the DER of one certificate.
    ///
    /// # Errors
    /// When it is anything else, or a certificate with two meanings.
    pub(in crate::trust) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        if der.len() > MAX_CERTIFICATE {
            return Err(Malformed("a certificate is larger than 16 KiB".to_owned()));
        }
        let der = Bytes::copy_from_slice(der);
        let mut outer = Der::only(&der, Tag::Sequence, WHAT)?.inside();
        let signed = outer.take(Tag::Sequence)?;
        let algorithm = outer.take(Tag::Sequence)?;
        let signature = outer.take(Tag::BitString)?.bits()?;
        outer.finish()?;

        let mut inner = signed.inside();
        check_version(&mut inner)?;
        let serial = inner.take(Tag::Integer)?.content();
        if inner.take(Tag::Sequence)?.raw() != algorithm.raw() {
            return Err(Malformed("a certificate names two signature algorithms".to_owned()));
        }
        let issuer = inner.take(Tag::Sequence)?.raw();
        let mut validity = inner.take(Tag::Sequence)?.inside();
        let (not_before, not_after) = (validity.value()?.time()?, validity.value()?.time()?);
        validity.finish()?;
        let subject = inner.take(Tag::Sequence)?.raw();
        let key = PublicKey::from_spki(inner.take(Tag::Sequence)?.raw())
            .map_err(|error| Malformed(format!("a certificate's key cannot be used: {error}")))?;
        let extensions = match inner.take_if(around(3))? {
            Some(extensions) => read_extensions(&der, &mut extensions.inside())?,
            None => Vec::new(),
        };
        inner.finish()?;
        Ok(Self {
            signed: der.slice_ref(signed.raw()),
            serial: der.slice_ref(serial),
            issuer: der.slice_ref(issuer),
            subject: der.slice_ref(subject),
            not_before,
            not_after,
            key,
            extensions,
            scheme: Scheme::of_algorithm(algorithm.raw()),
            signature: der.slice_ref(signature),
            der,
        })
    }

    /// Reads a PEM file of exactly one certificate.
    ///
    /// # Errors
    /// When it is anything else.
    pub(in crate::trust) fn from_pem(text: &[u8]) -> Result<Self, Malformed> {
        let (_, der) =
            pem::decode(text, &["CERTIFICATE"]).map_err(|error| Malformed(error.to_string()))?;
        Self::from_der(&der)
    }

    /// The bytes that were read.
    pub(in crate::trust) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The SHA-256 of the whole certificate, in hex.
    pub(in crate::trust) fn fingerprint(&self) -> String {
        hex_of(&sha2::Sha256::digest(&self.der))
    }

    /// The part that its issuer signed.
    pub(in crate::trust) fn signed_part(&self) -> &[u8] {
        &self.signed
    }

    /// The content of its serial number.
    pub(in crate::trust) fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The DER of its issuer's name.
    pub(in crate::trust) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The DER of the name of whom it is about.
    pub(in crate::trust) fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The first moment that it is for.
    pub(in crate::trust) const fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last moment that it is for.
    pub(in crate::trust) const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it is for the moment `at`; both its ends are (RFC 5280, 4.1.2.5).
    pub(in crate::trust) fn is_for(&self, at: SystemTime) -> bool {
        self.not_before <= at && at <= self.not_after
    }

    /// The key that it is about.
    pub(in crate::trust) const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// How it was signed; nothing when by no scheme that is known.
    pub(in crate::trust) const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// What it says besides, in its order; no identifier is there twice.
    pub(in crate::trust) fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The extension `oid`.
    pub(in crate::trust) fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.oid == oid)
    }

    /// Whether its issuer has the name of whom it is about.
    pub(in crate::trust) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether the key of `issuer` signed it. Whether that one may is another question.
    pub(in crate::trust) fn is_signed_by(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
            && self
                .scheme
                .is_some_and(|scheme| issuer.key.verifies_by(scheme, &self.signed, &self.signature))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Certificate(sha256:{})", self.fingerprint())
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

/// Version 3 is the only one with extensions, and without those nobody knows what a key is for.
fn check_version(inner: &mut Der<'_>) -> Result<(), Malformed> {
    let mut version = inner.take(around(0))?.inside();
    let number = version.take(Tag::Integer)?.small()?;
    version.finish()?;
    if number == 2 {
        Ok(())
    } else {
        Err(Malformed("a certificate is not of version 3".to_owned()))
    }
}

fn read_extensions(der: &Bytes, around: &mut Der<'_>) -> Result<Vec<Extension>, Malformed> {
    let mut list = around.take(Tag::Sequence)?.inside();
    let mut extensions: Vec<Extension> = Vec::new();
    while !list.is_empty() {
        let mut extension = list.take(Tag::Sequence)?.inside();
        let oid = extension.take(Tag::ObjectIdentifier)?.oid()?;
        // `FALSE` is the default, which DER leaves out. Real certificates have it all the same.
        let is_critical = match extension.take_if(Tag::Boolean)? {
            Some(is_critical) => is_critical.boolean()?,
            None => false,
        };
        let value = der.slice_ref(extension.take(Tag::OctetString)?.content());
        extension.finish()?;
        if extensions.iter().any(|other| other.oid == oid) {
            return Err(Malformed(format!("a certificate has the extension {oid} twice")));
        }
        extensions.push(Extension { oid, is_critical, value });
    }
    if extensions.is_empty() { Err(malformed(WHAT)) } else { Ok(extensions) }
}

const WHAT: &str = "a certificate";
/// Bytes of a certificate. Fulcio's have 800.
const MAX_CERTIFICATE: usize = 16 << 10;
