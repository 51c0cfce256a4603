//! Signers that are known by a certificate which leads into a Notation trust store.
//!
//! The envelope brings its whole chain, so its bytes are authentic or not whoever asks. Whom that
//! concerns is asked of each authority by itself: one chain may be trusted by several, each with
//! identities, a level and revocation lists of its own.

use std::{sync::Arc, time::SystemTime};

use super::{Fault, Parsed};
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
    /// Those of `policy`.
    fn all(policy: &'p Policy) -> impl Iterator<Item = Self> {
        policy.authorities().iter().filter_map(|authority| match &authority.kind {
            Kind::Notation(trust) => Some(Self { authority, trust }),
            Kind::Keys(_) | Kind::Keyless(_) => None,
        })
    }

    /// Those that `rule` asks.
    pub(super) fn asked(policy: &'p Policy, rule: &Rule) -> Vec<Self> {
        let asked = rule.require.authorities();
        Self::all(policy).filter(|one| asked.contains(&&one.authority.name)).collect()
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
            let detail =
                format!("is by {signer}, and the rule asks nobody who signs with Notation");
            Fault::new(Reason::SignerNotTrusted, detail)
        };
        return Err(first_fault.unwrap_or_else(nobody));
    }
    Ok(NotationAuthor { signature, trusted_by })
}

/// Whom `policy` knows by the certificate in `envelope`.
pub(super) fn known(policy: &Policy, envelope: &Envelope) -> Option<String> {
    let everybody: Vec<_> = NotationCandidate::all(policy).collect();
    author_of(envelope, &everybody).ok().map(|author| author.name())
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
        parsed: &Parsed,
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
            _ => Ok((self.signer(parsed), voices)),
        }
    }

    fn signer(&self, parsed: &Parsed) -> Signer {
        let key = *self.signature.key();
        let mut material = parsed.material(key);
        material.insert(Material::Identity(Digest::of(self.signature.subject()).to_string()));
        Signer { name: self.name(), key, material }
    }
}
