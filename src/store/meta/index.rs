//! What the accelerator knows, and whether to believe it.
//!
//! ```text
//! Opening ──> Rebuilding ──> Ready        an answer is whole only when Ready
//!    │            │            │
//!    └────────────┴────────────┴──> Broken ──> Rebuilding (moved aside, begun anew)
//! ```
//! A database that was closed in order is Ready at once; any other is Rebuilding until a walk over
//! the disk, in the background, has added what it lacks. What it says about one blob is right in
//! both; what it says about all references of a digest is not whole while Rebuilding, so the
//! caller is told to look on the disk. An error anywhere makes it Broken: said once in the log, and
//! repaired by [`Index::open`] when the maintenance comes by. No error of it reaches a request.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{MetaDb, MetaError, entry, entry::BlobEntry, rebuild};
use crate::{
    oci::{Digest, ImageName},
    store::{
        disk::Disk,
        files::Durability,
        keyed::lock,
        records::{Referenced, ReferencedAs},
    },
};

/// Makes or opens a database in a folder.
pub(in crate::store) type OpenDb =
    Box<dyn Fn(&Path) -> Result<Arc<dyn MetaDb>, MetaError> + Send + Sync>;

/// The accelerator of one store.
pub(in crate::store) struct Index {
    disk: Arc<Disk>,
    open: OpenDb,
    state: Mutex<State>,
    opened: Condvar,
    /// Two changes of one entry, one after the other.
    changing: Mutex<()>,
    closing: AtomicBool,
}

#[derive(Clone, Debug)]
enum State {
    Broken,
    Opening,
    Ready(Arc<dyn MetaDb>),
    Rebuilding(Arc<dyn MetaDb>),
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Index").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Index {
    /// An index that is about to be [opened](Self::open).
    pub(in crate::store) fn new(disk: Arc<Disk>, open: OpenDb) -> Self {
        Self {
            disk,
            open,
            state: Mutex::new(State::Opening),
            opened: Condvar::new(),
            changing: Mutex::default(),
            closing: AtomicBool::new(false),
        }
    }

    /// Opens the database unless it works already, and rebuilds it where it was not closed in
    /// order. Takes as long as that takes; meanwhile everything can be used. Whether it was opened.
    pub(in crate::store) fn open(&self) -> bool {
        if matches!(*lock(&self.state), State::Ready(_) | State::Rebuilding(_)) {
            return false;
        }
        let opened = self.open_or_begin_anew();
        let Ok((db, clean)) = opened.inspect_err(|error| self.report(error)) else {
            self.enter(State::Broken);
            return false;
        };
        if clean {
            self.enter(State::Ready(db));
            return true;
        }
        self.enter(State::Rebuilding(Arc::clone(&db)));
        tracing::info!("accelerator_rebuild_started");
        match rebuild::run(&self.disk, self, &self.closing) {
            Ok(ControlFlow::Continue(())) => {
                let mut state = lock(&self.state);
                // It may have broken meanwhile.
                if matches!(*state, State::Rebuilding(_)) {
                    *state = State::Ready(db);
                    tracing::info!("accelerator_rebuild_finished");
                }
            }
            Ok(ControlFlow::Break(())) => {}
            Err(error) => self.give_up(&db, &MetaError(error.to_string())),
        }
        true
    }

    /// Makes everything so far survive a restart.
    pub(in crate::store) fn flush(&self) {
        self.with(|db| db.flush());
    }

    /// Stops a rebuild that is going on.
    pub(in crate::store) fn stop(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Notes that everything is in it, and closes it.
    pub(in crate::store) fn close(&self) {
        let last = std::mem::replace(&mut *lock(&self.state), State::Broken);
        self.opened.notify_all();
        let closed = match last {
            State::Ready(db) => db.put(entry::CLEAN, &[]).and_then(|()| db.flush()),
            State::Rebuilding(db) => db.flush(),
            State::Broken | State::Opening => Ok(()),
        };
        if let Err(error) = closed {
            self.report(&error);
        }
    }

    /// What is known about `digest`.
    pub(in crate::store) fn blob(&self, digest: &Digest) -> Option<BlobEntry> {
        let value = self.with(|db| db.get(&entry::blob_key(digest)))??;
        BlobEntry::decode(&value)
    }

    /// Replaces what is known about `digest`.
    pub(in crate::store) fn change_blob(
        &self,
        digest: &Digest,
        change: impl FnOnce(Option<BlobEntry>) -> Option<BlobEntry>,
    ) {
        let key = entry::blob_key(digest);
        let _turn = lock(&self.changing);
        self.with(|db| {
            let before = db.get(&key)?.as_deref().and_then(BlobEntry::decode);
            match change(before) {
                after if after == before => Ok(()),
                Some(after) => db.put(&key, &after.encode()),
                None => db.remove(&key),
            }
        });
    }

    /// Shows everything that is known, if that is everything there is; whether it was.
    pub(in crate::store) fn blobs(&self, mut visit: impl FnMut(Digest, BlobEntry)) -> bool {
        let State::Ready(_) = *lock(&self.state) else { return false };
        let shown = self.with(|db| {
            db.scan(entry::BLOBS, &mut |key, value| {
                if let Some((digest, blob)) = entry::blob_of_key(key).zip(BlobEntry::decode(value))
                {
                    visit(digest, blob);
                }
                ControlFlow::Continue(())
            })
        });
        shown.is_some()
    }

    /// Notes what `manifest` references in `image`.
    pub(in crate::store) fn put_references<'a>(
        &self,
        image: &ImageName,
        manifest: &Digest,
        references: impl Iterator<Item = &'a Referenced>,
    ) {
        self.with(|db| {
            for referenced in references {
                let key = entry::edge_key(image, &referenced.digest, manifest);
                db.put(&key, &entry::edge_value(referenced.kind))?;
            }
            Ok(())
        });
    }

    /// Forgets what `manifest` references in `image`.
    pub(in crate::store) fn remove_references<'a>(
        &self,
        image: &ImageName,
        manifest: &Digest,
        references: impl Iterator<Item = &'a Referenced>,
    ) {
        self.with(|db| {
            for referenced in references {
                db.remove(&entry::edge_key(image, &referenced.digest, manifest))?;
            }
            Ok(())
        });
    }

    /// The manifests of `image` that reference `digest`; `None` when only the disk can tell.
    pub(in crate::store) fn references_to(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Option<Vec<(Digest, ReferencedAs)>> {
        let prefix = entry::edges_prefix(image, digest);
        self.wait_until_opened();
        let State::Ready(_) = *lock(&self.state) else { return None };
        self.with(|db| {
            let mut found = Vec::new();
            db.scan(&prefix, &mut |key, value| {
                let manifest = entry::manifest_of_edge(key, prefix.len());
                found.extend(manifest.zip(entry::edge_kind(value)));
                ControlFlow::Continue(())
            })?;
            Ok(found)
        })
    }

    /// When the scrub last finished a step, in milliseconds since 1970.
    pub(in crate::store) fn scrubbed(&self) -> Option<u64> {
        let value = self.with(|db| db.get(entry::SCRUBBED))??;
        Some(u64::from_be_bytes(value.try_into().ok()?))
    }

    /// Notes when the scrub finished a step.
    pub(in crate::store) fn set_scrubbed(&self, at: u64) {
        self.with(|db| db.put(entry::SCRUBBED, &at.to_be_bytes()));
    }

    /// The database and whether it was closed in order. One that does not work is moved aside.
    fn open_or_begin_anew(&self) -> Result<(Arc<dyn MetaDb>, bool), MetaError> {
        let layout = &self.disk.layout;
        let was_broken = matches!(*lock(&self.state), State::Broken);
        if !was_broken {
            match self.open_once() {
                Ok(opened) => return Ok(opened),
                Err(error) => self.report(&error),
            }
        }
        let files = &self.disk.files;
        files
            .remove_folder(&layout.broken_meta())
            .and_then(|()| files.rename(&layout.meta(), &layout.broken_meta(), Durability::Relaxed))
            .map_err(|error| MetaError(error.to_string()))?;
        self.open_once()
    }

    fn open_once(&self) -> Result<(Arc<dyn MetaDb>, bool), MetaError> {
        let folder = self.disk.layout.meta();
        self.disk
            .files
            .make_folder(&folder, Durability::Relaxed)
            .map_err(|error| MetaError(error.to_string()))?;
        let db = (self.open)(&folder)?;
        let clean = db.get(entry::CLEAN)?.is_some();
        db.remove(entry::CLEAN)?;
        db.flush()?;
        Ok((db, clean))
    }

    /// Uses the database, `None` while it is broken.
    fn with<T>(&self, operation: impl FnOnce(&dyn MetaDb) -> Result<T, MetaError>) -> Option<T> {
        self.wait_until_opened();
        let state = lock(&self.state).clone();
        let (State::Ready(db) | State::Rebuilding(db)) = state else { return None };
        match operation(&*db) {
            Ok(value) => Some(value),
            Err(error) => {
                self.give_up(&db, &error);
                None
            }
        }
    }

    /// Stops using `db`. Others may have found out at the same time, and one line is enough; or
    /// another has taken its place already.
    fn give_up(&self, db: &Arc<dyn MetaDb>, error: &MetaError) {
        let mut state = lock(&self.state);
        if let State::Ready(current) | State::Rebuilding(current) = &*state
            && Arc::ptr_eq(current, db)
        {
            *state = State::Broken;
            self.report(error);
        }
    }

    fn wait_until_opened(&self) {
        let state = lock(&self.state);
        let _opened = self
            .opened
            .wait_while(state, |state| matches!(state, State::Opening))
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn enter(&self, state: State) {
        *lock(&self.state) = state;
        self.opened.notify_all();
    }

    fn report(&self, error: &MetaError) {
        tracing::warn!(%error, folder = %self.disk.layout.meta().display(), "accelerator_broken");
    }
}
