//! One call to a registry: authorized, redirected, tried again, counted by the breaker.
//!
//! From the inside out: [`Wire`] sends one request; `follow` goes along redirects; `authorized`
//! answers a challenge; [`Exchange::call`] tries again and asks the breaker. What comes out is an
//! answer to read, a refusal that its caller may understand (a 404 is data), or an error.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{
    authorize::Authorizer,
    body::{Reading, refuse_encoded},
    breaker::{Breaker, Position},
    error::UpstreamError,
    redirect::{Ask, Followed},
    retry::{Failure, Schedule},
    token::{Access, Scope},
    wire::Wire,
};
use crate::{
    environment::Environment,
    oci::{Repository, UpstreamName},
    telemetry::Metrics,
};

/// What is asked of a registry.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) ask: Ask,
    /// For a token.
    scope: Scope,
}

impl Call {
    pub(super) fn get(repository: &Repository, url: Uri) -> Self {
        Self::new(Method::GET, repository, url, Access::Pull)
    }

    pub(super) fn head(repository: &Repository, url: Uri) -> Self {
        Self::new(Method::HEAD, repository, url, Access::Pull)
    }

    /// A call that writes.
    pub(super) fn push(method: Method, repository: &Repository, url: Uri) -> Self {
        Self::new(method, repository, url, Access::Push)
    }

    fn new(method: Method, repository: &Repository, url: Uri, access: Access) -> Self {
        let scope = Scope { repository: repository.clone(), access };
        Self { ask: Ask::new(method, url), scope }
    }

    /// What the call writes.
    #[must_use]
    pub(super) fn content(mut self, content_type: HeaderValue, content: Bytes) -> Self {
        self.ask.headers.insert(CONTENT_TYPE, content_type);
        self.ask.content = content;
        self
    }

    #[must_use]
    pub(super) fn accept(mut self, types: HeaderValue) -> Self {
        self.ask.headers.insert(ACCEPT, types);
        self
    }
}

/// What a registry answered.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    /// What was asked for: a status of 200 to 299.
    Answer(Answer<T>),
    /// Something else that is not a failure to answer.
    Refusal(StatusCode),
}

impl<T> Outcome<T> {
    /// The answer.
    ///
    /// # Errors
    /// What a refusal means when nothing special is expected.
    pub(super) fn success(self) -> Result<Answer<T>, UpstreamError> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Refusal(status) => Err(UpstreamError::of_status(status)),
        }
    }
}

/// An answer to read.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from, after redirects.
    pub(super) url: Uri,
    pub(super) content: T,
}

impl<T> Answer<T> {
    /// `Content-Type`, as far as it is text.
    pub(super) fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok()
    }

    /// Refuses a web page: a login form, a captive portal, an error page with status 200.
    ///
    /// # Errors
    /// [`UpstreamError::Invalid`] when that is what it is.
    pub(super) fn refuse_html(&self) -> Result<(), UpstreamError> {
        let essence = self.content_type().unwrap_or_default().split(';').next().unwrap_or_default();
        let is_page = ["text/html", "application/xhtml+xml"]
            .iter()
            .any(|page| essence.trim().eq_ignore_ascii_case(page));
        if is_page {
            return Err(UpstreamError::invalid("it is a web page (`Content-Type: text/html`)"));
        }
        Ok(())
    }
}

/// Makes the calls to one registry.
#[derive(Debug)]
pub(super) struct Exchange {
    upstream: UpstreamName,
    wire: Arc<Wire>,
    authorizer: Authorizer,
    breaker: Breaker,
    environment: Environment,
    metrics: Arc<Metrics>,
}

impl Exchange {
    pub(super) fn new(
        upstream: UpstreamName,
        wire: Arc<Wire>,
        authorizer: Authorizer,
        environment: &Environment,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            upstream,
            wire,
            authorizer,
            breaker: Breaker::new(environment),
            environment: environment.clone(),
            metrics,
        }
    }

    pub(super) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Makes `call`, reading its answer by `reading`.
    ///
    /// # Cancel safety
    /// Dropping this gives the call up and leaves everything as if it had not been made.
    ///
    /// # Errors
    /// When no attempt got an answer, or the answer must not be used.
    pub(super) async fn call<R: Reading>(
        &self,
        call: &Call,
        reading: &R,
    ) -> Result<Outcome<R::Content>, UpstreamError> {
        let pass = self.breaker.enter().map_err(|retry_after| UpstreamError::Unreachable {
            reason: "it did not answer the last times and is not asked for a while".to_owned(),
            retry_after,
        })?;
        let outcome = self.attempts(call, reading).await;
        match &outcome {
            Err(UpstreamError::Unreachable { reason, .. }) => {
                tracing::warn!(upstream = %self.upstream, reason, "upstream_unreachable");
                pass.failed();
            }
            _ => pass.answered(),
        }
        self.metrics.upstream_breaker(
            self.upstream.as_str(),
            match self.breaker.position() {
                Position::Closed => 0,
                Position::Probing => 1,
                Position::Open => 2,
            },
        );
        outcome
    }

    async fn attempts<R: Reading>(
        &self,
        call: &Call,
        reading: &R,
    ) -> Result<Outcome<R::Content>, UpstreamError> {
        let clock = &self.environment.clock;
        let mut schedule = Schedule::new(clock.instant());
        loop {
            let failure = match self.attempt(call, reading).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let entropy = &*self.environment.entropy;
            match schedule.next(failure.retry, clock.instant(), entropy) {
                Some(wait) => {
                    tracing::debug!(upstream = %self.upstream, error = %failure.error, ?wait, "retry");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(failure.error),
            }
        }
    }

    async fn attempt<R: Reading>(
        &self,
        call: &Call,
        reading: &R,
    ) -> Result<Outcome<R::Content>, Failure> {
        let Followed { response, url, .. } = self.authorized(call).await?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            self.log_refusal(head.status, &url, body).await;
            let now = self.environment.clock.now();
            return match Failure::of_status(head.status, &head.headers, now) {
                Some(failure) => Err(failure),
                None => Ok(Outcome::Refusal(head.status)),
            };
        }
        if call.ask.method != Method::HEAD {
            refuse_encoded(&head.headers)?;
        }
        let content = reading.read(body, self.wire.timeouts()).await?;
        let (status, headers) = (head.status, head.headers);
        Ok(Outcome::Answer(Answer { status, headers, url, content }))
    }

    /// Asks with what is known to be wanted, and once more when the upstream wants something else.
    async fn authorized(&self, call: &Call) -> Result<Followed, Failure> {
        let first = self.authorizer.first(&call.scope).await?;
        let header = first.as_ref().map(super::authorize::Authorization::header);
        let followed = self.wire.follow(&call.ask, header).await?;
        if !is_challenge(&followed) {
            return Ok(followed);
        }
        let headers = followed.response.headers();
        let Some(second) = self.authorizer.answer(headers, &call.scope, first.as_ref()).await?
        else {
            return Ok(followed);
        };
        drop(followed);
        let followed = self.wire.follow(&call.ask, Some(second.header())).await?;
        if is_challenge(&followed) {
            self.authorizer.forget(&second);
        }
        Ok(followed)
    }

    /// Upstreams explain refusals in their bodies; that is for whoever reads the log, cut, and for
    /// nobody else. Reading it also frees the connection for the next request.
    async fn log_refusal(&self, status: StatusCode, url: &Uri, body: Incoming) {
        let reading = http_body_util::Limited::new(body, MAX_EXCERPT).collect();
        let body = match tokio::time::timeout(self.wire.timeouts().idle.min(EXCERPT_TIME), reading)
            .await
        {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let (upstream, status) = (&self.upstream, status.as_u16());
        let path = url.path();
        tracing::debug!(%upstream, status, path, body = %body.escape_ascii(), "upstream_refusal");
    }
}

/// Whether the upstream itself, not somebody it redirects to, wants to know who asks.
fn is_challenge(followed: &Followed) -> bool {
    followed.is_own && followed.response.status() == StatusCode::UNAUTHORIZED
}

/// How much of an error body is read, in bytes.
const MAX_EXCERPT: usize = 2 << 10;
/// How long reading it may take.
const EXCERPT_TIME: std::time::Duration = std::time::Duration::from_secs(1);
