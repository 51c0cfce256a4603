//! The service for clients: a request becomes a route, the mirror is asked, the answer is sent.
//!
//! # Cancel safety
//! A client that leaves drops the request; fills, verdicts and whatever else others wait for belong
//! to the mirror and go on there.

use std::{error::Error, sync::Arc, time::Duration};

use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    HeaderMap, Method, Request, Response,
    body::{Body as _, Incoming},
    header,
};
use tokio::time;

use super::{
    base, blobs,
    body::Body,
    buffers::Buffers,
    failure::Failure,
    headers, manifests,
    record::Record,
    referrers,
    route::{Asked, Route, Target},
    service::{Arrival, Service},
    tags::{self, Listing},
    verdicts,
};
use crate::{
    environment::Environment,
    mirror::{Client, Context, Job, MAX_LABEL_LENGTH, Mirror, TagPage},
    telemetry::Metrics,
};

/// All the doors of the mirror. Nothing leaves it but through one of them.
#[derive(Debug)]
pub struct Doors {
    mirror: Mirror,
    buffers: Buffers,
    environment: Environment,
    metrics: Arc<Metrics>,
}

impl Doors {
    /// The doors to `mirror`.
    #[must_use]
    pub fn new(mirror: Mirror, environment: &Environment, metrics: Arc<Metrics>) -> Self {
        let environment = environment.clone();
        Self { mirror, buffers: Buffers::default(), environment, metrics }
    }

    /// The answer to a request with a route.
    async fn enter(
        &self,
        route: &Route,
        context: &Context,
        conditions: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        let (mirror, head) = (&self.mirror, route.head);
        match &route.target {
            Target::Base => Ok(base::response(head)),
            Target::Blob { image, digest } => {
                let blob = mirror.blob(context, image, digest).await?;
                blobs::response(blob, conditions, head, &self.buffers)
            }
            Target::Manifest { image, reference } => {
                let admitted = mirror.manifest(context, image, reference).await?;
                let response = manifests::response(&admitted, conditions, head);
                if !head && response.status().is_success() {
                    mirror.served(context, admitted.decision(), admitted.digest());
                }
                Ok(response)
            }
            Target::Referrers { image, subject, artifact_type } => {
                let filter = artifact_type.as_deref();
                let index = mirror.referrers(context, image, subject, filter).await?;
                Ok(referrers::response(index, head))
            }
            Target::Tags { image, spelled, count, last } => {
                let page = match count {
                    Some(0) => TagPage { tags: Vec::new(), next: None },
                    _ => mirror.tags(context, image, *count, last.as_deref()).await?,
                };
                let namespace = route.namespace.as_deref();
                Ok(tags::response(&page, Listing { spelled, count: *count, namespace }, head))
            }
            Target::Verdict { image, reference } => {
                let judged = mirror.verdict(context, image, reference).await;
                verdicts::response(image, reference, judged, head)
            }
        }
    }
}

impl Service for Doors {
    async fn answer(&self, request: Request<Incoming>, arrival: Arrival) -> Response<Body> {
        let (parts, content) = request.into_parts();
        let mut record = Box::new(Record::open(
            &arrival,
            parts.method.clone(),
            Arc::clone(&self.environment.clock),
            Arc::clone(&self.metrics),
        ));
        let bare = content.is_end_stream() || is_empty(&parts.headers, content).await;
        let asked = Asked {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            door: arrival.door.implied_upstream.as_ref(),
        };
        let answer = match Route::parse(asked, self.mirror.table()) {
            Err(error) => Err(error.into()),
            Ok(_) if !bare => Err(Failure::body_not_wanted()),
            Ok(route) => {
                let route = record.route.insert(route);
                self.enter(route, &context(&parts, &arrival), &parts.headers).await
            }
        };
        let mut response = answer.unwrap_or_else(|failure| {
            record.failed(&failure);
            failure.into_response(parts.method == Method::HEAD)
        });
        response.headers_mut().insert(headers::API_VERSION, headers::API_VERSION_2);
        if let Some(namespace) = record.route.as_ref().and_then(|route| route.namespace.as_deref())
        {
            response.headers_mut().insert(headers::NAMESPACE, headers::value(namespace));
        }
        record.answered(&response);
        response.map(|body| body.with_record(record))
    }
}

/// Whether a request that may have a body has none. Reads a little of one, so that a small body
/// that is refused does not cost the connection; waits for nothing that has not been asked for.
async fn is_empty<B>(headers: &HeaderMap, content: B) -> bool
where
    B: hyper::body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    if headers.contains_key(header::EXPECT) {
        return false;
    }
    let read = Limited::new(content, MAX_DRAINED).collect();
    match time::timeout(MAX_DRAIN_TIME, read).await {
        Ok(Ok(read)) => read.to_bytes().is_empty(),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// What decisions and records need to know of a request.
fn context(parts: &Parts, arrival: &Arrival) -> Context {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let job = parts.headers.get(headers::JOB).and_then(|job| job.to_str().ok());
    Context {
        request: arrival.request_id.as_str().to_owned(),
        client: Client {
            address: arrival.client,
            label: agent.map(|agent| agent.chars().take(MAX_LABEL_LENGTH).collect()),
            job: job.and_then(Job::of),
        },
        content: parts.method == Method::GET,
    }
}

/// Bytes of an unwanted body that are read before it is refused.
const MAX_DRAINED: usize = 64 << 10;
/// How long they are waited for.
const MAX_DRAIN_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use bytes::Bytes;
    use http_body_util::{Empty, Full};

    use super::*;
    use crate::http::{request_id::RequestId, service::Door};

    #[tokio::test]
    async fn only_a_body_with_content_is_unwanted() {
        let none = HeaderMap::new();
        assert!(is_empty(&none, Empty::<Bytes>::new()).await);
        assert!(is_empty(&none, Full::new(Bytes::new())).await);
        assert!(!is_empty(&none, Full::new(Bytes::from_static(b"a"))).await);
        assert!(!is_empty(&none, Full::new(Bytes::from(vec![0; MAX_DRAINED + 1]))).await);
    }

    #[tokio::test]
    async fn a_client_that_asks_before_it_sends_is_not_told_to_send() {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPECT, "100-continue".parse().unwrap());
        assert!(!is_empty(&headers, Empty::<Bytes>::new()).await);
    }

    #[test]
    fn the_label_of_a_client_is_bounded() {
        let arrival = Arrival {
            client: IpAddr::from([127, 0, 0, 1]),
            door: Door::default(),
            request_id: RequestId::from_parts(0, 0),
        };
        let label = |agent: &[u8]| {
            let request = Request::head("/v2/").header(header::USER_AGENT, agent).body(()).unwrap();
            let context = context(&request.into_parts().0, &arrival);
            assert!(!context.content);
            context.client.label
        };
        assert_eq!(label(b"podman/5").as_deref(), Some("podman/5"));
        assert_eq!(label(&[b'a'; 500]).unwrap().len(), MAX_LABEL_LENGTH);
        assert_eq!(label("\u{fc}".as_bytes()), None);
    }

    #[test]
    fn a_client_says_which_job_it_works_for() {
        let arrival = Arrival {
            client: IpAddr::from([127, 0, 0, 1]),
            door: Door::default(),
            request_id: RequestId::from_parts(0, 0),
        };
        let request = Request::get("/v2/").header(headers::JOB, "acme/app#12").body(()).unwrap();
        let job = context(&request.into_parts().0, &arrival).client.job;
        assert_eq!(job.as_ref().map(Job::as_str), Some("acme/app#12"));
    }
}
