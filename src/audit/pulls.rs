//! Pulls, counted until the writer comes by.
//!
//! A pull must never wait for the disk: the decision that allowed it is on disk already. So pulls of
//! the same content by the same client under the same decision become one line a second.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    sync::Mutex,
    time::SystemTime,
};

use super::record::{ClientRecord, PullRecord};
use crate::oci::Digest;

/// Pulls that are not on disk yet.
#[derive(Debug, Default)]
pub(super) struct Pulls(Mutex<HashMap<Key, Tally>>);

type Key = (String, ClientRecord, Digest);

#[derive(Debug)]
struct Tally {
    first: SystemTime,
    count: u64,
}

impl Pulls {
    /// Counts `pull`; `false` when it had to be given up because [`MAX_WAITING`] others wait.
    pub(super) fn add(&self, pull: PullRecord) -> bool {
        let mut waiting = self.0.lock().expect("nothing panics while it holds this lock");
        let full = waiting.len() >= MAX_WAITING;
        match waiting.entry((pull.decision, pull.client, pull.digest)) {
            Slot::Occupied(mut slot) => {
                let tally = slot.get_mut();
                tally.first = tally.first.min(pull.time);
                tally.count += pull.count;
            }
            Slot::Vacant(_) if full => return false,
            Slot::Vacant(slot) => {
                slot.insert(Tally { first: pull.time, count: pull.count });
            }
        }
        true
    }

    /// Everything counted so far, oldest first; the counting starts again from nothing.
    pub(super) fn take(&self) -> Vec<PullRecord> {
        let taken =
            std::mem::take(&mut *self.0.lock().expect("nothing panics while it holds this lock"));
        let mut pulls: Vec<_> = taken
            .into_iter()
            .map(|((decision, client, digest), tally)| PullRecord {
                time: tally.first,
                decision,
                client,
                digest,
                count: tally.count,
            })
            .collect();
        pulls.sort_by_key(|pull| pull.time);
        pulls
    }
}

/// Distinct lines that may wait: about 20 MiB, and far more than a mirror answers in a second.
const MAX_WAITING: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::{super::record::tests::client, *};

    fn pull(decision: &str, count: u64) -> PullRecord {
        PullRecord {
            time: SystemTime::UNIX_EPOCH,
            decision: decision.to_owned(),
            client: client(),
            digest: Digest::of(b"manifest"),
            count,
        }
    }

    #[test]
    fn the_same_pull_becomes_one_line() {
        let pulls = Pulls::default();
        for decision in ["a", "a", "b", "a"] {
            assert!(pulls.add(pull(decision, 1)));
        }
        let mut counts: Vec<_> =
            pulls.take().into_iter().map(|pull| (pull.decision, pull.count)).collect();
        counts.sort();
        assert_eq!(counts, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
        assert!(pulls.take().is_empty());
    }

    #[test]
    fn a_known_pull_is_counted_even_when_no_other_fits() {
        let pulls = Pulls::default();
        for number in 0..MAX_WAITING {
            assert!(pulls.add(pull(&number.to_string(), 1)));
        }
        assert!(!pulls.add(pull("one too many", 1)));
        assert!(pulls.add(pull("0", 1)));
    }
}
