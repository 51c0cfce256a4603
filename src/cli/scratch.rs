//! A temporary folder that goes away with the command that made it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use crate::environment::Environment;

/// A folder of this process's own, removed with everything in it when the value is dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty folder that nobody else can look into.
    ///
    /// # Errors
    /// When the system's temporary folder cannot be written to.
    pub(super) fn new(environment: &Environment) -> io::Result<Self> {
        let name = format!("portcullis-{:016x}", environment.entropy.below(u64::MAX));
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// When the disk refuses.
    #[expect(
        clippy::disallowed_methods,
        reason = "a file of the command's own, that nothing has to outlive"
    )]
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "temporary folder not removed");
        }
    }
}
