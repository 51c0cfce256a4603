//! What the tests of the endpoints share.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Response, header::HeaderName};

use tempfile::TempDir;

use super::body::Body;
use crate::{
    environment::Environment,
    store::{Options, Store},
    telemetry::Metrics,
    trust::{Mode, Reason, Verdict},
};

/// The headers of a request, or of an answer that is compared with one.
pub(super) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| -> (HeaderName, _) {
        (name.parse().unwrap(), value.parse().unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// One header of an answer as text, or nothing.
pub(super) fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The content of an answer that has all of it in memory.
pub(super) fn content(response: Response<Body>) -> Vec<u8> {
    let read = response.into_body().collect().now_or_never().expect("nothing to wait for");
    read.unwrap().to_bytes().to_vec()
}

/// A verdict for `reason`, by `rule`.
pub(super) fn verdict(reason: Reason, rule: Option<&str>) -> Verdict {
    Verdict {
        outcome: reason.outcome(),
        reason,
        rule: rule.map(str::to_owned),
        mode: Mode::Enforce,
        enforced: true,
        policy: String::new(),
        trust: String::new(),
        message: "`registry.test/acme/app` is not signed".to_owned(),
        next_step: "sign it with `cosign sign`".to_owned(),
        evidence: Vec::new(),
        tree: None,
        valid_until: None,
        signed_by: Vec::new(),
        inherited_from: None,
    }
}

/// An empty store, and the folder that it needs to take anything in.
pub(super) fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let options = Options {
        root,
        max_size: 0,
        scrub_every: Duration::ZERO,
        fills_per_origin: std::num::NonZeroUsize::MIN,
    };
    let metrics = Arc::new(Metrics::new());
    (folder, Store::open(options, &Environment::system(), metrics).unwrap())
}
