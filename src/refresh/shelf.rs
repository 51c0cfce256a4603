//! What was verified before, so that nothing older is believed again.
//!
//! ```text
//! trust-v1/public-good/tuf/root_history/17.root.json   each root since the built-in one
//! trust-v1/public-good/tuf/timestamp.json              the last of each, verified together
//! trust-v1/public-good/tuf/snapshot.json
//! trust-v1/public-good/tuf/targets.json
//! ```
//!
//! A root is written when it is verified: it may be there because a key of the one before was stolen.
//! The other three are held back until everything was verified, since the versions in each are a
//! floor for the next only where they fit together. All of it is verified again when it is read.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use sigstore_tuf::{Error, MetadataStore};

use super::publish::write_whole;

/// The files of one repository. Clones share what is held back.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    held: Arc<Mutex<BTreeMap<&'static str, Vec<u8>>>>,
}

impl Shelf {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), held: Arc::default() }
    }

    /// Writes down what was held back.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn commit(&self) -> io::Result<()> {
        let held = std::mem::take(
            &mut *self.held.lock().expect("nothing panics while it holds this lock"),
        );
        held.iter().try_for_each(|(name, bytes)| write_whole(&self.folder.join(name), bytes))
    }
}

impl MetadataStore for Shelf {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        if kept(name).is_none() && !is_root(name) {
            return Ok(None);
        }
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("reading `{}`", path.display()), error)),
        }
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if is_root(name) {
            let path = self.folder.join(name);
            return write_whole(&path, bytes)
                .map_err(|error| Error::io(format!("writing `{}`", path.display()), error));
        }
        if let Some(name) = kept(name) {
            let mut held = self.held.lock().expect("nothing panics while it holds this lock");
            held.insert(name, bytes.to_vec());
        }
        Ok(())
    }
}

/// Whether `name` is that of a root, as the library gives them: `root_history/17.root.json`.
fn is_root(name: &str) -> bool {
    let version =
        name.strip_prefix("root_history/").and_then(|rest| rest.strip_suffix(".root.json"));
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name, if it is one of the three that are kept. Everything else is fetched again.
fn kept(name: &str) -> Option<&'static str> {
    ["timestamp.json", "snapshot.json", "targets.json"].into_iter().find(|kept| *kept == name)
}
