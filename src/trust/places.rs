//! Filling the places of a requirement with signers: who counts once, and only once.
//!
//! Every leaf that names an authority is a place. One signature fills one place, and so does one key,
//! however many authorities list it, and so does one authority, however many keys it has (G-27): two
//! places always mean two parties. A second signature by the same key, or the same signature in its
//! other encoding (`r`, `n - s`), adds nothing, since it brings no new key.
//!
//! A required attestation has places of its own, which only attestations fill, each of them one
//! (G-11): an authority may sign an image and also say something about it, and has to do both where
//! both are required. Within one required attestation two places are two parties again.
//!
//! When keys are shared between authorities, choosing who fills what is a matching problem inside a
//! tree, so this is an exact search. It first asks whether the tree could be met if everybody might
//! fill any number of places; where keys are not shared, that is already the answer and the search
//! goes straight to it. Where they are, [`MAX_STEPS`] bounds the work, and giving up is said
//! ([`Filling::TooHard`]) and never taken for an answer.

use std::{sync::Arc, time::SystemTime};

use super::policy::{Attestation, Require};
use crate::oci::Digest;

/// Something by one party that counts, and whom it speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The authorities, each with the end of its window for this key.
    pub(super) authorities: Vec<(Arc<str>, Option<SystemTime>)>,
    /// The party, by a number.
    pub(super) party: usize,
    pub(super) says: Says,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// What meets these requirements, each until a time.
    Attested(Vec<(Arc<Attestation>, Option<SystemTime>)>),
    /// That the image is signed, and nothing more.
    Signed,
}

impl Says {
    /// Whether it is of the kind that fills places of `attestation`, or of signatures, and until when.
    pub(super) fn fits(
        &self,
        attestation: Option<&Arc<Attestation>>,
    ) -> Option<Option<SystemTime>> {
        match (self, attestation) {
            (Self::Signed, None) => Some(None),
            (Self::Attested(met), Some(wanted)) => {
                met.iter().find(|(one, _)| one == wanted).map(|(_, until)| *until)
            }
            (Self::Signed, Some(_)) | (Self::Attested(_), None) => None,
        }
    }
}

impl Offer {
    /// Until when it speaks for the authority `name` in the place of `attestation`, if it does.
    pub(super) fn speaks(
        &self,
        name: &str,
        attestation: Option<&Arc<Attestation>>,
    ) -> Option<Option<SystemTime>> {
        let says = self.says.fits(attestation)?;
        let (_, until) = self.authorities.iter().find(|(authority, _)| **authority == *name)?;
        Some((*until).into_iter().chain(says).min())
    }
}

/// A place that is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) authority: Arc<str>,
    /// The required attestation whose place it is.
    pub(super) attestation: Option<Arc<Attestation>>,
    /// The position of the offer that fills it.
    pub(super) offer: usize,
    /// When the key's window ends.
    pub(super) until: Option<SystemTime>,
}

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// The requirement is met, with these places.
    Filled(Vec<Filled>),
    /// Nobody knows: it would take too long to find out.
    TooHard,
    /// It cannot be met.
    Unfilled,
}

/// What meets the leaves that are no places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free<'d> {
    /// Whether `insecure-accept-anything` counts.
    pub(super) insecure: bool,
    /// The digest that a pin has to name; `None` when any pin counts.
    pub(super) pinned: Option<&'d Digest>,
}

impl Free<'_> {
    pub(super) fn meets(self, leaf: &Require) -> bool {
        match leaf {
            Require::Insecure => self.insecure,
            Require::Pin(digests) => self.pinned.is_none_or(|digest| digests.contains(digest)),
            Require::Attestation(_)
            | Require::Authority(_)
            | Require::Group(_)
            | Require::Never => false,
        }
    }
}

/// Looks for a way to meet `require` with `offers`.
pub(super) fn fill(require: &Require, offers: &[Offer], free: Free<'_>) -> Filling {
    let mut search = Search {
        offers,
        free,
        taken: vec![false; offers.len()],
        filled: Vec::new(),
        steps: MAX_STEPS,
    };
    let goal = Goal::Meet(require, None);
    match search.reach(Some(&Goals { goal, then: None })) {
        Ok(true) => Filling::Filled(search.filled),
        Ok(false) => Filling::Unfilled,
        Err(TooHard) => Filling::TooHard,
    }
}

/// Goals looked at in one search. The largest tree whose keys are not shared takes a few hundred.
const MAX_STEPS: usize = 100_000;

struct Search<'s> {
    offers: &'s [Offer],
    free: Free<'s>,
    taken: Vec<bool>,
    filled: Vec<Filled>,
    steps: usize,
}

/// Something still to be done.
#[derive(Clone, Copy)]
enum Goal<'s> {
    /// Meets `needed` of these.
    Choose {
        of: &'s [Require],
        needed: usize,
        within: Within<'s>,
    },
    Meet(&'s Require, Within<'s>),
}

/// The required attestation around a place.
type Within<'s> = Option<&'s Arc<Attestation>>;

/// A list of goals that shares its tail with others.
struct Goals<'g, 's> {
    goal: Goal<'s>,
    then: Option<&'g Self>,
}

struct TooHard;

impl<'s> Search<'s> {
    /// Tries to reach all `goals`. On failure everything is as it was.
    fn reach(&mut self, goals: Option<&Goals<'_, 's>>) -> Result<bool, TooHard> {
        let Some(&Goals { goal, then }) = goals else { return Ok(true) };
        self.steps = self.steps.checked_sub(1).ok_or(TooHard)?;
        match goal {
            Goal::Choose { needed: 0, .. } => self.reach(then),
            Goal::Choose { of: [first, rest @ ..], needed, within } if needed <= rest.len() + 1 => {
                let choose = |needed| Goal::Choose { of: rest, needed, within };
                let others = Goals { goal: choose(needed - 1), then };
                let with = Goals { goal: Goal::Meet(first, within), then: Some(&others) };
                let without = Goals { goal: choose(needed), then };
                Ok(self.reach(Some(&with))? || self.reach(Some(&without))?)
            }
            Goal::Choose { .. } => Ok(false),
            Goal::Meet(Require::Attestation(wanted), _) => {
                let goal = Goal::Meet(&wanted.by, Some(wanted));
                self.reach(Some(&Goals { goal, then }))
            }
            Goal::Meet(Require::Authority(name), within) => self.place(name, within, then),
            Goal::Meet(Require::Group(group), within) => {
                let goal = Goal::Choose { of: &group.of, needed: group.needed(), within };
                Ok(self.conceivable(&group.of, group.needed(), within)
                    && self.reach(Some(&Goals { goal, then }))?)
            }
            Goal::Meet(leaf, _) => Ok(self.free.meets(leaf) && self.reach(then)?),
        }
    }

    fn place(
        &mut self,
        name: &Arc<str>,
        within: Within<'s>,
        then: Option<&Goals<'_, 's>>,
    ) -> Result<bool, TooHard> {
        if self.beside(within).any(|filled| filled.authority == *name) {
            return Ok(false);
        }
        for (at, offer) in self.offers.iter().enumerate() {
            let Some(until) = offer.speaks(name, within) else { continue };
            let is_there =
                self.beside(within).any(|filled| self.offers[filled.offer].party == offer.party);
            if self.taken[at] || is_there {
                continue;
            }
            self.taken[at] = true;
            let (authority, attestation) = (name.clone(), within.cloned());
            self.filled.push(Filled { authority, attestation, offer: at, until });
            if self.reach(then)? {
                return Ok(true);
            }
            self.filled.pop();
            self.taken[at] = false;
        }
        Ok(false)
    }

    /// The places that are filled around one `within` the same.
    fn beside(&self, within: Within<'_>) -> impl Iterator<Item = &Filled> {
        self.filled.iter().filter(move |filled| match (&filled.attestation, within) {
            (None, None) => true,
            // Two that are written alike are two all the same.
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        })
    }

    /// Whether `needed` of these could be met if everybody might fill any number of places.
    fn conceivable(&self, of: &[Require], needed: usize, within: Within<'_>) -> bool {
        let met = |part: &&Require| self.is_conceivable(part, within);
        of.iter().filter(met).take(needed).count() == needed
    }

    fn is_conceivable(&self, part: &Require, within: Within<'_>) -> bool {
        match part {
            Require::Attestation(wanted) => self.is_conceivable(&wanted.by, Some(wanted)),
            Require::Authority(name) => {
                self.offers.iter().any(|offer| offer.speaks(name, within).is_some())
            }
            Require::Group(group) => self.conceivable(&group.of, group.needed(), within),
            leaf => self.free.meets(leaf),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust::{
        attestation::PredicateType,
        policy::{Group, Quantity},
    };

    fn authority(name: &str) -> Require {
        Require::Authority(name.into())
    }

    fn group(quantity: Quantity, of: impl IntoIterator<Item = Require>) -> Require {
        Require::Group(Group { quantity, of: of.into_iter().collect() })
    }

    /// Keys, each with the authorities that list it.
    fn offers(keys: &[&str]) -> Vec<Offer> {
        let names = |key: &str| key.split(' ').map(|name| (name.into(), None)).collect();
        let signed = |(party, key): (usize, &&str)| Offer {
            authorities: names(key),
            party,
            says: Says::Signed,
        };
        keys.iter().enumerate().map(signed).collect()
    }

    fn is_met(require: &Require, keys: &[&str]) -> bool {
        let free = Free { insecure: false, pinned: Some(&Digest::of(b"x")) };
        match fill(require, &offers(keys), free) {
            Filling::Filled(_) => true,
            Filling::Unfilled => false,
            Filling::TooHard => panic!("gave up"),
        }
    }

    #[test]
    fn g27_one_key_fills_one_place() {
        let two = group(Quantity::AtLeast(2), [authority("a"), authority("b"), authority("c")]);
        assert!(!is_met(&two, &["a"]));
        assert!(!is_met(&two, &["a b c"]));
        assert!(!is_met(&two, &["a", "a"]));
        assert!(is_met(&two, &["a", "b"]));
        assert!(is_met(&two, &["a b", "a"]));
        assert!(is_met(&two, &["a b", "a b"]));
    }

    #[test]
    fn g27_one_authority_fills_one_place() {
        let twice = group(
            Quantity::All,
            [authority("a"), group(Quantity::AtLeast(2), [authority("a"), authority("b")])],
        );
        assert!(!is_met(&twice, &["a", "a", "b"]));
        let other = group(
            Quantity::Any,
            [group(Quantity::All, [authority("a"), authority("b")]), authority("a")],
        );
        assert!(is_met(&other, &["a"]));
    }

    #[test]
    fn chooses_who_fills_what() {
        let chain = group(Quantity::All, ["a", "b", "c", "d"].map(authority));
        assert!(is_met(&chain, &["a b", "b c", "c d", "a"]));
        assert!(!is_met(&chain, &["a b", "a b", "a b", "d"]));
        let nested = group(
            Quantity::AtLeast(2),
            [
                group(Quantity::All, [authority("a"), authority("b")]),
                group(Quantity::Any, [authority("b"), authority("c")]),
                authority("d"),
            ],
        );
        assert!(is_met(&nested, &["a b", "b", "c"]));
        assert!(is_met(&nested, &["b d", "b d"]));
        assert!(!is_met(&nested, &["b d"]));
    }

    fn attested(by: Require) -> Arc<Attestation> {
        let kind = PredicateType::parse("vuln").unwrap();
        Arc::new(Attestation { kind, by, condition: None })
    }

    /// By a party, for authorities, for these requirements.
    fn said(party: usize, names: &str, met: &[&Arc<Attestation>]) -> Offer {
        let met = met.iter().map(|one| (Arc::clone(one), None)).collect();
        Offer { party, says: Says::Attested(met), ..offers(&[names]).remove(0) }
    }

    fn meets(require: &Require, offers: &[Offer]) -> bool {
        matches!(fill(require, offers, Free { insecure: false, pinned: None }), Filling::Filled(_))
    }

    #[test]
    fn g11_a_signature_is_no_attestation_and_the_reverse() {
        let scan = attested(authority("a"));
        let signed = offers(&["a"]).remove(0);
        let wanted = Require::Attestation(scan.clone());
        assert!(!meets(&wanted, std::slice::from_ref(&signed)));
        assert!(meets(&wanted, &[said(0, "a", &[&scan])]));
        assert!(!meets(&wanted, &[said(0, "a", &[])]));
        assert!(!meets(&wanted, &[said(0, "b", &[&scan])]));
        assert!(!meets(&authority("a"), &[said(0, "a", &[&scan])]));
        let both = group(Quantity::All, [authority("a"), wanted]);
        assert!(!meets(&both, std::slice::from_ref(&signed)));
        assert!(!meets(&both, &[said(0, "a", &[&scan])]));
        assert!(meets(&both, &[said(0, "a", &[&scan]), signed]));
    }

    #[test]
    fn g27_one_attestation_fills_one_place_and_one_party_one_in_each() {
        let two_of = group(Quantity::AtLeast(2), [authority("a"), authority("b")]);
        let scan = attested(two_of);
        let wanted = Require::Attestation(scan.clone());
        assert!(!meets(&wanted, &[said(0, "a b", &[&scan]), said(0, "a b", &[&scan])]));
        assert!(meets(&wanted, &[said(0, "a b", &[&scan]), said(1, "a b", &[&scan])]));
        let (one, other) = (attested(authority("a")), attested(authority("a")));
        let pair = [&one, &other].map(|one| Require::Attestation(one.clone()));
        let pair = group(Quantity::All, pair);
        assert!(!meets(&pair, &[said(0, "a", &[&one, &other])]));
        assert!(meets(&pair, &[said(0, "a", &[&one]), said(0, "a", &[&other])]));
    }

    #[test]
    fn an_attestation_holds_as_long_as_both_its_signer_and_its_condition() {
        let scan = attested(authority("a"));
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        for (window, condition, end) in [
            (None, Some(at(5)), Some(at(5))),
            (Some(at(4)), Some(at(5)), Some(at(4))),
            (Some(at(4)), None, Some(at(4))),
        ] {
            let offer = Offer {
                authorities: vec![("a".into(), window)],
                party: 0,
                says: Says::Attested(vec![(scan.clone(), condition)]),
            };
            let free = Free { insecure: false, pinned: None };
            let require = Require::Attestation(scan.clone());
            let Filling::Filled(filled) = fill(&require, &[offer], free) else {
                panic!("unfilled")
            };
            assert_eq!(filled[0].until, end);
        }
    }

    #[test]
    fn leaves_that_are_no_places_need_nobody() {
        let digest = Digest::of(b"x");
        let pin = Require::Pin(vec![digest]);
        assert!(is_met(&pin, &[]));
        assert!(!is_met(&Require::Pin(vec![Digest::of(b"y")]), &[]));
        assert!(!is_met(&Require::Never, &["a"]));
        assert!(!is_met(&Require::Insecure, &["a"]));
        assert!(is_met(&group(Quantity::Any, [authority("a"), pin.clone()]), &[]));
        assert!(!is_met(&group(Quantity::All, [authority("a"), pin]), &[]));
        let free = Free { insecure: true, pinned: Some(&digest) };
        assert_eq!(fill(&Require::Insecure, &[], free), Filling::Filled(vec![]));
    }

    #[test]
    fn gives_up_and_says_so() {
        // Twelve authorities that share eleven keys: no way, and millions of ways to try.
        let names: Vec<_> = (0..12).map(|at| format!("a{at}")).collect();
        let all = group(Quantity::All, names.iter().map(|name| authority(name)));
        let every = names.join(" ");
        let free = Free { insecure: false, pinned: None };
        assert_eq!(fill(&all, &offers(&[every.as_str(); 11]), free), Filling::TooHard);
    }

    fn trees() -> impl Strategy<Value = Require> {
        let leaf = prop_oneof![
            "[a-d]".prop_map(|name| authority(&name)),
            Just(Require::Never),
            Just(Require::Pin(vec![Digest::of(b"x")])),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            (proptest::collection::vec(inner, 1..4), 0_usize..6).prop_map(|(of, pick)| {
                let quantity = match pick {
                    0 => Quantity::All,
                    1 => Quantity::Any,
                    count => Quantity::AtLeast(count.min(of.len()).max(1)),
                };
                group(quantity, of)
            })
        })
    }

    proptest! {
        #[test]
        fn what_is_filled_is_filled_by_distinct_parties(
            tree in trees(),
            keys in proptest::collection::vec("[a-d]( [a-d]){0,2}", 0..5),
        ) {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            let offers = offers(&keys);
            let free = Free { insecure: false, pinned: None };
            if let Filling::Filled(filled) = fill(&tree, &offers, free) {
                for (at, place) in filled.iter().enumerate() {
                    let others = &filled[..at];
                    prop_assert!(others.iter().all(|other| other.offer != place.offer));
                    prop_assert!(others.iter().all(|other| other.authority != place.authority));
                    let listed = &offers[place.offer].authorities;
                    prop_assert!(listed.iter().any(|(name, _)| *name == place.authority));
                }
                let filled: Vec<_> = filled.iter().map(|place| place.authority.clone()).collect();
                prop_assert!(holds(&tree, &filled));
            }
        }

        #[test]
        fn one_more_key_never_breaks_what_was_met(
            tree in trees(),
            keys in proptest::collection::vec("[a-d]( [a-d]){0,2}", 1..5),
        ) {
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            if is_met(&tree, &keys[1..]) {
                prop_assert!(is_met(&tree, &keys));
            }
        }
    }

    fn holds(tree: &Require, filled: &[Arc<str>]) -> bool {
        match tree {
            Require::Authority(name) => filled.contains(name),
            Require::Group(group) => {
                group.of.iter().filter(|part| holds(part, filled)).count() >= group.needed()
            }
            Require::Pin(_) => true,
            Require::Attestation(_) | Require::Insecure | Require::Never => false,
        }
    }
}
