//! The five steps from bytes to a vote, as types.
//!
//! | step | gives | afterwards it is known that |
//! | --- | --- | --- |
//! | parse, bounded | [`Parsed`] | it has the form of a signature; nothing in it is true yet |
//! | authenticate the bytes | [`Authentic`] | whoever it names signed exactly these bytes |
//! | authenticate the signer at a time | [`Timely`] | that signer speaks for authorities of the rule |
//! | bind | [`Bound`] | the bytes speak of the manifest that is judged |
//! | authorize | [`Vote`] | whom it speaks for may vouch for this repository, and meant it |
//!
//! Each type can be made from the one before and from nothing else, so no wire format can leave a step
//! out. A format does the first step and says how to read its claim. The second and third differ by
//! what a signer is known by, and have a file for each ([`key`]); the last two are here, once.

mod key;

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use self::key::KeyCandidate;
use super::{
    Reason,
    attestation::statement::Statement,
    json::Malformed,
    log::LogEntry,
    named::Named,
    policy::{Policy, Rule, SignedAs, TrustedKey},
    signer::{Party, Signer, Voice, names_of},
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
    /// The type of attestation that it says it is; `None` for a signature. A hint until it is read again
    /// from authentic bytes.
    pub(super) predicate_type: Option<String>,
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
    /// What else is said about the manifests; `None` for a signature.
    pub(super) statement: Option<Statement>,
}

/// Whom a rule asks, by what they are known by.
#[derive(Debug)]
pub(super) struct Candidates<'p> {
    keys: Vec<KeyCandidate<'p>>,
}

impl<'p> Candidates<'p> {
    /// Those that `rule` asks.
    pub(super) fn of(policy: &'p Policy, rule: &Rule) -> Self {
        Self { keys: KeyCandidate::all(policy, rule) }
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

/// A signature whose bytes a signer of a known kind has signed.
#[derive(Debug)]
pub(super) struct Authentic<'c, 'p> {
    parsed: Parsed,
    author: Author<'c, 'p>,
}

/// By what the signer is known.
#[derive(Debug)]
enum Author<'c, 'p> {
    Key(&'c KeyCandidate<'p>),
}

/// An authentic signature by somebody who speaks for authorities of the rule.
#[derive(Debug)]
pub(super) struct Timely<'p> {
    parsed: Parsed,
    signer: Signer,
    voices: Vec<Voice<'p>>,
}

/// A timely signature of the manifest that is judged.
#[derive(Debug)]
pub(super) struct Bound<'p> {
    digest: Digest,
    reference: Option<String>,
    statement: Option<Statement>,
    signer: Signer,
    voices: Vec<Voice<'p>>,
}

/// A signature that counts.
#[derive(Debug)]
pub(super) struct Vote<'p> {
    statement: Option<Statement>,
    signer: Signer,
    voices: Vec<Voice<'p>>,
}

impl Parsed {
    /// Step 2: finds who signed the bytes.
    ///
    /// # Errors
    /// When none of `candidates` did.
    pub(super) fn authenticate<'c, 'p>(
        self,
        candidates: &'c Candidates<'p>,
    ) -> Result<Authentic<'c, 'p>, Box<(Self, Fault)>> {
        match key::author_of(&self, &candidates.keys) {
            Ok(candidate) => Ok(Authentic { parsed: self, author: Author::Key(candidate) }),
            Err(fault) => Err(Box::new((self, fault))),
        }
    }

    /// Whether `key` signed the bytes: to tell who it was when it was nobody who is asked.
    pub(super) fn is_by(&self, key: &TrustedKey) -> bool {
        key.key.verifies(&self.message, &self.signature)
    }
}

impl<'p> Authentic<'_, 'p> {
    /// What the signer is called.
    pub(super) fn signer(&self) -> String {
        match &self.author {
            Author::Key(candidate) => key::name_of(candidate.key),
        }
    }

    /// The authorities whose signature it would be.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        match &self.author {
            Author::Key(candidate) => candidate.authorities(),
        }
    }

    /// Step 3: for whom the signer speaks at `now`.
    ///
    /// # Errors
    /// When for nobody.
    pub(super) fn at(self, now: SystemTime) -> Result<Timely<'p>, Fault> {
        let (signer, voices) = match &self.author {
            Author::Key(candidate) => candidate.at(&self.parsed, now)?,
        };
        Ok(Timely { parsed: self.parsed, signer, voices })
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
            let names = names_of(&self.voices);
            let signed = claim.digests.first().map(Digest::to_string).unwrap_or_default();
            let more = if claim.digests.len() > 1 { " and others" } else { "" };
            let detail = format!("by {names} is for {signed}{more}, another manifest");
            return Err(Fault::new(Reason::DigestMismatch, detail));
        }
        let Claim { reference, statement, .. } = claim;
        let said = statement.as_ref().map(|statement| &statement.predicate_type);
        if said != self.parsed.predicate_type.as_ref() {
            return Err(Fault::invalid("says that it is of two types"));
        }
        Ok(Bound {
            digest: *digest,
            reference,
            statement,
            signer: self.signer,
            voices: self.voices,
        })
    }
}

impl<'p> Bound<'p> {
    /// Step 5: whom the signer speaks for may vouch for `image`, and that repository was meant.
    ///
    /// # Errors
    /// When the key is denied, nobody may vouch here, or another repository was meant.
    pub(super) fn authorize(
        self,
        policy: &Policy,
        rule: &Rule,
        image: &ImageName,
    ) -> Result<Vote<'p>, Fault> {
        let names = names_of(&self.voices);
        if let Some(denial) = policy.denial_of_key(&self.signer.key) {
            let why = denial.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            let detail = format!("is by a key of {names} that is on the deny list{why}");
            return Err(Fault::new(Reason::DenyList, detail));
        }
        self.check_name(policy, rule, image, &names)?;
        let may = |voice: &Voice<'_>| voice.authority.may_vouch_for(image);
        let voices: Vec<_> = self.voices.into_iter().filter(may).collect();
        if voices.is_empty() {
            let detail =
                format!("is by {names}, who may not vouch for `{image}`: see `repositories`");
            return Err(Fault::new(Reason::SignerNotTrusted, detail));
        }
        Ok(Vote { statement: self.statement, signer: self.signer, voices })
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

impl Vote<'_> {
    /// Whose it is.
    pub(super) fn party(&self) -> Party {
        Party::new(&self.signer, &self.voices)
    }

    /// What it says beside that, if it is an attestation.
    pub(super) const fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// Whether it speaks for one of `authorities`.
    pub(super) fn is_by_any(&self, authorities: &[&Arc<str>]) -> bool {
        self.voices.iter().any(|voice| authorities.contains(&&voice.authority.name))
    }
}

/// A stranger's text, short enough for a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    let short: String = text.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
    if text.chars().count() > MOST { format!("{short}...") } else { short }
}

pub(super) use self::key::name_of as name_of_key;
