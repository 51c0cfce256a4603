//! Signers that are known by a certificate which leads into a Notation trust store.
//!
//! The envelope brings its whole chain, so its bytes are authentic or not whoever asks. Whom that
//! concerns is asked of each authority by itself: one chain may be trusted by several, each with
//! identities, a level and revocation lists of its own.

use std::{sync::Arc, time::SystemTime};

use super::Fault;
use crate::{
    oci::Digest,
    trust::{
        Reason,
        notation::{Envelope, NotationTrust, Signature},
        policy::{Authority, Kind, Policy, Rule},
        signer::{Material, Signer, Voice},
    },
};

/// A Notation authority that a rule asks.
#[derive(Debug)]
pub(super) struct NotationCandidate<'p> {
    authority: &'p Authority,
    trust: &'p NotationTrust,
}

impl<'p> NotationCandidate<'p> {
    /// The Notation authorities that `rule` asks.
    pub(super) fn all(policy: &'p Policy, rule: &Rule) -> Vec<Self> {
        let asked = rule.require.authorities();
        let of_rule = policy.authorities().iter().filter(|it| asked.contains(&&it.name));
        let candidate = |authority: &'p Authority| match &authority.kind {
            Kind::Notation(trust) => Some(Self { authority, trust: &**trust }),
            _ => None,
        };
        of_rule.filter_map(candidate).collect()
    }
}

/// Who made a signature, and who trusts the certificate.
#[derive(Debug)]
pub(super) struct NotationAuthor<'c, 'p> {
    signature: Signature,
    trusted_by: Vec<&'c NotationCandidate<'p>>,
}

/// Who made the signature in `envelope`.
///
/// # Errors
/// When its certificate did not make it, or none of `candidates` trusts that.
pub(super) fn author_of<'c, 'p>(
    envelope: &Envelope,
    candidates: &'c [NotationCandidate<'p>],
) -> Result<NotationAuthor<'c, 'p>, Fault> {
    let signature = Signature::authenticate(envelope)
        .map_err(|error| Fault::invalid(format!("is not whole: {error}")))?;
    let mut trusted_by = Vec::new();
    let mut first_fault = None;
    for candidate in candidates {
        match signature.check_authenticity(candidate.trust) {
            Ok(()) => trusted_by.push(candidate),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    if trusted_by.is_empty() {
        let nobody = || {
            let signer = signature.signer();
            let detail = format!("is by {signer}, and the rule asks nobody who signs with Notation");
            Fault::new(Reason::SignerNotTrusted, detail)
        };
        return Err(first_fault.unwrap_or_else(nobody));
    }
    Ok(NotationAuthor { signature, trusted_by })
}

impl<'p> NotationAuthor<'_, 'p> {
    /// Whose certificate signed.
    pub(super) fn name(&self) -> String {
        let names: Vec<_> = self.trusted_by.iter().map(|it| &*it.authority.name).collect();
        format!("{} ({})", names.join(", "), self.signature.signer())
    }

    /// The authorities that trust it.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        self.trusted_by.iter().map(|candidate| candidate.authority.name.clone()).collect()
    }

    /// For whom the signature counts at `now`. What is only noted about it goes to `noted`.
    ///
    /// # Errors
    /// When for nobody; why not for the first of those who trust the certificate.
    pub(super) fn at(
        &self,
        now: SystemTime,
        noted: &mut Vec<String>,
    ) -> Result<(Signer, Vec<Voice<'p>>), Fault> {
        let mut voices = Vec::new();
        let mut first_fault = None;
        for NotationCandidate { authority, trust } in &self.trusted_by {
            match self.signature.standing(trust, now) {
                Ok(standing) => {
                    noted.extend(standing.noted);
                    voices.push(Voice { authority, until: standing.until });
                }
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        match first_fault {
            Some(fault) if voices.is_empty() => Err(fault),
            _ => Ok((self.signer(), voices)),
        }
    }

    fn signer(&self) -> Signer {
        let key = *self.signature.key();
        let material = [
            Material::Key(key),
            Material::Signature(Digest::of(self.signature.bytes())),
            Material::Subject(Digest::of(self.signature.subject())),
        ];
        Signer { name: self.name(), key, material: material.into() }
    }
}
