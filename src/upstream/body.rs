//! Bodies: how much of one is read, and how long that may take.
//!
//! A body is content from outside. A small one is read whole, up to a limit that its reader names
//! and within a time for all of it; a blob is handed on piece by piece, with a time between pieces.
//! Nothing is ever decompressed: an encoded answer is refused, since what is hashed must be what was
//! sent, and a bomb must not go off here (G-37).

use std::{pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{
    error::{UpstreamError, root_cause},
    retry::Failure,
    settings::Timeouts,
};

/// How the body of a successful answer is read.
pub(super) trait Reading: Sync {
    /// What comes of it.
    type Content: Send;

    /// Reads `body`.
    fn read(
        &self,
        body: Incoming,
        timeouts: &Timeouts,
    ) -> impl Future<Output = Result<Self::Content, Failure>> + Send;
}

/// Nothing of it: the answer to `HEAD`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nothing;

impl Reading for Nothing {
    type Content = ();

    async fn read(&self, _: Incoming, _: &Timeouts) -> Result<(), Failure> {
        Ok(())
    }
}

/// All of it, which must be at most `limit` bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) limit: usize,
}

impl Reading for Whole {
    type Content = Bytes;

    async fn read(&self, body: Incoming, timeouts: &Timeouts) -> Result<Bytes, Failure> {
        let too_large = || UpstreamError::limit(format!("more than {} bytes", self.limit));
        // Nothing is reserved for what the upstream announces: it only has to announce it.
        if body.size_hint().lower() > self.limit as u64 {
            return Err(too_large().into());
        }
        let mut body = Pieces::new(body, timeouts.idle);
        let mut collected = BytesMut::new();
        let reading = async {
            while let Some(piece) = body.next().await? {
                if collected.len() + piece.len() > self.limit {
                    return Err(Failure::from(too_large()));
                }
                collected.extend_from_slice(&piece);
            }
            Ok(())
        };
        match tokio::time::timeout(timeouts.small_body, reading).await {
            Ok(outcome) => outcome.map(|()| collected.freeze()),
            Err(_) => Err(Failure::broken(format!(
                "its answer was not complete within {:?}",
                timeouts.small_body
            ))),
        }
    }
}

/// Piece by piece, as it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streaming;

impl Reading for Streaming {
    type Content = Pieces;

    async fn read(&self, body: Incoming, timeouts: &Timeouts) -> Result<Pieces, Failure> {
        Ok(Pieces::new(body, timeouts.idle))
    }
}

/// A body whose pieces must not be too far apart.
#[derive(Debug)]
pub(super) struct Pieces {
    body: Incoming,
    idle: Duration,
}

impl Pieces {
    const fn new(body: Incoming, idle: Duration) -> Self {
        Self { body, idle }
    }

    /// The next piece; `None` when the body is complete, which means as long as it was announced.
    ///
    /// # Cancel safety
    /// No piece is lost when this is dropped while it waits.
    ///
    /// # Errors
    /// When the body breaks off, or nothing comes for too long.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = tokio::time::timeout(self.idle, Pin::new(&mut self.body).frame()).await;
            match frame {
                Err(_) => {
                    let text =
                        format!("nothing came for {:?} in the middle of an answer", self.idle);
                    return Err(Failure::broken(text));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(Failure::broken(format!(
                        "its answer broke off: {}",
                        root_cause(&error)
                    )));
                }
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                    // Trailers, or a piece without content.
                    Ok(_) | Err(_) => {}
                },
            }
        }
    }
}

/// Refuses an answer that is encoded although none was asked for.
///
/// # Errors
/// [`UpstreamError::Invalid`] for every encoding but `identity`.
pub(super) fn refuse_encoded(headers: &HeaderMap) -> Result<(), UpstreamError> {
    let is_identity = |value: &http::HeaderValue| {
        let text = value.as_bytes().trim_ascii();
        text.is_empty() || text.eq_ignore_ascii_case(b"identity")
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        Ok(())
    } else {
        Err(UpstreamError::invalid("it has a `Content-Encoding`, which was not asked for"))
    }
}
