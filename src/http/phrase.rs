//! The reason phrase of a refusal.
//!
//! A refused `HEAD` cannot carry a body, and containerd prints the phrase of the status line instead
//! (interface, "Small print"). So it says in one short line of ASCII what was refused, by which rule,
//! and which decision to look up. HTTP/2 has no phrase; there the client has to `GET`.

use super::headers::ascii;
use crate::{mirror::Refusal, oci::Reference};

/// What was refused, by which rule, and the decision.
pub(super) fn denied(refusal: &Refusal) -> String {
    let cause = match &refusal.verdict.rule {
        Some(rule) => format!("by rule {}", last(rule, MAX_RULE_LENGTH)),
        None => refusal.verdict.reason.as_str().to_owned(),
    };
    phrase("refused", refusal, &cause)
}

/// What could not be judged, why not, and the decision.
pub(super) fn undecided(refusal: &Refusal) -> String {
    phrase("undecided", refusal, refusal.verdict.reason.as_str())
}

/// As much of `message` as fits.
pub(super) fn short(message: &str) -> String {
    let mut phrase = ascii(message);
    phrase.truncate(MAX_LENGTH);
    phrase
}

fn phrase(outcome: &str, refusal: &Refusal, cause: &str) -> String {
    let image = match &refusal.reference {
        Reference::Digest(digest) => format!("{}@{:.12}", refusal.image, digest.hex()),
        Reference::Tag(tag) => format!("{}:{tag}", refusal.image),
    };
    let image = last(&image, MAX_IMAGE_LENGTH);
    short(&format!("{outcome} {image} {cause}; decision {}", refusal.decision))
}

/// The last `length` characters of `text`, which tell more than the first.
fn last(text: &str, length: usize) -> String {
    match text.chars().count().checked_sub(length) {
        None | Some(0) => text.to_owned(),
        Some(over) => format!("..{}", text.chars().skip(over + "..".len()).collect::<String>()),
    }
}

/// Bytes of ASCII: interface, "Small print".
const MAX_LENGTH: usize = 120;
const MAX_IMAGE_LENGTH: usize = 40;
const MAX_RULE_LENGTH: usize = 22;

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        http::testing::verdict,
        oci::{Digest, ImageName},
        trust::Reason,
    };

    fn refusal(repository: &str, reference: Reference, rule: Option<&str>) -> Refusal {
        let image = ImageName {
            upstream: "registry.test".parse().unwrap(),
            repository: repository.parse().unwrap(),
        };
        let decision = "01ARZ3NDEKTSV4RRFFQ69G5FAV".into();
        let verdict = Arc::new(verdict(Reason::NoSignature, rule));
        let retry_after = Duration::ZERO;
        Refusal { image, reference, digest: None, decision, verdict, retry_after }
    }

    #[test]
    fn says_what_by_which_rule_and_the_decision() {
        assert_eq!(
            denied(&refusal("acme/app", "v1".parse().unwrap(), Some("registry.test/**"))),
            "refused registry.test/acme/app:v1 by rule registry.test/**; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV"
        );
        let by_digest = refusal("acme/app", Reference::Digest(Digest::of(b"abc")), None);
        assert_eq!(
            denied(&by_digest),
            "refused registry.test/acme/app@ba7816bf8f01 no_signature; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV"
        );
        assert_eq!(
            undecided(&by_digest),
            "undecided registry.test/acme/app@ba7816bf8f01 no_signature; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV"
        );
    }

    #[test]
    fn is_short_ascii_and_keeps_the_decision_whatever_the_names_are() {
        let tag = "v".repeat(128).parse().unwrap();
        let long = refusal(&"abc".repeat(80), tag, Some(&"ü/**".repeat(40)));
        assert_eq!(short(&"ü".repeat(200)), "?".repeat(MAX_LENGTH));
        for phrase in [denied(&long), undecided(&long)] {
            assert!(phrase.len() <= MAX_LENGTH && phrase.is_ascii(), "{phrase}");
            assert!(phrase.ends_with("; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV"), "{phrase}");
        }
    }
}
