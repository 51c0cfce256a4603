//! Where the files of a TUF repository come from: its site, or a folder with a copy of it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use sigstore_tuf::{Error, Repository, transport::FetchFuture};

use super::screen::screen;
use crate::upstream::Site;

/// Where the files come from. What comes is believed only as far as it is signed.
#[derive(Debug)]
pub enum Source {
    /// A copy of a repository, as somebody carried it in.
    Folder(PathBuf),
    /// The site of a repository, or a mirror of it.
    Site(Box<Site>),
}

impl Source {
    async fn fetch(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Folder(folder) => read(folder, path, limit)
                .map_err(|error| Error::transport_with_source(format!("`{path}`"), error)),
            Self::Site(site) => {
                let most = usize::try_from(limit).unwrap_or(usize::MAX);
                let found = site.fetch(path, most).await;
                let found = found.map_err(|error| {
                    Error::transport_with_source(format!("`{site}/{path}`"), error)
                })?;
                Ok(found.map(Into::into))
            }
        }
    }
}

impl Repository for Source {
    fn fetch_metadata<'a>(&'a self, name: &'a str, limit: u64) -> FetchFuture<'a> {
        Box::pin(async move {
            let found = self.fetch(name, limit).await?;
            if let Some(bytes) = &found {
                screen(bytes).map_err(|why| Error::Malformed(format!("`{name}`: {why}")))?;
            }
            Ok(found)
        })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, limit: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.fetch(&format!("targets/{path}"), limit).await })
    }
}

/// The file `path` below `folder`, if there is one and it has at most `limit` bytes.
fn read(folder: &Path, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let path = Path::new(path);
    // The names in a repository are chosen by whoever signs it.
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::other("leads out of the folder"));
    }
    let file = match File::open(folder.join(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("has more than {limit} bytes")));
    }
    Ok(Some(content))
}
