//! The upstream side: asking one registry for tags, manifests, blobs and referrers.
//!
//! Everything an upstream says is text from outside. It is bounded in size and in time, parsed into
//! types, and never trusted further than it can be checked: manifests and small blobs are hashed
//! here, large ones by who stores them. Odd answers (a web page with status 200, a redirect to
//! nowhere, a registry without a referrers API) are data, not surprises.
//!
//! From the outside in:
//!
//! ```text
//! manifest blob referrers tags     what can be asked, one file each
//! push                             what a person can have written: signatures
//! exchange                         one call: tried again (retry), unless it is known down (breaker)
//! authorize                        what to send as Authorization (challenge, realm, token)
//! redirect                         where the answer really is, and what may go along
//! wire                             one request: deadlines, counters
//! connect                          a connection: screened (guard), through a proxy (proxy), TLS
//! ```
//!
//! Calls for the same thing are not coalesced here, except for tokens: who asks knows better what is
//! the same. Nothing in this module touches the disk or knows a policy.
//!
//! Sources: OCI distribution 1.1; RFC 9110; Docker's token protocol.

mod authorize;
mod blob;
mod body;
mod breaker;
mod challenge;
mod connect;
mod content_range;
mod error;
mod exchange;
mod guard;
mod link;
mod manifest;
mod proxy;
mod push;
mod realm;
mod redirect;
mod referrers;
mod retry;
mod settings;
mod site;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod url;
mod wire;

use std::sync::Arc;

use rustls::RootCertStore;

use self::{
    authorize::Authorizer, exchange::Exchange, guard::Guard, proxy::Proxies, realm::Realms,
    wire::Wire,
};
pub use self::{
    blob::BlobStream,
    challenge::{Challenge, MalformedChallenge},
    error::{UpstreamError, UpstreamSetupError},
    manifest::{FetchedManifest, Resolved},
    proxy::{ParseProxyError, ProxyUrl, SystemProxy},
    referrers::ReferrersAnswer,
    settings::{BaseUrl, Credentials, ParseUrlError, Settings, Timeouts},
    site::Site,
    tags::TagList,
    url::BadUrl,
};
use crate::{
    environment::Environment,
    oci::UpstreamName,
    telemetry::Metrics,
    tls::{self, TlsError},
};

/// One registry that images are pulled from. Cheap to clone: clones share connections, tokens and
/// breaker.
///
/// # Cancel safety
/// Dropping the future of a call gives the call up, and nothing else: no other caller notices, not
/// even one that waits for the same token.
#[derive(Clone, Debug)]
pub struct Upstream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: UpstreamName,
    base: BaseUrl,
    exchange: Exchange,
}

impl Upstream {
    /// Sets the upstream up. Asks nothing of it yet.
    ///
    /// # Errors
    /// When the settings cannot work: no roots to believe, credentials that cannot be sent, a
    /// malformed entry of `realms`.
    pub fn new(
        settings: Settings,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, UpstreamSetupError> {
        let Settings { name, url: base, credentials, timeouts, .. } = &settings;
        let realms = Realms::new(base.origin(), &settings.realms)?;
        let named = realms.configured_hosts().map(str::to_owned).collect();
        let roots = match tls::roots(&settings.ca, settings.ca_only) {
            // It will only be missed where a plain upstream redirects to HTTPS.
            Err(TlsError::NoRoots) if base.is_plain() => RootCertStore::empty(),
            roots => roots?,
        };
        let wire = Arc::new(Wire::new(wire::Parts {
            upstream: name.clone(),
            guard: Guard::new(base.origin().clone(), named),
            proxies: Proxies::new(settings.proxy.as_ref(), &settings.system_proxy),
            tls: tls::client_config(roots),
            timeouts: *timeouts,
            clock: Arc::clone(&environment.clock),
            metrics: Arc::clone(&metrics),
        }));
        let authorizer =
            Authorizer::new(Arc::clone(&wire), realms, credentials.as_ref(), environment)?;
        let exchange = Exchange::new(name.clone(), wire, authorizer, environment, metrics);
        let Settings { name, url: base, .. } = settings;
        Ok(Self { shared: Arc::new(Shared { name, base, exchange }) })
    }

    /// What image names carry.
    #[must_use]
    pub fn name(&self) -> &UpstreamName {
        &self.shared.name
    }

    fn base(&self) -> &BaseUrl {
        &self.shared.base
    }

    fn exchange(&self) -> &Exchange {
        &self.shared.exchange
    }
}
