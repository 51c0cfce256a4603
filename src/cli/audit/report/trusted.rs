//! The policy of now, held against what was decided before.
//!
//! This compares names and fingerprints; it judges nothing. `portcullis recheck` judges again.

use std::time::{Duration, SystemTime};

use super::summary::Expiring;
use crate::{
    audit::DecisionRecord,
    oci::ImageName,
    timestamp::Timestamp,
    trust::{Authority, Denied, Finding, Policy},
};

/// Whose signatures counted for `record`: authorities and fingerprint.
pub(super) fn signers(record: &DecisionRecord) -> Vec<String> {
    let findings = record.evidence.iter().filter_map(|finding| {
        // What a later version wrote in words of its own names nobody here.
        serde_json::from_value::<Finding>(finding.clone()).ok()
    });
    let mut signers: Vec<_> =
        findings.filter(|finding| finding.verified).filter_map(|finding| finding.signer).collect();
    signers.sort_unstable();
    signers.dedup();
    signers
}

/// Why `policy` would not admit for the reasons of `record`; `None` when nothing speaks against it.
pub(super) fn objection(policy: &Policy, record: &DecisionRecord) -> Option<String> {
    let image = ImageName {
        upstream: record.upstream.parse().ok()?,
        repository: record.repository.parse().ok()?,
    };
    for denial in policy.denials() {
        let denied = match &denial.what {
            Denied::Digest(digest) => record.digest == Some(*digest),
            Denied::Match(patterns) => patterns.iter().any(|pattern| pattern.matches(&image)),
            Denied::Key(key) => {
                signers(record).iter().any(|signer| signer.contains(&key.to_string()))
            }
        };
        if denied {
            let reason = denial.reason.as_deref().unwrap_or("no reason given");
            return Some(format!("on the deny list ({}): {reason}", denial.what));
        }
    }
    if policy.covering(&image).is_none() {
        return Some("no rule covers the repository any more".to_owned());
    }
    let signers = signers(record);
    let is_known =
        |signer: &String| policy.authorities().iter().any(|authority| is_of(authority, signer));
    (!signers.is_empty() && !signers.iter().any(is_known))
        .then(|| format!("signed by nobody whom the policy knows now: {}", signers.join("; ")))
}

/// Whether `signer`, as records name it, is one of `authority` still.
fn is_of(authority: &Authority, signer: &str) -> bool {
    let names = signer.split_once(" (").map_or(signer, |(names, _)| names);
    let mut keys = authority.keys().iter();
    names.split(", ").any(|name| name == &*authority.name)
        && (authority.keys().is_empty()
            || keys.any(|key| signer.contains(&key.key.fingerprint().to_string())))
}

/// What ends within [`SOON`] after `now`, or has ended, the first first.
pub(super) fn expiring(policy: &Policy, now: SystemTime) -> Vec<Expiring> {
    let trusted = policy.all_endings().into_iter().map(|ending| (ending.what, ending.at));
    let exceptions = policy.exceptions().iter().map(|exception| {
        (format!("exception for {}: {}", exception.digest, exception.reason), exception.until)
    });
    let mut expiring: Vec<_> = trusted
        .chain(exceptions)
        .filter(|(_, until)| until.duration_since(now).unwrap_or_default() < SOON)
        .map(|(what, until)| Expiring { what, until: Timestamp(until), ended: until <= now })
        .collect();
    expiring.sort_by_key(|expiring| expiring.until);
    expiring
}

/// How long before its end trust is in the report: time enough to have a key replaced everywhere.
const SOON: Duration = Duration::from_secs(90 * 86_400);
