//! An upstream that does not tell the truth: nothing untrue is served, and nothing untrue is kept.

use std::time::Duration;

use crate::support::*;

/// That the mirror refuses to pass on `answer` as something the upstream got wrong.
#[track_caller]
fn refused_as_untrue(mirror: &Mirror, answer: &Answer) {
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.error().code, "UNAVAILABLE");
    let text = format!("{:?}", answer.error());
    assert!(text.contains("upstream"), "{text}");
    drop(mirror.records());
}

#[tokio::test]
async fn g7_other_bytes_than_the_digest_names_are_refused_and_not_kept() {
    let stage = Stage::new().await;
    let (asked, sent) = (Image::oci("asked for"), Image::oci("sent instead"));
    stage.push_signed("acme/app", "v1", &asked);
    stage.push_signed("acme/app", "v2", &sent);
    let path = format!("/v2/acme/app/manifests/{}", asked.digest);
    stage.upstream.always(&path, Fault::Instead(sent.bytes().clone()));

    for reference in ["v1".to_owned(), asked.digest.to_string()] {
        let answer = stage.mirror.manifest("acme/app", reference).await;
        refused_as_untrue(&stage.mirror, &answer);
    }
    let alarm = stage.mirror.records().into_iter().any(|it| it["reason"] == "upstream_integrity");
    assert!(alarm, "it is recorded");

    stage.upstream.behave();
    stage.mirror.manifest("acme/app", "v1").await.serves(&asked);
}

#[tokio::test]
async fn g7_a_digest_header_is_only_a_claim() {
    let stage = Stage::new().await;
    let (good, bad) = (Image::oci("good"), Image::oci("bad"));
    stage.push_signed("acme/app", "good", &good);
    stage.upstream.push("acme/app", "v1", &bad);
    // The tag's answer claims the digest of the signed image, over the bytes of the other.
    let claim = Fault::Header("docker-content-digest", good.digest.to_string());
    stage.upstream.always("/v2/acme/app/manifests/v1", claim);

    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert!(answer.status != 200 || answer.body == good.bytes(), "{answer:?}");
    stage.mirror.manifest("acme/app", bad.digest).await.denied();

    // The answer by digest claims another one.
    let claim = Fault::Header("docker-content-digest", bad.digest.to_string());
    stage.upstream.always(&format!("/v2/acme/app/manifests/{}", good.digest), claim);
    let answer = stage.mirror.manifest("acme/app", good.digest).await;
    assert!(answer.status == 502 || answer.body == good.bytes(), "{answer:?}");
}

#[tokio::test]
async fn g7_a_malformed_digest_header_is_no_digest() {
    for (number, claim) in
        ["sha256:abc", "sha256:../../../etc/passwd", "md5:00", "", "SHA256:x"].iter().enumerate()
    {
        let stage = Stage::new().await;
        let image = Image::oci(&format!("claimed {number}"));
        stage.push_signed("acme/app", "v1", &image);
        let claim = Fault::Header("docker-content-digest", (*claim).to_owned());
        stage.upstream.always("/v2/acme/app/manifests/v1", claim);
        let answer = stage.mirror.manifest("acme/app", "v1").await;
        assert!(answer.status != 200 || answer.body == image.bytes(), "{answer:?}");
    }
}

#[tokio::test]
async fn resolves_by_the_bytes_where_the_upstream_names_no_digest() {
    let stage = Stage::new().await;
    let image = Image::oci("no digest header");
    stage.push_signed("acme/app", "v1", &image);
    let bare = Fault::Answer {
        status: 200,
        headers: vec![("content-type", OCI_MANIFEST.to_owned())],
        body: image.bytes().clone(),
    };
    stage.upstream.always("/v2/acme/app/manifests/v1", bare);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn resolves_by_get_where_the_upstream_has_no_head() {
    let stage = Stage::new().await;
    let image = Image::oci("no HEAD");
    stage.push_signed("acme/app", "v1", &image);
    stage.upstream.always("HEAD /v2/acme/app/manifests/v1", Fault::status(405));
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn g6_what_was_verified_is_what_is_served() {
    // Every odd request for the tag gets the signed image, every even one another.
    let stage =
        Stage::with(|setup| setup.cache("tag_fresh = \"1ms\"\ndenied_fresh = \"1ms\"")).await;
    let (good, bad) = (Image::oci("good"), Image::oci("bad"));
    stage.push_signed("acme/app", "v1", &good);
    stage.upstream.push_untagged("acme/app", &bad);
    let instead = Fault::Answer {
        status: 200,
        headers: vec![("content-type", OCI_MANIFEST.to_owned())],
        body: bad.bytes().clone(),
    };
    for round in 0..20 {
        stage.upstream.times(1, "*/manifests/v1", instead.clone());
        let answer = stage.mirror.manifest("acme/app", "v1").await;
        if answer.status == 200 {
            assert_eq!(answer.body, good.bytes(), "round {round}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.mirror.manifest("acme/app", good.digest).await.serves(&good);
    stage.mirror.manifest("acme/app", bad.digest).await.denied();
}

#[tokio::test]
async fn g6_a_manifest_is_fetched_once_and_never_between_verdict_and_answer() {
    let stage = Stage::new().await;
    let image = Image::oci("fetched once");
    stage.push_signed("acme/app", "v1", &image);
    for _ in 0..3 {
        stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    }
    let path = format!("GET /v2/acme/app/manifests/{}", image.digest);
    assert!(stage.upstream.count(&path) <= 1);
}

#[tokio::test]
async fn g7_a_blob_of_other_bytes_breaks_the_transfer_and_is_not_kept() {
    let stage = Stage::new().await;
    let image = Image::with_layers("swapped", vec![image::noise("layer", 300_000)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.upstream.always(&path, Fault::Instead(image::noise("evil", 300_000)));

    for _ in 0..2 {
        let answer = stage.mirror.blob("acme/app", image.layer(0)).await;
        assert!(answer.status == 502 || !answer.whole, "never ended as if whole: {answer:?}");
        assert!(answer.body.len() < 300_000, "the last byte waits for the proof");
    }
    assert!(!stage.mirror.stored(&image.layer(0)).exists(), "nothing is kept");

    stage.upstream.behave();
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn g36_a_blob_of_another_length_is_refused() {
    let stage = Stage::new().await;
    let image = Image::with_layers("lengths", vec![image::noise("layer", 100_000)]);
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    let layer = image.blobs[1].clone();
    let longer = Bytes::from([&layer[..], b"and more"].concat());
    for fault in [
        Fault::Instead(longer),
        Fault::Instead(layer.slice(..99_999)),
        Fault::Instead(Bytes::new()),
        Fault::Header("content-length", "50000".to_owned()),
        Fault::Endless,
        Fault::html(),
        Fault::status(204),
    ] {
        let what = format!("{fault:?}");
        stage.upstream.always(&path, fault);
        let answer = stage.mirror.blob("acme/app", image.layer(0)).await;
        let refused = answer.status.as_u16() >= 500 || !answer.whole;
        assert!(refused, "{}: {} bytes", &what[..40.min(what.len())], answer.body.len());
        assert!(!stage.mirror.stored(&image.layer(0)).exists());
    }
    stage.upstream.behave();
    eventually("the honest blob comes through again", || async {
        let answer = stage.mirror.blob("acme/app", image.layer(0)).await;
        answer.status == 200 && answer.whole && answer.body == layer
    })
    .await;
}

#[tokio::test]
async fn g36_an_endless_or_huge_manifest_is_refused_within_bounds() {
    let stage = Stage::new().await;
    stage.upstream.push("acme/app", "endless", &Image::oci("endless"));
    let endless = format!("/v2/acme/app/manifests/{}", Image::oci("endless").digest);
    stage.upstream.always(&endless, Fault::Endless);
    let answer = stage.mirror.manifest("acme/app", "endless").await;
    assert!([403, 502, 503].contains(&answer.status.as_u16()), "{answer:?}");

    let huge = Image::oci("huge").changed(|manifest| {
        manifest["annotations"] = json!({ "padding": "x".repeat(4 << 20) });
    });
    stage.push_signed("acme/app", "huge", &huge);
    let answer = stage.mirror.manifest("acme/app", "huge").await;
    assert!([403, 502, 503].contains(&answer.status.as_u16()), "{:?}", answer.status);

    let large = Image::oci("large").changed(|manifest| {
        manifest["annotations"] = json!({ "padding": "x".repeat((4 << 20) - 2_000) });
    });
    stage.push_signed("acme/app", "large", &large);
    stage.mirror.manifest("acme/app", "large").await.serves(&large);
}

#[tokio::test]
async fn g37_an_encoded_answer_is_refused_and_not_unpacked() {
    let stage = Stage::new().await;
    let image = Image::oci("encoded");
    stage.push_signed("acme/app", "v1", &image);
    let path = format!("/v2/acme/app/manifests/{}", image.digest);
    stage.upstream.always(&path, Fault::Header("content-encoding", "gzip".to_owned()));
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert!([502, 503].contains(&answer.status.as_u16()), "{answer:?}");

    stage.upstream.behave();
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let seen = stage.upstream.requests(&path);
    let asked = seen.last().and_then(|request| request.header("accept-encoding"));
    assert!(asked.is_none_or(|text| text == "identity"), "{asked:?}");
}

#[tokio::test]
async fn g38_pages_of_tags_stay_with_their_upstream() {
    let stage = Stage::new().await;
    let elsewhere = Upstream::start().await;
    elsewhere.push("acme/app", "stolen", &Image::oci("elsewhere"));
    stage.upstream.push("acme/app", "v1", &Image::oci("here"));
    for link in [
        format!("<{}/v2/acme/app/tags/list?n=100&last=v1>; rel=\"next\"", elsewhere.url()),
        format!("<//127.0.0.1:{}/v2/acme/app/tags/list>; rel=\"next\"", elsewhere.port()),
        "<file:///etc/passwd>; rel=\"next\"".to_owned(),
        "</v2/acme/app/tags/list>; rel=\"next\"".to_owned(),
        "</v2/acme/secret/tags/list>; rel=\"next\"".to_owned(),
    ] {
        stage.upstream.always("/v2/acme/app/tags/list", Fault::Header("link", link.clone()));
        let answer = stage.mirror.get("/v2/acme/app/tags/list").await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("stolen") && !text.contains("root:"), "{link}: {text}");
        if let Some(next) = answer.header("link") {
            assert!(next.starts_with("</v2/acme/app/tags/list?"), "{link}: {next}");
        }
    }
    assert_eq!(elsewhere.count("*") + stage.upstream.count("/v2/acme/secret/*"), 0);
}

#[tokio::test]
async fn g38_pages_of_referrers_stay_with_their_upstream_and_repository() {
    let stage = Stage::new().await;
    let elsewhere = Upstream::start().await;
    stage.upstream.offer_referrers();
    elsewhere.offer_referrers();
    let image = Image::oci("paged");
    for (number, link) in [
        format!("<{}/v2/acme/app/referrers/{}>; rel=\"next\"", elsewhere.url(), image.digest),
        format!("</v2/acme/secret/referrers/{}>; rel=\"next\"", image.digest),
        "<http://169.254.169.254/latest/meta-data>; rel=\"next\"".to_owned(),
        "<file:///etc/passwd>; rel=\"next\"".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let repository = format!("acme/app{number}");
        stage.upstream.push(&repository, "v1", &image);
        let path = format!("/v2/{repository}/referrers/*");
        stage.upstream.always(&path, Fault::Header("link", link));
        let answer = stage.mirror.manifest(&repository, "v1").await;
        assert!([403, 503].contains(&answer.status.as_u16()), "{answer:?}");
    }
    assert_eq!(elsewhere.count("*") + stage.upstream.count("/v2/acme/secret/*"), 0);
}

#[tokio::test]
async fn g38_redirects_are_bounded_and_stay_off_the_link_local_network() {
    let stage = Stage::new().await;
    let image = Image::oci("redirected");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    let here = format!("{}{path}", stage.upstream.url());
    for target in
        [&*here, "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "gopher://x/"]
    {
        stage.upstream.always(&path, Fault::redirect(target));
        let started = tokio::time::Instant::now();
        let answer = stage.mirror.blob("acme/app", image.layer(0)).await;
        assert!([502, 503].contains(&answer.status.as_u16()), "{target}: {answer:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{target} was dialled");
    }
    assert!(stage.upstream.count(&path) < 100, "a loop ends");
}

#[tokio::test]
async fn g47_credentials_never_travel_along_a_redirect() {
    let (upstream, storage) = (Upstream::start().await, Upstream::start().await);
    let key = Key::p256();
    let mirror = Setup::new()
        .upstream_with(NAME, &upstream, "username = \"ci\"\npassword_file = \"hub\"")
        .file("hub", "s3cr3t")
        .key("release.pub", &key)
        .policy(stage::POLICY)
        .start()
        .await;
    let stage = Stage { upstream, key, mirror };
    stage.upstream.ask_for_a_token("bearer-secret");
    let image = Image::oci("with credentials");
    stage.push_signed("acme/app", "v1", &image);
    storage.push_untagged("acme/app", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let tokens = stage.upstream.requests("/token");
    let basic = "Basic Y2k6czNjcjN0";
    assert_eq!(tokens[0].header("authorization"), Some(basic), "to its own realm");

    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    // Another host, not only another port.
    let target = format!("http://localhost:{}{path}", storage.port());
    stage.upstream.always(&path, Fault::redirect(&target));
    let _ = stage.mirror.blob("acme/app", image.layer(0)).await;
    for request in storage.requests("*") {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("cookie"), None);
    }
    assert!(!stage.mirror.log().contains("s3cr3t"), "and never into the log");
    assert!(!stage.mirror.log().contains("bearer-secret"));
}

#[tokio::test]
async fn g47_credentials_go_to_no_realm_but_the_upstreams_own() {
    let (upstream, thief) = (Upstream::start().await, Upstream::start().await);
    thief.ask_for_a_token("worthless");
    let key = Key::p256();
    let mirror = Setup::new()
        .upstream_with(NAME, &upstream, "username = \"ci\"\npassword_file = \"hub\"")
        .file("hub", "s3cr3t")
        .key("release.pub", &key)
        .policy(stage::POLICY)
        .start()
        .await;
    upstream.push("acme/app", "v1", &Image::oci("lured"));
    let realm = format!("Bearer realm=\"http://localhost:{}/token\",service=\"x\"", thief.port());
    let challenge = Fault::Answer {
        status: 401,
        headers: vec![("www-authenticate", realm)],
        body: Bytes::new(),
    };
    upstream.always("*", challenge);
    let answer = mirror.manifest("acme/app", "v1").await;
    assert_ne!(answer.status, 200);
    for request in thief.requests("*") {
        assert_eq!(request.header("authorization"), None, "{request:?}");
        assert!(!request.query.contains("s3cr3t") && !request.query.contains("account=ci"));
    }
}

#[tokio::test]
async fn g47_a_token_is_asked_for_the_repository_and_to_pull_only() {
    let stage = Stage::new().await;
    stage.upstream.ask_for_a_token("narrow");
    let image = Image::oci("scoped");
    stage.push_signed("acme/app", "v1", &image);
    let wide = "Bearer realm=\"REALM\",service=\"x\",scope=\"repository:acme/app:pull,push,delete registry:catalog:*\"";
    let realm = format!("{}/token", stage.upstream.url());
    let challenge = Fault::Answer {
        status: 401,
        headers: vec![("www-authenticate", wide.replace("REALM", &realm))],
        body: Bytes::new(),
    };
    stage.upstream.times(1, "/v2/acme/app/manifests/v1", challenge);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for request in stage.upstream.requests("/token") {
        let query = request.query.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        assert!(query.contains("repository:acme/app:pull"), "{query}");
        assert!(!query.contains("push") && !query.contains("catalog"), "{query}");
    }
}

#[tokio::test]
async fn g36_endless_lists_are_given_up() {
    let stage = Stage::new().await;
    stage.upstream.offer_referrers();
    let image = Image::oci("listed without end");
    stage.push_signed("acme/app", "v1", &image);
    stage.upstream.always("/v2/acme/app/tags/list", Fault::Endless);
    stage.upstream.always("/v2/acme/app/referrers/*", Fault::Endless);
    for target in
        ["/v2/acme/app/tags/list".to_owned(), format!("/v2/acme/app/referrers/{}", image.digest)]
    {
        let answer = tokio::time::timeout(Duration::from_secs(30), stage.mirror.get(&target));
        let answer = answer.await.expect("it ends");
        assert!([502, 503].contains(&answer.status.as_u16()), "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn a_media_type_in_the_manifest_counts_where_the_header_says_nothing() {
    let stage = Stage::new().await;
    for (number, kind) in
        ["text/plain", "application/json", "application/octet-stream"].iter().enumerate()
    {
        let image = Image::oci(&format!("announced as {kind}"));
        let repository = format!("acme/app{number}");
        stage.push_signed(&repository, "v1", &image);
        let vague = Fault::Header("content-type", (*kind).to_owned());
        stage.upstream.always(&format!("/v2/{repository}/manifests/{}", image.digest), vague);
        stage.mirror.manifest(&repository, "v1").await.serves(&image);
    }
}
