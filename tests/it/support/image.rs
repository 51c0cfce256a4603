//! Images to put into the scripted upstream. All are tiny and differ by their seed.

use bytes::Bytes;
use portcullis::oci::Digest;
use serde_json::{Value, json};

use super::content::{Document, OCI_INDEX, OCI_MANIFEST};

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// A manifest with everything it lists.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) document: Document,
    pub(crate) digest: Digest,
    /// Configuration first, then the layers.
    pub(crate) blobs: Vec<Bytes>,
    pub(crate) children: Vec<Self>,
}

impl Image {
    /// An OCI image of two small layers.
    pub(crate) fn oci(seed: &str) -> Self {
        Self::with_layers(seed, vec![text(seed, "layer one"), text(seed, "layer two")])
    }

    pub(crate) fn with_layers(seed: &str, layers: Vec<Bytes>) -> Self {
        Self::built(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER, config(seed), layers)
    }

    /// A Docker schema 2 image.
    pub(crate) fn docker(seed: &str) -> Self {
        let layers = vec![text(seed, "docker layer")];
        Self::built(DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER, config(seed), layers)
    }

    /// What buildx attaches as a child for `unknown/unknown`: an in-toto statement as a layer.
    pub(crate) fn attestation(seed: &str) -> Self {
        let statement = vec![text(seed, "{\"_type\":\"https://in-toto.io/Statement/v0.1\"}")];
        Self::built(
            OCI_MANIFEST,
            OCI_CONFIG,
            "application/vnd.in-toto+json",
            config(seed),
            statement,
        )
    }

    pub(crate) fn index(children: Vec<Self>) -> Self {
        Self::listing(OCI_INDEX, children)
    }

    pub(crate) fn docker_list(children: Vec<Self>) -> Self {
        Self::listing(DOCKER_LIST, children)
    }

    /// A manifest of exactly these bytes.
    pub(crate) fn raw(media_type: &str, manifest: impl Into<Bytes>, blobs: Vec<Bytes>) -> Self {
        Self::whole(Document::new(media_type, manifest), blobs, Vec::new())
    }

    /// This image with its manifest changed by `change`, and so with another digest.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = self.document.value();
        change(&mut value);
        let document = Document::json(&self.document.media_type, &value);
        Self::whole(document, self.blobs.clone(), self.children.clone())
    }

    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.document.bytes
    }

    pub(crate) fn config(&self) -> Digest {
        Digest::of(&self.blobs[0])
    }

    /// The digest of layer `number`, from zero.
    pub(crate) fn layer(&self, number: usize) -> Digest {
        Digest::of(&self.blobs[number + 1])
    }

    pub(crate) fn descriptor(&self) -> Value {
        descriptor(&self.document.media_type, &self.document.bytes)
    }

    fn built(
        manifest_type: &str,
        config_type: &str,
        layer_type: &str,
        config: Bytes,
        layers: Vec<Bytes>,
    ) -> Self {
        let listed: Vec<_> = layers.iter().map(|layer| descriptor(layer_type, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": descriptor(config_type, &config),
            "layers": listed,
        });
        let mut blobs = vec![config];
        blobs.extend(layers);
        Self::whole(Document::json(manifest_type, &manifest), blobs, Vec::new())
    }

    fn listing(media_type: &str, children: Vec<Self>) -> Self {
        let platforms = [("amd64", "linux"), ("arm64", "linux"), ("unknown", "unknown")];
        let manifests: Vec<_> = children
            .iter()
            .zip(platforms.into_iter().cycle())
            .map(|(child, (architecture, os))| {
                let mut listed = child.descriptor();
                listed["platform"] = json!({ "architecture": architecture, "os": os });
                listed
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        Self::whole(Document::json(media_type, &index), Vec::new(), children)
    }

    fn whole(document: Document, blobs: Vec<Bytes>, children: Vec<Self>) -> Self {
        Self { digest: document.digest(), document, blobs, children }
    }
}

pub(crate) fn descriptor(media_type: &str, content: &Bytes) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(content), "size": content.len() })
}

/// `length` bytes without a period, the same for the same seed.
pub(crate) fn noise(seed: &str, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = Digest::of(seed.as_bytes());
    while bytes.len() < length {
        block = Digest::of(block.as_bytes());
        bytes.extend_from_slice(block.as_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

fn config(seed: &str) -> Bytes {
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "seed": seed } },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    config.to_string().into()
}

fn text(seed: &str, what: &str) -> Bytes {
    format!("{what} of {seed}").into()
}
