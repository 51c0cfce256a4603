//! One reader of a fill.

use std::{fs::File, sync::Arc};

use tokio::sync::watch;

use super::progress::{Progress, State};
use crate::{store::error::FillError, telemetry::metrics::Present};

/// Reads content while it is being filled, at its own pace, from any position.
///
/// Dropping it never ends the fill, and a slow one slows nobody: the bytes are in the file.
#[derive(Clone, Debug)]
pub struct Follower {
    progress: watch::Receiver<Progress>,
    file: Arc<File>,
    _present: Arc<Present>,
}

impl Follower {
    pub(super) fn new(
        progress: watch::Receiver<Progress>,
        file: Arc<File>,
        present: Present,
    ) -> Self {
        Self { progress, file, _present: Arc::new(present) }
    }

    /// The growing file. To be read by position, up to what [`readable`](Self::readable) says.
    #[must_use]
    pub const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Waits until the length of the whole content in bytes is known.
    ///
    /// # Errors
    /// When the fill failed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn size(&mut self) -> Result<u64, FillError> {
        self.wait(|progress| progress.size).await
    }

    /// Waits until bytes beyond `position` may be sent, and says up to where; at the end of the
    /// content, returns its length.
    ///
    /// The last byte is withheld until the digest is verified. Who sends only a part of the
    /// content, and means to end before its last byte, asks [`verified`](Self::verified) before
    /// that end: else it would pass off as good what is not known to be.
    ///
    /// # Errors
    /// When the fill failed. What was read before may be wrong; the transfer has to be broken off.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn readable(&mut self, position: u64) -> Result<u64, FillError> {
        self.wait(|progress| {
            let readable = progress.readable();
            let ended = matches!(progress.state, State::Verified);
            (ended || readable > position).then_some(readable)
        })
        .await
    }

    /// Waits until all bytes are there and hash to the digest, and says how many they are.
    ///
    /// # Errors
    /// When the fill failed.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn verified(&mut self) -> Result<u64, FillError> {
        self.wait(|progress| matches!(progress.state, State::Verified).then_some(progress.written))
            .await
    }

    /// Waits until the content is published: it will survive a power failure.
    ///
    /// # Errors
    /// When the fill failed, be it at the last step.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn stored(&mut self) -> Result<(), FillError> {
        self.wait(|progress| progress.end.clone()).await?
    }

    async fn wait<T>(
        &mut self,
        mut answer: impl FnMut(&Progress) -> Option<T>,
    ) -> Result<T, FillError> {
        loop {
            {
                let progress = self.progress.borrow_and_update();
                if let State::Failed(error) = &progress.state {
                    return Err(error.clone());
                }
                if let Some(answer) = answer(&progress) {
                    return Ok(answer);
                }
            }
            // The telling end goes away unheard only with the runtime.
            self.progress.changed().await.map_err(|_| FillError::Stopped)?;
        }
    }
}
