//! The one place that touches the disk, so that a test can break any step of it.
//!
//! Every operation goes through a [`Files`], which first asks its [`Faults`], if it has any,
//! whether this step shall fail. Production has none: the question is one comparison on paths that
//! end in a system call. The same seam serves unit tests here and the fault tests of the whole
//! program, and no behaviour differs between a test build and a release.
//!
//! Folders are made with mode 0750 and files with 0640: a group may be given read access for
//! backups, nobody else sees private images.

use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions, ReadDir},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use super::error::StoreError;
use crate::oci::Hasher;

/// Decides which operations fail. For tests; see [`Store::open_on`](super::Store::open_on).
pub trait Faults: Send + Sync + fmt::Debug {
    /// Called before each operation.
    ///
    /// # Errors
    /// What the operation shall fail with instead of being done.
    fn strike(&self, step: Step, path: &Path) -> io::Result<()>;
}

/// One kind of operation on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Make a file.
    Create,
    /// Make a folder.
    CreateFolder,
    /// Read the names in a folder.
    List,
    /// Take the lock of the data directory.
    Lock,
    /// Open a file.
    Open,
    /// Read from a file.
    Read,
    /// Remove a file or a folder.
    Remove,
    /// Give a file its final name.
    Rename,
    /// Ask how much room there is.
    Space,
    /// Force a file's content to the disk.
    Sync,
    /// Force a folder's names to the disk.
    SyncFolder,
    /// Cut a file.
    Truncate,
    /// Write to a file.
    Write,
}

impl Step {
    /// The verb for an error message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateFolder => "create the folder",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Open => "open",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Space => "measure the free space of",
            Self::Sync => "sync",
            Self::SyncFolder => "sync the folder",
            Self::Truncate => "truncate",
            Self::Write => "write",
        }
    }
}

/// Whether a change has to survive a power failure before the call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It may be lost; the caller says why that is harmless.
    Relaxed,
    /// The content is on the disk before the name is.
    Synced,
}

/// Access to the disk.
#[derive(Clone, Debug, Default)]
pub struct Files {
    faults: Option<Arc<dyn Faults>>,
}

impl Files {
    /// Access that `faults` may break.
    #[must_use]
    pub fn with(faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults) }
    }

    /// An empty file for reading and writing; one that is there is emptied.
    pub(super) fn create(&self, path: &Path) -> Result<File, StoreError> {
        self.attempt(Step::Create, path, || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(FILE_MODE)
                .open(path)
        })
    }

    /// The file for reading, `None` where there is none.
    pub(super) fn open(&self, path: &Path) -> Result<Option<File>, StoreError> {
        absent_is_none(self.attempt(Step::Open, path, || File::open(path)))
    }

    /// The file for reading and writing on, `None` where there is none.
    pub(super) fn open_to_append(&self, path: &Path) -> Result<Option<File>, StoreError> {
        absent_is_none(
            self.attempt(Step::Open, path, || OpenOptions::new().read(true).write(true).open(path)),
        )
    }

    /// The length in bytes; anything but a regular file has none.
    pub(super) fn length(&self, file: &File, path: &Path) -> Result<Option<u64>, StoreError> {
        let metadata = self.attempt(Step::Read, path, || file.metadata())?;
        Ok(metadata.is_file().then_some(metadata.len()))
    }

    /// When the file was last written to, `None` where there is none.
    pub(super) fn modified(&self, path: &Path) -> Result<Option<SystemTime>, StoreError> {
        absent_is_none(self.attempt(Step::Read, path, || path.metadata()?.modified()))
    }

    /// The whole content, `None` where there is no file.
    ///
    /// A file longer than `limit` is cut there: the caller checks a digest, which then fails.
    pub(super) fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        self.attempt(Step::Read, path, || {
            let mut content = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(&file, limit), &mut content)?;
            Ok(Some(content))
        })
    }

    /// Gives the bytes in `span` to `hasher`, or as many as there are. Where it stopped.
    pub(super) fn hash(
        &self,
        file: &File,
        path: &Path,
        span: Range<u64>,
        hasher: &mut Hasher,
    ) -> Result<u64, StoreError> {
        self.attempt(Step::Read, path, || {
            let mut buffer = vec![0; HASH_BUFFER];
            let mut position = span.start;
            while position < span.end {
                let left = usize::try_from(span.end - position).unwrap_or(usize::MAX);
                match file.read_at(&mut buffer[..left.min(HASH_BUFFER)], position) {
                    Ok(0) => break,
                    Ok(read) => {
                        hasher.update(&buffer[..read]);
                        position += read as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(position)
        })
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write(
        &self,
        file: &File,
        path: &Path,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), StoreError> {
        self.attempt(Step::Write, path, || file.write_all_at(bytes, offset))
    }

    pub(super) fn truncate(&self, file: &File, path: &Path, length: u64) -> Result<(), StoreError> {
        self.attempt(Step::Truncate, path, || file.set_len(length))
    }

    pub(super) fn sync(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        self.attempt(Step::Sync, path, || file.sync_all())
    }

    /// Makes a rename in `folder` survive a power failure: names live in the folder, which has a
    /// cache of its own.
    pub(super) fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        self.attempt(Step::SyncFolder, folder, || File::open(folder)?.sync_all())
    }

    /// Gives `from` the name `to`, in one step, and makes the folder of `to` where it is missing.
    pub(super) fn rename(
        &self,
        from: &Path,
        to: &Path,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let folder = folder_of(to).unwrap_or_else(|| Path::new("/"));
        let renamed = self.attempt(Step::Rename, to, || std::fs::rename(from, to));
        if absent_is_none(renamed)?.is_none() {
            self.make_folder(folder, durability)?;
            self.attempt(Step::Rename, to, || std::fs::rename(from, to))?;
        }
        match durability {
            Durability::Relaxed => Ok(()),
            Durability::Synced => self.sync_folder(folder),
        }
    }

    /// Makes a folder and those above it.
    pub(super) fn make_folder(
        &self,
        folder: &Path,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let made = absent_is_none(self.make_one_folder(folder, durability))?;
        if let (None, Some(above)) = (made, folder_of(folder)) {
            self.make_folder(above, durability)?;
            // Once: there are file systems, such as `/proc`, that say "not found" whatever is there.
            self.make_one_folder(folder, durability)?;
        }
        Ok(())
    }

    fn make_one_folder(&self, folder: &Path, durability: Durability) -> Result<(), StoreError> {
        let made = self.attempt(Step::CreateFolder, folder, || {
            match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
                    Ok(false)
                }
                result => result.map(|()| true),
            }
        })?;
        match folder_of(folder) {
            Some(above) if made && durability == Durability::Synced => self.sync_folder(above),
            _ => Ok(()),
        }
    }

    /// Removes a file; whether there was one.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, StoreError> {
        let removed = self.attempt(Step::Remove, path, || std::fs::remove_file(path));
        Ok(absent_is_none(removed)?.is_some())
    }

    /// Removes a folder and everything in it.
    pub(super) fn remove_folder(&self, path: &Path) -> Result<(), StoreError> {
        let removed = self.attempt(Step::Remove, path, || std::fs::remove_dir_all(path));
        absent_is_none(removed).map(|_| ())
    }

    /// What is in a folder, `None` where there is none. Names come in no order.
    pub(super) fn list(&self, folder: &Path) -> Result<Option<ReadDir>, StoreError> {
        absent_is_none(self.attempt(Step::List, folder, || std::fs::read_dir(folder)))
    }

    /// Bytes that this user may still write in the file system of `path`.
    pub(super) fn free_space(&self, path: &Path) -> Result<u64, StoreError> {
        self.attempt(Step::Space, path, || {
            let figures = rustix::fs::statvfs(path)?;
            // Some network file systems do not say.
            let says = figures.f_blocks > 0;
            Ok(if says { figures.f_bavail.saturating_mul(figures.f_frsize) } else { u64::MAX })
        })
    }

    /// Takes the advisory lock that lasts as long as `file`; whether it was free.
    pub(super) fn lock(&self, file: &File, path: &Path) -> Result<bool, StoreError> {
        self.attempt(Step::Lock, path, || match file.try_lock() {
            Ok(()) => Ok(true),
            Err(std::fs::TryLockError::WouldBlock) => Ok(false),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        })
    }

    fn attempt<T>(
        &self,
        step: Step,
        path: &Path,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let allowed = self.faults.as_ref().map_or(Ok(()), |faults| faults.strike(step, path));
        allowed.and_then(|()| operation()).map_err(|error| StoreError::io(step, path, error))
    }
}

fn absent_is_none<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// The folder that holds the name `path`. `data` is a name in the current folder.
fn folder_of(path: &Path) -> Option<&Path> {
    let above = path.parent()?;
    Some(if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;
/// Bytes read at once where a whole file is hashed.
const HASH_BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_folder_is_in_the_current_one() {
        for (path, folder) in
            [("data", Some(".")), ("a/data", Some("a")), ("/data", Some("/")), ("/", None)]
        {
            assert_eq!(folder_of(Path::new(path)), folder.map(Path::new), "{path}");
        }
    }
}
