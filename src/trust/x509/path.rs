//! The path from a certificate to an anchor at a time (RFC 5280, 6.1).
//!
//! `rustls-webpki` builds it: signatures, names and their constraints, lengths, critical extensions,
//! purposes on every level, within a budget of signature checks. Around it stands what it leaves
//! out: the anchor's own validity and whether it may sign certificates, key usage, and fractions of
//! seconds at the ends (G-28). These are checked while it searches, so that of two anchors with one
//! name and key it can take the other.

use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, anchor_from_trusted_cert};

use super::{Certificate, KeyUsage};

/// What the certificate at the end of a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Purpose {
    /// Signing images.
    CodeSigning,
    /// Signing timestamps.
    TimeStamping,
}

/// Certificates that lead from one to an anchor, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) struct Path {
    issuer: Certificate,
    rest: Vec<Certificate>,
}

impl Path {
    /// Who signed the first certificate.
    pub(in crate::trust) const fn issuer(&self) -> &Certificate {
        &self.issuer
    }

    /// The certificates above the first one; the last is the anchor.
    pub(in crate::trust) fn above(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.issuer).chain(&self.rest)
    }
}

/// Why there is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::trust) enum NoPath {
    /// None leads to an anchor.
    #[error("no path leads from the certificate to a trusted one: {0}")]
    Untrusted(String),
    /// One does, and not at that time.
    #[error("a certificate on the way to the trusted one is not valid at that time")]
    Untimely,
}

/// Leads from `leaf` over some of `intermediates` to one of `anchors`, all valid at `at`.
///
/// # Errors
/// When nothing does.
pub(in crate::trust) fn find(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Certificate],
    at: SystemTime,
    purpose: Purpose,
) -> Result<Path, NoPath> {
    if !leaf.is_for(at) {
        return Err(NoPath::Untimely);
    }
    let above: Vec<_> = intermediates.iter().map(to_der).collect();
    let trusted: Vec<_> = anchors.iter().map(to_der).collect();
    let trusted = trusted.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>();
    let trusted: Vec<TrustAnchor<'_>> = trusted.map_err(|error| no_path(&error))?;
    let leaf = to_der(leaf);
    let end = EndEntityCert::try_from(&leaf).map_err(|error| no_path(&error))?;
    let read = |path: &webpki::VerifiedPath<'_>| -> Option<Path> {
        let anchor = trusted.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()))?;
        let between = path.intermediate_certificates().map(|certificate| {
            intermediates.iter().find(|other| other.der() == &*certificate.der())
        });
        let mut above = between.chain([anchors.get(anchor)]).collect::<Option<Vec<_>>>()?;
        let issuer = above.remove(0).clone();
        Some(Path { issuer, rest: above.into_iter().cloned().collect() })
    };
    let check = |path: &webpki::VerifiedPath<'_>| {
        let path = read(path).ok_or(Error::UnknownIssuer)?;
        path.above().try_for_each(|certificate| check_authority(certificate, at))
    };
    let path = end
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &trusted,
            &above,
            to_unix_time(at),
            webpki::KeyUsage::required_if_present(purpose.oid()),
            None,
            Some(&check),
        )
        .map_err(|error| no_path(&error))?;
    read(&path).ok_or_else(|| no_path(&Error::UnknownIssuer))
}

/// Whether a certificate above the first is for `at`, and may sign others.
fn check_authority(certificate: &Certificate, at: SystemTime) -> Result<(), Error> {
    let may_sign = || {
        let usage = certificate.key_usage()?;
        let may = usage.is_none_or(|usage| usage.allows(KeyUsage::CERTIFICATE_SIGNING));
        Ok::<_, crate::trust::json::Malformed>(may && certificate.is_authority()?)
    };
    if !certificate.is_for(at) {
        let [time, not_after] = [at, certificate.not_after()].map(to_unix_time);
        return Err(Error::CertExpired { time, not_after });
    }
    if may_sign().unwrap_or_default() { Ok(()) } else { Err(Error::EndEntityUsedAsCa) }
}

impl Purpose {
    /// The content of its object identifier.
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::CodeSigning => &[0x2b, 6, 1, 5, 5, 7, 3, 3],
            Self::TimeStamping => &[0x2b, 6, 1, 5, 5, 7, 3, 8],
        }
    }
}

fn to_der(certificate: &Certificate) -> CertificateDer<'_> {
    CertificateDer::from(certificate.der())
}

/// In seconds, and no earlier than 1970, when nothing was valid.
fn to_unix_time(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn no_path(error: &Error) -> NoPath {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } | Error::InvalidCertValidity => {
            NoPath::Untimely
        }
        error => NoPath::Untrusted(error.to_string()),
    }
}
