//! What a request fails with becomes a status, an OCI error code and a text, here and nowhere else.
//!
//! OCI distribution 1.1, "Error codes". A refusal is `403 DENIED`: a `401` would make clients ask for
//! a login, a `404` would make them look for the manifest among the blobs, a `429` would make them
//! come back. What nobody could tell is `503` with the time after which it is worth asking again.
//! Every answer says why in `message` and what to do next in `detail`, which is one text, because
//! Docker shows it only then.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    ext::ReasonPhrase,
    header::{self, HeaderName, HeaderValue},
};

use super::{body::Body, headers, phrase, route::RouteError};
use crate::{
    mirror::{PullError, Reason, Refusal, StoreError, UpstreamError, Wanted},
    oci::{ErrorCode, ParseReferenceError, Reference, UpstreamName},
};

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: ErrorCode,
    /// One word for the log.
    reason: &'static str,
    /// What failed and why, in one sentence.
    message: Box<str>,
    /// What to do next.
    detail: Box<str>,
    /// What only the log may say.
    cause: Option<Box<str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Stands in for the reason phrase of the status: all that some clients show of a `HEAD`.
    phrase: Option<Box<str>>,
}

impl Failure {
    fn new(status: StatusCode, code: ErrorCode, reason: &'static str) -> Self {
        Self {
            status,
            code,
            reason,
            message: Box::default(),
            detail: Box::default(),
            cause: None,
            headers: Vec::new(),
            phrase: None,
        }
    }

    fn says(mut self, message: impl Into<Box<str>>, detail: impl Into<Box<str>>) -> Self {
        self.message = message.into();
        self.detail = detail.into();
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says in the phrase of the status line what the body says, as far as it fits.
    fn in_short(mut self) -> Self {
        self.phrase = Some(phrase::short(&self.message).into());
        self
    }

    fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.with(header::RETRY_AFTER, seconds.max(1).into())
    }

    /// The request carries a body, and nothing here takes one.
    pub(super) fn body_not_wanted() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::Unsupported, "body_not_wanted").says(
            "the request has a body, and the mirror takes none",
            "send `GET` and `HEAD` without a body",
        )
    }

    /// More requests are being answered than the limits allow.
    pub(super) fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "overloaded")
            .says(
                "the mirror is answering as many requests as it may",
                "try again in a moment; `limits` in `portcullis.toml` sets how many there may be",
            )
            .after(OVERLOAD_PAUSE)
    }

    /// The code that answers the request has a defect; `message` says where it showed.
    pub(super) fn defect(reason: &'static str, message: impl Into<Box<str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, reason).says(
            message,
            "this is a defect of the mirror: please report it with the log of this request",
        )
    }

    /// The range asked for lies behind the end of a blob of `size` bytes.
    pub(super) fn unsatisfiable(size: u64) -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, ErrorCode::RangeInvalid, "range_invalid")
            .says(
                format!("the range starts behind the end of the blob, which has {size} bytes"),
                "ask for a range inside the blob, or for the whole",
            )
            .with(header::CONTENT_RANGE, headers::value(&format!("bytes */{size}")))
    }

    /// One word for the log.
    pub(super) const fn reason(&self) -> &'static str {
        self.reason
    }

    /// What the log says beside it.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The response; for `HEAD` it has the same headers and no content.
    pub(super) fn into_response(self, head: bool) -> Response<Body> {
        let error = serde_json::json!({
            "code": self.code.as_str(),
            "message": self.message,
            "detail": self.detail,
        });
        let text = serde_json::json!({ "errors": [error] }).to_string();
        let length = text.len();
        let body = if head { Body::empty() } else { Bytes::from(text).into() };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let map = response.headers_mut();
        map.insert(headers::API_VERSION, headers::API_VERSION_2);
        map.insert(header::CONTENT_TYPE, headers::JSON);
        map.insert(header::CONTENT_LENGTH, length.into());
        map.insert(header::CACHE_CONTROL, headers::NO_STORE);
        map.extend(self.headers);
        if let Some(phrase) =
            self.phrase.and_then(|phrase| ReasonPhrase::try_from(phrase.as_bytes()).ok())
        {
            response.extensions_mut().insert(phrase);
        }
        response
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        let (status, code, reason, detail) = match &error {
            RouteError::Catalog => unsupported(CATALOG),
            RouteError::Digest(_) | RouteError::Reference(ParseReferenceError::Digest(_)) => {
                bad(ErrorCode::DigestInvalid, "digest_invalid", DIGEST)
            }
            RouteError::Encoding => bad(ErrorCode::NameInvalid, "path_encoding", ENCODING),
            RouteError::HostRepeated => {
                bad(ErrorCode::NameInvalid, "host_repeated", "send one `Host`")
            }
            RouteError::Method | RouteError::Upload => unsupported(PUSH),
            RouteError::Name(_) => {
                bad(ErrorCode::NameInvalid, "name_invalid", "check the name of the repository")
            }
            RouteError::NamespaceContradicted { .. } => {
                bad(ErrorCode::NameInvalid, "namespace_contradicted", "leave one of the two out")
            }
            RouteError::NamespaceMalformed => {
                bad(ErrorCode::NameInvalid, "namespace_malformed", NAMESPACE)
            }
            RouteError::NamespaceRepeated => {
                bad(ErrorCode::NameInvalid, "namespace_repeated", NAMESPACE)
            }
            RouteError::NamespaceUnknown { known, .. } | RouteError::NoUpstream { known } => {
                let code = ErrorCode::NameUnknown;
                (StatusCode::NOT_FOUND, code, "upstream_unknown", upstreams(known).into())
            }
            RouteError::NoEndpoint => {
                (StatusCode::NOT_FOUND, ErrorCode::Unsupported, "no_endpoint", ENDPOINTS.into())
            }
            RouteError::Parameter(_) => {
                bad(ErrorCode::Unsupported, "parameter_invalid", PARAMETERS)
            }
            RouteError::Reference(ParseReferenceError::Tag) => {
                bad(ErrorCode::TagInvalid, "tag_invalid", "check the tag")
            }
        };
        let failure = Self::new(status, code, reason).says(error.to_string(), detail);
        match error {
            RouteError::Catalog | RouteError::Upload => {
                failure.with(header::ALLOW, HeaderValue::from_static(""))
            }
            RouteError::Method => {
                failure.with(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
            }
            _ => failure,
        }
    }
}

/// How a request without a route fails.
type Refused = (StatusCode, ErrorCode, &'static str, Cow<'static, str>);

const fn bad(code: ErrorCode, reason: &'static str, detail: &'static str) -> Refused {
    (StatusCode::BAD_REQUEST, code, reason, Cow::Borrowed(detail))
}

const fn unsupported(detail: &'static str) -> Refused {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    (status, ErrorCode::Unsupported, "unsupported", Cow::Borrowed(detail))
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        Self::from(&error)
    }
}

impl From<&PullError> for Failure {
    fn from(error: &PullError) -> Self {
        let message = error.to_string();
        match error {
            PullError::Audit(_) => Self::ours(
                "audit_failed",
                "the mirror could not record its decision, so it serves nothing",
                message,
            ),
            PullError::BlobRefused { refusal, .. } => {
                let mut failure = Self::refused(StatusCode::FORBIDDEN, ErrorCode::Denied, refusal);
                failure.message = message.into();
                failure
            }
            PullError::BlobUnreferenced(_) => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, "blob_unreferenced")
                    .says(message, "ask for a manifest of this repository that holds it first")
            }
            // The upstream sent something else than it was asked for: nobody judged the image.
            PullError::Denied(refusal) | PullError::Undecided(refusal)
                if refusal.verdict.reason == Reason::UpstreamIntegrity =>
            {
                Self::refused(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, refusal)
            }
            PullError::Denied(refusal) => {
                Self::refused(StatusCode::FORBIDDEN, ErrorCode::Denied, refusal)
            }
            PullError::Integrity { .. } | PullError::Store(StoreError::Integrity { .. }) => {
                Self::integrity(message)
            }
            PullError::Internal(_) => Self::defect("internal", message),
            PullError::Shared(error) => Self::from(&**error),
            PullError::Store(StoreError::Busy { .. }) => {
                let next = "try again in a moment; what the mirror has already is still served";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, "fills_busy")
                    .says(message, next)
                    .after(QUEUE_PAUSE)
            }
            PullError::Store(StoreError::Full { .. }) => {
                Self::ours("disk_full", "the mirror's disk is full", message)
            }
            PullError::Store(_) => Self::ours("store_failed", "the mirror's store failed", message),
            PullError::Undecided(refusal) => {
                Self::refused(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, refusal)
                    .after(refusal.retry_after)
            }
            PullError::Upstream { what, error, upstream } => Self::upstream(what, error, upstream),
        }
    }
}

impl Failure {
    /// A decision that serves nothing.
    fn refused(status: StatusCode, code: ErrorCode, refusal: &Refusal) -> Self {
        let verdict = &refusal.verdict;
        let detail = match verdict.next_step.trim_end_matches('.') {
            "" => format!("decision {}", refusal.decision),
            next_step => format!("{next_step} (decision {})", refusal.decision),
        };
        let phrase = match status {
            StatusCode::FORBIDDEN => phrase::denied(refusal),
            _ => phrase::undecided(refusal),
        };
        let mut failure = Self::new(status, code, verdict.reason.as_str())
            .says(verdict.message.as_str(), detail)
            .with(headers::DECISION, headers::value(&refusal.decision));
        failure.phrase = Some(phrase.into());
        failure
    }

    /// The upstream sent bytes that are not those of the digest.
    fn integrity(message: String) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, "upstream_integrity").says(
            format!("{message} (upstream_integrity)"),
            "nothing was kept; tell the owner of the upstream, and check what lies between",
        )
    }

    /// Something of the mirror's own failed. Its `cause` is for the log, not for clients.
    fn ours(reason: &'static str, message: &str, cause: String) -> Self {
        let mut failure =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, reason)
                .says(message, "tell the operator of the mirror: its log says more")
                .after(STORE_PAUSE);
        failure.cause = Some(cause.into());
        failure
    }

    fn upstream(wanted: &Wanted, error: &UpstreamError, upstream: &str) -> Self {
        let what = thing(wanted);
        let undecided = |reason: &'static str, message: String, wait: Duration| {
            Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, reason)
                .says(message, "try again later; what the mirror has already is still served")
                .after(wait)
        };
        match error {
            UpstreamError::Denied { status } => Self::upstream_denies(wanted, upstream, *status),
            UpstreamError::Integrity { digest } => Self::integrity(format!(
                "upstream `{upstream}` sent other bytes than {digest} names"
            )),
            UpstreamError::Invalid { reason } => undecided(
                "upstream_invalid",
                format!(
                    "upstream `{upstream}` gave no valid answer when asked for {what}: {reason}"
                ),
                UPSTREAM_PAUSE,
            ),
            UpstreamError::Limit { reason } => undecided(
                "limit_reached",
                format!(
                    "upstream `{upstream}` sent more than the mirror takes for {what}: {reason}"
                ),
                UPSTREAM_PAUSE,
            ),
            UpstreamError::Offline => Self::offline(wanted),
            UpstreamError::NotFound => Self::upstream_lacks(wanted, upstream),
            UpstreamError::RateLimited { retry_after } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::TooManyRequests,
                "rate_limited",
            )
            .says(
                format!("upstream `{upstream}` was asked too often to give {what}"),
                format!(
                    "wait, or give the mirror credentials for `{upstream}` with a higher limit"
                ),
            )
            .after(retry_after.unwrap_or(UPSTREAM_PAUSE)),
            UpstreamError::Unreachable { reason, retry_after } => undecided(
                "upstream_unreachable",
                format!("upstream `{upstream}` could not be asked for {what}: {reason}"),
                *retry_after,
            ),
        }
    }

    fn upstream_denies(wanted: &Wanted, upstream: &str, status: u16) -> Self {
        let what = thing(wanted);
        let advice = || format!("check the mirror's credentials for `{upstream}`");
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, "upstream_denied")
            .says(
                format!("upstream `{upstream}` answered {status} when asked for {what}"),
                stranger(wanted).unwrap_or_else(advice),
            )
            .in_short()
    }

    fn offline(wanted: &Wanted) -> Self {
        Self::new(StatusCode::NOT_FOUND, missing(wanted), "offline").says(
            format!("this mirror is offline and has no {}", thing(wanted)),
            format!(
                "bring it: on a machine with a network `portcullis seed {0}` and `portcullis export --output bag.tar {0}`, here `portcullis import bag.tar`",
                pulled(wanted)
            ),
        )
    }

    fn upstream_lacks(wanted: &Wanted, upstream: &str) -> Self {
        let what = thing(wanted);
        let advice = "check the name; registries say so of a private repository, too";
        Self::new(StatusCode::NOT_FOUND, missing(wanted), "upstream_not_found").says(
            format!("upstream `{upstream}` has no {what}"),
            stranger(wanted).unwrap_or_else(|| advice.to_owned()),
        )
    }
}

/// The code for what an upstream does not have.
const fn missing(what: &Wanted) -> ErrorCode {
    match what {
        Wanted::Blob(..) => ErrorCode::BlobUnknown,
        Wanted::Manifest(..) | Wanted::Referrers(..) => ErrorCode::ManifestUnknown,
        Wanted::Tags(_) => ErrorCode::NameUnknown,
    }
}

/// What to do when a name starts with a registry that is no upstream, so that it was looked for at
/// another one.
fn stranger(wanted: &Wanted) -> Option<String> {
    let (Wanted::Blob(image, _)
    | Wanted::Manifest(image, _)
    | Wanted::Referrers(image, _)
    | Wanted::Tags(image)) = wanted;
    let (first, _) = image.repository.as_str().split_once('/')?;
    first.contains('.').then(|| {
        format!(
            "`{first}` is not an upstream of this mirror, so it was taken for a part of the name: add an `[[upstream]]` to `portcullis.toml` if you meant the registry"
        )
    })
}

/// What was wanted, in words.
fn thing(what: &Wanted) -> String {
    match what {
        Wanted::Blob(image, digest) => format!("blob `{digest}` of `{image}`"),
        Wanted::Manifest(image, reference) => format!("manifest `{reference}` of `{image}`"),
        Wanted::Referrers(image, subject) => format!("referrers of `{subject}` in `{image}`"),
        Wanted::Tags(image) => format!("tags of `{image}`"),
    }
}

/// What was wanted, as a pull names it.
fn pulled(what: &Wanted) -> String {
    match what {
        Wanted::Manifest(image, Reference::Tag(tag)) => format!("{image}:{tag}"),
        Wanted::Manifest(image, Reference::Digest(digest))
        | Wanted::Referrers(image, digest)
        | Wanted::Blob(image, digest) => format!("{image}@{digest}"),
        Wanted::Tags(image) => image.to_string(),
    }
}

/// How to name an upstream of `known`.
fn upstreams(known: &[UpstreamName]) -> String {
    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "no upstream is configured: add an `[[upstream]]` to `portcullis.toml`".to_owned(),
        names => format!(
            "name one of {} as the first segment of the repository or in `ns=`, or add an `[[upstream]]` to `portcullis.toml`",
            names.join(", ")
        ),
    }
}

/// When the mirror has room for a request again.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);
/// When a download of an upstream may have ended.
const QUEUE_PAUSE: Duration = Duration::from_secs(5);
/// When a disk may have room again.
const STORE_PAUSE: Duration = Duration::from_secs(30);
/// When an upstream that did not say may be asked again.
const UPSTREAM_PAUSE: Duration = Duration::from_secs(60);

const CATALOG: &str = "ask for the tags of one: `/v2/<repository>/tags/list`";
const DIGEST: &str =
    "a digest is `sha256:` and 64, or `sha512:` and 128, lower-case hex characters";
const ENCODING: &str = "write the path as it is";
const ENDPOINTS: &str = "the API is `/v2/` and, under it, `<repository>/` with `manifests`, `blobs`, `tags/list` or `referrers`";
const NAMESPACE: &str = "send `ns=` once, with the name of an upstream, or not at all";
const PARAMETERS: &str = "`n` is a whole number, and no parameter is longer than 255 characters";
const PUSH: &str = "push to the upstream; what is signed there can be pulled here";

#[cfg(test)]
mod tests;
