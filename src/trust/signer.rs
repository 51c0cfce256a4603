//! Who signed: what a signer is called, and what a signature is made of.
//!
//! Two places of a requirement always mean two parties, so what is counted is neither signatures nor
//! authorities but parties. Two signatures are by one party as soon as they share anything that only one
//! party has ([`Material`]): the key, the identity in the certificate, the entry in the log, or the very
//! bytes (G-27).

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use super::{keys::Fingerprint, places::Offer, policy::Authority, root::LogId, words::listed};
use crate::oci::Digest;

/// Whoever signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signer {
    /// For people and records: authorities and key, or the identity.
    pub(super) name: String,
    /// The key that signed.
    pub(super) key: Fingerprint,
    /// What the signature is made of.
    pub(super) material: BTreeSet<Material>,
}

/// Something that belongs to one party only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Material {
    /// A log's entry: the log, and the place in it.
    Entry(LogId, u64),
    /// Whom a certificate names.
    Identity(String),
    /// The key that signed.
    Key(Fingerprint),
    /// The signature's bytes.
    Signature(Digest),
}

/// An authority for which a signer speaks.
#[derive(Clone, Debug)]
pub(super) struct Voice<'p> {
    pub(super) authority: &'p Authority,
    /// When it no longer does; never where there is no time.
    pub(super) until: Option<SystemTime>,
}

/// Everything by one party whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    /// What it is called.
    pub(super) name: String,
    material: BTreeSet<Material>,
    /// The authorities for which it speaks, each with the end of that.
    authorities: Vec<(Arc<str>, Option<SystemTime>)>,
}

impl Party {
    /// The party of one signature.
    pub(super) fn new(signer: &Signer, voices: &[Voice<'_>]) -> Self {
        let authorities =
            voices.iter().map(|voice| (voice.authority.name.clone(), voice.until)).collect();
        Self { name: signer.name.clone(), material: signer.material.clone(), authorities }
    }

    /// Counts `party` among `parties`: with those that share something with it, it is one.
    pub(super) fn join(parties: &mut Vec<Self>, party: Self) {
        let shares = |other: &mut Self| !other.material.is_disjoint(&party.material);
        let mut same: Vec<_> = parties.extract_if(.., shares).collect();
        same.push(party);
        parties.extend(same.into_iter().reduce(Self::with));
    }

    /// Whether it speaks for the authority called `name`.
    pub(super) fn speaks_for(&self, name: &str) -> bool {
        self.authorities.iter().any(|(authority, _)| **authority == *name)
    }

    /// What it may fill.
    pub(super) fn offer(&self) -> Offer {
        Offer { authorities: self.authorities.clone() }
    }

    /// Both as one. Where both speak for an authority, it does as long as the longer one.
    fn with(mut self, other: Self) -> Self {
        self.material.extend(other.material);
        for (name, until) in other.authorities {
            match self.authorities.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = known.zip(until).map(|(one, two)| one.max(two)),
                None => self.authorities.push((name, until)),
            }
        }
        self
    }
}

/// The names of the authorities that `voices` speak for, for people.
pub(super) fn names_of(voices: &[Voice<'_>]) -> String {
    let names: Vec<_> = voices.iter().map(|voice| voice.authority.name.clone()).collect();
    listed(&names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, material: &[&str], authorities: &[&str]) -> Party {
        let material = material.iter().map(|one| Material::Signature(Digest::of(one.as_bytes())));
        Party {
            name: name.to_owned(),
            material: material.collect(),
            authorities: authorities.iter().map(|name| ((*name).into(), None)).collect(),
        }
    }

    fn joined(parties: impl IntoIterator<Item = Party>) -> Vec<(String, usize)> {
        let mut known = Vec::new();
        parties.into_iter().for_each(|party| Party::join(&mut known, party));
        known.into_iter().map(|party| (party.name, party.authorities.len())).collect()
    }

    #[test]
    fn g27_what_shares_anything_is_one_party() {
        let apart = [party("a", &["1"], &["x"]), party("b", &["2"], &["y"])];
        assert_eq!(joined(apart.clone()), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
        // The third shares something with each of the two, so all are one.
        let bridge = party("c", &["1", "2"], &["x", "z"]);
        assert_eq!(joined(apart.into_iter().chain([bridge])), [("a".to_owned(), 3)]);
    }

    #[test]
    fn one_party_speaks_as_long_as_its_longest_signature() {
        let end = |seconds| Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        let until = |first, second| {
            let mut parties = Vec::new();
            for until in [first, second] {
                let authorities = vec![("a".into(), until)];
                let party = Party { authorities, ..party("a", &["1"], &[]) };
                Party::join(&mut parties, party);
            }
            parties[0].offer().authorities[0].1
        };
        assert_eq!(until(end(1), end(2)), end(2));
        assert_eq!(until(end(2), end(1)), end(2));
        assert_eq!(until(end(2), None), None);
        assert_eq!(until(None, end(2)), None);
    }
}
