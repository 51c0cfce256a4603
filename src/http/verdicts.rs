//! `GET /v2/<repository>/_portcullis/verdict/<reference>`: what policy says of an image, and why.
//!
//! An extension in the form that OCI distribution 1.1 ("Extensions") reserves for them. Pipelines ask
//! it before they build; nothing is sent to them but words, so it is no pull. The media type is how a
//! client knows that a Portcullis has answered and not some registry.

use hyper::{Response, header, header::HeaderValue};
use serde::Serialize;

use super::{body::Body, failure::Failure, headers};
use crate::{
    mirror::{PullError, Verdict},
    oci::{Digest, ImageName, Reference},
};

/// The answer; `docs/json.md` describes it.
#[derive(Serialize)]
struct Answer<'a> {
    upstream: &'a str,
    repository: &'a str,
    reference: String,
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    verdict: Option<Verdict>,
}

/// The answer about `reference` of `image`. That the upstream does not have it, or gives it to
/// nobody, is an answer too.
pub(super) fn response(
    image: &ImageName,
    reference: &Reference,
    judged: Result<(Option<Digest>, Verdict), PullError>,
    head: bool,
) -> Result<Response<Body>, Failure> {
    let (digest, error, verdict) = match judged {
        Ok((digest, verdict)) => (digest, None, Some(verdict)),
        Err(error) if is_of_the_upstream(&error) => (None, Some(error.to_string()), None),
        Err(error) => return Err(error.into()),
    };
    let answer = Answer {
        upstream: image.upstream.as_str(),
        repository: image.repository.as_str(),
        reference: reference.to_string(),
        digest,
        error,
        verdict,
    };
    let content = serde_json::to_vec(&answer)
        .map_err(|_| Failure::defect("verdict_unwritable", "a verdict could not be written"))?;
    let length = content.len();
    let content = bytes::Bytes::from(content);
    let mut response = Response::new(if head { Body::empty() } else { content.into() });
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, VERDICT);
    map.insert(header::CONTENT_LENGTH, length.into());
    map.insert(header::CACHE_CONTROL, headers::NO_STORE);
    Ok(response)
}

fn is_of_the_upstream(error: &PullError) -> bool {
    match error {
        PullError::Shared(error) => is_of_the_upstream(error),
        error => matches!(error, PullError::Upstream { .. }),
    }
}

const VERDICT: HeaderValue = HeaderValue::from_static("application/vnd.portcullis.verdict.v1+json");
