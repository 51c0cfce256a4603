//! Timestamps: somebody who is trusted for it says that a signature existed at a time (RFC 3161;
//! `signatures.md` c.5, d.7).
//!
//! A certificate for ten minutes, and one that has expired since, are worth something only with the
//! time at which they were used. That time is a statement like any other: signed, by one signer, whose
//! certificate is for signing timestamps and nothing else and leads to an anchor *at that time*. The
//! certificate that is checked is the one whose key has signed; which one that is, is settled once
//! (G-30). Sigstore's authorities are named by a trust root together with the certificate that signs;
//! Notation's are anchors, and the certificate comes along, named by what is signed.

mod info;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use spki::der::Tag;

use self::token::Token;
use super::{
    der::Der,
    json::Malformed,
    root::Authority,
    x509::{
        Certificate, ExtendedKeyUsage, KeyUsage, TIME_STAMPING,
        path::{self, Path, Purpose},
    },
};

/// A time that somebody who is trusted for it vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Stamp {
    pub(in crate::trust) time: SystemTime,
    /// How far from `time` it may have been.
    pub(in crate::trust) accuracy: Duration,
    /// Who vouches: two stamps of one authority are one (G-27).
    pub(in crate::trust) authority: Arc<str>,
    /// The certificate that signed.
    pub(in crate::trust) signer: Certificate,
    /// What is above it.
    pub(in crate::trust) path: Path,
}

/// The time that a `TimeStampResp` gives for `signed`, by one of `authorities`, as Sigstore has it.
///
/// # Errors
/// When it is malformed, is about something else, or is not by any of them at that time.
pub(in crate::trust) fn verify_response(
    der: &[u8],
    signed: &[u8],
    authorities: &[Authority],
) -> Result<Stamp, Malformed> {
    let token = read_token(token_of(der)?, signed)?;
    let mut why = Malformed("it is not by an authority of the trust root".to_owned());
    for authority in authorities {
        let Some(signer) = signer_of(&token, authority) else { continue };
        match vouch(&token, signer, authority) {
            Ok(stamp) => return Ok(stamp),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// The time that a `TimeStampToken` gives for `signed`, by a signer who leads to one of `anchors`, as
/// Notation has it.
///
/// # Errors
/// When it is malformed, is about something else, or does not lead to any of them at that time.
pub(in crate::trust) fn verify_token(
    der: &[u8],
    signed: &[u8],
    anchors: &[Certificate],
) -> Result<Stamp, Malformed> {
    let token = read_token(der, signed)?;
    if !token.says_certificate() {
        return Err(Malformed("its signer does not say which certificate is theirs".to_owned()));
    }
    let signer = embedded_signer(&token)
        .ok_or_else(|| Malformed("it comes without its signer's certificate".to_owned()))?;
    check_signer(&token, signer)?;
    let time = token.info.time;
    let path = path::find(signer, &token.certificates, anchors, time, Purpose::TimeStamping)
        .map_err(|error| Malformed(error.to_string()))?;
    let authority = path.above().last().unwrap_or(signer).fingerprint();
    let authority = format!("sha256:{authority}").into();
    let accuracy = token.info.accuracy.unwrap_or(DEFAULT_ACCURACY);
    Ok(Stamp { time, accuracy, authority, signer: signer.clone(), path })
}

/// Reads a token that is about `signed`.
fn read_token(der: &[u8], signed: &[u8]) -> Result<Token, Malformed> {
    if der.len() > MAX_TOKEN {
        return Err(Malformed("it is larger than 64 KiB".to_owned()));
    }
    let token = Token::parse(der)?;
    if token.info.is_about(signed) {
        Ok(token)
    } else {
        Err(Malformed("it is about another signature".to_owned()))
    }
}

/// The token in a `TimeStampResp` that grants one (RFC 3161, 2.4.2).
fn token_of(der: &[u8]) -> Result<&[u8], Malformed> {
    let mut response = Der::only(der, Tag::Sequence, "the response")?.inside();
    let mut status = response.take(Tag::Sequence)?.inside();
    let is_granted = status.take(Tag::Integer)?.small().is_ok_and(|status| status <= GRANTED);
    if !is_granted {
        return Err(Malformed("the authority has not granted it".to_owned()));
    }
    let token = response.take(Tag::Sequence)?.raw();
    response.finish()?;
    Ok(token)
}

/// Whose key would have to have signed for `authority`: the first certificate of its chain, or where
/// the chain begins with who certifies it, the one that came along.
fn signer_of<'a>(token: &'a Token, authority: &'a Authority) -> Option<&'a Certificate> {
    let first = authority.chain.first()?;
    let is_authority = first.is_authority().unwrap_or(true);
    let signer = if is_authority { embedded_signer(token) } else { Some(first) };
    signer.filter(|signer| token.names(signer))
}

/// The certificate that came along and is the signer's.
fn embedded_signer(token: &Token) -> Option<&Certificate> {
    token.certificates.iter().find(|certificate| token.names(certificate))
}

/// The stamp, when `signer` signed for `authority`.
fn vouch(token: &Token, signer: &Certificate, authority: &Authority) -> Result<Stamp, Malformed> {
    if embedded_signer(token).is_some_and(|embedded| embedded != signer) {
        return Err(Malformed("it comes with another certificate of its signer".to_owned()));
    }
    check_signer(token, signer)?;
    let time = token.info.time;
    let path = authority
        .path(signer, time, Purpose::TimeStamping)
        .map_err(|error| Malformed(error.to_string()))?;
    let accuracy = token.info.accuracy.unwrap_or(DEFAULT_ACCURACY);
    let authority = authority.name.clone();
    Ok(Stamp { time, accuracy, authority, signer: signer.clone(), path })
}

/// `signer` signed, with a key that is for timestamps and for nothing else (RFC 3161, 2.3).
fn check_signer(token: &Token, signer: &Certificate) -> Result<(), Malformed> {
    if !token.is_signed_by(signer) {
        return Err(Malformed("it is not signed by its signer".to_owned()));
    }
    let is_right = |usage: ExtendedKeyUsage| usage.is_critical && usage.purposes == [TIME_STAMPING];
    let may_sign = |usage: KeyUsage| usage.allows(KeyUsage::DIGITAL_SIGNATURE);
    if signer.is_authority()?
        || !signer.extended_key_usage()?.is_some_and(is_right)
        || !signer.key_usage()?.is_none_or(may_sign)
    {
        return Err(Malformed("its signer's certificate is not for timestamps alone".to_owned()));
    }
    Ok(())
}

/// Bytes of a timestamp. Real ones have 1,000 to 6,000.
const MAX_TOKEN: usize = 64 << 10;
/// The last of the statuses with which there is a token: `granted` and `grantedWithMods`.
const GRANTED: u32 = 1;
/// How far off a time may be whose authority does not say (ETSI EN 319 422 demands one second).
const DEFAULT_ACCURACY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
