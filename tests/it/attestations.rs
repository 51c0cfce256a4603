//! Attestations as a requirement: what is said about an image, by whom, decides whether it is served.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::support::{
    signing::{self, signature_image},
    *,
};

const POLICY: &str = r#"
[authority.release]
key = "release.pub"

[[rule]]
match = "registry.test/**"
require = { all = ["release", { attestation = { type = "vuln", by = "release", where = """
    predicate.scanner.result.all(found, found.severity != 'critical')
    && predicate.scanner.version == '2'
    && image.repository.startsWith('acme/')""" } }] }
"#;

const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";

async fn stage() -> Stage {
    Stage::with(|setup| setup.policy(POLICY)).await
}

/// What a scanner of version 2 says that found one thing, this severe.
fn scan(severity: &str) -> Value {
    json!({"scanner": {"version": "2", "result": [{"severity": severity}]}})
}

/// Signs `image` in `repository`, and attaches what `key` says about it as cosign 2 does.
fn attest(stage: &Stage, repository: &str, image: &Image, key: &Key, kind: &str, said: &Value) {
    stage.push_signed(repository, "v1", image);
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind,
        "subject": [{"name": repository, "digest": {"sha256": image.digest.hex()}}],
        "predicate": said,
    })
    .to_string();
    let kind = "application/vnd.in-toto+json";
    let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    let envelope = json!({
        "payloadType": kind, "payload": STANDARD.encode(&statement),
        "signatures": [{"sig": STANDARD.encode(key.sign(message.as_bytes()))}],
    });
    let layer = Signature {
        media_type: DSSE.to_owned(),
        ..Signature::made_of(envelope.to_string(), b"").annotated("")
    };
    let tag = signing::signature_tag(&image.digest).replace(".sig", ".att");
    stage.upstream.push(repository, &tag, &signature_image(&[layer], None));
}

#[tokio::test]
async fn an_image_is_served_when_its_attestation_says_what_the_rule_wants() {
    let stage = stage().await;
    let image = Image::oci("scanned");
    attest(&stage, "acme/app", &image, &stage.key, VULN, &scan("low"));
    let answer = stage.mirror.manifest("acme/app", image.digest).await;
    answer.serves(&image);
    // For everything in it, too, and without asking anybody again.
    stage.upstream.go_down().await;
    stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
}

#[tokio::test]
async fn g11_an_image_is_refused_for_what_its_attestations_say_or_do_not_say() {
    let stage = stage().await;
    let stranger = Key::p256();
    let slsa = "https://slsa.dev/provenance/v1";
    let missing = json!({"scanner": {"result": []}});
    let cases = [
        ("acme/critical", &stage.key, VULN, scan("critical"), "condition_false"),
        ("acme/missing", &stage.key, VULN, missing, "condition_false"),
        ("other/scope", &stage.key, VULN, scan("low"), "condition_false"),
        ("acme/kind", &stage.key, slsa, scan("low"), "below_threshold"),
        ("acme/stranger", &stranger, VULN, scan("low"), "below_threshold"),
    ];
    for (repository, key, kind, said, reason) in cases {
        let image = Image::oci(repository);
        attest(&stage, repository, &image, key, kind, &said);
        let answer = stage.mirror.manifest(repository, image.digest).await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), reason, "{repository}: {answer:?}");
        if repository == "acme/missing" {
            let message = format!("{answer:?}");
            assert!(message.contains("`predicate.scanner.version` is missing"), "{message}");
        }
    }
    let unsigned = Image::oci("attested and not signed");
    attest(&stage, "acme/unsigned", &unsigned, &stage.key, VULN, &scan("low"));
    let tag = signing::signature_tag(&unsigned.digest);
    stage.upstream.remove_tag("acme/unsigned", &tag);
    stage.mirror.manifest("acme/unsigned", unsigned.digest).await.denied();
}
