//! Where an archive is written to: a folder, a tar file, volumes of one, or a stream.
//!
//! Nothing has its final name before it is whole. A folder keeps what an earlier, interrupted run
//! put there; a tar file is begun anew, since its index is at its front.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tar::{Builder, Header};

use super::{
    ArchiveError, EntryName,
    extent::Extent,
    plan::Plan,
    tar::BLOCK,
    volumes::{open_regular, sums, volume},
};
use crate::oci::{Algorithm, Digest, Hasher, digest::hex_of};

/// An archive that is being written.
pub struct Sink(Form);

enum Form {
    Folder { root: PathBuf, small: Vec<(&'static str, Vec<u8>)> },
    Tar(Box<Builder<Target>>),
}

/// What the bytes of a tar file go to.
enum Target {
    File { file: File, path: PathBuf },
    Stream(Box<dyn Write + Send>),
    Volumes(Cut),
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sink").finish_non_exhaustive()
    }
}

impl Sink {
    /// A layout in the folder `root`, which is new, empty, or a layout already.
    ///
    /// # Errors
    /// [`ArchiveError::Exists`] when something else is there; when the disk refuses.
    pub fn folder(root: &Path) -> Result<Self, ArchiveError> {
        fs::create_dir_all(root).map_err(|error| unwritable(root, error))?;
        let mut entries = fs::read_dir(root).map_err(|error| unwritable(root, error))?;
        if entries.next().is_some() && !root.join("blobs").is_dir() {
            return Err(ArchiveError::Exists { path: root.to_owned() });
        }
        Ok(Self(Form::Folder { root: root.to_owned(), small: Vec::new() }))
    }

    /// A tar file, or volumes of one of at most `volume_size` bytes each.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn tar(path: &Path, volume_size: Option<u64>) -> Result<Self, ArchiveError> {
        let target = match volume_size {
            None => Target::File { file: create(&beside(path))?, path: path.to_owned() },
            Some(size) => Target::Volumes(Cut::new(path, size)?),
        };
        Ok(Self(Form::Tar(Box::new(Builder::new(target)))))
    }

    /// A tar file that goes to `stream`.
    #[must_use]
    pub fn stream(stream: Box<dyn Write + Send>) -> Self {
        Self(Form::Tar(Box::new(Builder::new(Target::Stream(stream)))))
    }

    /// Writes a file beside the content.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn small(&mut self, name: &'static str, content: &[u8]) -> Result<(), ArchiveError> {
        match &mut self.0 {
            // The index last: a folder without one is no layout yet.
            Form::Folder { small, .. } => small.push((name, content.to_vec())),
            Form::Tar(builder) => append(builder, name, content.len() as u64, content)?,
        }
        Ok(())
    }

    /// Writes the content `digest`, and hashes what it writes.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] when the bytes are others; when the disk refuses.
    pub(super) fn content(
        &mut self,
        digest: &Digest,
        content: &Extent,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), ArchiveError> {
        let mut reader = Hashing::new(digest, content, told);
        match &mut self.0 {
            Form::Folder { root, .. } => {
                let path = root.join(EntryName::blob(digest));
                if is_there(&path, digest) {
                    (reader.told)(content.size());
                    return Ok(());
                }
                let folder = path.parent().unwrap_or(root);
                fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
                let part = beside(&path);
                let file = create(&part)?;
                reader.copy_to(&file).map_err(|error| unwritable(&path, error))?;
                reader.check(digest)?;
                settle(&file, &part, &path)
            }
            Form::Tar(builder) => {
                append(builder, &EntryName::blob(digest), content.size(), &mut reader)?;
                reader.check(digest)
            }
        }
    }

    /// Gives everything its final name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        match self.0 {
            Form::Folder { root, small } => {
                for (name, content) in small.iter().rev() {
                    let path = root.join(name);
                    let mut file = create(&beside(&path))?;
                    file.write_all(content).map_err(|error| unwritable(&path, error))?;
                    settle(&file, &beside(&path), &path)?;
                }
                Ok(())
            }
            Form::Tar(builder) => {
                let unfinished = |error| ArchiveError::io("write", "the archive", error);
                match builder.into_inner().map_err(unfinished)? {
                    Target::File { file, path } => settle(&file, &beside(&path), &path),
                    Target::Stream(mut stream) => stream.flush().map_err(unfinished),
                    Target::Volumes(cut) => cut.finish(),
                }
            }
        }
    }
}

/// Bytes that the tar file of `plan` will have.
pub(super) fn tar_size(plan: &Plan) -> u64 {
    let member = |name: &str, size: u64| {
        let long = if name.len() > SHORT_NAME { 2 * BLOCK } else { 0 };
        long + BLOCK + size.next_multiple_of(BLOCK)
    };
    let small = plan.small.iter().map(|(name, content)| member(name, content.len() as u64));
    let content = plan.content.iter().map(|(digest, size)| member(&EntryName::blob(digest), *size));
    small.chain(content).sum::<u64>() + 2 * BLOCK
}

fn append(
    builder: &mut Builder<Target>,
    name: &str,
    size: u64,
    content: impl Read,
) -> Result<(), ArchiveError> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    let appended = builder.append_data(&mut header, name, content);
    appended.map_err(|error| ArchiveError::io("write", "the archive", error))
}

/// Reads a content, hashes it and tells how far it is.
struct Hashing<'a> {
    content: &'a Extent,
    position: u64,
    hasher: Hasher,
    told: &'a mut dyn FnMut(u64),
}

impl<'a> Hashing<'a> {
    fn new(digest: &Digest, content: &'a Extent, told: &'a mut dyn FnMut(u64)) -> Self {
        Self { content, position: 0, hasher: Hasher::new(digest.algorithm()), told }
    }

    fn copy_to(&mut self, mut file: &File) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(()),
                read => file.write_all(&buffer[..read])?,
            }
        }
    }

    fn check(self, digest: &Digest) -> Result<(), ArchiveError> {
        match self.hasher.finish() == *digest && self.position == self.content.size() {
            true => Ok(()),
            false => Err(ArchiveError::Damaged { digest: *digest, place: "the store".to_owned() }),
        }
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read_at(buffer, self.position)?;
        self.hasher.update(&buffer[..read]);
        self.position += read as u64;
        (self.told)(read as u64);
        Ok(read)
    }
}

/// A tar file that is cut into volumes of equal length.
struct Cut {
    stem: PathBuf,
    size: u64,
    file: File,
    written: u64,
    hasher: Hasher,
    /// The hashes of the volumes that are full.
    done: Vec<String>,
}

impl Cut {
    fn new(stem: &Path, size: u64) -> Result<Self, ArchiveError> {
        let file = create(&beside(&volume(stem, 1)))?;
        let hasher = Hasher::new(Algorithm::Sha256);
        Ok(Self { stem: stem.to_owned(), size, file, written: 0, hasher, done: Vec::new() })
    }

    fn turn(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let full = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256));
        self.done.push(hex_of(full.finish().as_bytes()));
        self.written = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        if self.written > 0 {
            self.turn().map_err(|error| unwritable(&self.stem, error))?;
        }
        let mut list = String::new();
        for (at, hash) in self.done.iter().enumerate() {
            let path = volume(&self.stem, at + 1);
            fs::rename(beside(&path), &path).map_err(|error| unwritable(&path, error))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            list.push_str(&format!("{hash}  {name}\n"));
        }
        // Volumes of a longer archive that had the same name would be taken for this one's.
        for number in self.done.len() + 1.. {
            if fs::remove_file(volume(&self.stem, number)).is_err() {
                break;
            }
        }
        let path = sums(&self.stem);
        let mut file = create(&beside(&path))?;
        file.write_all(list.as_bytes()).map_err(|error| unwritable(&path, error))?;
        settle(&file, &beside(&path), &path)
    }
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written == self.size {
            self.turn()?;
            let next = beside(&volume(&self.stem, self.done.len() + 1));
            self.file = File::create(next)?;
        }
        let left = usize::try_from(self.size - self.written).unwrap_or(usize::MAX);
        let written = self.file.write(&bytes[..bytes.len().min(left)])?;
        self.hasher.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
            Self::Volumes(cut) => cut.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Stream(stream) => stream.flush(),
            Self::Volumes(cut) => cut.flush(),
        }
    }
}

/// Whether an earlier run has put the content there, whole.
fn is_there(path: &Path, digest: &Digest) -> bool {
    let there = open_regular(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    there.is_ok_and(|(size, file)| {
        let extent = Extent::whole(Arc::new(file), size);
        let mut nobody = |_| {};
        let mut reader = Hashing::new(digest, &extent, &mut nobody);
        io::copy(&mut reader, &mut io::sink()).is_ok() && reader.check(digest).is_ok()
    })
}

/// The name of a file that is not whole yet.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn create(path: &Path) -> Result<File, ArchiveError> {
    File::create(path).map_err(|error| unwritable(path, error))
}

/// Forces `file` to the disk and gives it its name.
fn settle(file: &File, part: &Path, path: &Path) -> Result<(), ArchiveError> {
    let settled = file.sync_all().and_then(|()| fs::rename(part, path));
    settled.map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> ArchiveError {
    ArchiveError::io("write", format!("`{}`", path.display()), error)
}

/// What fits into the header of a member.
const SHORT_NAME: usize = 100;
/// Bytes that are copied at once.
const BUFFER: usize = 1 << 20;
