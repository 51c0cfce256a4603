//! The decision: policy, evidence and a time in, a verdict out. Pure.
//!
//! What comes first wins: the deny list, then an exception, then the one rule that covers the
//! repository. Under a rule every signature is heard ([`super::hearing`]) and the votes fill the
//! places of its requirement ([`super::places`]). A requirement that is not met is a denial only when
//! everything could be looked at; otherwise nobody can tell.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::SystemTime,
};

use super::{
    Mode, Outcome, Reason,
    evidence::Evidence,
    hearing::{Case, Hearing, reason_of},
    outright,
    places::{self, Filled, Filling, Free},
    policy::{Pattern, Policy, Require},
    sentence,
    signer::Party,
    tree::Places,
    verdict::Verdict,
};
use crate::oci::{Digest, ImageName};

/// Decides whether the manifest `digest` of `image` may be served at `now`.
///
/// Should the judging code panic on what a stranger wrote, the verdict is undecided (G-18).
#[must_use]
pub fn decide(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    evidence: &Evidence,
    now: SystemTime,
) -> Verdict {
    guarded(|| judge(policy, image, digest, evidence, now)).unwrap_or_else(|| {
        outright::unreachable(policy, image, digest, "the evidence could not be judged")
    })
}

fn guarded<T>(judge: impl FnOnce() -> T) -> Option<T> {
    // Nothing is changed in place, so nothing can be left half-changed.
    catch_unwind(AssertUnwindSafe(judge)).ok()
}

fn judge(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    evidence: &Evidence,
    now: SystemTime,
) -> Verdict {
    if let Some(denied) = outright::deny_listed(policy, image, digest) {
        return denied;
    }
    if let Some(exception) = policy.exception_for(image, digest, now) {
        return outright::excepted(policy, image, digest, exception);
    }
    let Some((pattern, rule)) = policy.covering_pattern(image) else {
        return outright::uncovered(policy, image, digest);
    };
    let case = Case { policy, rule, image, digest, now };
    let hearing = Hearing::hold(case, evidence);
    let (reason, filled) = settle(case, &hearing, evidence.is_gathered());
    verdict(case, pattern, hearing, reason, &filled)
}

/// Why the judgement ends, and who fills which place.
fn settle(case: Case<'_>, hearing: &Hearing<'_>, gathered: bool) -> (Reason, Vec<Filled>) {
    let require = &case.rule.require;
    let offers: Vec<_> = hearing.parties.iter().map(Party::offer).collect();
    let fill = |insecure| {
        let free = Free { insecure, pinned: Some(case.digest) };
        places::fill(require, &offers, free)
    };
    match fill(false) {
        Filling::Filled(filled) if filled.is_empty() => (Reason::Pinned, filled),
        Filling::Filled(filled) => (Reason::Admitted, filled),
        Filling::TooHard => (Reason::LimitReached, Vec::new()),
        Filling::Unfilled => match fill(true) {
            Filling::Filled(filled) => (Reason::InsecureRule, filled),
            Filling::TooHard => (Reason::LimitReached, Vec::new()),
            Filling::Unfilled => (unmet(case, hearing, gathered), Vec::new()),
        },
    }
}

/// Why a requirement is not met.
fn unmet(case: Case<'_>, hearing: &Hearing<'_>, gathered: bool) -> Reason {
    let require = &case.rule.require;
    if !require.is_attainable(case.digest) {
        let never = require.contains(&Require::Never);
        return if never { Reason::Never } else { Reason::DigestMismatch };
    }
    if !gathered {
        return Reason::EvidenceUnreachable;
    }
    let failures = hearing.failures.iter().map(|(_, failure)| reason_of(failure));
    if let Some(reason) = failures.min() {
        return reason;
    }
    if !hearing.parties.is_empty() {
        return Reason::BelowThreshold;
    }
    hearing.closest_fault().map_or(Reason::NoSignature, |fault| fault.reason)
}

fn verdict(
    case: Case<'_>,
    pattern: &Pattern,
    hearing: Hearing<'_>,
    reason: Reason,
    filled: &[Filled],
) -> Verdict {
    let Case { policy, rule, image, digest, now } = case;
    let places = Places {
        parties: &hearing.parties,
        filled,
        faults: &|authority| hearing.fault_of(authority),
        free: Free { insecure: reason == Reason::InsecureRule, pinned: Some(digest) },
    };
    let tree = places.node(&rule.require);
    let enforced = rule.mode == Mode::Enforce || reason.outcome() == Outcome::Admitted;
    let valid_until = match reason.outcome() {
        Outcome::Admitted => filled.iter().filter_map(|place| place.until).min(),
        // Served only because of the mode: looked at again as soon as somebody asks again.
        Outcome::Undecided if !enforced => Some(now),
        Outcome::Denied | Outcome::Undecided => None,
    };
    let mut signed_by: Vec<_> = filled.iter().map(|place| place.authority.to_string()).collect();
    signed_by.sort();
    Verdict {
        outcome: if enforced { reason.outcome() } else { Outcome::Admitted },
        reason,
        rule: Some(pattern.to_string()),
        mode: rule.mode,
        enforced,
        policy: policy.hash().to_owned(),
        trust: policy.trust_hash().to_owned(),
        message: sentence::message(case, pattern, &hearing, reason, &signed_by),
        next_step: sentence::next_step(policy, rule, image, digest, reason),
        evidence: hearing.findings,
        tree: Some(tree),
        valid_until,
        signed_by,
        inherited_from: None,
    }
}

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
