//! What the tests of this room share: policies in a folder of their own, and a registry that answers
//! what it was told to (tests only).

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Evidence, EvidenceSource, LookFailure, Policy, Problem, Verdict, Warning,
    bundle::MEDIA_TYPES,
    decide, gather,
    signing::{PrivateKey, attach},
};
use crate::{
    environment::{ManualClock, SystemEntropy},
    oci::{
        Descriptor, Digest, ImageName, Reference, Tag, UpstreamNames, UpstreamTable,
        media_type::COSIGN_SIGNATURE_ARTIFACT, reference::CosignSuffix,
    },
};

/// 1 June 2026.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_780_272_000)
}

pub(super) fn key() -> PrivateKey {
    PrivateKey::generate(&SystemEntropy).unwrap()
}

/// `docker.io` with its aliases and `registry.test`, which is also `registry.alias`.
pub(super) fn table() -> UpstreamTable {
    let names = |name: &str, aliases: &[&str]| UpstreamNames {
        name: name.parse().unwrap(),
        aliases: aliases.iter().map(|alias| alias.parse().unwrap()).collect(),
        hosts: vec![],
    };
    let entries = vec![
        names("docker.io", &[]),
        names("registry.test", &["registry.alias"]),
        names("signatures.test", &[]),
    ];
    UpstreamTable::new(entries, Some("docker.io".parse().unwrap())).unwrap()
}

pub(super) fn image(text: &str) -> ImageName {
    table().parse_image(text).unwrap()
}

/// Loads `text` from a folder that holds each key as `<name>.pub`.
pub(super) fn load(
    text: &str,
    keys: &[(&str, &PrivateKey)],
) -> Result<(Policy, Vec<Warning>), Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in keys {
        write(&folder.path().join(format!("{name}.pub")), &key.public().to_pem());
    }
    let path = folder.path().join("policy.toml");
    write(&path, text);
    Policy::load(&path, &table(), now())
}

#[expect(clippy::disallowed_methods, reason = "test files need no durable publishing")]
pub(super) fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A policy in which every key is an authority of its name, and one rule for `registry.test/**`.
pub(super) fn policy(rule: &str, keys: &[(&str, &PrivateKey)]) -> Policy {
    let authorities: String = keys
        .iter()
        .map(|(name, _)| format!("[authority.{name}]\nkey = \"{name}.pub\"\n"))
        .collect();
    let text =
        format!("version = 1\n{authorities}[[rule]]\nmatch = \"registry.test/**\"\n{rule}\n");
    load(&text, keys).unwrap_or_else(|problems| panic!("{text}{problems:?}")).0
}

/// The problems of a policy that should not load, as `line key: what`.
pub(super) fn problems(text: &str, keys: &[(&str, &PrivateKey)]) -> Vec<String> {
    let problems = load(text, keys).map(drop).expect_err("it should not load");
    let line = |problem: &Problem| problem.line.unwrap_or_default();
    problems.iter().map(|one| format!("{} {}: {}", line(one), one.key, one.what)).collect()
}

/// What a registry answers; everything it was not told about is a 404.
#[derive(Debug, Default)]
pub(super) struct Registry {
    pub(super) manifests: HashMap<String, Result<Bytes, LookFailure>>,
    pub(super) blobs: HashMap<Digest, Result<Bytes, LookFailure>>,
    pub(super) referrers: HashMap<String, Result<Vec<Value>, LookFailure>>,
    /// What was asked, in no particular order.
    pub(super) asked: Mutex<Vec<String>>,
    /// Places that never answer.
    pub(super) silent: Vec<String>,
}

impl Registry {
    /// Signs `digest` as `named`, and keeps the signature in `kept` under the tag.
    pub(super) fn sign_as(&mut self, key: &PrivateKey, named: &str, kept: &str, digest: &Digest) {
        let tag = signature_tag(kept, digest);
        let existing = self.manifests.get(&tag).map(|bytes| bytes.clone().unwrap());
        let named = image(named);
        let signed = attach(key, &named, digest, existing.as_deref()).unwrap();
        self.put_blob(&signed.payload);
        self.put_blob(&signed.config);
        self.manifests.insert(tag, Ok(signed.manifest));
    }

    pub(super) fn sign(&mut self, key: &PrivateKey, named: &str, digest: &Digest) {
        self.sign_as(key, named, named, digest);
    }

    pub(super) fn put_blob(&mut self, content: &Bytes) -> Digest {
        let digest = Digest::of(content);
        self.blobs.insert(digest, Ok(content.clone()));
        digest
    }

    /// Changes the manifest of signatures of `digest` in `kept`.
    pub(super) fn edit(&mut self, kept: &str, digest: &Digest, change: impl FnOnce(&mut Value)) {
        let tag = signature_tag(kept, digest);
        let bytes = self.manifests[&tag].clone().unwrap();
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut manifest);
        self.manifests.insert(tag, Ok(manifest.to_string().into()));
    }

    /// Moves the signatures of `digest` in `kept` from the tag to a referrer of it.
    pub(super) fn refer(&mut self, kept: &str, digest: &Digest) {
        let bytes = self.manifests.remove(&signature_tag(kept, digest)).unwrap().unwrap();
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        manifest["artifactType"] = json!(COSIGN_SIGNATURE_ARTIFACT);
        manifest["subject"] = json!({"mediaType": "x/y", "digest": digest.to_string(), "size": 1});
        self.put_referrer(kept, digest, &manifest, Some(COSIGN_SIGNATURE_ARTIFACT));
    }

    /// Keeps `bundle` in `kept` as cosign 3 does: as a referrer of `digest`.
    pub(super) fn put_bundle(&mut self, kept: &str, digest: &Digest, bundle: &str) {
        let payload = Bytes::from(bundle.to_owned());
        let blob = self.put_blob(&payload);
        let kind = MEDIA_TYPES[0];
        let manifest = json!({
            "schemaVersion": 2, "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
                "digest": Digest::of(b"{}").to_string()},
            "layers": [{"mediaType": kind, "size": payload.len(), "digest": blob.to_string()}],
            "subject": {"mediaType": "x/y", "digest": digest.to_string(), "size": 1},
        });
        self.put_referrer(kept, digest, &manifest, Some(kind));
    }

    /// Keeps `manifest` in `kept` and lists it as a referrer of `digest`, with this artifact type.
    pub(super) fn put_referrer(
        &mut self,
        kept: &str,
        digest: &Digest,
        manifest: &Value,
        listed_as: Option<&str>,
    ) {
        let bytes = Bytes::from(manifest.to_string());
        let referrer = Digest::of(&bytes);
        let descriptor = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": referrer.to_string(), "size": bytes.len(), "artifactType": listed_as,
        });
        self.manifests.insert(format!("{kept}@{referrer}"), Ok(bytes));
        let listed = self.referrers.entry(format!("{kept}@{digest}")).or_insert_with(|| Ok(vec![]));
        listed.as_mut().unwrap().push(descriptor);
    }

    async fn answer<T: Clone>(
        &self,
        place: String,
        answer: Option<&Result<T, LookFailure>>,
    ) -> Result<Option<T>, LookFailure> {
        let silent = self.silent.contains(&place);
        self.asked.lock().unwrap().push(place);
        if silent {
            std::future::pending::<()>().await;
        }
        answer.cloned().transpose()
    }
}

impl EvidenceSource for Registry {
    async fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        let place = match reference {
            Reference::Digest(digest) => format!("{image}@{digest}"),
            Reference::Tag(tag) => format!("{image}:{tag}"),
        };
        let answer = self.manifests.get(&place);
        self.answer(place, answer).await
    }

    async fn blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        _limit: usize,
    ) -> Result<Option<Bytes>, LookFailure> {
        self.answer(format!("{image} blob {digest}"), self.blobs.get(digest)).await
    }

    async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, LookFailure> {
        let place = format!("{image}@{subject}");
        let asked = format!("referrers {place} {}", artifact_type.unwrap_or("*"));
        let narrowed =
            artifact_type.and_then(|kind| self.referrers.get(&format!("{place} {kind}")));
        let listed = self.answer(asked, narrowed.or_else(|| self.referrers.get(&place))).await?;
        let parse = |value: Value| serde_json::from_value(value).unwrap();
        Ok(listed.unwrap_or_default().into_iter().map(parse).collect())
    }
}

/// The tag of the signatures of `digest` in `kept`.
pub(super) fn signature_tag(kept: &str, digest: &Digest) -> String {
    format!("{kept}:{}", Tag::cosign(digest, CosignSuffix::Signatures))
}

/// Looks for evidence and decides, at [`now`].
pub(super) fn judge(policy: &Policy, registry: &Registry, named: &str, digest: &Digest) -> Verdict {
    let evidence = look(policy, registry, named, digest);
    decide(policy, &image(named), digest, &evidence, now())
}

/// Looks for evidence at [`now`].
pub(super) fn look(policy: &Policy, registry: &Registry, named: &str, digest: &Digest) -> Evidence {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let clock = ManualClock::new(now());
    runtime.block_on(gather(policy, &image(named), digest, registry, &clock))
}
