//! Writes digests behind tags, and changes no other byte.

use std::ops::Range;

/// What to put where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The bytes of the file that say the image.
    pub span: Range<usize>,
    /// The image as it will be written.
    pub text: String,
}

/// `text` with `pins` in place. Two pins of the same bytes are one; where two say different things
/// about bytes that overlap, the first one counts.
#[must_use]
pub fn pin(text: &str, pins: &[Pin]) -> String {
    let mut ordered: Vec<_> = pins.iter().collect();
    ordered.sort_by_key(|pin| pin.span.start);
    let mut pinned = String::with_capacity(text.len() + pins.len() * DIGEST_LENGTH);
    let mut copied = 0;
    for pin in ordered {
        if let Some(before) = text.get(copied..pin.span.start)
            && pin.span.end <= text.len()
        {
            pinned.push_str(before);
            pinned.push_str(&pin.text);
            copied = pin.span.end;
        }
    }
    pinned.push_str(&text[copied..]);
    pinned
}

/// `:latest@sha256:<hex>`.
const DIGEST_LENGTH: usize = 79;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_what_is_pinned_and_nothing_else() {
        let text = "FROM a:1 AS x\r\nFROM b:2\r\n";
        let at = |word: &str, new: &str| {
            let start = text.find(word).unwrap();
            Pin { span: start..start + word.len(), text: new.to_owned() }
        };
        let pins = [at("b:2", "b:2@d"), at("a:1", "a:1@d"), at("a:1", "a:1@d")];
        assert_eq!(pin(text, &pins), "FROM a:1@d AS x\r\nFROM b:2@d\r\n");
    }

    proptest! {
        #[test]
        fn what_was_not_pinned_is_still_there(
            text in "[a-z\n]{0,40}", spans in prop::collection::vec((0_usize..50, 0_usize..50), 0..5),
        ) {
            let spans = spans.into_iter().map(|(one, other)| one.min(other)..one.max(other));
            let pins: Vec<_> = spans.map(|span| Pin { span, text: "@".to_owned() }).collect();
            let kept = pin(&text, &pins).replace('@', "");
            let mut left = text.chars();
            prop_assert!(kept.chars().all(|kept| left.any(|character| character == kept)));
        }
    }
}
