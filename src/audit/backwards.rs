//! Reads a file's lines from its end, in constant memory.

use std::io::{self, Read, Seek, SeekFrom};

/// The lines of a file, last one first, without their line breaks.
///
/// What follows the last line break is a line being written or a torn one, and is left out; so is a
/// line longer than [`MAX_LINE_LENGTH`], which this program never writes.
#[derive(Debug)]
pub(super) struct Backwards<R> {
    source: R,
    /// Bytes before this position are still to be read.
    unread: u64,
    /// Bytes that were read and not given out: they end with the line break of the next line.
    held: Vec<u8>,
    /// Whether `held` is still to be cut after its last line break.
    skipping: bool,
}

impl<R: Read + Seek> Backwards<R> {
    pub(super) fn new(mut source: R) -> io::Result<Self> {
        let unread = source.seek(SeekFrom::End(0))?;
        Ok(Self { source, unread, held: Vec::new(), skipping: true })
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.skipping {
                let kept = self.held.iter().rposition(|byte| *byte == b'\n');
                self.held.truncate(kept.map_or(0, |position| position + 1));
                self.skipping = kept.is_none();
            }
            if let Some((_, line)) = self.held.split_last().filter(|_| !self.skipping) {
                match line.iter().rposition(|byte| *byte == b'\n') {
                    Some(position) => return Ok(Some(self.give(position + 1))),
                    None if self.unread == 0 => return Ok(Some(self.give(0))),
                    None if line.len() > MAX_LINE_LENGTH => {
                        self.held.clear();
                        self.skipping = true;
                    }
                    None => {}
                }
            }
            if self.unread == 0 {
                return Ok(None);
            }
            self.read_before()?;
        }
    }

    /// The line that starts at `start` and ends where `held` ends.
    fn give(&mut self, start: usize) -> Vec<u8> {
        let mut line = self.held.split_off(start);
        line.pop();
        line
    }

    fn read_before(&mut self) -> io::Result<()> {
        let length = self.unread.min(CHUNK);
        self.unread -= length;
        self.source.seek(SeekFrom::Start(self.unread))?;
        let mut chunk = Vec::new();
        let got = self.source.by_ref().take(length).read_to_end(&mut chunk)?;
        if got as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.append(&mut self.held);
        self.held = chunk;
        Ok(())
    }
}

impl<R: Read + Seek> Iterator for Backwards<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

/// The longest line in bytes; what is written is checked against it, what is read is skipped.
pub(super) const MAX_LINE_LENGTH: usize = 4 << 20;
/// Bytes read at once.
const CHUNK: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn lines(content: &[u8]) -> Vec<Vec<u8>> {
        Backwards::new(Cursor::new(content)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn leaves_out_what_has_no_line_break_yet() {
        assert_eq!(lines(b"a\nb\nhalf"), [b"b".to_vec(), b"a".to_vec()]);
        assert!(lines(b"half").is_empty());
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn skips_a_line_that_is_too_long_to_be_ours() {
        let long = vec![b'x'; MAX_LINE_LENGTH + 3 * usize::try_from(CHUNK).unwrap()];
        let content = [b"first\n", long.as_slice(), b"\nlast\n"].concat();
        assert_eq!(lines(&content), [b"last".to_vec(), b"first".to_vec()]);
    }

    proptest! {
        #[test]
        fn gives_every_line_once(lengths in prop::collection::vec(0_usize..90_000, 0..6)) {
            let written: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(number, length)| vec![b'a' + number as u8; *length]).collect();
            let content: Vec<u8> =
                written.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
            let mut read = lines(&content);
            read.reverse();
            prop_assert_eq!(read, written);
        }
    }
}
