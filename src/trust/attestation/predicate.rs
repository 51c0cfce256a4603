//! What an attestation is about: the predicate type, by its URI or by cosign's short name for it
//! (cosign `attest --type`; `signatures.md` f.1).
//!
//! A URI means exactly itself. A short name means what everybody writes who uses the name, and three
//! of them stand for a family: the version of a bill of materials is part of its URI for some tools
//! (`https://cyclonedx.org/bom/v1.6`) and not for others. Nothing is ever matched by a mere beginning:
//! `https://cyclonedx.org/bombs` is no bill of materials.

use std::fmt;

use super::statement::SIGNATURE;
use crate::trust::words::words;

/// The type of an attestation that a rule requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PredicateType {
    /// One of the well-known.
    Named(ShortName),
    /// Exactly this one.
    Uri(String),
}

words! {
    /// A short name that cosign has for a predicate type.
    pub enum ShortName {
        /// A CycloneDX bill of materials.
        CycloneDx = "cyclonedx",
        /// Anything.
        Custom = "custom",
        /// An in-toto link.
        Link = "link",
        /// An OpenVEX document.
        OpenVex = "openvex",
        /// SLSA provenance before 1.0.
        SlsaProvenance = "slsaprovenance",
        /// SLSA provenance 1.0.
        SlsaProvenance1 = "slsaprovenance1",
        /// An SPDX bill of materials.
        Spdx = "spdx",
        /// The same: cosign knows it by both names.
        SpdxJson = "spdxjson",
        /// The result of a scan for vulnerabilities.
        Vuln = "vuln",
    }
}

impl ShortName {
    /// The URI, and whether versions of it are written as URIs of their own.
    const fn uri(self) -> (&'static str, bool) {
        match self {
            Self::CycloneDx => ("https://cyclonedx.org/bom", true),
            Self::Custom => ("https://cosign.sigstore.dev/attestation/v1", false),
            Self::Link => ("https://in-toto.io/Link/v1", false),
            Self::OpenVex => ("https://openvex.dev/ns", true),
            Self::SlsaProvenance => ("https://slsa.dev/provenance/v0.2", false),
            Self::SlsaProvenance1 => ("https://slsa.dev/provenance/v1", false),
            Self::Spdx | Self::SpdxJson => ("https://spdx.dev/Document", true),
            Self::Vuln => ("https://cosign.sigstore.dev/attestation/vuln/v1", false),
        }
    }
}

impl PredicateType {
    /// Reads what a policy says.
    ///
    /// # Errors
    /// When it is neither a short name nor a URI, or is the type of a signature: in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(name) = ShortName::from_word(text) {
            return Ok(Self::Named(name));
        }
        if text == SIGNATURE {
            return Err("is the type of a signature, which is required by the name of its signer");
        }
        let is_uri = text.split_once("://").is_some_and(|(scheme, rest)| {
            let letters = |text: &str, also: &str| {
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(byte as char))
            };
            !scheme.is_empty() && !rest.is_empty() && letters(scheme, "+-.") && letters(rest, URI)
        });
        if is_uri {
            Ok(Self::Uri(text.to_owned()))
        } else {
            Err("is neither a short name that cosign knows nor a URI")
        }
    }

    /// Whether an attestation that says it is of type `uri` is of this one.
    #[must_use]
    pub fn matches(&self, uri: &str) -> bool {
        match self {
            Self::Uri(exactly) => uri == exactly,
            Self::Named(name) => {
                let (base, has_versions) = name.uri();
                uri.strip_prefix(base).is_some_and(|rest| {
                    rest.is_empty()
                        || has_versions && rest.strip_prefix("/v").is_some_and(is_version)
                })
            }
        }
    }
}

impl fmt::Display for PredicateType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => name.fmt(formatter),
            Self::Uri(uri) => formatter.write_str(uri),
        }
    }
}

/// Whether `text` is numbers with dots between them.
fn is_version(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a URI has beside letters and digits, after its scheme.
const URI: &str = "-._~:/?#[]@!$&'()*+,;=%";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(kind: &str, uri: &str) -> bool {
        PredicateType::parse(kind).unwrap().matches(uri)
    }

    #[test]
    fn short_names_mean_what_cosign_writes() {
        for (name, uri) in [
            ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
            ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
            ("spdx", "https://spdx.dev/Document"),
            ("spdxjson", "https://spdx.dev/Document/v2.3"),
            ("cyclonedx", "https://cyclonedx.org/bom"),
            ("cyclonedx", "https://cyclonedx.org/bom/v1.4"),
            ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
            ("openvex", "https://openvex.dev/ns/v0.2.0"),
            ("link", "https://in-toto.io/Link/v1"),
            ("custom", "https://cosign.sigstore.dev/attestation/v1"),
            ("https://acme.test/audit/v3?x=1", "https://acme.test/audit/v3?x=1"),
        ] {
            assert!(matches(name, uri), "{name} {uri}");
        }
    }

    #[test]
    fn g11_another_type_never_counts() {
        for (name, uri) in [
            ("slsaprovenance", "https://slsa.dev/provenance/v1"),
            ("slsaprovenance1", "https://slsa.dev/provenance/v1.1"),
            ("slsaprovenance1", "https://slsa.dev/provenance/v1/v1"),
            ("cyclonedx", "https://cyclonedx.org/bombs"),
            ("cyclonedx", "https://cyclonedx.org/bom/"),
            ("cyclonedx", "https://cyclonedx.org/bom/v"),
            ("cyclonedx", "https://cyclonedx.org/bom/v1.4/evil"),
            ("cyclonedx", "https://cyclonedx.org/bom/v1..4"),
            ("spdx", "https://cyclonedx.org/bom"),
            ("custom", "https://cosign.sigstore.dev/attestation/vuln/v1"),
            ("https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.4"),
            ("https://slsa.dev/provenance/v1", "https://SLSA.dev/provenance/v1"),
        ] {
            assert!(!matches(name, uri), "{name} {uri}");
        }
    }

    #[test]
    fn refuses_what_names_no_type() {
        for text in
            ["", "sbom", "SPDX", "https://", "://x", "https://a b", "https://ä.test/", SIGNATURE]
        {
            assert!(PredicateType::parse(text).is_err(), "{text} was taken");
        }
    }

    proptest! {
        #[test]
        fn parsing_round_trips(text in "[a-z]{0,9}(://[a-z/.]{0,9})?|\\PC{0,20}") {
            if let Ok(kind) = PredicateType::parse(&text) {
                prop_assert_eq!(kind.to_string(), text);
            }
        }
    }
}
