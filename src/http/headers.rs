//! Headers that no specification of HTTP names, and texts as the values of headers.

use hyper::header::{HeaderName, HeaderValue};

/// Says which version of the registry API this is: Docker's `registry/2.0`.
pub(super) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
/// The only version there is.
pub(super) const API_VERSION_2: HeaderValue = HeaderValue::from_static("registry/2.0");
/// The digest of the content: OCI distribution 1.1, "Pulling manifests".
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The id of the decision that let a manifest out, or that refused it.
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-portcullis-decision");
/// Which filters were applied to referrers: OCI distribution 1.1, "Listing Referrers".
pub(super) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Says which paths below `_portcullis` there are.
pub(super) const EXTENSIONS: HeaderName = HeaderName::from_static("x-portcullis-extensions");
/// Says which job a client works for.
pub(super) const JOB: HeaderName = HeaderName::from_static("x-portcullis-job");
/// Echoes `ns=`: OCI distribution, "Registry Proxying".
pub(super) const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
/// The id of the request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// `Content-Type` of every answer that the mirror writes itself.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A cache between here and the client must ask again before it serves what it has: an image can
/// be refused tomorrow.
pub(super) const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
/// A refusal is not kept by anybody.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// `text` as the value of a header; a character that no header may hold becomes `?`.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .unwrap_or_else(|_| HeaderValue::from_str(&ascii(text)).expect("printable ASCII"))
}

/// `text` with `?` for every character that is not printable ASCII.
pub(super) fn ascii(text: &str) -> String {
    let printable = |found: char| found == ' ' || found.is_ascii_graphic();
    text.chars().map(|found| if printable(found) { found } else { '?' }).collect()
}

/// The value of `Warning: 299` for `text`: OCI distribution 1.1, "Warnings".
pub(super) fn warning(text: &str) -> HeaderValue {
    let mut warning = String::from("299 - \"");
    for found in ascii(text).chars() {
        if warning.len() + 3 > MAX_WARNING_LENGTH {
            break;
        }
        if matches!(found, '"' | '\\') {
            warning.push('\\');
        }
        warning.push(found);
    }
    warning.push('"');
    value(&warning)
}

/// OCI distribution 1.1, "Warnings".
const MAX_WARNING_LENGTH: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_warning_is_a_quoted_text() {
        assert_eq!(warning("rule \"a\" says \\ ü\n"), "299 - \"rule \\\"a\\\" says \\\\ ??\"");
        assert_eq!(value("a\nb"), "a?b");
    }

    proptest! {
        #[test]
        fn a_warning_never_panics_and_never_ends_inside_an_escape(text in ".*", many in 0..3000_usize) {
            let warning = warning(&format!("{}{text}", "\"".repeat(many)));
            let inner = warning.to_str().unwrap().strip_prefix("299 - \"").unwrap();
            let inner = inner.strip_suffix('"').unwrap().replace("\\\\", "").replace("\\\"", "");
            prop_assert!(warning.len() <= MAX_WARNING_LENGTH);
            prop_assert!(!inner.contains(['"', '\\']));
        }
    }
}
