//! Pulling what policy admits: every kind of image, exact bytes, from every kind of upstream.

use std::time::Duration;

use crate::support::*;
use portcullis::oci::Algorithm;

#[tokio::test]
async fn serves_a_signed_image_by_tag_and_by_digest_with_its_exact_bytes() {
    let stage = Stage::new().await;
    let image = Image::oci("signed");
    stage.push_signed("acme/app", "v1", &image);

    for reference in ["v1".to_owned(), image.digest.to_string()] {
        let answer = stage.mirror.manifest("acme/app", &reference).await;
        answer.serves(&image);
        assert_eq!(answer.header("etag"), Some(&*format!("\"{}\"", image.digest)));
        let length = image.bytes().len().to_string();
        assert_eq!(answer.header("content-length"), Some(&*length));
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
        assert_eq!(answer.decision().len(), 26, "a decision's id is a ULID");
        assert_eq!(stage.mirror.reason_of(&answer), "admitted");
    }
    for blob in &image.blobs {
        let answer = stage.mirror.blob("acme/app", Digest::of(blob)).await;
        answer.carries(blob);
        assert_eq!(answer.header("docker-content-digest"), Some(&*Digest::of(blob).to_string()));
    }
}

#[tokio::test]
async fn answers_the_version_check() {
    let stage = Stage::new().await;
    for target in ["/v2/", "/v2"] {
        let answer = stage.mirror.get(target).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    }
    assert_eq!(stage.upstream.count("*"), 0, "the upstream need not be there for it");
}

#[tokio::test]
async fn g46_head_says_what_get_says() {
    let stage = Stage::new().await;
    let image = Image::oci("parity");
    stage.push_signed("acme/app", "v1", &image);
    let unsigned = Image::oci("parity, unsigned");
    stage.upstream.push("acme/other", "v1", &unsigned);

    for target in [
        "/v2/acme/app/manifests/v1".to_owned(),
        format!("/v2/acme/app/manifests/{}", image.digest),
        format!("/v2/acme/app/blobs/{}", image.layer(0)),
        format!("/v2/acme/app/blobs/{}", image.config()),
        format!("/v2/acme/app/blobs/{}", Digest::of(b"no such blob")),
        "/v2/acme/app/manifests/missing".to_owned(),
        "/v2/acme/other/manifests/v1".to_owned(),
        "/v2/acme/app/tags/list".to_owned(),
        "/v2/".to_owned(),
    ] {
        // The upstream is asked by the first of the two, so each goes first once.
        let _ = stage.mirror.head(&target).await;
        let get = stage.mirror.get(&target).await;
        let head = stage.mirror.head(&target).await;
        assert_eq!(head.status, get.status, "{target}");
        assert!(head.body.is_empty() && head.whole, "{target}");
        let names = ["content-type", "docker-content-digest", "etag", "accept-ranges"];
        for name in names {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
        if get.status == 200 {
            assert_eq!(head.header("content-length"), get.header("content-length"), "{target}");
        }
    }
}

#[tokio::test]
async fn a_refused_head_explains_itself_in_the_reason_phrase() {
    let stage = Stage::new().await;
    stage.upstream.push("acme/app", "v1", &Image::oci("unsigned"));
    let answer = stage.mirror.head("/v2/acme/app/manifests/v1").await;
    assert_eq!(answer.status, 403);
    let reason = answer.reason.expect("another phrase than `Forbidden`");
    assert!(reason.is_ascii() && reason.len() <= 120, "{reason:?}");
    assert!(reason.contains("acme/app"), "{reason:?}");
}

#[tokio::test]
async fn g4_the_signature_of_an_index_admits_its_children() {
    let stage = Stage::new().await;
    let (amd64, arm64) = (Image::oci("amd64"), Image::oci("arm64"));
    let statement = Image::attestation("provenance");
    let index = Image::index(vec![amd64.clone(), arm64.clone(), statement.clone()]);
    stage.push_signed("acme/app", "v1", &index);

    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    for child in [&amd64, &arm64, &statement] {
        stage.mirror.manifest("acme/app", child.digest).await.serves(child);
        for blob in &child.blobs {
            stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
        }
    }
}

#[tokio::test]
async fn g4_the_signature_of_a_nested_index_reaches_the_leaves() {
    let stage = Stage::new().await;
    let leaf = Image::oci("leaf");
    let inner = Image::index(vec![leaf.clone()]);
    let outer = Image::index(vec![inner.clone(), Image::oci("beside")]);
    stage.push_signed("acme/app", "v1", &outer);

    for image in [&outer, &inner, &leaf] {
        stage.mirror.manifest("acme/app", image.digest).await.serves(image);
    }
}

#[tokio::test]
async fn g4_a_child_refused_for_itself_is_admitted_once_its_index_is() {
    let stage = Stage::new().await;
    let child = Image::oci("child first");
    let index = Image::index(vec![child.clone()]);
    stage.push_signed("acme/app", "v1", &index);

    stage.mirror.manifest("acme/app", child.digest).await.denied();
    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(&child);
}

#[tokio::test]
async fn g4_a_child_is_admitted_in_the_repository_of_its_index_only() {
    let stage = Stage::new().await;
    let child = Image::oci("shared child");
    let index = Image::index(vec![child.clone()]);
    stage.push_signed("acme/app", "v1", &index);
    stage.upstream.push("acme/other", "v1", &index);

    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(&child);
    stage.mirror.manifest("acme/other", child.digest).await.denied();
    stage.mirror.blob("acme/other", child.layer(0)).await;
    assert_ne!(stage.mirror.blob("acme/other", child.layer(0)).await.status, 200);
}

#[tokio::test]
async fn g4_a_signed_child_does_not_admit_its_index_or_its_siblings() {
    let stage = Stage::new().await;
    let (signed, sibling) = (Image::oci("signed child"), Image::oci("sibling"));
    let index = Image::index(vec![signed.clone(), sibling.clone()]);
    stage.upstream.push("acme/app", "v1", &index);
    stage.sign("acme/app", &signed);

    stage.mirror.manifest("acme/app", signed.digest).await.serves(&signed);
    stage.mirror.manifest("acme/app", "v1").await.denied();
    stage.mirror.manifest("acme/app", sibling.digest).await.denied();
}

#[tokio::test]
async fn serves_docker_manifests_and_lists_under_their_own_media_types() {
    let stage = Stage::new().await;
    let image = Image::docker("schema 2");
    let list = Image::docker_list(vec![image.clone()]);
    stage.push_signed("acme/list", "v1", &list);
    stage.push_signed("acme/image", "v1", &image);

    stage.mirror.manifest("acme/list", "v1").await.serves(&list);
    stage.mirror.manifest("acme/list", image.digest).await.serves(&image);
    stage.mirror.manifest("acme/image", "v1").await.serves(&image);
}

#[tokio::test]
async fn g46_accept_changes_neither_bytes_nor_decision() {
    let stage = Stage::new().await;
    let index = Image::index(vec![Image::oci("negotiated")]);
    stage.push_signed("acme/app", "v1", &index);
    let unsigned = Image::oci("unsigned");
    stage.upstream.push("acme/other", "v1", &unsigned);

    for accept in [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "text/html",
        "*/*",
        "application/vnd.oci.image.manifest.v1+json, application/json;q=0.1",
    ] {
        let ask = |target: &str| Ask::get(target).header("accept", accept);
        stage.mirror.send(ask("/v2/acme/app/manifests/v1")).await.serves(&index);
        stage.mirror.send(ask("/v2/acme/other/manifests/v1")).await.denied();
    }
}

#[tokio::test]
async fn never_transcodes() {
    let stage = Stage::new().await;
    let image = Image::oci("plain");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);

    for target in [
        format!("/v2/acme/app/manifests/{}", image.digest),
        format!("/v2/acme/app/blobs/{}", image.layer(0)),
    ] {
        let ask = Ask::get(&target).header("accept-encoding", "zstd;q=1.0, gzip;q=0.8");
        let answer = stage.mirror.send(ask).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), None, "{target}");
    }
}

#[tokio::test]
async fn serves_blobs_named_by_sha512() {
    let stage = Stage::new().await;
    let plain = Image::oci("sha512 blobs");
    let layer = Digest::with(Algorithm::Sha512, &plain.blobs[1]);
    let image = plain.changed(|manifest| manifest["layers"][0]["digest"] = json!(layer));
    stage.push_signed("acme/app", "v1", &image);

    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", layer).await.carries(&image.blobs[1]);
    // The manifest names it by sha512, and by that name alone it is known here.
    assert_eq!(stage.mirror.blob("acme/app", image.layer(0)).await.status, 404);
}

#[tokio::test]
async fn serves_a_manifest_named_by_sha512_where_it_is_pinned() {
    let image = Image::oci("pinned by sha512");
    let digest = Digest::with(Algorithm::Sha512, image.bytes());
    let policy =
        format!("[[rule]]\nmatch = \"registry.test/**\"\nrequire = {{ pin = [\"{digest}\"] }}");
    let stage = Stage::with(|setup| setup.policy(&policy)).await;
    stage.upstream.push("acme/app", "v1", &image);

    let answer = stage.mirror.manifest("acme/app", digest).await;
    answer.carries(image.bytes());
    assert_eq!(answer.header("docker-content-digest"), Some(&*digest.to_string()));
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
}

#[tokio::test]
async fn finds_signatures_among_the_referrers() {
    let stage = Stage::new().await;
    stage.upstream.offer_referrers();
    let image = Image::oci("by referrer");
    stage.upstream.push("acme/app", "v1", &image);
    let signature = stage.signature("acme/app", &image);
    stage.upstream.attach_referrer("acme/app", &image, &[signature]);

    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn g42_finds_referrers_by_the_tag_schema_only_where_there_is_no_api() {
    for api in [false, true] {
        let stage = Stage::new().await;
        let image = Image::oci("by fallback tag");
        stage.upstream.push("acme/app", "v1", &image);
        let signature = stage.signature("acme/app", &image);
        let signature = stage.upstream.attach_referrer("acme/app", &image, &[signature]);
        let mut listed = signature.descriptor();
        listed["artifactType"] = json!(signing::SIGNATURE_ARTIFACT);
        let fallback = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed] });
        let tag = image.digest.to_string().replace(':', "-");
        let document = Document::json(OCI_INDEX, &fallback);
        stage.upstream.put_manifest("acme/app", Some(&tag), document);
        if api {
            stage.upstream.offer_referrers();
            let empty = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
            stage.upstream.always("/v2/acme/app/referrers/*", Fault::json(OCI_INDEX, &empty));
        }

        let answer = stage.mirror.manifest("acme/app", "v1").await;
        if api {
            answer.denied();
        } else {
            answer.serves(&image);
        }
    }
}

#[tokio::test]
async fn pulls_from_an_upstream_that_asks_for_tokens() {
    let stage = Stage::new().await;
    stage.upstream.ask_for_a_token("open-sesame");
    let image = Image::oci("behind a token");
    stage.push_signed("acme/app", "v1", &image);

    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    let tokens = stage.upstream.requests("/token");
    assert_eq!(tokens.len(), 1, "one token serves the whole pull");
    assert!(
        tokens[0].query.contains("acme%2Fapp%3Apull") || tokens[0].query.contains("acme/app:pull")
    );
}

#[tokio::test]
async fn follows_a_redirect_of_a_blob() {
    let stage = Stage::new().await;
    let storage = Upstream::start().await;
    let image = Image::oci("kept elsewhere");
    stage.push_signed("acme/app", "v1", &image);
    storage.push_untagged("acme/app", &image);
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.upstream.always(&path, Fault::redirect(&format!("{}{path}", storage.url())));

    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);
    assert_eq!(storage.count(&path), 1);
}

#[tokio::test]
async fn g8_follows_a_tag_that_moved_after_tag_fresh_and_judges_anew() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"1s\"")).await;
    let (first, second) = (Image::oci("first"), Image::oci("second"));
    stage.push_signed("acme/app", "v1", &first);
    stage.mirror.manifest("acme/app", "v1").await.serves(&first);

    stage.push_signed("acme/app", "v1", &second);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&second);

    stage.upstream.push("acme/app", "v1", &Image::oci("third, unsigned"));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.mirror.manifest("acme/app", "v1").await.denied();
    // What was admitted is still itself.
    stage.mirror.manifest("acme/app", first.digest).await.serves(&first);
}

#[tokio::test]
async fn answers_a_fresh_tag_without_asking_the_upstream() {
    let stage = Stage::new().await;
    let image = Image::oci("fresh");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    for blob in &image.blobs {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
    }
    stage.upstream.forget();

    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
    for blob in &image.blobs {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
    }
    assert_eq!(stage.upstream.count("*"), 0);
}

#[tokio::test]
async fn asks_the_upstream_once_for_many_clients_of_a_cold_tag() {
    let stage = Stage::new().await;
    let image = Image::oci("coalesced");
    stage.push_signed("acme/app", "v1", &image);
    let path = format!("/v2/acme/app/manifests/{}", image.digest);
    stage.upstream.always(&path, Fault::Delay(Duration::from_millis(200)));

    let pulls = (0..20).map(|_| stage.mirror.manifest("acme/app", "v1"));
    for answer in futures_util::future::join_all(pulls).await {
        answer.serves(&image);
    }
    assert_eq!(stage.upstream.count("/v2/acme/app/manifests/v1"), 1, "one resolve");
    assert_eq!(stage.upstream.count(&path), 1, "one fetch");
    let signatures = format!("/v2/acme/app/manifests/{}", signing::signature_tag(&image.digest));
    assert_eq!(stage.upstream.count(&format!("GET {signatures}")), 1, "one look for evidence");
}

#[tokio::test]
async fn lists_tags_in_pages_with_links_to_itself() {
    let stage = Stage::new().await;
    let image = Image::oci("tagged");
    for tag in ["a", "b", "c", "d"] {
        stage.upstream.push("acme/app", tag, &image);
    }
    let all = stage.mirror.get("/v2/acme/app/tags/list").await;
    let list: Value = serde_json::from_slice(&all.body).expect("tags are JSON");
    assert_eq!(list, json!({ "name": "acme/app", "tags": ["a", "b", "c", "d"] }));

    let mut target = "/v2/acme/app/tags/list?n=3".to_owned();
    let mut found = Vec::new();
    loop {
        let page = stage.mirror.get(&target).await;
        assert_eq!(page.status, 200, "{page:?}");
        let list: Value = serde_json::from_slice(&page.body).expect("tags are JSON");
        found.extend(list["tags"].as_array().expect("a list").clone());
        let Some(link) = page.header("link") else { break };
        let (next, relation) =
            link.strip_prefix('<').and_then(|l| l.split_once('>')).expect("RFC 8288");
        assert_eq!(relation, "; rel=\"next\"");
        assert!(next.starts_with("/v2/acme/app/tags/list?"), "a link to this server: {next}");
        target = next.to_owned();
    }
    assert_eq!(found, ["a", "b", "c", "d"]);
    let none = stage.mirror.get("/v2/acme/app/tags/list?n=0").await;
    let list: Value = serde_json::from_slice(&none.body).expect("tags are JSON");
    assert_eq!((list["tags"].clone(), none.header("link")), (json!([]), None));
}

#[tokio::test]
async fn lists_referrers_as_an_index_and_filters_them() {
    let stage = Stage::new().await;
    stage.upstream.offer_referrers();
    let image = Image::oci("referred to");
    stage.push_signed("acme/app", "v1", &image);
    let signature = stage.signature("acme/app", &image);
    let referrer = stage.upstream.attach_referrer("acme/app", &image, &[signature]);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);

    let target = format!("/v2/acme/app/referrers/{}", image.digest);
    let all = stage.mirror.get(&target).await;
    assert_eq!((all.status.as_u16(), all.header("content-type")), (200, Some(OCI_INDEX)));
    let index: Value = serde_json::from_slice(&all.body).expect("an index is JSON");
    assert_eq!(index["mediaType"], OCI_INDEX);
    assert_eq!(index["schemaVersion"], 2);
    assert_eq!(index["manifests"][0]["digest"], referrer.digest.to_string());

    let other = stage.mirror.get(format!("{target}?artifactType=application/vnd.example")).await;
    let index: Value = serde_json::from_slice(&other.body).expect("an index is JSON");
    assert_eq!(index["manifests"], json!([]));
    assert_eq!(other.header("oci-filters-applied"), Some("artifactType"));
}

#[tokio::test]
async fn referrers_of_anything_are_an_index_even_without_the_api() {
    let stage = Stage::new().await;
    let image = Image::oci("alone");
    stage.push_signed("acme/app", "v1", &image);
    let answer = stage.mirror.get(format!("/v2/acme/app/referrers/{}", image.digest)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let index: Value = serde_json::from_slice(&answer.body).expect("an index is JSON");
    assert_eq!(
        (index["mediaType"].clone(), index["manifests"].clone()),
        (json!(OCI_INDEX), json!([]))
    );
}

#[tokio::test]
async fn the_upstreams_no_is_passed_on_as_such() {
    let stage = Stage::new().await;
    let image = Image::oci("listed, not there");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.upstream.always(&format!("/v2/acme/app/blobs/{}", image.layer(0)), Fault::status(404));
    stage.upstream.always("/v2/acme/private/*", Fault::status(401));
    stage.upstream.always("/v2/acme/forbidden/*", Fault::status(403));
    let busy = Fault::Answer {
        status: 429,
        headers: vec![("retry-after", "77".to_owned())],
        body: Bytes::new(),
    };
    stage.upstream.always("/v2/acme/busy/*", busy);

    let missing = stage.mirror.manifest("acme/app", "missing").await;
    assert_eq!((missing.status.as_u16(), &*missing.error().code), (404, "MANIFEST_UNKNOWN"));
    let missing = stage.mirror.blob("acme/app", image.layer(0)).await;
    assert_eq!((missing.status.as_u16(), &*missing.error().code), (404, "BLOB_UNKNOWN"));
    for repository in ["acme/private", "acme/forbidden"] {
        let refused = stage.mirror.manifest(repository, "v1").await;
        assert_eq!((refused.status.as_u16(), &*refused.error().code), (403, "DENIED"));
        assert!(refused.error().message.contains("upstream"), "{:?}", refused.error());
        assert_eq!(refused.header("www-authenticate"), None, "no login is asked for here");
    }
    let limited = stage.mirror.manifest("acme/busy", "v1").await;
    assert_eq!((limited.status.as_u16(), &*limited.error().code), (503, "TOOMANYREQUESTS"));
    let retry: u64 = limited.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or(0);
    assert!((60..=77).contains(&retry), "the upstream's own time: {retry}");
}

#[tokio::test]
async fn g4_a_child_must_be_what_its_index_lists() {
    let stage = Stage::new().await;
    let child = Image::oci("listed wrongly");
    for (repository, member, value) in [
        ("acme/size", "size", json!(1)),
        ("acme/type", "mediaType", json!("application/vnd.docker.distribution.manifest.v2+json")),
        ("acme/blob", "mediaType", json!("application/vnd.oci.image.layer.v1.tar")),
    ] {
        let index = Image::index(vec![child.clone()])
            .changed(|index| index["manifests"][0][member] = value);
        stage.push_signed(repository, "v1", &index);
        stage.mirror.manifest(repository, "v1").await.serves(&index);
        let answer = stage.mirror.manifest(repository, child.digest).await;
        assert_ne!(answer.status, 200, "{repository}: {answer:?}");
    }
}

#[tokio::test]
async fn g4_a_child_listed_twice_is_one_child() {
    let stage = Stage::new().await;
    let child = Image::oci("for two platforms");
    let index = Image::index(vec![child.clone(), child.clone()]);
    stage.push_signed("acme/app", "v1", &index);
    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", child.digest).await.serves(&child);
}

#[tokio::test]
async fn a_tag_in_use_is_asked_again_before_it_is_stale() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"4s\"")).await;
    let (before, after) = (Image::oci("before"), Image::oci("after"));
    stage.push_signed("acme/app", "v1", &before);
    stage.mirror.manifest("acme/app", "v1").await.serves(&before);
    stage.push_signed("acme/app", "v1", &after);
    stage.upstream.forget();

    tokio::time::sleep(Duration::from_millis(3_300)).await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&before);
    // Sooner than the tag would have become stale by itself.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&after);
    assert_eq!(stage.upstream.count("/v2/acme/app/manifests/v1"), 1);
}
