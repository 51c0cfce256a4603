//! The five steps from bytes to a vote, as types.
//!
//! | step | gives | afterwards it is known that |
//! | --- | --- | --- |
//! | parse, bounded | [`Parsed`] | it has the form of a signature; nothing in it is true yet |
//! | authenticate the bytes | [`Authentic`] | a key of the rule signed exactly these bytes |
//! | authenticate the key at a time | [`Timely`] | that key speaks for somebody now |
//! | bind | [`Bound`] | the bytes speak of the manifest that is judged |
//! | authorize | [`Vote`] | whom it speaks for may vouch for this repository, and meant it |
//!
//! Each type can be made from the one before and from nothing else, so no wire format can leave a step
//! out. A format does the first step and says how to read its claim; the other four are here, once.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::{
    Reason,
    json::Malformed,
    keys::looks_like_a_signature,
    log::LogEntry,
    named::Named,
    policy::{Grant, Policy, Rule, SignedAs, TrustedKey},
    words::listed,
};
use crate::oci::{Digest, ImageName};

/// What was read from a signature of any format.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The exact bytes that were signed.
    pub(super) message: Bytes,
    pub(super) signature: Vec<u8>,
    /// The log entries that came along.
    pub(super) entries: Vec<LogEntry>,
    /// What came along and cannot be verified.
    pub(super) remark: Option<&'static str>,
    /// How to read what the signer says. Called on authentic bytes.
    pub(super) claim: fn(&[u8]) -> Result<Claim, Malformed>,
}

/// What a signer says.
#[derive(Debug)]
pub(super) struct Claim {
    /// The manifests that were signed; there is at least one.
    pub(super) digests: Vec<Digest>,
    /// Which repository was meant, in formats that say so.
    pub(super) reference: Option<String>,
}

/// A key that a rule asks, with those of its grants that the rule is about.
#[derive(Debug)]
pub(super) struct Candidate<'p> {
    pub(super) key: &'p TrustedKey,
    pub(super) grants: Vec<&'p Grant>,
}

impl<'p> Candidate<'p> {
    /// The keys of the authorities that `rule` asks.
    pub(super) fn all(policy: &'p Policy, rule: &Rule) -> Vec<Self> {
        let asked = rule.require.authorities();
        let grants = |key: &'p TrustedKey| -> Vec<&'p Grant> {
            key.grants.iter().filter(|grant| asked.contains(&&grant.authority)).collect()
        };
        let candidates = policy.keys().iter().map(|key| Self { key, grants: grants(key) });
        candidates.filter(|candidate| !candidate.grants.is_empty()).collect()
    }
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// In words: what follows "the signature".
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Reason::SignatureInvalid, detail)
    }
}

/// A signature whose bytes a key of the rule has signed.
#[derive(Debug)]
pub(super) struct Authentic<'c, 'p> {
    parsed: Parsed,
    candidate: &'c Candidate<'p>,
}

/// An authentic signature by a key whose window is open.
#[derive(Debug)]
pub(super) struct Timely<'p> {
    parsed: Parsed,
    key: &'p TrustedKey,
    grants: Vec<&'p Grant>,
}

/// A timely signature of the manifest that is judged.
#[derive(Debug)]
pub(super) struct Bound<'p> {
    digest: Digest,
    reference: Option<String>,
    key: &'p TrustedKey,
    grants: Vec<&'p Grant>,
}

/// A signature that counts.
#[derive(Clone, Debug)]
pub(super) struct Vote<'p> {
    key: &'p TrustedKey,
    grants: Vec<&'p Grant>,
}

impl Parsed {
    /// Step 2: finds the key that signed the bytes.
    ///
    /// # Errors
    /// When none of `candidates` did.
    pub(super) fn authenticate<'c, 'p>(
        self,
        candidates: &'c [Candidate<'p>],
    ) -> Result<Authentic<'c, 'p>, Box<(Self, Fault)>> {
        // Somebody may craft a second key that fits the same signature: it counts for the first only.
        let signed =
            |candidate: &&Candidate<'_>| candidate.key.key.verifies(&self.message, &self.signature);
        let Some(candidate) = candidates.iter().find(signed) else {
            let fault = self.refusal(candidates);
            return Err(Box::new((self, fault)));
        };
        if self.entries.iter().any(|entry| !entry.names(&candidate.key.key)) {
            let fault = Fault::invalid("comes with a log entry about another key");
            return Err(Box::new((self, fault)));
        }
        Ok(Authentic { parsed: self, candidate })
    }

    /// Whether `key` signed the bytes: to tell who it was when it was nobody who is asked.
    pub(super) fn is_by(&self, key: &TrustedKey) -> bool {
        key.key.verifies(&self.message, &self.signature)
    }

    /// What can be said about bytes that no key has signed. They are not authentic, so this explains
    /// and decides nothing.
    fn refusal(&self, candidates: &[Candidate<'_>]) -> Fault {
        let logged = candidates
            .iter()
            .find(|candidate| self.entries.iter().any(|entry| entry.names(&candidate.key.key)));
        if let Some(candidate) = logged {
            let names = names_of(&candidate.grants);
            return Fault::invalid(format!(
                "is logged for the key of {names}, which does not verify it"
            ));
        }
        if !looks_like_a_signature(&self.signature) {
            return Fault::invalid("is not the signature of any kind of key");
        }
        match (self.claim)(&self.message) {
            Ok(_) => Fault::new(
                Reason::SignerNotTrusted,
                "verifies under none of the keys that the rule asks",
            ),
            Err(error) => Fault::invalid(format!("is over a malformed payload: {error}")),
        }
    }
}

impl<'p> Authentic<'_, 'p> {
    /// Who signed: authorities and fingerprint.
    pub(super) fn signer(&self) -> String {
        signer_of(self.candidate.key)
    }

    /// The authorities whose signature it would be.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        self.candidate.grants.iter().map(|grant| grant.authority.clone()).collect()
    }

    /// Step 3: whom the key speaks for at `now`. There is no verified time of signing without a log
    /// or a timestamp, so a key's window is held against the present.
    ///
    /// # Errors
    /// When every window is closed.
    pub(super) fn at(self, now: SystemTime) -> Result<Timely<'p>, Fault> {
        let grants = &self.candidate.grants;
        let open: Vec<_> =
            grants.iter().copied().filter(|grant| grant.window.contains(now)).collect();
        if open.is_empty() {
            let windows: Vec<_> = grants.iter().map(|grant| grant.window.to_string()).collect();
            let detail = format!(
                "is by a key of {} that is valid {} only",
                names_of(grants),
                windows.join(" or ")
            );
            return Err(Fault::new(Reason::TimeOutsideValidity, detail));
        }
        Ok(Timely { parsed: self.parsed, key: self.candidate.key, grants: open })
    }
}

impl<'p> Timely<'p> {
    /// Step 4: what the signer says is about `digest`.
    ///
    /// # Errors
    /// When it is about another manifest, or says nothing.
    pub(super) fn bind(self, digest: &Digest) -> Result<Bound<'p>, Fault> {
        let claim = (self.parsed.claim)(&self.parsed.message)
            .map_err(|error| Fault::invalid(format!("is over a malformed payload: {error}")))?;
        if !claim.digests.contains(digest) {
            let names = names_of(&self.grants);
            let signed = claim.digests.first().map(Digest::to_string).unwrap_or_default();
            let more = if claim.digests.len() > 1 { " and others" } else { "" };
            let detail = format!("by {names} is for {signed}{more}, another manifest");
            return Err(Fault::new(Reason::DigestMismatch, detail));
        }
        let reference = claim.reference;
        Ok(Bound { digest: *digest, reference, key: self.key, grants: self.grants })
    }
}

impl<'p> Bound<'p> {
    /// Step 5: whom the key speaks for may vouch for `image`, and the signer meant that repository.
    ///
    /// # Errors
    /// When the key is denied, may not vouch here, or another repository was meant.
    pub(super) fn authorize(
        self,
        policy: &Policy,
        rule: &Rule,
        image: &ImageName,
    ) -> Result<Vote<'p>, Fault> {
        let names = names_of(&self.grants);
        if let Some(denial) = policy.denial_of_key(self.key.key.fingerprint()) {
            let why = denial.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let detail = format!("is by a key of {names} that is on the deny list{why}");
            return Err(Fault::new(Reason::DenyList, detail));
        }
        self.check_name(policy, rule, image, &names)?;
        let may = |grant: &&Grant| {
            policy
                .authority(&grant.authority)
                .is_some_and(|authority| authority.may_vouch_for(image))
        };
        let grants: Vec<_> = self.grants.into_iter().filter(may).collect();
        if grants.is_empty() {
            let detail =
                format!("is by {names}, who may not vouch for `{image}`: see `repositories`");
            return Err(Fault::new(Reason::SignerNotTrusted, detail));
        }
        Ok(Vote { key: self.key, grants })
    }

    fn check_name(
        &self,
        policy: &Policy,
        rule: &Rule,
        image: &ImageName,
        names: &str,
    ) -> Result<(), Fault> {
        let Some(reference) = &self.reference else { return Ok(()) };
        let named = Named::parse(reference, policy.table());
        if named.as_ref().and_then(|named| named.digest).is_some_and(|digest| digest != self.digest)
        {
            let detail = format!("by {names} names another digest: `{}`", shortened(reference));
            return Err(Fault::new(Reason::DigestMismatch, detail));
        }
        let right = match &rule.signed_as {
            SignedAs::Any => true,
            SignedAs::Match => named.is_some_and(|named| named.image == *image),
            SignedAs::Pattern(pattern) => named.is_some_and(|named| pattern.matches(&named.image)),
        };
        if right {
            return Ok(());
        }
        let wanted = match &rule.signed_as {
            SignedAs::Pattern(pattern) => pattern.to_string(),
            SignedAs::Any | SignedAs::Match => image.to_string(),
        };
        let detail =
            format!("by {names} was made for `{}`, not for `{wanted}`", shortened(reference));
        Err(Fault::new(Reason::NameMismatch, detail))
    }
}

impl<'p> Vote<'p> {
    /// Who signed: authorities and fingerprint.
    pub(super) fn signer(&self) -> String {
        signer_of(self.key)
    }

    /// For whom it counts.
    pub(super) fn grants(&self) -> &[&'p Grant] {
        &self.grants
    }
}

/// Authorities and fingerprint, as findings and records name a signer.
pub(super) fn signer_of(key: &TrustedKey) -> String {
    let names: Vec<_> = key.grants.iter().map(|grant| &*grant.authority).collect();
    format!("{} ({})", names.join(", "), key.key.fingerprint())
}

fn names_of(grants: &[&Grant]) -> String {
    let names: Vec<Arc<str>> = grants.iter().map(|grant| grant.authority.clone()).collect();
    listed(&names)
}

/// A stranger's text, short enough for a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    let short: String = text.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
    if text.chars().count() > MOST { format!("{short}...") } else { short }
}
