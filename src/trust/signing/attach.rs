//! Putting a signature where cosign puts it: one more layer of the manifest under the `.sig` tag.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::key::{PrivateKey, PrivateKeyError};
use crate::{
    oci::{
        Digest, ImageName, Manifest, ManifestError, Shape,
        media_type::{COSIGN_SIMPLE_SIGNING, OCI_CONFIG},
    },
    trust::{classic::SIGNATURE, payload::Payload},
};

/// What has to be pushed so that an image is signed: both blobs, then the manifest under the tag
/// [`Tag::cosign`](crate::oci::Tag::cosign).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureManifest {
    /// The bytes that were signed: a blob.
    pub payload: Bytes,
    /// The signature over them, in base64.
    pub signature: String,
    /// The manifest's configuration: a blob.
    pub config: Bytes,
    /// The manifest of all signatures, the earlier ones included.
    pub manifest: Bytes,
}

/// Signs the manifest `digest` of `image` with `key`, beside the signatures in `existing`, the
/// manifest that is under the tag now. A signature that is there already is not added twice.
///
/// # Errors
/// When what is there holds no signatures, or the key cannot sign.
pub fn attach(
    key: &PrivateKey,
    image: &ImageName,
    digest: &Digest,
    existing: Option<&[u8]>,
) -> Result<SignatureManifest, AttachError> {
    let payload = Bytes::from(Payload { digest: *digest, reference: image.to_string() }.to_bytes());
    let signature = STANDARD.encode(key.sign(&payload)?);
    let layer = json!({
        "mediaType": COSIGN_SIMPLE_SIGNING,
        "size": payload.len(),
        "digest": Digest::of(&payload).to_string(),
        "annotations": { SIGNATURE: signature },
    });
    let mut layers = existing.map_or_else(|| Ok(Vec::new()), layers_of)?;
    if !layers.contains(&layer) {
        layers.push(layer);
    }
    let config = Bytes::from(config_of(&layers).to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": crate::oci::MediaType::OciManifest.as_str(),
        "config": {
            "mediaType": OCI_CONFIG,
            "size": config.len(),
            "digest": Digest::of(&config).to_string(),
        },
        "layers": layers,
    });
    Ok(SignatureManifest { payload, signature, config, manifest: manifest.to_string().into() })
}

/// Why a signature cannot be put beside an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] PrivateKeyError),
    /// What is under the tag is no manifest.
    #[error("what is under the signature tag is not a manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// What is under the tag is an index.
    #[error("what is under the signature tag is an image index and holds no signatures")]
    Index,
}

/// The layers of `manifest`, every member of them as it is.
fn layers_of(manifest: &[u8]) -> Result<Vec<Value>, AttachError> {
    let checked = Manifest::parse(manifest, None)?;
    if !matches!(checked.shape, Shape::Image { .. }) {
        return Err(AttachError::Index);
    }
    let document: Value =
        serde_json::from_slice(manifest).map_err(|error| ManifestError::Json(error.to_string()))?;
    Ok(document["layers"].as_array().cloned().unwrap_or_default())
}

/// The configuration that cosign writes: an image of the payloads that describes nothing.
fn config_of(layers: &[Value]) -> Value {
    const NO_TIME: &str = "0001-01-01T00:00:00Z";
    let history = vec![json!({ "created": NO_TIME }); layers.len()];
    let digests: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    json!({
        "architecture": "",
        "created": NO_TIME,
        "history": history,
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": digests },
        "config": {},
    })
}
