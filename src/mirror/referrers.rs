//! Referrers are listed: always an image index, whatever the upstream offers.
//!
//! OCI distribution 1.1, "Listing referrers". The list is made from the upstream's answer, or from
//! its fallback tag where it has no such API. A list opens nothing: what it names is judged when it
//! is asked for.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Context, Mirror, PullError, ReferrersIndex, Wanted, look::Look};
use crate::oci::{Descriptor, Digest, ImageName, MediaType};

impl Mirror {
    /// What refers to `subject` in `image`, of one artifact type if given.
    ///
    /// # Errors
    /// When the upstream cannot be asked.
    pub async fn referrers(
        &self,
        _context: &Context,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<ReferrersIndex, PullError> {
        let look = Look::new(&self.room);
        let listed = look.referrers_of(image, subject, None).await.map_err(|error| {
            PullError::upstream(Wanted::Referrers(image.clone(), *subject), error)
        })?;
        let wanted = |descriptor: &&Descriptor| {
            artifact_type.is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted))
        };
        let manifests: Vec<Value> = listed.iter().filter(wanted).map(document).collect();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciIndex.as_str(),
            "manifests": manifests,
        });
        Ok(ReferrersIndex {
            bytes: Bytes::from(index.to_string()),
            filtered: artifact_type.is_some(),
        })
    }
}

fn document(descriptor: &Descriptor) -> Value {
    let mut document = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    });
    if let Some(artifact_type) = &descriptor.artifact_type {
        document["artifactType"] = json!(artifact_type);
    }
    if !descriptor.annotations.is_empty() {
        let mut annotations: Vec<_> = descriptor.annotations.iter().collect();
        annotations.sort_unstable();
        document["annotations"] =
            annotations.into_iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    }
    document
}
