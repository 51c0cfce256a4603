//! The requirement as a tree of what met or failed each part, for `why` and `verify`.

use std::sync::Arc;

use super::{
    Reason,
    places::{Filled, Free},
    policy::Require,
    signer::Party,
    verdict::Node,
};

/// What is known about the places of a requirement.
pub(super) struct Places<'h> {
    /// Who may fill places.
    pub(super) parties: &'h [Party],
    /// Who fills which, where the whole is met.
    pub(super) filled: &'h [Filled],
    /// Why signatures of an authority do not count.
    pub(super) faults: &'h dyn Fn(&str) -> Reason,
    pub(super) free: Free<'h>,
}

impl Places<'_> {
    /// The tree of `require`.
    pub(super) fn node(&self, require: &Require) -> Node {
        let mut taken: Vec<_> = (0..self.parties.len())
            .map(|at| self.filled.iter().any(|place| place.offer == at))
            .collect();
        self.part(require, &mut taken)
    }

    fn part(&self, require: &Require, taken: &mut [bool]) -> Node {
        let requirement = require.to_string();
        match require {
            Require::Authority(name) => self.place(requirement, name, taken),
            Require::Group(group) => {
                let children: Vec<_> = group.of.iter().map(|part| self.part(part, taken)).collect();
                let met = children.iter().filter(|child| child.satisfied).count();
                let satisfied = met >= group.needed();
                Node { requirement, satisfied, by: None, why_not: None, children }
            }
            leaf => {
                let satisfied = self.free.meets(leaf);
                let why_not = match leaf {
                    _ if satisfied => None,
                    Require::Pin(_) => Some(Reason::DigestMismatch),
                    _ => Some(Reason::Never),
                };
                Node { requirement, satisfied, by: None, why_not, children: Vec::new() }
            }
        }
    }

    /// A place is shown as filled by whoever fills it, else by an offer that nothing else needs.
    fn place(&self, requirement: String, name: &Arc<str>, taken: &mut [bool]) -> Node {
        let filled =
            self.filled.iter().find(|place| place.authority == *name).map(|place| place.offer);
        let speaks = |at: &usize| self.parties[*at].speaks_for(name);
        let spare = (0..self.parties.len()).filter(speaks).find(|at| !taken[*at]);
        let by = filled.or(spare);
        if let Some(at) = by {
            taken[at] = true;
        }
        let why_not = match by {
            Some(_) => None,
            None if (0..self.parties.len()).any(|at| speaks(&at)) => Some(Reason::BelowThreshold),
            None => Some((self.faults)(name)),
        };
        Node {
            requirement,
            satisfied: by.is_some(),
            by: by.map(|at| self.parties[at].name.clone()),
            why_not,
            children: Vec::new(),
        }
    }
}
