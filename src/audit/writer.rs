//! The one thread that writes.
//!
//! It takes what has queued up while the disk was busy, writes it as one piece, flushes once and
//! answers everybody (group commit): a hundred decisions at a time cost one flush. Pulls ride along
//! with the next batch, at the latest a second after they happened.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    AuditError,
    pulls::Pulls,
    record::{Entry, PullRecord},
    segments::Segments,
};
use crate::telemetry::Metrics;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Command {
    /// Write what is left and stop.
    Close(oneshot::Sender<()>),
    /// Write this line.
    Write(Request),
}

/// A line somebody waits for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) line: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<(), AuditError>>,
    /// The place in the queue, free again once the line is dealt with.
    pub(super) place: OwnedSemaphorePermit,
}

/// The writer, as the thread owns it.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) segments: Segments,
    pub(super) commands: Receiver<Command>,
    pub(super) pulls: Arc<Pulls>,
    pub(super) metrics: Arc<Metrics>,
}

impl Writer {
    /// Writes until it is told to stop or nobody can tell it anything any more.
    pub(super) fn run(mut self) {
        loop {
            match self.commands.recv_timeout(PULL_INTERVAL) {
                Ok(Command::Write(first)) => {
                    let (batch, close) = self.batch(first);
                    self.write(batch);
                    if let Some(closed) = close {
                        return self.close(Some(closed));
                    }
                }
                Ok(Command::Close(closed)) => return self.close(Some(closed)),
                Err(RecvTimeoutError::Timeout) => self.write(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return self.close(None),
            }
        }
    }

    /// `first` and what has queued up behind it, up to [`MAX_BATCH_LENGTH`].
    fn batch(&self, first: Request) -> (Vec<Request>, Option<oneshot::Sender<()>>) {
        let mut length = first.line.len();
        let mut batch = vec![first];
        while length < MAX_BATCH_LENGTH {
            match self.commands.try_recv() {
                Ok(Command::Write(request)) => {
                    length += request.line.len();
                    batch.push(request);
                }
                Ok(Command::Close(closed)) => return (batch, Some(closed)),
                Err(_) => break,
            }
        }
        (batch, None)
    }

    /// Makes `batch` and the waiting pulls durable, and answers.
    fn write(&mut self, batch: Vec<Request>) {
        let pulls = self.pulls.take();
        let mut lines = Vec::new();
        for request in &batch {
            lines.extend_from_slice(&request.line);
        }
        for pull in &pulls {
            lines.extend_from_slice(&Entry::Pull(pull.clone()).to_line());
        }
        if lines.is_empty() {
            return;
        }
        let result = self.segments.commit(&lines).map_err(|error| self.failed(pulls, error));
        if result.is_ok() {
            self.metrics.audit_committed(batch.len() as u64, lines.len() as u64);
        }
        for Request { answer, place, .. } in batch {
            drop(place);
            // Whoever asked may have given up; the line is written all the same.
            let _ = answer.send(result.clone());
        }
    }

    /// Keeps the pulls for the next time; the decisions are answered with the error.
    fn failed(&self, pulls: Vec<PullRecord>, error: io::Error) -> AuditError {
        self.metrics.audit_failed();
        tracing::error!(%error, "the audit log cannot be written; decisions are refused");
        for pull in pulls {
            if !self.pulls.add(pull) {
                self.metrics.audit_pull_lost();
            }
        }
        AuditError::Write(Arc::new(error))
    }

    fn close(mut self, closed: Option<oneshot::Sender<()>>) {
        self.write(Vec::new());
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }
}

/// How long a pull may wait for the disk.
const PULL_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that are written in one piece, give or take a line.
const MAX_BATCH_LENGTH: usize = 1 << 20;
