//! What a tag resolved to, and what it resolved to before.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{self, Record};
use crate::{
    oci::{Digest, ImageName, Tag},
    store::layout::Layout,
};

/// What is known about a tag. Times are whole milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRecord {
    /// What it means.
    pub digest: Digest,
    /// When the upstream last said so.
    #[serde(with = "milliseconds")]
    pub resolved: SystemTime,
    /// What it has meant, the oldest first and today's last; the newest [`MAX_HISTORY`] of them.
    pub history: Vec<TagMove>,
}

/// A tag came to mean something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMove {
    /// What it meant from then on.
    pub digest: Digest,
    /// When this was first seen.
    #[serde(with = "milliseconds")]
    pub since: SystemTime,
    /// The archive that brought it; an upstream said so where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl TagRecord {
    /// What `tag` means in the store at `root`, as far as a record says so. For commands that only
    /// look: it takes no lock, so that a mirror may run meanwhile.
    #[must_use]
    pub fn peek(root: &Path, image: &ImageName, tag: &Tag) -> Option<Self> {
        let path = Layout::new(root.to_owned()).tag(image, tag);
        codec::decode(&fs::read(path).ok()?)
    }

    /// `before`, after somebody said what the tag means.
    pub(super) fn after(before: Option<&Self>, seen: TagMove) -> Self {
        let (digest, at) = (seen.digest, milliseconds::whole(seen.since));
        let mut history = before.map_or_else(Vec::new, |before| before.history.clone());
        match history.last_mut() {
            Some(last) if last.digest == digest => last.from = seen.from.or(last.from.take()),
            _ => history.push(TagMove { since: at, ..seen }),
        }
        let too_many = history.len().saturating_sub(MAX_HISTORY);
        history.drain(..too_many);
        Self { digest, resolved: at, history }
    }
}

impl Record for TagRecord {
    const VERSION: u32 = 1;
}

/// Moves of a tag that are remembered.
pub const MAX_HISTORY: usize = 32;

/// Times as milliseconds since 1970; an earlier time counts as 1970.
mod milliseconds {
    use super::*;

    pub(super) fn whole(time: SystemTime) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(count(time))
    }

    pub(super) fn serialize<S: Serializer>(
        time: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(count(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let count = Duration::from_millis(u64::deserialize(deserializer)?);
        SystemTime::UNIX_EPOCH
            .checked_add(count)
            .ok_or_else(|| serde::de::Error::custom("a time beyond what this machine counts"))
    }

    fn count(time: SystemTime) -> u64 {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::records::codec;

    fn seen(digest: Digest, since: SystemTime) -> TagMove {
        TagMove { digest, since, from: None }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_history_grows_only_when_the_tag_moves() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let first = TagRecord::after(None, seen(old, at(1)));
        let same = TagRecord::after(Some(&first), seen(old, at(2)));
        assert_eq!((same.resolved, &same.history), (at(2), &first.history));
        let moved = TagRecord::after(Some(&same), seen(new, at(3)));
        assert_eq!(moved.history, [seen(old, at(1)), seen(new, at(3))]);
    }

    #[test]
    fn the_history_is_bounded_and_keeps_the_newest() {
        let mut record = None;
        for number in 0..100_u64 {
            let digest = Digest::of(&number.to_be_bytes());
            record = Some(TagRecord::after(record.as_ref(), seen(digest, at(number))));
        }
        let history = record.expect("made above").history;
        assert_eq!(history.len(), MAX_HISTORY);
        assert_eq!(history.last().map(|last| last.since), Some(at(99)));
    }

    proptest! {
        #[test]
        fn records_round_trip(contents: Vec<Vec<u8>>, millis in 0_u64..1 << 43) {
            let mut record = TagRecord::after(None, seen(Digest::of(b""), at(0)));
            for content in contents {
                let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
                record = TagRecord::after(Some(&record), seen(Digest::of(&content), time));
            }
            prop_assert_eq!(codec::decode(&codec::encode(&record)), Some(record));
        }
    }
}
