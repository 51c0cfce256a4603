//! Every error body, whole, as a client reads it through the real door.
//!
//! What differs from run to run (ids, ports) is replaced by its name before it is compared.

use insta::assert_snapshot;

use crate::support::*;

/// Status, telling headers and body of `answer`, without what differs from run to run.
fn told(stage: &Stage, answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status.as_u16());
    for name in ["allow", "content-range", "content-type", "retry-after", "warning"] {
        if let Some(value) = answer.header(name) {
            text += &format!("{name}: {value}\n");
        }
    }
    text += "\n";
    let body: Value = serde_json::from_slice(&answer.body).expect("errors are JSON");
    text += &serde_json::to_string_pretty(&body).expect("it was just parsed");
    let text = text.replace(&stage.upstream.url()["http://".len()..], "<upstream>");
    let ids = text.split("decision ").skip(1).map(|rest| rest[..26.min(rest.len())].to_owned());
    ids.collect::<Vec<_>>().iter().fold(text, |text, id| text.replace(id, "<ulid>"))
}

#[tokio::test]
async fn refusals_by_policy() {
    let image = Image::oci("told");
    let policy = format!(
        r#"
[authority.release]
key = "release.pub"
[authority.qa]
key = "qa.pub"
[[rule]]
match = "registry.test/acme/*"
require = "release"
[[rule]]
match = "registry.test/two/*"
require = {{ at_least = 2, of = ["release", "qa"] }}
[[rule]]
match = "registry.test/never/*"
require = "never"
[[rule]]
match = "registry.test/pinned/*"
require = {{ pin = ["{pin}"] }}
[[deny]]
digest = "{denied}"
reason = "CVE-2026-0001"
"#,
        pin = Digest::of(b"pinned"),
        denied = Image::oci("denied").digest,
    );
    let qa = Key::p256();
    let stage = Stage::with(|setup| setup.policy(&policy).key("qa.pub", &qa)).await;
    let stranger = Key::ed25519();
    for repository in ["acme/unsigned", "never/app", "pinned/app", "elsewhere/app", "two/app"] {
        stage.upstream.push(repository, "v1", &image);
    }
    stage.sign("two/app", &image);
    stage.push_signed("acme/denied", "v1", &Image::oci("denied"));
    let foreign = Signature::by(&stage.key, "registry.test/acme/other", &image.digest);
    stage.judge("acme/renamed", &image, &[foreign]).await;

    let tell = |repository: &str| {
        let target = format!("/v2/{repository}/manifests/v1");
        let stage = &stage;
        async move { told(stage, &stage.mirror.get(target).await) }
    };
    assert_snapshot!("no_signature", tell("acme/unsigned").await);
    assert_snapshot!("never", tell("never/app").await);
    assert_snapshot!("not_pinned", tell("pinned/app").await);
    assert_snapshot!("no_rule", tell("elsewhere/app").await);
    assert_snapshot!("below_threshold", tell("two/app").await);
    assert_snapshot!("deny_list", tell("acme/denied").await);
    assert_snapshot!("name_mismatch", tell("acme/renamed").await);

    // Signatures and keys are random, what is said of them is not, but for a key's fingerprint.
    let by = Signature::by(&stranger, "registry.test/acme/stranger", &image.digest);
    let answer = stage.judge("acme/stranger", &image, &[by]).await;
    assert_snapshot!("signer_not_trusted", told(&stage, &answer));
    let other = Image::oci("another one");
    let moved = stage.signature("acme/altered", &other);
    let answer = stage.judge("acme/altered", &image, &[moved]).await;
    assert_snapshot!("digest_mismatch", told(&stage, &answer));
    let junk = Signature::made_of(payload("registry.test/acme/junk", &image.digest), b"junk");
    let answer = stage.judge("acme/junk", &image, &[junk]).await;
    assert_snapshot!("signature_invalid", told(&stage, &answer));

    let odd = image.changed(|manifest| manifest["manifests"] = json!([]));
    stage.upstream.push("acme/odd", "v1", &odd);
    assert_snapshot!("unsupported_manifest", tell("acme/odd").await);
    stage.mirror.manifest("acme/unsigned", "v1").await.denied();
    let blob = stage.mirror.blob("acme/unsigned", image.layer(0)).await;
    assert_snapshot!("blob_refused", told(&stage, &blob));
}

#[tokio::test]
async fn no_policy() {
    let upstream = Upstream::start().await;
    upstream.push("acme/app", "v1", &Image::oci("told"));
    let mirror = Setup::new().upstream(NAME, &upstream).start().await;
    let stage = Stage { upstream, key: Key::ed25519(), mirror };
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert_snapshot!("no_policy", told(&stage, &answer));
}

#[tokio::test]
async fn what_the_upstream_said() {
    let stage = Stage::new().await;
    let image = Image::oci("told");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for (repository, fault) in [
        ("acme/private", Fault::status(401)),
        ("acme/forbidden", Fault::status(403)),
        (
            "acme/busy",
            Fault::Answer {
                status: 429,
                headers: vec![("retry-after", "60".to_owned())],
                body: Bytes::new(),
            },
        ),
        ("acme/html", Fault::html()),
    ] {
        stage.upstream.always(&format!("/v2/{repository}/*"), fault);
    }
    let path = format!("/v2/acme/app/manifests/{}", Image::oci("lied about").digest);
    stage.push_signed("acme/app", "v2", &Image::oci("lied about"));
    stage.upstream.always(&path, Fault::Instead(Bytes::from_static(b"{}")));
    let target = |repository: &str| format!("/v2/{repository}/manifests/v1");
    for (name, target) in [
        ("upstream_manifest_unknown", "/v2/acme/app/manifests/missing".to_owned()),
        ("upstream_name_unknown", "/v2/acme/nothing/tags/list".to_owned()),
        ("upstream_unauthorized", target("acme/private")),
        ("upstream_forbidden", target("acme/forbidden")),
        ("upstream_rate_limited", target("acme/busy")),
        ("upstream_html", target("acme/html")),
        ("upstream_integrity", "/v2/acme/app/manifests/v2".to_owned()),
        ("blob_unreferenced", format!("/v2/acme/app/blobs/{}", Digest::of(b"nowhere"))),
    ] {
        let answer = stage.mirror.get(target).await;
        assert_snapshot!(name, told(&stage, &answer));
    }
    let blob = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.upstream.always(&blob, Fault::status(404));
    assert_snapshot!("upstream_blob_unknown", told(&stage, &stage.mirror.get(&blob).await));
}

#[tokio::test]
async fn what_could_not_be_reached() {
    let stage = Stage::new().await;
    let image = Image::oci("told");
    stage.upstream.push("acme/app", "v1", &image);
    let tag = format!("/v2/acme/app/manifests/{}", signing::signature_tag(&image.digest));
    stage.upstream.always(&tag, Fault::status(403));
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert_snapshot!("evidence_unreachable", told(&stage, &answer));
    stage.upstream.go_down().await;
    let answer = stage.mirror.manifest("acme/other", "v1").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error().code, "UNAVAILABLE");
    assert!(answer.error().message.contains("registry.test"), "{:?}", answer.error());
}

#[tokio::test]
async fn requests_that_make_no_sense() {
    let stage = Stage::new().await;
    let image = Image::oci("told");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let blob = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.mirror.get(&blob).await.carries(&image.blobs[1]);
    for (name, ask) in [
        ("name_invalid", Ask::get("/v2/ACME/app/manifests/v1")),
        ("tag_invalid", Ask::get("/v2/acme/app/manifests/.v1")),
        ("digest_invalid", Ask::get("/v2/acme/app/manifests/sha256:abc")),
        ("blob_digest_invalid", Ask::get("/v2/acme/app/blobs/latest")),
        ("ns_unknown", Ask::get("/v2/acme/app/manifests/v1?ns=nowhere.test")),
        ("ns_repeated", Ask::get("/v2/acme/app/manifests/v1?ns=registry.test&ns=registry.test")),
        ("count_invalid", Ask::get("/v2/acme/app/tags/list?n=many")),
        ("put_manifest", Ask::method("PUT", "/v2/acme/app/manifests/v1")),
        ("start_upload", Ask::method("POST", "/v2/acme/app/blobs/uploads/")),
        ("delete_blob", Ask::method("DELETE", &blob)),
        ("no_such_path", Ask::get("/v2/_catalog")),
        ("range_outside", Ask::get(&blob).header("range", "bytes=100000-")),
    ] {
        let answer = stage.mirror.send(ask).await;
        assert_snapshot!(name, told(&stage, &answer));
    }
}
