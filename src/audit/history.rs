//! Decisions with the pulls that they allowed: what questions about the past are answered from.
//!
//! The log is read newest first, so a pull comes before the decision that allowed it, which may be
//! weeks older. Pulls are held, counted, until their decision is met. So memory is bounded by the
//! distinct pulls of the time that is asked about, not by the log.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    AuditError,
    find::Entries,
    record::{ClientRecord, DecisionRecord, Entry, PullRecord},
};
use crate::oci::Digest;

/// A decision and the pulls under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The decision.
    pub record: DecisionRecord,
    /// Whether it was made in the time that is asked about; else only its pulls were.
    pub is_recent: bool,
    /// Who pulled what, in that time.
    pub pulls: Vec<Pulled>,
}

/// Pulls of one content by one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Who.
    pub client: ClientRecord,
    /// What: the manifest, or a child of the image index that was decided on.
    pub digest: Digest,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: SystemTime,
    /// When last.
    pub last: SystemTime,
}

impl Pulled {
    fn order(&self) -> (SystemTime, std::net::IpAddr, Option<&str>, Digest) {
        (self.first, self.client.address, self.client.job.as_deref(), self.digest)
    }
}

/// The decisions since a point in time, newest first, and older ones under which something was
/// pulled since.
#[derive(Debug)]
pub struct History {
    entries: Entries,
    since: SystemTime,
    waiting: HashMap<String, HashMap<(ClientRecord, Digest), Pulled>>,
}

impl History {
    pub(super) fn open(directory: &Path, since: SystemTime) -> Result<Self, AuditError> {
        let entries = Entries::open(directory, "")?;
        Ok(Self { entries, since, waiting: HashMap::new() })
    }

    fn next_decided(&mut self) -> Result<Option<Decided>, AuditError> {
        // Lines that were written together may be out of order by as long as a write may take.
        let end = self.since.checked_sub(SLACK).unwrap_or(SystemTime::UNIX_EPOCH);
        while let Some(entry) = self.entries.next().transpose()? {
            match entry {
                Entry::Pull(pull) if pull.time >= self.since => self.wait(pull),
                Entry::Pull(_) => {}
                Entry::Decision(record) => {
                    let pulls = self.waiting.remove(&record.decision).unwrap_or_default();
                    let is_recent = record.time >= self.since;
                    if is_recent || !pulls.is_empty() {
                        let mut pulls: Vec<_> = pulls.into_values().collect();
                        pulls.sort_by(|one, other| one.order().cmp(&other.order()));
                        return Ok(Some(Decided { record: *record, is_recent, pulls }));
                    }
                    if record.time < end && self.waiting.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    fn wait(&mut self, pull: PullRecord) {
        let PullRecord { time, decision, client, digest, count } = pull;
        let pulls = self.waiting.entry(decision).or_default();
        let fresh = || Pulled { client: client.clone(), digest, count: 0, first: time, last: time };
        let pulled = pulls.entry((client.clone(), digest)).or_insert_with(fresh);
        pulled.count += count;
        pulled.first = pulled.first.min(time);
        pulled.last = pulled.last.max(time);
    }
}

impl Iterator for History {
    type Item = Result<Decided, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_decided().transpose()
    }
}

/// More than a record may wait for the disk.
const SLACK: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _, time::UNIX_EPOCH};

    use super::{
        super::record::tests::{client, decision},
        *,
    };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn decided(id: &str, seconds: u64) -> Entry {
        Entry::Decision(Box::new(DecisionRecord { time: at(seconds), ..decision(id, "app") }))
    }

    fn pulled(id: &str, seconds: u64, count: u64) -> Entry {
        let digest = Digest::of(b"app");
        let (time, decision) = (at(seconds), id.to_owned());
        Entry::Pull(PullRecord { time, decision, client: client(), digest, count })
    }

    fn history(entries: &[Entry], since: u64) -> Vec<(String, bool, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<u8> = entries.iter().flat_map(Entry::to_line).collect();
        File::create(folder.path().join("000001.jsonl")).unwrap().write_all(&lines).unwrap();
        let history = History::open(folder.path(), at(since)).unwrap();
        history
            .map(Result::unwrap)
            .map(|decided| {
                let count = decided.pulls.iter().map(|pulled| pulled.count).sum();
                (decided.record.decision, decided.is_recent, count)
            })
            .collect()
    }

    #[test]
    fn pulls_find_their_decision_however_old_it_is() {
        let entries = [
            decided("older", 100),
            decided("old", 1_000),
            pulled("old", 1_001, 7),
            decided("new", 9_000),
            pulled("old", 9_001, 2),
            pulled("old", 9_002, 1),
            pulled("new", 9_003, 1),
        ];
        assert_eq!(
            history(&entries, 8_000),
            [("new".to_owned(), true, 1), ("old".to_owned(), false, 3)]
        );
        assert_eq!(history(&entries, 0).len(), 3);
        assert_eq!(history(&entries, 10_000), []);
    }

    #[test]
    fn pulls_whose_decision_is_gone_are_left_out() {
        assert_eq!(history(&[pulled("lost", 10, 1)], 0), []);
    }
}
