//! The log as a whole, on disks that break.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{
    record::tests::{client, decision},
    segments::{Appendable, list},
    *,
};
use crate::{
    environment::{ManualClock, SystemEntropy},
    oci::Digest,
};

fn environment() -> Environment {
    let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Environment { clock: Arc::new(ManualClock::new(now)), entropy: Arc::new(SystemEntropy) }
}

fn open(directory: &Path) -> Audit {
    Audit::open(directory, &environment(), Arc::default()).unwrap()
}

fn open_on(disk: impl Disk + 'static, directory: &Path) -> Audit {
    Audit::open_on(Box::new(disk), directory, &environment(), Arc::default()).unwrap()
}

fn ids(directory: &Path) -> Vec<String> {
    let mut ids: Vec<_> = Audit::entries(directory)
        .unwrap()
        .filter_map(|entry| match entry.unwrap() {
            Entry::Decision(record) => Some(record.decision),
            Entry::Pull(_) => None,
        })
        .collect();
    ids.reverse();
    ids
}

/// Every byte of every segment, to see that no line is broken.
fn assert_whole_lines(directory: &Path) {
    for (_, path) in list(directory).unwrap() {
        let content = fs::read_to_string(path).unwrap();
        assert!(content.is_empty() || content.ends_with('\n'), "{content:?}");
        for line in content.lines() {
            serde_json::from_str::<Entry>(line).unwrap();
        }
    }
}

/// What the disk does next; it works once the plan is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Works,
    WritesHalf,
    IsFull,
    CannotSync,
    CannotSyncOrCut,
}

#[derive(Clone, Debug, Default)]
struct BreakingDisk(Arc<Mutex<VecDeque<Step>>>);

#[derive(Debug)]
struct BreakingFile {
    file: Box<dyn Appendable>,
    plan: Arc<Mutex<VecDeque<Step>>>,
    step: Step,
}

impl Disk for BreakingDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Appendable>> {
        let file = RealDisk.open(path)?;
        Ok(Box::new(BreakingFile { file, plan: Arc::clone(&self.0), step: Step::Works }))
    }
}

impl Appendable for BreakingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // After half a write the disk is full: the rest of the same piece fails.
        self.step = match self.step {
            Step::WritesHalf => Step::IsFull,
            _ => self.plan.lock().unwrap().pop_front().unwrap_or(Step::Works),
        };
        match self.step {
            Step::IsFull => Err(io::ErrorKind::StorageFull.into()),
            Step::WritesHalf => self.file.append(&bytes[..bytes.len().div_ceil(2)]),
            _ => self.file.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.step {
            Step::CannotSync | Step::CannotSyncOrCut => Err(io::Error::other("the disk is broken")),
            _ => self.file.sync(),
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        self.file.is_at(path)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        match std::mem::replace(&mut self.step, Step::Works) {
            Step::CannotSyncOrCut => Err(io::Error::other("the disk is broken")),
            _ => self.file.cut(length),
        }
    }
}

#[tokio::test]
async fn nothing_is_written_to_a_log_that_was_removed_or_moved_away() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("audit-v1");
    let audit = open(&directory);
    audit.decision(decision("1", "app")).await.unwrap();
    fs::remove_dir_all(&directory).unwrap();
    audit.decision(decision("2", "app")).await.unwrap();
    assert_eq!(ids(&directory), ["2"]);
    let away = parent.path().join("away");
    fs::rename(&directory, &away).unwrap();
    audit.decision(decision("3", "app")).await.unwrap();
    assert_eq!((ids(&directory), ids(&away)), (vec!["3".to_owned()], vec!["2".to_owned()]));
}

#[tokio::test]
async fn a_decision_is_on_disk_when_it_returns() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(directory.path());
    audit.decision(decision("1", "app")).await.unwrap();
    assert_eq!(ids(directory.path()), ["1"]);
}

#[tokio::test]
async fn decisions_made_at_once_are_all_there() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(directory.path());
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let audit = audit.clone();
            tokio::spawn(async move { audit.decision(decision(&number.to_string(), "app")).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(ids(directory.path()).len(), 100);
    assert_whole_lines(directory.path());
}

#[tokio::test]
async fn pulls_are_counted_and_written_at_close() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(directory.path());
    let pull = PullRecord {
        time: UNIX_EPOCH,
        decision: "1".to_owned(),
        client: client(),
        digest: Digest::of(b"app"),
        count: 1,
    };
    for _ in 0..5 {
        audit.pull(pull.clone());
    }
    audit.close().await;
    let counts: u64 = Audit::entries(directory.path())
        .unwrap()
        .map(|entry| match entry.unwrap() {
            Entry::Pull(pull) => pull.count,
            Entry::Decision(_) => panic!("no decision was made"),
        })
        .sum();
    assert_eq!(counts, 5);
    assert!(matches!(audit.decision(decision("1", "app")).await, Err(AuditError::Stopped)));
}

#[tokio::test]
async fn a_full_disk_refuses_decisions_until_it_has_room_again() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BreakingDisk::default();
    disk.0.lock().unwrap().extend([Step::Works, Step::IsFull, Step::WritesHalf, Step::Works]);
    let audit = open_on(disk, directory.path());
    let mut outcomes = Vec::new();
    for id in ["1", "2", "3", "4"] {
        outcomes.push(audit.decision(decision(id, "app")).await.is_ok());
    }
    assert_eq!(outcomes, [true, false, false, true]);
    assert_eq!(ids(directory.path()), ["1", "4"]);
    assert_whole_lines(directory.path());
    assert!(audit.metrics.render().contains("portcullis_audit_failures_total 2"));
}

#[tokio::test]
async fn pulls_outlive_a_disk_that_was_full() {
    let directory = tempfile::tempdir().unwrap();
    let disk = BreakingDisk::default();
    disk.0.lock().unwrap().push_back(Step::IsFull);
    let audit = open_on(disk, directory.path());
    audit.pull(PullRecord {
        time: UNIX_EPOCH,
        decision: "1".to_owned(),
        client: client(),
        digest: Digest::of(b"app"),
        count: 1,
    });
    assert!(audit.decision(decision("1", "app")).await.is_err());
    audit.close().await;
    assert_eq!(Audit::entries(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_record_too_long_for_a_line_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(directory.path());
    let mut record = decision("1", "app");
    record.message = "x".repeat(MAX_LINE_LENGTH);
    assert!(matches!(audit.decision(record).await, Err(AuditError::TooLong(_))));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let directory = file.path().join(FOLDER);
    let error = Audit::open(&directory, &environment(), Arc::default()).unwrap_err();
    assert!(error.to_string().contains(FOLDER), "{error}");
}

#[tokio::test]
async fn ids_grow_even_when_the_clock_stands_still() {
    let directory = tempfile::tempdir().unwrap();
    let audit = open(directory.path());
    let ids: Vec<_> = (0..1000).map(|_| audit.next_id()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert!(ids[0].starts_with("01KDVDNA00"), "{}", ids[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the disk does, and wherever the process dies: an acknowledged decision is in the
    /// log once, and after the next start every line is whole.
    #[test]
    fn what_was_acknowledged_is_in_the_log_once(
        plan in prop::collection::vec(
            prop::sample::select(vec![
                Step::Works,
                Step::WritesHalf,
                Step::IsFull,
                Step::CannotSync,
                Step::CannotSyncOrCut,
            ]),
            0..12,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let disk = BreakingDisk::default();
        disk.0.lock().unwrap().extend(plan.iter().copied());
        let audit = open_on(disk, directory.path());
        let mut acknowledged = Vec::new();
        for number in 0..plan.len() + 1 {
            let id = format!("decision-{number}");
            if runtime.block_on(audit.decision(decision(&id, "app"))).is_ok() {
                acknowledged.push(id);
            }
        }
        runtime.block_on(audit.close());

        drop(open(directory.path()));
        let written = ids(directory.path());
        for id in &acknowledged {
            prop_assert_eq!(written.iter().filter(|other| *other == id).count(), 1);
        }
        assert_whole_lines(directory.path());
    }
}
