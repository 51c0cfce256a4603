//! `SHA256SUMS`: the small files that no digest covers, in the form that `sha256sum -c` reads.

use bytes::Bytes;

use super::ArchiveError;
use crate::oci::Digest;

/// The name of the file.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// The checksums of `files`.
pub(super) fn write(files: &[(&str, &[u8])]) -> String {
    files.iter().map(|(name, content)| format!("{}  {name}\n", Digest::of(content).hex())).collect()
}

/// Compares the files that `checksums` lists with what `content` has of them.
///
/// # Errors
/// [`ArchiveError::DamagedFile`] names the first that differs.
pub(super) fn check(
    checksums: &[u8],
    content: impl Fn(&str) -> Option<Bytes>,
) -> Result<(), ArchiveError> {
    let damaged = |name: &str| ArchiveError::DamagedFile { name: name.to_owned() };
    let text = std::str::from_utf8(checksums).map_err(|_| damaged(CHECKSUMS))?;
    for line in text.lines() {
        let (sum, name) = line.split_once("  ").ok_or_else(|| damaged(CHECKSUMS))?;
        let there = content(name).ok_or_else(|| damaged(name))?;
        if Digest::of(&there).hex() != sum {
            return Err(damaged(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_named() {
        let sums = write(&[("index.json", b"{}"), ("oci-layout", b"x")]);
        let content = |changed: &'static str| {
            move |name: &str| match name {
                "index.json" => Some(Bytes::from_static(b"{}")),
                "oci-layout" => Some(Bytes::from_static(changed.as_bytes())),
                _ => None,
            }
        };
        check(sums.as_bytes(), content("x")).unwrap();
        let error = check(sums.as_bytes(), content("y")).unwrap_err();
        assert!(matches!(error, ArchiveError::DamagedFile { name } if name == "oci-layout"));
        assert!(check(b"nonsense", content("x")).is_err());
    }
}
