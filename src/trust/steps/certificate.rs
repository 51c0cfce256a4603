//! Signers that are known by a certificate: a key that was theirs for as long as the certificate says
//! (`signatures.md` c.8).
//!
//! A certificate may have ended long ago. What counts is that it was valid, and everybody above it, at
//! each time at which a witness saw the signature; without a witness there is no such time, and
//! Sigstore's certificates then say nothing (G-28). One's own authority issues for longer, so its
//! certificates are held against the present where no witness has seen the signature.

use std::{fmt, sync::Arc, time::SystemTime};

use super::{
    Fault, Parsed, heard,
    witness::{Testimony, Witnesses},
};
use crate::trust::{
    Reason,
    log::count_receipts,
    policy::{Anchors, Authority, Certifier, Keyless, Kind, Policy, Rule, TrustRoot, Wanted},
    signer::{Material, Signer, Voice},
    words::listed,
    x509::{
        AlternativeName, Certificate,
        fulcio::Identity,
        path::{self, NoPath, Path, Purpose},
    },
};

/// What a signature says about who made it. Nobody vouches for it yet.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Chain {
    pub(in crate::trust) leaf: Certificate,
    /// What may lead from it to an authority of one's own. Sigstore's come from the trust root alone.
    pub(in crate::trust) intermediates: Vec<Certificate>,
}

/// An authority that is known by certificates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identified<'p> {
    authority: &'p Authority,
    keyless: &'p Keyless,
}

/// A certificate whose key signed, and whose it would be.
#[derive(Debug)]
pub(super) struct Holder<'p> {
    names: Names,
    asked: Vec<Identified<'p>>,
}

/// Whom a certificate names.
#[derive(Debug)]
enum Names {
    /// As Fulcio does.
    Identity(Box<Identity>),
    /// As everybody else does, and why it is not as Fulcio does.
    Plain(Vec<AlternativeName>, String),
}

impl<'p> Identified<'p> {
    /// Those of `policy`.
    fn all(policy: &'p Policy) -> impl Iterator<Item = Self> {
        policy.authorities().iter().filter_map(|authority| match &authority.kind {
            Kind::Keyless(keyless) => Some(Self { authority, keyless }),
            Kind::Keys(_) | Kind::Notation(_) => None,
        })
    }

    /// Those that `rule` asks.
    pub(super) fn asked(policy: &'p Policy, rule: &Rule) -> Vec<Self> {
        let asked = rule.require.authorities();
        Self::all(policy).filter(|one| asked.contains(&&one.authority.name)).collect()
    }

    fn is(&self, names: &Names, leaf: &Certificate) -> bool {
        let is_own = matches!(self.keyless.certified_by, Certifier::Own { .. });
        match names {
            Names::Identity(identity) if self.keyless.is(identity) => true,
            Names::Plain(names, _) if is_own => self.keyless.is_named(names),
            Names::Identity(_) if is_own => self.keyless.is_named(&plain_names(leaf)),
            Names::Identity(_) | Names::Plain(..) => false,
        }
    }

    /// Until when the certificate speaks for the authority; nothing where there is no end.
    ///
    /// # Errors
    /// When it does not.
    fn at(
        &self,
        chain: &Chain,
        witnesses: &Witnesses,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Fault> {
        witnesses.check(self.keyless.log)?;
        match &self.keyless.certified_by {
            Certifier::Sigstore(root) => {
                self.check_sigstore(root, &chain.leaf, &witnesses.times).map(|()| None)
            }
            Certifier::Own { anchors, .. } => own_until(chain, anchors, &witnesses.times, now),
        }
    }

    fn check_sigstore(
        &self,
        root: &TrustRoot,
        leaf: &Certificate,
        times: &[SystemTime],
    ) -> Result<(), Fault> {
        let Some((first, others)) = times.split_first() else {
            let detail = "has no time of signing that a log or a timestamping authority of the trust root vouches for";
            return Err(Fault::new(Reason::TimeOutsideValidity, detail));
        };
        let paths = |at| root.root.paths(leaf, at).map_err(untrusted);
        let ways = paths(*first)?;
        others.iter().try_for_each(|time| paths(*time).map(drop))?;
        self.check_logged(root, leaf, &ways)
    }

    /// A log has seen the certificate, where the policy wants that. The issuer that the log has seen is
    /// that of one of the paths.
    fn check_logged(
        &self,
        root: &TrustRoot,
        leaf: &Certificate,
        ways: &[Path],
    ) -> Result<(), Fault> {
        let logs = ways.iter().map(|path| count_receipts(leaf, path.issuer(), &root.root));
        let logs: Vec<_> = logs.collect();
        if logs.iter().any(|count| count.as_ref().is_ok_and(|count| *count > 0)) {
            return Ok(());
        }
        if let Some(Err(error)) = logs.into_iter().find(Result::is_err) {
            let detail = format!("comes with a certificate whose log entry is not true: {error}");
            return Err(Fault::invalid(detail));
        }
        if self.keyless.sct == Wanted::Optional {
            return Ok(());
        }
        let detail = "comes with a certificate that is in no certificate log of the trust root";
        Err(Fault::new(Reason::SignerNotTrusted, detail))
    }
}

impl<'p> Holder<'p> {
    /// Whose certificate the one in `chain` is, whose key has signed `parsed`.
    ///
    /// # Errors
    /// When its key has not, or it is of nobody among `asked`.
    pub(super) fn of(
        parsed: &Parsed,
        chain: &Chain,
        asked: &[Identified<'p>],
    ) -> Result<Self, Fault> {
        if !chain.leaf.public_key().verifies(&parsed.message, &parsed.signature) {
            return Err(Fault::invalid("does not verify by the key in its certificate"));
        }
        if parsed.entries.iter().any(|entry| !entry.names_certificate(&chain.leaf)) {
            return Err(Fault::invalid("comes with a log entry about another certificate"));
        }
        let names = Names::of(&chain.leaf);
        let asked_of_sigstore =
            |one: &Identified<'_>| matches!(one.keyless.certified_by, Certifier::Sigstore(_));
        let holder = Self::among(names, &chain.leaf, asked.iter().copied());
        if !holder.asked.is_empty() {
            return Ok(holder);
        }
        Err(match &holder.names {
            Names::Plain(_, why) if asked.iter().any(asked_of_sigstore) => {
                Fault::invalid(format!("comes with a certificate of another kind: {why}"))
            }
            names => Fault::new(
                Reason::SignerNotTrusted,
                format!("comes with a certificate for {names}, whom the rule does not ask"),
            ),
        })
    }

    fn among(
        names: Names,
        leaf: &Certificate,
        authorities: impl Iterator<Item = Identified<'p>>,
    ) -> Self {
        let asked = authorities.filter(|one| one.is(&names, leaf)).collect();
        Self { names, asked }
    }

    /// Authorities and identity, as findings and records name a holder.
    pub(super) fn name(&self) -> String {
        format!("{} ({})", self.authorities().join(", "), self.names)
    }

    /// The authorities whose signature it would be.
    pub(super) fn authorities(&self) -> Vec<Arc<str>> {
        self.asked.iter().map(|one| one.authority.name.clone()).collect()
    }

    /// For whom the certificate in `chain` speaks.
    ///
    /// # Errors
    /// When for nobody.
    pub(super) fn at(
        &self,
        parsed: &Parsed,
        chain: &Chain,
        now: SystemTime,
    ) -> Result<(Signer, Vec<Voice<'p>>), Fault> {
        let key = *chain.leaf.public_key().fingerprint();
        let mut material = parsed.material(key);
        material.insert(Material::Identity(self.names.to_string()));
        let mut testimony = Testimony::of(parsed);
        let mut voices = Vec::new();
        for one in &self.asked {
            let speaks = testimony.under(one.keyless.trust_root()).and_then(|witnesses| {
                let until = one.at(chain, witnesses, now)?;
                material.extend(witnesses.material());
                Ok(Voice { authority: one.authority, until })
            });
            voices.push(speaks);
        }
        let voices = heard(voices)?;
        Ok((Signer { name: self.name(), key, material }, voices))
    }
}

/// Whom `policy` knows by the certificate in `chain`: to tell who it was when it was nobody who is asked.
pub(super) fn known(policy: &Policy, chain: &Chain) -> Option<String> {
    let names = Names::of(&chain.leaf);
    let holder = Holder::among(names, &chain.leaf, Identified::all(policy));
    (!holder.asked.is_empty()).then(|| holder.name())
}

impl Names {
    fn of(leaf: &Certificate) -> Self {
        match Identity::of(leaf) {
            Ok(identity) => Self::Identity(Box::new(identity)),
            Err(why) => Self::Plain(plain_names(leaf), why.to_string()),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(identity) => {
                let subject = identity.subject.as_str();
                write!(formatter, "`{subject}`, issuer `{}`", identity.issuer)
            }
            Self::Plain(names, _) => {
                let names: Vec<_> = names.iter().filter_map(text_of).collect();
                let names = if names.is_empty() { "nobody".to_owned() } else { listed(&names) };
                formatter.write_str(&names)
            }
        }
    }
}

fn text_of(name: &AlternativeName) -> Option<&str> {
    match name {
        AlternativeName::Dns(text)
        | AlternativeName::Email(text)
        | AlternativeName::Uri(text)
        | AlternativeName::UserName(text) => Some(text),
        AlternativeName::Other(_) => None,
    }
}

/// The names in a certificate; none where they are malformed.
fn plain_names(leaf: &Certificate) -> Vec<AlternativeName> {
    let names = leaf.alternative_names().ok().flatten();
    names.map(|names| names.names).unwrap_or_default()
}

/// Until when a certificate of one's own authority speaks: where a witness has seen the signature it was
/// valid then, and that does not end.
fn own_until(
    chain: &Chain,
    anchors: &Anchors,
    times: &[SystemTime],
    now: SystemTime,
) -> Result<Option<SystemTime>, Fault> {
    let Chain { leaf, intermediates } = chain;
    let way = |at| {
        path::find(leaf, intermediates, &anchors.0, at, Purpose::CodeSigning).map_err(untrusted)
    };
    times.iter().try_for_each(|time| way(*time).map(drop))?;
    if !times.is_empty() {
        return Ok(None);
    }
    let path = way(now)?;
    Ok(path.above().chain([leaf]).map(Certificate::not_after).min())
}

fn untrusted(why: NoPath) -> Fault {
    match why {
        NoPath::Untrusted(why) => Fault::new(
            Reason::SignerNotTrusted,
            format!("comes with a certificate of an authority that is not trusted: {why}"),
        ),
        NoPath::Untimely => Fault::new(
            Reason::TimeOutsideValidity,
            "was made when its certificate, or one above it, was not valid",
        ),
    }
}
