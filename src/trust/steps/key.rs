//! Signers that are known by a key, which the policy has (G-26): nothing that comes with a signature
//! says which key to trust.

use std::{sync::Arc, time::SystemTime};

use super::{Fault, Parsed};
use crate::{
    oci::Digest,
    trust::{
        Reason,
        keys::looks_like_a_signature,
        policy::{Authority, Policy, Rule, TrustedKey, Window},
        signer::{Material, Signer, Voice},
        words::listed,
    },
};

/// A key that a rule asks, with those of its authorities that the rule is about.
#[derive(Debug)]
pub(super) struct KeyCandidate<'p> {
    pub(super) key: &'p TrustedKey,
    /// The authorities, each with when the key speaks for it.
    speaks_for: Vec<(&'p Authority, Window)>,
}

impl<'p> KeyCandidate<'p> {
    /// The keys of the authorities that `rule` asks.
    pub(super) fn all(policy: &'p Policy, rule: &Rule) -> Vec<Self> {
        let asked = rule.require.authorities();
        let of_rule = |key: &'p TrustedKey| {
            let asked = key.speaks_for.iter().filter(|(name, _)| asked.contains(&name));
            asked.filter_map(|(name, window)| Some((policy.authority(name)?, *window))).collect()
        };
        let candidates = policy.keys().iter().map(|key| Self { key, speaks_for: of_rule(key) });
        candidates.filter(|candidate| !candidate.speaks_for.is_empty()).collect()
    }

    /// The authorities whose signature it would be.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        self.speaks_for.iter().map(|(authority, _)| authority.name.clone()).collect()
    }

    /// Whom the key speaks for at `now`. There is no verified time of signing without a log or a
    /// timestamp, so a key's window is held against the present.
    ///
    /// # Errors
    /// When every window is closed.
    pub(super) fn at(
        &self,
        parsed: &Parsed,
        now: SystemTime,
    ) -> Result<(Signer, Vec<Voice<'p>>), Fault> {
        let open = self.speaks_for.iter().filter(|(_, window)| window.contains(now));
        let voices: Vec<_> =
            open.map(|(authority, window)| Voice { authority, until: window.until }).collect();
        if voices.is_empty() {
            let windows: Vec<_> =
                self.speaks_for.iter().map(|(_, window)| window.to_string()).collect();
            let detail = format!(
                "is by a key of {} that is valid {} only",
                listed(&self.authorities()),
                windows.join(" or ")
            );
            return Err(Fault::new(Reason::TimeOutsideValidity, detail));
        }
        let key = *self.key.key.fingerprint();
        let material =
            [Material::Key(key), Material::Signature(Digest::of(&parsed.signature))].into();
        Ok((Signer { name: name_of(self.key), key, material }, voices))
    }
}

/// The candidate that signed.
///
/// # Errors
/// When none did.
pub(super) fn author_of<'c, 'p>(
    parsed: &Parsed,
    candidates: &'c [KeyCandidate<'p>],
) -> Result<&'c KeyCandidate<'p>, Fault> {
    // Somebody may craft a second key that fits the same signature: it counts for the first only.
    let signed = |candidate: &&KeyCandidate<'_>| parsed.is_by(candidate.key);
    let Some(candidate) = candidates.iter().find(signed) else {
        return Err(refusal(parsed, candidates));
    };
    if parsed.entries.iter().any(|entry| !entry.names(&candidate.key.key)) {
        return Err(Fault::invalid("comes with a log entry about another key"));
    }
    Ok(candidate)
}

/// What can be said about bytes that no key has signed. They are not authentic, so this explains and
/// decides nothing.
fn refusal(parsed: &Parsed, candidates: &[KeyCandidate<'_>]) -> Fault {
    let is_logged = |candidate: &&KeyCandidate<'_>| {
        parsed.entries.iter().any(|entry| entry.names(&candidate.key.key))
    };
    if let Some(candidate) = candidates.iter().find(is_logged) {
        let names = listed(&candidate.authorities());
        return Fault::invalid(format!(
            "is logged for the key of {names}, which does not verify it"
        ));
    }
    if !looks_like_a_signature(&parsed.signature) {
        return Fault::invalid("is not the signature of any kind of key");
    }
    match (parsed.claim)(&parsed.message) {
        Ok(_) => Fault::new(
            Reason::SignerNotTrusted,
            "verifies under none of the keys that the rule asks",
        ),
        Err(error) => Fault::invalid(format!("is over a malformed payload: {error}")),
    }
}

/// Authorities and fingerprint, as findings and records name a key.
pub(in crate::trust) fn name_of(key: &TrustedKey) -> String {
    let names: Vec<_> = key.speaks_for.iter().map(|(name, _)| &**name).collect();
    format!("{} ({})", names.join(", "), key.key.fingerprint())
}
