//! `GET /v2/<repository>/manifests/<reference>`: a manifest that policy has admitted.
//!
//! OCI distribution 1.1, "Pulling manifests". The content is what the digest names, byte for byte and
//! under its own media type, whatever `Accept` says: an image index is served to a client that lists
//! image manifests only, as Docker Hub does, and nothing is ever converted, since a converted manifest
//! is not what was signed. `Accept` is therefore not read. `If-None-Match` is looked at after the
//! decision.

use hyper::{HeaderMap, Response, StatusCode, header};

use super::{body::Body, conditional, headers};
use crate::mirror::Admitted;

/// The answer that carries `admitted`, to a request with `conditions`.
pub(super) fn response(admitted: &Admitted, conditions: &HeaderMap, head: bool) -> Response<Body> {
    let etag = admitted.etag();
    let mut map = HeaderMap::with_capacity(HEADERS);
    map.insert(header::CACHE_CONTROL, headers::REVALIDATE);
    map.insert(header::ETAG, headers::value(etag));
    map.insert(headers::CONTENT_DIGEST, headers::value(etag.trim_matches('"')));
    map.insert(headers::DECISION, headers::value(admitted.decision()));
    if let Some(text) = admitted.warning() {
        map.insert(header::WARNING, headers::warning(text));
    }
    let mut response = Response::new(Body::empty());
    if conditional::is_current(conditions, etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        map.insert(header::CONTENT_TYPE, headers::value(admitted.media_type()));
        map.insert(header::CONTENT_LENGTH, admitted.bytes().len().into());
        if !head {
            *response.body_mut() = admitted.bytes().clone().into();
        }
    }
    *response.headers_mut() = map;
    response
}

/// As many as there can be, with those that every answer gets.
const HEADERS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http::testing::{content, header, headers},
        oci::Digest,
    };

    const MANIFEST: &[u8] = b"{ \"schemaVersion\": 2 }\n";

    fn ask(conditions: &[(&str, &str)], head: bool) -> Response<Body> {
        let admitted = Admitted::undecided_for_tests(MANIFEST, None);
        response(&admitted, &headers(conditions), head)
    }

    #[test]
    fn carries_the_bytes_as_they_are_and_all_that_clients_need() {
        let digest = Digest::of(MANIFEST).to_string();
        for head in [false, true] {
            let response = ask(&[], head);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(
                header(&response, "content-type"),
                "application/vnd.oci.image.manifest.v1+json"
            );
            assert_eq!(header(&response, "docker-content-digest"), digest);
            assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
            assert_eq!(header(&response, "content-length"), MANIFEST.len().to_string());
            assert_eq!(header(&response, "cache-control"), "no-cache");
            assert_eq!(header(&response, "x-portcullis-decision"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
            assert_eq!(header(&response, "warning"), "");
            assert_eq!(content(response), if head { b"" } else { MANIFEST });
        }
    }

    #[test]
    fn g46_accept_changes_nothing() {
        let plain = ask(&[], false);
        for accept in ["application/vnd.oci.image.index.v1+json", "text/html", "*/*", ""] {
            let response = ask(&[("accept", accept), ("accept", "application/json")], false);
            assert_eq!(response.headers(), plain.headers(), "{accept}");
            assert_eq!(content(response), MANIFEST);
        }
    }

    #[test]
    fn a_client_that_has_it_is_told_so_with_the_decision() {
        let etag = format!("\"{}\"", Digest::of(MANIFEST));
        for head in [false, true] {
            let response = ask(&[("if-none-match", &etag)], head);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(header(&response, "etag"), etag);
            assert_eq!(header(&response, "x-portcullis-decision"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
            assert!(content(response).is_empty());
        }
        assert_eq!(ask(&[("if-none-match", "\"other\"")], false).status(), StatusCode::OK);
    }

    #[test]
    fn a_rule_that_only_warns_is_heard() {
        let admitted = Admitted::undecided_for_tests(MANIFEST, Some("not signed"));
        let response = response(&admitted, &HeaderMap::new(), false);
        assert_eq!(header(&response, "warning"), "299 - \"not signed\"");
    }
}
