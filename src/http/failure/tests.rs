use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::*;
use crate::{
    http::testing::verdict,
    oci::{Digest, ImageName, Reference},
};

/// The response as HTTP/1.1 shows it, headers in order. Its length is checked, not shown.
fn shown(failure: impl Into<Failure>) -> String {
    let response = failure.into().into_response(false);
    let phrase = response.extensions().get::<ReasonPhrase>();
    let phrase = phrase.map(|phrase| String::from_utf8(phrase.as_bytes().to_vec()).unwrap());
    let canonical = response.status().canonical_reason().unwrap();
    let mut text = format!(
        "{} {}\n",
        response.status().as_u16(),
        phrase.unwrap_or_else(|| canonical.to_owned())
    );
    let length = response.headers()[header::CONTENT_LENGTH].to_str().unwrap().to_owned();
    let mut lines: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != header::CONTENT_LENGTH)
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    lines.sort();
    text.extend(lines);
    let body = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    assert_eq!(body.len().to_string(), length);
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let error = &body["errors"][0];
    assert_eq!(body, serde_json::json!({ "errors": [error] }), "one error and nothing else");
    for member in ["code", "message", "detail"] {
        writeln!(text, "{member}: {}", error[member].as_str().expect("a text")).unwrap();
    }
    text
}

fn image() -> ImageName {
    ImageName {
        upstream: "registry.test".parse().unwrap(),
        repository: "acme/app".parse().unwrap(),
    }
}

fn digest() -> Digest {
    Digest::of(b"abc")
}

fn manifest() -> Wanted {
    Wanted::Manifest(image(), "v1".parse().unwrap())
}

fn refusal(reason: Reason) -> Box<Refusal> {
    Box::new(Refusal {
        image: image(),
        reference: "v1".parse().unwrap(),
        digest: Some(digest()),
        decision: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        verdict: Arc::new(verdict(reason, Some("registry.test/**"))),
        retry_after: Duration::from_millis(10_500),
    })
}

fn blob_refused() -> PullError {
    PullError::BlobRefused { digest: digest(), refusal: refusal(Reason::NoSignature) }
}

fn upstream(what: Wanted, error: UpstreamError) -> PullError {
    PullError::Upstream { what: Box::new(what), error, upstream: "registry.test".to_owned() }
}

#[test]
fn a_denied_manifest() {
    insta::assert_snapshot!(shown(PullError::Denied(refusal(Reason::NoSignature))), @r"
    403 refused registry.test/acme/app:v1 by rule registry.test/**; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    x-portcullis-decision: 01ARZ3NDEKTSV4RRFFQ69G5FAV
    code: DENIED
    message: `registry.test/acme/app` is not signed
    detail: sign it with `cosign sign` (decision 01ARZ3NDEKTSV4RRFFQ69G5FAV)
    ");
}

#[test]
fn an_undecided_manifest() {
    insta::assert_snapshot!(shown(PullError::Undecided(refusal(Reason::EvidenceUnreachable))), @r"
    503 undecided registry.test/acme/app:v1 evidence_unreachable; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 11
    x-portcullis-decision: 01ARZ3NDEKTSV4RRFFQ69G5FAV
    code: UNAVAILABLE
    message: `registry.test/acme/app` is not signed
    detail: sign it with `cosign sign` (decision 01ARZ3NDEKTSV4RRFFQ69G5FAV)
    ");
}

#[test]
fn bytes_that_are_not_those_of_the_digest() {
    let denied = shown(PullError::Denied(refusal(Reason::UpstreamIntegrity)));
    assert_eq!(denied, shown(PullError::Undecided(refusal(Reason::UpstreamIntegrity))));
    insta::assert_snapshot!(denied, @r"
    502 undecided registry.test/acme/app:v1 upstream_integrity; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    x-portcullis-decision: 01ARZ3NDEKTSV4RRFFQ69G5FAV
    code: UNAVAILABLE
    message: `registry.test/acme/app` is not signed
    detail: sign it with `cosign sign` (decision 01ARZ3NDEKTSV4RRFFQ69G5FAV)
    ");
    insta::assert_snapshot!(shown(PullError::Integrity { upstream: "registry.test".to_owned(), digest: digest() }), @r"
    502 Bad Gateway
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNAVAILABLE
    message: upstream `registry.test` sent other bytes than sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad names (upstream_integrity)
    detail: nothing was kept; tell the owner of the upstream, and check what lies between
    ");
    insta::assert_snapshot!(shown(upstream(manifest(), UpstreamError::Integrity { digest: digest() })), @r"
    502 Bad Gateway
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNAVAILABLE
    message: upstream `registry.test` sent other bytes than sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad names (upstream_integrity)
    detail: nothing was kept; tell the owner of the upstream, and check what lies between
    ");
}

#[test]
fn a_refused_blob() {
    insta::assert_snapshot!(shown(blob_refused()), @r"
    403 refused registry.test/acme/app:v1 by rule registry.test/**; decision 01ARZ3NDEKTSV4RRFFQ69G5FAV
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    x-portcullis-decision: 01ARZ3NDEKTSV4RRFFQ69G5FAV
    code: DENIED
    message: only manifests that policy refuses reference blob sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad: `registry.test/acme/app` is not signed
    detail: sign it with `cosign sign` (decision 01ARZ3NDEKTSV4RRFFQ69G5FAV)
    ");
}

#[test]
fn a_blob_that_nothing_references() {
    insta::assert_snapshot!(shown(PullError::BlobUnreferenced(digest())), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: BLOB_UNKNOWN
    message: no manifest known here references blob sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
    detail: ask for a manifest of this repository that holds it first
    ");
}

#[test]
fn what_the_upstream_does_not_have() {
    let shown = |what| shown(upstream(what, UpstreamError::NotFound));
    insta::assert_snapshot!(shown(manifest()), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: MANIFEST_UNKNOWN
    message: upstream `registry.test` has no manifest `v1` of `registry.test/acme/app`
    detail: check the name; registries say so of a private repository, too
    ");
    insta::assert_snapshot!(shown(Wanted::Blob(image(), digest())), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: BLOB_UNKNOWN
    message: upstream `registry.test` has no blob `sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad` of `registry.test/acme/app`
    detail: check the name; registries say so of a private repository, too
    ");
    insta::assert_snapshot!(shown(Wanted::Tags(image())), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_UNKNOWN
    message: upstream `registry.test` has no tags of `registry.test/acme/app`
    detail: check the name; registries say so of a private repository, too
    ");
    insta::assert_snapshot!(shown(Wanted::Referrers(image(), digest())), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: MANIFEST_UNKNOWN
    message: upstream `registry.test` has no referrers of `sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad` in `registry.test/acme/app`
    detail: check the name; registries say so of a private repository, too
    ");
}

#[test]
fn what_the_upstream_denies() {
    insta::assert_snapshot!(shown(upstream(manifest(), UpstreamError::Denied { status: 401 })), @r"
    403 upstream `registry.test` answered 401 when asked for manifest `v1` of `registry.test/acme/app`
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: DENIED
    message: upstream `registry.test` answered 401 when asked for manifest `v1` of `registry.test/acme/app`
    detail: check the mirror's credentials for `registry.test`
    ");
}

#[test]
fn a_registry_that_is_no_upstream_is_named() {
    let image = ImageName {
        upstream: "docker.io".parse().unwrap(),
        repository: "quay.io/acme/app".parse().unwrap(),
    };
    for error in [UpstreamError::NotFound, UpstreamError::Denied { status: 401 }] {
        let shown = shown(upstream(Wanted::Tags(image.clone()), error));
        assert!(shown.contains("detail: `quay.io` is not an upstream of this mirror"), "{shown}");
    }
}

#[test]
fn an_upstream_that_was_asked_too_often() {
    let limited = |retry_after| upstream(manifest(), UpstreamError::RateLimited { retry_after });
    insta::assert_snapshot!(shown(limited(Some(Duration::from_secs(7)))), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 7
    code: TOOMANYREQUESTS
    message: upstream `registry.test` was asked too often to give manifest `v1` of `registry.test/acme/app`
    detail: wait, or give the mirror credentials for `registry.test` with a higher limit
    ");
    assert!(shown(limited(None)).contains("retry-after: 60\n"));
}

#[test]
fn an_upstream_that_cannot_be_reached() {
    let error = UpstreamError::Unreachable {
        reason: "connection refused".to_owned(),
        retry_after: Duration::ZERO,
    };
    insta::assert_snapshot!(shown(upstream(manifest(), error)), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 1
    code: UNAVAILABLE
    message: upstream `registry.test` could not be asked for manifest `v1` of `registry.test/acme/app`: connection refused
    detail: try again later; what the mirror has already is still served
    ");
}

#[test]
fn an_upstream_that_answers_nonsense() {
    let error = UpstreamError::Invalid { reason: "a web page instead of a manifest".to_owned() };
    insta::assert_snapshot!(shown(upstream(manifest(), error)), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 60
    code: UNAVAILABLE
    message: upstream `registry.test` gave no valid answer when asked for manifest `v1` of `registry.test/acme/app`: a web page instead of a manifest
    detail: try again later; what the mirror has already is still served
    ");
}

#[test]
fn an_upstream_that_sends_too_much() {
    let error = UpstreamError::Limit { reason: "a manifest has 4 MiB at most".to_owned() };
    insta::assert_snapshot!(shown(upstream(manifest(), error)), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 60
    code: UNAVAILABLE
    message: upstream `registry.test` sent more than the mirror takes for manifest `v1` of `registry.test/acme/app`: a manifest has 4 MiB at most
    detail: try again later; what the mirror has already is still served
    ");
}

#[test]
fn too_many_downloads() {
    let busy = StoreError::Busy { origin: "registry.test".to_owned() };
    insta::assert_snapshot!(shown(PullError::Store(busy)), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 5
    code: UNAVAILABLE
    message: too many downloads from `registry.test` wait already
    detail: try again in a moment; what the mirror has already is still served
    ");
}

#[test]
fn a_full_disk() {
    let full = StoreError::Full { path: PathBuf::from("/srv/data") };
    insta::assert_snapshot!(shown(PullError::Store(full)), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 30
    code: UNAVAILABLE
    message: the mirror's disk is full
    detail: tell the operator of the mirror: its log says more
    ");
}

#[test]
fn what_failed_here_is_told_to_the_log_only() {
    let failure =
        Failure::from(PullError::Audit("cannot write `/srv/data/audit-v1/log`".to_owned()));
    assert!(failure.cause().unwrap().contains("/srv/data"));
    insta::assert_snapshot!(shown(failure), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 30
    code: UNAVAILABLE
    message: the mirror could not record its decision, so it serves nothing
    detail: tell the operator of the mirror: its log says more
    ");
    let full =
        Failure::from(PullError::Store(StoreError::Full { path: PathBuf::from("/srv/data") }));
    assert!(!shown(full).contains("/srv/data"));
}

#[test]
fn a_method_that_writes() {
    insta::assert_snapshot!(shown(RouteError::Method), @r"
    405 Method Not Allowed
    allow: GET, HEAD
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNSUPPORTED
    message: the mirror is read-only: it answers `GET` and `HEAD`
    detail: push to the upstream; what is signed there can be pulled here
    ");
    insta::assert_snapshot!(shown(RouteError::Upload), @r"
    405 Method Not Allowed
    allow: 
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNSUPPORTED
    message: the mirror is read-only: it takes no uploads
    detail: push to the upstream; what is signed there can be pulled here
    ");
}

#[test]
fn a_list_of_all_repositories() {
    insta::assert_snapshot!(shown(RouteError::Catalog), @r"
    405 Method Not Allowed
    allow: 
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNSUPPORTED
    message: the mirror does not list repositories
    detail: ask for the tags of one: `/v2/<repository>/tags/list`
    ");
}

#[test]
fn a_path_of_no_endpoint() {
    insta::assert_snapshot!(shown(RouteError::NoEndpoint), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNSUPPORTED
    message: there is nothing at this path
    detail: the API is `/v2/` and, under it, `<repository>/` with `manifests`, `blobs`, `tags/list` or `referrers`
    ");
}

#[test]
fn an_upstream_that_is_not_configured() {
    let known = || vec!["docker.io".parse().unwrap(), "ghcr.io".parse().unwrap()];
    let unknown = RouteError::NamespaceUnknown { sent: "quay.io".to_owned(), known: known() };
    insta::assert_snapshot!(shown(unknown), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_UNKNOWN
    message: `quay.io` is not an upstream of this mirror
    detail: name one of `docker.io`, `ghcr.io` as the first segment of the repository or in `ns=`, or add an `[[upstream]]` to `portcullis.toml`
    ");
    insta::assert_snapshot!(shown(RouteError::NoUpstream { known: known() }), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_UNKNOWN
    message: the request names no upstream, and this mirror has no default one
    detail: name one of `docker.io`, `ghcr.io` as the first segment of the repository or in `ns=`, or add an `[[upstream]]` to `portcullis.toml`
    ");
    insta::assert_snapshot!(shown(RouteError::NoUpstream { known: Vec::new() }), @r"
    404 Not Found
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_UNKNOWN
    message: the request names no upstream, and this mirror has no default one
    detail: no upstream is configured: add an `[[upstream]]` to `portcullis.toml`
    ");
}

#[test]
fn a_bad_namespace() {
    insta::assert_snapshot!(shown(RouteError::NamespaceMalformed), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_INVALID
    message: `ns=` must be a host name with an optional port, such as `docker.io`
    detail: send `ns=` once, with the name of an upstream, or not at all
    ");
    insta::assert_snapshot!(shown(RouteError::NamespaceRepeated), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_INVALID
    message: `ns=` is there more than once
    detail: send `ns=` once, with the name of an upstream, or not at all
    ");
    let (namespace, segment) = ("docker.io".parse().unwrap(), "ghcr.io".parse().unwrap());
    insta::assert_snapshot!(shown(RouteError::NamespaceContradicted { namespace, segment }), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_INVALID
    message: `ns=docker.io` and the path, which starts with `ghcr.io`, name two upstreams
    detail: leave one of the two out
    ");
}

#[test]
fn a_bad_name() {
    insta::assert_snapshot!(shown(RouteError::Name("A".parse::<crate::oci::Repository>().unwrap_err())), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_INVALID
    message: a repository is lower-case letters and digits, separated by `.`, `_`, `__` or `-`, in components separated by `/`
    detail: check the name of the repository
    ");
    insta::assert_snapshot!(shown(RouteError::Encoding), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_INVALID
    message: the path holds a percent-encoded `/`, `%`, control character or broken text
    detail: write the path as it is
    ");
    insta::assert_snapshot!(shown(RouteError::HostRepeated), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: NAME_INVALID
    message: the request has more than one `Host`
    detail: send one `Host`
    ");
}

#[test]
fn a_bad_reference() {
    insta::assert_snapshot!(shown(RouteError::Digest("sha256:x".parse::<Digest>().unwrap_err())), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: DIGEST_INVALID
    message: the digest must be 64 (sha256) or 128 (sha512) lower-case hex characters
    detail: a digest is `sha256:` and 64, or `sha512:` and 128, lower-case hex characters
    ");
    insta::assert_snapshot!(shown(RouteError::Reference("-a".parse::<Reference>().unwrap_err())), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: TAG_INVALID
    message: a tag is up to 128 letters, digits, `_`, `.` and `-`, and starts with none of the last two
    detail: check the tag
    ");
    let digest = RouteError::Reference("sha256:x".parse::<Reference>().unwrap_err());
    assert!(shown(digest).contains("code: DIGEST_INVALID\n"));
}

#[test]
fn a_bad_parameter() {
    insta::assert_snapshot!(shown(RouteError::Parameter("n")), @r"
    400 Bad Request
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNSUPPORTED
    message: `n` has a value that it cannot have
    detail: `n` is a whole number, and no parameter is longer than 255 characters
    ");
}

#[test]
fn a_range_behind_the_end() {
    insta::assert_snapshot!(shown(Failure::unsatisfiable(10)), @r"
    416 Range Not Satisfiable
    cache-control: no-store
    content-range: bytes */10
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: RANGE_INVALID
    message: the range starts behind the end of the blob, which has 10 bytes
    detail: ask for a range inside the blob, or for the whole
    ");
}

#[test]
fn a_request_with_a_body() {
    insta::assert_snapshot!(shown(Failure::body_not_wanted()), @r"
    413 Payload Too Large
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNSUPPORTED
    message: the request has a body, and the mirror takes none
    detail: send `GET` and `HEAD` without a body
    ");
}

#[test]
fn more_requests_than_the_limits_allow() {
    insta::assert_snapshot!(shown(Failure::overloaded()), @r"
    503 Service Unavailable
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    retry-after: 1
    code: UNAVAILABLE
    message: the mirror is answering as many requests as it may
    detail: try again in a moment; `limits` in `portcullis.toml` sets how many there may be
    ");
}

#[test]
fn a_defect() {
    insta::assert_snapshot!(shown(PullError::Internal("judging a manifest")), @r"
    500 Internal Server Error
    cache-control: no-store
    content-type: application/json
    docker-distribution-api-version: registry/2.0
    code: UNKNOWN
    message: judging a manifest failed inside the mirror
    detail: this is a defect of the mirror: please report it with the log of this request
    ");
}

#[test]
fn a_failure_that_somebody_else_met_first() {
    let first = || PullError::Integrity { upstream: "registry.test".to_owned(), digest: digest() };
    assert_eq!(shown(PullError::Shared(Arc::new(first()))), shown(first()));
}

#[test]
fn a_head_request_gets_the_same_headers_and_no_content() {
    let (get, head) =
        (Failure::overloaded().into_response(false), Failure::overloaded().into_response(true));
    assert_eq!(get.headers(), head.headers());
    let content = head.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    assert!(content.is_empty());
}

#[test]
fn no_refusal_looks_like_a_login_a_missing_manifest_or_a_busy_server() {
    let blob = blob_refused();
    let denied = PullError::Denied(refusal(Reason::NoSignature));
    let upstream = upstream(manifest(), UpstreamError::Denied { status: 401 });
    for refusal in [blob, denied, upstream] {
        assert_eq!(Failure::from(refusal).status, StatusCode::FORBIDDEN);
    }
}
