//! Where the test vectors of others are: read in place, never copied (tests only).

use std::path::PathBuf;

/// The folder `name` of the vectors: below `PORTCULLIS_VECTORS`, or beside the checkout. Says so
/// when it is not there; CI fails on that line.
pub(super) fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PORTCULLIS_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: vectors not found at {}", folder.display());
    None
}

/// The bytes of a text of hex digits.
pub(super) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
