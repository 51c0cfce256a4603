//! What a report says, as numbers and names; `docs/json.md` describes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::trusted;
use crate::{
    audit::{Decided, DecisionRecord, Pulled},
    oci::Digest,
    timestamp::Timestamp,
    trust::Policy,
};

/// A report.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    pub(super) totals: Tally,
    /// By day, `2026-01-31`.
    pub(super) days: BTreeMap<String, Tally>,
    /// Decisions that did not admit, by reason.
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) repositories: BTreeMap<String, Tally>,
    /// By address.
    pub(super) clients: BTreeMap<String, Tally>,
    /// By the label that clients sent.
    pub(super) jobs: BTreeMap<String, Tally>,
    /// By whose signature counted.
    pub(super) signers: BTreeMap<String, Tally>,
    /// Images that were not admitted, by name.
    pub(super) refused: BTreeMap<String, Refused>,
    /// Images that were pulled and that the policy of now would not trust for the same reasons.
    pub(super) distrusted: Vec<Distrusted>,
    /// Trust that ends soon, or has ended.
    pub(super) expiring: Vec<Expiring>,
    /// Tags that meant more than one image, with what they meant, the newest first.
    pub(super) moved: BTreeMap<String, Vec<Meaning>>,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Manifests that were sent.
    pub(super) pulls: u64,
    /// Decisions that admitted.
    pub(super) admitted: u64,
    /// Decisions that refused.
    pub(super) denied: u64,
    /// Decisions that could not be made.
    pub(super) undecided: u64,
    /// Of `admitted`: what a rule let pass that does not enforce.
    pub(super) unenforced: u64,
}

/// Why an image was not admitted the last time, and how often.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) count: u64,
    pub(super) last: Timestamp,
    pub(super) outcome: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) next_step: String,
    pub(super) clients: BTreeSet<String>,
}

/// An image that was pulled by a trust that is gone.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Distrusted {
    pub(super) image: String,
    pub(super) digest: Option<Digest>,
    pub(super) why: String,
    pub(super) pulls: u64,
    pub(super) last_pull: Option<Timestamp>,
}

/// Trust with an end.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Expiring {
    pub(super) what: String,
    pub(super) until: Timestamp,
    pub(super) ended: bool,
}

/// What a tag meant.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Meaning {
    pub(super) digest: Digest,
    /// When it was first judged as that, in the time of the report.
    pub(super) since: Timestamp,
}

impl Summary {
    pub(super) fn new(since: Timestamp, until: Timestamp) -> Self {
        Self {
            since,
            until,
            totals: Tally::default(),
            days: BTreeMap::new(),
            reasons: BTreeMap::new(),
            repositories: BTreeMap::new(),
            clients: BTreeMap::new(),
            jobs: BTreeMap::new(),
            signers: BTreeMap::new(),
            refused: BTreeMap::new(),
            distrusted: Vec::new(),
            expiring: Vec::new(),
            moved: BTreeMap::new(),
        }
    }

    /// Adds a decision and its pulls; the newest decision comes first.
    pub(super) fn add(&mut self, decided: &Decided, policy: Option<&Policy>) {
        let record = &decided.record;
        if decided.is_recent {
            self.add_decision(record);
        }
        for pulled in &decided.pulls {
            self.add_pull(record, pulled);
        }
        let pulls: u64 = decided.pulls.iter().map(|pulled| pulled.count).sum();
        if pulls > 0
            && let Some(why) = policy.and_then(|policy| trusted::objection(policy, record))
        {
            self.distrusted.push(Distrusted {
                image: image_of(record),
                digest: record.digest,
                why,
                pulls,
                last_pull: decided.pulls.iter().map(|pulled| Timestamp(pulled.last)).max(),
            });
        }
    }

    fn add_decision(&mut self, record: &DecisionRecord) {
        let mut one = Tally::default();
        match record.outcome.as_str() {
            "admitted" => {
                one.admitted = 1;
                one.unenforced = u64::from(!record.enforced);
            }
            "denied" => one.denied = 1,
            _ => one.undecided = 1,
        }
        let job = record.client.job.as_deref();
        self.count(record, &record.client.address.to_string(), job, Timestamp(record.time), one);
        if record.outcome != "admitted" || !record.enforced {
            *self.reasons.entry(record.reason.clone()).or_default() += 1;
        }
        if record.outcome != "admitted" {
            self.refuse(record);
        }
        if let Some(digest) = record.digest.filter(|_| !record.reference.contains(':')) {
            let meanings = self.moved.entry(image_of(record)).or_default();
            match meanings.last_mut().filter(|last| last.digest == digest) {
                Some(last) => last.since = Timestamp(record.time),
                None => meanings.push(Meaning { digest, since: Timestamp(record.time) }),
            }
        }
    }

    fn add_pull(&mut self, record: &DecisionRecord, pulled: &Pulled) {
        let one = Tally { pulls: pulled.count, ..Tally::default() };
        let (address, job) = (pulled.client.address.to_string(), pulled.client.job.as_deref());
        self.count(record, &address, job, Timestamp(pulled.last), one);
    }

    fn count(
        &mut self,
        record: &DecisionRecord,
        address: &str,
        job: Option<&str>,
        time: Timestamp,
        one: Tally,
    ) {
        let day = time.to_string()[..DAY_LENGTH].to_owned();
        let repository = format!("{}/{}", record.upstream, record.repository);
        self.totals.add(one);
        self.days.entry(day).or_default().add(one);
        self.repositories.entry(repository).or_default().add(one);
        self.clients.entry(address.to_owned()).or_default().add(one);
        if let Some(job) = job {
            self.jobs.entry(job.to_owned()).or_default().add(one);
        }
        for signer in trusted::signers(record) {
            self.signers.entry(signer).or_default().add(one);
        }
    }

    fn refuse(&mut self, record: &DecisionRecord) {
        let refused = self.refused.entry(image_of(record)).or_insert_with(|| Refused {
            count: 0,
            last: Timestamp(record.time),
            outcome: record.outcome.clone(),
            reason: record.reason.clone(),
            message: record.message.clone(),
            next_step: record.next_step.clone(),
            clients: BTreeSet::new(),
        });
        refused.count += 1;
        if refused.clients.len() < MAX_CLIENTS {
            refused.clients.insert(record.client.address.to_string());
        }
    }

    /// Everything has been added.
    pub(super) fn finish(&mut self) {
        self.moved.retain(|_, meanings| meanings.len() > 1);
        self.distrusted.sort_by_key(|image| std::cmp::Reverse(image.pulls));
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.pulls += other.pulls;
        self.admitted += other.admitted;
        self.denied += other.denied;
        self.undecided += other.undecided;
        self.unenforced += other.unenforced;
    }

    /// Decisions that did not admit.
    pub(super) const fn refused(self) -> u64 {
        self.denied + self.undecided
    }
}

/// `docker.io/library/nginx:1.27`.
fn image_of(record: &DecisionRecord) -> String {
    let separator = if record.reference.contains(':') { '@' } else { ':' };
    format!("{}/{}{separator}{}", record.upstream, record.repository, record.reference)
}

/// `2026-01-31`.
const DAY_LENGTH: usize = 10;
/// Clients of a refused image that are named.
const MAX_CLIENTS: usize = 20;
