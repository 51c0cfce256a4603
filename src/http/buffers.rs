//! Read buffers that are used again.
//!
//! A blob leaves in pieces of [`BUFFER_SIZE`]. Each piece is a `Bytes` that owns its buffer; when
//! hyper has written it, the buffer goes back to the free list instead of to the allocator, so a
//! stream of any length costs a few buffers and no zeroing. The list is bounded: what many clients
//! needed for a moment is not kept for ever.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

/// A free list of buffers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
}

impl Buffers {
    /// A buffer of [`BUFFER_SIZE`] bytes with old or no content.
    pub(super) fn take(&self) -> Buffer {
        let bytes = self.free().pop().unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice());
        Buffer { bytes, filled: 0, home: self.clone() }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        self.free.lock().expect("nothing panics while it holds this lock")
    }
}

/// A buffer on loan; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
    home: Buffers,
}

impl Buffer {
    /// The space to read into, `length` bytes at most.
    pub(super) fn space(&mut self, length: u64) -> &mut [u8] {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.bytes.len());
        &mut self.bytes[..length]
    }

    /// The first `filled` bytes, as a piece of a body.
    pub(super) fn freeze(mut self, filled: usize) -> Bytes {
        self.filled = filled;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.home.free();
        if free.len() < MAX_FREE {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The bytes of one piece: what the read strategies were measured with.
pub(super) const BUFFER_SIZE: usize = 64 << 10;
/// Free buffers that are kept: 8 MiB.
const MAX_FREE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_piece_gives_its_buffer_back() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.space(3).copy_from_slice(b"abc");
        let piece = buffer.freeze(3);
        let copy = piece.clone();
        drop(piece);
        assert_eq!((&copy[..], buffers.free().len()), (&b"abc"[..], 0));
        drop(copy);
        assert_eq!(buffers.free().len(), 1);
        let _again = buffers.take();
        assert_eq!(buffers.free().len(), 0);
    }

    #[test]
    fn keeps_no_more_than_its_bound() {
        let buffers = Buffers::default();
        let lent: Vec<_> = (0..=MAX_FREE).map(|_| buffers.take()).collect();
        drop(lent);
        assert_eq!(buffers.free().len(), MAX_FREE);
    }

    #[test]
    fn space_is_never_more_than_the_buffer() {
        assert_eq!(Buffers::default().take().space(u64::MAX).len(), BUFFER_SIZE);
    }
}
