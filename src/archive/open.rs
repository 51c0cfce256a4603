//! Opening an archive, whatever its shape: a folder, a tar file, or volumes of one.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    ArchiveError, EntryName,
    checksums::{self, CHECKSUMS},
    extent::Extent,
    folder, inventory,
    layout::{Archive, Reading},
    shelf::Shelf,
    tar::{Member, Members},
    volumes::Volumes,
};
use crate::oci::Digest;

/// Opens the archive at `path` and reads what it says about itself.
///
/// # Errors
/// See [`ArchiveError`]: whatever is wrong with its form is found here, before anything is judged.
pub async fn open(path: &Path, reading: Reading<'_>) -> Result<Archive, ArchiveError> {
    let place = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || look(&place)).await;
    let looked = looked.unwrap_or_else(|error| {
        Err(ArchiveError::io("read", "the archive", io::Error::other(error)))
    });
    let name = path.file_name().map_or_else(|| path.as_os_str(), |name| name);
    Archive::read(name.to_string_lossy().into_owned(), looked?, reading).await
}

/// What an archive consists of.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) small: Small,
    pub(super) shelf: Arc<dyn Shelf>,
}

/// The files beside the content.
#[derive(Debug, Default)]
pub(super) struct Small(HashMap<EntryName, Bytes>);

impl Small {
    /// The names that they can have.
    pub(super) const NAMES: [&'static str; 5] =
        ["oci-layout", "index.json", inventory::FILE, inventory::SIGNATURE, CHECKSUMS];

    /// Takes in the file `entry` of `size` bytes, if it is one of these.
    ///
    /// # Errors
    /// When it is there already, is too large, or `read` fails.
    pub(super) fn accept(
        &mut self,
        entry: &EntryName,
        path: &str,
        size: u64,
        read: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Result<(), ArchiveError> {
        let Some(limit) = entry.limit() else { return Ok(()) };
        if size > limit as u64 {
            return Err(ArchiveError::TooLarge { name: path.to_owned(), size, limit });
        }
        let content =
            read().map_err(|error| ArchiveError::io("read", format!("`{path}`"), error))?;
        match self.0.insert(entry.clone(), content.into()) {
            Some(_) => Err(ArchiveError::Duplicate { name: path.to_owned() }),
            None => Ok(()),
        }
    }

    pub(super) fn file(&self, entry: &EntryName) -> Option<&Bytes> {
        self.0.get(entry)
    }

    /// Compares them with their checksums, where there are any.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedFile`].
    pub(super) fn check(&self) -> Result<(), ArchiveError> {
        let Some(sums) = self.file(&EntryName::Checksums) else { return Ok(()) };
        checksums::check(sums, |name| {
            let entry = EntryName::parse(name.as_bytes()).ok()?;
            self.file(&entry).cloned()
        })
    }
}

fn look(path: &Path) -> Result<Found, ArchiveError> {
    if path.is_dir() {
        return folder::look(path);
    }
    let volumes = Volumes::open(path)?;
    refuse_compressed(path, &volumes)?;
    let mut members = Members::new(volumes.reader());
    let mut small = Small::default();
    let mut content = HashMap::new();
    while let Some(member) = members.next()? {
        let Member { name, path, position, size } = &member;
        let extent = volumes.extent(*position, *size);
        let extent = extent.ok_or_else(|| ArchiveError::Truncated { name: path.clone() })?;
        match name {
            EntryName::Blob(digest) => {
                if content.insert(*digest, (*position, *size)).is_some() {
                    return Err(ArchiveError::Duplicate { name: path.clone() });
                }
            }
            name => small.accept(name, path, *size, || extent.read())?,
        }
    }
    Ok(Found { small, shelf: Arc::new(TarFile { volumes, content }) })
}

fn refuse_compressed(path: &Path, volumes: &Volumes) -> Result<(), ArchiveError> {
    let begin = volumes.extent(0, 4).map(|extent| extent.read());
    let begin = begin.and_then(Result::ok).unwrap_or_default();
    let is_compressed = COMPRESSED.iter().any(|magic| begin.starts_with(magic));
    match is_compressed {
        true => Err(ArchiveError::Compressed { path: PathBuf::from(path) }),
        false => Ok(()),
    }
}

/// The content of a layout in a tar file.
#[derive(Debug)]
struct TarFile {
    volumes: Volumes,
    /// Position and length of each content.
    content: HashMap<Digest, (u64, u64)>,
}

impl Shelf for TarFile {
    fn size(&self, digest: &Digest) -> Option<u64> {
        self.content.get(digest).map(|(_, size)| *size)
    }

    fn open(&self, digest: &Digest) -> BoxFuture<'static, Result<Extent, ArchiveError>> {
        let known = self.content.get(digest);
        let extent = known.and_then(|(position, size)| self.volumes.extent(*position, *size));
        std::future::ready(extent.ok_or(ArchiveError::Lacks { digest: *digest })).boxed()
    }

    fn place(&self, digest: &Digest) -> String {
        let (position, size) = self.content.get(digest).copied().unwrap_or_default();
        self.volumes.place(position, size)
    }
}

/// How files begin that gzip, zstd, bzip2 and xz made.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zX"];
