//! Where things lie under the data directory. Names only: nothing here touches the disk.
//!
//! ```text
//! blobs-v1/sha256/ab/<hex>                          content, named by its digest
//! refs-v1/<upstream>/<repository>/_tags/<tag>       what a tag resolved to
//! refs-v1/<upstream>/<repository>/_manifests/<hex>  what is known about a manifest
//! partial/<algorithm>-<hex>.data, .state            a fill in progress, and what of it is good
//! partial/<number>.new                              a small file that has no name yet
//! damaged/<algorithm>-<hex>                         content that no longer hashes to its name
//! meta-v1/                                          the accelerator
//! lock                                              held while a mirror runs
//! ```
//! A repository's path is the path of folders: its components begin with a letter or a digit (OCI
//! distribution 1.1, "Pulling manifests"), so none can be `_tags` or `_manifests`. The `:` before
//! an upstream's port is written `_`, which no host name holds: `registry.test_5000`. A manifest
//! named by sha512 is `sha512-<hex>`. A name that the file system finds too long is an error that
//! shows the path; the longest repository, 255 bytes in one component, fits the usual limit.

use std::path::{Path, PathBuf};

use crate::oci::{Algorithm, Digest, ImageName, Repository, Tag, UpstreamName};

/// The paths below one data directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn meta(&self) -> PathBuf {
        self.root.join("meta-v1")
    }

    /// Where an accelerator that does not work is moved to; one is kept.
    pub(super) fn broken_meta(&self) -> PathBuf {
        self.root.join("meta-v1.broken")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs-v1")
    }

    pub(super) fn shards(&self, algorithm: Algorithm) -> PathBuf {
        self.blobs().join(algorithm.as_str())
    }

    /// The folder of all digests that begin with `first`.
    pub(super) fn shard(&self, algorithm: Algorithm, first: u8) -> PathBuf {
        self.shards(algorithm).join(format!("{first:02x}"))
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.shard(digest.algorithm(), digest.as_bytes()[0]).join(digest.hex())
    }

    /// The digest of a file in a [`shard`](Self::shard) of `algorithm`.
    pub(super) fn blob_digest(algorithm: Algorithm, name: &str) -> Option<Digest> {
        format!("{}:{name}", algorithm.as_str()).parse().ok()
    }

    pub(super) fn refs(&self) -> PathBuf {
        self.root.join("refs-v1")
    }

    pub(super) fn tags(&self, image: &ImageName) -> PathBuf {
        self.repository(image).join(TAGS)
    }

    pub(super) fn tag(&self, image: &ImageName, tag: &Tag) -> PathBuf {
        self.tags(image).join(tag.as_str())
    }

    pub(super) fn manifests(&self, image: &ImageName) -> PathBuf {
        self.repository(image).join(MANIFESTS)
    }

    pub(super) fn manifest(&self, image: &ImageName, digest: &Digest) -> PathBuf {
        let name = match digest.algorithm() {
            Algorithm::Sha256 => digest.hex(),
            Algorithm::Sha512 => dashed(digest),
        };
        self.manifests(image).join(name)
    }

    /// The digest of a file in [`manifests`](Self::manifests).
    pub(super) fn manifest_digest(name: &str) -> Option<Digest> {
        match name.strip_prefix("sha512-") {
            Some(hex) => Self::blob_digest(Algorithm::Sha512, hex),
            None => Self::blob_digest(Algorithm::Sha256, name),
        }
    }

    /// The repository whose `_manifests` or `_tags` folder this is.
    pub(super) fn image_of(&self, records: &Path) -> Option<ImageName> {
        let below = records.strip_prefix(self.refs()).ok()?.to_str()?;
        let (upstream, rest) = below.split_once('/')?;
        let (repository, _) =
            rest.rsplit_once('/').filter(|(_, name)| matches!(*name, MANIFESTS | TAGS))?;
        Some(ImageName {
            upstream: upstream.replace('_', ":").parse::<UpstreamName>().ok()?,
            repository: repository.parse::<Repository>().ok()?,
        })
    }

    pub(super) fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(super) fn fill_data(&self, digest: &Digest) -> PathBuf {
        self.partial().join(format!("{}.{DATA}", dashed(digest)))
    }

    pub(super) fn fill_state(&self, digest: &Digest) -> PathBuf {
        self.partial().join(format!("{}.{STATE}", dashed(digest)))
    }

    pub(super) fn scratch(&self, number: u64) -> PathBuf {
        self.partial().join(format!("{number}.new"))
    }

    /// The digest of a file that a fill keeps in `partial/`.
    pub(super) fn fill_digest(name: &str) -> Option<Digest> {
        let (digest, extension) = name.split_once('.')?;
        let digest = digest.replacen('-', ":", 1).parse().ok()?;
        matches!(extension, DATA | STATE).then_some(digest)
    }

    pub(super) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    pub(super) fn damaged_blob(&self, digest: &Digest) -> PathBuf {
        self.damaged().join(dashed(digest))
    }

    fn repository(&self, image: &ImageName) -> PathBuf {
        let upstream = image.upstream.as_str().replace(':', "_");
        self.refs().join(upstream).join(image.repository.as_str())
    }
}

/// The folder of a repository's manifest records.
pub(super) const MANIFESTS: &str = "_manifests";
/// The folder of a repository's tag records.
pub(super) const TAGS: &str = "_tags";
const DATA: &str = "data";
const STATE: &str = "state";

fn dashed(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(text: &str) -> ImageName {
        let (upstream, repository) = text.split_once('/').expect("upstream/repository");
        ImageName {
            upstream: upstream.parse().expect("an upstream"),
            repository: repository.parse().expect("a repository"),
        }
    }

    #[test]
    fn draws_the_documented_tree() {
        let layout = Layout::new(PathBuf::from("/data"));
        let digest = Digest::of(b"abc");
        let hex = digest.hex();
        assert_eq!(layout.blob(&digest), Path::new(&format!("/data/blobs-v1/sha256/ba/{hex}")));
        assert_eq!(
            layout.tag(&image("registry.test:5000/a/b"), &"v1".parse().expect("a tag")),
            Path::new("/data/refs-v1/registry.test_5000/a/b/_tags/v1")
        );
        assert_eq!(
            layout.manifest(&image("docker.io/library/nginx"), &digest),
            Path::new(&format!("/data/refs-v1/docker.io/library/nginx/_manifests/{hex}"))
        );
        assert_eq!(Layout::fill_digest("12.new"), None);
    }

    #[test]
    fn reads_digests_back_from_the_names_it_gives() {
        let layout = Layout::new(PathBuf::from("/data"));
        let name = |path: PathBuf| {
            path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
        };
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::with(algorithm, b"abc");
            let manifest = layout.manifest(&image("a/b"), &digest);
            assert_eq!(Layout::manifest_digest(&name(manifest)), Some(digest));
            assert_eq!(Layout::fill_digest(&name(layout.fill_data(&digest))), Some(digest));
            assert_eq!(Layout::fill_digest(&name(layout.fill_state(&digest))), Some(digest));
            assert_eq!(Layout::blob_digest(algorithm, &name(layout.blob(&digest))), Some(digest));
        }
    }

    proptest! {
        #[test]
        fn reads_the_image_back_from_its_folder(
            host in "[a-z0-9]{1,5}(\\.[a-z0-9]{1,5}){0,2}(:[1-9][0-9]{0,3})?",
            path in "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}(/[a-z0-9]{1,3}){0,3}",
        ) {
            let layout = Layout::new(PathBuf::from("/data"));
            let image = image(&format!("{host}/{path}"));
            prop_assert_eq!(layout.image_of(&layout.manifests(&image)), Some(image));
        }

        #[test]
        fn names_from_the_disk_never_panic(name in ".*") {
            let layout = Layout::new(PathBuf::from("/data"));
            let _ = layout.image_of(&layout.refs().join(&name));
            let _ = (Layout::fill_digest(&name), Layout::manifest_digest(&name));
        }
    }
}
