//! Trust roots by name: those that come with the program, and files.
//!
//! A root is read once however many authorities name it, and every one of them then holds the same.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    authority::{Folder, read_bounded},
    document::Field,
};
use crate::trust::{
    material::{KnownRoot, MAX_TRUST_ROOT},
    root::{TrustedRoot, embedded},
    words::listed,
};

/// A trust root, as the policy names it.
#[derive(Clone, Debug)]
pub struct TrustRoot {
    /// `public-good`, `github`, or the file.
    pub name: String,
    pub(in crate::trust) root: TrustedRoot,
}

/// Reads the trust roots that authorities name.
#[derive(Debug, Default)]
pub(super) struct TrustRoots {
    read: BTreeMap<String, Option<Arc<TrustRoot>>>,
    /// Where refreshed roots are, if anywhere.
    refreshed: Option<PathBuf>,
}

impl TrustRoots {
    /// Reads those that have a name from `refreshed`, if they are there.
    pub(super) fn new(refreshed: Option<&Path>) -> Self {
        Self { read: BTreeMap::new(), refreshed: refreshed.map(Path::to_owned) }
    }

    /// The root that `field` names; its file goes to the files of `folder`.
    pub(super) fn open(
        &mut self,
        folder: &mut Folder<'_>,
        field: &Field<'_, '_>,
    ) -> Option<Arc<TrustRoot>> {
        let text = field.text()?;
        if let Some(known) = KnownRoot::from_word(text) {
            return self.known(folder, known);
        }
        if let Some(root) = self.read.get(text) {
            return root.clone();
        }
        let root = read(folder, field, text);
        let root = root.map(|root| Arc::new(TrustRoot { name: text.to_owned(), root }));
        self.read.insert(text.to_owned(), root.clone());
        root
    }

    /// The root of an authority that names none.
    pub(super) fn public_good(&mut self, folder: &mut Folder<'_>) -> Option<Arc<TrustRoot>> {
        self.known(folder, KnownRoot::PublicGood)
    }

    /// A root that has a name: as it was refreshed, else as it was built in. A newer one makes up
    /// another policy, so the file that tells of it is one of the policy's.
    fn known(&mut self, folder: &mut Folder<'_>, known: KnownRoot) -> Option<Arc<TrustRoot>> {
        if let Some(root) = self.read.get(known.as_str()) {
            return root.clone();
        }
        if let Some(refreshed) = &self.refreshed {
            folder.watch(known.state_file(refreshed));
        }
        let material = known.read(self.refreshed.as_deref());
        if let Some(why) = &material.set_aside {
            tracing::error!(root = known.as_str(), why, "refreshed trust root not used");
        }
        let root = TrustedRoot::parse(&material.content).ok();
        let root = root.or_else(|| embedded::root(known.as_str()).cloned());
        let root = root.map(|root| Arc::new(TrustRoot { name: known.to_string(), root }));
        self.read.insert(known.to_string(), root.clone());
        root
    }
}

fn read(folder: &mut Folder<'_>, field: &Field<'_, '_>, text: &str) -> Option<TrustedRoot> {
    let names: Vec<_> = KnownRoot::ALL.iter().map(|known| known.as_str()).collect();
    let next_step = format!("name a `trusted_root.json`, or write {}", listed(&names));
    let file: PathBuf = folder.file(text);
    let content = match read_bounded(&file, MAX_TRUST_ROOT) {
        Ok(content) => content,
        Err(error) => {
            field.problem(format!("cannot read `{}`: {error}", file.display()), next_step);
            return None;
        }
    };
    match TrustedRoot::parse(&content) {
        Ok(root) => Some(root),
        Err(error) => {
            field.problem(format!("`{}` is not a trust root: {error}", file.display()), next_step);
            None
        }
    }
}
