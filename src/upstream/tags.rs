//! Tags: OCI distribution 1.1, "Listing tags".

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{Upstream, body::Whole, error::UpstreamError, exchange::Call, link};
use crate::oci::{Repository, Tag};

/// One page of an upstream's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagList {
    /// In the upstream's order. Texts that are no tags are left out: nobody could ask for them.
    pub tags: Vec<String>,
    /// Whether the upstream says that there are more after the last.
    pub more: bool,
}

impl Upstream {
    /// Lists the tags of `repository`: at most `count`, those after `last`. An upstream that knows
    /// neither sends all.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn list_tags(
        &self,
        repository: &Repository,
        count: Option<u32>,
        last: Option<&str>,
    ) -> Result<TagList, UpstreamError> {
        let url = self.tags_url(repository, count, last);
        let whole = Whole { limit: MAX_LIST_SIZE };
        let answer = self.exchange().call(&Call::get(repository, url), &whole).await?.success()?;
        answer.refuse_html()?;
        let next = link::next_page(&answer.headers)
            .map_err(|error| UpstreamError::invalid(error.to_string()))?;
        Ok(TagList { tags: parse(&answer.content)?, more: next.is_some() })
    }

    fn tags_url(&self, repository: &Repository, count: Option<u32>, last: Option<&str>) -> Uri {
        let count = count.map(|count| format!("n={count}"));
        let last = last.map(|last| format!("last={}", utf8_percent_encode(last, NON_ALPHANUMERIC)));
        let query: Vec<_> = count.into_iter().chain(last).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        self.base().at(repository, format_args!("tags/list{mark}{}", query.join("&")))
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<String>, UpstreamError> {
    #[derive(Deserialize)]
    struct List {
        /// `null` where a repository has none, as Go writes an empty list.
        tags: Option<Vec<String>>,
    }
    let list: List = serde_json::from_slice(bytes)
        .map_err(|error| UpstreamError::invalid(format!("its list of tags: {error}")))?;
    let mut tags = list.tags.unwrap_or_default();
    tags.retain(|tag| tag.parse::<Tag>().is_ok());
    Ok(tags)
}

/// A repository with a hundred thousand tags of 40 characters has 4 MiB of them.
const MAX_LIST_SIZE: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_lists_and_leaves_out_what_is_no_tag() {
        assert_eq!(parse(br#"{"name":"a","tags":null}"#), Ok(vec![]));
        assert_eq!(parse(br#"{"tags":["b","a","../x","a b",""]}"#).unwrap(), ["b", "a"]);
        for bad in ["", "[]", r#"{"tags":"a"}"#, r#"{"tags":[1]}"#, r#"{"tags":["a"]"#] {
            assert!(matches!(parse(bad.as_bytes()), Err(UpstreamError::Invalid { .. })), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
