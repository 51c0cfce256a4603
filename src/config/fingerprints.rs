//! Whether files changed, told by looking at them.
//!
//! Looking now and then rather than being notified, because that also sees what notifications miss:
//! network file systems, and the way Kubernetes updates a volume, where the files are links through a
//! folder that is swapped as a whole. What is compared is the file at the end of all links.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What some files look like from outside. Two of them differ when one of the files has been
/// changed, replaced, added or removed in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints(BTreeMap<PathBuf, Option<Fingerprint>>);

/// Of one file; a file that is not there has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds. The time of the last change of content or of the inode, because
    /// that of the content can be set to any value.
    changed: (i64, i64),
}

impl Fingerprints {
    /// Of `files`, as they are now.
    #[must_use]
    pub fn of(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|path| (path.clone(), fingerprint(path))).collect())
    }
}

fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let found = fs::metadata(path).ok()?;
    Some(Fingerprint {
        device: found.dev(),
        inode: found.ino(),
        length: found.size(),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _, os::unix::fs::symlink};

    use super::*;

    fn write(path: &Path, content: &str) {
        File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
    }

    /// Whether `change` is seen in `path`.
    fn sees(path: &Path, change: impl FnOnce()) -> bool {
        let files = [path.to_owned()];
        let before = Fingerprints::of(&files);
        change();
        Fingerprints::of(&files) != before
    }

    #[test]
    fn sees_files_change_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        assert!(!sees(&path, || ()));
        assert!(sees(&path, || write(&path, "a")));
        assert!(!sees(&path, || ()));
        assert!(sees(&path, || write(&path, "bb")));
        assert!(sees(&path, || fs::remove_file(&path).unwrap()));
    }

    #[test]
    fn sees_the_swap_of_a_linked_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            write(&at(version).join("policy.toml"), "same");
        }
        symlink("1", at("data")).unwrap();
        symlink("data/policy.toml", at("policy.toml")).unwrap();
        assert!(sees(&at("policy.toml"), || {
            symlink("2", at("data-new")).unwrap();
            fs::rename(at("data-new"), at("data")).unwrap();
        }));
    }

    #[test]
    fn a_different_set_of_files_differs() {
        let (a, b) = (PathBuf::from("/nonexistent/a"), PathBuf::from("/nonexistent/b"));
        assert_ne!(Fingerprints::of(std::slice::from_ref(&a)), Fingerprints::of(&[a, b]));
    }
}
