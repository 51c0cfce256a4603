//! The requirement as a tree of what met or failed each part, for `why` and `verify`.

use std::sync::Arc;

use super::{
    Reason,
    places::{Filled, Free, Offer},
    policy::{Attestation, Require},
    signer::Party,
    verdict::Node,
};

/// What is known about the places of a requirement.
pub(super) struct Places<'h> {
    /// Who may fill places.
    pub(super) parties: &'h [Party],
    /// What each of them offers.
    pub(super) offers: &'h [Offer],
    /// Who fills which, where the whole is met.
    pub(super) filled: &'h [Filled],
    /// Why nothing by an authority counts here, with words where there are any.
    pub(super) faults: &'h dyn Fn(&str, Within<'_>) -> WhyNot,
    pub(super) free: Free<'h>,
}

/// Why a place is not filled, with words for an attestation.
pub(super) type WhyNot = (Reason, Option<String>);

/// The required attestation around a place.
type Within<'w> = Option<&'w Arc<Attestation>>;

impl Places<'_> {
    /// The tree of `require`.
    pub(super) fn node(&self, require: &Require) -> Node {
        let mut taken: Vec<_> = (0..self.parties.len())
            .map(|at| self.filled.iter().any(|place| place.offer == at))
            .collect();
        self.part(require, None, &mut taken)
    }

    fn part(&self, require: &Require, within: Within<'_>, taken: &mut [bool]) -> Node {
        let requirement = require.to_string();
        match require {
            Require::Attestation(wanted) => {
                Node { requirement, ..self.part(&wanted.by, Some(wanted), taken) }
            }
            Require::Authority(name) => self.place(requirement, name, within, taken),
            Require::Group(group) => {
                let children: Vec<_> =
                    group.of.iter().map(|part| self.part(part, within, taken)).collect();
                let met = children.iter().filter(|child| child.satisfied).count();
                let satisfied = met >= group.needed();
                Node { requirement, satisfied, by: None, why_not: None, detail: None, children }
            }
            leaf => {
                let satisfied = self.free.meets(leaf);
                let why_not = match leaf {
                    _ if satisfied => None,
                    Require::Pin(_) => Some(Reason::DigestMismatch),
                    _ => Some(Reason::Never),
                };
                Node {
                    requirement,
                    satisfied,
                    by: None,
                    why_not,
                    detail: None,
                    children: Vec::new(),
                }
            }
        }
    }

    /// A place is shown as filled by whoever fills it, else by an offer that nothing else needs.
    fn place(
        &self,
        requirement: String,
        name: &Arc<str>,
        within: Within<'_>,
        taken: &mut [bool],
    ) -> Node {
        let is_this = |place: &&Filled| {
            place.authority == *name
                && place.attestation.as_ref().map(Arc::as_ptr) == within.map(Arc::as_ptr)
        };
        let filled = self.filled.iter().find(is_this).map(|place| place.offer);
        let speaks = |at: &usize| self.offers[*at].speaks(name, within).is_some();
        let spare = (0..self.offers.len()).filter(speaks).find(|at| !taken[*at]);
        let by = filled.or(spare);
        if let Some(at) = by {
            taken[at] = true;
        }
        let (why_not, detail) = match by {
            Some(_) => (None, None),
            None if (0..self.offers.len()).any(|at| speaks(&at)) => {
                (Some(Reason::BelowThreshold), None)
            }
            None => {
                let (reason, detail) = (self.faults)(name, within);
                (Some(reason), detail)
            }
        };
        Node {
            requirement,
            satisfied: by.is_some(),
            by: by.map(|at| self.parties[at].name.clone()),
            why_not,
            detail,
            children: Vec::new(),
        }
    }
}
