//! The COSE envelope: `COSE_Sign1` with its tag (RFC 8152, 4.2).
//!
//! coset reads the structure and the headers, refuses a label that is there twice and anything after
//! the end, and keeps the protected headers as they were received, which is what is signed. What it
//! would also take and Notation does not write is refused here: a payload kept elsewhere, and
//! parameters (`kid`, initialisation vectors, counter signatures) that say nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coset::{
    Algorithm as CoseAlgorithm, ContentType, CoseSign1, Header, Label, RegisteredLabelWithPrivate,
    TaggedCborSerializable as _, cbor::Value, iana::EnumI64 as _,
};

use super::{
    algorithm::Algorithm,
    envelope::{Envelope, MAX_CHAIN, MAX_CRITICAL},
    header::{
        AGENT, AUTHENTIC_SIGNING_TIME, EXPIRY, Headers, SCHEME, SIGNING_TIME, TIMESTAMP, Written,
    },
};
use crate::trust::json::Malformed;

/// Reads an envelope.
///
/// # Errors
/// When `content` is none.
pub(super) fn parse(content: &[u8]) -> Result<Envelope, Malformed> {
    let envelope = CoseSign1::from_tagged_slice(content)
        .map_err(|error| Malformed(format!("it is no tagged `COSE_Sign1`: {error}")))?;
    let message = match &envelope.payload {
        Some(_) => envelope.tbs_data(&[]),
        None => return Err(Malformed("its payload is not in the envelope".into())),
    };
    let headers = protected_headers(&envelope.protected.header)?;
    let (chain, timestamp) = unprotected_headers(envelope.unprotected)?;
    Ok(Envelope {
        headers,
        message,
        signature: envelope.signature,
        payload: envelope.payload.unwrap_or_default(),
        chain,
        timestamp,
    })
}

fn protected_headers(header: &Header) -> Result<Headers, Malformed> {
    refuse_unused(header)?;
    let algorithm = match &header.alg {
        Some(CoseAlgorithm::Assigned(algorithm)) => Algorithm::from_number(algorithm.to_i64()),
        _ => None,
    };
    let algorithm =
        algorithm.ok_or_else(|| Malformed("its algorithm is none that Notation knows".into()))?;
    let content_type = match &header.content_type {
        Some(ContentType::Text(text)) => text.clone(),
        _ => return Err(Malformed("its content type is not a text".into())),
    };
    if header.crit.len() > MAX_CRITICAL {
        return Err(Malformed(format!("it has more than {MAX_CRITICAL} critical headers")));
    }
    let critical = header.crit.iter().map(|label| match label {
        RegisteredLabelWithPrivate::Text(name) => Ok(name.clone()),
        _ => Err(Malformed("a critical header that is a number is not understood".into())),
    });
    let value = |name: &str| {
        let is_it = |(label, _): &&(Label, Value)| *label == Label::Text(name.to_owned());
        header.rest.iter().find(is_it).map(|(_, value)| value)
    };
    let scheme = value(SCHEME).and_then(Value::as_text);
    Written {
        algorithm,
        content_type,
        critical: critical.collect::<Result<_, _>>()?,
        scheme: scheme.ok_or_else(|| Malformed("its signing scheme is no text".into()))?.to_owned(),
        signing_time: value(SIGNING_TIME).map(time).transpose()?,
        authentic_signing_time: value(AUTHENTIC_SIGNING_TIME).map(time).transpose()?,
        expiry: value(EXPIRY).map(time).transpose()?,
    }
    .check()
}

/// The certificates, and the timestamp if there is one.
type Unprotected = (Vec<Vec<u8>>, Option<Vec<u8>>);

fn unprotected_headers(header: Header) -> Result<Unprotected, Malformed> {
    refuse_unused(&header)?;
    if header.alg.is_some() || !header.crit.is_empty() || header.content_type.is_some() {
        return Err(Malformed("it has unprotected headers that must be protected".into()));
    }
    let (mut chain, mut timestamp) = (None, None);
    for (label, value) in header.rest {
        match &label {
            Label::Int(X5CHAIN) => chain = Some(certificates(value)?),
            Label::Text(name) if name == TIMESTAMP => timestamp = Some(bytes(value)?),
            Label::Text(name) if name == AGENT && value.is_text() => {}
            _ => return Err(Malformed("it has an unprotected header that is not known".into())),
        }
    }
    let chain = chain.ok_or_else(|| Malformed("it has no certificates".into()))?;
    Ok((chain, timestamp))
}

fn refuse_unused(header: &Header) -> Result<(), Malformed> {
    let is_unused = header.key_id.is_empty()
        && header.iv.is_empty()
        && header.partial_iv.is_empty()
        && header.counter_signatures.is_empty();
    let refusal = || Malformed("it has COSE headers that Notation does not use".into());
    is_unused.then_some(()).ok_or_else(refusal)
}

/// A list of byte strings, also where there is one certificate alone.
fn certificates(value: Value) -> Result<Vec<Vec<u8>>, Malformed> {
    let list = value.into_array().map_err(|_| Malformed("its certificates are no list".into()))?;
    if list.is_empty() || list.len() > MAX_CHAIN {
        return Err(Malformed(format!("it must have 1 to {MAX_CHAIN} certificates")));
    }
    list.into_iter().map(bytes).collect()
}

fn bytes(value: Value) -> Result<Vec<u8>, Malformed> {
    value.into_bytes().map_err(|_| Malformed("a header is not a byte string".into()))
}

/// Whole seconds since 1970 under tag 1 (RFC 8949, 3.4.2).
fn time(value: &Value) -> Result<SystemTime, Malformed> {
    let seconds = match value {
        Value::Tag(EPOCH, seconds) => seconds.as_integer().and_then(|it| u64::try_from(it).ok()),
        _ => None,
    };
    seconds
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .ok_or_else(|| Malformed("a time is not a number of seconds under tag 1".into()))
}

/// The header with the certificates (RFC 9360).
const X5CHAIN: i64 = 33;
/// The tag of a time in seconds.
const EPOCH: u64 = 1;
