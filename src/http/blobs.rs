//! `GET /v2/<repository>/blobs/<digest>`: a blob that an admitted manifest references.
//!
//! OCI distribution 1.1, "Pulling blobs"; RFC 9110, 13.2.2 for the order of the conditions and 14 for
//! ranges. A blob that is still coming from the upstream is answered in the same way as one that is
//! there: its size is known, and a range waits for its first byte. The content is never encoded,
//! whatever `Accept-Encoding` says.

use hyper::{HeaderMap, Response, StatusCode, header, header::HeaderValue};

use super::{
    body::Body,
    buffers::Buffers,
    conditional,
    failure::Failure,
    headers,
    range::{Selection, Span},
};
use crate::mirror::{BlobContent, ReadableBlob};

/// The answer that carries `blob`, to a request with `conditions`.
///
/// # Errors
/// When a range is asked for that the blob does not have.
pub(super) fn response(
    blob: ReadableBlob,
    conditions: &HeaderMap,
    head: bool,
    buffers: &Buffers,
) -> Result<Response<Body>, Failure> {
    let etag = format!("\"{}\"", blob.digest);
    let mut response = Response::new(Body::empty());
    let mut map = HeaderMap::with_capacity(HEADERS);
    map.insert(header::CACHE_CONTROL, headers::REVALIDATE);
    map.insert(header::ETAG, headers::value(&etag));
    map.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    map.insert(headers::CONTENT_DIGEST, headers::value(etag.trim_matches('"')));
    if conditional::is_current(conditions, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.headers_mut() = map;
        return Ok(response);
    }
    let whole = Span { start: 0, end: blob.size };
    // A range is defined for `GET` alone: RFC 9110, 14.2.
    let span = match selection(conditions, &etag, blob.size) {
        Selection::Part(span) if !head => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {}-{}/{}", span.start, span.end - 1, blob.size);
            map.insert(header::CONTENT_RANGE, headers::value(&range));
            span
        }
        Selection::Unsatisfiable if !head => return Err(Failure::unsatisfiable(blob.size)),
        Selection::Part(_) | Selection::Unsatisfiable | Selection::Whole => whole,
    };
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    map.insert(header::CONTENT_LENGTH, span.length().into());
    *response.headers_mut() = map;
    if !head {
        *response.body_mut() = match blob.content {
            BlobContent::Filling(follower) => {
                Body::growing(follower, span, blob.size, buffers.clone())
            }
            BlobContent::Stored(stored) => Body::stored(stored, span, buffers.clone()),
        };
    }
    Ok(response)
}

fn selection(conditions: &HeaderMap, etag: &str, size: u64) -> Selection {
    let mut ranges = conditions.get_all(header::RANGE).iter();
    match (ranges.next().map(HeaderValue::to_str), ranges.next()) {
        (Some(Ok(range)), None) if conditional::range_counts(conditions, etag) => {
            Selection::parse(range, size)
        }
        _ => Selection::Whole,
    }
}

/// As many as there can be, with those that every answer gets.
const HEADERS: usize = 12;

#[cfg(test)]
mod tests;
