//! Receipts of certificate transparency logs: somebody else has seen the certificate (RFC 6962, 3.2
//! and 3.3; `signatures.md` c.2).
//!
//! A log gives its receipt before the certificate is finished, over everything in it but the receipts
//! themselves and over the issuer's key. Which key that is must come from a verified path: whoever
//! brings a certificate could bring an issuer to fit.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use spki::{ObjectIdentifier, der::Tag};

use crate::trust::{
    der::{Der, around, wrapped},
    json::Malformed,
    keys::{Algorithm, PublicKey},
    root::{LogId, TrustedRoot},
    x509::Certificate,
};

/// A log's receipt for a certificate: a "signed certificate timestamp".
#[derive(Clone, Debug, PartialEq, Eq)]
struct Receipt<'a> {
    log: LogId,
    /// Milliseconds since 1970.
    time: u64,
    extensions: &'a [u8],
    scheme: [u8; 2],
    signature: &'a [u8],
}

/// How many of the logs of `root` have seen `leaf`, which `issuer` has issued. A log counts once
/// (G-27), and one that `root` does not know not at all.
///
/// # Errors
/// When what `leaf` says about logs is malformed.
pub(in crate::trust) fn count_receipts(
    leaf: &Certificate,
    issuer: &Certificate,
    root: &TrustedRoot,
) -> Result<usize, Malformed> {
    let Some(extension) = leaf.extension(RECEIPTS) else { return Ok(0) };
    let list = Der::only(&extension.value, Tag::OctetString, WHAT)?.content();
    let unfinished = without_receipts(leaf)?;
    let issuer = issuer.public_key().fingerprint();
    let mut logs = BTreeSet::new();
    for receipt in read_list(list).ok_or_else(malformed)? {
        let Some(log) = root.certificate_log(receipt.log) else { continue };
        let message = receipt.message(issuer.as_bytes(), &unfinished).ok_or_else(malformed)?;
        let is_by = |key: &PublicKey| receipt.is_by(key, &message);
        if log.span.contains(receipt.time()) && log.key().is_ok_and(is_by) {
            logs.insert(log.id);
        }
    }
    Ok(logs.len())
}

impl<'a> Receipt<'a> {
    fn parse(mut bytes: &'a [u8]) -> Option<Self> {
        let [version, log @ ..] = take::<33>(&mut bytes)?;
        let receipt = Self {
            log: LogId(*log),
            time: u64::from_be_bytes(*take(&mut bytes)?),
            extensions: take_counted(&mut bytes)?,
            scheme: *take(&mut bytes)?,
            signature: take_counted(&mut bytes)?,
        };
        (*version == VERSION_1 && bytes.is_empty()).then_some(receipt)
    }

    fn time(&self) -> SystemTime {
        // Beyond what a clock can hold is no time of any log's.
        UNIX_EPOCH.checked_add(Duration::from_millis(self.time)).unwrap_or(UNIX_EPOCH)
    }

    /// What the log has signed.
    fn message(&self, issuer: &[u8; 32], unfinished: &[u8]) -> Option<Vec<u8>> {
        let length = u32::try_from(unfinished.len()).ok()?.to_be_bytes();
        let [0, length @ ..] = length else { return None };
        let mut message = vec![VERSION_1, CERTIFICATE_TIMESTAMP];
        message.extend_from_slice(&self.time.to_be_bytes());
        message.extend_from_slice(&UNFINISHED_ENTRY);
        message.extend_from_slice(issuer);
        message.extend_from_slice(&length);
        message.extend_from_slice(unfinished);
        message.extend_from_slice(&u16::try_from(self.extensions.len()).ok()?.to_be_bytes());
        message.extend_from_slice(self.extensions);
        Some(message)
    }

    fn is_by(&self, key: &PublicKey, message: &[u8]) -> bool {
        let scheme = match key.algorithm() {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => SHA_256_ECDSA,
            Algorithm::Rsa => SHA_256_RSA,
            Algorithm::Ed25519 => return false,
        };
        self.scheme == scheme && key.verifies(message, self.signature)
    }
}

/// The receipts of a `SignedCertificateTimestampList`: at least one, and at most [`MAX_RECEIPTS`].
fn read_list(mut bytes: &[u8]) -> Option<Vec<Receipt<'_>>> {
    let mut list = take_counted(&mut bytes)?;
    let mut receipts = Vec::new();
    while !list.is_empty() && receipts.len() < MAX_RECEIPTS {
        receipts.push(Receipt::parse(take_counted(&mut list)?)?);
    }
    (bytes.is_empty() && list.is_empty() && !receipts.is_empty()).then_some(receipts)
}

/// The part of `certificate` that is signed, without the receipts.
fn without_receipts(certificate: &Certificate) -> Result<Vec<u8>, Malformed> {
    let mut fields = Der::only(certificate.signed_part(), Tag::Sequence, WHAT)?.inside();
    let mut content = Vec::new();
    while !fields.is_empty() {
        let field = fields.value()?;
        if field.tag() != around(3) {
            content.extend_from_slice(field.raw());
            continue;
        }
        let mut list = field.inside().take(Tag::Sequence)?.inside();
        let mut extensions = Vec::new();
        while !list.is_empty() {
            let extension = list.take(Tag::Sequence)?;
            if extension.inside().take(Tag::ObjectIdentifier)?.oid()? != RECEIPTS {
                extensions.extend_from_slice(extension.raw());
            }
        }
        let extensions = wrapped(Tag::Sequence, &extensions)?;
        content.extend_from_slice(&wrapped(around(3), &extensions)?);
    }
    wrapped(Tag::Sequence, &content)
}

/// The next `N` bytes.
fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

/// The next bytes, before which two say how many.
fn take_counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(*take(bytes)?);
    let (taken, rest) = bytes.split_at_checked(length.into())?;
    *bytes = rest;
    Some(taken)
}

fn malformed() -> Malformed {
    Malformed("the certificate's receipts of logs are malformed".to_owned())
}

const WHAT: &str = "the certificate's list of receipts";
const RECEIPTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// Receipts of a certificate. Fulcio's have one.
const MAX_RECEIPTS: usize = 16;
const VERSION_1: u8 = 0;
/// `SignatureType.certificate_timestamp`.
const CERTIFICATE_TIMESTAMP: u8 = 0;
/// `LogEntryType.precert_entry`.
const UNFINISHED_ENTRY: [u8; 2] = [0, 1];
const SHA_256_ECDSA: [u8; 2] = [4, 3];
const SHA_256_RSA: [u8; 2] = [4, 1];
