//! The accelerator: answers that the disk could give too, but slowly.
//!
//! Two questions would need a walk over the store: which manifests reference a blob, and how old
//! and how large everything is. A [`MetaDb`] keeps the answers. It is never the truth: deleting it
//! loses nothing, an error in it fails no request, and it is not written to on a hit. [`Index`]
//! decides what is kept in it and when it can be believed; [`rebuild`] fills it from the disk.

use std::{fmt, ops::ControlFlow};

mod entry;
mod index;
#[cfg(test)]
pub(in crate::store) mod memory;
mod rebuild;
mod sled;

pub(super) use entry::{BlobEntry, seconds};
pub(super) use index::{Index, OpenDb};
pub(super) use sled::SledDb;

/// A map from bytes to bytes, in order of the keys, that is allowed to fail and to forget what was
/// not flushed.
pub(super) trait MetaDb: Send + Sync + fmt::Debug {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MetaError>;

    /// Sets the value of `key`.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), MetaError>;

    /// Forgets `key`, also where it is not there.
    fn remove(&self, key: &[u8]) -> Result<(), MetaError>;

    /// Shows every key that begins with `prefix`, in order, until `visit` has seen enough.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), MetaError>;

    /// Makes everything so far survive a restart.
    fn flush(&self) -> Result<(), MetaError>;
}

/// Takes a key and its value.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// The accelerator does not work. Nobody but its log line needs to know more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct MetaError(pub(super) String);

/// What every [`MetaDb`] must do; each implementation's test calls it with an empty one.
#[cfg(test)]
pub(super) fn conformance(db: &dyn MetaDb) -> Result<(), MetaError> {
    let keys_below = |prefix: &[u8], most: usize| {
        let mut keys = Vec::new();
        db.scan(prefix, &mut |key, value| {
            keys.push((key.to_vec(), value.to_vec()));
            if keys.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map(|()| keys)
    };
    let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());

    assert_eq!(db.get(b"tag/a")?, None, "a new database is empty");
    db.remove(b"tag/a")?;
    db.put(b"tah/b", b"3")?;
    db.put(b"tag/c", b"")?;
    db.put(b"tag/a", b"1")?;
    db.put(b"tag/a", b"2")?;
    db.put(b"tag\xff", b"4")?;
    assert_eq!(db.get(b"tag/a")?.as_deref(), Some(&b"2"[..]), "the last write wins");
    assert_eq!(db.get(b"tag/c")?.as_deref(), Some(&b""[..]), "an empty value is a value");
    assert_eq!(
        keys_below(b"tag/", usize::MAX)?,
        [pair(b"tag/a", b"2"), pair(b"tag/c", b"")],
        "a scan goes in order and stops at its prefix"
    );
    assert_eq!(keys_below(b"tag/", 1)?.len(), 1, "a scan stops when it is told to");
    assert_eq!(keys_below(b"", usize::MAX)?.len(), 4, "everything begins with nothing");
    db.remove(b"tag/a")?;
    assert_eq!(db.get(b"tag/a")?, None, "what is removed is gone");
    db.flush()
}
