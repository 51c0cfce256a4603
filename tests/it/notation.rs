//! Notation signatures by their own signer, pulled through the mirror under several policies.

use std::{fs, path::PathBuf};

use crate::support::*;

fn recorded(case: &str, file: &str) -> Vec<u8> {
    let vectors = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let path = vectors.join(case).join(file);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The image that all recordings are about.
fn image() -> Image {
    let manifest = recorded("cosign2-p256", "manifest.json");
    Image::raw("application/vnd.oci.image.manifest.v1+json", manifest, Vec::new())
}

/// Puts the image into `upstream` with the envelope of `case` as a referrer of it.
fn push(upstream: &Upstream, repository: &str, case: &str, format: &str) -> Image {
    let image = image();
    upstream.push(repository, "v1", &image);
    let envelope =
        Bytes::from(recorded(&format!("notation/{case}"), &format!("envelope.{format}")));
    let layer_type = if format == "jws" { "application/jose+json" } else { "application/cose" };
    let empty = Bytes::from_static(b"{}");
    let config = json!({
        "mediaType": "application/vnd.cncf.notary.signature",
        "digest": Digest::of(&empty), "size": empty.len(),
    });
    let layer =
        json!({"mediaType": layer_type, "digest": Digest::of(&envelope), "size": envelope.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cncf.notary.signature",
        "config": config, "layers": [layer], "subject": image.descriptor(),
    });
    for blob in [&empty, &envelope] {
        upstream.put_blob(repository, blob);
    }
    let signature = Document::json("application/vnd.oci.image.manifest.v1+json", &manifest);
    upstream.put_manifest(repository, None, signature);
    image
}

const POLICY: &str = r#"
[authority.corp.notation]
trust_store = "corp.pem"
identities = "x509.subject: C=US, ST=WA, O=Acme"
[authority.other.notation]
trust_store = "other.pem"
identities = "*"
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/corp/**"
require = "corp"
[[rule]]
match = "registry.test/other/**"
require = "other"
[[rule]]
match = "registry.test/acme/**"
require = { at_least = 2, of = ["release", "corp", "other"] }
[[rule]]
match = "registry.test/classic/**"
require = "corp"
formats = ["cosign"]
"#;

async fn start(upstream: &Upstream, case: &str) -> Mirror {
    Setup::new()
        .upstream(NAME, upstream)
        .policy(POLICY)
        .file("corp.pem", recorded(&format!("notation/{case}"), "ca.pem"))
        .file("other.pem", recorded("notation/foreign", "ca.pem"))
        .file("release.pub", recorded("cosign2-p256", "key.pub"))
        .start()
        .await
}

#[tokio::test]
async fn a_notation_signature_counts_for_whoever_trusts_its_certificate() {
    for (case, format) in [("jws-ec256", "jws"), ("cose-rsa3072", "cose")] {
        let upstream = Upstream::start().await;
        upstream.offer_referrers();
        let mirror = start(&upstream, case).await;
        for (repository, reason) in [
            ("corp/app", "admitted"),
            ("other/app", "signer_not_trusted"),
            ("classic/app", "no_signature"),
        ] {
            let image = push(&upstream, repository, case, format);
            let answer = mirror.manifest(repository, image.digest).await;
            assert_eq!(mirror.reason_of(&answer), reason, "{repository}: {answer:?}");
            assert_eq!(answer.status == 200, reason == "admitted", "{repository}");
        }
    }
}

#[tokio::test]
async fn g27_a_key_and_a_notation_signer_fill_two_places() {
    let upstream = Upstream::start().await;
    upstream.offer_referrers();
    let mirror = start(&upstream, "jws-ec256").await;
    let image = push(&upstream, "acme/app", "jws-ec256", "jws");
    let alone = mirror.manifest("acme/app", image.digest).await;
    assert_eq!(mirror.reason_of(&alone), "below_threshold", "{alone:?}");

    let upstream = Upstream::start().await;
    upstream.offer_referrers();
    let mirror = start(&upstream, "jws-ec256").await;
    let image = push(&upstream, "acme/app", "jws-ec256", "jws");
    upstream.put_blob("acme/app", &recorded("cosign2-p256", "payload-0.json").into());
    let signatures = recorded("cosign2-p256", "signatures.json");
    let signatures = Document::new("application/vnd.oci.image.manifest.v1+json", signatures);
    let tag = format!("{}.sig", image.digest.to_string().replace(':', "-"));
    upstream.put_manifest("acme/app", Some(&tag), signatures);
    let both = mirror.manifest("acme/app", image.digest).await;
    assert_eq!(mirror.reason_of(&both), "admitted", "{both:?}");
}

#[tokio::test]
async fn an_answer_about_revocation_that_is_missing_is_503_and_comes_with_a_list() {
    let upstream = Upstream::start().await;
    upstream.offer_referrers();
    let image = push(&upstream, "corp/app", "revocable", "jws");
    let policy = |list: &str| {
        format!(
            "[authority.corp.notation]\ntrust_store = \"corp.pem\"\nidentities = \"*\"\n{list}\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"corp\"\n"
        )
    };
    for (list, status, reason) in [
        ("", 503, "evidence_unreachable"),
        ("crl = \"ca.crl\"", 200, "admitted"),
        ("crl = \"revoked.crl\"", 403, "signer_not_trusted"),
    ] {
        let files = ["ca.crl", "revoked.crl"];
        let setup = Setup::new().upstream(NAME, &upstream).policy(&policy(list));
        let setup = files
            .iter()
            .fold(setup, |setup, file| setup.file(file, recorded("notation/revocable", file)));
        let mirror = setup.file("corp.pem", recorded("notation/revocable", "ca.pem")).start().await;
        let answer = mirror.manifest("corp/app", image.digest).await;
        assert_eq!(mirror.reason_of(&answer), reason, "{list}: {answer:?}");
        assert_eq!(answer.status.as_u16(), status, "{list}");
    }
}

#[tokio::test]
async fn g48_clients_can_read_the_signatures_too() {
    let upstream = Upstream::start().await;
    upstream.offer_referrers();
    let mirror = start(&upstream, "cose-ec256").await;
    let image = push(&upstream, "corp/app", "cose-ec256", "cose");
    assert_eq!(mirror.manifest("corp/app", image.digest).await.status, 200);
    let listed = mirror.get(format!("/v2/corp/app/referrers/{}", image.digest)).await;
    let listed: Value = serde_json::from_slice(&listed.body).expect("a list");
    let signature = listed["manifests"][0]["digest"].as_str().expect("one referrer").to_owned();
    let manifest = mirror.manifest("corp/app", &signature).await;
    assert_eq!(manifest.status, 200, "{manifest:?}");
    let manifest: Value = serde_json::from_slice(&manifest.body).expect("a manifest");
    let envelope = manifest["layers"][0]["digest"].as_str().expect("a layer").to_owned();
    let blob = mirror.blob("corp/app", envelope).await;
    assert_eq!(blob.status, 200, "{blob:?}");
}
