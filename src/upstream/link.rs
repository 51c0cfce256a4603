//! `Link`: where the next page is (RFC 8288, 3).
//!
//! A page's `Link` is text from outside like a redirect's `Location`; [`next_page`] only reads it.
//! Where it may lead is decided by who follows it.

use http::{HeaderMap, header::LINK};

/// The target of the first link with the relation `next`.
///
/// # Errors
/// When a header breaks the grammar.
pub(super) fn next_page(headers: &HeaderMap) -> Result<Option<&str>, MalformedLink> {
    for value in headers.get_all(LINK) {
        let mut rest = value.to_str().map_err(|_| MalformedLink)?;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (target, after) = rest
                .strip_prefix('<')
                .and_then(|rest| rest.split_once('>'))
                .ok_or(MalformedLink)?;
            let (is_next, after) = parameters(after)?;
            if is_next {
                return Ok(Some(target));
            }
            rest = after;
        }
    }
    Ok(None)
}

/// The header breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its `Link` header cannot be read")]
pub(super) struct MalformedLink;

/// Reads the parameters of one link, and says whether its relation is `next`. Of several `rel` the
/// first counts (RFC 8288, 3.3).
fn parameters(mut rest: &str) -> Result<(bool, &str), MalformedLink> {
    let mut relation: Option<String> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(';') {
            Some(after) => rest = after.trim_start_matches([' ', '\t']),
            None if rest.is_empty() || rest.starts_with(',') => break,
            None => return Err(MalformedLink),
        }
        let end = rest.find(['=', ';', ',', ' ', '\t']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after.trim_start_matches([' ', '\t']);
        if let Some(after) = rest.strip_prefix('=') {
            let (value, after) = value(after.trim_start_matches([' ', '\t']))?;
            if name.eq_ignore_ascii_case("rel") {
                relation.get_or_insert(value);
            }
            rest = after;
        }
    }
    let is_next = relation.is_some_and(|relation| {
        relation.split_ascii_whitespace().any(|name| name.eq_ignore_ascii_case("next"))
    });
    Ok((is_next, rest))
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Result<(String, &str), MalformedLink> {
    if !text.starts_with('"') {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    }
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(characters.next().ok_or(MalformedLink)?.1),
            other => value.push(other),
        }
    }
    Err(MalformedLink)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn next(lines: &[&str]) -> Result<Option<String>, MalformedLink> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(LINK, HeaderValue::from_str(line).unwrap());
        }
        next_page(&headers).map(|target| target.map(str::to_owned))
    }

    #[test]
    fn finds_the_next_page() {
        for lines in [
            &[r#"</v2/a/tags/list?n=2&last=b>; rel="next""#][..],
            &[r#"</v2/a/tags/list?n=2&last=b>;rel=next"#],
            &[
                r#"</x>; rel="prev", </v2/a/tags/list?n=2&last=b> ; title="a, \"b\"; c" ; REL="x NEXT""#,
            ],
            &[r#"</x>; rel=prev"#, r#", </v2/a/tags/list?n=2&last=b>; flag; rel=next,"#],
        ] {
            let target = "/v2/a/tags/list?n=2&last=b".to_owned();
            assert_eq!(next(lines), Ok(Some(target)), "{lines:?}");
        }
    }

    #[test]
    fn other_links_lead_nowhere() {
        for lines in [
            &[][..],
            &[""],
            &[r#"</x>"#],
            &[r#"</x>; rel=prev"#],
            &[r#"</x>; rel=prev; rel=next"#],
            &[r#"</x>; title="rel=next""#],
            &[r#"</x>; rel="nexter""#],
        ] {
            assert_eq!(next(lines), Ok(None), "{lines:?}");
        }
        for bad in ["x", "</x", r#"</x>; rel="next"#, r#"</x> rel=next"#, r#"</x>; rel="a\"#] {
            assert_eq!(next(&[bad]), Err(MalformedLink), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[ -~\t]{0,60}") {
            let _ = next(&[&text]);
        }

        #[test]
        fn parsing_never_panics_near_the_grammar(text in "([<>;,=\"\\\\ ]|rel|next|/x){0,16}") {
            let _ = next(&[&text]);
        }

        #[test]
        fn finds_what_was_written(target in "/[!-;=?-~]{0,20}", title in "[ -~]{0,10}") {
            let title = title.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("<{target}>; title=\"{title}\"; rel=\"next\"");
            prop_assert_eq!(next(&[&line]), Ok(Some(target)));
        }
    }
}
