//! Which addresses may be dialled.
//!
//! A redirect or a token realm is text from outside, and must not make the mirror talk to services
//! that only it can reach: this machine (loopback, unspecified) or the machine's cloud (link-local,
//! where metadata services live). Such an address is dialled only for a host that the configuration
//! names, or when the upstream itself is at an address of the same kind. The check is made on the
//! addresses that are then dialled, after the name was looked up, so that no second answer of a name
//! server can differ. Private networks (RFC 1918) are allowed: registries of companies and their
//! object stores live there.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::url::Origin;

/// Decides for one upstream.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Origin,
    /// Hosts that the configuration names beside the upstream's, lower-case.
    named: Vec<String>,
}

impl Guard {
    pub(super) fn new(upstream: Origin, named: Vec<String>) -> Self {
        Self { shared: Arc::new(Shared { upstream, named }) }
    }

    /// Those of `addresses` that may be dialled for `host`.
    ///
    /// # Errors
    /// [`Refused`] when there are addresses and all of them are out of bounds.
    pub(super) async fn screen(
        &self,
        host: &str,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        let is_local = |address: &SocketAddr| Reach::of(address.ip()) != Reach::Network;
        if self.names(host) || !addresses.iter().any(is_local) {
            return Ok(addresses);
        }
        let own = self.reaches_of_upstream().await;
        let (allowed, refused): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| {
            let reach = Reach::of(address.ip());
            reach == Reach::Network || own.contains(&reach)
        });
        match refused.first() {
            Some(address) if allowed.is_empty() => {
                Err(Refused { host: host.to_owned(), address: address.ip() })
            }
            _ => Ok(allowed),
        }
    }

    /// Checks a `host` that nobody looks up here: one written as an address, or a name that a proxy
    /// will look up.
    ///
    /// # Errors
    /// [`Refused`] when it is out of bounds.
    pub(super) async fn screen_unresolved(&self, host: &str) -> Result<(), Refused> {
        let name = host.to_ascii_lowercase();
        let is_loopback_name = name == "localhost" || name.ends_with(".localhost");
        let address = match host.parse::<IpAddr>() {
            Ok(address) => address,
            // RFC 6761, 6.3: these names mean loopback everywhere.
            Err(_) if is_loopback_name => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Err(_) => return Ok(()),
        };
        self.screen(host, vec![SocketAddr::new(address, 0)]).await.map(drop)
    }

    fn names(&self, host: &str) -> bool {
        self.shared.upstream.host().eq_ignore_ascii_case(host)
            || self.shared.named.iter().any(|named| named.eq_ignore_ascii_case(host))
    }

    /// Where the upstream itself is now. Asked only when somebody points at a local address.
    async fn reaches_of_upstream(&self) -> Vec<Reach> {
        let upstream = &self.shared.upstream;
        match tokio::net::lookup_host((upstream.host(), upstream.port())).await {
            Ok(addresses) => addresses.map(|address| Reach::of(address.ip())).collect(),
            Err(_) => Vec::new(),
        }
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

/// A name server's answers, screened. It is what the connector asks.
#[derive(Clone, Debug)]
pub(super) struct ScreenedResolver(pub(super) Guard);

impl Service<Name> for ScreenedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = self.0.clone();
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(guard.screen(name.as_str(), addresses).await?.into_iter())
        })
    }
}

/// A host at an address that must not be dialled for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    host: String,
    address: IpAddr,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address } = self;
        write!(formatter, "it leads to `{host}` at the local address {address}, which is refused")
    }
}

impl Error for Refused {}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The same link or the machine's cloud.
    Link,
    /// This machine.
    Machine,
    /// Anywhere else, private networks included.
    Network,
}

impl Reach {
    fn of(address: IpAddr) -> Self {
        if METADATA.contains(&address) {
            return Self::Link;
        }
        match address.to_canonical() {
            // 0.0.0.0/8 is "this network" (RFC 1122, 3.2.1.3); Linux takes 0.0.0.0 for loopback.
            IpAddr::V4(v4) if v4.is_loopback() || v4.octets()[0] == 0 => Self::Machine,
            IpAddr::V4(v4) if v4.is_link_local() => Self::Link,
            IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() => Self::Machine,
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::Link,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Network,
        }
    }
}

/// Metadata services of clouds that are not at a link-local address (AWS over IPv6, Alibaba).
const METADATA: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
];

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    fn guard(upstream: &'static str) -> Guard {
        let origin = Origin::of(&Uri::from_static(upstream)).unwrap();
        Guard::new(origin, vec!["auth.corp".to_owned()])
    }

    fn at(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect()
    }

    const LOCAL: [&str; 11] = [
        "127.0.0.1",
        "127.8.9.1",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "::1",
        "::",
        "fe80::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
    ];

    #[tokio::test]
    async fn g38_local_addresses_are_refused_for_a_host_from_outside() {
        let guard = guard("https://203.0.113.7");
        for address in LOCAL {
            assert!(guard.screen("evil.test", at(&[address])).await.is_err(), "{address}");
            assert!(guard.screen_unresolved(address).await.is_err(), "{address}");
        }
        assert!(guard.screen_unresolved("localhost").await.is_err());
        assert!(guard.screen_unresolved("X.LocalHost").await.is_err());
        assert!(guard.screen_unresolved("cdn.test").await.is_ok());
    }

    #[tokio::test]
    async fn private_networks_are_allowed() {
        for address in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "203.0.113.9"] {
            let addresses = at(&[address]);
            let screened = guard("https://203.0.113.7").screen("cdn.test", addresses.clone()).await;
            assert_eq!(screened, Ok(addresses));
        }
    }

    #[tokio::test]
    async fn g38_only_the_harmless_answers_of_a_mixed_name_are_dialled() {
        let mixed = at(&["169.254.169.254", "203.0.113.9", "127.0.0.1"]);
        let screened = guard("https://203.0.113.7").screen("cdn.test", mixed).await;
        assert_eq!(screened, Ok(at(&["203.0.113.9"])));
    }

    #[tokio::test]
    async fn an_upstream_on_this_machine_may_lead_to_this_machine_and_no_further() {
        for upstream in ["http://127.0.0.1:5000", "http://localhost:5000"] {
            let guard = guard(upstream);
            assert!(guard.screen("other.test", at(&["127.0.0.1"])).await.is_ok());
            assert!(guard.screen("other.test", at(&["169.254.169.254"])).await.is_err());
        }
    }

    #[tokio::test]
    async fn hosts_that_the_configuration_names_may_be_anywhere() {
        let guard = guard("https://203.0.113.7");
        assert!(guard.screen("203.0.113.7", at(&["127.0.0.1"])).await.is_ok());
        assert!(guard.screen("AUTH.corp", at(&["127.0.0.1"])).await.is_ok());
    }

    #[tokio::test]
    async fn g38_a_name_is_judged_by_what_it_resolves_to() {
        let mut resolver = ScreenedResolver(guard("https://203.0.113.7"));
        let error = resolver.call("localhost".parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("local address"), "{error}");
        // The system's resolver takes these spellings for 127.0.0.1.
        for spelling in ["2130706433", "0x7f.1", "127.1"] {
            assert!(resolver.call(spelling.parse().unwrap()).await.is_err(), "{spelling}");
        }
    }
}
