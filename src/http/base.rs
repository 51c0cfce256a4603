//! `GET /v2/`: whether this is a registry, and whether it wants a login. It wants none.
//!
//! OCI distribution 1.1, "Determining Support". It also says which of Portcullis's own paths there are,
//! so that a program that relies on verdicts can tell a gate from a registry that has none.

use bytes::Bytes;
use hyper::{Response, header, header::HeaderValue};

use super::{body::Body, headers};

/// The answer; it depends on nothing.
pub(super) fn response(head: bool) -> Response<Body> {
    let body = if head { Body::empty() } else { Bytes::from_static(CONTENT).into() };
    let mut response = Response::new(body);
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, headers::JSON);
    map.insert(header::CONTENT_LENGTH, CONTENT.len().into());
    map.insert(headers::EXTENSIONS, HeaderValue::from_static("verdict"));
    response
}

const CONTENT: &[u8] = b"{}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{content, header};

    #[test]
    fn is_an_empty_object() {
        assert_eq!(content(response(false)), b"{}");
        let head = response(true);
        assert_eq!(header(&head, "content-length"), "2");
        assert!(content(head).is_empty());
    }
}
