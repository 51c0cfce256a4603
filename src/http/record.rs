//! The story of one request, told when it is over.
//!
//! A [`Record`] is opened when a request comes in, learns its route and its answer, and rides on the
//! body. When the body ends or is dropped, or the request is dropped before it has an answer, one
//! line is logged and the metrics are moved. So a pull that a client gave up after two gigabytes is
//! seen as that, not as a success.

use std::{
    fmt::Display,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{Method, Response, StatusCode, body::Body as _};

use super::{
    body::{Body, BodyError},
    failure::Failure,
    request_id::RequestId,
    route::{Route, Target},
    service::Arrival,
};
use crate::{
    environment::Clock,
    telemetry::{
        Metrics,
        metrics::{Ended, Present},
    },
};

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Record {
    /// What was asked for, once it is known.
    pub(super) route: Option<Route>,
    request_id: RequestId,
    client: IpAddr,
    method: Method,
    answer: Option<Answer>,
    /// Why the answer is not what was asked for: one word, and what only the log may say.
    failure: Option<(&'static str, Option<String>)>,
    sent: u64,
    /// How long the first byte took.
    first_byte: Option<Duration>,
    broken: bool,
    started: Instant,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    _in_flight: Present,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    /// The bytes of its content.
    length: u64,
}

impl Record {
    /// A request has come in.
    pub(super) fn open(
        arrival: &Arrival,
        method: Method,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let in_flight = metrics.request_started();
        let started = clock.instant();
        Self {
            route: None,
            request_id: arrival.request_id,
            client: arrival.client,
            method,
            answer: None,
            failure: None,
            sent: 0,
            first_byte: None,
            broken: false,
            started,
            clock,
            metrics,
            _in_flight: in_flight,
        }
    }

    /// It cannot have what it asked for.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.failure = Some((failure.reason(), failure.cause().map(str::to_owned)));
    }

    /// It is answered with `response`.
    pub(super) fn answered(&mut self, response: &Response<Body>) {
        let length = response.body().size_hint().exact().unwrap_or_default();
        self.answer = Some(Answer { status: response.status(), length });
    }

    /// `bytes` more were handed to the connection.
    pub(super) fn sent(&mut self, bytes: usize) {
        let (clock, started) = (&self.clock, self.started);
        self.first_byte.get_or_insert_with(|| clock.instant().duration_since(started));
        self.sent += bytes as u64;
    }

    /// The body could not go on.
    pub(super) fn broke(&mut self, error: &BodyError) {
        self.broken = true;
        tracing::warn!(
            request_id = self.request_id.as_str(),
            error = error as &dyn std::error::Error,
            "a transfer was broken off"
        );
    }

    fn outcome(&self) -> Outcome {
        match &self.answer {
            None if std::thread::panicking() => Outcome::Failed,
            None => Outcome::Abandoned,
            Some(_) if self.broken => Outcome::Broken,
            Some(answer) if self.sent < answer.length => Outcome::Abandoned,
            Some(answer) => Outcome::of(answer.status),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.clock.instant().duration_since(self.started);
        let outcome = self.outcome().as_str();
        let first_byte = self.first_byte.unwrap_or(elapsed);
        let target = self.route.as_ref().map(|route| &route.target);
        let (route, reference) = describe(target);
        let panicked = std::thread::panicking().then_some(StatusCode::INTERNAL_SERVER_ERROR);
        let status = self.answer.as_ref().map_or(panicked, |answer| Some(answer.status));
        let ended = Ended { route, status: class(status), outcome };
        self.metrics.request_ended(ended, self.sent, first_byte, elapsed);
        let image = target.and_then(Target::image);
        let failure = self.failure.as_ref();
        tracing::info!(
            request_id = self.request_id.as_str(),
            client = %self.client,
            method = self.method.as_str(),
            route,
            upstream = image.map(|image| image.upstream.as_str()),
            repository = image.map(|image| image.repository.as_str()),
            reference = reference.map(tracing::field::display),
            status = status.map(|status| status.as_u16()),
            outcome,
            reason = failure.map(|(reason, _)| reason),
            error = failure.and_then(|(_, cause)| cause.as_deref()),
            bytes = self.sent,
            duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// How a request ended. The words are in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The client left before it had everything.
    Abandoned,
    /// The content could not be sent to its end.
    Broken,
    /// Policy or the upstream refuses.
    Denied,
    /// It is our own fault.
    Failed,
    /// There is no such thing, or no such request.
    Rejected,
    /// It got what it asked for.
    Served,
    /// Nobody could tell.
    Undecided,
}

impl Outcome {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::FORBIDDEN => Self::Denied,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Self::Undecided,
            status if status.is_server_error() => Self::Failed,
            status if status.is_client_error() => Self::Rejected,
            _ => Self::Served,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Broken => "broken",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Served => "served",
            Self::Undecided => "undecided",
        }
    }
}

/// The word for a route in logs and metrics, and what it refers to.
fn describe(target: Option<&Target>) -> (&'static str, Option<&dyn Display>) {
    match target {
        None => ("none", None),
        Some(Target::Base) => ("base", None),
        Some(Target::Blob { digest, .. }) => ("blob", Some(digest)),
        Some(Target::Manifest { reference, .. }) => ("manifest", Some(reference)),
        Some(Target::Referrers { subject, .. }) => ("referrers", Some(subject)),
        Some(Target::Tags { .. }) => ("tags", None),
        Some(Target::Verdict { reference, .. }) => ("verdict", Some(reference)),
    }
}

/// The word for a status in metrics.
fn class(status: Option<StatusCode>) -> &'static str {
    match status {
        None => "none",
        Some(status) if status.is_success() => "2xx",
        Some(status) if status.is_redirection() => "3xx",
        Some(status) if status.is_client_error() => "4xx",
        Some(_) => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{environment::SystemClock, http::service::Door};

    fn record() -> Record {
        let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
        let arrival = Arrival {
            client: IpAddr::from([127, 0, 0, 1]),
            door: Door::default(),
            request_id: RequestId::from_parts(0, 0),
        };
        Record::open(&arrival, Method::GET, clock, metrics)
    }

    #[test]
    fn tells_a_whole_answer_from_one_that_was_given_up() {
        let mut record = record();
        assert_eq!(record.outcome(), Outcome::Abandoned, "dropped before its answer");
        record.answered(&Response::new(Bytes::from_static(b"0123456789").into()));
        record.sent(6);
        assert_eq!(record.outcome(), Outcome::Abandoned);
        record.sent(4);
        assert_eq!(record.outcome(), Outcome::Served);
        record.broke(&BodyError::Short);
        assert_eq!(record.outcome(), Outcome::Broken);
    }

    #[test]
    fn a_status_has_its_outcome() {
        for (status, outcome) in [
            (StatusCode::OK, Outcome::Served),
            (StatusCode::NOT_MODIFIED, Outcome::Served),
            (StatusCode::FORBIDDEN, Outcome::Denied),
            (StatusCode::NOT_FOUND, Outcome::Rejected),
            (StatusCode::BAD_GATEWAY, Outcome::Undecided),
            (StatusCode::SERVICE_UNAVAILABLE, Outcome::Undecided),
            (StatusCode::INTERNAL_SERVER_ERROR, Outcome::Failed),
        ] {
            let mut record = record();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            record.answered(&response);
            assert_eq!(record.outcome(), outcome, "{status}");
        }
    }
}
