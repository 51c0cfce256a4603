//! The accelerator on sled 0.34.
//!
//! sled panics on some kinds of damage to its files instead of returning an error, so every call
//! is fenced: a panic is an error like any other here. (This is why the program is never built
//! with `panic = "abort"`.) It flushes when told to, not by a timer of its own.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::{MetaDb, MetaError, Visit};

/// An open sled database.
#[derive(Debug)]
pub(in crate::store) struct SledDb(sled::Db);

impl SledDb {
    /// Opens or makes the database in `folder`.
    pub(in crate::store) fn open(folder: &Path) -> Result<Self, MetaError> {
        fenced(|| {
            let config = sled::Config::new()
                .path(folder)
                .cache_capacity(CACHE_CAPACITY)
                .flush_every_ms(None);
            config.open().map(Self)
        })
    }
}

impl MetaDb for SledDb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
        fenced(|| Ok(self.0.get(key)?.map(|value| value.to_vec())))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), MetaError> {
        fenced(|| self.0.insert(key, value).map(drop))
    }

    fn remove(&self, key: &[u8]) -> Result<(), MetaError> {
        fenced(|| self.0.remove(key).map(drop))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), MetaError> {
        fenced(|| {
            for entry in self.0.scan_prefix(prefix) {
                let (key, value) = entry?;
                if let ControlFlow::Break(()) = visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), MetaError> {
        fenced(|| self.0.flush().map(drop))
    }
}

fn fenced<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, MetaError> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(result) => result.map_err(|error| MetaError(error.to_string())),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(MetaError(format!("sled panicked: {}", said.unwrap_or("without a message"))))
        }
    }
}

/// Bytes of pages that sled keeps in memory.
const CACHE_CAPACITY: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sled_conforms() {
        let folder = tempfile::tempdir().expect("a folder");
        super::super::conformance(&SledDb::open(folder.path()).expect("opens")).expect("works");
    }

    #[test]
    fn what_was_flushed_is_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = SledDb::open(folder.path()).expect("opens");
        db.put(b"key", b"value").expect("puts");
        db.flush().expect("flushes");
        drop(db);
        let db = SledDb::open(folder.path()).expect("opens again");
        assert_eq!(db.get(b"key").expect("gets").as_deref(), Some(&b"value"[..]));
    }

    #[test]
    fn a_panic_is_an_error() {
        let error = fenced::<()>(|| panic!("page {} is gone", 7)).expect_err("it panicked");
        assert_eq!(error.to_string(), "sled panicked: page 7 is gone");
    }
}
