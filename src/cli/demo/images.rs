//! The demo's three images: one signed, one unsigned, one whose content changed after signing.

use serde_json::json;

use super::{registry::Registry, tar};
use crate::{
    oci::{CosignSuffix, Digest, MediaType, Tag, media_type},
    trust::signing::SignatureManifest,
};

/// One image in the demo's upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DemoImage {
    /// Its repository.
    pub(super) repository: &'static str,
    /// What the story says about it.
    pub(super) story: &'static str,
}

/// Signed by the demo's key.
pub(super) const SIGNED: DemoImage =
    DemoImage { repository: "demo/signed", story: "signed by the demo's key" };
/// Never signed.
pub(super) const UNSIGNED: DemoImage =
    DemoImage { repository: "demo/unsigned", story: "nobody signed it" };
/// Carries the signature of what it was before.
pub(super) const ALTERED: DemoImage = DemoImage {
    repository: "demo/altered",
    story: "its content was changed after it was signed, and the signature put beside the new content",
};
/// The tag of all three.
pub(super) const TAG: &str = "v1";

/// Pushes an image whose only file says `text`.
pub(super) fn push_image(registry: &mut Registry, image: DemoImage, text: &str) -> Digest {
    let layer = tar::archive("hello.txt", text);
    let layer_size = layer.len();
    let layer = registry.add_blob(image.repository, layer);
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "org.opencontainers.image.title": image.repository } },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
    })
    .to_string();
    let config_size = config.len();
    let config = registry.add_blob(image.repository, config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest.as_str(),
        "config": { "mediaType": media_type::OCI_CONFIG, "digest": config, "size": config_size },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer,
            "size": layer_size,
        }],
    });
    registry.add_manifest(
        image.repository,
        TAG,
        MediaType::OciManifest.as_str(),
        manifest.to_string(),
    )
}

/// Puts a signature beside the manifest `subject`, where cosign would.
pub(super) fn push_signature(
    registry: &mut Registry,
    image: DemoImage,
    subject: &Digest,
    signed: &SignatureManifest,
) {
    registry.add_blob(image.repository, signed.payload.clone());
    registry.add_blob(image.repository, signed.config.clone());
    let tag = Tag::cosign(subject, CosignSuffix::Signatures);
    let media_type = MediaType::OciManifest.as_str();
    registry.add_manifest(image.repository, tag.as_str(), media_type, signed.manifest.clone());
}
