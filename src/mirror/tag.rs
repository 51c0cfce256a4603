//! Tags are listed: by the upstream, and from memory when it is away.

use super::{Context, Mirror, PullError, TagPage, Wanted};
use crate::oci::ImageName;

impl Mirror {
    /// A page of the tags of `image`: at most `count` that sort after `last`.
    ///
    /// # Errors
    /// When the upstream says no, or cannot be asked and nothing of the repository is known here.
    pub async fn tags(
        &self,
        _context: &Context,
        image: &ImageName,
        count: Option<u32>,
        last: Option<&str>,
    ) -> Result<TagPage, PullError> {
        let room = &self.room;
        let answer = match room.origin(&image.upstream) {
            Ok(origin) => origin.list_tags(image, count, last).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(list) => {
                let (tags, more) = (after(list.tags, last), list.more);
                Ok(cut(tags, count, more))
            }
            Err(error) if error.is_temporary() => {
                let known = room.store.tags(image).await?;
                if known.is_empty() {
                    return Err(PullError::upstream(Wanted::Tags(image.clone()), error));
                }
                tracing::warn!(%image, %error, "listing the tags that are known here");
                Ok(page(known, count, last))
            }
            Err(error) => Err(PullError::upstream(Wanted::Tags(image.clone()), error)),
        }
    }
}

/// What follows `last` in an upstream's answer, in the upstream's order: one that pays no attention
/// to `last` sends everything again.
fn after(mut tags: Vec<String>, last: Option<&str>) -> Vec<String> {
    if let Some(at) = tags.iter().position(|tag| Some(tag.as_str()) == last) {
        tags.drain(..=at);
    }
    tags
}

/// A page of the tags that are known here, in lexical order.
fn page(mut tags: Vec<String>, count: Option<u32>, last: Option<&str>) -> TagPage {
    tags.sort_unstable();
    tags.retain(|tag| last.is_none_or(|last| tag.as_str() > last));
    cut(tags, count, false)
}

/// At most `count` of `tags`; `more` says that others follow anyway.
fn cut(mut tags: Vec<String>, count: Option<u32>, more: bool) -> TagPage {
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let more = more || tags.len() > count;
    tags.truncate(count);
    let next = more.then(|| tags.last().cloned()).flatten();
    TagPage { tags, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let tags = || vec!["b".to_owned(), "a".to_owned(), "c".to_owned()];
        let first = page(tags(), Some(2), None);
        assert_eq!(first, TagPage { tags: vec!["a".into(), "b".into()], next: Some("b".into()) });
        let second = page(tags(), Some(2), first.next.as_deref());
        assert_eq!(second, TagPage { tags: vec!["c".into()], next: None });
    }

    #[test]
    fn an_upstream_that_ignores_the_parameters_is_paged_here() {
        let everything = || vec!["z".to_owned(), "a".to_owned(), "m".to_owned()];
        let first = cut(after(everything(), None), Some(2), false);
        assert_eq!(first, TagPage { tags: vec!["z".into(), "a".into()], next: Some("a".into()) });
        let second = cut(after(everything(), Some("a")), Some(2), false);
        assert_eq!(second, TagPage { tags: vec!["m".into()], next: None });
        let honoured = cut(after(vec!["m".to_owned()], Some("a")), Some(1), true);
        assert_eq!(honoured, TagPage { tags: vec!["m".into()], next: Some("m".into()) });
    }
}
