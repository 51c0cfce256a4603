//! `portcullis keygen`: a key pair to sign with.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    failure::{CliError, Exit},
    output::Output,
    password,
};
use crate::{
    config::Variables,
    environment::Environment,
    trust::signing::{PrivateKey, encrypt},
};

/// Makes a key pair: PREFIX.key, encrypted, and PREFIX.pub.
///
/// The files are those of `cosign generate-key-pair`: either program can use the other's. The password
/// comes from `COSIGN_PASSWORD`, else from the terminal.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis keygen release
  COSIGN_PASSWORD=... portcullis keygen keys/release

Then name the public key in the policy:
  [authority.release]
  key = \"release.pub\"")]
pub struct Keygen {
    /// Where to write: PREFIX.key and PREFIX.pub, neither of which may exist
    #[arg(value_name = "PREFIX")]
    prefix: PathBuf,
}

impl Keygen {
    /// Makes the keys.
    pub(super) fn run(
        &self,
        variables: &Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (private, public) = (self.with_suffix(".key"), self.with_suffix(".pub"));
        if let Some(existing) = [&private, &public].into_iter().find(|path| path.exists()) {
            let what = format!("`{}` exists and is not overwritten", existing.display());
            return Err(CliError::Usage(what));
        }
        let password = password::new(variables)?;
        let failed = |error: &dyn std::error::Error| CliError::Failed(error.to_string());
        let entropy = &*environment.entropy;
        let key = PrivateKey::generate(entropy).map_err(|error| failed(&error))?;
        let encrypted = encrypt(&key, &password, entropy).map_err(|error| failed(&error))?;
        create(&private, &encrypted, 0o600)?;
        if let Err(error) = create(&public, &key.public().to_pem(), 0o644) {
            // Half a pair helps nobody, and would be in the way of the next attempt.
            let _ = fs::remove_file(&private);
            return Err(error);
        }
        output.line(format_args!("private key  {}", private.display()))?;
        output.line(format_args!("public key   {}", public.display()))?;
        output.line(format_args!("fingerprint  {}", key.public().fingerprint()))?;
        Ok(Exit::Success)
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.prefix);
        path.push(suffix);
        path.into()
    }
}

/// Writes a file that must not be there yet.
fn create(path: &Path, content: &str, mode: u32) -> Result<(), CliError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| CliError::Failed(format!("cannot write `{}`: {error}", path.display())))
}
