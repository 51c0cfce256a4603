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
mod notation;

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use self::{
    key::KeyCandidate,
    notation::{NotationAuthor, NotationCandidate},
};
use super::{
    Reason,
    json::Malformed,
    log::LogEntry,
    named::Named,
    notation::Envelope,
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
    /// What shows who signed.
    pub(super) proof: Proof,
    /// How to read what the signer says. Called on authentic bytes.
    pub(super) claim: fn(&[u8]) -> Result<Claim, Malformed>,
}

/// What shows who signed.
#[derive(Debug)]
pub(super) enum Proof {
    /// A key that the policy has; nothing that comes along says which.
    Key,
    /// An envelope with the signer's chain of certificates.
    Notation(Box<Envelope>),
}

/// What a signer says.
#[derive(Debug)]
pub(super) struct Claim {
    /// The manifests that were signed; there is at least one.
    pub(super) digests: Vec<Digest>,
    /// Which repository was meant, in formats that say so.
    pub(super) reference: Option<String>,
}

/// Whom a rule asks, by what they are known by.
#[derive(Debug)]
pub(super) struct Candidates<'p> {
    keys: Vec<KeyCandidate<'p>>,
    notation: Vec<NotationCandidate<'p>>,
}

impl<'p> Candidates<'p> {
    /// Those that `rule` asks.
    pub(super) fn of(policy: &'p Policy, rule: &Rule) -> Self {
        let notation = NotationCandidate::all(policy, rule);
        Self { keys: KeyCandidate::all(policy, rule), notation }
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
    Notation(NotationAuthor<'c, 'p>),
}

/// An authentic signature by somebody who speaks for authorities of the rule.
#[derive(Debug)]
pub(super) struct Timely<'p> {
    parsed: Parsed,
    signer: Signer,
    voices: Vec<Voice<'p>>,
    /// Checks that failed and that whom it speaks for only notes.
    noted: Vec<String>,
}

/// A timely signature of the manifest that is judged.
#[derive(Debug)]
pub(super) struct Bound<'p> {
    digest: Digest,
    reference: Option<String>,
    signer: Signer,
    voices: Vec<Voice<'p>>,
}

/// A signature that counts.
#[derive(Clone, Debug)]
pub(super) struct Vote<'p> {
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
        let author = match &self.proof {
            Proof::Key => key::author_of(&self, &candidates.keys).map(Author::Key),
            Proof::Notation(envelope) => {
                notation::author_of(envelope, &candidates.notation).map(Author::Notation)
            }
        };
        match author {
            Ok(author) => Ok(Authentic { parsed: self, author }),
            Err(fault) => Err(Box::new((self, fault))),
        }
    }

    /// Whether `key` signed the bytes: to tell who it was when it was nobody who is asked.
    pub(super) fn is_by(&self, key: &TrustedKey) -> bool {
        matches!(self.proof, Proof::Key) && key.key.verifies(&self.message, &self.signature)
    }
}

impl<'p> Authentic<'_, 'p> {
    /// What the signer is called.
    pub(super) fn signer(&self) -> String {
        match &self.author {
            Author::Key(candidate) => key::name_of(candidate.key),
            Author::Notation(author) => author.name(),
        }
    }

    /// The authorities whose signature it would be.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        match &self.author {
            Author::Key(candidate) => candidate.authorities(),
            Author::Notation(author) => author.authorities(),
        }
    }

    /// Step 3: for whom the signer speaks at `now`.
    ///
    /// # Errors
    /// When for nobody.
    pub(super) fn at(self, now: SystemTime) -> Result<Timely<'p>, Fault> {
        let mut noted = Vec::new();
        let (signer, voices) = match &self.author {
            Author::Key(candidate) => candidate.at(&self.parsed, now)?,
            Author::Notation(author) => author.at(now, &mut noted)?,
        };
        Ok(Timely { parsed: self.parsed, signer, voices, noted })
    }
}

impl<'p> Timely<'p> {
    /// What is wrong with it and only noted, in words.
    pub(super) fn noted(&self) -> &[String] {
        &self.noted
    }

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
        let reference = claim.reference;
        Ok(Bound { digest: *digest, reference, signer: self.signer, voices: self.voices })
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
        Ok(Vote { signer: self.signer, voices })
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
}

/// A stranger's text, short enough for a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    let short: String = text.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
    if text.chars().count() > MOST { format!("{short}...") } else { short }
}

pub(super) use self::key::name_of as name_of_key;
