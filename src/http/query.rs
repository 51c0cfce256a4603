//! The query of a request: names and values, each percent-encoded once (RFC 3986, 3.4).
//!
//! A `+` is a plus, not a space as in HTML forms: no parameter of the API can hold a space, and
//! media types such as `application/vnd.example+json` are often sent as they are.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// All values of the parameter `name`, decoded; `None` for one that is not UTF-8.
pub(super) fn values<'a>(
    query: Option<&'a str>,
    name: &'a str,
) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    query
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| percent_decode_str(value).decode_utf8().ok())
}

/// The first value of the parameter `name` that is UTF-8.
pub(super) fn first<'a>(query: Option<&'a str>, name: &'a str) -> Option<Cow<'a, str>> {
    values(query, name).flatten().next()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_values_by_their_whole_name() {
        let query = Some("n=1&ns=docker.io&artifactType=a%2Fb+c&ns=&last");
        assert_eq!(first(query, "n").as_deref(), Some("1"));
        assert_eq!(first(query, "artifactType").as_deref(), Some("a/b+c"));
        assert_eq!(first(query, "last").as_deref(), Some(""));
        assert_eq!(first(query, "absent"), None);
        assert_eq!(first(None, "n"), None);
        assert_eq!(values(query, "ns").count(), 2);
        assert_eq!(values(Some("ns=%ff"), "ns").collect::<Vec<_>>(), [None]);
    }

    proptest! {
        #[test]
        fn never_panics(query in ".*", name in "[a-z]{0,3}") {
            let _ = values(Some(&query), &name).count();
        }
    }
}
