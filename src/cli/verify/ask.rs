//! Has images judged by a mirror that runs, through its clients' door.
//!
//! A pipeline seldom reaches more than that door, and what it asks there is answered by the same
//! verdict that a pull would get. That a Portcullis answers, and not a registry that lets everything
//! pass, is asserted before anything is believed.

use hyper::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, LINK},
};
use serde::Deserialize;

use super::{Judge, Judged, Unjudged};
use crate::{
    cli::{
        failure::CliError,
        remote::{Remote, Reply},
    },
    images::ImageArgument,
    mirror::Job,
    oci::{Digest, ImageName},
    trust::Verdict,
};

/// A running mirror as the judge.
#[derive(Debug)]
pub(super) struct RemoteJudge {
    remote: Remote,
    job: Option<HeaderValue>,
}

impl RemoteJudge {
    /// The mirror at `url`, for `job`.
    ///
    /// # Errors
    /// When `url` is none, or when it is answered by something else than a Portcullis. One that does
    /// not answer at all is for the judgements to say.
    pub(super) async fn connect(url: &str, job: Option<&Job>) -> Result<Self, CliError> {
        let remote = Remote::new(url)?;
        let job = job.and_then(|job| HeaderValue::from_str(job.as_str()).ok());
        let judge = Self { remote, job };
        match judge.ask("/v2/").await {
            Ok(reply) if !reply.headers.contains_key(EXTENSIONS) => Err(CliError::Usage(format!(
                "`{url}` is not a Portcullis: it answered {} without saying that it gives verdicts; \
                 name the address for clients of a mirror of this version",
                reply.status
            ))),
            Ok(_) | Err(_) => Ok(judge),
        }
    }

    async fn ask(&self, path: &str) -> Result<Reply, String> {
        self.remote.ask(Method::GET, path, self.job.as_ref()).await
    }
}

impl Judge for RemoteJudge {
    /// Only the mirror knows what names mean to it.
    fn canonical(&self, _: &ImageArgument) -> Result<Option<ImageName>, String> {
        Ok(None)
    }

    async fn judge(&self, image: &ImageArgument) -> Result<Judged, Unjudged> {
        let reference = image.reference_or_latest();
        let (repository, query) = path_of(image.name());
        let path = format!("/v2/{repository}/_portcullis/verdict/{reference}{query}");
        let reply = self.ask(&path).await.map_err(|error| {
            Unjudged::Unreached(format!("`{}` does not answer: {error}", self.remote.url()))
        })?;
        read(&reply)
    }

    async fn tags(&self, name: &str) -> Result<Vec<String>, String> {
        let (repository, query) = path_of(name);
        let separator = if query.is_empty() { '?' } else { '&' };
        let path = format!("/v2/{repository}/tags/list{query}{separator}n={PAGE}");
        let mut tags: Vec<String> = Vec::new();
        loop {
            let last = tags.last().map(|last| format!("&last={last}")).unwrap_or_default();
            let reply = self.ask(&format!("{path}{last}")).await?;
            if reply.status != StatusCode::OK {
                return Err(said(&reply));
            }
            let page: Page =
                serde_json::from_slice(&reply.content).map_err(|error| error.to_string())?;
            let is_last = page.tags.is_empty() || !reply.headers.contains_key(LINK);
            tags.extend(page.tags);
            if is_last {
                return Ok(tags);
            }
        }
    }
}

#[derive(Deserialize)]
struct Page {
    tags: Vec<String>,
}

/// The path that a repository has, and the query that names its upstream. A first segment that looks
/// like a host is one, as every client reads it: a mirror that does not know it says so.
fn path_of(name: &str) -> (&str, String) {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (rest, format!("?ns={host}"))
        }
        _ => (name, String::new()),
    }
}

/// What the mirror says of an image.
#[derive(Deserialize)]
struct Said {
    upstream: String,
    repository: String,
    digest: Option<Digest>,
    error: Option<String>,
}

fn read(reply: &Reply) -> Result<Judged, Unjudged> {
    if reply.status.is_server_error() {
        return Err(Unjudged::Unreached(said(reply)));
    }
    let is_verdict =
        reply.headers.get(CONTENT_TYPE).is_some_and(|found| found.as_bytes() == VERDICT.as_bytes());
    if reply.status != StatusCode::OK || !is_verdict {
        return Err(Unjudged::Missing(said(reply)));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        Unjudged::Unreached(format!(
            "the mirror's answer is not understood ({error}); is it newer?"
        ))
    };
    let told: Said = serde_json::from_slice(&reply.content).map_err(|error| unreadable(&error))?;
    if let Some(error) = told.error {
        return Err(Unjudged::Missing(error));
    }
    let verdict: Verdict =
        serde_json::from_slice(&reply.content).map_err(|error| unreadable(&error))?;
    let image = ImageName {
        upstream: told.upstream.parse().map_err(|error| unreadable(&error))?,
        repository: told.repository.parse().map_err(|error| unreadable(&error))?,
    };
    Ok(Judged { image, digest: told.digest, verdict })
}

/// The message of an OCI error (OCI distribution 1.1, "Error codes"), with the status.
fn said(reply: &Reply) -> String {
    let message = serde_json::from_slice::<serde_json::Value>(&reply.content).ok();
    let message = message.and_then(|body| body["errors"][0]["message"].as_str().map(str::to_owned));
    match message {
        Some(message) => format!("the mirror answered {}: {message}", reply.status.as_u16()),
        None => format!("the mirror answered {}", reply.status),
    }
}

/// What a Portcullis says at `/v2/` and no registry does.
const EXTENSIONS: &str = "x-portcullis-extensions";
const VERDICT: &str = "application/vnd.portcullis.verdict.v1+json";
/// Tags that are asked for at once.
const PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn reply(status: StatusCode, content_type: &'static str, content: &str) -> Reply {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Reply { status, headers, content: content.to_owned().into() }
    }

    #[test]
    fn a_host_is_asked_for_by_name() {
        assert_eq!(path_of("nginx"), ("nginx", String::new()));
        assert_eq!(path_of("acme/app"), ("acme/app", String::new()));
        assert_eq!(path_of("ghcr.io/acme/app"), ("acme/app", "?ns=ghcr.io".to_owned()));
        assert_eq!(path_of("localhost/app"), ("app", "?ns=localhost".to_owned()));
    }

    #[test]
    fn a_web_page_with_status_200_is_no_verdict() {
        let page = reply(StatusCode::OK, "text/html", "{\"outcome\":\"admitted\"}");
        assert!(matches!(read(&page), Err(Unjudged::Missing(_))));
        let empty = reply(StatusCode::OK, VERDICT, "{\"upstream\":\"a\",\"repository\":\"b\"}");
        assert!(matches!(read(&empty), Err(Unjudged::Unreached(_))));
    }

    #[test]
    fn a_mirror_that_cannot_tell_leaves_it_undecided() {
        let body = "{\"errors\":[{\"message\":\"the disk is full\"}]}";
        let full = reply(StatusCode::SERVICE_UNAVAILABLE, "application/json", body);
        let Err(Unjudged::Unreached(why)) = read(&full) else { panic!("is no verdict") };
        assert_eq!(why, "the mirror answered 503: the disk is full");
    }
}
