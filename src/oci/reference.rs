//! References: what names one manifest in a repository, a tag or a digest.

use std::{fmt, str::FromStr, sync::Arc};

use super::{
    digest::{Digest, ParseDigestError},
    name::text_impls,
};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution 1.1, "Pulling manifests").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where cosign puts the signatures of `subject`: `sha256-<hex>.sig` (cosign `SIGNATURE_SPEC`).
    #[must_use]
    pub fn cosign(subject: &Digest, suffix: CosignSuffix) -> Self {
        let algorithm = subject.algorithm().as_str();
        let hex = subject.hex();
        // A sha512 digest is longer than a tag may be; cosign cuts nothing, so no such tag exists,
        // and a lookup of the cut one finds nothing.
        let text = format!("{algorithm}-{hex}.{}", suffix.as_str());
        Self(text[..text.len().min(MAX_TAG_LENGTH)].into())
    }

    /// Whether evidence is kept under it: a tag by cosign, or of the tag schema. Nobody runs those.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        let Some((algorithm, rest)) = self.0.split_once('-') else { return false };
        let hex = rest.split('.').next().unwrap_or_default();
        matches!(algorithm, "sha256" | "sha512")
            && hex.len() >= 64
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// Where a registry without a referrers API keeps the referrers of `subject`: `sha256-<hex>`
    /// (OCI distribution 1.1, "Referrers tag schema": the encoded part is cut to 64 characters).
    #[must_use]
    pub fn referrers(subject: &Digest) -> Self {
        let hex = subject.hex();
        Self(format!("{}-{}", subject.algorithm().as_str(), &hex[..64]).into())
    }
}

/// What a cosign tag holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CosignSuffix {
    /// Attestations.
    Attestations,
    /// Signatures.
    Signatures,
}

impl CosignSuffix {
    /// The spelling after the dot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attestations => "att",
            Self::Signatures => "sig",
        }
    }
}

impl FromStr for Tag {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let right = matches!(text.as_bytes(), [first, rest @ ..]
            if word(*first) && rest.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'-')));
        if right && text.len() <= MAX_TAG_LENGTH {
            Ok(Self(text.into()))
        } else {
            Err(ParseReferenceError::Tag)
        }
    }
}

text_impls!(Tag);

/// A tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// Exactly this content.
    Digest(Digest),
    /// Whatever the tag means now.
    Tag(Tag),
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(formatter),
            Self::Tag(tag) => tag.fmt(formatter),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    /// A text with a colon can only be a digest: no tag holds one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

/// Why a text is not a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// It has a colon and is no digest.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// It breaks the grammar of tags.
    #[error(
        "a tag is up to {MAX_TAG_LENGTH} letters, digits, `_`, `.` and `-`, and starts with none of the last two"
    )]
    Tag,
}

/// OCI distribution 1.1, "Pulling manifests".
const MAX_TAG_LENGTH: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_tags_of_signatures_and_referrers_follow_the_digest() {
        let digest = Digest::of(b"abc");
        let hex = digest.hex();
        assert_eq!(
            Tag::cosign(&digest, CosignSuffix::Signatures).as_str(),
            format!("sha256-{hex}.sig")
        );
        assert_eq!(Tag::referrers(&digest).as_str(), format!("sha256-{hex}"));
        let long = Digest::with(super::super::Algorithm::Sha512, b"abc");
        assert!(Tag::referrers(&long).as_str().parse::<Tag>().is_ok());
        assert!(Tag::cosign(&long, CosignSuffix::Signatures).as_str().parse::<Tag>().is_ok());
    }

    #[test]
    fn g2_tells_tags_from_digests() {
        assert!(matches!("v1.2-rc_3".parse(), Ok(Reference::Tag(_))));
        assert!(matches!(Digest::of(b"").to_string().parse(), Ok(Reference::Digest(_))));
        for bad in ["", ".a", "-a", "a/b", "sha256:baddigeststring", "a b", "a\n", "é", "a:b"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was taken");
        }
        assert!("a".repeat(128).parse::<Tag>().is_ok());
        assert!("a".repeat(129).parse::<Tag>().is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in ".*") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
