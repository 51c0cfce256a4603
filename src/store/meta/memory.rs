//! The reference: a sorted map in memory. Tests of what is built on a [`MetaDb`] use it, and may
//! break it.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{MetaDb, MetaError, Visit};
use crate::store::keyed::lock;

/// A database that forgets everything at the end of the test.
#[derive(Debug, Default)]
pub(in crate::store) struct MemoryDb {
    entries: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(in crate::store) broken: AtomicBool,
}

impl MemoryDb {
    fn check(&self) -> Result<(), MetaError> {
        match self.broken.load(Ordering::SeqCst) {
            true => Err(MetaError("broken by the test".to_owned())),
            false => Ok(()),
        }
    }
}

impl MetaDb for MemoryDb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
        self.check()?;
        Ok(lock(&self.entries).get(key).cloned())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), MetaError> {
        self.check()?;
        lock(&self.entries).insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<(), MetaError> {
        self.check()?;
        lock(&self.entries).remove(key);
        Ok(())
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), MetaError> {
        self.check()?;
        let entries = lock(&self.entries).clone();
        let below = entries.range(prefix.to_vec()..);
        for (key, value) in below.take_while(|(key, _)| key.starts_with(prefix)) {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), MetaError> {
        self.check()
    }
}

#[test]
fn memory_conforms() {
    super::conformance(&MemoryDb::default()).expect("memory does not fail");
}
