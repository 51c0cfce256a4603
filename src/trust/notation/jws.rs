//! The JWS envelope: a JSON web signature in the flattened JSON form (RFC 7515, 7.2.2).
//!
//! The signed bytes are the two base64url texts as they stand, joined by a full stop. Everything is
//! closed: other members beside the four, or other unprotected headers than the three that Notation
//! knows, are refused, since an unprotected `alg`, `crit` or `jwk` has fooled verifiers before.
//! Protected headers that are not critical and not known are somebody's own and mean nothing here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    algorithm::Algorithm,
    envelope::{Envelope, MAX_CHAIN, MAX_CRITICAL},
    header::{
        AGENT, AUTHENTIC_SIGNING_TIME, EXPIRY, Headers, SCHEME, SIGNING_TIME, TIMESTAMP, Written,
    },
};
use crate::{
    timestamp::Timestamp,
    trust::json::{Json, Malformed, Members},
};

/// Reads an envelope.
///
/// # Errors
/// When `content` is none.
pub(super) fn parse(content: &[u8]) -> Result<Envelope, Malformed> {
    let names = ["payload", "protected", "header", "signature"];
    let [payload, protected, header, signature] =
        Json::parse(content)?.members("the envelope", names)?;
    let payload = payload.text("`payload`")?;
    let protected = protected.text("`protected`")?;
    let mut unprotected = Members::of(header, "`header`")?;
    let chain = unprotected.require("x5c")?.list("`x5c`", MAX_CHAIN)?;
    let chain = chain.into_iter().map(|entry| entry.base64("a certificate")).collect();
    let timestamp = unprotected.take(TIMESTAMP).map(|token| token.base64("the timestamp"));
    unprotected.take(AGENT).map(|agent| agent.text("the signing agent")).transpose()?;
    unprotected.finish()?;
    Ok(Envelope {
        headers: protected_headers(&base64url(&protected, "`protected`")?)?,
        message: format!("{protected}.{payload}").into_bytes(),
        signature: base64url(&signature.text("`signature`")?, "`signature`")?,
        payload: base64url(&payload, "`payload`")?,
        chain: chain_of(chain)?,
        timestamp: timestamp.transpose()?,
    })
}

fn chain_of(chain: Result<Vec<Vec<u8>>, Malformed>) -> Result<Vec<Vec<u8>>, Malformed> {
    chain.and_then(|chain| {
        if chain.is_empty() { Err(Malformed("`x5c` is empty".into())) } else { Ok(chain) }
    })
}

fn protected_headers(content: &[u8]) -> Result<Headers, Malformed> {
    let mut members = Json::parse(content)?.object("`protected`")?;
    let mut take = |name: &str| {
        let position = members.iter().position(|(member, _)| member == name)?;
        Some(members.swap_remove(position).1)
    };
    let text = |value: Option<Json>, name: &str| {
        value.ok_or_else(|| Malformed(format!("`protected` has no member `{name}`")))?.text(name)
    };
    let algorithm = text(take("alg"), "alg")?;
    let algorithm = Algorithm::from_name(&algorithm)
        .ok_or_else(|| Malformed("its algorithm is none that Notation knows".into()))?;
    let critical = take("crit").ok_or_else(|| Malformed("it has no critical headers".into()))?;
    let critical = critical.list("`crit`", MAX_CRITICAL)?.into_iter();
    Written {
        algorithm,
        content_type: text(take("cty"), "cty")?,
        critical: critical.map(|name| name.text("a name in `crit`")).collect::<Result<_, _>>()?,
        scheme: text(take(SCHEME), SCHEME)?,
        signing_time: take(SIGNING_TIME).map(time).transpose()?,
        authentic_signing_time: take(AUTHENTIC_SIGNING_TIME).map(time).transpose()?,
        expiry: take(EXPIRY).map(time).transpose()?,
    }
    .check()
}

fn time(value: Json) -> Result<std::time::SystemTime, Malformed> {
    let text = value.text("a time")?;
    let time = text.parse::<Timestamp>().map_err(|error| Malformed(error.to_string()))?;
    Ok(time.0)
}

/// The bytes of `text` in base64url without padding, which is canonical (G-15).
fn base64url(text: &str, what: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Malformed(format!("{what} is not base64url without padding")))
}
