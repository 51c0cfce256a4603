//! `keygen` and `sign`, against a registry in memory.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Parser as _;

use super::{Desk, environment, registry::Registry};
use crate::{
    cli::{Cli, CliError, Exit},
    config::Variables,
    oci::Digest,
    trust::keys::PublicKey,
};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

fn password(password: &str) -> Variables {
    [("COSIGN_PASSWORD".to_owned(), password.to_owned())].into_iter().collect()
}

impl Desk {
    async fn run_with(&self, variables: Variables, line: &[&str]) -> Result<Exit, CliError> {
        let line = ["portcullis"].iter().chain(line);
        let cli = Cli::try_parse_from(line).unwrap();
        cli.run(variables, &environment(), &mut self.output()).await
    }

    async fn keygen(&self, prefix: &str) -> Result<Exit, CliError> {
        self.run_with(password("open sesame"), &["keygen", &self.path(prefix)]).await
    }

    async fn sign(&self, registry: &Registry, options: &[&str]) -> Result<Exit, CliError> {
        let upstream = format!("registry.test=http://{}", registry.address);
        let line = ["sign", "registry.test/acme/app:1.0", "--upstream", &upstream];
        let line: Vec<_> = line.iter().chain(options).copied().collect();
        self.run_with(password("open sesame"), &line).await
    }
}

async fn registry() -> Registry {
    let registry = Registry::start().await;
    registry.put("/v2/acme/app/manifests/1.0", MANIFEST);
    registry
}

/// The path of the signatures of [`MANIFEST`] in `repository`.
fn signatures(repository: &str) -> String {
    format!("/v2/{repository}/manifests/sha256-{}.sig", Digest::of(MANIFEST).hex())
}

#[tokio::test]
async fn keygen_writes_a_pair_and_overwrites_nothing() {
    let desk = Desk::with(&[]);
    assert_eq!(desk.keygen("release").await.unwrap(), Exit::Success);
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("release.key"), mode("release.pub")), (0o600, 0o644));
    let key = fs::read_to_string(desk.path("release.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{key}");
    let public = PublicKey::from_pem(&fs::read(desk.path("release.pub")).unwrap()).unwrap();
    assert!(desk.told().contains(&public.fingerprint().to_string()));

    let refused = desk.keygen("release").await.unwrap_err();
    assert!(refused.to_string().contains("release.key` exists"), "{refused}");
    fs::remove_file(desk.path("release.key")).unwrap();
    let refused = desk.keygen("release").await.unwrap_err();
    assert!(refused.to_string().contains("release.pub` exists"), "{refused}");
    assert!(!Path::new(&desk.path("release.key")).exists());
}

#[tokio::test]
async fn sign_pushes_a_signature_that_the_public_key_verifies() {
    let (desk, registry) = (Desk::with(&[]), registry().await);
    desk.keygen("release").await.unwrap();
    desk.keygen("qa").await.unwrap();
    for key in ["release.key", "qa.key", "release.key"] {
        desk.sign(&registry, &["--key", &desk.path(key)]).await.unwrap();
    }
    let manifest = registry.content(&signatures("acme/app")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert!(layers.len() >= 2, "both keys are there: {manifest}");
    for (layer, key) in layers.iter().zip(["release.pub", "qa.pub"]) {
        let key = PublicKey::from_pem(&fs::read(desk.path(key)).unwrap()).unwrap();
        let payload = format!("blobs/{}", layer["digest"].as_str().unwrap());
        let payload = registry.content(&payload).unwrap();
        let text = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        assert!(key.verifies(&payload, &STANDARD.decode(text).unwrap()));
        assert!(payload.windows(64).any(|part| part == Digest::of(MANIFEST).hex().as_bytes()));
    }
    let config = format!("blobs/{}", manifest["config"]["digest"].as_str().unwrap());
    assert!(registry.content(&config).is_some());
}

#[tokio::test]
async fn sign_can_push_elsewhere_or_into_a_folder() {
    let (desk, registry) = (Desk::with(&[]), registry().await);
    desk.keygen("release").await.unwrap();
    let (key, out) = (desk.path("release.key"), desk.path("out"));
    let elsewhere = ["--key", &key, "--signatures-in", "registry.test/approvals"];
    desk.sign(&registry, &elsewhere).await.unwrap();
    assert!(registry.content(&signatures("approvals")).is_some());
    desk.sign(&registry, &["--key", &key, "--output-dir", &out]).await.unwrap();
    assert!(registry.content(&signatures("acme/app")).is_none());
    for name in ["payload.json", "signature", "config.json", "manifest.json"] {
        assert!(Path::new(&out).join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn sign_says_what_is_in_the_way() {
    let (desk, registry) = (Desk::with(&[("not.key", "a text")]), registry().await);
    desk.keygen("release").await.unwrap();
    let told = |error: CliError| error.to_string();
    let key = desk.path("not.key");
    let refused = told(desk.sign(&registry, &["--key", &key]).await.unwrap_err());
    assert!(refused.contains("cannot use the key"), "{refused}");

    let key = desk.path("release.key");
    let line = ["sign", "registry.test/app", "--key", &key];
    let refused = told(desk.run_with(password("open sesame"), &line).await.unwrap_err());
    assert!(refused.contains("add `--upstream registry.test=https://registry.test`"), "{refused}");

    let upstream = format!("registry.test=http://{}", registry.address);
    let line = ["sign", "registry.test/other", "--key", &key, "--upstream", &upstream];
    let refused = told(desk.run_with(password("wrong"), &line).await.unwrap_err());
    assert!(refused.contains("the password does not open it"), "{refused}");
    let refused = told(desk.run_with(password("open sesame"), &line).await.unwrap_err());
    assert!(refused.contains("does not have it; check the name"), "{refused}");
}
