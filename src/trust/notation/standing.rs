//! What a signature is worth to an authority at a time: everything after its integrity.
//!
//! | check | what it asks | strict | permissive |
//! | --- | --- | --- | --- |
//! | authenticity | a certificate of the chain is in the trust store, the subject is an identity | enforced | enforced |
//! | expiry | the signer still stands by it | enforced | noted |
//! | authentic timestamp | the chain was valid when it was made, or is now | enforced | noted |
//! | revocation | no issuer has taken a certificate of the chain back | enforced | noted |
//!
//! In this order, as notation does it. What is only noted shows in the finding. Source: the Notary
//! Project's trust store and trust policy specification, "Signature verification details".

use std::time::SystemTime;

use super::{
    chain::Chain,
    envelope::Envelope,
    header::{Headers, Scheme},
    name::Name,
    payload::Target,
    revocation::{self, NotGood, just_after},
    trust::{Action, Identities, NotationTrust, Timestamps, described},
};
use crate::{
    timestamp::Timestamp,
    trust::{Reason, json::Malformed, keys::Fingerprint, stamp, steps::Fault, x509::Certificate},
};

/// A signature whose bytes the certificate in its envelope signed. Nobody trusts that one yet.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Signature {
    headers: Headers,
    target: Target,
    chain: Chain,
    signature: Vec<u8>,
    timestamp: Option<Vec<u8>>,
}

/// That a signature counts for an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::trust) struct Standing {
    /// The first moment at which that has to be asked again.
    pub(in crate::trust) until: Option<SystemTime>,
    /// Checks that failed and are only noted, in words.
    pub(in crate::trust) noted: Vec<String>,
}

impl Signature {
    /// Makes sure that the first certificate of the chain signed the envelope, by the algorithm that
    /// belongs to its key.
    ///
    /// # Errors
    /// When it did not, or the chain breaks a rule.
    pub(in crate::trust) fn authenticate(envelope: &Envelope) -> Result<Self, Malformed> {
        let chain = Chain::parse(&envelope.chain)?;
        let key = chain.leaf().public_key();
        let algorithm = envelope.headers.algorithm;
        if super::algorithm::Algorithm::of(key) != Some(algorithm) {
            return Err(Malformed("it names another algorithm than its key's".into()));
        }
        if !algorithm.verifies(key, &envelope.message, &envelope.signature) {
            return Err(Malformed("its certificate's key does not verify it".into()));
        }
        Ok(Self {
            headers: envelope.headers.clone(),
            target: Target::parse(&envelope.payload)?,
            chain,
            signature: envelope.signature.clone(),
            timestamp: envelope.timestamp.clone(),
        })
    }

    /// Whose certificate signed, for people and records.
    pub(in crate::trust) fn signer(&self) -> String {
        described(self.chain.leaf())
    }

    /// The key that signed.
    pub(in crate::trust) fn key(&self) -> &Fingerprint {
        self.chain.leaf().public_key().fingerprint()
    }

    /// The name of whose certificate signed, in DER.
    pub(in crate::trust) fn subject(&self) -> &[u8] {
        self.chain.leaf().subject()
    }

    /// That whoever trusts `trust` trusts a certificate of the chain, and the signer's name.
    ///
    /// # Errors
    /// When not.
    pub(in crate::trust) fn check_authenticity(&self, trust: &NotationTrust) -> Result<(), Fault> {
        let store = match self.headers.scheme {
            Scheme::X509 => &trust.store,
            Scheme::SigningAuthority => &trust.signing_authorities,
        };
        let signer = self.signer();
        let refuse =
            |why: &str| Err(Fault::new(Reason::SignerNotTrusted, format!("is by {signer}, {why}")));
        if !self.chain.certificates().iter().any(|certificate| store.contains(certificate)) {
            return refuse("and no certificate of its chain is in the trust store");
        }
        let Identities::Subjects(identities) = &trust.identities else { return Ok(()) };
        match Name::of_der(self.subject()) {
            Ok(subject) if identities.iter().any(|identity| identity.is_met_by(&subject)) => Ok(()),
            Ok(_) => refuse("who is none of the `identities`"),
            Err(why) => refuse(&format!("whose subject {why}, so it is none of the `identities`")),
        }
    }

    /// What the signature is worth to whoever trusts `trust`, at `now`, beyond its authenticity.
    ///
    /// # Errors
    /// Why it does not count.
    pub(in crate::trust) fn standing(
        &self,
        trust: &NotationTrust,
        now: SystemTime,
    ) -> Result<Standing, Fault> {
        let mut standing = Standing::default();
        standing.apply(trust.expiry_action, self.check_expiry(now))?;
        standing.apply(trust.timestamp_action, self.check_time(trust, now))?;
        if trust.revocation_action != Action::Skip {
            standing.apply(trust.revocation_action, self.check_revocation(trust, now))?;
        }
        self.check_metadata(trust)?;
        Ok(standing)
    }

    fn check_expiry(&self, now: SystemTime) -> Result<Option<SystemTime>, Fault> {
        match self.headers.expiry {
            Some(expiry) if expiry <= now => {
                Err(untimely(format!("by {} expired at {}", self.signer(), Timestamp(expiry))))
            }
            expiry => Ok(expiry),
        }
    }

    /// That the chain was valid when the signature was made, or is now where nothing proves when.
    fn check_time(
        &self,
        trust: &NotationTrust,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Fault> {
        if self.headers.scheme == Scheme::SigningAuthority {
            return self
                .check_chain_at(self.headers.signing_time, "when it was made")
                .map(|_| None);
        }
        let has_ended = |certificate: &Certificate| certificate.not_after() < now;
        let is_wanted = !trust.timestamp_authorities.is_empty()
            && (trust.timestamps == Timestamps::Always
                || self.chain.certificates().iter().any(has_ended));
        if is_wanted {
            self.check_timestamp(trust, now)
        } else {
            self.check_chain_at(now, "now").map(Some)
        }
    }

    /// That a timestamp authority saw the signature while the chain was valid, whichever end of what it
    /// says is true.
    fn check_timestamp(
        &self,
        trust: &NotationTrust,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Fault> {
        let signer = self.signer();
        let Some(token) = &self.timestamp else {
            return Err(untimely(format!(
                "by {signer} has no timestamp, and the policy wants one"
            )));
        };
        let stamp = stamp::verify_token(token, &self.signature, &trust.timestamp_authorities)
            .map_err(|error| untimely(format!("by {signer} has a wrong timestamp: {error}")))?;
        let (earliest, latest) = (stamp.time - stamp.accuracy, stamp.time + stamp.accuracy);
        self.check_chain_at(earliest, "when it was stamped")?;
        self.check_chain_at(latest, "when it was stamped")?;
        if trust.revocation_action == Action::Skip {
            return Ok(None);
        }
        let chain: Vec<_> = std::iter::once(&stamp.signer).chain(stamp.path.above()).collect();
        let issued = chain.windows(2).map(|pair| (pair[0], pair[1]));
        revocation::check(issued, &trust.revocation_lists, None, now)
            .map_err(|error| not_good(&signer, error))
    }

    /// Every certificate is for `at`. Gives the first moment after which one of them is not.
    fn check_chain_at(&self, at: SystemTime, when: &str) -> Result<SystemTime, Fault> {
        if let Some(other) = self.chain.certificates().iter().find(|it| !it.is_for(at)) {
            return Err(untimely(format!(
                "by {} has in its chain {}, which is not valid {when}: from {} to {}",
                self.signer(),
                described(other),
                Timestamp(other.not_before()),
                Timestamp(other.not_after()),
            )));
        }
        let ends = self.chain.certificates().iter().map(Certificate::not_after);
        Ok(just_after(ends.min().unwrap_or(at)))
    }

    fn check_revocation(
        &self,
        trust: &NotationTrust,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, Fault> {
        // A timestamp proves no earlier time here: notation compares with an authority's word alone.
        let signed = match self.headers.scheme {
            Scheme::SigningAuthority => Some(self.headers.signing_time),
            Scheme::X509 => None,
        };
        revocation::check(self.chain.issued(), &trust.revocation_lists, signed, now)
            .map_err(|error| not_good(&self.signer(), error))
    }

    fn check_metadata(&self, trust: &NotationTrust) -> Result<(), Fault> {
        let is_signed =
            |(name, value): &(&String, &String)| self.target.annotations.get(*name) == Some(*value);
        match trust.metadata.iter().find(|wanted| !is_signed(wanted)) {
            None => Ok(()),
            Some((name, value)) => {
                let detail = format!("by {} does not say `{name}` = `{value}`", self.signer());
                Err(Fault::new(Reason::ConditionFalse, detail))
            }
        }
    }
}

impl Standing {
    /// Takes the outcome of one check, of which comes what `action` says.
    fn apply(
        &mut self,
        action: Action,
        outcome: Result<Option<SystemTime>, Fault>,
    ) -> Result<(), Fault> {
        match (outcome, action) {
            (Ok(until), _) => {
                self.until = [self.until, until].into_iter().flatten().min();
                Ok(())
            }
            (Err(fault), Action::Enforce) => Err(fault),
            (Err(fault), Action::Log | Action::Skip) => {
                self.noted.push(fault.detail);
                Ok(())
            }
        }
    }
}

fn untimely(detail: String) -> Fault {
    Fault::new(Reason::TimeOutsideValidity, detail)
}

fn not_good(signer: &str, error: NotGood) -> Fault {
    match error {
        NotGood::Revoked(what) => {
            Fault::new(Reason::SignerNotTrusted, format!("is by {signer}, and {what}"))
        }
        NotGood::Unknown(what) => {
            Fault::new(Reason::EvidenceUnreachable, format!("is by {signer}, and {what}"))
        }
    }
}
