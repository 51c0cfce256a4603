//! Making a trust root visible: its content first, then the one file that says it is in force.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::trust::material::{KnownRoot, State};

/// Puts `content` in force and takes away what was before it.
///
/// # Errors
/// When the disk refuses; what was in force stays.
pub(super) fn put_in_force(
    known: KnownRoot,
    folder: &Path,
    state: &State,
    content: &[u8],
) -> io::Result<()> {
    let path = known.content_file(folder, &state.content);
    write_whole(&path, content)?;
    write_whole(&known.state_file(folder), &serde_json::to_vec_pretty(state)?)?;
    for entry in fs::read_dir(folder.join(known.as_str()))? {
        let other = entry?.path();
        let is_content = other
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("root-"));
        if is_content && other != path {
            fs::remove_file(other)?;
        }
    }
    Ok(())
}

/// Writes a file so that a reader, also one after a power failure, sees all of it or what was there.
///
/// # Errors
/// When the disk refuses.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()
}

const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;
