//! Every door leads through the same decision: blobs, signature tags, referrers, writes.

use crate::support::{signing::SIGNATURE_ANNOTATION, *};

/// A stage with `acme/app:v1` signed and `acme/app:bad` unsigned.
async fn scene() -> (Stage, Image, Image) {
    let stage = Stage::new().await;
    let (good, bad) = (Image::oci("good"), Image::oci("bad"));
    stage.push_signed("acme/app", "v1", &good);
    stage.upstream.push("acme/app", "bad", &bad);
    (stage, good, bad)
}

#[tokio::test]
async fn g45_a_blob_needs_a_manifest_that_is_known_here() {
    let (stage, good, _) = scene().await;
    for digest in [good.config(), good.layer(0), Digest::of(b"nowhere")] {
        let answer = stage.mirror.blob("acme/app", digest).await;
        assert_eq!((answer.status.as_u16(), &*answer.error().code), (404, "BLOB_UNKNOWN"));
        assert!(format!("{:?}", answer.error()).contains("manifest"), "the next step");
    }
    assert_eq!(stage.upstream.count("/v2/acme/app/blobs/*"), 0, "nothing is fetched for nothing");

    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    for blob in &good.blobs {
        stage.mirror.blob("acme/app", Digest::of(blob)).await.carries(blob);
    }
}

#[tokio::test]
async fn g45_a_blob_of_a_refused_manifest_is_refused() {
    let (stage, _, bad) = scene().await;
    stage.mirror.manifest("acme/app", "bad").await.denied();
    for digest in [bad.config(), bad.layer(0), bad.layer(1)] {
        let answer = stage.mirror.blob("acme/app", digest).await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), "no_signature");
        let target = format!("/v2/acme/app/blobs/{digest}");
        assert_eq!(stage.mirror.head(&target).await.status, 403);
        let part = Ask::get(&target).header("range", "bytes=0-3");
        assert_eq!(stage.mirror.send(part).await.status, 403);
    }
    assert_eq!(stage.upstream.count("/v2/acme/app/blobs/*"), 0);
}

#[tokio::test]
async fn g45_a_blob_shared_by_a_good_and_a_refused_image_is_served() {
    let (stage, good, _) = scene().await;
    let sharing = good.changed(|manifest| manifest["annotations"] = json!({ "other": "one" }));
    stage.upstream.push("acme/app", "sharing", &sharing);
    stage.mirror.manifest("acme/app", "sharing").await.denied();
    stage.mirror.blob("acme/app", good.layer(0)).await.denied();
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    stage.mirror.blob("acme/app", good.layer(0)).await.carries(&good.blobs[1]);
}

#[tokio::test]
async fn g45_a_blob_is_not_served_through_another_repository() {
    let (stage, good, bad) = scene().await;
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    stage.mirror.blob("acme/app", good.layer(0)).await.carries(&good.blobs[1]);
    stage.upstream.push("acme/other", "v1", &bad);
    stage.upstream.put_blob("acme/other", &good.blobs[1]);

    for repository in ["acme/other", "acme/app/deeper", "acme"] {
        let answer = stage.mirror.blob(repository, good.layer(0)).await;
        assert_eq!(answer.status, 404, "{repository}");
        assert_eq!(answer.error().code, "BLOB_UNKNOWN");
    }
}

#[tokio::test]
async fn g45_a_manifest_is_never_readable_as_a_blob() {
    let (stage, good, bad) = scene().await;
    let index = Image::index(vec![good.clone()]);
    stage.push_signed("acme/app", "index", &index);
    for image in [&good, &bad, &index] {
        stage.upstream.put_blob("acme/app", image.bytes());
    }
    stage.mirror.manifest("acme/app", "index").await.serves(&index);
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    stage.mirror.manifest("acme/app", "bad").await.denied();
    for image in [&good, &bad, &index] {
        let answer = stage.mirror.blob("acme/app", image.digest).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        let target = format!("/v2/acme/app/blobs/{}", image.digest);
        assert_eq!(stage.mirror.head(target).await.status, 404);
    }
}

#[tokio::test]
async fn g45_a_refused_manifest_named_as_layer_of_a_signed_one_stays_hidden() {
    let (stage, good, bad) = scene().await;
    stage.mirror.manifest("acme/app", "bad").await.denied();
    // A signed image that lists the refused manifest among its layers, or as its configuration.
    let smuggler = good.changed(|manifest| {
        manifest["layers"][0]["digest"] = json!(bad.digest);
        manifest["layers"][0]["size"] = json!(bad.bytes().len());
    });
    stage.push_signed("acme/app", "smuggler", &smuggler);
    stage.upstream.put_blob("acme/app", bad.bytes());
    stage.mirror.manifest("acme/app", "smuggler").await.serves(&smuggler);
    assert_eq!(stage.mirror.blob("acme/app", bad.digest).await.status, 404);
    stage.mirror.manifest("acme/app", bad.digest).await.denied();
}

#[tokio::test]
async fn g45_foreign_urls_of_a_layer_are_not_followed() {
    let (stage, good, _) = scene().await;
    let elsewhere = Upstream::start().await;
    let foreign = good.changed(|manifest| {
        manifest["layers"][0]["urls"] = json!([format!("{}/layer", elsewhere.url())]);
    });
    stage.push_signed("acme/foreign", "v1", &foreign);
    stage.mirror.manifest("acme/foreign", "v1").await.serves(&foreign);
    let _ = stage.mirror.blob("acme/foreign", foreign.layer(0)).await;
    assert_eq!(elsewhere.count("*"), 0);
}

#[tokio::test]
async fn signature_artifacts_are_readable_for_clients_that_verify_too() {
    let (stage, good, _) = scene().await;
    let tag = signing::signature_tag(&good.digest);
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    let signature = stage.mirror.manifest("acme/app", &tag).await;
    assert_eq!(signature.status, 200, "{signature:?}");
    let manifest: Value = serde_json::from_slice(&signature.body).expect("a manifest is JSON");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
    let payload = stage.mirror.blob("acme/app", layer).await;
    assert_eq!(payload.status, 200, "{payload:?}");
    assert!(payload.body.starts_with(b"{\"critical\""));
    let digest = signature.header("docker-content-digest").expect("a digest").to_owned();
    assert_eq!(stage.mirror.manifest("acme/app", digest).await.status, 200);
}

#[tokio::test]
async fn a_missing_signature_tag_is_simply_not_there() {
    let (stage, _, bad) = scene().await;
    let answer = stage.mirror.manifest("acme/app", signing::signature_tag(&bad.digest)).await;
    assert_eq!((answer.status.as_u16(), &*answer.error().code), (404, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn g48_an_image_under_a_signature_tag_is_judged_as_an_image() {
    let (stage, good, bad) = scene().await;
    let signed = signing::signature_image(&[stage.signature("acme/app", &good)], None);
    let annotation = stage.signature("acme/app", &good).annotation().to_owned();
    let dressed = |change: fn(&mut Value)| {
        // Runnable layers in the clothes of a signature.
        let image = signed.changed(change);
        Image { blobs: [signed.blobs.clone(), bad.blobs.clone()].concat(), ..image }
    };
    let runnable = bad.changed(|manifest| {
        manifest["layers"][0]["annotations"] = json!({ SIGNATURE_ANNOTATION: annotation });
    });
    let costumes = [
        bad.clone(),
        runnable,
        Image::index(vec![bad.clone()]),
        bad.changed(|manifest| manifest["artifactType"] = json!(signing::SIGNATURE_ARTIFACT)),
        bad.changed(|manifest| {
            manifest["config"]["mediaType"] = json!(signing::SIGNATURE_ARTIFACT);
        }),
        dressed(|manifest| {
            let mut layer = manifest["layers"][0].clone();
            layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
            manifest["layers"].as_array_mut().expect("a list").push(layer);
        }),
        dressed(|manifest| {
            manifest["layers"][0]["mediaType"] =
                json!("application/vnd.docker.image.rootfs.diff.tar.gzip");
        }),
        dressed(|manifest| manifest["layers"] = json!([])),
    ];
    for (number, costume) in costumes.iter().enumerate() {
        let subject = Image::oci(&format!("subject {number}"));
        stage.push_signed("acme/app", &format!("subject{number}"), &subject);
        let tag = signing::signature_tag(&subject.digest);
        stage.upstream.push("acme/app", &tag, costume);

        let answer = stage.mirror.manifest("acme/app", &tag).await;
        assert_eq!(answer.status, 403, "costume {number}: {answer:?}");
        let answer = stage.mirror.manifest("acme/app", costume.digest).await;
        assert_eq!(answer.status, 403, "costume {number} by digest: {answer:?}");
        for blob in costume.blobs.iter().chain(&bad.blobs) {
            let answer = stage.mirror.blob("acme/app", Digest::of(blob)).await;
            assert_ne!(answer.status, 200, "costume {number}");
        }
    }
}

#[tokio::test]
async fn g48_a_tar_under_the_media_type_of_a_payload_is_no_signature() {
    let (stage, good, _) = scene().await;
    // Everything fits but the content: a layer of a root file system that calls itself a payload.
    let archive = image::noise("a root file system", 30_000);
    let mut costume = Signature::made_of(archive.clone(), b"signature");
    costume.annotations = stage.signature("acme/app", &good).annotations;
    let image = Image::oci("subject of the tar");
    stage.upstream.push("acme/app", "tar", &image);
    let costume = stage.upstream.attach("acme/app", &image.digest, &[costume]);

    let tag = signing::signature_tag(&image.digest);
    let manifest = stage.mirror.manifest("acme/app", &tag).await;
    let by_digest = stage.mirror.manifest("acme/app", costume.digest).await;
    let blob = stage.mirror.blob("acme/app", Digest::of(&archive)).await;
    assert_ne!(blob.status, 200, "manifest was {}, {}", manifest.status, by_digest.status);
}

#[tokio::test]
async fn g48_a_signature_tag_that_names_no_digest_is_a_tag() {
    let (stage, _, bad) = scene().await;
    let hex = bad.digest.hex();
    for tag in [
        format!("sha256-{}.sig", &hex[1..]),
        format!("sha256-{}.sig", hex.to_uppercase()),
        format!("sha256-{hex}.sig.sig"),
        format!("x-sha256-{hex}.sig"),
        format!("sha256-{hex}.att"),
        format!("sha256-{hex}.sbom"),
        format!("sha256-{hex}"),
        "latest.sig".to_owned(),
    ] {
        stage.upstream.push("acme/app", &tag, &bad);
        let answer = stage.mirror.manifest("acme/app", &tag).await;
        assert_eq!(answer.status, 403, "{tag}: {answer:?}");
    }
}

#[tokio::test]
async fn g48_a_runnable_referrer_is_judged_as_an_image() {
    let (stage, good, bad) = scene().await;
    stage.upstream.offer_referrers();
    let mut clothed = vec![
        bad.changed(|manifest| manifest["subject"] = good.descriptor()),
        bad.changed(|manifest| {
            manifest["subject"] = good.descriptor();
            manifest["artifactType"] = json!("application/vnd.dev.sigstore.bundle.v0.3+json");
        }),
    ];
    clothed.push(bad.changed(|manifest| {
        manifest["subject"] = good.descriptor();
        manifest["config"]["mediaType"] = json!(signing::SIGNATURE_ARTIFACT);
    }));
    for referrer in &clothed {
        stage.upstream.push_untagged("acme/app", referrer);
    }
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    let listed = stage.mirror.get(format!("/v2/acme/app/referrers/{}", good.digest)).await;
    assert_eq!(listed.status, 200);
    for referrer in &clothed {
        let answer = stage.mirror.manifest("acme/app", referrer.digest).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_ne!(stage.mirror.blob("acme/app", referrer.layer(0)).await.status, 200);
    }
}

#[tokio::test]
async fn referrers_and_tags_of_an_uncovered_repository_open_nothing() {
    let (stage, ..) = scene().await;
    let policy = "[authority.release]\nkey = \"release.pub\"\n[[rule]]\nmatch = \"registry.test/acme/app\"\nrequire = \"release\"\n";
    stage.mirror.adopt(policy).await;
    let image = Image::oci("hidden");
    stage.push_signed("other/app", "v1", &image);
    stage.mirror.manifest("other/app", "v1").await.denied();
    for target in
        ["/v2/other/app/tags/list".to_owned(), format!("/v2/other/app/referrers/{}", image.digest)]
    {
        let answer = stage.mirror.get(&target).await;
        assert!([200, 403, 404].contains(&answer.status.as_u16()), "{target}: {answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("layer"), "lists only, at most: {text}");
    }
}

#[tokio::test]
async fn g48_every_verb_that_writes_is_refused() {
    let (stage, good, _) = scene().await;
    for (method, target) in [
        ("PUT", "/v2/acme/app/manifests/v1".to_owned()),
        ("DELETE", format!("/v2/acme/app/manifests/{}", good.digest)),
        ("POST", "/v2/acme/app/blobs/uploads/".to_owned()),
        ("POST", format!("/v2/acme/app/blobs/uploads/?mount={}&from=acme/other", good.layer(0))),
        ("PATCH", "/v2/acme/app/blobs/uploads/1".to_owned()),
        ("PUT", format!("/v2/acme/app/blobs/uploads/1?digest={}", good.layer(0))),
        ("DELETE", format!("/v2/acme/app/blobs/{}", good.layer(0))),
        ("POST", "/v2/acme/app/manifests/v1".to_owned()),
        ("OPTIONS", "/v2/".to_owned()),
        ("TRACE", "/v2/".to_owned()),
        ("BREW", "/v2/acme/app/manifests/v1".to_owned()),
    ] {
        let answer = stage.mirror.send(Ask::method(method, &target)).await;
        assert!([404, 405].contains(&answer.status.as_u16()), "{method} {target}: {answer:?}");
        if answer.status == 405 {
            assert_eq!(answer.error().code, "UNSUPPORTED");
        }
    }
    assert_eq!(stage.upstream.count("*"), 0, "no write is passed on");
}

#[tokio::test]
async fn other_paths_are_not_there() {
    let (stage, ..) = scene().await;
    for target in [
        "/",
        "/v1/",
        "/v2/_catalog",
        "/v2/acme/app",
        "/v2/acme/app/manifests/",
        "/metrics",
        "/healthz",
        "/v2/acme/app/tags",
        "/v2/manifests/v1",
        "/v2//manifests/v1",
        "/v2/token",
        "/v2/acme/app/blobs/",
        "/v2/acme/app/referrers/",
    ] {
        let answer = stage.mirror.get(target).await;
        assert!([400, 404, 405].contains(&answer.status.as_u16()), "{target}: {answer:?}");
        assert!(!answer.error().code.is_empty());
    }
    assert_eq!(stage.upstream.count("*"), 0);
}

#[tokio::test]
async fn g2_malformed_references_are_told_so() {
    let (stage, good, _) = scene().await;
    let hex = good.digest.hex();
    for reference in [
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha512:{hex}"),
        format!("SHA256:{hex}"),
        format!("md5:{}", &hex[..32]),
        "sha256:..%2f..%2fx".to_owned(),
        "sha256:".to_owned(),
        "sha256:baddigeststring".to_owned(),
        ".hidden".to_owned(),
        "-dash".to_owned(),
        "a".repeat(129),
        "v1%00".to_owned(),
        "v1%20".to_owned(),
        "v%C3%A9".to_owned(),
    ] {
        let answer = stage.mirror.manifest("acme/app", &reference).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{reference}: {answer:?}");
        let answer = stage.mirror.blob("acme/app", &reference).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{reference}: {answer:?}");
        let answer = stage.mirror.get(format!("/v2/acme/app/referrers/{reference}")).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{reference}: {answer:?}");
    }
    assert_eq!(stage.upstream.count("*"), 0, "nothing malformed travels on");
}

/// An artifact of one layer that refers to `subject`.
fn artifact(subject: &Image, kind: &str, layer_type: &str, layer: &str) -> Image {
    let (config, layer) = (Bytes::from_static(b"{}"), Bytes::from(layer.to_owned()));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": image::descriptor("application/vnd.oci.empty.v1+json", &config),
        "layers": [image::descriptor(layer_type, &layer)],
        "subject": subject.descriptor(),
    });
    Image::raw(OCI_MANIFEST, manifest.to_string(), vec![config, layer])
}

#[tokio::test]
async fn attestations_and_bundles_are_readable_and_runnable_content_under_their_names_is_not() {
    let (stage, good, bad) = scene().await;
    stage.upstream.offer_referrers();
    stage.mirror.manifest("acme/app", "v1").await.serves(&good);
    let bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let bundle = r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"},"tlogEntries":[]},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}"#;
    let real = artifact(&good, bundle_type, bundle_type, bundle);
    stage.upstream.push_untagged("acme/app", &real);
    stage.mirror.manifest("acme/app", real.digest).await.serves(&real);
    stage.mirror.blob("acme/app", real.layer(0)).await.carries(&real.blobs[1]);

    let archive = String::from_utf8_lossy(&bad.blobs[1]).into_owned();
    let posing = artifact(&good, bundle_type, bundle_type, &archive);
    let layered = artifact(&good, bundle_type, "application/vnd.oci.image.layer.v1.tar", bundle);
    for costume in [&posing, &layered] {
        stage.upstream.push_untagged("acme/app", costume);
        let answer = stage.mirror.manifest("acme/app", costume.digest).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let blob = stage.mirror.blob("acme/app", costume.layer(0)).await;
        assert!(blob.status != 200 || blob.body == real.blobs[1], "{blob:?}");
    }
}

#[tokio::test]
async fn a_range_of_a_manifest_is_the_whole_manifest() {
    let (stage, good, _) = scene().await;
    let ask = Ask::get("/v2/acme/app/manifests/v1").header("range", "bytes=0-9");
    stage.mirror.send(ask).await.serves(&good);
}

#[tokio::test]
async fn a_client_cannot_choose_the_request_id_of_the_records() {
    let (stage, good, _) = scene().await;
    let ask = Ask::get("/v2/acme/app/manifests/v1").header("x-request-id", "forged");
    let answer = stage.mirror.send(ask).await;
    answer.serves(&good);
    assert_ne!(answer.header("x-request-id"), Some("forged"));
    assert_ne!(stage.mirror.record_of(&answer)["request"], "forged");
}
