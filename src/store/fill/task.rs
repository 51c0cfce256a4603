//! The owner of one fill, from its turn to its end.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{
    Fills, Order,
    lanes::Place,
    progress::Announcer,
    transfer::Transfer,
    writer::{Piece, Writer},
};
use crate::store::error::FillError;

/// One fill.
pub(super) struct Task {
    fills: Arc<Fills>,
    order: Order,
    announcer: Announcer,
}

/// How a fill ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Someone else had published the content by the time this fill began.
    AlreadyStored,
    Published,
}

impl Task {
    pub(super) const fn new(fills: Arc<Fills>, order: Order, announcer: Announcer) -> Self {
        Self { fills, order, announcer }
    }

    /// Fills, whoever goes away meanwhile.
    ///
    /// # Cancel safety
    /// Dropped only with the runtime: followers then hear [`FillError::Stopped`], and the writer
    /// keeps what it has.
    pub(super) async fn run(self, place: Place) {
        let result = self.fill(place).await;
        let outcome = outcome_of(&result);
        let metrics = &self.fills.blobs.metrics;
        metrics.fill_finished(outcome);
        let digest = self.order.digest;
        self.announcer.ended(result.as_ref().map(drop).map_err(Clone::clone));
        match result {
            Ok(_) => tracing::debug!(%digest, outcome, "fill_finished"),
            Err(error) => {
                match error {
                    FillError::Integrity { .. } => {
                        tracing::error!(%digest, outcome, "fill_failed");
                    }
                    _ => tracing::warn!(%digest, outcome, %error, "fill_failed"),
                }
                if matches!(error, FillError::DiskFull { .. }) {
                    metrics.disk_full();
                }
                self.announcer.failed(error);
            }
        }
    }

    async fn fill(&self, place: Place) -> Result<Filled, FillError> {
        let mut stop = self.fills.stop.clone();
        let metrics = &self.fills.blobs.metrics;
        let turns = async {
            let turn = place.turn(metrics).await;
            (turn, self.fills.slots.acquire().await)
        };
        let (_turn, _slot) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Err(FillError::Stopped),
            (turn, slot) = turns => (turn, slot.map_err(|_| FillError::Stopped)?),
        };
        metrics.fill_started();
        let (pieces, queue) = mpsc::channel(QUEUE_LENGTH);
        let (opened, resumed) = oneshot::channel();
        let writer = Writer {
            blobs: Arc::clone(&self.fills.blobs),
            order: self.order.clone(),
            announcer: self.announcer.clone(),
        };
        let writer = tokio::task::spawn_blocking(move || writer.run(queue, opened));
        if let Ok(offset) = resumed.await {
            let transfer = Transfer { order: &self.order, announcer: &self.announcer, offset };
            let end = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => Err(FillError::Stopped),
                end = transfer.run(&pieces) => end,
            };
            // A writer that has gone has its own error, which counts.
            let _ = pieces.send(Piece::End(end)).await;
        }
        drop(pieces);
        writer.await.unwrap_or_else(|error| {
            tracing::error!(digest = %self.order.digest, %error, "fill_writer_lost");
            Err(FillError::Stopped)
        })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.announcer.failed(FillError::Stopped);
        self.fills.leave(&self.order.digest, &self.announcer);
    }
}

/// The label of the metric.
const fn outcome_of(result: &Result<Filled, FillError>) -> &'static str {
    match result {
        Ok(Filled::AlreadyStored) => "already_stored",
        Ok(Filled::Published) => "published",
        Err(FillError::DiskFull { .. }) => "disk_full",
        Err(FillError::Integrity { .. }) => "integrity",
        Err(FillError::Source(_)) => "source",
        Err(FillError::Stopped) => "stopped",
        Err(FillError::Store(_)) => "store",
    }
}

/// Pieces between the source and the writer. A piece is what the source hands over at once; an
/// HTTP/1.1 client's is at most 64 KiB, so a fill holds 1 MiB.
const QUEUE_LENGTH: usize = 16;
