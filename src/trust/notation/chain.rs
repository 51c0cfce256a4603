//! The certificates in an envelope, by Notation's own rules.
//!
//! An envelope carries the whole chain, the signer's certificate first and the root last, or one
//! self-signed certificate. Every one is signed by the next, the last by itself and none between by
//! itself. The rules are not those of RFC 5280: only basic constraints, key usage and extended key
//! usage count, nothing else may be evaluated, and the spans of validity need not lie inside each
//! other. So no library for paths fits, and this is one pass over a list. Whether the certificates are
//! valid at a time, and whether anybody trusts one of them, is decided later ([`super::standing`]).
//!
//! One rule is stricter than notation's code: a certificate for any purpose (`anyExtendedKeyUsage`)
//! does not sign, as the specification says. Source: the Notary Project's signature specification,
//! "Certificate requirements".

use spki::ObjectIdentifier;

use super::algorithm::Algorithm;
use crate::trust::{
    json::Malformed,
    x509::{Certificate, KeyUsage},
};

/// A chain in which each certificate may do what it does.
#[derive(Clone, Debug)]
pub(super) struct Chain(Vec<Certificate>);

impl Chain {
    /// Reads the certificates in `chain` and checks what they say about each other.
    ///
    /// # Errors
    /// When they are no such chain.
    pub(super) fn parse(chain: &[Vec<u8>]) -> Result<Self, Malformed> {
        let certificates = chain.iter().map(|der| Certificate::from_der(der));
        let certificates: Vec<_> = certificates.collect::<Result<_, _>>()?;
        let (Some(leaf), Some(root)) = (certificates.first(), certificates.last()) else {
            return Err(Malformed("it has no certificates".into()));
        };
        if !root.is_signed_by(root) {
            return Err(Malformed("its last certificate does not sign itself".into()));
        }
        for pair in certificates.windows(2) {
            if pair[0].is_signed_by(&pair[0]) {
                return Err(Malformed("a certificate before the last one signs itself".into()));
            }
            if !pair[0].is_signed_by(&pair[1]) {
                return Err(Malformed("a certificate is not signed by the next one".into()));
            }
        }
        check_leaf(leaf)?;
        for (below, authority) in certificates.iter().skip(1).enumerate() {
            check_authority(authority, below)?;
        }
        Ok(Self(certificates))
    }

    /// The signer's certificate.
    pub(super) fn leaf(&self) -> &Certificate {
        &self.0[0]
    }

    /// Every certificate, the signer's first.
    pub(super) fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// Every certificate but the root, each with the one that issued it.
    pub(super) fn issued(&self) -> impl Iterator<Item = (&Certificate, &Certificate)> {
        self.0.iter().zip(self.0.iter().skip(1))
    }
}

/// The certificate that signs images signs nothing else.
fn check_leaf(leaf: &Certificate) -> Result<(), Malformed> {
    let refuse = |why: &str| Err(Malformed(format!("the signer's certificate {why}")));
    if leaf.is_authority()? {
        return refuse("is that of an authority");
    }
    let allowed = KeyUsage::DIGITAL_SIGNATURE | KeyUsage::CONTENT_COMMITMENT;
    match leaf.key_usage()? {
        Some(usage) if !usage.is_critical => return refuse("has a key usage that is not critical"),
        Some(usage) if !usage.allows(KeyUsage::DIGITAL_SIGNATURE) || !usage.is_within(allowed) => {
            return refuse("has a key usage that is not `digitalSignature` alone");
        }
        Some(_) => {}
        None => return refuse("has no key usage"),
    }
    if let Some(usage) = leaf.extended_key_usage()?
        && usage.purposes.iter().any(|purpose| FORBIDDEN.contains(purpose))
    {
        return refuse("has a purpose that does not go together with signing images");
    }
    match Algorithm::of(leaf.public_key()) {
        Some(_) => Ok(()),
        None => refuse("has a key of a kind or size that does not sign for Notation"),
    }
}

/// An authority may sign certificates, with `below` authorities under it.
fn check_authority(authority: &Certificate, below: usize) -> Result<(), Malformed> {
    let refuse = |why: &str| Err(Malformed(format!("an authority's certificate {why}")));
    match authority.basic_constraints()? {
        Some(constraints) if !constraints.is_critical || !constraints.is_authority => {
            return refuse("does not say critically that it is one");
        }
        Some(constraints)
            if constraints.path_length.is_some_and(|most| (most as usize) < below) =>
        {
            return refuse("has more authorities below than it allows");
        }
        Some(_) => {}
        None => return refuse("has no basic constraints"),
    }
    match authority.key_usage()? {
        Some(usage) if usage.is_critical && usage.allows(KeyUsage::CERTIFICATE_SIGNING) => Ok(()),
        _ => refuse("may not sign certificates"),
    }
}

/// Purposes of a key that is no signer's: any, servers, clients, mail, timestamps, OCSP.
const FORBIDDEN: [ObjectIdentifier; 6] = [
    ObjectIdentifier::new_unwrap("2.5.29.37.0"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9"),
];
