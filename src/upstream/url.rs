//! Where a request goes: origins, and references resolved against where they were found.
//!
//! RFC 6454 (origin) and RFC 3986, 5.2 (reference resolution), as far as a registry needs them. A
//! reference comes from the peer (`Location`, `Link`), so it may only become a URL that says openly
//! where it leads: HTTP or HTTPS, no user information (`https://good@evil`), no dot segments (two
//! programs could disagree about where those end). The same [`Uri`] value is checked and dialled,
//! so no second parser can read it differently.

use std::fmt;

use http::Uri;

/// Scheme, host and port: what must stay the same for credentials to stay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
}

/// The two schemes a registry can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    /// The origin of an absolute URL.
    ///
    /// # Errors
    /// When `url` has none that can be used; see [`BadUrl`].
    pub(super) fn of(url: &Uri) -> Result<Self, BadUrl> {
        let scheme = match url.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(BadUrl::Scheme),
        };
        let authority = url.authority().ok_or(BadUrl::Syntax)?.as_str();
        if authority.contains('@') {
            return Err(BadUrl::Userinfo);
        }
        let host = url.host().ok_or(BadUrl::Syntax)?.to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<std::net::IpAddr>().is_ok();
        if !is_address && (!host.split('.').all(is_host_label) || ends_in_a_number(&host)) {
            return Err(BadUrl::Host);
        }
        let port = match authority[host.len()..].strip_prefix(':') {
            None => scheme.default_port(),
            Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or(BadUrl::Host)?,
        };
        Ok(Self { scheme, host: bare.into(), port })
    }

    pub(super) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, lower-case, an IPv6 address without its brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme.as_str())?;
        if self.host.contains(':') {
            write!(formatter, "[{}]", self.host)?;
        } else {
            formatter.write_str(&self.host)?;
        }
        if self.port == self.scheme.default_port() {
            return Ok(());
        }
        write!(formatter, ":{}", self.port)
    }
}

/// The URL that `reference` means in a document found at `base`. Its fragment is left out.
///
/// # Errors
/// When that is no URL that may be asked; see [`BadUrl`].
pub(super) fn resolve(base: &Uri, reference: &str) -> Result<Uri, BadUrl> {
    let reference = reference.split('#').next().unwrap_or_default().trim_matches([' ', '\t']);
    let authority = base.authority().ok_or(BadUrl::Syntax)?;
    let scheme = base.scheme_str().ok_or(BadUrl::Scheme)?;
    let path = base.path();
    let text = if has_scheme(reference) {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{reference}")
    } else if reference.is_empty() {
        base.to_string()
    } else if reference.starts_with('?') {
        format!("{scheme}://{authority}{path}{reference}")
    } else {
        let folder = &path[..=path.rfind('/').unwrap_or(0)];
        format!("{scheme}://{authority}{folder}{reference}")
    };
    if text.len() > MAX_URL_LENGTH {
        return Err(BadUrl::TooLong);
    }
    let url: Uri = text.parse().map_err(|_| BadUrl::Syntax)?;
    Origin::of(&url)?;
    if url.path().split('/').any(is_dot_segment) {
        return Err(BadUrl::DotSegment);
    }
    Ok(url)
}

/// Whether `segment` is `.` or `..`, however it is written.
pub(super) fn is_dot_segment(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(&*segment, "." | "..")
}

/// Why a text is no URL that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// The path holds `.` or `..`.
    #[error("its path has a `.` or `..` segment")]
    DotSegment,
    /// The host or the port is not one.
    #[error("its host or port is not valid")]
    Host,
    /// It is not HTTP.
    #[error("it must begin with `http://` or `https://`")]
    Scheme,
    /// It is not a URL at all.
    #[error("it is not a URL")]
    Syntax,
    /// Longer than any registry needs.
    #[error("it is longer than {MAX_URL_LENGTH} characters")]
    TooLong,
    /// It has a user name before the host.
    #[error("it must not have a user name or password before the host")]
    Userinfo,
}

/// Signed URLs of object stores reach 2 KiB; nothing honest is longer than this, in characters.
const MAX_URL_LENGTH: usize = 16 << 10;

/// RFC 3986, 3.1: a letter, more characters, and a colon before anything else.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']);
    end.is_some_and(|end| {
        reference[end..].starts_with(':')
            && reference.starts_with(|first: char| first.is_ascii_alphabetic())
    })
}

/// Whether resolvers might read `host` as an address in an old spelling: `127.1`, `0x7f000001`.
fn ends_in_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x")
}

/// Also takes the underscore that some private networks have in their names.
fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: &str = "https://registry.test:8443/v2/a/b/blobs/x?y=1";

    fn resolved(reference: &str) -> Result<String, BadUrl> {
        resolve(&Uri::from_static(BASE), reference).map(|url| url.to_string())
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_says() {
        for (reference, expected) in [
            ("https://cdn.test/p?q=%2F&r=1#part", "https://cdn.test/p?q=%2F&r=1"),
            ("//cdn.test/p", "https://cdn.test/p"),
            ("/v2/c", "https://registry.test:8443/v2/c"),
            ("?n=2", "https://registry.test:8443/v2/a/b/blobs/x?n=2"),
            ("z?n=2", "https://registry.test:8443/v2/a/b/blobs/z?n=2"),
            ("", BASE),
            ("HTTP://cdn.test/", "http://cdn.test/"),
        ] {
            assert_eq!(resolved(reference).as_deref(), Ok(expected), "{reference}");
        }
    }

    #[test]
    fn g38_a_reference_that_hides_where_it_leads_is_refused() {
        for (reference, problem) in [
            ("file:///etc/passwd", BadUrl::Syntax),
            ("file://host/etc/passwd", BadUrl::Scheme),
            ("ftp://cdn.test/", BadUrl::Scheme),
            ("gopher://cdn.test/", BadUrl::Scheme),
            ("https://registry.test@evil.test/", BadUrl::Userinfo),
            ("https://u:p@registry.test/", BadUrl::Userinfo),
            ("/v2/a/../../secret", BadUrl::DotSegment),
            ("/v2/%2e%2E/secret", BadUrl::DotSegment),
            ("https://cdn.test:0/", BadUrl::Host),
            ("https://cdn.test:/", BadUrl::Host),
            ("https://cdn.test:99999/", BadUrl::Host),
            ("https://cdn..test/", BadUrl::Host),
            ("https://cdn.test./", BadUrl::Host),
            ("https://cdn%2etest/", BadUrl::Syntax),
            ("https://2130706433/", BadUrl::Host),
            ("https://127.1/", BadUrl::Host),
            ("https://0177.0.0.1/", BadUrl::Host),
            ("https://a.0x7f/", BadUrl::Host),
            ("https://evil.test\\@registry.test/", BadUrl::Syntax),
            ("https://", BadUrl::Syntax),
            ("data:text/html,x", BadUrl::Syntax),
        ] {
            assert_eq!(resolved(reference), Err(problem), "{reference}");
        }
        assert_eq!(resolved(&format!("/{}", "a".repeat(MAX_URL_LENGTH))), Err(BadUrl::TooLong));
    }

    #[test]
    fn an_origin_knows_the_default_ports() {
        let origin = |text: &'static str| Origin::of(&Uri::from_static(text)).unwrap();
        assert_eq!(origin("https://A.test/x"), origin("https://a.test:443/y"));
        assert_ne!(origin("https://a.test/"), origin("http://a.test/"));
        assert_ne!(origin("https://a.test/"), origin("https://a.test:444/"));
        assert_eq!(origin("http://[::1]:80/").to_string(), "http://[::1]");
        assert_eq!(origin("http://[::1]:80/").host(), "::1");
    }

    proptest! {
        #[test]
        fn resolving_never_panics_and_yields_what_can_be_asked(reference in ".{0,60}") {
            if let Ok(url) = resolve(&Uri::from_static(BASE), &reference) {
                prop_assert!(Origin::of(&url).is_ok());
            }
        }

        #[test]
        fn resolving_never_panics_on_urls(
            reference in "(https?:|file:)?(//)?[a-z@:\\[\\].%0-9]{0,20}[/?#.a-z]{0,12}",
        ) {
            let _ = resolve(&Uri::from_static(BASE), &reference);
        }
    }
}
