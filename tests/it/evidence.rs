//! G-41: not finding a signature and not being able to look are two things.
//!
//! Only a 404 means "no signature here" (403). Whatever else is no valid answer means that nobody
//! knows (503), is never remembered, and never opens. Each case has an upstream of its own, so that
//! the breaker that one of them opens does not speak for the others.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::*;

const POLICY: &str = r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "*.test/**"
require = "release"
"#;

/// What a look for evidence should come to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// Looked, and found nothing.
    Denied,
    /// Could not look.
    Undecided,
}

/// An unsigned image on an upstream of its own, where something goes wrong.
struct Case {
    what: String,
    upstream: Upstream,
    expected: Expected,
}

async fn case(what: &str, expected: Expected, script: impl FnOnce(&Upstream, &Image)) -> Case {
    let upstream = Upstream::start().await;
    let image = Image::oci(what);
    upstream.push("acme/app", "v1", &image);
    script(&upstream, &image);
    Case { what: what.to_owned(), upstream, expected }
}

/// Serves all `cases` by one mirror at once and compares.
async fn judge_all(cases: Vec<Case>) -> (Mirror, Key, Vec<Case>) {
    let key = Key::p256();
    let setup = Setup::new().policy(POLICY).key("release.pub", &key);
    let setup = cases
        .iter()
        .enumerate()
        .fold(setup, |setup, (n, case)| setup.upstream(&format!("case{n}.test"), &case.upstream));
    let mirror = setup.start().await;
    let answers = cases.iter().enumerate().map(|(number, case)| {
        let mirror = &mirror;
        async move {
            let path = format!("case{number}.test/acme/app");
            let answer = mirror.manifest(&path, "v1").await;
            match case.expected {
                Expected::Denied => {
                    assert_eq!(answer.status, 403, "{}: {answer:?}", case.what);
                    answer.denied();
                    assert_eq!(mirror.reason_of(&answer), "no_signature", "{}", case.what);
                }
                Expected::Undecided => {
                    assert_eq!(answer.status, 503, "{}: {answer:?}", case.what);
                    answer.unavailable();
                    let reason = mirror.reason_of(&answer);
                    let known = ["evidence_unreachable", "limit_reached", "upstream_unreachable"];
                    assert!(known.contains(&&*reason), "{}: {reason}", case.what);
                }
            }
        }
    });
    join_all(answers).await;
    (mirror, key, cases)
}

fn faults() -> Vec<(&'static str, Fault, Expected, Expected)> {
    let truncated = Fault::Truncate(20);
    let (denied, undecided) = (Expected::Denied, Expected::Undecided);
    vec![
        // What goes wrong, and what it means at the `.sig` tag and at the referrers API.
        ("400", Fault::status(400), undecided, denied),
        ("401", Fault::status(401), undecided, undecided),
        ("403", Fault::status(403), undecided, undecided),
        ("404", Fault::status(404), denied, denied),
        ("405", Fault::status(405), undecided, denied),
        ("410", Fault::status(410), undecided, undecided),
        ("418", Fault::status(418), undecided, undecided),
        ("429", Fault::status(429), undecided, undecided),
        ("500", Fault::status(500), undecided, undecided),
        ("502", Fault::status(502), undecided, undecided),
        ("503", Fault::status(503), undecided, undecided),
        ("204", Fault::status(204), undecided, undecided),
        ("200 with nothing", Fault::status(200), undecided, undecided),
        ("200 with HTML", Fault::html(), undecided, undecided),
        ("truncated", truncated, undecided, undecided),
        ("cut", Fault::Cut, undecided, undecided),
    ]
}

#[tokio::test]
async fn g41_at_the_signature_tag_only_404_means_none() {
    let mut cases = Vec::new();
    for (what, fault, expected, _) in faults() {
        let case = case(what, expected, |upstream, image| {
            // There is a signature manifest, so that a truncated answer has something to cut.
            upstream.attach("acme/app", &image.digest, &[Signature::made_of("junk", b"junk")]);
            let tag = signing::signature_tag(&image.digest);
            upstream.always(&format!("/v2/acme/app/manifests/{tag}"), fault);
        });
        cases.push(case.await);
    }
    judge_all(cases).await;
}

#[tokio::test]
async fn g41_at_the_referrers_api_only_404_400_and_405_mean_that_it_is_not_there() {
    let mut cases = Vec::new();
    for (what, fault, _, expected) in faults() {
        let case = case(what, expected, |upstream, _| {
            upstream.offer_referrers();
            upstream.always("/v2/acme/app/referrers/*", fault);
        });
        cases.push(case.await);
    }
    judge_all(cases).await;
}

#[tokio::test]
async fn g41_an_upstream_that_never_answers_for_evidence_is_undecided_in_time() {
    let started = tokio::time::Instant::now();
    let tag = case("silent tag", Expected::Undecided, |upstream, image| {
        let tag = signing::signature_tag(&image.digest);
        upstream.always(&format!("/v2/acme/app/manifests/{tag}"), Fault::Hang);
    });
    let slow = case("g40: drips", Expected::Undecided, |upstream, image| {
        upstream.attach("acme/app", &image.digest, &[Signature::made_of("junk", b"junk")]);
        let tag = signing::signature_tag(&image.digest);
        let drip = Fault::Drip { piece: 1, every: Duration::from_millis(500) };
        upstream.always(&format!("/v2/acme/app/manifests/{tag}"), drip);
    });
    judge_all(vec![tag.await, slow.await]).await;
    assert!(started.elapsed() < Duration::from_secs(30), "twenty seconds, and not much more");
}

#[tokio::test]
async fn g41_endless_evidence_is_undecided() {
    let endless = |what: &'static str, path: &'static str| {
        case(what, Expected::Undecided, move |upstream, image| {
            upstream.offer_referrers();
            let path = path.replace("SIG", &signing::signature_tag(&image.digest));
            upstream.attach("acme/app", &image.digest, &[Signature::made_of("junk", b"junk")]);
            upstream.always(&path, Fault::Endless);
        })
    };
    let tag = endless("endless tag", "/v2/acme/app/manifests/SIG").await;
    let referrers = endless("endless referrers", "/v2/acme/app/referrers/*").await;
    judge_all(vec![tag, referrers]).await;
}

#[tokio::test]
async fn g44_undecided_is_not_remembered() {
    let case = case("recovers", Expected::Undecided, |upstream, image| {
        let tag = signing::signature_tag(&image.digest);
        upstream.always(&format!("/v2/acme/app/manifests/{tag}"), Fault::status(401));
    });
    let (mirror, key, cases) = judge_all(vec![case.await]).await;
    let upstream = &cases[0].upstream;
    let image = Image::oci("recovers");
    upstream.behave();
    let signature = Signature::by(&key, "case0.test/acme/app", &image.digest);
    upstream.attach("acme/app", &image.digest, &[signature]);
    mirror.manifest("case0.test/acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn what_was_found_elsewhere_may_already_suffice() {
    let stage = Stage::new().await;
    let image = Image::oci("enough");
    stage.push_signed("acme/app", "v1", &image);
    stage.upstream.always("/v2/acme/app/referrers/*", Fault::status(401));
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn a_referrers_api_that_leads_to_a_page_that_is_not_there_is_none() {
    // What ghcr.io answers: 303 to an HTML page with 404.
    let stage = Stage::new().await;
    let (signed, unsigned) = (Image::oci("on ghcr"), Image::oci("on ghcr, unsigned"));
    stage.push_signed("acme/app", "v1", &signed);
    stage.upstream.push("acme/app", "v2", &unsigned);
    let page = format!("{}/page", stage.upstream.url());
    let redirect =
        Fault::Answer { status: 303, headers: vec![("location", page)], body: Bytes::new() };
    stage.upstream.always("/v2/acme/app/referrers/*", redirect);
    let html = Fault::Answer {
        status: 404,
        headers: vec![("content-type", "text/html".to_owned())],
        body: Bytes::from_static(b"<h1>Not found</h1>"),
    };
    stage.upstream.always("/page", html);

    stage.mirror.manifest("acme/app", "v1").await.serves(&signed);
    let answer = stage.mirror.manifest("acme/app", "v2").await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "no_signature");
}

#[tokio::test]
async fn g42_a_poisoned_fallback_tag_admits_nothing() {
    let stage = Stage::new().await;
    let image = Image::oci("poisoned");
    stage.upstream.push("acme/app", "v1", &image);
    let tag = image.digest.to_string().replace(':', "-");
    // An image, where an index of referrers belongs.
    stage.upstream.push("acme/app", &tag, &Image::oci("poison"));
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    assert!([403, 503].contains(&answer.status.as_u16()), "{answer:?}");
    // An index that lists the image itself as its signature.
    let mut listed = image.descriptor();
    listed["artifactType"] = json!(signing::SIGNATURE_ARTIFACT);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed] });
    stage.upstream.put_manifest("acme/two", Some(&tag), Document::json(OCI_INDEX, &index));
    stage.upstream.push("acme/two", "v1", &image);
    let answer = stage.mirror.manifest("acme/two", "v1").await;
    assert!([403, 503].contains(&answer.status.as_u16()), "{answer:?}");
}

#[tokio::test]
async fn g39_too_many_referrers_are_undecided() {
    let many = case("g36: 10001 referrers", Expected::Undecided, |upstream, image| {
        upstream.offer_referrers();
        let junk = |number: u32| {
            json!({
                "mediaType": OCI_MANIFEST, "size": 10, "artifactType": signing::SIGNATURE_ARTIFACT,
                "digest": Digest::of(&number.to_le_bytes()),
            })
        };
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX,
            "manifests": (0..10_001).map(junk).collect::<Vec<_>>(),
        });
        let path = format!("/v2/acme/app/referrers/{}", image.digest);
        upstream.always(&path, Fault::json(OCI_INDEX, &index));
    });
    let pages = case("pages that go in a circle", Expected::Undecided, |upstream, image| {
        upstream.offer_referrers();
        let path = format!("/v2/acme/app/referrers/{}", image.digest);
        let link = format!("<{path}?page=2>; rel=\"next\"");
        upstream.always(&path, Fault::Header("link", link));
    });
    judge_all(vec![many.await, pages.await]).await;
}

#[tokio::test]
async fn g36_ten_thousand_layers_of_signatures_are_undecided() {
    let layers = case("10001 layers", Expected::Undecided, |upstream, image| {
        let junk: Vec<_> =
            (0..10_001).map(|n| Signature::made_of(format!("junk {n}"), b"junk")).collect();
        upstream.attach("acme/app", &image.digest, &junk);
    });
    judge_all(vec![layers.await]).await;
}

#[tokio::test]
async fn referrers_on_a_later_page_are_found() {
    let stage = Stage::new().await;
    stage.upstream.offer_referrers();
    let image = Image::oci("on the second page");
    stage.upstream.push("acme/app", "v1", &image);
    let signature = stage.signature("acme/app", &image);
    stage.upstream.attach_referrer("acme/app", &image, &[signature]);
    let path = format!("/v2/acme/app/referrers/{}", image.digest);
    let empty = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    let first = Fault::Answer {
        status: 200,
        headers: vec![
            ("content-type", OCI_INDEX.to_owned()),
            ("link", format!("<{path}?page=2>; rel=\"next\"")),
        ],
        body: empty.to_string().into(),
    };
    // The next page is the honest answer.
    stage.upstream.times(1, &path, first);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}
