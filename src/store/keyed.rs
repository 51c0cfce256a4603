//! One lock per key, for as long as someone holds it. Only for threads that may block.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Keeps two blocking threads from working on the same key at once. Never taken on the hit path.
#[derive(Debug)]
pub(super) struct KeyedLocks<K> {
    held: Mutex<HashMap<K, Arc<Mutex<()>>>>,
}

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash> KeyedLocks<K> {
    /// Does `work` while nobody else works on `key`.
    pub(super) fn with<T>(&self, key: &K, work: impl FnOnce() -> T) -> T {
        let lock = Arc::clone(lock(&self.held).entry(key.clone()).or_default());
        let _turn = Turn { locks: self, key, lock: &lock };
        let _guard = self::lock(&lock);
        work()
    }
}

/// Forgets the lock when the last of those who wanted it is done, also by a panic.
struct Turn<'a, K: Clone + Eq + Hash> {
    locks: &'a KeyedLocks<K>,
    key: &'a K,
    lock: &'a Arc<Mutex<()>>,
}

impl<K: Clone + Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut held = lock(&self.locks.held);
        // The map's and ours: clones are made under the map's lock, so nobody is about to wait.
        if Arc::strong_count(self.lock) == 2 {
            held.remove(self.key);
        }
    }
}

/// Takes a lock whose data a panic cannot leave half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_for_a_key_and_nothing_is_left_behind() {
        let locks = KeyedLocks::default();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        locks.with(&"key", || {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        assert!(lock(&locks.held).is_empty());
    }
}
