//! Signature artifacts: readable without a rule, when they are exactly what they claim.
//!
//! Clients that verify for themselves must be able to read signatures through the mirror, and a
//! signature is not signed itself. An attacker would store a runnable image under a signature's tag
//! or type (G-48). So nothing is believed: the manifest's shape, its configuration and every payload
//! are read and must parse as what their media types say; what passes cannot be run.

use bytes::Bytes;

use super::{PullError, Room, Wanted, look::Look};
use crate::{
    oci::{Descriptor, ImageName, Manifest, Shape},
    trust,
};

impl Room {
    /// Whether `manifest` and everything in it is signature material and nothing else.
    ///
    /// # Errors
    /// When a part of it could not be read now.
    pub(super) async fn is_artifact(
        &self,
        image: &ImageName,
        manifest: &Manifest,
        look: &Look,
    ) -> Result<bool, PullError> {
        let Shape::Image { config, layers } = &manifest.shape else { return Ok(false) };
        if !trust::is_signature_artifact(manifest) {
            return Ok(false);
        }
        let Some(content) = self.part(image, config, look).await? else { return Ok(false) };
        if !trust::is_signature_config(&config.media_type, &content, layers) {
            return Ok(false);
        }
        for layer in layers {
            let Some(content) = self.part(image, layer, look).await? else { return Ok(false) };
            if !trust::is_signature_payload(&layer.media_type, &content) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn part(
        &self,
        image: &ImageName,
        descriptor: &Descriptor,
        look: &Look,
    ) -> Result<Option<Bytes>, PullError> {
        let limit = usize::try_from(descriptor.size).unwrap_or(usize::MAX);
        let answer = look.blob_of(image, &descriptor.digest, limit).await;
        answer.map_err(|error| {
            PullError::upstream(Wanted::Blob(image.clone(), descriptor.digest), error)
        })
    }
}
