//! Which token servers may be asked, and shown the credentials.
//!
//! The realm of a challenge is text from the upstream's answer. Whoever can write that answer must
//! not be able to send the mirror, and the password with it, to a server of his own (CVE-2026-33540
//! and its kin, G-47). So a realm counts only when it is HTTPS (unless the upstream's own URL is
//! plain), and its host is
//!
//! - the upstream's host, at any port;
//! - in the upstream's own domain; or
//! - in `realms` of its configuration.
//!
//! **The upstream's own domain** is what is left of its host name without the first label
//! (`docker.io` for `registry-1.docker.io`), or the name itself when it has two labels (`ghcr.io`).
//! That is never wider than the registrable domain of the public suffix list, except where that
//! parent is itself a place where anybody may register names (`co.uk`, `amazonaws.com`); for those
//! only the host itself counts. Going up one label only keeps the list of such places short enough
//! to read; where a company keeps its token server further away, `realms` says so.

use std::net::IpAddr;

use http::{Uri, uri::Authority};

use super::{
    error::UpstreamSetupError,
    settings::parse_absolute,
    url::{Origin, Scheme},
};

/// Judges the realms of one upstream.
#[derive(Clone, Debug)]
pub(super) struct Realms {
    upstream: Origin,
    /// The upstream's own domain, where it has one.
    domain: Option<Box<str>>,
    /// What the configuration allows: a host, and a port where it is given.
    configured: Vec<(Box<str>, Option<u16>)>,
}

impl Realms {
    /// # Errors
    /// When an entry of `configured` is no host with an optional port.
    pub(super) fn new(
        upstream: &Origin,
        configured: &[String],
    ) -> Result<Self, UpstreamSetupError> {
        let parse = |entry: &String| {
            parse_entry(entry).ok_or_else(|| UpstreamSetupError::Realm { entry: entry.clone() })
        };
        Ok(Self {
            upstream: upstream.clone(),
            domain: own_domain(upstream.host()).map(Into::into),
            configured: configured.iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    /// The hosts that the configuration names.
    pub(super) fn configured_hosts(&self) -> impl Iterator<Item = &str> {
        self.configured.iter().map(|(host, _)| &**host)
    }

    /// The URL that `text` names, when credentials may be sent there.
    ///
    /// # Errors
    /// Why not, as one sentence with the next step.
    pub(super) fn check(&self, text: &str) -> Result<Uri, String> {
        let shown: String = text.chars().take(MAX_SHOWN).collect();
        let refused = |why: &str| format!("its token realm `{shown}` is refused: {why}");
        let url = parse_absolute(text).map_err(|problem| refused(&problem.to_string()))?;
        let origin = Origin::of(&url).map_err(|problem| refused(&problem.to_string()))?;
        if origin.scheme() == Scheme::Http && self.upstream.scheme() == Scheme::Https {
            return Err(refused("it must begin with `https://`, as the upstream's url does"));
        }
        if self.allows(&origin) {
            return Ok(url);
        }
        let host = origin.host();
        Err(refused(&format!(
            "`{host}` is neither the upstream's host nor in its domain; if credentials for this upstream may be sent there, add `{host}` to its `realms`"
        )))
    }

    fn allows(&self, realm: &Origin) -> bool {
        let host = realm.host();
        let in_domain = |domain: &str| {
            host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        };
        host == self.upstream.host()
            || self.domain.as_deref().is_some_and(in_domain)
            || self.configured.iter().any(|(named, port)| {
                **named == *host && port.is_none_or(|port| port == realm.port())
            })
    }
}

/// The domain around `host` that belongs to whoever runs it; see the top of this file.
fn own_domain(host: &str) -> Option<&str> {
    if host.parse::<IpAddr>().is_ok() || !host.contains('.') {
        return None;
    }
    let domain = match host.split_once('.') {
        Some((_, parent)) if parent.contains('.') => parent,
        _ => host,
    };
    (!is_shared(domain)).then_some(domain)
}

/// Whether strangers may register names directly under `domain`.
fn is_shared(domain: &str) -> bool {
    let is_country_suffix = domain.split_once('.').is_some_and(|(second, top)| {
        top.len() == 2 && COUNTRY_SECOND_LEVELS.binary_search(&second).is_ok()
    });
    is_country_suffix
        || HOSTING.iter().any(|suffix| {
            domain == *suffix || domain.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
        })
}

fn parse_entry(entry: &str) -> Option<(Box<str>, Option<u16>)> {
    let authority: Authority = entry.parse().ok()?;
    let origin = Origin::of(&format!("https://{authority}/").parse().ok()?).ok()?;
    let has_port = authority.as_str().len() > authority.host().len();
    Some((origin.host().into(), has_port.then_some(origin.port())))
}

/// Characters of a refused realm that a message repeats.
const MAX_SHOWN: usize = 200;

/// Labels under which country registries let anybody register (`co.uk`, `com.au`), sorted.
const COUNTRY_SECOND_LEVELS: [&str; 17] = [
    "ac", "co", "com", "edu", "gob", "gov", "id", "info", "ltd", "mil", "ne", "net", "nom", "or",
    "org", "plc", "sch",
];

/// Domains of hosting companies under which, at some depth, anybody can have a server.
const HOSTING: [&str; 30] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "appspot.com",
    "awsapprunner.com",
    "azurecr.io",
    "azure.com",
    "azurefd.net",
    "azurewebsites.net",
    "cloudapp.net",
    "cloudfront.net",
    "duckdns.org",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleusercontent.com",
    "herokuapp.com",
    "jfrog.io",
    "netlify.app",
    "ngrok.app",
    "ngrok.io",
    "nip.io",
    "onrender.com",
    "pages.dev",
    "rhcloud.com",
    "run.app",
    "sslip.io",
    "vercel.app",
    "web.app",
    "windows.net",
    "workers.dev",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn realms(upstream: &'static str, configured: &[&str]) -> Realms {
        let origin = Origin::of(&Uri::from_static(upstream)).unwrap();
        let configured: Vec<_> = configured.iter().map(|entry| (*entry).to_owned()).collect();
        Realms::new(&origin, &configured).unwrap()
    }

    const HUB: &str = "https://registry-1.docker.io";

    #[test]
    fn the_realms_of_the_known_registries_are_taken() {
        for (upstream, realm) in [
            (HUB, "https://auth.docker.io/token"),
            (HUB, "https://AUTH.docker.io:443/token?x=1"),
            ("https://ghcr.io", "https://ghcr.io/token"),
            ("https://quay.io", "https://quay.io/v2/auth"),
            ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("https://docker.elastic.co", "https://docker-auth.elastic.co/auth"),
            ("https://nvcr.io", "https://nvcr.io/proxy_auth"),
            ("https://corp.azurecr.io", "https://corp.azurecr.io/oauth2/token"),
            ("https://registry.corp.co.uk", "https://auth.corp.co.uk/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("http://registry:5000", "http://registry/token"),
        ] {
            assert_eq!(realms(upstream, &[]).check(realm), Ok(realm.parse().unwrap()), "{realm}");
        }
    }

    #[test]
    fn g47_every_other_realm_is_refused() {
        for (upstream, realm) in [
            (HUB, "https://evil.test/token"),
            (HUB, "https://evildocker.io/token"),
            (HUB, "https://auth.docker.io.evil.test/token"),
            (HUB, "https://docker.io@evil.test/token"),
            (HUB, "https://user:password@auth.docker.io/token"),
            (HUB, "http://auth.docker.io/token"),
            (HUB, "https://auth.docker.io./token"),
            (HUB, "https://io/token"),
            (HUB, "//auth.docker.io/token"),
            (HUB, "/token"),
            (HUB, "file:///token"),
            (HUB, ""),
            ("https://ghcr.io", "https://evil.io/token"),
            ("https://registry.co.uk", "https://evil.co.uk/token"),
            ("https://corp.azurecr.io", "https://evil.azurecr.io/oauth2/token"),
            ("https://ec2-1.compute.amazonaws.com", "https://ec2-2.compute.amazonaws.com/t"),
            ("https://203.0.113.7", "https://203.0.113.8/token"),
            ("https://203.0.113.7", "https://1.0.113.7/token"),
            ("http://registry:5000", "http://evil/token"),
        ] {
            let problem = realms(upstream, &[]).check(realm).expect_err(realm);
            assert!(problem.contains("token realm"), "{problem}");
        }
    }

    #[test]
    fn g47_a_refusal_names_the_key_that_would_allow_it() {
        let problem = realms(HUB, &[]).check("https://evil.test/token").unwrap_err();
        assert!(problem.contains("add `evil.test` to its `realms`"), "{problem}");
    }

    #[test]
    fn configured_realms_are_taken_at_their_port() {
        let realms = realms(HUB, &["Auth.corp", "other.corp:8443"]);
        assert!(realms.check("https://auth.corp:9/token").is_ok());
        assert!(realms.check("https://other.corp:8443/token").is_ok());
        assert!(realms.check("https://other.corp/token").is_err());
        assert!(realms.check("https://x.auth.corp/token").is_err());
        assert!(realms.check("http://auth.corp/token").is_err(), "still no plain HTTP");
    }

    #[test]
    fn an_entry_of_realms_is_a_host() {
        let origin = Origin::of(&Uri::from_static(HUB)).unwrap();
        for bad in ["", "https://auth.corp", "auth.corp/token", "u@auth.corp", "auth.corp:0", "*"] {
            assert!(Realms::new(&origin, &[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_tables_are_sorted() {
        assert!(COUNTRY_SECOND_LEVELS.is_sorted());
    }

    proptest! {
        #[test]
        fn g47_a_realm_that_is_taken_ends_in_the_domain(host in "[a-z.]{0,4}(docker|evil)[.]io[.a-z]{0,3}") {
            if realms(HUB, &[]).check(&format!("https://{host}/token")).is_ok() {
                prop_assert!(host == "docker.io" || host.ends_with(".docker.io"), "{}", host);
            }
        }

        #[test]
        fn checking_never_panics(text in ".{0,60}") {
            let _ = realms(HUB, &[]).check(&text);
        }
    }
}
