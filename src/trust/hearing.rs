//! Hearing the evidence: every signature goes through the five steps, and what comes of it is noted.
//! Counting the votes comes after ([`super::verify`]).

use std::{sync::Arc, time::SystemTime};

use super::{
    Format, Reason,
    evidence::{Evidence, Item, LookFailure, RawSignature},
    format::judged,
    policy::{Policy, Rule},
    signer::Party,
    steps::{Candidates, Fault, Parsed, Vote, distance},
    verdict::Finding,
};
use crate::oci::{Digest, ImageName};

/// What is judged, under which rule, when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'c> {
    pub(super) policy: &'c Policy,
    pub(super) rule: &'c Rule,
    pub(super) image: &'c ImageName,
    pub(super) digest: &'c Digest,
    pub(super) now: SystemTime,
}

/// What came of all evidence.
#[derive(Debug, Default)]
pub(super) struct Hearing<'c> {
    /// What was looked at, in order.
    pub(super) findings: Vec<Finding>,
    /// Everybody whose signatures count, once.
    pub(super) parties: Vec<Party>,
    /// Signatures that do not count, and whose they would be.
    pub(super) faults: Vec<(Fault, Vec<Arc<str>>)>,
    /// Where nobody could look.
    pub(super) failures: Vec<(&'c str, &'c LookFailure)>,
    /// What is there beside signatures: formats that are not judged, attestations. In words that
    /// follow "only".
    pub(super) beside: Vec<String>,
}

impl<'c> Hearing<'c> {
    /// Hears `evidence` in `case`.
    pub(super) fn hold(case: Case<'c>, evidence: &'c Evidence) -> Self {
        let candidates = Candidates::of(case.policy, case.rule);
        let mut hearing = Self::default();
        for item in evidence.items() {
            match item {
                Item::Absent { place, format } => {
                    hearing.findings.push(finding(place, *format, false, "nothing is there"));
                }
                Item::Failed { place, format, failure } => {
                    let why_not = Some(reason_of(failure));
                    let found = finding(place, *format, false, &failure.to_string());
                    hearing.findings.push(Finding { why_not, ..found });
                    hearing.failures.push((place, failure));
                }
                Item::Ignored { place, format, manifest, reason, detail } => {
                    let found = finding(place, *format, true, detail);
                    let why_not = Some(*reason);
                    hearing.findings.push(Finding { manifest: Some(*manifest), why_not, ..found });
                    if *reason == Reason::NoSignature {
                        hearing.beside.push(detail.clone());
                    } else {
                        let fault = Fault::new(*reason, format!("at `{place}` {detail}"));
                        hearing.faults.push((fault, Vec::new()));
                    }
                }
                Item::Found(raw) => hearing.examine(case, &candidates, raw),
            }
        }
        hearing
    }

    /// The fault that came closest to counting: the later the step, the closer.
    pub(super) fn closest_fault(&self) -> Option<&Fault> {
        self.faults.iter().map(|(fault, _)| fault).min_by_key(|fault| distance(fault.reason))
    }

    /// Why no signature of `authority` counts. One that no key verifies may be anybody's.
    pub(super) fn fault_of(&self, authority: &str) -> Reason {
        let of_it = |(_, names): &&(Fault, Vec<Arc<str>>)| {
            names.is_empty() || names.iter().any(|name| **name == *authority)
        };
        let reasons = self.faults.iter().filter(of_it).map(|(fault, _)| fault.reason);
        let unseen =
            self.failures.first().map_or(Reason::NoSignature, |(_, failure)| reason_of(failure));
        reasons.min_by_key(|reason| distance(*reason)).unwrap_or(unseen)
    }

    fn examine(&mut self, case: Case<'c>, candidates: &Candidates<'c>, raw: &RawSignature) {
        let mut signer = Signer::default();
        let vote = self.steps(case, candidates, raw, &mut signer);
        let remark = signer.remark.map(|remark| format!(" ({remark})")).unwrap_or_default();
        let detail = match &vote {
            Ok(_) => format!("the signature verifies{remark}"),
            Err(fault) if fault.reason == Reason::NoSignature => fault.detail.clone(),
            Err(fault) => format!("the signature {}{remark}", fault.detail),
        };
        self.findings.push(Finding {
            manifest: Some(raw.manifest),
            digest: Some(raw.digest),
            verified: vote.is_ok(),
            why_not: vote.as_ref().err().map(|fault| fault.reason),
            signer: signer.name.clone(),
            ..finding(&raw.place, raw.format, true, &detail)
        });
        match vote {
            Ok(vote) => Party::join(&mut self.parties, vote.party()),
            Err(fault) if fault.reason == Reason::NoSignature => self.beside.push(fault.detail),
            Err(fault) => self.faults.push((fault, signer.authorities)),
        }
    }

    /// The five steps.
    fn steps(
        &self,
        case: Case<'c>,
        candidates: &Candidates<'c>,
        raw: &RawSignature,
        signer: &mut Signer,
    ) -> Result<Vote<'c>, Fault> {
        let format = judged(raw.format).ok_or_else(|| {
            Fault::new(Reason::NoSignature, "a signature in a format that is not supported yet")
        })?;
        let parsed = format.parse(raw)?;
        signer.remark = candidates.remark(&parsed);
        let authentic = parsed.authenticate(candidates).map_err(|refused| {
            let (parsed, fault) = *refused;
            self.explained(case.policy, &parsed, fault, signer)
        })?;
        signer.name = Some(authentic.signer());
        signer.authorities = authentic.authorities();
        authentic.at(case.now)?.bind(case.digest)?.authorize(case.policy, case.rule, case.image)
    }

    /// `fault`, or who it was if the policy knows the stranger that signed.
    fn explained(
        &self,
        policy: &Policy,
        parsed: &Parsed,
        fault: Fault,
        signer: &mut Signer,
    ) -> Fault {
        if fault.reason != Reason::SignerNotTrusted || self.faults.len() >= MAX_EXPLAINED {
            return fault;
        }
        let Some(name) = parsed.known_to(policy) else { return fault };
        let detail = format!("is by {name}, whom the rule does not ask");
        signer.name = Some(name);
        Fault::new(Reason::SignerNotTrusted, detail)
    }
}

/// Who signed, as far as it is known, and what is to be said about it.
#[derive(Default)]
struct Signer {
    name: Option<String>,
    /// What came with the signature and was not verified.
    remark: Option<&'static str>,
    authorities: Vec<Arc<str>>,
}

pub(super) const fn reason_of(failure: &LookFailure) -> Reason {
    if failure.is_limit() { Reason::LimitReached } else { Reason::EvidenceUnreachable }
}

fn finding(place: &str, format: Format, found: bool, detail: &str) -> Finding {
    Finding {
        place: place.to_owned(),
        format,
        found,
        manifest: None,
        digest: None,
        verified: false,
        why_not: None,
        detail: detail.to_owned(),
        signer: None,
    }
}

/// Signatures by strangers for which all other keys of the policy are tried, to name the stranger.
const MAX_EXPLAINED: usize = 8;
