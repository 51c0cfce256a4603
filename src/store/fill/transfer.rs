//! From the source to the queue: checks positions and lengths, looks at no byte.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{FillStream, Order, progress::Announcer, writer::Piece};
use crate::store::error::{FillError, SourceError, SourceErrorKind};

/// The part of a fill that waits for the source.
pub(super) struct Transfer<'a> {
    pub(super) order: &'a Order,
    pub(super) announcer: &'a Announcer,
    /// Bytes that are there already.
    pub(super) offset: u64,
}

impl Transfer<'_> {
    /// Queues everything beyond `offset`, each byte once. Ends early when the writer has gone.
    ///
    /// A source that starts before `offset` sends again what is there. That is dropped and not
    /// compared: followers have read what is in the file, and the digest is taken over what is in
    /// the file, so what they read is what is verified.
    pub(super) async fn run(&self, pieces: &mpsc::Sender<Piece>) -> Result<(), FillError> {
        if self.order.size == Some(self.offset) {
            return Ok(());
        }
        let asked = self.first_wanted();
        let FillStream { from, size, mut body } =
            self.order.source.open(asked).await.map_err(FillError::Source)?;
        if from > asked {
            let reason = format!("the source started at byte {from} instead of {asked}");
            return Err(unavailable(reason));
        }
        let size = self.agreed_size(size)?;
        let mut position = from;
        while let Some(piece) = body.next().await {
            let mut piece = piece.map_err(FillError::Source)?;
            let known = self.offset.saturating_sub(position).min(piece.len() as u64);
            position += piece.len() as u64;
            if size.is_some_and(|size| position > size) {
                return Err(self.integrity());
            }
            piece.advance(usize::try_from(known).expect("at most the piece's length"));
            if !piece.is_empty() && !queue(pieces, piece).await {
                return Ok(());
            }
        }
        match size {
            Some(size) if position < size => {
                Err(unavailable(format!("the source ended after {position} of {size} bytes")))
            }
            None if position < self.offset => Err(self.integrity()),
            _ => Ok(()),
        }
    }

    /// Where the length is unknown, one byte is asked for again: a source may refuse to send
    /// nothing, and whether anything is missing is not known.
    const fn first_wanted(&self) -> u64 {
        match self.order.size {
            Some(_) => self.offset,
            None => self.offset.saturating_sub(1),
        }
    }

    fn agreed_size(&self, announced: Option<u64>) -> Result<Option<u64>, FillError> {
        let size = match (self.order.size, announced) {
            (Some(wanted), Some(announced)) if wanted != announced => return Err(self.integrity()),
            (None, Some(announced)) if announced < self.offset => return Err(self.integrity()),
            (wanted, announced) => wanted.or(announced),
        };
        if let Some(size) = size {
            self.announcer.sized(size);
        }
        Ok(size)
    }

    const fn integrity(&self) -> FillError {
        FillError::Integrity { digest: self.order.digest }
    }
}

async fn queue(pieces: &mpsc::Sender<Piece>, piece: Bytes) -> bool {
    pieces.send(Piece::Bytes(piece)).await.is_ok()
}

fn unavailable(reason: String) -> FillError {
    FillError::Source(SourceError::new(SourceErrorKind::Unavailable, reason))
}
