//! Writing to a registry: OCI distribution 1.1, "Pushing blobs" and "Pushing manifests".
//!
//! The mirror itself never writes upstream. A person who signs does, with small content: a blob goes
//! up in one piece, by `POST` and `PUT`. Where the registry says to `PUT` it is text from outside: it
//! must be the registry's own origin, because the credentials and the content go there.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header::LOCATION};

use super::{
    Upstream,
    body::Nothing,
    error::UpstreamError,
    exchange::{Call, Outcome},
    url::{self, Origin},
};
use crate::oci::{Digest, Reference, Repository};

impl Upstream {
    /// Writes `content` as a blob, unless it is there already.
    ///
    /// # Cancel safety
    /// Dropping this may leave an upload behind that the registry forgets by itself.
    ///
    /// # Errors
    /// See [`UpstreamError`]; [`UpstreamError::Denied`] when the credentials may not write.
    pub async fn publish_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, UpstreamError> {
        let digest = Digest::of(&content);
        let url = self.base().at(repository, format_args!("blobs/{digest}"));
        let there = self.exchange().call(&Call::head(repository, url), &Nothing).await?;
        if matches!(there, Outcome::Answer(_)) {
            return Ok(digest);
        }
        let url = self.base().at(repository, format_args!("blobs/uploads/"));
        let begin = Call::push(Method::POST, repository, url.clone());
        let begun = self.exchange().call(&begin, &Nothing).await?.success()?;
        let target = upload_url(&url, &begun.headers, &digest)?;
        let octets = HeaderValue::from_static("application/octet-stream");
        let upload = Call::push(Method::PUT, repository, target).content(octets, content);
        self.exchange().call(&upload, &Nothing).await?.success()?;
        Ok(digest)
    }

    /// Writes `content` as the manifest that `reference` names.
    ///
    /// # Errors
    /// As [`Upstream::publish_blob`].
    pub async fn publish_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &'static str,
        content: Bytes,
    ) -> Result<Digest, UpstreamError> {
        let digest = Digest::of(&content);
        let url = self.base().at(repository, format_args!("manifests/{reference}"));
        let media_type = HeaderValue::from_static(media_type);
        let call = Call::push(Method::PUT, repository, url).content(media_type, content);
        self.exchange().call(&call, &Nothing).await?.success()?;
        Ok(digest)
    }
}

/// Where the content goes: the `Location` that answers the request for `asked`, with the digest.
fn upload_url(asked: &Uri, headers: &HeaderMap, digest: &Digest) -> Result<Uri, UpstreamError> {
    let refused =
        |why: &str| UpstreamError::invalid(format!("its place for an upload is refused: {why}"));
    let location = headers.get(LOCATION).ok_or_else(|| refused("it names none"))?;
    let location = location.to_str().map_err(|_| refused("its `Location` is not ASCII"))?;
    let place = url::resolve(asked, location).map_err(|problem| refused(&problem.to_string()))?;
    if Origin::of(&place) != Origin::of(asked) {
        return Err(refused("it is at another server"));
    }
    let separator = if place.query().is_some() { '&' } else { '?' };
    let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
    format!("{place}{separator}digest={algorithm}%3A{hex}")
        .parse()
        .map_err(|_| refused("it is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(location: &str) -> Result<String, UpstreamError> {
        let asked = Uri::from_static("https://registry.test/v2/a/blobs/uploads/");
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
        upload_url(&asked, &headers, &Digest::of(b"x")).map(|url| url.to_string())
    }

    #[test]
    fn the_digest_joins_what_the_registry_wants_back() {
        let digest = format!("digest=sha256%3A{}", Digest::of(b"x").hex());
        assert_eq!(
            place("/v2/a/blobs/uploads/1?_state=s").unwrap(),
            format!("https://registry.test/v2/a/blobs/uploads/1?_state=s&{digest}")
        );
        assert_eq!(
            place("https://registry.test/u/1").unwrap(),
            format!("https://registry.test/u/1?{digest}")
        );
    }

    #[test]
    fn an_upload_goes_to_the_registry_alone() {
        for elsewhere in [
            "https://evil.test/upload",
            "http://registry.test/upload",
            "https://registry.test:8443/upload",
            "//evil.test/upload",
        ] {
            assert!(place(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
