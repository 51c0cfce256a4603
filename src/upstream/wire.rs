//! One request, one answer: hyper's client with its pool, deadlines and counters. Knows no registry.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{ACCEPT_ENCODING, PROXY_AUTHORIZATION, USER_AGENT},
};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use super::{
    connect::Connector,
    error::{UpstreamError, root_cause},
    guard::{Guard, Refused},
    proxy::Proxies,
    retry::Failure,
    settings::Timeouts,
};
use crate::{environment::Clock, oci::UpstreamName, telemetry::Metrics};

/// The connections of one upstream, to wherever it leads.
pub(super) struct Wire {
    upstream: UpstreamName,
    client: Client<Connector, Full<Bytes>>,
    proxies: Proxies,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What a [`Wire`] is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) upstream: UpstreamName,
    pub(super) guard: Guard,
    pub(super) proxies: Proxies,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) timeouts: Timeouts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wire")
            .field("upstream", &self.upstream)
            .field("proxies", &self.proxies)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

impl Wire {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { upstream, guard, proxies, tls, timeouts, clock, metrics } = parts;
        let connector = Connector::new(guard, proxies.clone(), tls, timeouts.connect);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_LIFE)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .http1_max_headers(MAX_HEADERS)
            .http1_read_buf_exact_size(READ_BYTES)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(Some(PING_EVERY))
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(connector);
        Self { upstream, client, proxies, timeouts, clock, metrics }
    }

    pub(super) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Sends `request` and waits for the head of its answer.
    ///
    /// # Cancel safety
    /// Dropping this gives the request up; its connection is closed, or with HTTP/2 its stream reset.
    ///
    /// # Errors
    /// When nothing can be sent, or no head comes in time.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let target = request.uri().clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = self.proxies.authorization(&target) {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let started = self.clock.instant();
        let deadline = self.timeouts.connect + self.timeouts.first_byte;
        let outcome = tokio::time::timeout(deadline, self.client.request(request)).await;
        let elapsed = self.clock.instant().saturating_duration_since(started);
        let name = self.upstream.as_str();
        match outcome {
            Ok(Ok(response)) => {
                let class = status_class(response.status().as_u16());
                self.metrics.upstream_request(name, class, elapsed);
                if let Some(remaining) = rate_limit_remaining(response.headers()) {
                    self.metrics.upstream_rate_limit_remaining(name, remaining);
                }
                Ok(response)
            }
            Ok(Err(error)) => {
                self.metrics.upstream_request(name, "error", elapsed);
                Err(describe(&error, target.host().unwrap_or_default()))
            }
            Err(_) => {
                self.metrics.upstream_request(name, "timeout", elapsed);
                let host = target.host().unwrap_or_default();
                Err(Failure::broken(format!("`{host}` did not answer within {deadline:?}")))
            }
        }
    }
}

/// What `error` means for the call.
fn describe(error: &legacy::Error, host: &str) -> Failure {
    let cause = root_cause(error);
    let refused = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source())
        .find_map(|error| error.downcast_ref::<Refused>());
    match refused {
        Some(refused) => UpstreamError::invalid(refused.to_string()).into(),
        None if error.is_connect() => {
            Failure::broken(format!("no connection to `{host}`: {cause}"))
        }
        None => Failure::broken(format!("the request to `{host}` failed: {cause}")),
    }
}

const fn status_class(status: u16) -> &'static str {
    match status {
        429 => "429",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// What is left of the quota: `RateLimit-Remaining: 100;w=21600`, as Docker Hub sends it.
fn rate_limit_remaining(headers: &http::HeaderMap) -> Option<u64> {
    let text = headers.get("ratelimit-remaining")?.to_str().ok()?;
    text.split(';').next()?.trim().parse().ok()
}

/// How the mirror calls itself.
const AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
/// Connections to one host that are kept for later.
const MAX_IDLE_CONNECTIONS: usize = 16;
/// How long they are kept.
const IDLE_CONNECTION_LIFE: Duration = Duration::from_secs(60);
/// What is read from a connection at once. hyper would grow it to 400 KiB, which leaves the
/// processor's cache before it is hashed, and costs a page fault every 4 KiB.
const READ_BYTES: usize = 64 << 10;
/// Header lines of one answer.
const MAX_HEADERS: usize = 100;
/// Bytes of the header of one HTTP/2 answer.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// How often an HTTP/2 connection in use is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long the answer may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_rest_of_the_quota() {
        let read = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("RateLimit-Remaining", HeaderValue::from_str(text).unwrap());
            rate_limit_remaining(&headers)
        };
        assert_eq!(read("76;w=21600"), Some(76));
        assert_eq!(read("0"), Some(0));
        for other in ["", "many", "-1", ";w=1"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
