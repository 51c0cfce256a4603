//! `GET /v2/<repository>/referrers/<digest>`: what refers to a manifest, as an image index.
//!
//! OCI distribution 1.1, "Listing Referrers". Always an index, an empty one where nothing refers: a
//! `404` would make clients look for the fallback tag, and a `403` fails pulls (Docker 29.1).

use hyper::{Response, header, header::HeaderValue};

use super::{body::Body, headers};
use crate::{mirror::ReferrersIndex, oci::MediaType};

/// The answer that carries `index`.
pub(super) fn response(index: ReferrersIndex, head: bool) -> Response<Body> {
    let length = index.bytes.len();
    let body = if head { Body::empty() } else { index.bytes.into() };
    let mut response = Response::new(body);
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static(MediaType::OciIndex.as_str()));
    map.insert(header::CONTENT_LENGTH, length.into());
    map.insert(header::CACHE_CONTROL, headers::REVALIDATE);
    if index.filtered {
        map.insert(headers::FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    response
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::http::testing::{content, header};

    const INDEX: &[u8] = br#"{"schemaVersion":2,"manifests":[]}"#;

    fn ask(filtered: bool, head: bool) -> Response<Body> {
        response(ReferrersIndex { bytes: Bytes::from_static(INDEX), filtered }, head)
    }

    #[test]
    fn is_an_index_and_says_whether_it_was_filtered() {
        assert_eq!(header(&ask(true, false), "oci-filters-applied"), "artifactType");
        assert_eq!(header(&ask(false, false), "oci-filters-applied"), "");
        for head in [false, true] {
            let response = ask(false, head);
            assert_eq!(
                header(&response, "content-type"),
                "application/vnd.oci.image.index.v1+json"
            );
            assert_eq!(header(&response, "content-length"), INDEX.len().to_string());
            assert_eq!(content(response), if head { b"" } else { INDEX });
        }
    }
}
