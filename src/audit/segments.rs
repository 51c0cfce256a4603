//! The log on disk: numbered segments, of which only the newest grows.
//!
//! ```text
//! audit-v1/000001.jsonl     full, never touched again
//! audit-v1/000002.jsonl     the current one
//! audit-v1/torn-1           what a crash left of a line, kept aside
//! ```
//!
//! [`Segments::commit`] is all or nothing: after `Ok` the lines survive power loss, after an error
//! none of them is there. When a write or a flush fails, the segment is cut back to its last good
//! length. Where even that fails the segment is left behind and the next commit starts a new one,
//! so no line ever follows half of another.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Where segments are; tests put a breaking disk here.
pub(super) trait Disk: Send + fmt::Debug {
    /// Opens a segment for appending; it is created when it is missing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Appendable>>;
}

/// The file system. Segments are readable by their owner only.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Appendable>> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }
}

/// A file that grows at its end.
pub(super) trait Appendable: Send + fmt::Debug {
    /// Writes as much of `bytes` as it can; how much is told.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes everything written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether `path` still names this file.
    fn is_at(&self, path: &Path) -> bool;

    /// Cuts the file to `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Appendable for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn is_at(&self, path: &Path) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        match (self.metadata(), fs::metadata(path)) {
            (Ok(own), Ok(there)) => identity(own) == identity(there),
            _ => false,
        }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_data()
    }
}

/// The writing side of the log. One value exists per directory.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    disk: Box<dyn Disk>,
    max_length: u64,
    current: Option<Current>,
    next_number: u64,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: Box<dyn Appendable>,
    /// Bytes that are known to be whole lines and durable.
    length: u64,
}

/// Half a line that a crash left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repair {
    /// Where it was.
    pub(super) segment: PathBuf,
    /// Where it is now.
    pub(super) kept: PathBuf,
    /// Its length in bytes.
    pub(super) length: u64,
}

impl Segments {
    /// Opens the log in `directory`, which is created when it is missing, and repairs it.
    pub(super) fn open(
        directory: &Path,
        max_length: u64,
        disk: Box<dyn Disk>,
    ) -> io::Result<(Self, Vec<Repair>)> {
        make_directory(directory)?;
        let existing = list(directory)?;
        let mut repairs = Vec::new();
        for (_, path) in &existing {
            repairs.extend(repair(directory, path)?);
        }
        let mut segments = Self {
            directory: directory.to_owned(),
            disk,
            max_length,
            current: None,
            next_number: existing.last().map_or(1, |(number, _)| number + 1),
        };
        if let Some((_, path)) = existing.last() {
            let length = fs::metadata(path)?.len();
            let (path, file) = (path.clone(), segments.disk.open(path)?);
            segments.current = Some(Current { path, file, length });
        }
        Ok((segments, repairs))
    }

    /// Appends `lines`, whole lines all of them, and makes them durable.
    ///
    /// # Errors
    /// What the disk said. None of `lines` is in the log then.
    pub(super) fn commit(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut current = self.take_current(lines.len() as u64)?;
        let written = write_all(&mut *current.file, lines).and_then(|()| current.file.sync());
        match written {
            Ok(()) => {
                current.length += lines.len() as u64;
                self.current = Some(current);
                Ok(())
            }
            Err(error) => {
                // A segment that cannot be cut back may end in half a line: nothing may follow it.
                if current.file.cut(current.length).is_ok() {
                    self.current = Some(current);
                }
                Err(error)
            }
        }
    }

    /// The segment that takes `length` more bytes; a new one when the current one is full, or when
    /// somebody removed it or moved it away: nobody would find there what is written.
    fn take_current(&mut self, length: u64) -> io::Result<Current> {
        let current = self.current.take().filter(|current| {
            let is_there = current.file.is_at(&current.path);
            if !is_there {
                tracing::error!(path = %current.path.display(), "the audit log was removed while in use; beginning a new segment");
            }
            is_there
        });
        match current {
            Some(current) if current.length == 0 || current.length + length <= self.max_length => {
                Ok(current)
            }
            _ => self.create(),
        }
    }

    fn create(&mut self) -> io::Result<Current> {
        let path = self.directory.join(format!("{:06}{SUFFIX}", self.next_number));
        make_directory(&self.directory)?;
        let file = self.disk.open(&path)?;
        self.next_number += 1;
        // The name lives in the directory, which has a cache of its own.
        File::open(&self.directory)?.sync_all()?;
        Ok(Current { path, file, length: 0 })
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The segments in `directory`, oldest first. A directory that is not there has none.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(number) = number_of(&path) {
            segments.push((number, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

fn number_of(segment: &Path) -> Option<u64> {
    segment.file_name()?.to_str()?.strip_suffix(SUFFIX)?.parse().ok()
}

fn write_all(file: &mut dyn Appendable, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Cuts `segment` after its last line break. The rest is first copied aside.
fn repair(directory: &Path, segment: &Path) -> io::Result<Option<Repair>> {
    let mut file = OpenOptions::new().read(true).write(true).open(segment)?;
    let whole = length_of_whole_lines(&file)?;
    let length = file.metadata()?.len() - whole;
    if length == 0 {
        return Ok(None);
    }
    let (kept, mut copy) = create_torn(directory)?;
    file.seek(SeekFrom::Start(whole))?;
    io::copy(&mut file, &mut copy)?;
    copy.sync_all()?;
    file.cut(whole)?;
    File::open(directory)?.sync_all()?;
    Ok(Some(Repair { segment: segment.to_owned(), kept, length }))
}

/// The first free `torn-<n>`.
fn create_torn(directory: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 1_u64;
    loop {
        let path = directory.join(format!("torn-{number}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            opened => return Ok((path, opened?)),
        }
    }
}

/// How many bytes of `file` end with a line break.
fn length_of_whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        chunk.resize(CHUNK.min(end as usize), 0);
        file.read_exact_at(&mut chunk, start)?;
        if let Some(position) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + position as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

const SUFFIX: &str = ".jsonl";
/// Bytes read at once while looking for the last line break.
const CHUNK: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LINES: [&str; 3] = ["{\"a\":1}\n", "{\"b\":22}\n", "{\"c\":333}\n"];

    fn open(directory: &Path) -> (Segments, Vec<Repair>) {
        Segments::open(directory, 1 << 20, Box::new(RealDisk)).unwrap()
    }

    fn content(directory: &Path) -> String {
        let segments = list(directory).unwrap();
        segments.iter().map(|(_, path)| fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn repairs_a_line_torn_at_any_byte_and_goes_on() {
        let whole = LINES.concat();
        for length in 0..=whole.len() {
            let directory = tempfile::tempdir().unwrap();
            let segment = directory.path().join("000001.jsonl");
            File::create(&segment).unwrap().write_all(&whole.as_bytes()[..length]).unwrap();

            let (mut segments, repairs) = open(directory.path());
            segments.commit(b"{}\n").unwrap();

            let kept = whole[..length].rfind('\n').map_or(0, |position| position + 1);
            assert_eq!(content(directory.path()), format!("{}{{}}\n", &whole[..kept]));
            let torn: Vec<_> =
                repairs.iter().map(|repair| fs::read_to_string(&repair.kept).unwrap()).collect();
            let expected = if kept == length { vec![] } else { vec![&whole[kept..length]] };
            assert_eq!(torn, expected, "torn at {length}");
        }
    }

    #[test]
    fn keeps_every_torn_line_under_a_name_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        for number in 1..=2 {
            let segment = directory.path().join(format!("00000{number}.jsonl"));
            File::create(&segment).unwrap().write_all(b"torn").unwrap();
        }
        let (_, repairs) = open(directory.path());
        let names: Vec<_> = repairs.iter().map(|repair| repair.kept.file_name().unwrap()).collect();
        assert_eq!(names, ["torn-1", "torn-2"]);
    }

    #[test]
    fn starts_a_new_segment_when_the_current_one_is_full() {
        let directory = tempfile::tempdir().unwrap();
        let limit = LINES[0].len() as u64 + 1;
        let (mut segments, _) =
            Segments::open(directory.path(), limit, Box::new(RealDisk)).unwrap();
        for line in LINES {
            segments.commit(line.as_bytes()).unwrap();
        }
        assert_eq!(list(directory.path()).unwrap().len(), 3);
        drop(segments);
        let (mut segments, _) =
            Segments::open(directory.path(), limit, Box::new(RealDisk)).unwrap();
        segments.commit(b"{}\n").unwrap();
        let names: Vec<_> = list(directory.path()).unwrap().into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, [1, 2, 3, 4]);
        assert_eq!(content(directory.path()), LINES.concat() + "{}\n");
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("audit-v1");
        let (mut segments, _) = open(&directory);
        segments.commit(b"{}\n").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join("000001.jsonl")), 0o600);
    }
}
