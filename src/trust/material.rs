//! The trust roots that a policy knows by name: as they were built in, and as they were refreshed.
//!
//! `public-good` is Sigstore's own instance, `github` is GitHub's for attestations. Each is built into
//! the program, so that a mirror without any network judges from its first minute; whoever refreshes
//! them leaves newer ones in a folder, drawn here, and the policy reads that folder when it loads:
//!
//! ```text
//! trust-v1/public-good/state.json                  which content is in force, and since when
//! trust-v1/public-good/root-<sha256>.json          a `trusted_root.json`, named by its digest
//! trust-v1/public-good/tuf/...                     what the refreshing needs (see `refresh`)
//! ```
//!
//! `state.json` is replaced by a rename and names the content by its digest, so a reader never sees
//! half of a change. What cannot be read, or is not what its digest says, counts as not there: the
//! root that was built in is used, and the reader hears why. So does a refreshed root that is older
//! than the program.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    json::Json,
    policy::read_bounded,
    root::{
        TrustedRoot,
        embedded::{self, Embedded},
    },
    words::words,
};
use crate::{oci::Digest, timestamp::Timestamp};

words! {
    /// A trust root that a policy may name instead of a file.
    pub enum KnownRoot {
        /// GitHub's instance, for attestations of private repositories.
        GitHub = "github",
        /// Sigstore's public instance.
        PublicGood = "public-good",
    }
}

/// A known trust root, as it is now.
#[derive(Clone, Debug)]
pub struct Material {
    /// A `trusted_root.json`.
    pub content: Cow<'static, [u8]>,
    /// Where it is from.
    pub origin: Origin,
    /// Why a refreshed root that is there is not used, in words.
    pub set_aside: Option<String>,
}

/// Where a known trust root is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built into the program, as it was published on this day.
    BuiltIn(SystemTime),
    /// Fetched since, and verified last at this time.
    Refreshed(SystemTime),
}

/// What `state.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The content that is in force.
    pub content: Digest,
    /// When it was last seen to be the current one.
    pub verified: Timestamp,
    /// When the keys that vouch for it have to have been renewed.
    pub expires: Timestamp,
    /// The version of the root of those keys.
    pub root_version: u64,
}

impl KnownRoot {
    /// The root as it is now, where refreshed roots are in `folder`.
    #[must_use]
    pub fn read(self, folder: Option<&Path>) -> Material {
        let built_in = Material {
            content: Cow::Borrowed(self.embedded().document.as_bytes()),
            origin: Origin::BuiltIn(self.built_in_on()),
            set_aside: None,
        };
        match folder.map(|folder| self.refreshed(folder)) {
            None | Some(Ok(None)) => built_in,
            Some(Ok(Some((content, verified)))) => Material {
                content: Cow::Owned(content),
                origin: Origin::Refreshed(verified),
                set_aside: None,
            },
            Some(Err(why)) => Material { set_aside: Some(why), ..built_in },
        }
    }

    /// The file whose change is a change of the root.
    #[must_use]
    pub fn state_file(self, folder: &Path) -> PathBuf {
        folder.join(self.as_str()).join("state.json")
    }

    /// The file that holds `content`.
    #[must_use]
    pub fn content_file(self, folder: &Path, content: &Digest) -> PathBuf {
        folder.join(self.as_str()).join(format!("root-{}.json", content.hex()))
    }

    /// What `state.json` in `folder` says; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, in words.
    pub fn state(self, folder: &Path) -> Result<Option<State>, String> {
        let path = self.state_file(folder);
        let told = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        match read_bounded(&path, MAX_STATE) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| told(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    fn embedded(self) -> &'static Embedded {
        let embedded = embedded::ALL.iter().find(|embedded| embedded.name == self.as_str());
        embedded.expect("a test finds every one")
    }

    /// The day on which the root that is built in was published.
    fn built_in_on(self) -> SystemTime {
        let day = format!("{}T00:00:00Z", self.embedded().date).parse::<Timestamp>();
        day.expect("a test reads every one").0
    }

    fn refreshed(self, folder: &Path) -> Result<Option<(Vec<u8>, SystemTime)>, String> {
        let Some(state) = self.state(folder)? else { return Ok(None) };
        if state.verified.0 < self.built_in_on() {
            return Ok(None);
        }
        let path = self.content_file(folder, &state.content);
        let told = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        let content = read_bounded(&path, MAX_TRUST_ROOT).map_err(|error| told(&error))?;
        if !state.content.matches(&content) {
            return Err(told(&"is not what its digest says"));
        }
        Ok(Some((content, state.verified.0)))
    }
}

/// Whether `document` means one thing only: no member twice, at no level, and not too deep (G-14).
///
/// # Errors
/// Why it does not, in words.
pub fn check_unambiguous(document: &[u8]) -> Result<(), String> {
    Json::parse(document).map(drop).map_err(|error| error.to_string())
}

/// Whether `content` is a trust root that this release understands.
///
/// # Errors
/// Why it is none, in words.
pub fn check_trusted_root(content: &[u8]) -> Result<(), String> {
    TrustedRoot::parse(content).map(drop).map_err(|error| error.to_string())
}

/// Bytes of a `trusted_root.json`. The public one has 7,000.
pub const MAX_TRUST_ROOT: u64 = 1 << 20;
/// Bytes of `state.json`.
const MAX_STATE: u64 = 4 << 10;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write the files that refreshing would")]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    fn built_in_on() -> SystemTime {
        KnownRoot::PublicGood.built_in_on()
    }

    const NEWER: &[u8] = b"{\"newer\":true}";

    /// A folder in which `content` was verified `after` the built-in root, under the digest of `said`.
    fn folder(content: &[u8], said: &[u8], verified: SystemTime) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownRoot::PublicGood;
        fs::create_dir_all(folder.path().join(known.as_str())).unwrap();
        let state = State {
            content: Digest::of(said),
            verified: Timestamp(verified),
            expires: Timestamp(verified),
            root_version: 17,
        };
        fs::write(known.content_file(folder.path(), &state.content), content).unwrap();
        fs::write(known.state_file(folder.path()), serde_json::to_vec(&state).unwrap()).unwrap();
        folder
    }

    #[test]
    fn every_known_root_is_built_in_with_its_day() {
        for known in KnownRoot::ALL {
            assert_eq!(known.read(None).origin, Origin::BuiltIn(known.built_in_on()));
        }
        assert_eq!(Timestamp(built_in_on()).to_string(), "2026-10-23T00:00:00.000Z");
    }

    #[test]
    fn a_refreshed_root_wins_over_the_one_that_was_built_in() {
        let verified = built_in_on() + Duration::from_secs(1);
        let folder = folder(NEWER, NEWER, verified);
        let material = KnownRoot::PublicGood.read(Some(folder.path()));
        assert_eq!(material.content, NEWER);
        assert_eq!(material.origin, Origin::Refreshed(verified));
        let other = KnownRoot::GitHub.read(Some(folder.path()));
        assert_eq!(other.origin, Origin::BuiltIn(built_in_on()), "each has a folder of its own");
    }

    #[test]
    fn a_program_that_is_newer_wins_over_what_was_refreshed_before() {
        let folder = folder(NEWER, NEWER, built_in_on() - Duration::from_secs(1));
        let material = KnownRoot::PublicGood.read(Some(folder.path()));
        assert_eq!(material.origin, Origin::BuiltIn(built_in_on()));
        assert_eq!(material.set_aside, None);
    }

    #[test]
    fn g50_a_damaged_root_is_set_aside_and_the_built_in_one_is_used() {
        let verified = built_in_on() + Duration::from_secs(1);
        let damaged = folder(b"{\"newer\":TRUE}", NEWER, verified);
        let unreadable = folder(NEWER, NEWER, verified);
        fs::write(KnownRoot::PublicGood.state_file(unreadable.path()), "{").unwrap();
        for folder in [damaged, unreadable] {
            let material = KnownRoot::PublicGood.read(Some(folder.path()));
            assert_eq!(material.origin, Origin::BuiltIn(built_in_on()));
            assert!(material.set_aside.is_some());
        }
    }

    #[test]
    fn a_member_that_is_there_twice_makes_a_document_ambiguous() {
        assert!(check_unambiguous(br#"{"a":{"b":1,"c":2}}"#).is_ok());
        assert!(check_unambiguous(br#"{"a":{"b":1,"b":2}}"#).is_err());
    }
}
