//! The smallest layer there can be: a tar archive of one text file (POSIX.1-1988, "ustar").

/// An archive that holds `text` as the file `name`.
pub(super) fn archive(name: &str, text: &str) -> Vec<u8> {
    let mut header = [0_u8; BLOCK];
    let mut put =
        |offset: usize, field: &[u8]| header[offset..offset + field.len()].copy_from_slice(field);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", text.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(text.as_bytes());
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

/// What tar counts in.
const BLOCK: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_a_right_checksum_and_ends_with_two_empty_blocks() {
        let archive = archive("hello.txt", "hello\n");
        assert_eq!(archive.len(), 4 * BLOCK);
        let stored =
            u32::from_str_radix(std::str::from_utf8(&archive[148..154]).unwrap(), 8).unwrap();
        let mut header = archive[..BLOCK].to_vec();
        header[148..156].fill(b' ');
        assert_eq!(stored, header.iter().map(|byte| u32::from(*byte)).sum::<u32>());
        assert!(archive[2 * BLOCK..].iter().all(|byte| *byte == 0));
    }
}
