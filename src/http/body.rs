//! The bodies of responses, and the only place with a read strategy.
//!
//! On a plain HTTP/1.1 connection, what the page cache holds of a blob goes from there into the
//! socket without passing through this process ([`sendfile`](super::sendfile)). Elsewhere, and where
//! the page cache does not hold it, a blob is read from its file in pieces of one buffer, as fast as
//! the client takes them. A piece that the page cache holds is read on the spot (`preadv2` with `RWF_NOWAIT` never waits for a
//! disk), without the hop to another thread that costs three times the processor time; only a cold
//! piece goes to the blocking pool. A blob that is still coming from the upstream is read in the same
//! way, as far as its fill says that it may be. A blob so small that the store keeps it in memory is
//! sent from there.
//!
//! A body that cannot go on ends with an error, upon which hyper cuts the connection (HTTP/1.1) or
//! resets the stream (HTTP/2): a client never sees a short blob that looks whole.
//!
//! # Cancel safety
//! Dropping a body closes nothing but its own view: the file and the fill live on.

use std::{
    fmt,
    fs::File,
    future::Future as _,
    io::{self, IoSliceMut},
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use hyper::body::{Frame, SizeHint};
use rustix::io::ReadWriteFlags;
use tokio::task::JoinHandle;

use super::{
    buffers::{BUFFER_SIZE, Buffer, Buffers},
    range::Span,
    record::Record,
    sendfile::{Lane, MAX_PIECE},
};
use crate::mirror::{Blob, FillError, Follower};

/// The body of a response. When it ends or is dropped, its request is over.
#[derive(Debug, Default)]
pub struct Body {
    content: Content,
    record: Option<Box<Record>>,
}

#[derive(Debug, Default)]
enum Content {
    #[default]
    Empty,
    File(FileBody),
    Memory(Bytes),
}

impl Body {
    /// No content.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The bytes `span` of a blob that is there.
    #[must_use]
    pub fn stored(blob: Blob, span: Span, buffers: Buffers) -> Self {
        if let Some(part) = blob.small.as_ref().and_then(|bytes| part(bytes, span)) {
            return part.into();
        }
        let file = Arc::clone(&blob.file);
        FileBody::new(file, span, Source::Stored(blob), buffers).into()
    }

    /// The bytes `span` of a blob of `size` bytes that is still coming, as they come.
    #[must_use]
    pub fn growing(follower: Follower, span: Span, size: u64, buffers: Buffers) -> Self {
        let file = Arc::clone(follower.file());
        let growth = growth(follower, span, size);
        FileBody::new(file, span, Source::Growing(growth), buffers).into()
    }

    /// Sends what it can over the `lane` of its connection.
    pub(super) fn over(mut self, lane: Option<Lane>) -> Self {
        if let Content::File(file) = &mut self.content {
            file.lane = lane;
        }
        self
    }

    /// Attaches what is written down when this body is over.
    pub(super) fn with_record(self, record: Box<Record>) -> Self {
        Self { record: Some(record), ..self }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { content: Content::Memory(bytes), record: None }
    }
}

impl From<FileBody> for Body {
    fn from(file: FileBody) -> Self {
        Self { content: Content::File(file), record: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = match &mut self.content {
            Content::Empty => None,
            Content::Memory(bytes) if bytes.is_empty() => None,
            Content::Memory(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::File(file) => ready!(file.poll_piece(context)),
        };
        if let Some(record) = &mut self.record {
            match &piece {
                Some(Ok(bytes)) => record.sent(bytes.len()),
                Some(Err(error)) => record.broke(error),
                None => {}
            }
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.remaining())
    }
}

impl Content {
    fn remaining(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::File(file) => file.end - file.position,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

/// Why a body could not go on.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The blob did not come, or not as its digest says.
    #[error("the blob could not be fetched to its end")]
    Fill(#[from] FillError),
    /// The file could not be read.
    #[error("the blob could not be read")]
    Read(#[source] io::Error),
    /// The file is shorter than its blob.
    #[error("the blob's file ends before the blob")]
    Short,
}

/// Who says how far a file may be read.
enum Source {
    Growing(Growth),
    /// All of it. The blob is not evicted while somebody holds it.
    #[expect(dead_code, reason = "held, not read")]
    Stored(Blob),
}

/// How far a growing file may be read, again and again.
type Growth = BoxStream<'static, Result<u64, FillError>>;

/// The growth of `span` of a blob of `size` bytes. The last byte of the span waits until all of the
/// blob is verified: a part of it must not look whole, either, when the rest turns out to be wrong.
fn growth(follower: Follower, span: Span, size: u64) -> Growth {
    stream::try_unfold((follower, span.start), move |(mut follower, position)| async move {
        let readable = if position + 1 < span.end {
            allowed(follower.readable(position).await?, span, size)
        } else {
            follower.verified().await?;
            span.end
        };
        Ok(Some((readable, (follower, readable))))
    })
    .boxed()
}

/// How much of `span` may be sent when `readable` bytes of the blob are. Only a verified blob is
/// readable to its last byte.
fn allowed(readable: u64, span: Span, size: u64) -> u64 {
    if readable == size { span.end } else { readable.min(span.end - 1) }
}

/// A part of a file on its way to a client.
struct FileBody {
    file: Arc<File>,
    /// The next byte to send.
    position: u64,
    /// Behind the last byte to send.
    end: u64,
    /// Behind the last byte that may be sent now.
    readable: u64,
    source: Source,
    /// The read of a piece that was not in memory.
    cold: Option<JoinHandle<io::Result<Bytes>>>,
    buffers: Buffers,
    /// The way around the buffers, where the connection has one.
    lane: Option<Lane>,
}

impl FileBody {
    fn new(file: Arc<File>, span: Span, source: Source, buffers: Buffers) -> Self {
        let readable = match source {
            Source::Growing(_) => span.start,
            Source::Stored(_) => span.end,
        };
        let Span { start: position, end } = span;
        Self { file, position, end, readable, source, cold: None, buffers, lane: None }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.position == self.end {
            return Poll::Ready(None);
        }
        if let Err(error) = ready!(self.poll_readable(context)) {
            return Poll::Ready(Some(Err(error.into())));
        }
        let piece = match self.poll_read(context) {
            Poll::Ready(Ok(piece)) if piece.is_empty() => Err(BodyError::Short),
            Poll::Ready(Ok(piece)) => {
                self.position += piece.len() as u64;
                Ok(piece)
            }
            Poll::Ready(Err(error)) => Err(BodyError::Read(error)),
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Some(piece))
    }

    /// Waits until the byte at `position` may be sent.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<Result<(), FillError>> {
        while self.readable <= self.position {
            let next = match &mut self.source {
                Source::Growing(growth) => ready!(growth.poll_next_unpin(context)),
                Source::Stored(_) => None,
            };
            self.readable = next.unwrap_or(Err(FillError::Stopped))?;
        }
        Poll::Ready(Ok(()))
    }

    /// The next piece, for the lane: a large one that is in memory, but never the last byte.
    fn direct_piece(&self, lane: &Lane) -> Option<Bytes> {
        let length = (self.readable.min(self.end - 1) - self.position).min(MAX_PIECE as u64);
        let is_worth_it = length >= BUFFER_SIZE as u64;
        (is_worth_it && is_cached(&self.file, self.position, length))
            .then(|| lane.put(&self.file, self.position, length))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if let (Some(lane), None) = (&self.lane, &self.cold) {
            if let Some(piece) = self.direct_piece(lane) {
                return Poll::Ready(Ok(piece));
            }
            ready!(lane.poll_empty(context));
        }
        let length = self.readable.min(self.end) - self.position;
        let cold = match &mut self.cold {
            Some(cold) => cold,
            None => match read_cached(&self.file, self.buffers.take(), self.position, length) {
                Ok(piece) => return Poll::Ready(Ok(piece)),
                Err(buffer) => {
                    let (file, position) = (Arc::clone(&self.file), self.position);
                    let read = move || read_cold(&file, buffer, position, length);
                    self.cold.insert(tokio::task::spawn_blocking(read))
                }
            },
        };
        let read = ready!(Pin::new(cold).poll(context));
        self.cold = None;
        Poll::Ready(read.unwrap_or_else(|stopped| Err(io::Error::other(stopped))))
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FileBody")
            .field("file", &self.file)
            .field("position", &self.position)
            .field("end", &self.end)
            .field("readable", &self.readable)
            .finish_non_exhaustive()
    }
}

/// The bytes `span` of content in memory.
fn part(content: &Bytes, span: Span) -> Option<Bytes> {
    let range = usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?;
    (range.end <= content.len()).then(|| content.slice(range))
}

/// Whether the page cache holds both ends of a piece, and so most probably all of it. Where it does
/// not, sending would wait for the disk.
fn is_cached(file: &File, position: u64, length: u64) -> bool {
    [position, position + length - 1].into_iter().all(|position| {
        let mut byte = [0];
        let mut space = [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut space, position, ReadWriteFlags::NOWAIT) == Ok(1)
    })
}

/// Reads what the page cache holds; gives the buffer back when that is nothing, or when the file
/// system cannot tell.
fn read_cached(
    file: &File,
    mut buffer: Buffer,
    position: u64,
    length: u64,
) -> Result<Bytes, Buffer> {
    let mut space = [IoSliceMut::new(buffer.space(length))];
    match rustix::io::preadv2(file, &mut space, position, ReadWriteFlags::NOWAIT) {
        Ok(count) => Ok(buffer.freeze(count)),
        // A true error comes again from the waiting read, which reports it.
        Err(_) => Err(buffer),
    }
}

/// Reads, and waits for the disk.
fn read_cold(file: &File, mut buffer: Buffer, position: u64, length: u64) -> io::Result<Bytes> {
    loop {
        match file.read_at(buffer.space(length), position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map(|count| buffer.freeze(count)),
        }
    }
}

#[cfg(test)]
mod tests;
