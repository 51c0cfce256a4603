//! The keys and values in the accelerator.
//!
//! ```text
//! b <digest>                               a blob: size, last use, flags
//! e <image> 0 <digest> <manifest>          this manifest of this repository references the digest
//! m <name>                                 the store's own notes
//! ```
//! A digest is one byte for its algorithm and its raw hash. An image's name holds no zero byte.

use std::time::{Duration, SystemTime};

use crate::{
    oci::{Algorithm, Digest, ImageName},
    store::records::ReferencedAs,
};

/// What is known about content on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct BlobEntry {
    /// The length in bytes.
    pub(in crate::store) size: u64,
    /// Seconds since 1970.
    pub(in crate::store) last_use: u64,
    /// Whether content of this length was seen to hash to the digest. Where not, the length was
    /// only found on disk, and the content is hashed before it is served.
    pub(in crate::store) verified: bool,
    /// Whether it belongs to the small things that eviction leaves alone: manifests and evidence.
    pub(in crate::store) kept: bool,
}

impl BlobEntry {
    pub(super) fn encode(&self) -> [u8; LENGTH] {
        let mut value = [0; LENGTH];
        value[..8].copy_from_slice(&self.size.to_be_bytes());
        value[8..16].copy_from_slice(&self.last_use.to_be_bytes());
        value[16] = u8::from(self.verified) | (u8::from(self.kept) << 1);
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (size, rest) = value.split_first_chunk()?;
        let (last_use, flags) = rest.split_first_chunk()?;
        let [flags @ 0..4] = flags else { return None };
        Some(Self {
            size: u64::from_be_bytes(*size),
            last_use: u64::from_be_bytes(*last_use),
            verified: flags & 1 != 0,
            kept: flags & 2 != 0,
        })
    }
}

/// `time` as [`BlobEntry::last_use`] counts it.
pub(in crate::store) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

pub(super) fn blob_key(digest: &Digest) -> Vec<u8> {
    let mut key = BLOBS.to_vec();
    push_digest(&mut key, digest);
    key
}

pub(super) fn blob_of_key(key: &[u8]) -> Option<Digest> {
    match take_digest(key.strip_prefix(BLOBS)?)? {
        (digest, []) => Some(digest),
        _ => None,
    }
}

/// What all keys of [`edge_key`] for this digest begin with.
pub(super) fn edges_prefix(image: &ImageName, referenced: &Digest) -> Vec<u8> {
    let mut key = format!("e{image}\0").into_bytes();
    push_digest(&mut key, referenced);
    key
}

pub(super) fn edge_key(image: &ImageName, referenced: &Digest, manifest: &Digest) -> Vec<u8> {
    let mut key = edges_prefix(image, referenced);
    push_digest(&mut key, manifest);
    key
}

/// The manifest at the end of a key that begins with a prefix of this length.
pub(super) fn manifest_of_edge(key: &[u8], prefix: usize) -> Option<Digest> {
    match take_digest(key.get(prefix..)?)? {
        (digest, []) => Some(digest),
        _ => None,
    }
}

pub(super) const fn edge_value(kind: ReferencedAs) -> [u8; 1] {
    match kind {
        ReferencedAs::Content => [0],
        ReferencedAs::Manifest => [1],
        ReferencedAs::Subject => [2],
    }
}

pub(super) const fn edge_kind(value: &[u8]) -> Option<ReferencedAs> {
    match value {
        [0] => Some(ReferencedAs::Content),
        [1] => Some(ReferencedAs::Manifest),
        [2] => Some(ReferencedAs::Subject),
        _ => None,
    }
}

/// What all keys of [`blob_key`] begin with.
pub(super) const BLOBS: &[u8] = b"b";
/// Set while no mirror is running, if the last one closed in order.
pub(super) const CLEAN: &[u8] = b"mclean";
/// When the scrub last finished a step, in milliseconds since 1970.
pub(super) const SCRUBBED: &[u8] = b"mscrubbed";

const LENGTH: usize = 17;

fn push_digest(key: &mut Vec<u8>, digest: &Digest) {
    key.push(match digest.algorithm() {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    });
    key.extend_from_slice(digest.as_bytes());
}

fn take_digest(key: &[u8]) -> Option<(Digest, &[u8])> {
    let (algorithm, rest) = match key.split_first()? {
        (1, rest) => (Algorithm::Sha256, rest),
        (2, rest) => (Algorithm::Sha512, rest),
        _ => return None,
    };
    let (hash, rest) = rest.split_at_checked(algorithm.length())?;
    Some((Digest::from_bytes(algorithm, hash)?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_round_trip(size: u64, last_use: u64, verified: bool, kept: bool) {
            let entry = BlobEntry { size, last_use, verified, kept };
            prop_assert_eq!(BlobEntry::decode(&entry.encode()), Some(entry));
        }

        #[test]
        fn keys_round_trip(referenced: Vec<u8>, manifest: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let (referenced, manifest) = (Digest::of(&referenced), Digest::with(algorithm, &manifest));
            let image = ImageName {
                upstream: "registry.test:5000".parse().expect("an upstream"),
                repository: "a/b".parse().expect("a repository"),
            };
            let prefix = edges_prefix(&image, &referenced);
            let key = edge_key(&image, &referenced, &manifest);
            prop_assert!(key.starts_with(&prefix));
            prop_assert_eq!(manifest_of_edge(&key, prefix.len()), Some(manifest));
            prop_assert_eq!(blob_of_key(&blob_key(&manifest)), Some(manifest));
        }

        #[test]
        fn decoding_never_panics(bytes: Vec<u8>, prefix in 0_usize..80) {
            let _ = (BlobEntry::decode(&bytes), blob_of_key(&bytes));
            let _ = (manifest_of_edge(&bytes, prefix), edge_kind(&bytes));
        }
    }
}
