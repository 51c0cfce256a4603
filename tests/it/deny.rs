//! Refusing what policy does not admit, with the reason and the way on.

use crate::support::*;

/// A mirror with `policy` and the keys `release.pub`, `qa.pub` and `third.pub`.
async fn scene(policy: &str) -> (Stage, Key, Key) {
    let (qa, third) = (Key::p256(), Key::ed25519());
    let change = |setup: Setup| setup.policy(policy).key("qa.pub", &qa).key("third.pub", &third);
    let stage = Stage::with(change).await;
    (stage, qa, third)
}

#[tokio::test]
async fn refuses_an_unsigned_image_and_says_what_was_missing() {
    let stage = Stage::new().await;
    let image = Image::oci("unsigned");
    stage.upstream.push("acme/app", "v1", &image);

    let answer = stage.mirror.manifest("acme/app", "v1").await;
    let error = answer.denied();
    assert!(error.message.contains("registry.test/acme/app"), "{error:?}");
    assert!(error.message.contains(&image.digest.to_string()), "{error:?}");
    assert!(error.message.contains("registry.test/**"), "the rule: {error:?}");
    assert!(error.message.contains("release"), "what it requires: {error:?}");
    let record = stage.mirror.record_of(&answer);
    assert_eq!(record["outcome"], "denied");
    assert_eq!(record["reason"], "no_signature");
    assert_eq!(record["digest"], image.digest.to_string());
    stage.mirror.manifest("acme/app", image.digest).await.denied();
}

#[tokio::test]
async fn g1_refuses_an_image_that_was_altered_after_it_was_signed() {
    let stage = Stage::new().await;
    let image = Image::oci("original");
    let altered = image.changed(|manifest| manifest["annotations"] = json!({ "evil": "yes" }));
    let signature = stage.signature("acme/app", &image);
    stage.upstream.push("acme/app", "v1", &altered);
    stage.upstream.attach("acme/app", &altered.digest, &[signature]);

    let answer = stage.mirror.manifest("acme/app", "v1").await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "digest_mismatch");
}

#[tokio::test]
async fn g3_the_subject_of_a_referrer_is_only_a_hint() {
    let stage = Stage::new().await;
    stage.upstream.offer_referrers();
    let (wanted, other) = (Image::oci("wanted"), Image::oci("other"));
    stage.upstream.push("acme/app", "v1", &wanted);
    stage.upstream.push("acme/app", "other", &other);
    // It says that it is about `wanted`, and signs `other`.
    let signature = stage.signature("acme/app", &other);
    stage.upstream.attach_referrer("acme/app", &wanted, &[signature]);
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "digest_mismatch");

    // The API lists, for `wanted`, a signature of `other` whose subject is `other`.
    let signature = stage.signature("acme/app", &other);
    let referrer = stage.upstream.attach_referrer("acme/lists", &other, &[signature]);
    let mut listed = referrer.descriptor();
    listed["artifactType"] = json!(signing::SIGNATURE_ARTIFACT);
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed] });
    stage.upstream.push("acme/lists", "v1", &wanted);
    let path = format!("/v2/acme/lists/referrers/{}", wanted.digest);
    stage.upstream.always(&path, Fault::json(OCI_INDEX, &index));
    stage.mirror.manifest("acme/lists", "v1").await.denied();
}

#[tokio::test]
async fn refuses_a_signature_by_a_key_that_nobody_named() {
    let stage = Stage::new().await;
    let image = Image::oci("signed by a stranger");
    let stranger = Signature::by(&Key::p256(), "registry.test/acme/app", &image.digest);
    let answer = stage.judge("acme/app", &image, &[stranger]).await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "signer_not_trusted");
}

#[tokio::test]
async fn g9_refuses_a_signature_copied_from_another_repository() {
    let stage = Stage::new().await;
    let image = Image::oci("replayed");
    let signature = stage.signature("acme/app", &image);
    let answer = stage.judge("acme/other", &image, &[signature]).await;
    let error = answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "name_mismatch");
    assert!(error.message.contains("acme/app") || error.detail.contains("acme/app"), "{error:?}");
}

#[tokio::test]
async fn g9_signed_as_widens_the_names_that_count() {
    let (stage, ..) = scene(
        r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/any/**"
require = "release"
signed_as = "any"
[[rule]]
match = "registry.test/moved/**"
require = "release"
signed_as = "registry.internal/team/**"
"#,
    )
    .await;
    let image = Image::oci("moved");
    let named = |name: &str| Signature::by(&stage.key, name, &image.digest);
    for (repository, name, admitted) in [
        ("any/a", "elsewhere.example/x", true),
        ("any/b", "", true),
        ("moved/a", "registry.internal/team/app", true),
        ("moved/b", "registry.internal/team/app:v3", true),
        ("moved/c", "registry.internal/other/app", false),
        ("moved/d", "registry.test/moved/d", false),
        ("moved/e", "registry.internal/teamwork/app", false),
    ] {
        let answer = stage.judge(repository, &image, &[named(name)]).await;
        if admitted {
            answer.serves(&image);
        } else {
            answer.denied();
            assert_eq!(stage.mirror.reason_of(&answer), "name_mismatch", "{repository}");
        }
    }
}

#[tokio::test]
async fn g9_a_signed_name_is_a_repository_whatever_its_tag_and_its_digest_must_be_this_one() {
    let stage = Stage::new().await;
    let image = Image::oci("named in full");
    let other = Digest::of(b"another image");
    for (number, (tail, admitted)) in [
        (":v1".to_owned(), true),
        (":another-tag".to_owned(), true),
        (format!("@{}", image.digest), true),
        (format!(":v1@{}", image.digest), true),
        (format!("@{other}"), false),
        ("/deeper".to_owned(), false),
        ("evil".to_owned(), false),
        (":".to_owned(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let repository = format!("acme/app{number}");
        let name = format!("registry.test/{repository}{tail}");
        let signature = Signature::by(&stage.key, &name, &image.digest);
        let answer = stage.judge(&repository, &image, &[signature]).await;
        assert_eq!(answer.status == 200, admitted, "{name}: {answer:?}");
        if !admitted {
            answer.denied();
        }
    }
}

#[tokio::test]
async fn g51_refuses_where_no_rule_covers() {
    let (stage, ..) = scene(
        r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/acme/**"
require = "release"
"#,
    )
    .await;
    let image = Image::oci("uncovered");
    for repository in ["other/app", "acmeevil/app", "xacme/app"] {
        stage.push_signed(repository, "v1", &image);
        let answer = stage.mirror.manifest(repository, "v1").await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), "no_rule", "{repository}");
    }
    stage.push_signed("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn g50_without_a_policy_everything_is_refused_and_the_way_to_one_is_shown() {
    let upstream = Upstream::start().await;
    let mirror = Setup::new().upstream(NAME, &upstream).start().await;
    upstream.push("acme/app", "v1", &Image::oci("any"));

    let answer = mirror.manifest("acme/app", "v1").await;
    let error = answer.denied();
    assert_eq!(mirror.reason_of(&answer), "no_policy");
    assert!(format!("{error:?}").contains("policy"), "{error:?}");
}

#[tokio::test]
async fn g51_never_and_insecure_rules_do_as_they_say() {
    let (stage, ..) = scene(
        r#"
[[rule]]
match = "registry.test/never/**"
require = "never"
[[rule]]
match = "registry.test/open/**"
require = "insecure-accept-anything"
"#,
    )
    .await;
    let image = Image::oci("either");
    stage.push_signed("never/app", "v1", &image);
    stage.upstream.push("open/app", "v1", &image);

    let never = stage.mirror.manifest("never/app", "v1").await;
    never.denied();
    assert_eq!(stage.mirror.reason_of(&never), "never");
    let open = stage.mirror.manifest("open/app", "v1").await;
    open.serves(&image);
    assert_eq!(stage.mirror.reason_of(&open), "insecure_rule");
    assert!(stage.mirror.log().contains("insecure-accept-anything"), "start-up warns of it");
}

#[tokio::test]
async fn a_pin_admits_its_digest_and_nothing_else() {
    let image = Image::index(vec![Image::oci("pinned child")]);
    let policy = format!(
        "[[rule]]\nmatch = \"registry.test/**\"\nrequire = {{ pin = [\"{}\"] }}\n",
        image.digest
    );
    let (stage, ..) = scene(&policy).await;
    stage.upstream.push("acme/app", "v1", &image);
    let answer = stage.mirror.manifest("acme/app", "v1").await;
    answer.serves(&image);
    assert_eq!(stage.mirror.reason_of(&answer), "pinned");
    let child = &image.children[0];
    stage.mirror.manifest("acme/app", child.digest).await.serves(child);

    stage.push_signed("acme/app", "v2", &Image::oci("signed, not pinned"));
    stage.mirror.manifest("acme/app", "v2").await.denied();
    assert_eq!(stage.upstream.count("*.sig"), 0, "a pin needs no evidence");
}

#[tokio::test]
async fn the_deny_list_wins_over_everything() {
    let image = Image::oci("denied by digest");
    let by_key = Key::p256();
    let policy = format!(
        r#"
[authority.release]
key = "release.pub"
[authority.compromised]
key = "qa.pub"
[[rule]]
match = "registry.test/**"
require = {{ any = ["release", "compromised"] }}
[[deny]]
digest = "{}"
reason = "CVE-2026-0001"
[[deny]]
match = "registry.test/bad/**"
reason = "vendor is compromised"
[[deny]]
key = "{}"
reason = "key was stolen"
[[exception]]
match = "registry.test/bad/app"
digest = "{}"
until = "2999-01-01T00:00:00Z"
reason = "must not help"
"#,
        image.digest,
        by_key.fingerprint(),
        image.digest,
    );
    let stage = Stage::with(|setup| setup.policy(&policy).key("qa.pub", &by_key)).await;
    stage.push_signed("acme/app", "v1", &image);
    stage.push_signed("bad/app", "v1", &image);
    let good = Image::oci("fine");
    stage.push_signed("bad/app", "v2", &good);
    stage.push_signed("acme/app", "v2", &good);

    let answer = stage.mirror.manifest("acme/app", "v1").await;
    let error = answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "deny_list");
    assert!(format!("{error:?}").contains("CVE-2026-0001"), "{error:?}");
    for tag in ["v1", "v2"] {
        let answer = stage.mirror.manifest("bad/app", tag).await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), "deny_list");
    }
    stage.mirror.manifest("acme/app", "v2").await.serves(&good);

    let stolen = Signature::by(&by_key, "registry.test/acme/stolen", &good.digest);
    stage.judge("acme/stolen", &good, &[stolen]).await.denied();
    // A second, honest signature still counts.
    let honest = Signature::by(&stage.key, "registry.test/acme/both", &good.digest);
    let stolen = Signature::by(&by_key, "registry.test/acme/both", &good.digest);
    stage.judge("acme/both", &good, &[stolen, honest]).await.serves(&good);
}

#[tokio::test]
async fn a_denied_child_stays_denied_inside_a_signed_index() {
    let (bad, good) = (Image::oci("bad child"), Image::oci("good child"));
    let policy = format!(
        "{}\n[[deny]]\ndigest = \"{}\"\nreason = \"CVE-2026-0002\"\n",
        stage::POLICY,
        bad.digest
    );
    let stage = Stage::with(|setup| setup.policy(&policy)).await;
    let index = Image::index(vec![bad.clone(), good.clone()]);
    stage.push_signed("acme/app", "v1", &index);

    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    stage.mirror.manifest("acme/app", good.digest).await.serves(&good);
    let answer = stage.mirror.manifest("acme/app", bad.digest).await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "deny_list");
    assert_ne!(stage.mirror.blob("acme/app", bad.layer(0)).await.status, 200);
}

#[tokio::test]
async fn g39_a_child_of_more_indexes_than_are_asked_is_undecided() {
    let stage = Stage::new().await;
    let child = Image::oci("listed too often");
    for nth in 0..65 {
        let index = Image::index(vec![child.clone(), Image::oci(&format!("beside it {nth}"))]);
        stage.upstream.push("acme/app", &format!("v{nth}"), &index);
        stage.mirror.manifest("acme/app", format!("v{nth}")).await.denied();
    }
    let answer = stage.mirror.manifest("acme/app", child.digest).await;
    answer.unavailable();
    assert_eq!(stage.mirror.reason_of(&answer), "limit_reached");
}

#[tokio::test]
async fn a_denied_layer_is_refused_inside_an_admitted_image() {
    let (image, other) = (Image::oci("has a bad layer"), Image::oci("has none"));
    let stage = Stage::new().await;
    stage.push_signed("acme/app", "v1", &image);
    stage.push_signed("acme/app", "v2", &other);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.manifest("acme/app", "v2").await.serves(&other);
    stage.mirror.blob("acme/app", image.layer(0)).await.carries(&image.blobs[1]);

    let denial = format!("[[deny]]\ndigest = \"{}\"\nreason = \"malware\"\n", image.layer(0));
    stage.mirror.adopt(&format!("{}\n{denial}", stage::POLICY)).await;
    let path = format!("/v2/acme/app/blobs/{}", image.layer(0));
    let answer = stage.mirror.get(&path).await;
    assert!(format!("{:?}", answer.denied()).contains("malware"), "{answer:?}");
    assert_eq!(stage.mirror.reason_of(&answer), "deny_list");
    let part = stage.mirror.send(Ask::get(&path).header("range", "bytes=0-3")).await;
    part.denied();
    assert_eq!(stage.mirror.head(&path).await.status, 403);
    let lines = stage.mirror.records().into_iter();
    let denials = lines.filter(|line| line["digest"] == image.layer(0).to_string()).count();
    assert_eq!(denials, 1, "a client that insists writes one line");
    stage.mirror.blob("acme/app", other.layer(0)).await.carries(&other.blobs[1]);
}

#[tokio::test]
async fn an_exception_admits_until_its_date_and_says_so() {
    let image = Image::oci("not signed yet");
    let policy = format!(
        r#"
{}
[[exception]]
match = "registry.test/acme/legacy"
digest = "{digest}"
until = "2999-01-01T00:00:00Z"
reason = "ticket 4711"
[[exception]]
match = "registry.test/acme/over"
digest = "{digest}"
until = "2020-01-01T00:00:00Z"
reason = "long over"
"#,
        stage::POLICY,
        digest = image.digest,
    );
    let stage = Stage::with(|setup| setup.policy(&policy)).await;
    for repository in ["acme/legacy", "acme/over", "acme/app"] {
        stage.upstream.push(repository, "v1", &image);
    }
    let answer = stage.mirror.manifest("acme/legacy", "v1").await;
    answer.serves(&image);
    assert_eq!(stage.mirror.reason_of(&answer), "exception");
    stage.mirror.manifest("acme/over", "v1").await.denied();
    stage.mirror.manifest("acme/app", "v1").await.denied();
    stage.upstream.push("acme/legacy", "v2", &Image::oci("another one"));
    stage.mirror.manifest("acme/legacy", "v2").await.denied();
}

const TREES: &str = r#"
[authority.release]
key = "release.pub"
[authority.qa]
key = "qa.pub"
[authority.third]
key = "third.pub"
[[rule]]
match = "registry.test/all/**"
require = { all = ["release", "qa"] }
[[rule]]
match = "registry.test/any/**"
require = { any = ["release", "qa"] }
[[rule]]
match = "registry.test/two/**"
require = { at_least = 2, of = ["release", "qa", "third"] }
[[rule]]
match = "registry.test/nested/**"
require = { all = ["release", { any = ["qa", { at_least = 1, of = ["third"] }] }] }
"#;

#[tokio::test]
async fn trees_of_requirements_mean_what_they_say() {
    let (stage, qa, third) = scene(TREES).await;
    let image = Image::oci("judged by trees");
    for (repository, signers, admitted) in [
        ("all/a", "r", false),
        ("all/b", "q", false),
        ("all/c", "rq", true),
        ("all/d", "qr", true),
        ("any/a", "r", true),
        ("any/b", "q", true),
        ("any/c", "t", false),
        ("any/d", "", false),
        ("two/a", "r", false),
        ("two/b", "rq", true),
        ("two/c", "tq", true),
        ("two/d", "rqt", true),
        ("nested/a", "rt", true),
        ("nested/b", "rq", true),
        ("nested/c", "r", false),
        ("nested/d", "qt", false),
    ] {
        let name = format!("registry.test/{repository}");
        let signatures: Vec<_> = signers
            .chars()
            .map(|signer| match signer {
                'r' => Signature::by(&stage.key, &name, &image.digest),
                'q' => Signature::by(&qa, &name, &image.digest),
                _ => Signature::by(&third, &name, &image.digest),
            })
            .collect();
        let answer = stage.judge(repository, &image, &signatures).await;
        assert_eq!(answer.status == 200, admitted, "{repository} by {signers:?}: {answer:?}");
        if !admitted {
            answer.denied();
        }
    }
}

#[tokio::test]
async fn g27_one_signature_fills_one_place() {
    let (stage, ..) = scene(TREES).await;
    let image = Image::oci("counted twice?");
    let name = "registry.test/two/app";
    // The same key again, as another valid signature.
    let signatures = [
        Signature::by(&stage.key, name, &image.digest),
        Signature::by(&stage.key, name, &image.digest),
    ];
    let answer = stage.judge("two/app", &image, &signatures).await;
    answer.denied();
    assert_eq!(stage.mirror.reason_of(&answer), "below_threshold");
}

#[tokio::test]
async fn an_authority_vouches_only_for_its_repositories() {
    let (stage, ..) = scene(
        r#"
[authority.release]
key = "release.pub"
repositories = ["registry.test/acme/**"]
[[rule]]
match = "registry.test/**"
require = "release"
"#,
    )
    .await;
    let image = Image::oci("vouched for");
    stage.push_signed("acme/app", "v1", &image);
    stage.push_signed("other/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
    stage.mirror.manifest("other/app", "v1").await.denied();
}

#[tokio::test]
async fn warn_and_audit_serve_what_enforce_would_refuse_and_record_it() {
    let (stage, ..) = scene(
        r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/warn/**"
require = "release"
mode = "warn"
[[rule]]
match = "registry.test/audit/**"
require = "release"
mode = "audit"
"#,
    )
    .await;
    let image = Image::oci("unsigned, served");
    for (repository, warned) in [("warn/app", true), ("audit/app", false)] {
        stage.upstream.push(repository, "v1", &image);
        let answer = stage.mirror.manifest(repository, "v1").await;
        answer.serves(&image);
        let warning = answer.header("warning");
        assert_eq!(warning.is_some_and(|text| text.starts_with("299 - \"")), warned, "{warning:?}");
        let record = stage.mirror.record_of(&answer);
        assert_eq!(record["outcome"], "admitted");
        assert_eq!(record["reason"], "no_signature");
        assert_eq!(record["enforced"], false);
        stage.mirror.blob(repository, image.layer(0)).await.carries(&image.blobs[1]);
    }
    let signed = Image::oci("signed, served");
    stage.push_signed("warn/app", "v2", &signed);
    let answer = stage.mirror.manifest("warn/app", "v2").await;
    answer.serves(&signed);
    assert_eq!(answer.header("warning"), None);
}

#[tokio::test]
async fn the_most_specific_rule_covers() {
    let (stage, ..) = scene(
        r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/**"
require = "insecure-accept-anything"
[[rule]]
match = "registry.test/acme/*"
require = "release"
[[rule]]
match = "registry.test/acme/open"
require = "insecure-accept-anything"
[[rule]]
match = "registry.test/acme/**"
require = "never"
"#,
    )
    .await;
    let image = Image::oci("covered");
    for (repository, signed, admitted) in [
        ("other/app", false, true),
        ("acme/app", false, false),
        ("acme/signed", true, true),
        ("acme/open", false, true),
        ("acme/deep/app", true, false),
    ] {
        stage.upstream.push(repository, "v1", &image);
        if signed {
            stage.sign(repository, &image);
        }
        let answer = stage.mirror.manifest(repository, "v1").await;
        assert_eq!(answer.status == 200, admitted, "{repository}: {answer:?}");
    }
}

#[tokio::test]
async fn g5_refuses_manifests_that_two_readers_could_read_differently() {
    let (stage, ..) =
        scene("[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"insecure-accept-anything\"\n")
            .await;
    let image = Image::oci("plain");
    let value = image.document.value();
    let manifest = value.to_string();
    let both = image.changed(|manifest| manifest["manifests"] = json!([]));
    let schema1 = json!({ "schemaVersion": 1, "name": "acme/app", "tag": "v1", "fsLayers": [] });
    let doubled = manifest.replacen("\"config\"", "\"layers\":[],\"config\"", 1);
    let schema1_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (number, odd) in [
        both,
        Image::raw(schema1_type, schema1.to_string(), Vec::new()),
        Image::raw(OCI_MANIFEST, schema1.to_string(), Vec::new()),
        Image::raw(OCI_INDEX, manifest.clone(), image.blobs.clone()),
        Image::raw(OCI_MANIFEST, doubled, image.blobs.clone()),
        Image::raw(OCI_MANIFEST, "{}", Vec::new()),
        Image::raw(OCI_MANIFEST, "[]", Vec::new()),
        Image::raw(OCI_MANIFEST, format!("{manifest}{manifest}"), Vec::new()),
        Image::raw(OCI_MANIFEST, format!("\u{feff}{manifest}"), Vec::new()),
        Image::raw("application/vnd.example+json", manifest, Vec::new()),
        image.changed(|manifest| manifest["layers"][0]["digest"] = json!("sha256:../../x")),
        image.changed(|manifest| manifest["config"] = Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let repository = format!("acme/odd{number}");
        stage.upstream.push(&repository, "v1", &odd);
        let answer = stage.mirror.manifest(&repository, "v1").await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), "unsupported_manifest", "case {number}");
    }
    stage.upstream.push("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn g43_what_an_image_says_of_itself_is_no_evidence() {
    let stage = Stage::new().await;
    let good = Image::oci("really signed");
    let annotation = stage.signature("acme/app", &good).annotation().to_owned();
    let boast = Image::oci("boasting").changed(|manifest| {
        manifest["artifactType"] = json!(signing::SIGNATURE_ARTIFACT);
        manifest["annotations"] = json!({
            signing::SIGNATURE_ANNOTATION: annotation,
            "org.opencontainers.image.signed": "true",
        });
    });
    stage.upstream.push("acme/app", "v1", &boast);
    stage.mirror.manifest("acme/app", "v1").await.denied();
}

#[tokio::test]
async fn a_denial_is_remembered_for_denied_fresh_and_looked_at_again_after() {
    let stage = Stage::with(|setup| setup.cache("denied_fresh = \"2s\"")).await;
    let image = Image::oci("signed late");
    stage.upstream.push("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", image.digest).await.denied();
    stage.upstream.forget();
    stage.mirror.manifest("acme/app", image.digest).await.denied();
    assert_eq!(stage.upstream.count("*.sig"), 0, "remembered");

    stage.sign("acme/app", &image);
    eventually("the new signature is found", || async {
        stage.mirror.manifest("acme/app", image.digest).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn g44_a_verdict_is_not_shared_between_repositories() {
    let stage = Stage::new().await;
    let image = Image::oci("in two repositories");
    stage.push_signed("acme/one", "v1", &image);
    stage.upstream.push("acme/two", "v1", &image);
    let signature = stage.signature("acme/one", &image);
    stage.upstream.attach("acme/two", &image.digest, &[signature]);

    let pulls = (0..20).map(|number| {
        let repository = if number % 2 == 0 { "acme/one" } else { "acme/two" };
        stage.mirror.manifest(repository, image.digest)
    });
    for (number, answer) in futures_util::future::join_all(pulls).await.into_iter().enumerate() {
        if number % 2 == 0 {
            answer.serves(&image);
        } else {
            answer.denied();
        }
    }
}

#[tokio::test]
async fn g2_a_denied_digest_is_denied_under_its_other_digest() {
    let image = Image::oci("denied by either digest");
    let long = Digest::with(portcullis::oci::Algorithm::Sha512, image.bytes());
    for denied in [image.digest, long] {
        let policy = format!(
            "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"insecure-accept-anything\"\n[[deny]]\ndigest = \"{denied}\"\nreason = \"CVE-2026-0003\"\n",
        );
        let stage = Stage::with(|setup| setup.policy(&policy)).await;
        stage.upstream.push("acme/app", "v1", &image);
        for reference in ["v1".to_owned(), image.digest.to_string(), long.to_string()] {
            stage.mirror.manifest("acme/app", &reference).await.denied();
        }
        assert_ne!(stage.mirror.blob("acme/app", image.layer(0)).await.status, 200);
    }
}

#[tokio::test]
async fn warn_reaches_the_children_of_an_index() {
    let (stage, ..) = scene(
        "[authority.release]\nkey = \"release.pub\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"release\"\nmode = \"warn\"\n",
    )
    .await;
    let index = Image::index(vec![Image::oci("unsigned child")]);
    stage.upstream.push("acme/app", "v1", &index);
    let child = &index.children[0];
    stage.mirror.manifest("acme/app", "v1").await.serves(&index);
    let answer = stage.mirror.manifest("acme/app", child.digest).await;
    answer.serves(child);
    assert!(answer.header("warning").is_some_and(|text| text.starts_with("299 ")), "{answer:?}");
}
