//! Names: which upstream, which repository there.
//!
//! A repository follows the grammar of OCI distribution 1.1 ("Pulling manifests"); an upstream is a
//! host with an optional port, as image names carry it. [`ImageName`] is the canonical pair that
//! policy, cache and records share, whatever spelling the client used.

use std::{fmt, str::FromStr, sync::Arc};

/// Display, Debug and serde for a checked text, by its one spelling.
macro_rules! text_impls {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_impls;

/// The path of a repository, without the registry's host: `library/nginx`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(Arc<str>);

impl Repository {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between the slashes, from the left.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl FromStr for Repository {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_REPOSITORY_LENGTH {
            return Err(ParseNameError::TooLong);
        }
        if text.split('/').all(is_path_component) {
            Ok(Self(text.into()))
        } else {
            Err(ParseNameError::Repository)
        }
    }
}

text_impls!(Repository);

/// The host by which image names call an upstream: `docker.io`, `registry.test:5000`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamName(Arc<str>);

impl UpstreamName {
    /// The host as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamName {
    type Err = ParseNameError;

    /// Parses a host name or an IPv4 address with an optional port, lower-case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_HOST_LENGTH {
            return Err(ParseNameError::TooLong);
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let port_is_right = port.is_none_or(|port| {
            !port.starts_with('0')
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok()
        });
        if port_is_right && host.split('.').all(is_host_label) {
            Ok(Self(text.into()))
        } else {
            Err(ParseNameError::Upstream)
        }
    }
}

text_impls!(UpstreamName);

/// A repository at an upstream, canonical: `docker.io/library/nginx`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    /// Which registry.
    pub upstream: UpstreamName,
    /// Which repository there.
    pub repository: Repository,
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.upstream, self.repository)
    }
}

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameError {
    /// A path component breaks the grammar.
    #[error(
        "a repository is lower-case letters and digits, separated by `.`, `_`, `__` or `-`, in components separated by `/`"
    )]
    Repository,
    /// Longer than any client accepts.
    #[error("the name is longer than {MAX_REPOSITORY_LENGTH} characters")]
    TooLong,
    /// Not a host with an optional port.
    #[error("an upstream is a lower-case host name with an optional port, such as `docker.io`")]
    Upstream,
}

/// What clients allow for a repository; the distribution specification has no bound of its own.
pub const MAX_REPOSITORY_LENGTH: usize = 255;
/// RFC 1035, 2.3.4, and a port.
const MAX_HOST_LENGTH: usize = 253 + ":65535".len();

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_right =
        bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    ends_right
        && bytes.chunk_by(|a, b| alphanumeric(a) == alphanumeric(b)).all(|run| {
            alphanumeric(&run[0])
                || matches!(run, b"." | b"_" | b"__")
                || run.iter().all(|byte| *byte == b'-')
        })
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_the_names_that_registries_take() {
        for good in ["nginx", "library/nginx", "a/b/c/d", "a.b_c__d-e---f", "0/1"] {
            assert_eq!(
                good.parse::<Repository>().map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
        for good in ["docker.io", "localhost:5000", "127.0.0.1:80", "a-b.example"] {
            assert!(good.parse::<UpstreamName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn g49_refuses_names_outside_the_grammar() {
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a/../b", ".", "..", "a.", "-a", "a___b",
            "a._b", "a%2fb", "a b", "ä", "a:b", "a\0b", "a\\b",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad:?} was taken");
        }
        for bad in [
            "", ":", ":80", "a:", "a:0", "a:99999", "a:+1", "A", "a..b", "a.", ".a", "a/b",
            "[::1]", "u@h",
        ] {
            assert!(bad.parse::<UpstreamName>().is_err(), "{bad:?} was taken");
        }
        assert!("a".repeat(255).parse::<Repository>().is_ok());
        assert_eq!("a".repeat(256).parse::<Repository>(), Err(ParseNameError::TooLong));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = text.parse::<Repository>();
            let _ = text.parse::<UpstreamName>();
        }

        #[test]
        fn the_grammar_round_trips(text in "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}(/[a-z0-9]{1,3}){0,3}") {
            prop_assert_eq!(text.parse::<Repository>().expect("by the grammar").to_string(), text);
        }
    }
}
