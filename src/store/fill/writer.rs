//! From the queue to the disk: the thread of a fill.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Order, progress::Announcer, task::Filled};
use crate::store::{
    blobs::{Blobs, Class},
    error::{FillError, SourceErrorKind},
    partial::Partial,
};

/// What the transfer hands over.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    /// There is no more, and why.
    End(Result<(), FillError>),
}

/// The part of a fill that blocks.
pub(super) struct Writer {
    pub(super) blobs: Arc<Blobs>,
    pub(super) order: Order,
    pub(super) announcer: Announcer,
}

impl Writer {
    /// Writes and hashes everything in the queue, and publishes it. Says over `opened` how many
    /// bytes are there already, unless there is nothing left to fetch.
    pub(super) fn run(
        self,
        queue: mpsc::Receiver<Piece>,
        opened: oneshot::Sender<u64>,
    ) -> Result<Filled, FillError> {
        if let Some(stored) = self.blobs.open(&self.order.digest)? {
            self.announcer.opened(&stored.file, stored.size);
            self.announcer.verified(stored.size);
            return Ok(Filled::AlreadyStored);
        }
        let mut partial = self.open_partial()?;
        self.announcer.opened(partial.file(), partial.written());
        let offset = partial.written();
        // Nobody listens once the runtime goes away; then the queue is closed too.
        let _ = opened.send(offset);
        let received = self.receive(&mut partial, queue);
        self.blobs.metrics.fill_bytes(partial.written() - offset);
        if let Err(error) = received {
            match is_worth_keeping(&error) {
                true => partial.keep(),
                false => partial.discard(),
            }
            return Err(error);
        }
        let verified = partial.verify(self.order.size)?;
        let size = verified.size();
        self.announcer.verified(size);
        verified.publish()?;
        self.blobs.published(&self.order.digest, size, Class::Evictable);
        Ok(Filled::Published)
    }

    fn open_partial(&self) -> Result<Partial, FillError> {
        let (disk, digest) = (&self.blobs.disk, &self.order.digest);
        let mut partial = Partial::resume(disk, digest)?;
        if let Some(size) = self.order.size {
            if partial.written() > size {
                partial = Partial::restart(disk, digest)?;
            }
            if let Err(error) = disk.require_space(size - partial.written()) {
                partial.discard();
                return Err(error.into());
            }
        }
        Ok(partial)
    }

    fn receive(
        &self,
        partial: &mut Partial,
        mut queue: mpsc::Receiver<Piece>,
    ) -> Result<(), FillError> {
        let mut announced = partial.written();
        while let Some(piece) = queue.blocking_recv() {
            match piece {
                Piece::Bytes(bytes) => partial.append(&bytes)?,
                Piece::End(end) => {
                    self.announcer.advanced(partial.written());
                    return end;
                }
            }
            if queue.is_empty() || partial.written() - announced >= ANNOUNCE_EVERY {
                announced = partial.written();
                self.announcer.advanced(announced);
            }
        }
        Err(FillError::Stopped)
    }
}

/// Whether the next fill may go on from what this one has written.
fn is_worth_keeping(error: &FillError) -> bool {
    match error {
        // The space is what everyone else needs now.
        FillError::DiskFull { .. } | FillError::Integrity { .. } => false,
        FillError::Source(error) => error.kind() != SourceErrorKind::Integrity,
        FillError::Stopped | FillError::Store(_) => true,
    }
}

/// Bytes that are written without telling the followers, while more are waiting.
const ANNOUNCE_EVERY: u64 = 256 << 10;
