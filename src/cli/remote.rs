//! Asks a running mirror: one request, one JSON answer.
//!
//! The mirror's clients and its operators' listener both speak HTTP; this is the little of it that
//! commands need. TLS trusts the machine's roots, or those that `SSL_CERT_FILE` names. No proxy is
//! used: a mirror is a neighbour.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri, header::HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::RootCertStore;

use super::failure::CliError;
use crate::tls::{self, TlsError};

/// A mirror that runs somewhere.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    base: String,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// What a mirror said.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Bytes,
}

impl Remote {
    /// The mirror at `url`, such as `https://mirror.example`.
    ///
    /// # Errors
    /// [`CliError::Usage`] when that is no URL of a mirror.
    pub(super) fn new(url: &str) -> Result<Self, CliError> {
        let base = url.trim_end_matches('/');
        let parsed: Option<Uri> = base.parse().ok();
        let is_right = parsed.as_ref().is_some_and(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.host().is_some()
                && matches!(url.path(), "" | "/")
                && url.query().is_none()
        });
        if !is_right {
            let text = format!("`{url}` is not a URL such as `https://mirror.example:5000`");
            return Err(CliError::Usage(text));
        }
        let roots = match tls::roots(&[], false) {
            // It will only be missed where the mirror speaks TLS.
            Err(TlsError::NoRoots) => RootCertStore::empty(),
            roots => roots.map_err(|error| CliError::Failed(error.to_string()))?,
        };
        let mut config = tls::client_config(roots).as_ref().clone();
        // The connector sets the protocols that it offers by itself.
        config.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base: base.to_owned(), client })
    }

    /// The URL, as messages show it.
    pub(super) fn url(&self) -> &str {
        &self.base
    }

    /// Asks for `path`, which starts with a slash, with the label of a job where there is one.
    ///
    /// # Errors
    /// In words, when there is no answer within [`TIMEOUT`] or it is longer than [`MAX_LENGTH`].
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        job: Option<&HeaderValue>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(job) = job {
            request = request.header(JOB, job);
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let asked = async {
            let response = self.client.request(request).await.map_err(|error| causes(&error))?;
            let (parts, body) = response.into_parts();
            let content = Limited::new(body, MAX_LENGTH).collect().await;
            let content = content.map_err(|error| error.to_string())?.to_bytes();
            Ok(Reply { status: parts.status, headers: parts.headers, content })
        };
        tokio::time::timeout(TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
    }
}

/// What went wrong, down to the cause that a person can do something about.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The header that says which job asks.
const JOB: &str = "x-portcullis-job";
/// Judging may wait for an upstream that is slow.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of an answer; the verdicts of a whole cache fit.
const MAX_LENGTH: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_a_url_without_a_path() {
        for url in ["http://127.0.0.1:5000", "https://mirror.example/", "http://[::1]:5000"] {
            assert!(Remote::new(url).is_ok(), "{url}");
        }
        for url in ["mirror.example", "ftp://x", "http://", "http://x/v2/", "http://x?y"] {
            assert!(matches!(Remote::new(url), Err(CliError::Usage(_))), "{url}");
        }
    }
}
