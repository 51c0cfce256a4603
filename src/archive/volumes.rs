//! A tar file, whole or cut into volumes: `bag.tar`, or `bag.tar.001`, `bag.tar.002` and so on.
//!
//! Volumes are plain pieces, so that `cat bag.tar.0*` joins them, and all but the last are equally
//! long. `bag.tar.sha256` has their checksums, for `sha256sum -c`; it also says how many there are.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::OFlags;

use super::{
    ArchiveError,
    extent::{Extent, Part},
    tar::Source,
};

/// The pieces of one tar file, in order.
#[derive(Clone, Debug)]
pub(super) struct Volumes(Arc<[Volume]>);

#[derive(Debug)]
struct Volume {
    path: PathBuf,
    file: Arc<File>,
    /// Where it begins in the whole.
    start: u64,
    length: u64,
}

impl Volumes {
    /// Opens the tar file `path`, or all volumes of it when `path` is the first of them or the name
    /// that they have in common.
    ///
    /// # Errors
    /// When a volume is missing or of another length than the others.
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let text = path.to_string_lossy();
        let stem = match text.rsplit_once('.') {
            Some((stem, number)) if number == numbered(1) => PathBuf::from(stem),
            _ => path.to_owned(),
        };
        let first = volume(&stem, 1);
        if !first.exists() {
            return Self::of(vec![path.to_owned()]);
        }
        let listed = fs::read_to_string(sums(&stem)).unwrap_or_default();
        let expected = listed.lines().count();
        let there = (1..).take_while(|number| volume(&stem, *number).exists()).count();
        let paths: Vec<_> = (1..=there.max(expected)).map(|number| volume(&stem, number)).collect();
        let volumes = Self::of(paths)?;
        let length = volumes.0.first().map_or(0, |volume| volume.length);
        let last = volumes.0.len() - 1;
        match volumes.0.iter().enumerate().find(|(at, volume)| match *at == last {
            true => volume.length > length,
            false => volume.length != length,
        }) {
            Some((_, volume)) => Err(ArchiveError::Volume {
                path: volume.path.clone(),
                fault: "has another length than the first",
            }),
            None => Ok(volumes),
        }
    }

    fn of(paths: Vec<PathBuf>) -> Result<Self, ArchiveError> {
        let mut volumes = Vec::new();
        let mut start = 0;
        for path in paths {
            let file = match open_regular(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ArchiveError::Volume { path, fault: "is not there" });
                }
                file => file.map_err(|error| unreadable(&path, error))?,
            };
            let length = file.metadata().map_err(|error| unreadable(&path, error))?.len();
            volumes.push(Volume { path, file: Arc::new(file), start, length });
            start += length;
        }
        Ok(Self(volumes.into()))
    }

    /// Where `size` bytes from `position` on lie, `None` when that is beyond the end.
    pub(super) fn extent(&self, position: u64, size: u64) -> Option<Extent> {
        let end = position.checked_add(size)?;
        let whole = self.0.last().map_or(0, |last| last.start + last.length);
        let overlap = |volume: &Volume| {
            let (from, to) = (position.max(volume.start), end.min(volume.start + volume.length));
            (from < to).then(|| Part {
                file: Arc::clone(&volume.file),
                offset: from - volume.start,
                length: to - from,
            })
        };
        (end <= whole).then(|| Extent::new(self.0.iter().filter_map(overlap).collect()))
    }

    /// The files in which `size` bytes from `position` on lie, in words.
    pub(super) fn place(&self, position: u64, size: u64) -> String {
        let touched = self.0.iter().filter(|volume| {
            volume.start < position + size.max(1) && position < volume.start + volume.length
        });
        let names: Vec<_> = touched.map(|volume| format!("`{}`", volume.path.display())).collect();
        names.join(" or ")
    }

    /// The whole, from its first byte.
    pub(super) fn reader(&self) -> Reader {
        Reader { volumes: self.clone(), position: 0 }
    }
}

/// Reads all volumes as one file.
#[derive(Debug)]
pub(super) struct Reader {
    volumes: Volumes,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let here = |volume: &&Volume| self.position < volume.start + volume.length;
        let Some(volume) = self.volumes.0.iter().find(here) else { return Ok(0) };
        let inside = self.position - volume.start;
        let left = usize::try_from(volume.length - inside).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let read = volume.file.read_at(&mut buffer[..room], inside)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Source for Reader {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let whole = self.volumes.0.last().map_or(0, |last| last.start + last.length);
        let passed = count.min(whole.saturating_sub(self.position));
        self.position += passed;
        Ok(passed)
    }
}

/// Opens a regular file, and nothing that a link leads to or a pipe hides behind.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// The name of a volume, counted from 1.
pub(super) fn volume(stem: &Path, number: usize) -> PathBuf {
    with(stem, &numbered(number))
}

/// The file with the checksums of the volumes.
pub(super) fn sums(stem: &Path) -> PathBuf {
    with(stem, "sha256")
}

fn with(stem: &Path, extension: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn numbered(number: usize) -> String {
    format!("{number:03}")
}

fn unreadable(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::io("read", format!("`{}`", path.display()), error)
}
