//! What is written down during a search: in the order of the places, whoever answers first, and
//! within the search's byte budget.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Item, LookFailure, MAX_SIGNATURES};
use crate::trust::Format;

/// Where a note belongs: the place, then the part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) place: usize,
    pub(super) part: Part,
}

/// A part of a place, each kind in the order in which it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The place itself.
    Whole,
    /// What is there beside signatures.
    Other(usize),
    Referrer(usize),
    Payload(usize),
    /// What was left out.
    Rest,
}

/// The notes of one search.
#[derive(Debug)]
pub(super) struct Notes {
    /// Bytes that may still be fetched.
    budget: AtomicU64,
    items: Mutex<BTreeMap<Position, Item>>,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self { budget: AtomicU64::new(MAX_BYTES), items: Mutex::default() }
    }

    /// Takes `bytes` from the budget.
    ///
    /// # Errors
    /// When there are not so many left.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), LookFailure> {
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .map(drop)
            .map_err(|_| LookFailure::new("there is more evidence than 64 MiB", true))
    }

    pub(super) fn add(&self, place: usize, part: Part, item: Item) {
        let mut items = self.items.lock().expect("nothing panics while it holds this lock");
        items.insert(Position { place, part }, item);
    }

    /// Everything noted, with each signature once and no more of a format than are examined.
    pub(super) fn finish(self) -> Vec<Item> {
        let items = self.items.into_inner().expect("nothing panics while it holds this lock");
        let mut kept: Vec<Item> = Vec::new();
        let mut counts: HashMap<(Format, String), usize> = HashMap::new();
        for item in items.into_values() {
            let Item::Found(raw) = &item else {
                kept.push(item);
                continue;
            };
            if kept.iter().any(|other| matches!(other, Item::Found(known) if known.is_same(raw))) {
                continue;
            }
            let count = counts.entry((raw.format, raw.media_type.clone())).or_default();
            *count += 1;
            if *count <= MAX_SIGNATURES {
                kept.push(item);
            } else if *count == MAX_SIGNATURES + 1 {
                let (place, format) = (raw.place.clone(), raw.format);
                kept.push(Item::Failed { place, format, failure: too_many() });
            }
        }
        kept
    }
}

/// Says that there are more signatures than are examined.
pub(super) fn too_many() -> LookFailure {
    LookFailure::new(format!("there are more than {MAX_SIGNATURES} signatures"), true)
}

/// For the whole search.
const MAX_BYTES: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g36_the_byte_budget_is_shared_by_all_fetches() {
        let notes = Notes::new();
        assert!(notes.spend(MAX_BYTES - 1).is_ok());
        assert!(notes.spend(2).unwrap_err().is_limit());
        assert!(notes.spend(1).is_ok());
        assert!(notes.spend(1).is_err());
    }
}
