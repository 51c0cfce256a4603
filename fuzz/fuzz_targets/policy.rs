//! Policies: no text panics, and each either loads or names at least one problem.

#![no_main]

use std::{cell::LazyCell, time::SystemTime};

use libfuzzer_sys::fuzz_target;
use portcullis::{oci::UpstreamTable, trust::Policy};
use tempfile::TempDir;

thread_local! {
    static FOLDER: LazyCell<TempDir> =
        LazyCell::new(|| TempDir::new().expect("there is room for a folder"));
}

fuzz_target!(|text: &str| {
    let path = FOLDER.with(|folder| folder.path().join("policy.toml"));
    std::fs::write(&path, text).expect("the folder is ours");
    let table = UpstreamTable::default();
    if let Err(problems) = Policy::load(&path, &table, SystemTime::UNIX_EPOCH) {
        assert!(!problems.is_empty());
    }
});
