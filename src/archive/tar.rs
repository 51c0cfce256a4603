//! Tar files, read strictly: POSIX.1-2017 "ustar" and "pax", and GNU's long names.
//!
//! The library's own reader takes extended headers of any length into memory, and follows sparse
//! maps; an archive from outside could use both. Here a member is a regular file of a length that
//! is known, or an error.

use std::{collections::HashMap, io, io::Read};

use ::tar::{EntryType, Header};

use super::{ArchiveError, EntryName};

/// Somewhere that members are read from, one after the other.
pub(super) trait Source: Read {
    /// Passes over `count` bytes; fewer only at the end.
    fn skip(&mut self, count: u64) -> io::Result<u64>;
}

/// A regular file in a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: EntryName,
    /// The name as it is written.
    pub(super) path: String,
    /// Where its bytes begin.
    pub(super) position: u64,
    /// Bytes.
    pub(super) size: u64,
}

/// The members of a tar file, in order.
#[derive(Debug)]
pub(super) struct Members<S> {
    source: S,
    /// Bytes behind us.
    position: u64,
    /// Where the next header begins.
    next: u64,
    seen: usize,
    last: String,
}

/// What extended headers say about the member that follows.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<S: Source> Members<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source, position: 0, next: 0, seen: 0, last: String::from("the first header") }
    }

    /// The next regular file, `None` at the end. What was left unread of the one before is skipped.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub(super) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut extended = Extended::default();
        loop {
            self.pass_to(self.next)?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.seen += 1;
            if self.seen > MAX_MEMBERS {
                return Err(ArchiveError::TooMany { what: "files", limit: MAX_MEMBERS });
            }
            let size = header.entry_size().map_err(|error| self.broken(error))?;
            match header.entry_type() {
                EntryType::XHeader => extended.read_pax(&self.small(size)?)?,
                EntryType::XGlobalHeader => drop(self.small(size)?),
                EntryType::GNULongName => {
                    let mut path = self.small(size)?;
                    path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(path.len()));
                    extended.path = Some(path);
                }
                kind => {
                    let path = extended.path.take();
                    let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                    let size = extended.size.take().unwrap_or(size);
                    if let Some(member) = self.member(kind, &path, size)? {
                        return Ok(Some(member));
                    }
                }
            }
        }
    }

    /// The bytes of the member that [`next`](Self::next) gave out.
    ///
    /// # Errors
    /// When the source refuses, or ends too early.
    pub(super) fn read(&mut self, member: &Member, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        let read = self.source.read_exact(buffer);
        read.map_err(|error| truncated_or(error, &member.path, "read the archive"))?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    /// A member that may be, `None` for a folder.
    fn member(
        &mut self,
        kind: EntryType,
        path: &[u8],
        size: u64,
    ) -> Result<Option<Member>, ArchiveError> {
        let name = EntryName::parse(path)?;
        let path = String::from_utf8_lossy(path).into_owned();
        match kind {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory if size == 0 => {
                self.next = self.position;
                return Ok(None);
            }
            kind => return Err(ArchiveError::Kind { name: path, kind: kind_name(kind) }),
        }
        self.last.clone_from(&path);
        self.next = self.after(size)?;
        Ok(Some(Member { name, path, position: self.position, size }))
    }

    /// The next header, `None` for the blocks of zeros at the end.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let read = self.source.read_exact(block);
        read.map_err(|error| truncated_or(error, &self.last, "read the archive"))?;
        self.position += BLOCK;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let field = 148..156;
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if field.contains(&at) { u32::from(b' ') } else { u32::from(*byte) })
            .sum();
        match header.cksum() {
            Ok(written) if written == sum => Ok(Some(header)),
            _ => Err(self.broken("the checksum of a header is wrong")),
        }
    }

    /// A short text that belongs to the next member.
    fn small(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let length = usize::try_from(size).ok().filter(|length| *length <= MAX_EXTENDED);
        let Some(length) = length else {
            return Err(self.broken("an extended header is longer than any is"));
        };
        self.next = self.after(size)?;
        let mut content = vec![0; length];
        let read = self.source.read_exact(&mut content);
        read.map_err(|error| truncated_or(error, &self.last, "read the archive"))?;
        self.position += size;
        Ok(content)
    }

    /// Where the next header is, when `size` bytes begin here.
    fn after(&self, size: u64) -> Result<u64, ArchiveError> {
        let padded = size.checked_next_multiple_of(BLOCK);
        let next = padded.and_then(|padded| self.position.checked_add(padded));
        next.ok_or_else(|| self.broken("a length is larger than any file"))
    }

    fn pass_to(&mut self, target: u64) -> Result<(), ArchiveError> {
        let count = target.saturating_sub(self.position);
        let passed = self.source.skip(count);
        let passed = passed.map_err(|error| truncated_or(error, &self.last, "read the archive"))?;
        if passed < count {
            return Err(ArchiveError::Truncated { name: self.last.clone() });
        }
        self.position += count;
        Ok(())
    }

    fn broken(&self, reason: impl ToString) -> ArchiveError {
        ArchiveError::Tar { position: self.position, reason: reason.to_string() }
    }
}

impl Extended {
    /// Takes in pax records: `<length> <key>=<value>\n` (POSIX.1-2017, "pax Extended Header").
    fn read_pax(&mut self, text: &[u8]) -> Result<(), ArchiveError> {
        let broken = |reason: &str| ArchiveError::Tar { position: 0, reason: reason.to_owned() };
        let mut records = HashMap::new();
        let mut rest = text;
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ');
            let length = space.and_then(|at| std::str::from_utf8(&rest[..at]).ok()?.parse().ok());
            let record = space.zip(length).and_then(|(at, length): (usize, usize)| {
                let record = rest.get(at + 1..length)?.strip_suffix(b"\n")?;
                rest = &rest[length..];
                let equals = record.iter().position(|byte| *byte == b'=')?;
                Some((&record[..equals], &record[equals + 1..]))
            });
            let Some((key, value)) = record else {
                return Err(broken("an extended header is malformed"));
            };
            if records.insert(key, value).is_some() {
                return Err(broken("an extended header says something twice"));
            }
        }
        if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            let name = "a file".to_owned();
            return Err(ArchiveError::Kind { name, kind: kind_name(EntryType::GNUSparse) });
        }
        if let Some(path) = records.get(&b"path"[..]) {
            self.path = Some(path.to_vec());
        }
        if let Some(size) = records.get(&b"size"[..]) {
            let size = std::str::from_utf8(size).ok().and_then(|text| text.parse().ok());
            self.size = Some(size.ok_or_else(|| broken("a length is no number"))?);
        }
        Ok(())
    }
}

fn truncated_or(error: io::Error, name: &str, what: &str) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Truncated { name: name.to_owned() },
        _ => ArchiveError::io("read", what.trim_start_matches("read "), error),
    }
}

const fn kind_name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "hard link",
        EntryType::Symlink => "symbolic link",
        EntryType::Char | EntryType::Block => "device",
        EntryType::Fifo => "pipe",
        EntryType::Directory => "folder with content",
        EntryType::GNUSparse => "sparse file",
        _ => "file of an unknown kind",
    }
}

/// The unit of the format, in bytes.
pub(super) const BLOCK: u64 = 512;
/// Files in one archive: some ten thousand images.
pub(super) const MAX_MEMBERS: usize = 200_000;
/// Bytes of an extended header that are read.
const MAX_EXTENDED: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Source for &[u8] {
        fn skip(&mut self, count: u64) -> io::Result<u64> {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.len());
            *self = &self[count..];
            Ok(count as u64)
        }
    }

    fn members(file: &[u8]) -> Result<Vec<Member>, ArchiveError> {
        let mut members = Members::new(file);
        let mut found = Vec::new();
        while let Some(member) = members.next()? {
            found.push(member);
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_members_or_an_error(file in prop::collection::vec(any::<u8>(), 0..4096)) {
            let _ = members(&file);
        }

        #[test]
        fn what_the_library_writes_is_read(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..8)) {
            let mut builder = ::tar::Builder::new(Vec::new());
            let mut expected = Vec::new();
            for content in &contents {
                // The longer hash needs a long name.
                for digest in [crate::oci::Digest::of(content), crate::oci::Digest::with(crate::oci::Algorithm::Sha512, content)] {
                    let mut header = Header::new_ustar();
                    header.set_size(content.len() as u64);
                    header.set_mode(0o644);
                    let name = EntryName::blob(&digest);
                    if header.set_path(&name).is_err() {
                        header = Header::new_gnu();
                        header.set_size(content.len() as u64);
                    }
                    builder.append_data(&mut header, &name, &content[..]).unwrap();
                    expected.push((EntryName::Blob(digest), content.len() as u64));
                }
            }
            let file = builder.into_inner().unwrap();
            let found = members(&file).unwrap();
            for member in &found {
                let start = usize::try_from(member.position).unwrap();
                let content = &file[start..][..usize::try_from(member.size).unwrap()];
                let EntryName::Blob(digest) = &member.name else { panic!("only blobs were written") };
                prop_assert!(digest.matches(content));
            }
            let found: Vec<_> = found.into_iter().map(|member| (member.name, member.size)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
