//! The demo's upstream: a read-only registry in memory, on a loopback port of its own.

use std::{collections::HashMap, convert::Infallible, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::oci::Digest;

/// Content by the path under `/v2/<repository>/`: `manifests/<reference>` or `blobs/<digest>`.
#[derive(Debug, Default)]
pub(super) struct Registry {
    content: HashMap<String, (String, Bytes)>,
}

impl Registry {
    /// Adds a blob.
    pub(super) fn add_blob(&mut self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.content.insert(
            format!("{repository}/blobs/{digest}"),
            ("application/octet-stream".to_owned(), bytes),
        );
        digest
    }

    /// Adds a manifest, reachable by its digest and by `tag`.
    pub(super) fn add_manifest(
        &mut self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        for reference in [tag.to_owned(), digest.to_string()] {
            let path = format!("{repository}/manifests/{reference}");
            self.content.insert(path, (media_type.to_owned(), bytes.clone()));
        }
        digest
    }

    /// Serves the content until the returned task is dropped with its runtime.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub(super) async fn serve(self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let registry = Arc::new(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let registry = registry.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let response = registry.answer(&request);
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    // A client that hangs up is no event for a demo.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(address)
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_start_matches("/v2/");
        let (status, media_type, bytes) = match self.content.get(path) {
            Some((media_type, bytes)) => (StatusCode::OK, media_type.as_str(), bytes.clone()),
            None => (StatusCode::NOT_FOUND, "application/json", Bytes::from_static(NOT_FOUND)),
        };
        let length = bytes.len();
        let digest = Digest::of(&bytes);
        let body = if request.method() == Method::HEAD { Bytes::new() } else { bytes };
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, media_type)
            .header(header::CONTENT_LENGTH, length)
            .header("docker-content-digest", digest.to_string())
            .body(Full::new(body))
            .expect("every part is a valid header")
    }
}

const NOT_FOUND: &[u8] = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not in the demo"}]}"#;
