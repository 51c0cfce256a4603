//! Signers that are known by a key, which the policy has (G-26): nothing that comes with a signature
//! says which key to trust.

use std::{sync::Arc, time::SystemTime};

use super::{
    Fault, Parsed, heard,
    witness::{Testimony, Witnesses},
};
use crate::trust::{
    Reason,
    keys::looks_like_a_signature,
    policy::{Authority, Kind, Policy, Rule, TrustedKey, Window},
    signer::{Signer, Voice},
    words::listed,
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
    pub(super) fn asked(policy: &'p Policy, rule: &Rule) -> Vec<Self> {
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

    /// Whether anybody believes logs and timestamps about it.
    pub(super) fn has_trust_root(&self) -> bool {
        self.speaks_for.iter().any(|(authority, _)| {
            matches!(&authority.kind, Kind::Keys(keys) if keys.trust_root.is_some())
        })
    }

    /// Authorities and fingerprint, as findings and records name a key.
    pub(super) fn name(&self) -> String {
        name_of(self.key)
    }

    /// Whom the key speaks for at `now`. Its window is held against the present, and against every time
    /// at which a witness has seen the signature.
    ///
    /// # Errors
    /// When for nobody.
    pub(super) fn at(
        &self,
        parsed: &Parsed,
        now: SystemTime,
    ) -> Result<(Signer, Vec<Voice<'p>>), Fault> {
        let key = *self.key.key.fingerprint();
        let mut material = parsed.material(key);
        let mut testimony = Testimony::of(parsed);
        let mut voices = Vec::new();
        for (authority, window) in &self.speaks_for {
            let Kind::Keys(keys) = &authority.kind else { continue };
            let speaks = testimony.under(keys.trust_root.as_ref()).and_then(|witnesses| {
                witnesses.check(keys.log)?;
                check_window(authority, *window, witnesses, now)?;
                material.extend(witnesses.material());
                Ok(Voice { authority, until: window.until })
            });
            voices.push(speaks);
        }
        let voices = heard(voices)?;
        Ok((Signer { name: self.name(), key, material }, voices))
    }
}

/// The key of `authority` is valid now, and was whenever a witness has seen the signature (G-31).
fn check_window(
    authority: &Authority,
    window: Window,
    witnesses: &Witnesses,
    now: SystemTime,
) -> Result<(), Fault> {
    let name = &authority.name;
    let detail = if !window.contains(now) {
        format!("is by a key of `{name}` that is valid {window} only")
    } else if !witnesses.are_within(window) {
        format!("was made by a key of `{name}` when it was not valid: it is {window} only")
    } else {
        return Ok(());
    };
    Err(Fault::new(Reason::TimeOutsideValidity, detail))
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
    let signed = |candidate: &&KeyCandidate<'_>| has_signed(candidate.key, parsed);
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

/// The key of `policy` that signed.
pub(super) fn known(policy: &Policy, parsed: &Parsed) -> Option<String> {
    policy.keys().iter().find(|key| has_signed(key, parsed)).map(name_of)
}

fn has_signed(key: &TrustedKey, parsed: &Parsed) -> bool {
    key.key.verifies(&parsed.message, &parsed.signature)
}

fn name_of(key: &TrustedKey) -> String {
    let names: Vec<_> = key.speaks_for.iter().map(|(name, _)| &**name).collect();
    format!("{} ({})", names.join(", "), key.key.fingerprint())
}
