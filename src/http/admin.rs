//! The listener for the operator: health, readiness and metrics. Never on the address of clients.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    body::Body,
    headers,
    operations::{BodyReader, ImportWanted, Operations},
    query,
    service::{Arrival, Service},
    verify,
};
use crate::telemetry::Metrics;

/// Whether the mirror can do its work, for `/readyz`.
pub trait Readiness: Send + Sync + fmt::Debug {
    /// Whether to send requests here.
    fn is_ready(&self) -> bool;

    /// How its parts are, as a JSON object: the policy and its last reload, the upstreams, the store.
    fn body(&self) -> serde_json::Value;
}

/// The service for the operator.
#[derive(Debug)]
pub struct Admin {
    metrics: Arc<Metrics>,
    readiness: Arc<dyn Readiness>,
    operations: Arc<dyn Operations>,
}

impl Admin {
    /// Shows `metrics` and what `readiness` says, and has `operations` done.
    #[must_use]
    pub fn new(
        metrics: Arc<Metrics>,
        readiness: Arc<dyn Readiness>,
        operations: Arc<dyn Operations>,
    ) -> Self {
        Self { metrics, readiness, operations }
    }

    /// What comes of an operation; `None` for what is none.
    async fn operate(
        &self,
        request: Request<Incoming>,
        arrival: &Arrival,
    ) -> Option<Response<Body>> {
        let done = match (request.method(), request.uri().path()) {
            (&Method::POST, "/v1/verify") => {
                let mirror = self.operations.mirror();
                return Some(verify::answer(mirror, request.uri().query(), arrival).await);
            }
            (&Method::GET, "/v1/images") => self.operations.list().await,
            (&Method::POST, "/v1/recheck") => {
                let is_json = request
                    .headers()
                    .get(header::CONTENT_TYPE)
                    .is_some_and(|kind| kind == headers::JSON);
                let pattern = query::first(request.uri().query(), "match").unwrap_or_default();
                match is_json {
                    true => self.operations.recheck(pattern.into_owned()).await,
                    false => Err("send the question as `application/json`".to_owned()),
                }
            }
            (&Method::POST, "/v1/import") => {
                let is_tar =
                    request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == TAR);
                match ImportWanted::parse(request.uri().query().unwrap_or_default()) {
                    Ok(wanted) if is_tar => {
                        let reader = Box::new(BodyReader::new(request.into_body()));
                        self.operations.import(reader, wanted).await
                    }
                    Ok(_) => Err(format!("send the archive as `{TAR}`")),
                    Err(error) => Err(error),
                }
            }
            _ => return None,
        };
        Some(match done {
            Ok(text) => page(StatusCode::OK, headers::JSON, text, false),
            Err(text) => page(StatusCode::BAD_REQUEST, TEXT, format!("{text}\n"), false),
        })
    }

    /// The answer to `method` on `path`.
    fn page(&self, method: &Method, path: &str) -> Response<Body> {
        let head = match *method {
            Method::GET => false,
            Method::HEAD => true,
            _ => {
                let mut response =
                    page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD only\n", false);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                return response;
            }
        };
        match path {
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n", head),
            "/metrics" => page(StatusCode::OK, OPEN_METRICS, self.metrics.render(), head),
            "/readyz" => {
                let status = match self.readiness.is_ready() {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                page(status, headers::JSON, format!("{}\n", self.readiness.body()), head)
            }
            _ => page(
                StatusCode::NOT_FOUND,
                TEXT,
                "there are `/healthz`, `/readyz`, `/metrics` and `/v1/images` here\n",
                head,
            ),
        }
    }
}

impl Service for Admin {
    async fn answer(&self, request: Request<Incoming>, arrival: Arrival) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = match self.operate(request, &arrival).await {
            Some(response) => response,
            None => self.page(&method, &path),
        };
        tracing::debug!(
            request_id = arrival.request_id.as_str(),
            client = %arrival.client,
            method = method.as_str(),
            path,
            status = response.status().as_u16(),
            "admin request"
        );
        response
    }
}

pub(super) fn page(
    status: StatusCode,
    content_type: HeaderValue,
    content: impl Into<Bytes>,
    head: bool,
) -> Response<Body> {
    let content = content.into();
    let length = content.len();
    let mut response = Response::new(if head { Body::empty() } else { content.into() });
    *response.status_mut() = status;
    let map = response.headers_mut();
    map.insert(header::CONTENT_TYPE, content_type);
    map.insert(header::CONTENT_LENGTH, length.into());
    map.insert(header::CACHE_CONTROL, headers::NO_STORE);
    response
}

/// The media type of a tar file, which no standard has.
const TAR: &str = "application/x-tar";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// The format that prometheus-client writes: OpenMetrics 1.0, which Prometheus reads.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        http::{
            operations::Answer,
            testing::{content, header},
        },
        mirror::Mirror,
    };

    #[derive(Debug)]
    struct Fixed(bool);

    impl Readiness for Fixed {
        fn is_ready(&self) -> bool {
            self.0
        }

        fn body(&self) -> serde_json::Value {
            serde_json::json!({ "ready": self.0 })
        }
    }

    /// Pages are shown without any operation.
    #[derive(Debug)]
    struct Untouched;

    impl Operations for Untouched {
        fn import(&self, _: Box<dyn std::io::Read + Send>, _: ImportWanted) -> Answer {
            panic!("nothing is imported by looking")
        }

        fn mirror(&self) -> &Mirror {
            panic!("nothing is judged by looking")
        }

        fn list(&self) -> Answer {
            panic!("nothing is listed by looking")
        }

        fn recheck(&self, _: String) -> Answer {
            panic!("nothing is rechecked by looking")
        }
    }

    fn admin(ready: bool) -> Admin {
        Admin::new(Arc::new(Metrics::new()), Arc::new(Fixed(ready)), Arc::new(Untouched))
    }

    #[test]
    fn readiness_has_a_status_and_a_body() {
        for (ready, status) in [(true, StatusCode::OK), (false, StatusCode::SERVICE_UNAVAILABLE)] {
            let response = admin(ready).page(&Method::GET, "/readyz");
            assert_eq!(response.status(), status);
            assert_eq!(header(&response, "content-type"), "application/json");
            assert_eq!(content(response), format!("{{\"ready\":{ready}}}\n").as_bytes());
        }
    }

    #[test]
    fn health_says_only_that_somebody_answers() {
        let response = admin(false).page(&Method::GET, "/healthz");
        assert_eq!((response.status(), content(response)), (StatusCode::OK, b"ok\n".to_vec()));
    }

    #[test]
    fn metrics_are_open_metrics() {
        let response = admin(true).page(&Method::GET, "/metrics");
        assert!(header(&response, "content-type").starts_with("application/openmetrics-text"));
        assert!(content(response).ends_with(b"# EOF\n"));
        let head = admin(true).page(&Method::HEAD, "/metrics");
        assert_ne!(header(&head, "content-length"), "0");
        assert!(content(head).is_empty());
    }

    #[test]
    fn nothing_else_is_there() {
        for path in ["/", "/v2/", "/debug", "/readyz/"] {
            assert_eq!(admin(true).page(&Method::GET, path).status(), StatusCode::NOT_FOUND);
        }
        let response = admin(true).page(&Method::POST, "/readyz");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&response, "allow"), "GET, HEAD");
    }
}
