//! `GET /v2/<repository>/tags/list`: the tags of a repository, page by page.
//!
//! OCI distribution 1.1, "Listing Tags". The `Link` to the next page leads to this server, by the
//! path that the client used and with its `ns=`, never to the upstream.

use std::fmt::Write as _;

use bytes::Bytes;
use hyper::{Response, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{body::Body, headers};
use crate::mirror::TagPage;

/// What of a request for tags its answer repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listing<'a> {
    /// The repository as the client spells it.
    pub(super) spelled: &'a str,
    /// How many tags it wants at most.
    pub(super) count: Option<u32>,
    /// Its `ns=`.
    pub(super) namespace: Option<&'a str>,
}

/// The answer that carries `page`.
pub(super) fn response(page: &TagPage, listing: Listing<'_>, head: bool) -> Response<Body> {
    let content = serde_json::json!({ "name": listing.spelled, "tags": page.tags }).to_string();
    let length = content.len();
    let body = if head { Body::empty() } else { Bytes::from(content).into() };
    let mut response = Response::new(body);
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, headers::JSON);
    map.insert(header::CONTENT_LENGTH, length.into());
    map.insert(header::CACHE_CONTROL, headers::REVALIDATE);
    if let Some(last) = &page.next {
        map.insert(header::LINK, headers::value(&link(listing, last)));
    }
    response
}

/// The `Link` to the page behind the tag `last`: RFC 8288.
fn link(listing: Listing<'_>, last: &str) -> String {
    let encode = |text| utf8_percent_encode(text, RESERVED);
    let mut link = format!("</v2/{}/tags/list?", listing.spelled);
    let mut add = |name: &str, value: &dyn std::fmt::Display| {
        let separator = if link.ends_with('?') { "" } else { "&" };
        write!(link, "{separator}{name}={value}").expect("writing to a String does not fail");
    };
    if let Some(namespace) = listing.namespace {
        add("ns", &encode(namespace));
    }
    if let Some(count) = listing.count {
        add("n", &count);
    }
    add("last", &encode(last));
    link.push_str(">; rel=\"next\"");
    link
}

/// All but the unreserved characters of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{content, header};

    fn page(next: Option<&str>) -> TagPage {
        TagPage { tags: vec!["v1".into(), "v2".into()], next: next.map(Into::into) }
    }

    #[test]
    fn lists_the_tags_under_the_name_that_the_client_used() {
        let listing = Listing { spelled: "docker.io/library/nginx", count: None, namespace: None };
        let response = response(&page(None), listing, false);
        assert_eq!(header(&response, "content-type"), "application/json");
        assert_eq!(header(&response, "link"), "");
        assert_eq!(content(response), br#"{"name":"docker.io/library/nginx","tags":["v1","v2"]}"#);
    }

    #[test]
    fn a_head_request_gets_the_headers_only() {
        let listing = Listing { spelled: "a", count: None, namespace: None };
        let response = response(&page(None), listing, true);
        assert_eq!(header(&response, "content-length"), "31");
        assert!(content(response).is_empty());
    }

    #[test]
    fn the_next_page_is_at_this_server_by_the_same_way() {
        let link = |count, namespace| {
            let listing = Listing { spelled: "a/b", count, namespace };
            let response = response(&page(Some("v+2")), listing, false);
            header(&response, "link").to_owned()
        };
        assert_eq!(link(None, None), "</v2/a/b/tags/list?last=v%2B2>; rel=\"next\"");
        assert_eq!(link(Some(2), None), "</v2/a/b/tags/list?n=2&last=v%2B2>; rel=\"next\"");
        assert_eq!(
            link(Some(2), Some("registry.test:5000")),
            "</v2/a/b/tags/list?ns=registry.test%3A5000&n=2&last=v%2B2>; rel=\"next\""
        );
    }
}
