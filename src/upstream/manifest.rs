//! Tags and manifests: OCI distribution 1.1, "Pulling manifests".
//!
//! What comes back are the exact bytes and what they hash to. `Docker-Content-Digest` is believed
//! only as far as the next fetch: what it names is then asked for by digest, and compared (G-7).

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{
    Upstream,
    body::{Nothing, Whole},
    error::UpstreamError,
    exchange::{Call, Outcome},
};
use crate::oci::{Digest, MediaType, Reference, Repository, Tag, manifest::MAX_MANIFEST_SIZE};

/// What a tag means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of its manifest, by the upstream's word unless `manifest` is there.
    pub digest: Digest,
    /// The manifest itself, when only that could tell.
    pub manifest: Option<FetchedManifest>,
}

/// A manifest as the upstream sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedManifest {
    /// Its exact bytes.
    pub bytes: Bytes,
    /// What they hash to, computed here.
    pub digest: Digest,
    /// What the upstream says they are.
    pub content_type: Option<String>,
}

impl Upstream {
    /// Finds out which manifest `tag` names: by `HEAD`, or by one `GET` where the answer to that has
    /// no usable digest.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::NotFound`] only when the upstream says so.
    pub async fn resolve(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<Resolved, UpstreamError> {
        let url = self.base().at(repository, format_args!("manifests/{tag}"));
        let call = Call::head(repository, url).accept(accepted());
        match self.exchange().call(&call, &Nothing).await? {
            Outcome::Answer(answer) => {
                if let (Some(digest), Ok(())) = (announced(&answer.headers), answer.refuse_html()) {
                    return Ok(Resolved { digest, manifest: None });
                }
            }
            Outcome::Refusal(
                status @ (StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
            ) => return Err(UpstreamError::of_status(status)),
            // 405 and the like: some registries know no `HEAD`.
            Outcome::Refusal(_) => {}
        }
        let manifest = self.fetch_manifest(repository, &Reference::Tag(tag.clone())).await?;
        Ok(Resolved { digest: manifest.digest, manifest: Some(manifest) })
    }

    /// Fetches the manifest that `reference` names.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::Integrity`] when `reference` is a digest and the
    /// bytes are others.
    pub async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<FetchedManifest, UpstreamError> {
        let url = self.base().at(repository, format_args!("manifests/{reference}"));
        let call = Call::get(repository, url).accept(accepted());
        let whole = Whole { limit: MAX_MANIFEST_SIZE };
        let answer = self.exchange().call(&call, &whole).await?.success()?;
        answer.refuse_html()?;
        let digest = match reference {
            Reference::Digest(digest) if digest.matches(&answer.content) => *digest,
            Reference::Digest(digest) => return Err(UpstreamError::Integrity { digest: *digest }),
            Reference::Tag(_) => Digest::of(&answer.content),
        };
        let content_type = answer.content_type().map(str::to_owned);
        Ok(FetchedManifest { bytes: answer.content, digest, content_type })
    }
}

/// Every kind of manifest that can be served. A registry that is not told may convert to another.
fn accepted() -> HeaderValue {
    static TYPES: LazyLock<HeaderValue> = LazyLock::new(|| {
        let types = MediaType::SERVED.map(MediaType::as_str).join(", ");
        HeaderValue::try_from(types).expect("media types are visible ASCII")
    });
    TYPES.clone()
}

/// `Docker-Content-Digest`, when it is a digest.
fn announced(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}
