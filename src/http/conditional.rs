//! Conditions of a request on an entity tag: `If-None-Match` and `If-Range`.
//!
//! RFC 9110, 8.8.3, 13.1.2 and 13.1.5. Every entity tag of the mirror is a digest in quotes, and
//! strong: the bytes are those of the digest or they are not served. A condition is looked at after
//! the decision, so a `304` says as much as a `200`: what the client has is admitted now.

use hyper::{HeaderMap, header};

/// Whether the client already has what `etag` names, by its `If-None-Match`.
#[must_use]
pub fn is_current(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| lists(list, etag))
}

/// Whether a `Range` counts: there is no `If-Range`, or it names `etag`. A date never does, since a
/// blob has none.
#[must_use]
pub fn range_counts(headers: &HeaderMap, etag: &str) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value.as_bytes().trim_ascii() == etag.as_bytes(),
        (Some(_), Some(_)) => false,
    }
}

/// Whether the list of entity tags `list` holds `etag`, weak or strong, or is `*`.
#[must_use]
pub fn lists(list: &str, etag: &str) -> bool {
    let mut rest = list.trim_ascii();
    if rest == "*" {
        return true;
    }
    while let Some((tag, behind)) = next_tag(rest) {
        if tag == etag {
            return true;
        }
        rest = behind;
    }
    false
}

/// The first entity tag of a list, in its quotes and without the mark of a weak one, and what
/// follows. A comma inside the quotes belongs to the tag.
fn next_tag(list: &str) -> Option<(&str, &str)> {
    let list = list.trim_start_matches([' ', '\t', ',']);
    let list = list.strip_prefix("W/").unwrap_or(list);
    let length = list.strip_prefix('"')?.find('"')? + 2;
    Some(list.split_at(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ETAG: &str = "\"sha256:abc\"";

    #[test]
    fn finds_the_tag_in_a_list() {
        for list in [
            ETAG,
            "W/\"sha256:abc\"",
            "*",
            " * ",
            "\"other\", \"sha256:abc\"",
            "\"a,b\",W/\"sha256:abc\" , \"c\"",
            ",, \"sha256:abc\"",
        ] {
            assert!(lists(list, ETAG), "{list}");
        }
    }

    #[test]
    fn other_tags_and_bad_lists_match_nothing() {
        for list in [
            "",
            "sha256:abc",
            "\"sha256:abc",
            "\"other\"",
            "\"sha256:abcd\"",
            "w/\"sha256:abc\"",
            "\"*\"",
            "bad, \"sha256:abc\"",
            "\"x sha256:abc\"",
        ] {
            assert!(!lists(list, ETAG), "{list}");
        }
    }

    #[test]
    fn every_line_of_the_header_is_read() {
        let mut headers = HeaderMap::new();
        assert!(!is_current(&headers, ETAG));
        headers.append(header::IF_NONE_MATCH, "\"x\"".parse().unwrap());
        assert!(!is_current(&headers, ETAG));
        headers.append(header::IF_NONE_MATCH, ETAG.parse().unwrap());
        assert!(is_current(&headers, ETAG));
    }

    #[test]
    fn a_range_counts_only_for_the_same_strong_tag() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_RANGE, value.parse().unwrap());
            }
            range_counts(&headers, ETAG)
        };
        assert!(with(&[]));
        assert!(with(&[ETAG]));
        assert!(!with(&["W/\"sha256:abc\""]));
        assert!(!with(&["\"other\""]));
        assert!(!with(&["Sat, 29 Oct 1994 19:43:31 GMT"]));
        assert!(!with(&[ETAG, ETAG]));
    }

    proptest! {
        #[test]
        fn never_panics(list in ".*", etag in "\"[ -!#-~]{0,8}\"") {
            let _ = lists(&list, &etag);
        }

        #[test]
        fn a_listed_tag_is_found(before in prop::collection::vec("[ -!#-~]{0,8}", 0..4), tag in "[!#-~]{1,8}") {
            let mut list: String = before.iter().map(|tag| format!("\"{tag}\", ")).collect();
            list.push_str(&format!("\"{tag}\""));
            let etag = format!("\"{tag}\"");
            prop_assert!(lists(&list, &etag));
        }
    }
}
