//! What a fill tells those who follow it.

use std::{fs::File, sync::Arc};

use tokio::sync::watch;

use crate::store::error::FillError;

/// How far a fill has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The growing file, once it is open.
    pub(super) file: Option<Arc<File>>,
    /// The length of the whole content in bytes, once it is known.
    pub(super) size: Option<u64>,
    /// Bytes in the file.
    pub(super) written: u64,
    pub(super) state: State,
    /// What came of it, once nothing of it is under way any more.
    pub(super) end: Option<Result<(), FillError>>,
}

#[derive(Clone, Debug, Default)]
pub(super) enum State {
    Failed(FillError),
    #[default]
    Running,
    /// All bytes are there and hash to the digest.
    Verified,
}

impl Progress {
    /// Up to where bytes may be sent. The last byte is withheld until the digest is known to be
    /// right, so that no client can take a wrong blob for a whole one.
    pub(super) fn readable(&self) -> u64 {
        match (&self.state, self.size) {
            (State::Verified, _) => self.written,
            (_, Some(size)) => self.written.min(size.saturating_sub(1)),
            // Any byte could be the last.
            (_, None) => self.written.saturating_sub(1),
        }
    }
}

/// The telling end.
#[derive(Clone, Debug)]
pub(super) struct Announcer(Arc<watch::Sender<Progress>>);

impl Announcer {
    /// Nothing is known until the source has answered, not even a length that was ordered: who
    /// hears a length takes it that the content is there.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Progress::default())))
    }

    pub(super) fn follow(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    pub(super) fn opened(&self, file: &Arc<File>, written: u64) {
        self.0.send_modify(|progress| {
            progress.file = Some(Arc::clone(file));
            progress.written = written;
        });
    }

    pub(super) fn sized(&self, size: u64) {
        self.0.send_modify(|progress| progress.size = Some(size));
    }

    pub(super) fn advanced(&self, written: u64) {
        self.0.send_modify(|progress| progress.written = written);
    }

    pub(super) fn verified(&self, size: u64) {
        self.0.send_modify(|progress| {
            progress.size = Some(size);
            progress.written = size;
            progress.state = State::Verified;
        });
    }

    /// Does nothing once the fill has ended one way or the other.
    pub(super) fn failed(&self, error: FillError) {
        self.0.send_if_modified(|progress| {
            let running = matches!(progress.state, State::Running);
            if running {
                progress.state = State::Failed(error);
            }
            running
        });
    }

    pub(super) fn ended(&self, end: Result<(), FillError>) {
        self.0.send_modify(|progress| progress.end = Some(end));
    }

    /// Whether this is the telling end of the same fill.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.0.borrow().state, State::Failed(_))
    }
}
