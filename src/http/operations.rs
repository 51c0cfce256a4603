//! What an operator can have done on a running mirror, beside looking at it.
//!
//! `POST /v1/import` takes an archive as a tar stream and answers with a line of JSON for each image;
//! `GET /v1/images` lists what is here; `POST /v1/recheck` judges it again, and `POST /v1/verify` one
//! image ([`verify`](super::verify)). All are for the machine's own operator: the listener is on
//! loopback, and the media type of an archive is one that a page in a browser may not send across
//! origins without asking first, which is refused here (Fetch standard, "CORS-safelisted
//! request-header").

use std::{fmt, io, io::Read};

use bytes::{Buf as _, Bytes};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::mirror::Mirror;

/// Work on a running mirror.
pub trait Operations: Send + Sync + fmt::Debug {
    /// Takes in the archive that `reader` yields, and says what became of each image: lines of JSON.
    fn import(&self, reader: Box<dyn Read + Send>, wanted: ImportWanted) -> Answer;

    /// The mirror on which it is done.
    fn mirror(&self) -> &Mirror;

    /// Lists what is here: JSON.
    fn list(&self) -> Answer;

    /// Judges the cached images again whose repositories match `pattern`, all of them where it is
    /// empty, and says what changed: JSON.
    fn recheck(&self, pattern: String) -> Answer;
}

/// The text of an answer, or why there is none.
pub type Answer = BoxFuture<'static, Result<String, String>>;

/// How an archive is to be taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportWanted {
    /// Whether what policy denies is kept.
    pub keep_denied: bool,
    /// The repository of images whose names are only tags.
    pub repository: Option<String>,
}

impl ImportWanted {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// When it has a parameter that is none.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| format!("`{key}` is no text"))?;
            match key {
                "keep_denied" => wanted.keep_denied = value == "true",
                "repository" => wanted.repository = Some(value.into_owned()),
                _ => return Err(format!("there is no parameter `{key}`")),
            }
        }
        Ok(wanted)
    }

    /// The query that `parse` reads.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut query = format!("keep_denied={}", self.keep_denied);
        if let Some(repository) = &self.repository {
            let encoded = percent_encoding::utf8_percent_encode(
                repository,
                percent_encoding::NON_ALPHANUMERIC,
            );
            query.push_str(&format!("&repository={encoded}"));
        }
        query
    }
}

/// A request's body for someone who reads on a thread that may block.
#[derive(Debug)]
pub(super) struct BodyReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl BodyReader {
    /// Reads `body`. A task hands its pieces on, a few ahead.
    pub(super) fn new(mut body: Incoming) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            while let Some(frame) = body.frame().await {
                let piece = match frame.map(hyper::body::Frame::into_data) {
                    Ok(Ok(data)) => Ok(data),
                    // Trailers say nothing about an archive.
                    Ok(Err(_)) => continue,
                    Err(error) => Err(io::Error::other(error)),
                };
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Self { pieces, piece: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let read = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

/// Pieces that wait for the reader.
const PIECES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_round_trip() {
        for wanted in [
            ImportWanted::default(),
            ImportWanted { keep_denied: true, repository: Some("docker.io/acme/app&x=y".into()) },
        ] {
            assert_eq!(ImportWanted::parse(&wanted.to_query()), Ok(wanted));
        }
        assert!(ImportWanted::parse("policy=off").is_err());
    }
}
