//! Who else has seen a signature: logs and timestamping authorities of a trust root.
//!
//! They answer two questions. Was it seen at all? And when was it made? A time counts only when somebody
//! who is believed has signed it (G-29). What comes along and is of a log or an authority that the root
//! knows has to be right, wanted or not: a signature that carries a forged record is not taken without
//! it.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use super::{Fault, Parsed};
use crate::trust::{
    Reason,
    policy::{TrustRoot, Wanted, Window},
    root::LogId,
    signer::Material,
};

/// What the witnesses of one signature say.
#[derive(Clone, Debug, Default)]
pub(super) struct Witnesses {
    /// When it was seen, by whoever gives a time.
    pub(super) times: Vec<SystemTime>,
    /// Log entries, by log and place in it.
    entries: BTreeSet<(LogId, u64)>,
}

/// The witnesses of one signature under each trust root. Authorities mostly share a root, and then it is
/// asked once.
#[derive(Debug)]
pub(super) struct Testimony<'s> {
    parsed: &'s Parsed,
    heard: Vec<(Option<Arc<TrustRoot>>, Result<Witnesses, Fault>)>,
}

impl<'s> Testimony<'s> {
    /// The witnesses of `parsed`.
    pub(super) const fn of(parsed: &'s Parsed) -> Self {
        Self { parsed, heard: Vec::new() }
    }

    /// Those whom `root` knows; nobody where there is none.
    ///
    /// # Errors
    /// When one of them did not say what is said in its name.
    pub(super) fn under(&mut self, root: Option<&Arc<TrustRoot>>) -> Result<&Witnesses, Fault> {
        let is_it = |heard: &Option<Arc<TrustRoot>>| {
            heard.as_ref().map(Arc::as_ptr) == root.map(Arc::as_ptr)
        };
        let known = self.heard.iter().position(|(heard, _)| is_it(heard));
        let at = known.unwrap_or_else(|| {
            let witnesses = root.map_or_else(
                || Ok(Witnesses::default()),
                |root| Witnesses::hear(self.parsed, root),
            );
            self.heard.push((root.cloned(), witnesses));
            self.heard.len() - 1
        });
        self.heard[at].1.as_ref().map_err(Clone::clone)
    }
}

impl Witnesses {
    fn hear(parsed: &Parsed, root: &TrustRoot) -> Result<Self, Fault> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Fault::invalid(format!("comes with a {what} that is not true: {error}"))
        };
        let mut witnesses = Self::default();
        for entry in &parsed.entries {
            let logged = entry.verify(&root.root).map_err(|error| wrong("log entry", &error))?;
            if let Some(logged) = logged {
                witnesses.entries.insert((logged.log, logged.index));
                witnesses.times.extend(logged.time);
            }
        }
        Ok(witnesses)
    }

    /// A log has seen the signature, where the policy wants that.
    ///
    /// # Errors
    /// When none has.
    pub(super) fn check(&self, log: Wanted) -> Result<(), Fault> {
        if log == Wanted::Required && self.entries.is_empty() {
            let detail = "comes without an entry of a log that the trust root knows";
            return Err(Fault::invalid(detail));
        }
        Ok(())
    }

    /// Whether all of them saw it in `window`.
    pub(super) fn are_within(&self, window: Window) -> bool {
        self.times.iter().all(|time| window.contains(*time))
    }

    /// What of them belongs to one party only.
    pub(super) fn material(&self) -> impl Iterator<Item = Material> {
        self.entries.iter().map(|(log, index)| Material::Entry(*log, *index))
    }
}
