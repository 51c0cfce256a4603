//! Records of one kind: small files, and the hot ones in memory.
//!
//! This process is the only writer (it holds the lock of the data directory), so what is in memory
//! is what is on disk. A record in memory is found without a lock; a load and a change of the same
//! record wait for each other, so none undoes the other.

use std::{fmt, hash::Hash, path::Path, sync::Arc};

use moka::sync::Cache;

use super::codec::{self, Record};
use crate::store::{disk::Disk, error::StoreError, files::Durability, keyed::KeyedLocks};

/// Records of type `V`, found by `K`.
pub(super) struct Shelf<K, V> {
    hot: Cache<K, Held<V>>,
    locks: KeyedLocks<K>,
}

#[derive(Debug)]
struct Held<V> {
    record: Arc<V>,
    weight: u32,
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Self {
        Self { record: Arc::clone(&self.record), weight: self.weight }
    }
}

impl<K, V> fmt::Debug for Shelf<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shelf").finish_non_exhaustive()
    }
}

impl<K, V> Shelf<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Record + Send + Sync + 'static,
{
    /// A shelf that keeps records of `capacity` bytes, as they are on disk, in memory.
    pub(super) fn new(capacity: u64) -> Self {
        let hot = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, held: &Held<V>| held.weight)
            .build();
        Self { hot, locks: KeyedLocks::default() }
    }

    /// The record, if it is in memory.
    pub(super) fn hit(&self, key: &K) -> Option<Arc<V>> {
        self.hot.get(key).map(|held| held.record)
    }

    /// The record, from the disk where it must be.
    pub(super) fn load(
        &self,
        key: &K,
        disk: &Disk,
        path: &Path,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.locks.with(key, || self.load_locked(key, disk, path))
    }

    /// Replaces the record by what `change` makes of it, and says how durable that must be. `None`
    /// leaves it as it is.
    pub(super) fn change(
        &self,
        key: &K,
        disk: &Disk,
        path: &Path,
        change: impl FnOnce(Option<&V>) -> Option<(V, Durability)>,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.locks.with(key, || {
            let before = self.load_locked(key, disk, path)?;
            let Some((after, durability)) = change(before.as_deref()) else { return Ok(before) };
            let content = codec::encode(&after);
            disk.replace(path, &content, durability)?;
            Ok(Some(self.hold(key, after, content.len())))
        })
    }

    /// Takes the record away; the one that was there.
    pub(super) fn remove(
        &self,
        key: &K,
        disk: &Disk,
        path: &Path,
    ) -> Result<Option<Arc<V>>, StoreError> {
        self.locks.with(key, || {
            let before = self.load_locked(key, disk, path)?;
            disk.files.remove(path)?;
            self.hot.invalidate(key);
            Ok(before)
        })
    }

    fn load_locked(&self, key: &K, disk: &Disk, path: &Path) -> Result<Option<Arc<V>>, StoreError> {
        if let Some(hit) = self.hit(key) {
            return Ok(Some(hit));
        }
        let Some((record, size)) = read(disk, path)? else { return Ok(None) };
        Ok(Some(self.hold(key, record, size)))
    }

    fn hold(&self, key: &K, record: V, size: usize) -> Arc<V> {
        let record = Arc::new(record);
        let weight = u32::try_from(size).unwrap_or(u32::MAX);
        self.hot.insert(key.clone(), Held { record: Arc::clone(&record), weight });
        record
    }
}

/// The record in a file and the file's length; `None` where there is none that can be read.
pub(super) fn read<V: Record>(disk: &Disk, path: &Path) -> Result<Option<(V, usize)>, StoreError> {
    let content = match disk.files.read(path, MAX_RECORD_SIZE) {
        Ok(Some(content)) => content,
        Ok(None) => return Ok(None),
        Err(error) if error.is_unreadable() => Vec::new(),
        Err(error) => return Err(error),
    };
    let record = codec::decode(&content);
    if record.is_none() {
        tracing::warn!(path = %path.display(), "record_unreadable");
    }
    Ok(record.map(|record| (record, content.len())))
}

/// Bytes of a record that are read. A manifest of 4 MiB cannot list enough to need more.
const MAX_RECORD_SIZE: u64 = 32 << 20;
