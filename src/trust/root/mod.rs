//! A trust root: whom Sigstore's signatures are believed by, and when (`signatures.md` c.6;
//! Sigstore's `protos/sigstore_trustroot.proto` in the JSON form of protobuf).
//!
//! It names transparency logs, certificate transparency logs, certificate authorities and
//! timestamping authorities, each for a span of time. A log is found by its identifier and never by
//! what an entry says about itself; a span includes both its ends, and one without a beginning is for
//! no time at all. What a root says about one log that cannot be used takes nothing from the others.
//!
//! [`embedded`] are the roots that come with the program; TUF brings newer ones.

pub(in crate::trust) mod embedded;
mod parse;
mod span;

use std::{sync::Arc, time::SystemTime};

pub(in crate::trust) use self::span::Span;
use super::{
    json::Malformed,
    keys::PublicKey,
    x509::{
        Certificate,
        path::{self, NoPath, Path, Purpose},
    },
};
use crate::oci::Digest;

/// Whom to believe.
#[derive(Clone, Debug)]
pub(in crate::trust) struct TrustedRoot {
    hash: Digest,
    logs: Vec<Log>,
    transparency_logs_of_certificates: Vec<Log>,
    certificate_authorities: Vec<Authority>,
    timestamp_authorities: Vec<Authority>,
}

/// The identifier of a log: a hash over its key, and in newer ones over its name too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::trust) struct LogId(pub(in crate::trust) [u8; 32]);

/// A log and its key.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Log {
    pub(in crate::trust) id: LogId,
    /// The name in its checkpoints, where it is of the kind that has its own: the host of its URL.
    pub(in crate::trust) origin: Arc<str>,
    /// Its key, or why that cannot be used.
    key: Result<PublicKey, Malformed>,
    /// When the key signs.
    pub(in crate::trust) span: Span,
}

/// An authority: a chain of certificates, the last of which is its anchor.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Authority {
    /// What to call it: its URL, else the fingerprint of its first certificate.
    pub(in crate::trust) name: Arc<str>,
    /// From the one that signs to the anchor; at least one.
    pub(in crate::trust) chain: Vec<Certificate>,
    /// When what it signs is believed.
    pub(in crate::trust) span: Span,
}

/// Something of a root that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Expiry {
    /// What it is, as a person would say it.
    pub(in crate::trust) what: String,
    /// The last moment of it.
    pub(in crate::trust) at: SystemTime,
}

impl LogId {
    /// The identifier in lower-case hex.
    pub(in crate::trust) fn from_hex(hex: &str) -> Option<Self> {
        let digest: Digest = format!("sha256:{hex}").parse().ok()?;
        digest.as_bytes().try_into().ok().map(Self)
    }
}

impl TrustedRoot {
    /// The SHA-256 of the document: another hash is another root.
    pub(in crate::trust) const fn hash(&self) -> &Digest {
        &self.hash
    }

    /// The transparency log `id`.
    pub(in crate::trust) fn log(&self, id: LogId) -> Option<&Log> {
        self.logs.iter().find(|log| log.id == id)
    }

    /// The transparency logs of signatures.
    pub(in crate::trust) fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The certificate transparency log `id`.
    pub(in crate::trust) fn certificate_log(&self, id: LogId) -> Option<&Log> {
        self.transparency_logs_of_certificates.iter().find(|log| log.id == id)
    }

    /// The transparency logs of certificates.
    pub(in crate::trust) fn certificate_logs(&self) -> &[Log] {
        &self.transparency_logs_of_certificates
    }

    /// Who says when something was signed.
    pub(in crate::trust) fn timestamp_authorities(&self) -> &[Authority] {
        &self.timestamp_authorities
    }

    /// Every path from `leaf`, a signer's certificate, to an authority that is believed at `at`.
    /// Intermediates come from the root, never from the signature. There is more than one when
    /// authorities share a name and a key, and then they may differ in the issuer that a log of
    /// certificates has seen.
    ///
    /// # Errors
    /// When there is none.
    pub(in crate::trust) fn paths(
        &self,
        leaf: &Certificate,
        at: SystemTime,
    ) -> Result<Vec<Path>, NoPath> {
        let mut paths = Vec::new();
        let mut why = NoPath::Untrusted("the trust root has no authority for it".to_owned());
        for authority in &self.certificate_authorities {
            match authority.path(leaf, at, Purpose::CodeSigning) {
                Ok(path) => paths.push(path),
                Err(NoPath::Untimely) => why = NoPath::Untimely,
                Err(NoPath::Untrusted(_)) => {}
            }
        }
        if paths.is_empty() { Err(why) } else { Ok(paths) }
    }

    /// What of it ends, and when: spans that have an end, and the certificates of authorities whose
    /// spans have none. Logs' keys do not end by themselves.
    pub(in crate::trust) fn expiries(&self) -> Vec<Expiry> {
        let logs = self.logs.iter().chain(&self.transparency_logs_of_certificates);
        let logs = logs.filter_map(|log| {
            let at = log.span.end()?;
            Some(Expiry { what: format!("the log `{}`", log.origin), at })
        });
        let authorities = self.certificate_authorities.iter().chain(&self.timestamp_authorities);
        let authorities = authorities.filter_map(|authority| {
            let certificates = authority.chain.iter().map(Certificate::not_after);
            let at = certificates.chain(authority.span.end()).min()?;
            Some(Expiry { what: format!("the authority `{}`", authority.name), at })
        });
        logs.chain(authorities).collect()
    }
}

impl Log {
    /// Its key.
    ///
    /// # Errors
    /// When that cannot be used, or the root does not say since when it is valid.
    pub(in crate::trust) fn key(&self) -> Result<&PublicKey, Malformed> {
        let unusable = |why: &str| {
            Malformed(format!("the trust root's key of `{}` cannot be used: {why}", self.origin))
        };
        if !self.span.has_start() {
            return Err(unusable("it does not say since when it is valid"));
        }
        self.key.as_ref().map_err(|Malformed(why)| unusable(why))
    }
}

impl Authority {
    /// Leads from `leaf` to the anchor, at `at`.
    ///
    /// # Errors
    /// When nothing does, or the authority is not believed at that time.
    pub(in crate::trust) fn path(
        &self,
        leaf: &Certificate,
        at: SystemTime,
        purpose: Purpose,
    ) -> Result<Path, NoPath> {
        let Some((anchor, intermediates)) = self.chain.split_last() else {
            return Err(NoPath::Untrusted("the authority has no certificate".to_owned()));
        };
        let path = path::find(leaf, intermediates, std::slice::from_ref(anchor), at, purpose)?;
        if self.span.contains(at) { Ok(path) } else { Err(NoPath::Untimely) }
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(in crate::trust) mod fixtures;
#[cfg(test)]
mod tests;
