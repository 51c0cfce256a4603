//! The audit log: who was given or refused what, when, and why.
//!
//! JSON lines, appended by one thread (`writer`) to numbered segments (`segments`). A decision is
//! durable before [`Audit::decision`] returns, and the mirror sends no byte of a manifest before
//! that: what was served is always on record. When the disk is full or broken every new decision is
//! an error, which the mirror answers with 503, and the log goes on by itself once the disk does.
//! Pulls are counted and written within a second (`pulls`); losing the last second of them in a
//! crash loses no decision.
//!
//! Reading ([`find`](Audit::find), [`entries`](Audit::entries)) takes no lock and works beside a
//! running mirror.
//!
//! The members of a line are a contract; they are in `record`.

mod backwards;
mod find;
mod history;
mod pulls;
mod record;
mod segments;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, UNIX_EPOCH},
};

use tokio::sync::{Semaphore, oneshot};
use ulid::Ulid;

use self::{
    backwards::MAX_LINE_LENGTH,
    pulls::Pulls,
    segments::{Disk, RealDisk, Segments},
    writer::{Command, Request, Writer},
};
pub use self::{
    find::{Entries, Wanted},
    history::{Decided, History, Pulled},
    record::{ClientRecord, DecisionRecord, Entry, PullRecord},
};
use crate::{environment::Environment, telemetry::Metrics};

/// The log of one mirror. Clones write to the same log.
#[derive(Clone, Debug)]
pub struct Audit {
    commands: mpsc::Sender<Command>,
    queue: Arc<Semaphore>,
    pulls: Arc<Pulls>,
    previous_id: Arc<Mutex<Ulid>>,
    environment: Environment,
    metrics: Arc<Metrics>,
}

impl Audit {
    /// Opens the log in `directory`, which is created when it is missing, and starts its writer.
    ///
    /// A line that a crash tore is moved aside to `torn-<n>`, and the log says so.
    ///
    /// # Errors
    /// [`AuditError::Open`] when the directory or a segment cannot be used.
    pub fn open(
        directory: &Path,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AuditError> {
        Self::open_on(Box::new(RealDisk), directory, environment, metrics)
    }

    fn open_on(
        disk: Box<dyn Disk>,
        directory: &Path,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AuditError> {
        let failed = |error| AuditError::Open(directory.to_owned(), Arc::new(error));
        let (segments, repairs) =
            Segments::open(directory, MAX_SEGMENT_LENGTH, disk).map_err(failed)?;
        for repair in repairs {
            tracing::warn!(
                segment = %repair.segment.display(),
                kept_in = %repair.kept.display(),
                bytes = repair.length,
                "the audit log ended in half a line, which was moved aside"
            );
        }
        let (commands, receiver) = mpsc::channel();
        let pulls = Arc::new(Pulls::default());
        let writer = Writer {
            segments,
            commands: receiver,
            pulls: Arc::clone(&pulls),
            metrics: Arc::clone(&metrics),
        };
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())
            .map_err(failed)?;
        Ok(Self {
            commands,
            queue: Arc::new(Semaphore::new(MAX_QUEUE_LENGTH)),
            pulls,
            previous_id: Arc::default(),
            environment: environment.clone(),
            metrics,
        })
    }

    /// A new decision's id: a ULID, greater than every id given out before.
    #[must_use]
    pub fn next_id(&self) -> String {
        let since = self.environment.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let mut chance = [0; 16];
        self.environment.entropy.fill(&mut chance);
        let fresh = Ulid::from_parts(milliseconds, u128::from_le_bytes(chance));
        let mut previous =
            self.previous_id.lock().expect("nothing panics while it holds this lock");
        // Within a millisecond, or when the clock was set back, the last id is counted up.
        *previous = previous.increment().map_or(fresh, |next| fresh.max(next));
        previous.to_string()
    }

    /// Writes a decision down. After `Ok` it survives power loss.
    ///
    /// # Errors
    /// [`AuditError::Write`] when the disk failed, [`AuditError::Busy`] when it took longer than
    /// [`DEADLINE`], [`AuditError::TooLong`], [`AuditError::Stopped`]. Nothing may be served then.
    ///
    /// # Cancel safety
    /// When the future is dropped, the line may or may not be written.
    pub async fn decision(&self, record: DecisionRecord) -> Result<(), AuditError> {
        let line = Entry::Decision(Box::new(record)).to_line();
        if line.len() > MAX_LINE_LENGTH {
            return Err(AuditError::TooLong(line.len()));
        }
        let written = async {
            let place =
                Arc::clone(&self.queue).acquire_owned().await.map_err(|_| AuditError::Stopped)?;
            let (answer, result) = oneshot::channel();
            self.commands
                .send(Command::Write(Request { line, answer, place }))
                .map_err(|_| AuditError::Stopped)?;
            result.await.unwrap_or(Err(AuditError::Stopped))
        };
        tokio::time::timeout(DEADLINE, written).await.unwrap_or_else(|_| {
            self.metrics.audit_failed();
            Err(AuditError::Busy)
        })
    }

    /// Counts a pull. Never waits; the line is on disk within about a second.
    pub fn pull(&self, pull: PullRecord) {
        if !self.pulls.add(pull) {
            self.metrics.audit_pull_lost();
        }
    }

    /// The newest decision in `directory` that `wanted` means, if there is one.
    ///
    /// # Errors
    /// [`AuditError::Read`].
    pub fn find(
        directory: &Path,
        wanted: &Wanted,
    ) -> Result<Option<Box<DecisionRecord>>, AuditError> {
        find::find(directory, wanted)
    }

    /// Every record in `directory`, newest first, in constant memory.
    ///
    /// # Errors
    /// [`AuditError::Read`], here or from an item.
    pub fn entries(directory: &Path) -> Result<Entries, AuditError> {
        Entries::open(directory, "")
    }

    /// The decisions in `directory` since `since` with the pulls since then, newest first.
    ///
    /// # Errors
    /// [`AuditError::Read`], here or from an item.
    pub fn history(directory: &Path, since: std::time::SystemTime) -> Result<History, AuditError> {
        History::open(directory, since)
    }

    /// Writes what is left and stops the writer. Decisions after it are errors.
    pub async fn close(&self) {
        self.queue.close();
        let (closed, done) = oneshot::channel();
        if self.commands.send(Command::Close(closed)).is_ok() {
            // An error means that the writer has stopped already.
            let _ = done.await;
        }
    }
}

/// Why the log could not be written or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk did not take the line in time.
    #[error("the audit log took longer than {} s", DEADLINE.as_secs())]
    Busy,
    /// The log cannot be opened.
    #[error("cannot open the audit log `{}`: {}", .0.display(), .1)]
    Open(PathBuf, #[source] Arc<io::Error>),
    /// A segment cannot be read.
    #[error("cannot read the audit log `{}`: {source}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The log is closed.
    #[error("the audit log is closed")]
    Stopped,
    /// The record is longer than a line may be.
    #[error("a record of {0} bytes is too long for the audit log (at most {MAX_LINE_LENGTH})")]
    TooLong(usize),
    /// The disk failed.
    #[error("cannot write the audit log: {0}")]
    Write(#[source] Arc<io::Error>),
}

/// How long a decision may wait until it is on disk.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// The folder of the log in the data directory.
pub const FOLDER: &str = "audit-v1";
/// A segment is full at this length in bytes.
const MAX_SEGMENT_LENGTH: u64 = 64 << 20;
/// Decisions that may wait for the disk.
const MAX_QUEUE_LENGTH: usize = 1024;
