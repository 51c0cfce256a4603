//! What the scripted upstream holds, and its honest answers: an OCI registry in memory.
//!
//! OCI distribution 1.1, "Pull", "Listing Tags" and "Listing Referrers". Answers are computed from
//! the path alone; lies are the business of [`super::fault`].

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use portcullis::oci::{Algorithm, Digest};
use serde_json::{Value, json};

/// The media types that tests spell most.
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest: exact bytes, and what they are announced as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

impl Document {
    pub(crate) fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self { media_type: media_type.to_owned(), bytes: bytes.into() }
    }

    pub(crate) fn json(media_type: &str, value: &Value) -> Self {
        Self::new(media_type, value.to_string())
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }
}

/// All repositories of one upstream.
#[derive(Debug)]
pub(crate) struct Content {
    repositories: BTreeMap<String, Repository>,
    /// Whether the referrers API is there; without it the tag schema is all there is.
    pub(crate) referrers_api: bool,
}

#[derive(Debug, Default)]
struct Repository {
    manifests: BTreeMap<String, Document>,
    tags: BTreeMap<String, String>,
    blobs: BTreeMap<String, Bytes>,
}

impl Content {
    pub(crate) const fn new() -> Self {
        Self { repositories: BTreeMap::new(), referrers_api: false }
    }

    pub(crate) fn put_manifest(&mut self, repository: &str, tag: Option<&str>, document: Document) {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::with(algorithm, &document.bytes).to_string();
            repository.manifests.insert(digest, document.clone());
        }
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), document.digest().to_string());
        }
    }

    pub(crate) fn put_blob(&mut self, repository: &str, blob: &Bytes) {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::with(algorithm, blob).to_string();
            repository.blobs.insert(digest, blob.clone());
        }
    }

    pub(crate) fn manifest(&self, repository: &str, reference: &str) -> Option<&Document> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        repository.manifests.get(digest)
    }

    pub(crate) fn remove_tag(&mut self, repository: &str, tag: &str) {
        if let Some(repository) = self.repositories.get_mut(repository) {
            repository.tags.remove(tag);
        }
    }

    /// The honest answer to a `GET` of `path` and `query`; `HEAD` is the same without the body.
    pub(crate) fn answer(&self, path: &str, query: &str, asked: &HeaderMap) -> Response<Bytes> {
        let Some(path) = path.strip_prefix("/v2/") else {
            return error(StatusCode::NOT_FOUND, "NOT_FOUND");
        };
        if path.is_empty() {
            return json_answer("application/json", &json!({}));
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return self.tags(name, query);
        }
        let Some((start, last)) = path.rsplit_once('/') else {
            return error(StatusCode::NOT_FOUND, "NOT_FOUND");
        };
        match start.rsplit_once('/') {
            Some((name, "manifests")) => match self.manifest(name, last) {
                Some(document) => manifest(document, last),
                None => error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            },
            Some((name, "blobs")) => self.blob(name, last, asked),
            Some((name, "referrers")) if self.referrers_api => self.referrers(name, last, query),
            _ => error(StatusCode::NOT_FOUND, "NOT_FOUND"),
        }
    }

    fn blob(&self, name: &str, digest: &str, asked: &HeaderMap) -> Response<Bytes> {
        let Some(blob) = self.repositories.get(name).and_then(|it| it.blobs.get(digest)) else {
            return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
        };
        let tag = format!("\"{digest}\"");
        let wanted = asked.get(header::RANGE).and_then(|range| range.to_str().ok());
        let same = asked.get(header::IF_RANGE).is_none_or(|value| value == tag.as_str());
        let start = wanted
            .and_then(|range| range.strip_prefix("bytes=")?.split_once('-')?.0.parse().ok())
            .filter(|start: &usize| same && *start < blob.len());
        let answer = Response::builder()
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::ETAG, tag)
            .header("Docker-Content-Digest", digest);
        let answer = match start {
            None => answer.body(blob.clone()),
            Some(start) => answer
                .status(StatusCode::PARTIAL_CONTENT)
                .header(
                    header::CONTENT_RANGE,
                    format!("bytes {start}-{}/{}", blob.len() - 1, blob.len()),
                )
                .body(blob.slice(start..)),
        };
        answer.expect("digests are fit for headers")
    }

    fn tags(&self, name: &str, query: &str) -> Response<Bytes> {
        let Some(repository) = self.repositories.get(name) else {
            return error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
        };
        let value = |wanted: &str| {
            query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == wanted)
        };
        let last = value("last").map(|(_, last)| last.to_owned());
        let count = value("n").and_then(|(_, count)| count.parse().ok()).unwrap_or(usize::MAX);
        let rest: Vec<_> = repository
            .tags
            .keys()
            .filter(|tag| last.as_ref().is_none_or(|last| *tag > last))
            .collect();
        let page = &rest[..count.min(rest.len())];
        let mut answer = json_answer("application/json", &json!({ "name": name, "tags": page }));
        if let Some(end) = page.last().filter(|_| page.len() < rest.len()) {
            let link = format!("</v2/{name}/tags/list?n={count}&last={end}>; rel=\"next\"");
            answer.headers_mut().insert(header::LINK, link.parse().expect("tags are plain"));
        }
        answer
    }

    fn referrers(&self, name: &str, subject: &str, query: &str) -> Response<Bytes> {
        let wanted = query.strip_prefix("artifactType=").map(|text| text.replace("%2B", "+"));
        let manifests: Vec<Value> = self
            .repositories
            .get(name)
            .into_iter()
            .flat_map(|repository| repository.manifests.iter())
            .filter(|(digest, _)| digest.starts_with("sha256:"))
            .filter_map(|(_, document)| {
                let value = document.value();
                (value["subject"]["digest"] == subject).then(|| descriptor(document, &value))
            })
            .filter(|found| wanted.as_ref().is_none_or(|wanted| found["artifactType"] == **wanted))
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
        let mut answer = json_answer(OCI_INDEX, &index);
        if wanted.is_some() {
            let filtered = http::HeaderValue::from_static("artifactType");
            answer.headers_mut().insert("OCI-Filters-Applied", filtered);
        }
        answer
    }
}

/// A descriptor of `document`, as the referrers API lists it.
fn descriptor(document: &Document, value: &Value) -> Value {
    let artifact_type = match &value["artifactType"] {
        Value::Null => value["config"]["mediaType"].clone(),
        given => given.clone(),
    };
    json!({
        "mediaType": document.media_type,
        "digest": document.digest(),
        "size": document.bytes.len(),
        "artifactType": artifact_type,
        "annotations": value["annotations"].as_object().cloned().unwrap_or_default(),
    })
}

fn manifest(document: &Document, reference: &str) -> Response<Bytes> {
    let digest = match reference.parse::<Digest>() {
        Ok(digest) => digest,
        Err(_) => document.digest(),
    };
    Response::builder()
        .header(header::CONTENT_TYPE, &document.media_type)
        .header("Docker-Content-Digest", digest.to_string())
        .header(header::ETAG, format!("\"{digest}\""))
        .body(document.bytes.clone())
        .expect("media types of tests are fit for headers")
}

pub(crate) fn error(status: StatusCode, code: &str) -> Response<Bytes> {
    let body = json!({ "errors": [{ "code": code, "message": "said the upstream" }] });
    let mut answer = json_answer("application/json", &body);
    *answer.status_mut() = status;
    answer
}

pub(crate) fn json_answer(media_type: &str, value: &Value) -> Response<Bytes> {
    Response::builder()
        .header(header::CONTENT_TYPE, media_type)
        .body(Bytes::from(value.to_string()))
        .expect("media types are fit for headers")
}
