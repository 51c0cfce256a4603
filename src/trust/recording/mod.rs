//! Evidence as it was found once, to be judged again without any network.
//!
//! A `Recorder` stands between a search and its source and keeps every answer. The [`Recording`]
//! that comes of it answers the same questions in the same way, so what is judged by it goes through
//! the same code as a pull: an unlisted signature stays unlisted, a place that could not be looked at
//! stays one that could not be looked at. A question that was never asked has no answer: a policy
//! that looks in more places than were recorded leaves the image undecided, and says so.

mod files;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::SystemTime,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    EvidenceSource, LookFailure, Policy, Verdict, content_deny_listed, decide,
    evidence::look_everywhere, gather, unsupported,
};
use crate::{
    environment::ManualClock,
    oci::{Descriptor, Digest, ImageName, Manifest, Reference, UpstreamTable},
    timestamp::Timestamp,
};

/// One image with everything that was found about it.
#[derive(Clone, Debug)]
pub struct Recording {
    about: About,
    answers: Answers,
}

/// What a recording is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    image: String,
    digest: Digest,
    recorded: Timestamp,
}

/// Every question that was asked, with its answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    /// Manifests and blobs by `image:tag` or `image@digest`; `null` for what is not there.
    found: BTreeMap<String, Option<Digest>>,
    /// What refers to `image@digest`.
    referrers: BTreeMap<String, Vec<Descriptor>>,
    /// What could not be looked at, and why.
    failed: BTreeMap<String, Failed>,
    #[serde(skip)]
    content: HashMap<Digest, Bytes>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    reason: String,
    limit: bool,
}

/// Looks for everything that any rule could ask about the manifest `digest` of `image`, and keeps it.
/// Where `policy` says that signatures are elsewhere, it looks there too.
///
/// # Cancel safety
/// Only reads; dropping it loses what was found.
pub async fn record<S: EvidenceSource>(
    policy: &Policy,
    image: &ImageName,
    digest: &Digest,
    source: &S,
    now: SystemTime,
) -> Recording {
    let recorder = Recorder { source, answers: Mutex::default() };
    // The manifest itself is judged too.
    let _ = recorder.manifest(image, &Reference::Digest(*digest)).await;
    look_everywhere(policy, image, digest, &recorder).await;
    let about = About { image: image.to_string(), digest: *digest, recorded: Timestamp(now) };
    let answers = recorder.answers.into_inner().expect("nothing panics while it holds this lock");
    Recording { about, answers }
}

impl Recording {
    /// The image, as it was called when it was recorded.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.about.image
    }

    /// The manifest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.about.digest
    }

    /// When it was recorded.
    #[must_use]
    pub const fn recorded(&self) -> SystemTime {
        self.about.recorded.0
    }

    /// What could not be looked at while it was recorded, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.answers.failed.iter().map(|(place, failed)| (place.as_str(), failed.reason.as_str()))
    }

    /// What `policy` says about it at the time `now`: the manifest's own evidence alone, without any
    /// image index that may list it.
    ///
    /// # Errors
    /// When the names of `table` do not cover the image, or its manifest was not recorded, in words.
    pub async fn judge(
        &self,
        policy: &Policy,
        table: &UpstreamTable,
        now: SystemTime,
    ) -> Result<Verdict, String> {
        let image = table
            .parse_image(&self.about.image)
            .map_err(|error| format!("`{}`: {error}", self.about.image))?;
        let digest = &self.about.digest;
        let bytes = self.manifest(&image, &Reference::Digest(*digest)).await;
        let bytes = bytes
            .map_err(|error| error.to_string())?
            .ok_or("its manifest was not there when it was recorded")?;
        if let Some(denied) = content_deny_listed(policy, &image, digest, &bytes) {
            return Ok(denied);
        }
        if let Err(error) = Manifest::parse(&bytes, None) {
            return Ok(unsupported(policy, &image, digest, &error.to_string()));
        }
        let clock = ManualClock::new(now);
        let evidence = gather(policy, &image, digest, self, &clock).await;
        Ok(decide(policy, &image, digest, &evidence, now))
    }
}

/// Hands questions on to a source and keeps the answers.
#[derive(Debug)]
struct Recorder<'s, S> {
    source: &'s S,
    answers: Mutex<Answers>,
}

impl<S> Recorder<'_, S> {
    fn keep(&self, place: String, answer: &Result<Option<Bytes>, LookFailure>) {
        let mut answers = self.answers.lock().expect("nothing panics while it holds this lock");
        match answer {
            Ok(found) => {
                let digest = found.as_ref().map(|bytes| Digest::of(bytes));
                answers.content.extend(digest.zip(found.clone()));
                answers.found.insert(place, digest);
            }
            Err(failure) => answers.fail(place, failure),
        }
    }
}

impl Answers {
    fn fail(&mut self, place: String, failure: &LookFailure) {
        let failed = Failed { reason: failure.to_string(), limit: failure.is_limit() };
        self.failed.insert(place, failed);
    }

    fn look(&self, place: &str) -> Result<Option<Bytes>, LookFailure> {
        if let Some(failed) = self.failed.get(place) {
            return Err(LookFailure::new(&failed.reason, failed.limit));
        }
        match self.found.get(place) {
            Some(None) => Ok(None),
            Some(Some(digest)) => Ok(self.content.get(digest).cloned()),
            None => Err(unrecorded(place)),
        }
    }
}

fn unrecorded(place: &str) -> LookFailure {
    LookFailure::new(format!("`{place}` was not looked at when this was recorded"), false)
}

fn place_of(image: &ImageName, reference: &Reference) -> String {
    match reference {
        Reference::Digest(digest) => format!("{image}@{digest}"),
        Reference::Tag(tag) => format!("{image}:{tag}"),
    }
}

fn referrers_of(image: &ImageName, subject: &Digest, artifact_type: Option<&str>) -> String {
    match artifact_type {
        Some(kind) => format!("{image}@{subject} of type {kind}"),
        None => format!("{image}@{subject}"),
    }
}

impl<S: EvidenceSource> EvidenceSource for Recorder<'_, S> {
    async fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        let answer = self.source.manifest(image, reference).await;
        self.keep(place_of(image, reference), &answer);
        answer
    }

    async fn blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, LookFailure> {
        let answer = self.source.blob(image, digest, limit).await;
        self.keep(format!("{image}@{digest}"), &answer);
        answer
    }

    async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, LookFailure> {
        let answer = self.source.referrers(image, subject, artifact_type).await;
        let place = referrers_of(image, subject, artifact_type);
        let mut answers = self.answers.lock().expect("nothing panics while it holds this lock");
        match &answer {
            Ok(descriptors) => {
                answers.referrers.insert(place, descriptors.clone());
            }
            Err(failure) => answers.fail(format!("referrers of {place}"), failure),
        }
        drop(answers);
        answer
    }
}

impl EvidenceSource for Recording {
    async fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        self.answers.look(&place_of(image, reference))
    }

    async fn blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Option<Bytes>, LookFailure> {
        let found = self.answers.look(&format!("{image}@{digest}"))?;
        match found {
            Some(bytes) if bytes.len() > limit => {
                Err(LookFailure::new(format!("it has more than {limit} bytes"), true))
            }
            found => Ok(found),
        }
    }

    async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, LookFailure> {
        let place = referrers_of(image, subject, artifact_type);
        let failed = self.answers.failed.get(&format!("referrers of {place}"));
        match (self.answers.referrers.get(&place), failed) {
            (_, Some(failed)) => Err(LookFailure::new(&failed.reason, failed.limit)),
            (Some(descriptors), None) => Ok(descriptors.clone()),
            (None, None) => Err(unrecorded(&format!("referrers of {place}"))),
        }
    }
}
