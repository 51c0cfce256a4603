//! Trust roots by name: those that come with the program, and files.
//!
//! A root is read once however many authorities name it, and every one of them then holds the same.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    authority::{Folder, read_bounded},
    document::Field,
};
use crate::trust::{
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
pub(super) struct TrustRoots(BTreeMap<String, Option<Arc<TrustRoot>>>);

impl TrustRoots {
    /// The root that `field` names; its file goes to the files of `folder`.
    pub(super) fn open(
        &mut self,
        folder: &mut Folder<'_>,
        field: &Field<'_, '_>,
    ) -> Option<Arc<TrustRoot>> {
        let text = field.text()?;
        if let Some(root) = self.0.get(text) {
            return root.clone();
        }
        let root = read(folder, field, text)
            .map(|root| Arc::new(TrustRoot { name: text.to_owned(), root }));
        self.0.insert(text.to_owned(), root.clone());
        root
    }

    /// The root of an authority that names none.
    pub(super) fn public_good() -> Option<Arc<TrustRoot>> {
        let root = embedded::root(PUBLIC_GOOD)?.clone();
        Some(Arc::new(TrustRoot { name: PUBLIC_GOOD.to_owned(), root }))
    }
}

fn read(folder: &mut Folder<'_>, field: &Field<'_, '_>, text: &str) -> Option<TrustedRoot> {
    if let Some(root) = embedded::root(text) {
        return Some(root.clone());
    }
    let names: Vec<_> = embedded::ALL.iter().map(|embedded| embedded.name).collect();
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

/// The root of an authority that names none.
const PUBLIC_GOOD: &str = "public-good";
/// Bytes of a trust root. Sigstore's own has 7,000, GitHub's 32,000.
const MAX_TRUST_ROOT: u64 = 1 << 20;
