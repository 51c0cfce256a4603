//! The scrub: reads all content again, slowly, and moves aside what no longer hashes to its name.
//!
//! Content is in 256 shards by the first byte of its digest. Time is cut into slots of a 256th of
//! `scrub_every`; in slot `n` the shard `n mod 256` is read. So the load is spread, each shard
//! comes once in the period, and all there is to remember is when the last slot was done. Slots
//! that were missed while the mirror did not run are made up for, one period of them at most.

use std::{ops::Range, time::Duration};

use super::{
    blobs::{Blobs, FoundBy},
    error::StoreError,
    layout::Layout,
};
use crate::oci::{Algorithm, Digest, Hasher};

/// Which slots are due at `now` when the one that `last` is in is done. Milliseconds since 1970;
/// nothing is due without a period.
pub(super) fn due(last: Option<u64>, now: u64, every: Duration) -> Range<u64> {
    let Some(length) = slot_length(every) else { return 0..0 };
    let current = now / length;
    let next = last.map_or(current, |last| last / length + 1);
    // A clock that was set back must not stop the scrub for as long as it went back.
    let next = if next > current + 1 { current } else { next };
    next.max((current + 1).saturating_sub(SHARDS))..current + 1
}

/// Milliseconds of one slot.
pub(super) fn slot_length(every: Duration) -> Option<u64> {
    let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
    (every > 0).then(|| (every / SHARDS).max(1))
}

/// The first byte of the digests that are read in this slot.
pub(super) fn shard_of(slot: u64) -> u8 {
    u8::try_from(slot % SHARDS).expect("a remainder below 256")
}

/// The names in a shard: a 256th of the store.
pub(super) fn digests(blobs: &Blobs, shard: u8) -> Result<Vec<Digest>, StoreError> {
    let mut digests = Vec::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let entries = blobs.disk.entries(&blobs.disk.layout.shard(algorithm, shard))?;
        digests.extend(entries.iter().filter_map(|(name, _)| Layout::blob_digest(algorithm, name)));
    }
    Ok(digests)
}

/// One file that is being read again, a part at a time.
#[derive(Debug)]
pub(super) struct Check {
    digest: Digest,
    hasher: Hasher,
    position: u64,
}

impl Check {
    /// A check that has read nothing yet.
    pub(super) fn new(digest: &Digest) -> Self {
        Self { digest: *digest, hasher: Hasher::new(digest.algorithm()), position: 0 }
    }

    /// Reads the next part. How many bytes that were, and what is left to do: nothing when the file
    /// is done with, be it good, damaged or gone.
    pub(super) fn step(mut self, blobs: &Blobs) -> Result<(u64, Option<Self>), StoreError> {
        let path = blobs.disk.layout.blob(&self.digest);
        let Some(file) = blobs.disk.files.open(&path)? else { return Ok((0, None)) };
        let start = self.position;
        let end = start + BYTES_AT_ONCE;
        match blobs.disk.files.hash(&file, &path, start..end, &mut self.hasher) {
            Ok(reached) if reached == end => {
                self.position = end;
                Ok((BYTES_AT_ONCE, Some(self)))
            }
            Ok(reached) if self.hasher.finish() == self.digest => Ok((reached - start, None)),
            Err(error) if !error.is_unreadable() => Err(error),
            _ => {
                blobs.set_aside(&self.digest, FoundBy::Scrub)?;
                Ok((0, None))
            }
        }
    }
}

/// Reads all of a file again, at once.
pub(super) fn check(blobs: &Blobs, digest: &Digest) -> Result<(), StoreError> {
    let mut left = Some(Check::new(digest));
    while let Some(check) = left {
        (_, left) = check.step(blobs)?;
    }
    Ok(())
}

/// How long to leave the disk alone after reading `bytes`, so that requests do not wait for it.
pub(super) const fn rest_after(bytes: u64) -> Duration {
    Duration::from_micros(bytes / BYTES_A_MICROSECOND)
}

const BYTES_A_MICROSECOND: u64 = 64;
const BYTES_AT_ONCE: u64 = 8 << 20;
const SHARDS: u64 = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_millis(256 * 1000);

    #[test]
    fn every_shard_comes_once_in_a_period() {
        assert_eq!(due(None, 5_500, EVERY), 5..6, "begins where it is");
        assert_eq!(due(Some(5_500), 5_900, EVERY), 6..6, "nothing twice");
        assert_eq!(due(Some(5_500), 8_000, EVERY), 6..9, "makes up for what it missed");
        assert_eq!(due(Some(5_500), 10_000_000, EVERY), 9_745..10_001, "but once at most");
        assert_eq!(due(Some(9_000_000), 5_500, EVERY), 5..6, "a clock may be set back");
        assert_eq!(due(Some(0), 5_500, Duration::ZERO), 0..0, "off");
    }

    proptest! {
        #[test]
        fn never_more_than_one_period(last: Option<u64>, now: u64, every in 0_u64..1 << 40) {
            let slots = due(last, now, Duration::from_millis(every));
            prop_assert!(slots.end.saturating_sub(slots.start) <= SHARDS);
        }
    }
}
