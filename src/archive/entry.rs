//! The names that an archive's files may have.
//!
//! Nothing is ever written under a name from an archive: what is wanted is recognised, and the rest
//! is only counted. A name that would leave its folder is refused all the same, since whoever made
//! it meant harm or has a broken program.

use super::{ArchiveError, checksums::CHECKSUMS, inventory};
use crate::oci::Digest;

/// What a file in an archive is, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EntryName {
    /// `blobs/<algorithm>/<hex>`: content.
    Blob(Digest),
    /// `SHA256SUMS`.
    Checksums,
    /// `index.json`: what the layout holds.
    Index,
    /// `portcullis.json`.
    Inventory,
    /// `oci-layout`: the version of the layout.
    Layout,
    /// Something that other programs put there.
    Other,
    /// `portcullis.json.sig`.
    Signature,
}

impl EntryName {
    /// Recognises `path`, as an archive writes it.
    ///
    /// # Errors
    /// For a name that is absolute, leaves its folder, is no text, or is under `blobs/` and no digest.
    pub fn parse(path: &[u8]) -> Result<Self, ArchiveError> {
        let shown = || String::from_utf8_lossy(path).chars().take(MAX_SHOWN).collect();
        let unsafe_name = || ArchiveError::UnsafeName { name: shown() };
        let text = std::str::from_utf8(path).map_err(|_| unsafe_name())?;
        let is_plain = |part: &str| part != ".." && !part.contains(['\0', '\\']);
        if text.len() > MAX_NAME || text.starts_with('/') || !text.split('/').all(is_plain) {
            return Err(unsafe_name());
        }
        let parts: Vec<_> =
            text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        Ok(match parts.as_slice() {
            ["oci-layout"] => Self::Layout,
            ["index.json"] => Self::Index,
            [inventory::FILE] => Self::Inventory,
            [inventory::SIGNATURE] => Self::Signature,
            [CHECKSUMS] => Self::Checksums,
            ["blobs", algorithm, hex] => {
                let digest = format!("{algorithm}:{hex}").parse();
                Self::Blob(digest.map_err(|_| ArchiveError::BlobName { name: shown() })?)
            }
            _ => Self::Other,
        })
    }

    /// The name of `digest`'s content.
    #[must_use]
    pub fn blob(digest: &Digest) -> String {
        format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
    }

    /// Bytes that such a file may have; content may have any.
    pub(super) const fn limit(&self) -> Option<usize> {
        match self {
            Self::Blob(_) | Self::Other => None,
            Self::Index => Some(crate::oci::manifest::MAX_MANIFEST_SIZE),
            Self::Inventory => Some(inventory::MAX_SIZE),
            Self::Checksums | Self::Layout | Self::Signature => Some(MAX_SMALL),
        }
    }
}

/// What the longest paths of common systems have.
const MAX_NAME: usize = 4096;
/// Characters of a wrong name that an error shows.
const MAX_SHOWN: usize = 120;
/// Bytes of a file that only says a few words.
const MAX_SMALL: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_files_of_a_layout_are_recognised() {
        let digest = Digest::of(b"content");
        let blob = EntryName::blob(&digest);
        for (path, expected) in [
            ("oci-layout", EntryName::Layout),
            ("./index.json", EntryName::Index),
            ("portcullis.json", EntryName::Inventory),
            ("portcullis.json.sig", EntryName::Signature),
            ("SHA256SUMS", EntryName::Checksums),
            (blob.as_str(), EntryName::Blob(digest)),
            ("manifest.json", EntryName::Other),
            ("blobs/sha256/", EntryName::Other),
        ] {
            assert_eq!(EntryName::parse(path.as_bytes()).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        for path in [
            &b"../index.json"[..],
            b"/etc/passwd",
            b"blobs/../../x",
            b"a\0b",
            b"..",
            b"blobs\\sha256",
            b"\xff",
        ] {
            let refused = EntryName::parse(path);
            assert!(matches!(refused, Err(ArchiveError::UnsafeName { .. })), "{path:?}");
        }
        let wrong = EntryName::parse(b"blobs/sha256/ABC");
        assert!(matches!(wrong, Err(ArchiveError::BlobName { .. })));
    }

    proptest! {
        #[test]
        fn names_never_panic_and_blobs_round_trip(path: Vec<u8>, content: Vec<u8>) {
            let _ = EntryName::parse(&path);
            let digest = Digest::of(&content);
            let name = EntryName::blob(&digest);
            prop_assert_eq!(EntryName::parse(name.as_bytes()).ok(), Some(EntryName::Blob(digest)));
        }
    }
}
