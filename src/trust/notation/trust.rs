//! Whom a Notation authority trusts, and how strictly: what a policy says under `notation`.

use std::{collections::BTreeMap, time::SystemTime};

use super::{name::Name, revocation::RevocationList};
use crate::trust::x509::Certificate;

/// What a Notation authority trusts.
#[derive(Clone, Debug)]
pub struct NotationTrust {
    /// One of these must be in the chain of a signature of the scheme `notary.x509`.
    pub(in crate::trust) store: Vec<Certificate>,
    /// One of these must be in the chain of a signature by a signing authority.
    pub(in crate::trust) signing_authorities: Vec<Certificate>,
    /// To one of these a timestamp must lead. Without any, timestamps are not looked at.
    pub(in crate::trust) timestamp_authorities: Vec<Certificate>,
    pub(in crate::trust) identities: Identities,
    /// When a signature needs a timestamp.
    pub(in crate::trust) timestamps: Timestamps,
    /// What comes of a missing or wrong proof of the time of signing.
    pub(in crate::trust) timestamp_action: Action,
    /// What comes of a signature that has expired.
    pub(in crate::trust) expiry_action: Action,
    /// What comes of a certificate that is revoked, or of which nobody knows.
    pub(in crate::trust) revocation_action: Action,
    pub(in crate::trust) revocation_lists: Vec<RevocationList>,
    /// Annotations that the signer must have signed with the image.
    pub(in crate::trust) metadata: BTreeMap<String, String>,
}

/// Who may have signed, of those whose chain is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Identities {
    /// Everybody.
    Any,
    /// Whoever has all the attributes of one of these.
    Subjects(Vec<Name>),
}

/// What comes of a check that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Action {
    /// The signature does not count.
    Enforce,
    /// It is noted, and the signature counts.
    Log,
    /// The check is not made.
    Skip,
}

/// When a signature needs a timestamp, where timestamp authorities are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trust) enum Timestamps {
    /// Always.
    Always,
    /// Once a certificate of its chain has expired.
    AfterExpiry,
}

/// Something that will end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What it is, for people.
    pub what: String,
    /// The last moment of it.
    pub at: SystemTime,
}

impl NotationTrust {
    /// What it trusts and holds against signers, and when each of that ends.
    #[must_use]
    pub fn endings(&self) -> Vec<Ending> {
        let certificates = self.certificates().map(|(role, certificate)| Ending {
            what: format!("{role} {}", described(certificate)),
            at: certificate.not_after(),
        });
        let lists = self.revocation_lists.iter().map(|list| Ending {
            what: format!("revocation list of {}", named(list.issuer())),
            at: list.next_update(),
        });
        certificates.chain(lists).collect()
    }

    /// The identities that it trusts, as RFC 4514 writes them; `*` for everybody.
    #[must_use]
    pub fn identities(&self) -> Vec<String> {
        match &self.identities {
            Identities::Any => vec!["*".to_owned()],
            Identities::Subjects(names) => names.iter().map(Name::to_string).collect(),
        }
    }

    /// Whether everybody under one of its certificates may sign.
    #[must_use]
    pub fn trusts_everybody(&self) -> bool {
        self.identities == Identities::Any
    }

    /// Whether any signature can count from `now` on: while a certificate that it trusts is valid, and
    /// after that where timestamps show that it was, or the level does not ask.
    pub(in crate::trust) fn can_count(&self, now: SystemTime) -> bool {
        let mut signers = self.store.iter().chain(&self.signing_authorities);
        self.timestamp_action != Action::Enforce
            || !self.timestamp_authorities.is_empty()
            || !self.signing_authorities.is_empty()
            || signers.any(|certificate| now <= certificate.not_after())
    }

    /// What names its trust material: one line for each certificate and list, in hex.
    pub(in crate::trust) fn fingerprints(&self) -> impl Iterator<Item = String> {
        let certificates = self.certificates();
        let certificates =
            certificates.map(|(role, certificate)| format!("{role} {}", certificate.fingerprint()));
        let lists = self.revocation_lists.iter();
        certificates.chain(lists.map(|list| format!("list {}", list.fingerprint())))
    }

    /// Every certificate, each with what it is trusted for.
    fn certificates(&self) -> impl Iterator<Item = (&'static str, &Certificate)> {
        let signers = self.store.iter().map(|one| ("certificate", one));
        let services = self.signing_authorities.iter().map(|one| ("signing authority", one));
        let clocks = self.timestamp_authorities.iter().map(|one| ("timestamp authority", one));
        signers.chain(services).chain(clocks)
    }
}

/// Whose `certificate` is, for people.
pub(super) fn described(certificate: &Certificate) -> String {
    let fingerprint = certificate.fingerprint();
    format!("{} (sha256:{})", named(certificate.subject()), &fingerprint[..SHORT])
}

/// The DER of a name, for people.
fn named(der: &[u8]) -> String {
    Name::of_der(der).map_or_else(|_| "an unusual name".to_owned(), |name| format!("`{name}`"))
}

/// Digits of a fingerprint that tell certificates of one name apart.
const SHORT: usize = 12;
