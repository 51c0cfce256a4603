//! `If-None-Match` saves bytes, never a decision.

use crate::support::*;

fn with_tag(target: &str, tag: &str) -> Ask {
    Ask::get(target).header("if-none-match", tag)
}

#[tokio::test]
async fn an_unchanged_manifest_is_304_after_the_decision() {
    let stage = Stage::new().await;
    let image = Image::oci("unchanged");
    stage.push_signed("acme/app", "v1", &image);
    let etag = format!("\"{}\"", image.digest);
    let target = "/v2/acme/app/manifests/v1";

    // Even the first time, when nothing is known yet.
    for wanted in [&*etag, &format!("\"other\", {etag}"), &format!("W/{etag}"), "*"] {
        let answer = stage.mirror.send(with_tag(target, wanted)).await;
        assert_eq!(answer.status, 304, "{wanted}: {answer:?}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), Some(&*etag));
    }
    for other in ["\"sha256:0\"", "\"\"", "nonsense", &image.digest.to_string()] {
        stage.mirror.send(with_tag(target, other)).await.serves(&image);
    }
}

#[tokio::test]
async fn g46_a_denied_digest_is_denied_whatever_the_client_has() {
    let stage = Stage::new().await;
    let image = Image::oci("denied, and known to the client");
    stage.upstream.push("acme/app", "v1", &image);
    let etag = format!("\"{}\"", image.digest);
    for target in
        ["/v2/acme/app/manifests/v1".to_owned(), format!("/v2/acme/app/manifests/{}", image.digest)]
    {
        for wanted in [&*etag, "*"] {
            stage.mirror.send(with_tag(&target, wanted)).await.denied();
        }
    }
    let blob = format!("/v2/acme/app/blobs/{}", image.layer(0));
    let etag = format!("\"{}\"", image.layer(0));
    let answer = stage.mirror.send(with_tag(&blob, &etag)).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn an_unchanged_blob_is_304() {
    let stage = Stage::new().await;
    let image = Image::oci("unchanged blob");
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    let target = format!("/v2/acme/app/blobs/{}", image.layer(0));
    stage.mirror.get(&target).await.carries(&image.blobs[1]);
    let etag = format!("\"{}\"", image.layer(0));
    let answer = stage.mirror.send(with_tag(&target, &etag)).await;
    assert_eq!(answer.status, 304, "{answer:?}");
}
