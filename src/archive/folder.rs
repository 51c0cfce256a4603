//! A layout in a folder. Links are not followed: they could lead anywhere on this machine.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    ArchiveError, EntryName,
    extent::Extent,
    open::{Found, Small},
    shelf::Shelf,
    tar::MAX_MEMBERS,
    volumes::open_regular,
};
use crate::oci::{Algorithm, Digest};

/// The content of a layout in a folder.
#[derive(Debug)]
struct Folder {
    root: PathBuf,
    sizes: HashMap<Digest, u64>,
}

/// Looks through the layout in `root`.
///
/// # Errors
/// See [`ArchiveError`].
pub(super) fn look(root: &Path) -> Result<Found, ArchiveError> {
    let mut small = Small::default();
    for name in Small::NAMES {
        let path = root.join(name);
        match open_regular(&path) {
            Ok(file) => {
                let size = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
                let entry = EntryName::parse(name.as_bytes())?;
                let extent = Extent::whole(Arc::new(file), size);
                small.accept(&entry, name, size, || extent.read())?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    let mut sizes = HashMap::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let within = root.join("blobs").join(algorithm.as_str());
        blobs(&within, algorithm, &mut sizes)?;
    }
    Ok(Found { small, shelf: Arc::new(Folder { root: root.to_owned(), sizes }) })
}

fn blobs(
    folder: &Path,
    algorithm: Algorithm,
    sizes: &mut HashMap<Digest, u64>,
) -> Result<(), ArchiveError> {
    for above in [folder.parent().unwrap_or(folder), folder] {
        match fs::symlink_metadata(above) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                let name = above.display().to_string();
                return Err(ArchiveError::Kind { name, kind: "symbolic link" });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(above, &error)),
        }
    }
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let name = format!("blobs/{}/{}", algorithm.as_str(), entry.file_name().to_string_lossy());
        let metadata = entry.metadata().map_err(|error| unreadable(folder, &error))?;
        if metadata.is_symlink() {
            return Err(ArchiveError::Kind { name, kind: "symbolic link" });
        }
        if !metadata.is_file() {
            return Err(ArchiveError::Kind { name, kind: "folder or device" });
        }
        if let EntryName::Blob(digest) = EntryName::parse(name.as_bytes())? {
            sizes.insert(digest, metadata.len());
        }
        if sizes.len() > MAX_MEMBERS {
            return Err(ArchiveError::TooMany { what: "files", limit: MAX_MEMBERS });
        }
    }
    Ok(())
}

impl Shelf for Folder {
    fn size(&self, digest: &Digest) -> Option<u64> {
        self.sizes.get(digest).copied()
    }

    fn open(&self, digest: &Digest) -> BoxFuture<'static, Result<Extent, ArchiveError>> {
        let path = self.root.join(EntryName::blob(digest));
        let opened = open_regular(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let extent = opened.map(|(size, file)| Extent::whole(Arc::new(file), size));
        std::future::ready(extent.map_err(|error| unreadable(&path, &error))).boxed()
    }

    fn place(&self, digest: &Digest) -> String {
        format!("`{}`", self.root.join(EntryName::blob(digest)).display())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ArchiveError {
    let error = io::Error::new(error.kind(), error.to_string());
    ArchiveError::io("read", format!("`{}`", path.display()), error)
}
