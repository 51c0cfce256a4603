//! Eviction: the least recently used content goes when there is more than is allowed.
//!
//! A sweep shows every entry of the accelerator to a heap that remembers the oldest few thousand,
//! so its memory does not grow with the store; it removes those, and begins again while that was
//! not enough. It frees a little more than it must, so that not every fill causes a sweep. What is
//! being read stays; what is being filled is not in `blobs-v1` yet; manifests and evidence stay
//! ([`Class::Kept`](super::blobs::Class)). Removing is removing the file: no switch elsewhere has
//! to allow it.

use std::collections::BinaryHeap;

use super::{blobs::Blobs, error::StoreError, keyed::lock, meta::BlobEntry};
use crate::oci::Digest;

/// Counts what there is and removes what is too much. Blocks.
///
/// Does nothing while the accelerator is not whole: nobody knows then what is oldest.
pub(super) fn sweep(blobs: &Blobs) -> Result<(), StoreError> {
    // Two sweeps at once would both remove what is too much.
    let _turn = lock(&blobs.sweeping);
    blobs.note_uses();
    loop {
        let mut oldest = Oldest::new(BATCH);
        let mut found = 0_u64;
        let before = blobs.counted();
        let whole = blobs.index.blobs(|digest, entry| {
            found = found.saturating_add(entry.size);
            oldest.offer(digest, &entry);
        });
        if !whole {
            return Ok(());
        }
        let total = blobs.recounted(before, found);
        if !blobs.is_crowded(total) {
            return Ok(());
        }
        let freed = evict(blobs, oldest, total - low_water(blobs.max_size))?;
        if freed == 0 {
            tracing::warn!(total, max_size = blobs.max_size, "nothing_to_evict");
            return Ok(());
        }
    }
}

/// Removes content, the oldest first, until `excess` bytes are free. The bytes that came free.
fn evict(blobs: &Blobs, oldest: Oldest, excess: u64) -> Result<u64, StoreError> {
    let mut freed = 0;
    for candidate in oldest.in_order() {
        if freed >= excess {
            break;
        }
        if let Some(size) = blobs.evict(&candidate.digest)? {
            freed += size;
            blobs.metrics.blob_evicted(size);
            tracing::debug!(digest = %candidate.digest, size, "blob_evicted");
        }
    }
    Ok(freed)
}

/// What a sweep leaves: a twentieth less than is allowed.
const fn low_water(max_size: u64) -> u64 {
    max_size - max_size / 20
}

/// The oldest of all that were offered, at most a fixed number.
struct Oldest {
    most: usize,
    /// The youngest on top.
    heap: BinaryHeap<Candidate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    last_use: u64,
    digest: Digest,
}

impl Oldest {
    const fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, digest: Digest, entry: &BlobEntry) {
        let candidate = Candidate { last_use: entry.last_use, digest };
        let is_full = self.heap.len() == self.most;
        if entry.kept || (is_full && self.heap.peek().is_none_or(|youngest| *youngest <= candidate))
        {
            return;
        }
        if is_full {
            self.heap.pop();
        }
        self.heap.push(candidate);
    }

    fn in_order(self) -> Vec<Candidate> {
        self.heap.into_sorted_vec()
    }
}

/// Candidates that a sweep remembers at once, of about 80 bytes each.
const BATCH: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn remembers_exactly_the_oldest(
            uses in prop::collection::vec((0_u64..50, any::<bool>()), 0..60),
            most in 1_usize..20,
        ) {
            let mut oldest = Oldest::new(most);
            let mut expected = Vec::new();
            for (number, (last_use, kept)) in uses.into_iter().enumerate() {
                let digest = Digest::of(&number.to_be_bytes());
                oldest.offer(digest, &BlobEntry { size: 1, last_use, verified: true, kept });
                if !kept {
                    expected.push(Candidate { last_use, digest });
                }
            }
            expected.sort();
            expected.truncate(most);
            prop_assert_eq!(oldest.in_order(), expected);
        }
    }
}
