//! A recording as a folder: one file says what was asked and answered, the others are the content.
//!
//! ```text
//! recorded/app/recording.json     image, digest, time, and each answer by its digest
//! recorded/app/sha256-<hex>       the exact bytes of a manifest or of a signature's payload
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{About, Answers, Recording};
use crate::oci::Digest;

/// What `recording.json` says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u32,
    about: About,
    answers: Answers,
}

impl Recording {
    /// Whether `folder` holds one.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(INDEX).is_file()
    }

    /// Writes it to `folder`, which is made. What is there of the same name is replaced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for (digest, bytes) in &self.answers.content {
            write(&folder.join(file_of(digest)), bytes)?;
        }
        let (about, answers) = (self.about.clone(), self.answers.clone());
        let index = serde_json::to_vec_pretty(&Index { version: VERSION, about, answers })?;
        write(&folder.join(INDEX), &index)
    }

    /// Reads the one in `folder`.
    ///
    /// # Errors
    /// When there is none, or a file in it is not what its name says, in words.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join(INDEX);
        let told =
            |path: &Path, error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        let bytes = read(&path).map_err(|error| told(&path, &error))?;
        let Index { version, about, mut answers } =
            serde_json::from_slice(&bytes).map_err(|error| told(&path, &error))?;
        if version != VERSION {
            return Err(told(&path, &format_args!("version {version} is not known here")));
        }
        let digests: Vec<Digest> = answers.found.values().flatten().copied().collect();
        for digest in digests {
            let path = folder.join(file_of(&digest));
            let bytes = read(&path).map_err(|error| told(&path, &error))?;
            if !digest.matches(&bytes) {
                return Err(told(&path, &"is not what its name says"));
            }
            answers.content.insert(digest, Bytes::from(bytes));
        }
        Ok(Self { about, answers })
    }
}

fn file_of(digest: &Digest) -> String {
    digest.to_string().replace(':', "-")
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).open(path)?.write_all(bytes)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

const INDEX: &str = "recording.json";
const VERSION: u32 = 1;
/// More than anything that is recorded has; what is cut here does not match its digest.
const MAX_FILE: u64 = 64 << 20;
