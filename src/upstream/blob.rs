//! Blobs: OCI distribution 1.1, "Pulling blobs", and ranges (RFC 9110, 14).
//!
//! A body that breaks is taken up again where it broke, so that whoever reads sees one gap-free
//! stream or an error. Each piece has its position; a part that begins elsewhere, a length that
//! changed or bytes beyond the announced length end the stream. Whether the bytes are the digest's
//! is not decided here but by who stores them, except for small ones, which are read whole.

use std::fmt;

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, ETAG, IF_RANGE, RANGE},
};

use super::{
    Upstream,
    body::{Pieces, Streaming, Whole},
    content_range::ContentRange,
    error::UpstreamError,
    exchange::{Answer, Call, Outcome},
    retry::{self, Failure},
};
use crate::oci::{Digest, Repository};

/// A blob on its way.
pub struct BlobStream {
    /// The length of the whole blob, where the upstream says it.
    pub size: Option<u64>,
    /// Where `body` begins in the blob: what was asked for, or 0 when the upstream ignored that.
    pub from: u64,
    /// The bytes from there to the end. Ends after the first error.
    pub body: BoxStream<'static, Result<Bytes, UpstreamError>>,
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BlobStream")
            .field("size", &self.size)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Opens a blob from the position `from` on.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream gives the transfer up.
    ///
    /// # Errors
    /// See [`UpstreamError`]. The bytes are not compared with `digest`.
    pub async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: u64,
    ) -> Result<BlobStream, UpstreamError> {
        let blob = Blob { upstream: self.clone(), repository: repository.clone(), digest: *digest };
        let part = match blob.part(from, None).await? {
            Some(part) => part,
            // `from` lies beyond the end. What the caller has is wrong, then; it starts over.
            None => blob.part(0, None).await?.ok_or_else(|| {
                UpstreamError::invalid("it refuses the whole blob as a range (status 416)")
            })?,
        };
        let (size, from) = (part.size, part.first);
        let transfer = Transfer {
            blob,
            etag: part.etag,
            size,
            position: from,
            skip: 0,
            pieces: Some(part.pieces),
            breaks: 0,
            progress: 0,
        };
        let body = stream::try_unfold(transfer, |mut transfer| async move {
            Ok(transfer.next().await?.map(|piece| (piece, transfer)))
        });
        Ok(BlobStream { size, from, body: body.boxed() })
    }

    /// Fetches a small blob whole, and compares it with `digest`.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::Limit`] when it has more than `limit` bytes.
    pub async fn fetch_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, UpstreamError> {
        let url = self.base().at(repository, format_args!("blobs/{digest}"));
        let call = Call::get(repository, url);
        let answer = self.exchange().call(&call, &Whole { limit }).await?.success()?;
        if !digest.matches(&answer.content) {
            return Err(UpstreamError::Integrity { digest: *digest });
        }
        Ok(answer.content)
    }
}

/// Which blob, and where from.
struct Blob {
    upstream: Upstream,
    repository: Repository,
    digest: Digest,
}

/// An answer to a request for a blob from some position on.
struct Part {
    size: Option<u64>,
    /// Where it begins: the position asked for, or 0.
    first: u64,
    /// A strong validator, for `If-Range`.
    etag: Option<HeaderValue>,
    pieces: Pieces,
}

impl Blob {
    /// Asks for the blob from `from` on; `None` when the upstream says that is beyond its end.
    async fn part(
        &self,
        from: u64,
        etag: Option<&HeaderValue>,
    ) -> Result<Option<Part>, UpstreamError> {
        let base = self.upstream.base();
        let url = base.at(&self.repository, format_args!("blobs/{}", self.digest));
        let mut call = Call::get(&self.repository, url);
        if from > 0 {
            let range = HeaderValue::try_from(format!("bytes={from}-"))
                .expect("a number makes a header value");
            call.ask.headers.insert(RANGE, range);
            if let Some(etag) = etag {
                call.ask.headers.insert(IF_RANGE, etag.clone());
            }
        }
        match self.upstream.exchange().call(&call, &Streaming).await? {
            Outcome::Refusal(StatusCode::RANGE_NOT_SATISFIABLE) => Ok(None),
            outcome => Part::of(outcome.success()?, from).map(Some),
        }
    }
}

impl Part {
    fn of(answer: Answer<Pieces>, from: u64) -> Result<Self, UpstreamError> {
        let (first, size) = match answer.status {
            StatusCode::OK => (0, content_length(&answer.headers)),
            StatusCode::PARTIAL_CONTENT => {
                let range = ContentRange::of(&answer.headers)
                    .map_err(|error| UpstreamError::invalid(error.to_string()))?;
                if range.first != from {
                    return Err(UpstreamError::invalid(format!(
                        "a part from byte {from} on was asked for, and it begins at byte {}",
                        range.first
                    )));
                }
                (from, range.total)
            }
            status => {
                let text = format!("a blob does not come with status {}", status.as_u16());
                return Err(UpstreamError::invalid(text));
            }
        };
        // RFC 9110, 13.1.5: a weak validator must not be used with `If-Range`.
        let is_strong = |etag: &&HeaderValue| etag.as_bytes().starts_with(b"\"");
        let etag = answer.headers.get(ETAG).filter(is_strong).cloned();
        Ok(Self { size, first, etag, pieces: answer.content })
    }
}

/// A blob being read, across the connections that it takes.
struct Transfer {
    blob: Blob,
    etag: Option<HeaderValue>,
    size: Option<u64>,
    /// Where the next piece to hand on begins.
    position: u64,
    /// Bytes to leave out, because the upstream began again from the start.
    skip: u64,
    /// The body that is being read; `None` between two of them.
    pieces: Option<Pieces>,
    /// Bodies that broke since the last good stretch.
    breaks: u32,
    /// Bytes since the last break.
    progress: u64,
}

impl Transfer {
    async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let Some(pieces) = &mut self.pieces else {
                self.resume().await?;
                continue;
            };
            match pieces.next().await {
                Ok(Some(piece)) => {
                    if let Some(piece) = self.take(piece)? {
                        return Ok(Some(piece));
                    }
                }
                Ok(None) if self.is_complete() => return Ok(None),
                Ok(None) => self.broke(Failure::broken("its answer ended early"))?,
                Err(failure) => self.broke(failure)?,
            }
        }
    }

    /// Whether the end of a body is the end of the blob. One that never said its length is believed.
    fn is_complete(&self) -> bool {
        self.skip == 0 && self.size.is_none_or(|size| size == self.position)
    }

    /// What of `piece` is new; an error when there is more than was announced.
    fn take(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, UpstreamError> {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        piece.advance(usize::try_from(skipped).unwrap_or(piece.len()));
        if piece.is_empty() {
            return Ok(None);
        }
        self.position += piece.len() as u64;
        if self.size.is_some_and(|size| self.position > size) {
            return Err(UpstreamError::invalid("it sends more bytes than it announced"));
        }
        self.progress += piece.len() as u64;
        if self.progress >= GOOD_STRETCH {
            self.breaks = 0;
        }
        Ok(Some(piece))
    }

    fn broke(&mut self, failure: Failure) -> Result<(), UpstreamError> {
        self.pieces = None;
        self.progress = 0;
        self.breaks += 1;
        if self.breaks > MAX_BREAKS {
            return Err(failure.error);
        }
        tracing::debug!(digest = %self.blob.digest, position = self.position, error = %failure.error, "blob_resume");
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), UpstreamError> {
        let entropy = &*self.blob.upstream.exchange().environment().entropy;
        tokio::time::sleep(retry::backoff(self.breaks.saturating_sub(1), entropy)).await;
        let beyond = || UpstreamError::invalid("the blob is shorter than it was at first");
        let part = self.blob.part(self.position, self.etag.as_ref()).await?.ok_or_else(beyond)?;
        if let (Some(before), Some(now)) = (self.size, part.size)
            && before != now
        {
            return Err(UpstreamError::invalid(format!(
                "the blob had {before} bytes at first and has {now} now"
            )));
        }
        self.size = self.size.or(part.size);
        self.skip = self.position - part.first;
        self.pieces = Some(part.pieces);
        Ok(())
    }
}

/// `Content-Length`, which hyper has checked to be one number.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How often a body may break without a good stretch in between.
const MAX_BREAKS: u32 = 4;
/// Bytes after which earlier breaks are forgiven: a long transfer over a bad line ends, and an
/// upstream that sends a byte at a time does not keep the mirror busy.
const GOOD_STRETCH: u64 = 4 << 20;
