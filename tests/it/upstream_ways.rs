//! Ways to an upstream: over TLS with a certificate of one's own, through a proxy, and none by which
//! TLS is given up.

use crate::support::*;

/// A signed image behind TLS, and the mirror's lines for that upstream.
async fn scene(lines: &str) -> (Stage, Image) {
    let certificate = certificate();
    let upstream = Upstream::start_tls(&certificate).await;
    let key = Key::p256();
    let mirror = Setup::new()
        .upstream_with(NAME, &upstream, lines)
        .file("ca.pem", certificate.cert.pem())
        .file("hub", "s3cr3t")
        .key("release.pub", &key)
        .policy(stage::POLICY)
        .start()
        .await;
    let stage = Stage { upstream, key, mirror };
    let image = Image::oci("behind TLS");
    stage.push_signed("acme/app", "v1", &image);
    (stage, image)
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_where_it_is_named() {
    for lines in ["ca = \"ca.pem\"", "ca = \"ca.pem\"\nca_only = true"] {
        let (stage, image) = scene(lines).await;
        stage.mirror.manifest("acme/app", "v1").await.serves(&image);
        stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (stage, _) = scene("").await;
    let error = stage.mirror.manifest("acme/app", "v1").await.unavailable();
    assert!(error.message.contains("certificate"), "it says what is wrong: {error:?}");
    assert_eq!(stage.upstream.count("*"), 0);
}

#[tokio::test]
async fn g47_a_redirect_does_not_leave_tls() {
    let (stage, image) = scene("ca = \"ca.pem\"").await;
    let plain = Upstream::start().await;
    plain.push_untagged("acme/app", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.upstream.always(&path, Fault::redirect(&format!("{}{path}", plain.url())));
    let answer = stage.mirror.get(&path).await;
    assert!([502, 503].contains(&answer.status.as_u16()), "{answer:?}");
    assert_eq!(plain.count("*"), 0);
}

#[tokio::test]
async fn g47_credentials_are_not_sent_to_a_realm_without_tls() {
    let lines = "ca = \"ca.pem\"\nusername = \"ci\"\npassword_file = \"hub\"";
    let (stage, _) = scene(lines).await;
    let plain = Upstream::start().await;
    plain.ask_for_a_token("worthless");
    let realm = format!("Bearer realm=\"http://localhost:{}/token\",service=\"x\"", plain.port());
    let challenge = Fault::Answer {
        status: 401,
        headers: vec![("www-authenticate", realm)],
        body: Bytes::new(),
    };
    stage.upstream.always("*", challenge);
    assert_ne!(stage.mirror.manifest("acme/app", "v1").await.status, 200);
    for request in plain.requests("*") {
        assert_eq!(request.header("authorization"), None);
        assert!(!request.query.contains("ci"), "{request:?}");
    }
}

#[tokio::test]
async fn a_proxy_is_asked_where_one_is_named() {
    let proxy = Upstream::start().await;
    let key = Key::p256();
    let image = Image::oci("through a proxy");
    proxy.push("acme/app", "v1", &image);
    let signature = Signature::by(&key, "registry.test/acme/app", &image.digest);
    proxy.attach("acme/app", &image.digest, &[signature]);
    let configuration = format!(
        r#"
data = "data"
policy = "policy.toml"
[listen]
address = "127.0.0.1:0"
admin = "127.0.0.1:0"
[[upstream]]
name = "registry.test"
url = "http://nowhere.invalid"
default = true
proxy = "{}"
"#,
        proxy.url()
    );
    let folder = tempfile::TempDir::new().expect("there is room");
    Setup::new().key("release.pub", &key).policy(stage::POLICY).lay_out(folder.path());
    write(&folder.path().join("portcullis.toml"), configuration);
    let mirror = Mirror::serve(folder, &["--config", "portcullis.toml"]).await;
    mirror.manifest("acme/app", "v1").await.serves(&image);
    assert_eq!(proxy.requests("*")[0].header("host"), Some("nowhere.invalid"));
}

#[tokio::test]
async fn a_command_line_alone_is_enough_to_serve() {
    let upstream = Upstream::start().await;
    let key = Key::p256();
    let folder = tempfile::TempDir::new().expect("there is room");
    Setup::new().key("release.pub", &key).policy(stage::POLICY).lay_out(folder.path());
    std::fs::remove_file(folder.path().join("portcullis.toml")).expect("it was laid out");
    let named = format!("registry.test={}", upstream.url());
    let words = [
        "--listen",
        "127.0.0.1:0",
        "--data",
        "here",
        "--policy",
        "policy.toml",
        "--upstream",
        &*named,
    ];
    let mirror = Mirror::serve(folder, &words).await;
    let stage = Stage { upstream, key, mirror };
    let image = Image::oci("quick start");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    assert!(stage.mirror.folder().join("here/audit-v1").is_dir());
    assert_eq!(stage.mirror.admin("/healthz").await.status, 200, "a free port was found");
}
