//! Hearing the evidence: every signature goes through the five steps, and what comes of it is noted.
//! Counting the votes comes after ([`super::verify`]).

use std::{sync::Arc, time::SystemTime};

use super::{
    Format, Reason,
    attestation::Testimony,
    evidence::{Evidence, Item, LookFailure, RawSignature},
    format::reader_of,
    policy::{Attestation, Policy, Rule},
    signer::Party,
    steps::{Candidates, Fault, Parsed, Vote, distance, shortened},
    tree::WhyNot,
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
    /// What does not count, and where it would.
    pub(super) refused: Vec<Refused>,
    /// Where nobody could look, or look closely enough.
    pub(super) failures: Vec<(&'c str, LookFailure)>,
    /// What is there beside signatures: formats that are not judged, attestations. In words that
    /// follow "only".
    pub(super) beside: Vec<String>,
}

/// Something that does not count.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) fault: Fault,
    /// Whose it would be; nobody's where that is not known.
    authorities: Vec<Arc<str>>,
    about: About,
}

/// What something would be if it counted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// Nobody knows.
    Anything,
    /// An attestation, for these requirements.
    Attestation(Vec<Arc<Attestation>>),
    Signature,
}

impl About {
    const fn noun(&self) -> &'static str {
        match self {
            Self::Anything | Self::Signature => "signature",
            Self::Attestation(_) => "attestation",
        }
    }

    /// Whether it could fill a place of `attestation`, or of a signature.
    fn fits(&self, attestation: Option<&Arc<Attestation>>) -> bool {
        match self {
            Self::Anything => true,
            Self::Attestation(wanted) => attestation.is_some_and(|one| wanted.contains(one)),
            Self::Signature => attestation.is_none(),
        }
    }
}

impl Refused {
    /// What it is, for people.
    pub(super) const fn noun(&self) -> &'static str {
        self.about.noun()
    }
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
                    hearing.failures.push((place, failure.clone()));
                }
                Item::Ignored { place, format, manifest, reason, detail } => {
                    let found = finding(place, *format, true, detail);
                    let why_not = Some(*reason);
                    hearing.findings.push(Finding { manifest: Some(*manifest), why_not, ..found });
                    if *reason == Reason::NoSignature {
                        hearing.beside.push(detail.clone());
                    } else {
                        let fault = Fault::new(*reason, format!("at `{place}` {detail}"));
                        let (authorities, about) = (Vec::new(), About::Anything);
                        hearing.refused.push(Refused { fault, authorities, about });
                    }
                }
                Item::Found(raw) => hearing.examine(case, &candidates, raw),
            }
        }
        hearing
    }

    /// What came closest to counting: the later the step, the closer.
    pub(super) fn closest(&self) -> Option<&Refused> {
        self.refused.iter().min_by_key(|refused| distance(refused.fault.reason))
    }

    /// Whether an attestation that counts otherwise does not say what it has to.
    pub(super) fn is_contradicted(&self) -> bool {
        self.refused.iter().any(|refused| refused.fault.reason == Reason::ConditionFalse)
    }

    /// Why nothing by `authority` counts as what `attestation` requires, or as a signature, with words
    /// for an attestation. What no key verifies may be anybody's.
    pub(super) fn fault_of(
        &self,
        authority: &str,
        attestation: Option<&Arc<Attestation>>,
    ) -> WhyNot {
        let of_it = |refused: &&Refused| {
            let names = &refused.authorities;
            refused.about.fits(attestation)
                && (names.is_empty() || names.iter().any(|name| **name == *authority))
        };
        let closest =
            self.refused.iter().filter(of_it).min_by_key(|one| distance(one.fault.reason));
        match closest {
            Some(refused) => {
                let words =
                    attestation.map(|_| format!("the {} {}", refused.noun(), refused.fault.detail));
                (refused.fault.reason, words)
            }
            None => {
                let failure = self.failures.first().map(|(_, failure)| reason_of(failure));
                (failure.unwrap_or(Reason::NoSignature), None)
            }
        }
    }

    fn examine(&mut self, case: Case<'c>, candidates: &Candidates<'c>, raw: &'c RawSignature) {
        let mut signer = Signer::default();
        let vote = self.steps(case, candidates, raw, &mut signer);
        let end = vote.and_then(|vote| self.count(case, raw, &vote, &mut signer));
        let noun = signer.about.noun();
        let noted = signer.noted.iter().map(|noted| format!(" (noted only: the {noun} {noted})"));
        let remark = signer.remark.map(|remark| format!(" ({remark})"));
        let remark: String = remark.into_iter().chain(noted).collect();
        let detail = match &end {
            Ok(()) => format!("the {noun} verifies{remark}"),
            Err(fault) if fault.reason == Reason::NoSignature => fault.detail.clone(),
            Err(fault) => format!("the {noun} {}{remark}", fault.detail),
        };
        self.findings.push(Finding {
            manifest: Some(raw.manifest),
            digest: Some(raw.digest),
            verified: end.is_ok(),
            why_not: end.as_ref().err().map(|fault| fault.reason),
            signer: signer.name,
            ..finding(&raw.place, raw.format, true, &detail)
        });
        match end {
            Ok(()) => {}
            Err(fault) if fault.reason == Reason::NoSignature => self.beside.push(fault.detail),
            Err(fault) => {
                let (authorities, about) = (signer.authorities, signer.about);
                self.refused.push(Refused { fault, authorities, about });
            }
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
        let format = reader_of(raw.format, &raw.media_type).ok_or_else(|| {
            Fault::new(Reason::NoSignature, "a signature in a format that is not supported yet")
        })?;
        let parsed = format.parse(raw)?;
        signer.remark = candidates.remark(&parsed);
        signer.about = about(case.rule, parsed.predicate_type.as_deref())?;
        let authentic = parsed.authenticate(candidates).map_err(|refused| {
            let (parsed, fault) = *refused;
            self.explained(case.policy, &parsed, fault, signer)
        })?;
        signer.name = Some(authentic.signer());
        signer.authorities = authentic.authorities();
        let timely = authentic.at(case.now)?;
        signer.noted = timely.noted().to_vec();
        timely.bind(case.digest)?.authorize(case.policy, case.rule, case.image)
    }

    /// Counts `vote`, found in `raw`.
    ///
    /// # Errors
    /// When it is an attestation that meets nothing.
    fn count(
        &mut self,
        case: Case<'c>,
        raw: &'c RawSignature,
        vote: &Vote<'c>,
        signer: &mut Signer,
    ) -> Result<(), Fault> {
        let (Some(statement), About::Attestation(wanted)) = (vote.statement(), &signer.about)
        else {
            Party::join(&mut self.parties, vote.party());
            return Ok(());
        };
        let asked: Vec<_> =
            wanted.iter().filter(|one| vote.is_by_any(&one.by.authorities())).cloned().collect();
        if asked.is_empty() {
            let detail = "is by somebody whom the rule does not ask for it";
            return Err(Fault::new(Reason::SignerNotTrusted, detail));
        }
        let Case { image, digest, now, .. } = case;
        let testimony = Testimony::of(statement, &asked, image, digest, now);
        if testimony.too_costly {
            let failure = LookFailure::new("a `where` costs more than is ever spent on one", true);
            self.failures.push((&raw.place, failure));
        }
        let fault =
            |why: &str| Fault::new(Reason::ConditionFalse, format!("does not count: {why}"));
        let is_met = !testimony.met.is_empty();
        let mut unmet = testimony.unmet.into_iter();
        let first = if is_met { None } else { unmet.next() };
        for (attestation, why) in unmet {
            let authorities = signer.authorities.clone();
            let about = About::Attestation(vec![attestation]);
            self.refused.push(Refused { fault: fault(&why), authorities, about });
        }
        if is_met {
            let party = vote.party().attesting(statement.digest, testimony.met);
            Party::join(&mut self.parties, party);
            return Ok(());
        }
        let Some((attestation, why)) = first else {
            return Err(Fault::new(Reason::LimitReached, "has more than a `where` can go through"));
        };
        signer.about = About::Attestation(vec![attestation]);
        Err(fault(&why))
    }

    /// `fault`, or who it was if the policy knows the stranger that signed.
    fn explained(
        &self,
        policy: &Policy,
        parsed: &Parsed,
        fault: Fault,
        signer: &mut Signer,
    ) -> Fault {
        if fault.reason != Reason::SignerNotTrusted || self.refused.len() >= MAX_EXPLAINED {
            return fault;
        }
        let Some(name) = parsed.known_to(policy) else { return fault };
        let detail = format!("is by {name}, whom the rule does not ask");
        signer.name = Some(name);
        Fault::new(Reason::SignerNotTrusted, detail)
    }
}

/// Who signed, as far as it is known, and what is to be said about it.
struct Signer {
    name: Option<String>,
    /// What it would be.
    about: About,
    /// What came with the signature and was not verified.
    remark: Option<&'static str>,
    /// What is wrong with it, and does not keep it from counting.
    noted: Vec<String>,
    authorities: Vec<Arc<str>>,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            name: None,
            about: About::Anything,
            remark: None,
            noted: Vec::new(),
            authorities: Vec::new(),
        }
    }
}

/// What a document that says it is of `predicate_type`, or a signature, is about under `rule`.
///
/// # Errors
/// When it is an attestation that the rule does not require.
fn about(rule: &Rule, predicate_type: Option<&str>) -> Result<About, Fault> {
    let Some(kind) = predicate_type else { return Ok(About::Signature) };
    let wanted: Vec<_> = rule
        .require
        .attestations()
        .into_iter()
        .filter(|attestation| attestation.kind.matches(kind))
        .cloned()
        .collect();
    if wanted.is_empty() {
        let detail = format!("an attestation of type `{}`", shortened(kind));
        return Err(Fault::new(Reason::NoSignature, detail));
    }
    Ok(About::Attestation(wanted))
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
