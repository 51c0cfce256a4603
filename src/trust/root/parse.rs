//! Reads `trusted_root.json`, strictly: no member that is not known, none twice, and every key is the
//! one that its identifier and its details say.

use std::time::SystemTime;

use super::{Authority, Log, LogId, Span, TrustedRoot};
use crate::{
    oci::Digest,
    timestamp::Timestamp,
    trust::{
        json::{Json, Malformed, Members},
        keys::PublicKey,
        log::{fits, note},
        x509::Certificate,
    },
};

impl TrustedRoot {
    /// Reads a `trusted_root.json`.
    ///
    /// # Errors
    /// When it is anything else, or holds a certificate that cannot be used.
    pub(in crate::trust) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_ROOT {
            return Err(Malformed("it is larger than 1 MiB".to_owned()));
        }
        let mut members = Members::of(Json::parse(bytes)?, "the trust root")?;
        let media_type = members.require("mediaType")?.text("`mediaType`")?;
        if !MEDIA_TYPES.contains(&media_type.as_str()) {
            return Err(Malformed(format!("its `mediaType` is not `{}`", MEDIA_TYPES[0])));
        }
        let root = Self {
            hash: Digest::of(bytes),
            logs: list(&mut members, "tlogs", read_log)?,
            transparency_logs_of_certificates: list(&mut members, "ctlogs", read_log)?,
            certificate_authorities: list(&mut members, "certificateAuthorities", read_authority)?,
            timestamp_authorities: list(&mut members, "timestampAuthorities", read_authority)?,
        };
        members.finish()?;
        for logs in [&root.logs, &root.transparency_logs_of_certificates] {
            check_distinct(logs)?;
        }
        Ok(root)
    }
}

fn list<T>(
    members: &mut Members<'_>,
    name: &str,
    read: fn(Json) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let Some(entries) = members.take(name) else { return Ok(Vec::new()) };
    let entries = entries.list(&format!("`{name}`"), MAX_ENTRIES)?;
    let entries = entries.into_iter().map(read).collect::<Result<_, _>>();
    entries.map_err(|Malformed(why)| Malformed(format!("in `{name}`: {why}")))
}

fn read_log(log: Json) -> Result<Log, Malformed> {
    let mut members = Members::of(log, "a log")?;
    let url = members.require("baseUrl")?.text("`baseUrl`")?;
    if members.require("hashAlgorithm")?.text("`hashAlgorithm`")? != "SHA2_256" {
        return Err(Malformed(format!("the log `{url}` does not hash with `SHA2_256`")));
    }
    let [bytes, details, span] = members
        .require("publicKey")?
        .members("`publicKey`", ["rawBytes", "keyDetails", "validFor"])?;
    let bytes = bytes.base64("`rawBytes`")?;
    let [id] = members.require("logId")?.members("`logId`", ["keyId"])?;
    let id = id.base64("`keyId`")?.try_into().map(LogId);
    // The same identifier again, for readers of the first four bytes of it.
    if let Some(again) = members.take("checkpointKeyId") {
        let [again] = again.members("`checkpointKeyId`", ["keyId"])?;
        again.base64("`keyId`")?;
    }
    operator(&mut members)?;
    members.finish()?;
    let id = id.map_err(|_| Malformed(format!("the `logId` of `{url}` has not 32 bytes")))?;
    let origin = host_of(&url);
    let key = usable_key(&bytes, &details.text("`keyDetails`")?, origin, id);
    Ok(Log { id, origin: origin.into(), key, span: read_span(span)? })
}

/// The key of a log. Real roots hold keys of old logs in forms that nobody writes any more, and will
/// hold such that do not exist yet: they cost the entries of that log, not the whole root.
fn usable_key(
    bytes: &[u8],
    details: &str,
    origin: &str,
    id: LogId,
) -> Result<PublicKey, Malformed> {
    let key = PublicKey::from_spki(bytes).map_err(|error| Malformed(error.to_string()))?;
    if !fits(details, key.algorithm()) {
        return Err(Malformed(format!("it is no `{details}`")));
    }
    let known = [LogId(*key.fingerprint().as_bytes()), note::key_id(origin, &key)];
    if known.contains(&id) { Ok(key) } else { Err(Malformed("the `logId` is of another".into())) }
}

fn read_authority(authority: Json) -> Result<Authority, Malformed> {
    let mut members = Members::of(authority, "an authority")?;
    if let Some(subject) = members.take("subject") {
        let [organization, name] = subject.members("`subject`", ["organization", "commonName"])?;
        organization.text("`organization`")?;
        name.text("`commonName`")?;
    }
    let url = members.take("uri").map(|url| url.text("`uri`")).transpose()?;
    let [chain] = members.require("certChain")?.members("`certChain`", ["certificates"])?;
    let chain = chain.list("`certificates`", MAX_CHAIN)?.into_iter().map(|certificate| {
        let [bytes] = certificate.members("a certificate", ["rawBytes"])?;
        Certificate::from_der(&bytes.base64("`rawBytes`")?)
    });
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let span = read_span(members.require("validFor")?)?;
    operator(&mut members)?;
    members.finish()?;
    let first = chain.first().ok_or_else(|| Malformed("a chain is empty".to_owned()))?;
    let name = url.filter(|url| !url.is_empty());
    let name = name.unwrap_or_else(|| format!("sha256:{}", first.fingerprint()));
    Ok(Authority { name: name.into(), chain, span })
}

/// Who runs it, which decides nothing.
fn operator(members: &mut Members<'_>) -> Result<(), Malformed> {
    members.take("operator").map_or(Ok(()), |operator| operator.text("`operator`").map(drop))
}

fn read_span(span: Json) -> Result<Span, Malformed> {
    let mut members = Members::of(span, "`validFor`")?;
    let mut time = |name: &str| -> Result<Option<SystemTime>, Malformed> {
        let Some(time) = members.take(name) else { return Ok(None) };
        let Timestamp(time) = time
            .text(name)?
            .parse()
            .map_err(|error| Malformed(format!("`{name}` of `validFor`: {error}")))?;
        Ok(Some(time))
    };
    let span = Span::new(time("start")?, time("end")?);
    members.finish()?;
    Ok(span)
}

/// The host of a URL, with its port: the name under which a log of the newer kind signs.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

/// One identifier is one log: with two, the first would hide the second's span of time.
fn check_distinct(logs: &[Log]) -> Result<(), Malformed> {
    let twice = |(at, log): (usize, &Log)| logs[..at].iter().any(|other| other.id == log.id);
    if logs.iter().enumerate().any(twice) {
        Err(Malformed("it names one log twice".to_owned()))
    } else {
        Ok(())
    }
}

/// What `mediaType` may say: the two spellings of version 0.1, and version 0.2.
const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];
/// Bytes of a trust root. Sigstore's own has 7,000.
const MAX_ROOT: usize = 1 << 20;
/// Logs, or authorities, of one kind.
const MAX_ENTRIES: usize = 64;
/// Certificates of a chain.
const MAX_CHAIN: usize = 6;
