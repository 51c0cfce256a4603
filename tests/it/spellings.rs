//! G-49: one repository however it is written, and no way to another one.

use crate::support::*;

const POLICY: &str = r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "docker.io/library/nginx"
require = "release"
[[rule]]
match = "docker.io/acme/**"
require = "release"
[[rule]]
match = "registry.test/**"
require = "never"
"#;

/// Docker Hub as the default upstream, `registry.test` beside it.
async fn scene() -> (Stage, Upstream) {
    let other = Upstream::start().await;
    let hub = Upstream::start().await;
    let key = Key::p256();
    let setup = Setup::new()
        .upstream_with("docker.io", &hub, "hosts = [\"docker.example.org\"]")
        .upstream_with(
            "registry.test",
            &other,
            "hosts = [\"test.example.org:8443\"]\naliases = [\"mirror.test\"]",
        )
        .key("release.pub", &key)
        .policy(POLICY);
    let mirror = setup.start().await;
    (Stage { upstream: hub, key, mirror }, other)
}

/// Pushes `image` to Docker Hub's `repository`, signed under its canonical name.
fn push_to_hub(stage: &Stage, repository: &str, image: &Image) {
    stage.upstream.push(repository, "v1", image);
    let name = format!("docker.io/{repository}");
    let signature = Signature::by(&stage.key, &name, &image.digest);
    stage.upstream.attach(repository, &image.digest, &[signature]);
}

#[tokio::test]
async fn g49_all_spellings_of_one_repository_share_its_decision() {
    let (stage, _) = scene().await;
    let image = Image::oci("official");
    push_to_hub(&stage, "library/nginx", &image);
    let mut decisions = Vec::new();
    for (target, host) in [
        ("/v2/library/nginx/manifests/v1", None),
        ("/v2/nginx/manifests/v1", None),
        ("/v2/docker.io/library/nginx/manifests/v1", None),
        ("/v2/docker.io/nginx/manifests/v1", None),
        ("/v2/index.docker.io/library/nginx/manifests/v1", None),
        ("/v2/registry-1.docker.io/library/nginx/manifests/v1", None),
        ("/v2/library/nginx/manifests/v1?ns=docker.io", None),
        ("/v2/nginx/manifests/v1?ns=docker.io", None),
        ("/v2/library/nginx/manifests/v1?ns=index.docker.io", None),
        ("/v2/library/nginx/manifests/v1?ns=registry-1.docker.io", None),
        ("/v2/docker.io/library/nginx/manifests/v1?ns=docker.io", None),
        ("/v2/library/nginx/manifests/v1", Some("docker.example.org")),
        ("/v2/library/nginx/manifests/v1", Some("DOCKER.example.org")),
        ("/v2/library/nginx/manifests/v1", Some("docker.example.org:443")),
    ] {
        let mut ask = Ask::get(target);
        if let Some(host) = host {
            ask = ask.header("host", host);
        }
        let answer = stage.mirror.send(ask).await;
        answer.serves(&image);
        let record = stage.mirror.record_of(&answer);
        assert_eq!(record["upstream"], "docker.io", "{target}");
        assert_eq!(record["repository"], "library/nginx", "{target}");
        decisions.push(answer.decision());
    }
    assert_eq!(stage.upstream.count("/v2/library/nginx/manifests/v1"), 1, "one resolve for all");
    decisions.dedup();
    assert_eq!(decisions.len(), 1, "one decision for all");
}

#[tokio::test]
async fn g49_all_spellings_inside_a_signature_are_one_name_too() {
    let (stage, _) = scene().await;
    for (number, name) in [
        "docker.io/library/nginx",
        "index.docker.io/library/nginx",
        "registry-1.docker.io/library/nginx",
        "docker.io/nginx",
        "nginx",
        "library/nginx",
    ]
    .into_iter()
    .enumerate()
    {
        let image = Image::oci(&format!("spelling {number}"));
        stage.upstream.push("library/nginx", &format!("v{number}"), &image);
        let signature = Signature::by(&stage.key, name, &image.digest);
        stage.upstream.attach("library/nginx", &image.digest, &[signature]);
        let answer = stage.mirror.manifest("library/nginx", format!("v{number}")).await;
        answer.serves(&image);
    }
    for (number, name) in [
        "docker.io.evil/library/nginx",
        "evil/docker.io/library/nginx",
        "docker.io:80/library/nginx",
    ]
    .into_iter()
    .enumerate()
    {
        let image = Image::oci(&format!("misspelling {number}"));
        stage.upstream.push("library/nginx", &format!("m{number}"), &image);
        let signature = Signature::by(&stage.key, name, &image.digest);
        stage.upstream.attach("library/nginx", &image.digest, &[signature]);
        stage.mirror.manifest("library/nginx", format!("m{number}")).await.denied();
    }
}

#[tokio::test]
async fn g49_what_is_refused_is_refused_in_every_spelling() {
    let (stage, _) = scene().await;
    stage.upstream.push("library/nginx", "v1", &Image::oci("unsigned"));
    for target in [
        "/v2/library/nginx/manifests/v1",
        "/v2/nginx/manifests/v1",
        "/v2/docker.io/library/nginx/manifests/v1",
        "/v2/docker.io/nginx/manifests/v1",
        "/v2/index.docker.io/nginx/manifests/v1",
        "/v2/registry-1.docker.io/library/nginx/manifests/v1",
        "/v2/nginx/manifests/v1?ns=docker.io",
        "/v2/library/nginx/manifests/v1?ns=registry-1.docker.io",
    ] {
        stage.mirror.get(target).await.denied();
    }
}

#[tokio::test]
async fn g49_odd_paths_never_reach_another_repository() {
    let (stage, other) = scene().await;
    let image = Image::oci("official");
    push_to_hub(&stage, "library/nginx", &image);
    for target in [
        "/v2/library%2Fnginx/manifests/v1",
        "/v2/library%2fnginx/manifests/v1",
        "/v2/LIBRARY/nginx/manifests/v1",
        "/v2/Library/Nginx/manifests/v1",
        "/v2/library/../nginx/manifests/v1",
        "/v2/library/./nginx/manifests/v1",
        "/v2/library/%2e%2e/nginx/manifests/v1",
        "/v2/library//nginx/manifests/v1",
        "//v2/library/nginx/manifests/v1",
        "/v2//library/nginx/manifests/v1",
        "/V2/library/nginx/manifests/v1",
        "/v2/library/nginx/manifests/v1/",
        "/v2/library/nginx/Manifests/v1",
        "/v2/library/nginx;a/manifests/v1",
        "/v2/library\\nginx/manifests/v1",
        "/v2/-library/nginx/manifests/v1",
        "/v2/lib__%00/nginx/manifests/v1",
        "/x/../v2/library/nginx/manifests/v1",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = client::raw(stage.mirror.address(), request.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["400", "404", "405"].contains(&status), "{target}: {answer}");
    }
    assert_eq!(stage.upstream.count("*") + other.count("*"), 0, "none of them travels on");
}

#[tokio::test]
async fn g49_ns_is_a_key_and_never_an_address() {
    let (stage, other) = scene().await;
    let secret = Upstream::start().await;
    let image = Image::oci("official");
    push_to_hub(&stage, "library/nginx", &image);
    let manifest = "/v2/library/nginx/manifests/v1";

    let known = stage.mirror.get(format!("{manifest}?ns=docker.io")).await;
    known.serves(&image);
    assert_eq!(known.header("oci-namespace"), Some("docker.io"));
    assert_eq!(stage.mirror.get(manifest).await.header("oci-namespace"), None);

    for ns in [
        "ns=",
        "ns=docker.io&ns=docker.io",
        "ns=docker.io&ns=registry.test",
        "ns=http://x",
        "ns=a/b",
        "ns=docker.io%00",
        "ns=%20docker.io",
        "ns=docker.io/",
        "ns=docker.io%2f..",
        "ns=user@docker.io",
    ] {
        let answer = stage.mirror.get(format!("{manifest}?{ns}")).await;
        assert_eq!(answer.status, 400, "{ns}: {answer:?}");
        answer.error();
    }
    for unknown in
        ["evil.test", "localhost", &secret.url()["http://".len()..], "docker.io.evil.test"]
    {
        let answer = stage.mirror.get(format!("{manifest}?ns={unknown}")).await;
        assert_eq!(answer.status, 404, "{unknown}: {answer:?}");
        let error = answer.error();
        assert_eq!(error.code, "NAME_UNKNOWN");
        assert!(format!("{error:?}").contains("registry.test"), "names the known: {error:?}");
    }
    assert_eq!(secret.count("*"), 0, "nothing a client sends is dialled");
    assert_eq!(other.count("*"), 0);
}

#[tokio::test]
async fn g49_ns_and_a_first_segment_agree_or_it_is_an_error() {
    let (stage, _) = scene().await;
    let image = Image::oci("by buildkit");
    push_to_hub(&stage, "acme/app", &image);
    stage.mirror.get("/v2/docker.io/acme/app/manifests/v1?ns=docker.io").await.serves(&image);
    let apart = stage.mirror.get("/v2/registry.test/acme/app/manifests/v1?ns=docker.io").await;
    assert_eq!(apart.status, 400, "{apart:?}");
}

#[tokio::test]
async fn g49_the_upstream_is_part_of_the_name() {
    let (stage, other) = scene().await;
    let image = Image::oci("in both");
    push_to_hub(&stage, "acme/app", &image);
    other.push("acme/app", "v1", &image);
    let signature = Signature::by(&stage.key, "registry.test/acme/app", &image.digest);
    other.attach("acme/app", &image.digest, &[signature]);

    stage.mirror.get("/v2/acme/app/manifests/v1").await.serves(&image);
    for (target, host) in [
        ("/v2/registry.test/acme/app/manifests/v1", "x"),
        ("/v2/mirror.test/acme/app/manifests/v1", "x"),
        ("/v2/acme/app/manifests/v1?ns=registry.test", "x"),
        ("/v2/acme/app/manifests/v1?ns=mirror.test", "x"),
        ("/v2/acme/app/manifests/v1", "test.example.org:8443"),
    ] {
        let answer = stage.mirror.send(Ask::get(target).header("host", host)).await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), "never", "{target}");
        let blob = target.replace("manifests/v1", &format!("blobs/{}", image.layer(0)));
        let answer = stage.mirror.send(Ask::get(blob).header("host", host)).await;
        assert_ne!(answer.status, 200, "no blob of one upstream through another");
    }
}

#[tokio::test]
async fn g49_a_segment_that_looks_like_a_host_is_a_path_unless_it_is_configured() {
    let (stage, _) = scene().await;
    let image = Image::oci("host-looking");
    stage.upstream.push("evil.test/acme/app", "v1", &image);
    let answer = stage.mirror.get("/v2/evil.test/acme/app/manifests/v1").await;
    answer.denied();
    let record = stage.mirror.record_of(&answer);
    assert_eq!(record["upstream"], "docker.io");
    assert_eq!(record["repository"], "evil.test/acme/app");
    assert_eq!(record["reason"], "no_rule");
}

#[tokio::test]
async fn g49_an_unknown_host_means_the_default_upstream() {
    let (stage, _) = scene().await;
    let image = Image::oci("official");
    push_to_hub(&stage, "library/nginx", &image);
    for host in ["evil.test", "169.254.169.254", "docker.example.org.evil.test", "localhost:1"] {
        let ask = Ask::get("/v2/library/nginx/manifests/v1").header("host", host);
        stage.mirror.send(ask).await.serves(&image);
    }
    let absolute = "GET http://evil.test/v2/library/nginx/manifests/missing HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n";
    let answer = client::raw(stage.mirror.address(), absolute.as_bytes()).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}
