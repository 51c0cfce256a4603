//! Where a content lies: a run of bytes in one file, or in several that follow each other.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use tokio::sync::mpsc;

/// A run of bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    parts: Arc<[Part]>,
    size: u64,
}

/// A run of bytes in one file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) file: Arc<File>,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) length: u64,
}

impl Extent {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        let size = parts.iter().map(|part| part.length).sum();
        Self { parts: parts.into(), size }
    }

    pub(super) fn whole(file: Arc<File>, size: u64) -> Self {
        Self::new(vec![Part { file, offset: 0, length: size }])
    }

    /// Bytes in it.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `position` on, as much as there is room for and one file holds.
    ///
    /// # Errors
    /// When the disk refuses, or a file is shorter than it was.
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut before = 0;
        for part in &*self.parts {
            let inside = position - before;
            if inside < part.length {
                let left = usize::try_from(part.length - inside).unwrap_or(usize::MAX);
                let room = buffer.len().min(left);
                return match part.file.read_at(&mut buffer[..room], part.offset + inside)? {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    read => Ok(read),
                };
            }
            before += part.length;
        }
        Ok(0)
    }

    /// All of it. For small content: the caller has looked at [`size`](Self::size).
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(self.size).map_err(io::Error::other)?];
        let mut position = 0;
        while position < content.len() {
            position += self.read_at(&mut content[position..], position as u64)?;
        }
        Ok(content)
    }

    /// Its bytes from `from` on, read by a thread that is a few pieces ahead.
    ///
    /// # Cancel safety
    /// Dropping the stream ends the thread.
    pub(super) fn stream(self, from: u64) -> BoxStream<'static, io::Result<Bytes>> {
        let (pieces, queue) = mpsc::channel(PIECES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut position = from;
            while position < self.size {
                let mut piece = vec![0; PIECE];
                let read = self.read_at(&mut piece, position);
                let read = read.map(|read| {
                    piece.truncate(read);
                    position += read as u64;
                    Bytes::from(piece)
                });
                let failed = read.is_err();
                if pieces.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        stream::unfold(queue, |mut queue| async { Some((queue.recv().await?, queue)) }).boxed()
    }
}

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// Pieces that wait for whoever hashes and writes them.
const PIECES_AHEAD: usize = 2;
