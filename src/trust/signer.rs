//! Who signed: what a signer is called, and what a signature is made of.
//!
//! Two places of a requirement always mean two parties, so what is counted is neither signatures nor
//! authorities but parties. Two signatures are by one party as soon as they share anything that only one
//! party has ([`Material`]): the key, the identity in the certificate, the entry in the log, or the very
//! bytes (G-27).

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use super::{
    keys::Fingerprint,
    places::{Offer, Says},
    policy::{Attestation, Authority},
    root::LogId,
    words::listed,
};
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
    says: Says,
    /// The statement in which it says so, where there is one. Two statements are two attestations.
    statement: Option<Digest>,
}

impl Party {
    /// The party of one signature.
    pub(super) fn new(signer: &Signer, voices: &[Voice<'_>]) -> Self {
        let authorities =
            voices.iter().map(|voice| (voice.authority.name.clone(), voice.until)).collect();
        let (name, material) = (signer.name.clone(), signer.material.clone());
        Self { name, material, authorities, says: Says::Signed, statement: None }
    }

    /// The party as one that says what is in `statement`, which meets these requirements.
    pub(super) fn attesting(
        self,
        statement: Digest,
        met: Vec<(Arc<Attestation>, Option<SystemTime>)>,
    ) -> Self {
        Self { says: Says::Attested(met), statement: Some(statement), ..self }
    }

    /// Counts `party` among `parties`: with those that share something with it, it is one.
    pub(super) fn join(parties: &mut Vec<Self>, party: Self) {
        let shares = |other: &mut Self| {
            other.statement == party.statement && !other.material.is_disjoint(&party.material)
        };
        let mut same: Vec<_> = parties.extract_if(.., shares).collect();
        same.push(party);
        parties.extend(same.into_iter().reduce(Self::with));
    }

    /// What each of `parties` may fill. Those that share anything, and say different things, are one
    /// party all the same.
    pub(super) fn offers(parties: &[Self]) -> Vec<Offer> {
        let mut apart: Vec<BTreeSet<Material>> = Vec::new();
        for party in parties {
            let shares = |other: &mut BTreeSet<_>| !other.is_disjoint(&party.material);
            let same: Vec<_> = apart.extract_if(.., shares).collect();
            apart.push(same.into_iter().flatten().chain(party.material.iter().cloned()).collect());
        }
        let number = |party: &Self| apart.iter().position(|one| !one.is_disjoint(&party.material));
        let offer = |party: &Self| Offer {
            authorities: party.authorities.clone(),
            party: number(party).unwrap_or(apart.len()),
            says: party.says.clone(),
        };
        parties.iter().map(offer).collect()
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
            says: Says::Signed,
            statement: None,
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
            Party::offers(&parties)[0].authorities[0].1
        };
        assert_eq!(until(end(1), end(2)), end(2));
        assert_eq!(until(end(2), end(1)), end(2));
        assert_eq!(until(end(2), None), None);
        assert_eq!(until(None, end(2)), None);
    }

    #[test]
    fn g27_one_party_that_says_several_things_stays_one_party() {
        let says = |party: Party, statement: &[u8]| party.attesting(Digest::of(statement), vec![]);
        let mut parties = Vec::new();
        for said in [
            party("a", &["1"], &["x"]),
            says(party("a", &["1"], &["x"]), b"this"),
            says(party("a", &["1"], &["x"]), b"that"),
            says(party("a", &["1"], &["x"]), b"that"),
            says(party("b", &["2"], &["x"]), b"that"),
        ] {
            Party::join(&mut parties, said);
        }
        let numbers: Vec<_> = Party::offers(&parties).iter().map(|offer| offer.party).collect();
        assert_eq!(numbers.len(), 4);
        assert!(numbers[..3].iter().all(|number| *number == numbers[0]), "{numbers:?}");
        assert_ne!(numbers[3], numbers[0]);
    }
}
