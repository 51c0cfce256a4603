//! The five steps from bytes to a vote, as types.
//!
//! | step | gives | afterwards it is known that |
//! | --- | --- | --- |
//! | parse, bounded | [`Parsed`] | it has the form of a signature; nothing in it is true yet |
//! | authenticate the bytes | [`Authentic`] | a key, or the key in a certificate, signed exactly these bytes |
//! | authenticate the signer at a time | [`Timely`] | that signer speaks for authorities of the rule |
//! | bind | [`Bound`] | the bytes speak of the manifest that is judged |
//! | authorize | [`Vote`] | whom it speaks for may vouch for this repository, and meant it |
//!
//! Each type can be made from the one before and from nothing else, so no wire format can leave a step
//! out. A format does the first step and says how to read its claim. The second and third differ by
//! what a signer is known by, and have a file for each ([`key`], [`certificate`]), with what both ask of
//! logs and timestamps in [`witness`]; the last two are here, once.

mod certificate;
mod key;
mod notation;
mod witness;

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use bytes::Bytes;

pub(super) use self::certificate::Chain;
use self::{
    certificate::{Holder, Identified},
    key::KeyCandidate,
    notation::{NotationAuthor, NotationCandidate},
};
use super::{
    Reason,
    attestation::statement::Statement,
    json::Malformed,
    keys::Fingerprint,
    log::{self, LogEntry},
    named::Named,
    notation::Envelope,
    policy::{Policy, Rule, SignedAs},
    signer::{Material, Party, Signer, Voice, names_of},
};
use crate::oci::{Digest, ImageName};

/// What was read from a signature of any format.
#[derive(Debug)]
pub(super) struct Parsed {
    /// The exact bytes that were signed.
    pub(super) message: Bytes,
    pub(super) signature: Vec<u8>,
    /// By what its signer is known.
    pub(super) signer: SignedBy,
    /// The log entries that came along.
    pub(super) entries: Vec<LogEntry>,
    /// The timestamps that came along: each a DER `TimeStampResp`.
    pub(super) timestamps: Vec<Vec<u8>>,
    /// What the timestamps are over.
    pub(super) stamped: Bytes,
    /// The type of attestation that it says it is; `None` for a signature. A hint until it is read again
    /// from authentic bytes.
    pub(super) predicate_type: Option<String>,
    /// How to read what the signer says. Called on authentic bytes.
    pub(super) claim: fn(&[u8]) -> Result<Claim, Malformed>,
}

/// By what a signature says that its signer is known.
#[derive(Debug)]
pub(super) enum SignedBy {
    /// A key, which the policy has.
    Key,
    /// A certificate, which came along.
    Certificate(Box<Chain>),
    /// A chain of certificates in a Notation envelope, which came along.
    Notation(Box<Envelope>),
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
    identified: Vec<Identified<'p>>,
    notation: Vec<NotationCandidate<'p>>,
}

impl<'p> Candidates<'p> {
    /// Those that `rule` asks.
    pub(super) fn of(policy: &'p Policy, rule: &Rule) -> Self {
        let keys = KeyCandidate::asked(policy, rule);
        let identified = Identified::asked(policy, rule);
        Self { keys, identified, notation: NotationCandidate::asked(policy, rule) }
    }

    /// What is to be said about what came with `parsed` and nobody verifies: whoever is asked by keys
    /// alone has no trust root, and needs none.
    pub(super) fn remark(&self, parsed: &Parsed) -> Option<&'static str> {
        let is_unheard = matches!(parsed.signer, SignedBy::Key)
            && !self.keys.iter().any(KeyCandidate::has_trust_root);
        let (entries, timestamps) = (&parsed.entries, &parsed.timestamps);
        log::remark(!entries.is_empty(), !timestamps.is_empty()).filter(|_| is_unheard)
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
    Certificate(Box<Chain>, Box<Holder<'p>>),
    Key(&'c KeyCandidate<'p>),
    Notation(Box<NotationAuthor<'c, 'p>>),
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
        let author = match &self.signer {
            SignedBy::Key => key::author_of(&self, &candidates.keys).map(Author::Key),
            SignedBy::Certificate(chain) => Holder::of(&self, chain, &candidates.identified)
                .map(|holder| Author::Certificate(chain.clone(), Box::new(holder))),
            SignedBy::Notation(envelope) => notation::author_of(envelope, &candidates.notation)
                .map(|author| Author::Notation(Box::new(author))),
        };
        match author {
            Ok(author) => Ok(Authentic { parsed: self, author }),
            Err(fault) => Err(Box::new((self, fault))),
        }
    }

    /// Whom `policy` knows by what is said here about the signer: to tell who it was when it was nobody
    /// who is asked.
    pub(super) fn known_to(&self, policy: &Policy) -> Option<String> {
        match &self.signer {
            SignedBy::Key => key::known(policy, self),
            SignedBy::Certificate(chain) => certificate::known(policy, chain),
            SignedBy::Notation(envelope) => notation::known(policy, envelope),
        }
    }

    /// What of it belongs to one party only, when `key` has signed it.
    fn material(&self, key: Fingerprint) -> BTreeSet<Material> {
        [Material::Key(key), Material::Signature(Digest::of(&self.signature))].into()
    }
}

impl<'p> Authentic<'_, 'p> {
    /// What the signer is called.
    pub(super) fn signer(&self) -> String {
        match &self.author {
            Author::Certificate(_, holder) => holder.name(),
            Author::Key(candidate) => candidate.name(),
            Author::Notation(author) => author.name(),
        }
    }

    /// The authorities whose signature it would be.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        match &self.author {
            Author::Certificate(_, holder) => holder.authorities(),
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
            Author::Certificate(chain, holder) => holder.at(&self.parsed, chain, now)?,
            Author::Key(candidate) => candidate.at(&self.parsed, now)?,
            Author::Notation(author) => author.at(&self.parsed, now, &mut noted)?,
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

/// The voices among those that might speak.
///
/// # Errors
/// When there is none: the fault that came closest to counting.
fn heard<'p>(asked: Vec<Result<Voice<'p>, Fault>>) -> Result<Vec<Voice<'p>>, Fault> {
    let (mut voices, mut faults) = (Vec::new(), Vec::new());
    for answer in asked {
        match answer {
            Ok(voice) => voices.push(voice),
            Err(fault) => faults.push(fault),
        }
    }
    if voices.is_empty() { Err(closest(faults)) } else { Ok(voices) }
}

/// The one of `faults` that came closest to counting.
fn closest(faults: Vec<Fault>) -> Fault {
    let closest = faults.into_iter().min_by_key(|fault| distance(fault.reason));
    closest.unwrap_or_else(|| Fault::new(Reason::SignerNotTrusted, "speaks for nobody"))
}

/// How far a signature with a fault of this kind is from counting: the later the step, the closer.
pub(super) const fn distance(reason: Reason) -> u8 {
    match reason {
        Reason::ConditionFalse | Reason::EvidenceUnreachable => 0,
        Reason::NameMismatch => 1,
        Reason::DenyList => 2,
        Reason::DigestMismatch => 3,
        Reason::TimeOutsideValidity => 4,
        Reason::SignerNotTrusted => 5,
        _ => 6,
    }
}
