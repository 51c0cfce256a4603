//! Images from nothing: layers are real tar archives of bytes that do not compress, the same in
//! every run, so that digests can be compared between runs and `podman` can unpack them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A finished file, named by its digest.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// `sha256:<hex>`.
    pub digest: String,
    /// In bytes.
    pub size: u64,
    pub path: PathBuf,
}

/// An image whose content lies on disk.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub repository: String,
    pub manifest: Content,
    pub config: Content,
    pub layers: Vec<Content>,
}

/// Makes content in one folder.
#[derive(Debug)]
pub(crate) struct Maker {
    folder: PathBuf,
}

impl Image {
    /// `/v2/<repository>/manifests/v1`.
    pub(crate) fn tag_path(&self) -> String {
        format!("/v2/{}/manifests/{TAG}", self.repository)
    }

    /// `/v2/<repository>/manifests/<digest>`.
    pub(crate) fn digest_path(&self) -> String {
        format!("/v2/{}/manifests/{}", self.repository, self.manifest.digest)
    }

    /// `/v2/<repository>/blobs/<digest>`.
    pub(crate) fn blob_path(&self, content: &Content) -> String {
        format!("/v2/{}/blobs/{}", self.repository, content.digest)
    }

    /// Its configuration and its layers.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

impl Maker {
    /// Makes content in `folder`, which is created.
    pub(crate) fn new(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// An image with one layer of each of `sizes` bytes. Images of different names differ.
    pub(crate) fn image(&self, repository: &str, sizes: &[u64]) -> Result<Image> {
        let layers = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| self.layer(&format!("{repository}/{index}"), *size))
            .collect::<Result<Vec<_>>>()?;
        let config = self.write(config(repository, &layers).as_bytes())?;
        let manifest = self.write(manifest(&config, &layers).as_bytes())?;
        Ok(Image { repository: repository.to_owned(), manifest, config, layers })
    }

    fn layer(&self, name: &str, size: u64) -> Result<Content> {
        let path = self.folder.join("unfinished");
        let mut output = Hashing::new(BufWriter::with_capacity(CHUNK, File::create(&path)?));
        output.write_all(&tar_header(name.rsplit('/').next().unwrap_or(name), size))?;
        let mut random = Random::seeded(name);
        let mut chunk = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let count = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
            random.fill(&mut chunk);
            output.write_all(&chunk[..count])?;
            left -= count as u64;
        }
        // Pad to whole blocks, then two empty ones: POSIX.1-1988 ustar.
        let padding = size.next_multiple_of(BLOCK) - size + 2 * BLOCK;
        output.write_all(&vec![0; usize::try_from(padding)?])?;
        output.flush()?;
        let content = self.named(output.digest(), size + BLOCK + padding);
        fs::rename(path, &content.path)?;
        Ok(content)
    }

    fn write(&self, bytes: &[u8]) -> Result<Content> {
        let content = self.named(hex(&Sha256::digest(bytes)), bytes.len() as u64);
        fs::write(&content.path, bytes)?;
        Ok(content)
    }

    fn named(&self, hex: String, size: u64) -> Content {
        Content { path: self.folder.join(&hex), digest: format!("sha256:{hex}"), size }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An image configuration padded to 4 KiB, the size that a real one often has.
fn config(repository: &str, layers: &[Content]) -> String {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let document = |padding: &str| {
        json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "repository": repository, "padding": padding } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        })
        .to_string()
    };
    let missing = CONFIG_SIZE.saturating_sub(document("").len());
    document(&"x".repeat(missing))
}

fn manifest(config: &Content, layers: &[Content]) -> String {
    let descriptor = |media_type: &str, content: &Content| json!({ "mediaType": media_type, "digest": content.digest, "size": content.size });
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect::<Vec<_>>(),
    })
    .to_string()
}

/// The header block of a regular file: POSIX.1-1988 ustar.
fn tar_header(name: &str, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Hashes what passes through.
#[derive(Debug)]
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    fn digest(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// `xorshift64*`: fast, repeatable, and nothing compresses it.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn seeded(name: &str) -> Self {
        // FNV-1a of the name; never zero, which the generator could not leave.
        Self(
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }) | 1,
        )
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_exact_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            word.copy_from_slice(&self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
    }
}

/// The tag that every image has.
pub(crate) const TAG: &str = "v1";

/// What the manifests say they are.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

const BLOCK: u64 = 512;
const CHUNK: usize = 1 << 20;
const CONFIG_SIZE: usize = 4096;
