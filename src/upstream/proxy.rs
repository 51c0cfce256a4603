//! Which proxy a request goes through: the one configured for the upstream, else what
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in either case, as curl reads them.
//!
//! A configured proxy is for everything that the upstream leads to, token servers and redirects
//! included; `NO_PROXY` belongs to the environment and does not weaken it. HTTPS is tunnelled with
//! `CONNECT` (RFC 9110, 9.3.6), plain HTTP is asked for by absolute URL (RFC 9112, 3.2.2). Proxies
//! are spoken to in plain HTTP; another kind is an error when the mirror starts, not a request that
//! goes around it.

use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::{
    settings::{ParseUrlError, parse_absolute},
    url::{BadUrl, Origin, Scheme},
};
use crate::secret::Secret;

/// The URL of a proxy: `http://proxy.corp:3128`, with `user:password@` where it asks for them.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    text: Secret<String>,
    origin: Origin,
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProxyUrl({})", self.origin)
    }
}

impl FromStr for ProxyUrl {
    type Err = ParseProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = parse_absolute(text).map_err(ParseUrlError::Url)?;
        let authority = url.authority().ok_or(ParseUrlError::Url(BadUrl::Syntax))?.as_str();
        let bare = authority.rsplit_once('@').map_or(authority, |(_, bare)| bare);
        let scheme = url.scheme_str().unwrap_or_default();
        let bare = parse_absolute(&format!("{scheme}://{bare}")).map_err(ParseUrlError::Url)?;
        let origin = match Origin::of(&bare) {
            Ok(origin) if origin.scheme() == Scheme::Http => origin,
            Ok(_) | Err(BadUrl::Scheme) => return Err(ParseProxyError::Kind),
            Err(problem) => return Err(ParseUrlError::Url(problem).into()),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(ParseProxyError::Path);
        }
        Ok(Self { text: Secret::new(text.to_owned()), origin })
    }
}

/// Why a text is not the URL of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseProxyError {
    /// A proxy of another kind.
    #[error("only proxies that are spoken to by `http://` are supported")]
    Kind,
    /// It has more than an authority.
    #[error("the URL of a proxy has no path and no query")]
    Path,
    /// It is not a URL.
    #[error(transparent)]
    Url(#[from] ParseUrlError),
    /// A variable of the environment holds one of the above.
    #[error("the environment variable `{name}` is not the URL of a proxy: {problem}")]
    Variable {
        /// Which variable.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        problem: Box<Self>,
    },
}

/// The proxies that the environment names. The default is none.
#[derive(Clone, Debug, Default)]
pub struct SystemProxy(Option<Arc<Matcher>>);

impl SystemProxy {
    /// Reads the variables through `lookup`, which answers `None` for one that is not set.
    ///
    /// # Errors
    /// When a variable names a proxy that cannot be used.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ParseProxyError> {
        let proxy = |names: [&'static str; 2]| -> Result<String, ParseProxyError> {
            let set = |name| Some((name, lookup(name).filter(|value| !value.is_empty())?));
            let Some((name, value)) = names.into_iter().find_map(set) else {
                return Ok(String::new());
            };
            let value = if value.contains("://") { value } else { format!("http://{value}") };
            match value.parse::<ProxyUrl>() {
                Ok(proxy) => Ok(proxy.text.expose().clone()),
                Err(problem) => Err(ParseProxyError::Variable { name, problem: problem.into() }),
            }
        };
        let no = ["NO_PROXY", "no_proxy"].into_iter().find_map(&lookup).unwrap_or_default();
        let matcher = Matcher::builder()
            .all(proxy(["ALL_PROXY", "all_proxy"])?)
            .http(proxy(["HTTP_PROXY", "http_proxy"])?)
            .https(proxy(["HTTPS_PROXY", "https_proxy"])?)
            .no(no)
            .build();
        Ok(Self(Some(Arc::new(matcher))))
    }
}

/// Picks the proxy of each request of one upstream.
#[derive(Clone, Debug)]
pub(super) struct Proxies(Option<Arc<Matcher>>);

impl Proxies {
    pub(super) fn new(configured: Option<&ProxyUrl>, system: &SystemProxy) -> Self {
        match configured {
            Some(proxy) => {
                let text = proxy.text.expose().as_str();
                Self(Some(Arc::new(Matcher::builder().all(text).build())))
            }
            None => Self(system.0.clone()),
        }
    }

    /// The proxy for a request to `target`, if any.
    pub(super) fn of(&self, target: &Uri) -> Option<Intercept> {
        self.0.as_ref()?.intercept(target)
    }

    /// What a plain request to `target` must carry for its proxy.
    pub(super) fn authorization(&self, target: &Uri) -> Option<HeaderValue> {
        if target.scheme_str() != Some(Scheme::Http.as_str()) {
            return None;
        }
        self.of(target)?.basic_auth().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(variables: &'static [(&'static str, &'static str)]) -> Proxies {
        let lookup = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::new(None, &SystemProxy::from_lookup(lookup).unwrap())
    }

    fn proxy_of(proxies: &Proxies, target: &'static str) -> Option<String> {
        proxies.of(&Uri::from_static(target)).map(|proxy| proxy.uri().to_string())
    }

    #[test]
    fn the_environment_is_read_as_curl_reads_it() {
        let proxies = system(&[
            ("HTTPS_PROXY", "http://secure.test:3128"),
            ("http_proxy", "plain.test:8080"),
            ("NO_PROXY", "internal.test, 127.0.0.0/8"),
        ]);
        assert_eq!(
            proxy_of(&proxies, "https://a.test/").as_deref(),
            Some("http://secure.test:3128/")
        );
        assert_eq!(
            proxy_of(&proxies, "http://a.test/").as_deref(),
            Some("http://plain.test:8080/")
        );
        for direct in ["https://internal.test/", "https://x.internal.test/", "http://127.0.0.1/"] {
            assert_eq!(proxy_of(&proxies, direct), None, "{direct}");
        }
        assert!(proxy_of(&proxies, "https://xinternal.test/").is_some());
        assert_eq!(proxy_of(&system(&[("HTTPS_PROXY", "")]), "https://a.test/"), None);
        assert_eq!(proxy_of(&Proxies::new(None, &SystemProxy::default()), "http://a.test/"), None);
    }

    #[test]
    fn a_configured_proxy_wins_over_the_environment() {
        let lookup = |name: &str| (name == "NO_PROXY").then(|| "*".to_owned());
        let system = SystemProxy::from_lookup(lookup).unwrap();
        let proxies = Proxies::new(Some(&"http://u:p%40@own.test:1".parse().unwrap()), &system);
        assert_eq!(proxy_of(&proxies, "https://a.test/").as_deref(), Some("http://own.test:1/"));
        let plain = Uri::from_static("http://a.test/");
        assert_eq!(proxies.authorization(&plain).unwrap(), "Basic dTpwQA==");
        assert_eq!(proxies.authorization(&Uri::from_static("https://a.test/")), None);
    }

    #[test]
    fn a_proxy_of_another_kind_is_an_error_and_not_a_way_around() {
        for (text, problem) in [
            ("socks5://proxy.test:1080", ParseProxyError::Kind),
            ("https://proxy.test", ParseProxyError::Kind),
            ("http://proxy.test/path", ParseProxyError::Path),
            ("proxy.test:3128", ParseProxyError::Url(ParseUrlError::Url(BadUrl::Scheme))),
            ("http://proxy.test:0", ParseProxyError::Url(ParseUrlError::Url(BadUrl::Host))),
        ] {
            assert_eq!(text.parse::<ProxyUrl>(), Err(problem), "{text}");
        }
        let lookup = |name: &str| (name == "all_proxy").then(|| "socks5://p.test:1".to_owned());
        let error = SystemProxy::from_lookup(lookup).unwrap_err();
        assert!(error.to_string().contains("`all_proxy`"), "{error}");
    }
}
