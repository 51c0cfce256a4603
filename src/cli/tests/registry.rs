//! A registry in memory that takes whatever is pushed.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

use crate::oci::Digest;

/// Content by path: manifests by every name they have, blobs by digest.
type Content = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A registry on a free loopback port, until it is dropped.
pub(super) struct Registry {
    pub(super) address: SocketAddr,
    content: Content,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Registry {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let content = Content::default();
        let served = Arc::clone(&content);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, Arc::clone(&served)));
                    // Clients leave connections behind; that is an error here.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, content, task }
    }

    pub(super) fn put(&self, path: &str, bytes: &'static [u8]) {
        self.content.lock().unwrap().insert(path.to_owned(), Bytes::from_static(bytes));
    }

    pub(super) fn content(&self, path: &str) -> Option<Bytes> {
        self.content.lock().unwrap().get(path).cloned()
    }
}

async fn answer(
    request: Request<Incoming>,
    content: Content,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let body = body.collect().await.unwrap().to_bytes();
    let mut response = Response::new(Full::default());
    *response.status_mut() = match head.method {
        Method::POST => {
            response.headers_mut().insert("location", "/upload".parse().unwrap());
            StatusCode::ACCEPTED
        }
        Method::PUT => {
            // An upload names its digest, and lands where blobs are looked for.
            let digest = Digest::of(&body);
            let path = if path == "/upload" { format!("blobs/{digest}") } else { path };
            content.lock().unwrap().insert(path, body);
            StatusCode::CREATED
        }
        _ => {
            let blob = path.rsplit_once("/blobs/").map(|(_, digest)| format!("blobs/{digest}"));
            match content.lock().unwrap().get(&blob.unwrap_or(path)) {
                Some(found) => {
                    *response.body_mut() = Full::new(found.clone());
                    StatusCode::OK
                }
                None => StatusCode::NOT_FOUND,
            }
        }
    };
    Ok(response)
}
