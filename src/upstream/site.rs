//! A site that is no registry: files by name, for anybody.
//!
//! Trust roots are fetched from such a site, over the same connections, proxies, certificate
//! authorities and screens as everything else that the mirror asks. A file is small and read whole,
//! within a limit that its reader names.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use rustls::RootCertStore;

use super::{
    BaseUrl, Settings, UpstreamError, UpstreamSetupError,
    body::{Reading as _, Whole, refuse_encoded},
    guard::Guard,
    proxy::Proxies,
    redirect::Ask,
    retry::{Failure, Schedule},
    wire::{self, Wire},
};
use crate::{
    environment::Environment,
    telemetry::Metrics,
    tls::{self, TlsError},
};

/// A site that files are fetched from. Credentials and realms of its settings are not used.
///
/// # Cancel safety
/// Dropping the future of a call gives the call up and nothing else.
#[derive(Debug)]
pub struct Site {
    base: BaseUrl,
    wire: Wire,
    environment: Environment,
}

impl Site {
    /// Sets the site up. Asks nothing of it yet.
    ///
    /// # Errors
    /// When there are no certificate authorities to believe.
    pub fn new(
        settings: Settings,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Result<Self, UpstreamSetupError> {
        let roots = match tls::roots(&settings.ca, settings.ca_only) {
            Err(TlsError::NoRoots) if settings.url.is_plain() => RootCertStore::empty(),
            roots => roots?,
        };
        let wire = Wire::new(wire::Parts {
            upstream: settings.name,
            guard: Guard::new(settings.url.origin().clone(), Vec::new()),
            proxies: Proxies::new(settings.proxy.as_ref(), &settings.system_proxy),
            tls: tls::client_config(roots),
            timeouts: settings.timeouts,
            clock: Arc::clone(&environment.clock),
            metrics,
        });
        Ok(Self { base: settings.url, wire, environment: environment.clone() })
    }

    /// The file `path`, which is made of percent-encoded segments; `None` when the site has none.
    ///
    /// # Errors
    /// When the site cannot be asked, or the file has more than `limit` bytes.
    pub async fn fetch(&self, path: &str, limit: usize) -> Result<Option<Bytes>, UpstreamError> {
        let url = format!("{}/{path}", self.base);
        let url: Uri =
            url.parse().map_err(|_| UpstreamError::invalid(format!("`{url}` is no URL")))?;
        let clock = &self.environment.clock;
        let mut schedule = Schedule::new(clock.instant());
        loop {
            let failure = match self.attempt(&url, limit).await {
                Ok(found) => return Ok(found),
                Err(failure) => failure,
            };
            let entropy = &*self.environment.entropy;
            match schedule.next(failure.retry, clock.instant(), entropy) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure.error),
            }
        }
    }

    async fn attempt(&self, url: &Uri, limit: usize) -> Result<Option<Bytes>, Failure> {
        let ask = Ask::new(Method::GET, url.clone());
        let (head, body) = self.wire.follow(&ask, None).await?.response.into_parts();
        match head.status {
            status if status.is_success() => {
                refuse_encoded(&head.headers)?;
                Ok(Some(Whole { limit }.read(body, self.wire.timeouts()).await?))
            }
            // Object stores say 403 for what they do not have to whoever may not list.
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
            status => {
                let now = self.environment.clock.now();
                let failure = Failure::of_status(status, &head.headers, now);
                Err(failure.unwrap_or_else(|| UpstreamError::of_status(status).into()))
            }
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base.fmt(formatter)
    }
}
