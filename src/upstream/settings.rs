//! What has to be known about an upstream before it can be asked, checked.
//!
//! A [`Settings`] cannot say something that makes no sense: its URLs are parsed, its secrets do not
//! print. The configuration makes one for each `[[upstream]]`.

use std::{fmt, str::FromStr, time::Duration};

use http::Uri;
use rustls::pki_types::CertificateDer;

use super::{
    proxy::{ProxyUrl, SystemProxy},
    url::{BadUrl, Origin, is_dot_segment},
};
use crate::{
    oci::{Repository, UpstreamName},
    secret::Secret,
};

/// One upstream, as configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What image names carry; in metrics and messages.
    pub name: UpstreamName,
    /// Where it is.
    pub url: BaseUrl,
    /// Who the mirror is there; nobody when absent.
    pub credentials: Option<Credentials>,
    /// Roots to believe, beside the machine's own.
    pub ca: Vec<CertificateDer<'static>>,
    /// Believe `ca` alone.
    pub ca_only: bool,
    /// The proxy for everything this upstream leads to. Wins over `system_proxy`.
    pub proxy: Option<ProxyUrl>,
    /// The proxies that the environment names.
    pub system_proxy: SystemProxy,
    /// Hosts that may be sent the credentials for a token, beside the upstream's own domain. Each is
    /// a host with an optional port.
    pub realms: Vec<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Never ask it: what was imported is all there is.
    pub offline: bool,
}

impl Settings {
    /// The upstream `name` at `url`, everything else as it is when nobody says otherwise.
    #[must_use]
    pub fn new(name: UpstreamName, url: BaseUrl) -> Self {
        Self {
            name,
            url,
            credentials: None,
            ca: Vec::new(),
            ca_only: false,
            proxy: None,
            system_proxy: SystemProxy::default(),
            realms: Vec::new(),
            timeouts: Timeouts::default(),
            offline: false,
        }
    }
}

/// A user at an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name: no colon (RFC 7617, 2).
    pub username: String,
    /// The password, or an access token in its place.
    pub password: Secret<String>,
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From looking up the name until TLS is up.
    pub connect: Duration,
    /// From the request until the answer's head, with a connection there.
    pub first_byte: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// For the whole body of a small answer: a manifest, a token, a list.
    pub small_body: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            first_byte: FIRST_BYTE_TIMEOUT,
            idle: IDLE_TIMEOUT,
            small_body: SMALL_BODY_TIMEOUT,
        }
    }
}

/// The URL under which a registry's `/v2/` lies: `https://registry-1.docker.io`, or with a path
/// prefix, `https://artifacts.example/api/docker/hub`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    origin: Origin,
    /// Empty, or segments that each begin with a slash.
    prefix: Box<str>,
}

impl BaseUrl {
    pub(super) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the upstream itself is spoken to without TLS.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        matches!(self.origin.scheme(), super::url::Scheme::Http)
    }

    /// The URL of `rest` in `repository`: `manifests/latest`, `tags/list?n=5`. `rest` is made of
    /// checked or percent-encoded parts.
    pub(super) fn at(&self, repository: &Repository, rest: fmt::Arguments<'_>) -> Uri {
        format!("{self}/v2/{repository}/{rest}")
            .parse()
            .expect("a checked base, a checked name and encoded parts make a URL")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin, self.prefix)
    }
}

impl FromStr for BaseUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(['?', '#']) {
            return Err(ParseUrlError::Query);
        }
        let url = parse_absolute(text)?;
        let origin = Origin::of(&url)?;
        let prefix = url.path().trim_end_matches('/');
        let right = |segment: &str| !segment.is_empty() && !is_dot_segment(segment);
        if !prefix.split('/').skip(1).all(right) {
            return Err(ParseUrlError::Path);
        }
        if prefix.rsplit('/').next() == Some("v2") {
            return Err(ParseUrlError::Version);
        }
        Ok(Self { origin, prefix: prefix.into() })
    }
}

/// Why a text is not the URL of an upstream or a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUrlError {
    /// The path cannot be a prefix.
    #[error("its path must be segments without `.`, `..` or `//`")]
    Path,
    /// It is not an absolute URL of a kind that can be asked.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// It has a query or a fragment.
    #[error("it must not have a `?` or `#` part")]
    Query,
    /// The path ends with the part that the mirror adds.
    #[error("leave out the `/v2` at its end: the mirror adds it")]
    Version,
}

/// Parses a URL that says its scheme.
pub(super) fn parse_absolute(text: &str) -> Result<Uri, BadUrl> {
    if !text.contains("://") {
        return Err(BadUrl::Scheme);
    }
    text.parse().map_err(|_| BadUrl::Syntax)
}

/// A registry that is up answers a SYN and a handshake in far less; a dead one must not hold up a
/// pull that a stale record could answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Registries that fetch from elsewhere themselves take their time for the first byte.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(20);
/// A body that says nothing for this long has broken.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// 4 MiB at 200 KiB/s.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_base_url_keeps_origin_and_prefix() {
        for (text, printed) in [
            ("https://registry-1.docker.io", "https://registry-1.docker.io"),
            ("https://registry-1.docker.io/", "https://registry-1.docker.io"),
            ("http://LOCALHOST:5000", "http://localhost:5000"),
            ("https://a.test:443/api/docker/", "https://a.test/api/docker"),
            ("http://[::1]:5000/x", "http://[::1]:5000/x"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().to_string(), printed);
        }
        let base: BaseUrl = "https://a.test/api".parse().unwrap();
        let url = base.at(&"b/c".parse().unwrap(), format_args!("tags/list?n={}", 5));
        assert_eq!(url, "https://a.test/api/v2/b/c/tags/list?n=5");
    }

    #[test]
    fn a_base_url_that_cannot_be_meant_is_refused_with_the_reason() {
        use ParseUrlError::{Path, Query, Url, Version};
        for (text, problem) in [
            ("", Url(BadUrl::Scheme)),
            ("registry.test", Url(BadUrl::Scheme)),
            ("registry.test:5000", Url(BadUrl::Scheme)),
            ("ftp://registry.test", Url(BadUrl::Scheme)),
            ("https://", Url(BadUrl::Syntax)),
            ("https://ci:secret@registry.test", Url(BadUrl::Userinfo)),
            ("https://registry.test:0", Url(BadUrl::Host)),
            ("https://registry.test:70000", Url(BadUrl::Host)),
            ("https://registry.test?x=1", Query),
            ("https://registry.test/#x", Query),
            ("https://registry.test/a/../b", Path),
            ("https://registry.test//a", Path),
            ("https://registry.test/v2/", Version),
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(problem), "{text}");
        }
    }

    #[test]
    fn settings_do_not_print_their_secrets() {
        let mut settings =
            Settings::new("a.test".parse().unwrap(), "https://a.test".parse().unwrap());
        settings.credentials = Some(Credentials {
            username: "ci".to_owned(),
            password: Secret::new("hunter2".to_owned()),
        });
        settings.proxy = Some("http://me:hunter2@proxy.test:3128".parse().unwrap());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn base_urls_round_trip_and_parsing_never_panics(
            text in "(https?://)?[a-z0-9.:@\\[\\]-]{0,20}(/[a-z0-9.%]{0,4}){0,3}[?#]?",
        ) {
            if let Ok(base) = text.parse::<BaseUrl>() {
                prop_assert_eq!(base.to_string().parse::<BaseUrl>(), Ok(base));
            }
        }
    }
}
