//! An archive on its way to a mirror that cannot open its files: one tar stream, whatever its shape.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use tar::{Builder, Header};

use super::{
    ArchiveError,
    volumes::{Volumes, open_regular},
};

/// The archive at `path` as a tar stream. A folder is packed by a thread as it is read.
///
/// # Errors
/// When it cannot be opened. What goes wrong later ends the stream early, which its reader notices.
pub fn outgoing(path: &Path) -> Result<Box<dyn Read + Send>, ArchiveError> {
    if !path.is_dir() {
        return Ok(Box::new(Volumes::open(path)?.reader()));
    }
    let (reader, writer) = io::pipe().map_err(|error| ArchiveError::io("open", "a pipe", error))?;
    let root = path.to_owned();
    std::thread::spawn(move || {
        let mut builder = Builder::new(writer);
        let packed = pack(&mut builder, &root, &root);
        if let Err(error) = packed.and_then(|()| builder.finish()) {
            tracing::error!(path = %root.display(), %error, "the archive was not sent whole");
        }
    });
    Ok(Box::new(reader))
}

fn pack(builder: &mut Builder<io::PipeWriter>, root: &Path, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            pack(builder, root, &path)?;
            continue;
        }
        let file = open_regular(&path)?;
        let mut header = Header::new_gnu();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        let name = path.strip_prefix(root).map_err(io::Error::other)?;
        builder.append_data(&mut header, name, file)?;
    }
    Ok(())
}
