//! Classic cosign signatures, right in every detail or refused (`signatures.md` a.2 to a.8).
//!
//! Each table puts one broken part into an otherwise right signature; a control that is right in
//! every part proves that nothing else was wrong.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::join_all;

use crate::support::{signing::SIGNATURE_ANNOTATION, *};

/// Makes another payload of a right one.
type Edit = Box<dyn Fn(&str) -> Vec<u8>>;
type ByteEdit = fn(Vec<u8>) -> Vec<u8>;
type TextEdit = fn(&str) -> String;

/// Judges the image once with each of `signatures`, in repositories `acme/case0`, `acme/case1`, ..;
/// each was made for the repository that `name` gives for its number.
async fn refuses_all(stage: &Stage, image: &Image, signatures: Vec<(String, Signature)>) {
    let cases = signatures.iter().enumerate().map(|(number, (what, signature))| async move {
        let repository = format!("acme/case{number}");
        let answer = stage.judge(&repository, image, std::slice::from_ref(signature)).await;
        assert_eq!(answer.status, 403, "{what}: {answer:?}");
        answer.denied();
        stage.mirror.reason_of(&answer)
    });
    for (reason, (what, _)) in join_all(cases).await.into_iter().zip(&signatures) {
        let known = ["signature_invalid", "signer_not_trusted", "digest_mismatch", "no_signature"];
        assert!(known.contains(&&*reason), "{what}: {reason}");
    }
}

fn name(number: usize) -> String {
    format!("registry.test/acme/case{number}")
}

#[tokio::test]
async fn every_kind_of_key_can_sign() {
    let keys = [Key::p256(), Key::p384(), Key::p521(), Key::ed25519(), Key::rsa2048()];
    let mut policy = String::new();
    for number in 0..keys.len() {
        policy += &format!("[authority.k{number}]\nkey = \"k{number}.pub\"\n");
        policy += &format!(
            "[[rule]]\nmatch = \"registry.test/acme/k{number}\"\nrequire = \"k{number}\"\n"
        );
    }
    let stage = Stage::with(|setup| {
        let setup = setup.policy(&policy);
        keys.iter().enumerate().fold(setup, |s, (n, key)| s.key(&format!("k{n}.pub"), key))
    })
    .await;
    let image = Image::oci("signed by many kinds");
    for (number, key) in keys.iter().enumerate() {
        let repository = format!("acme/k{number}");
        let signature = Signature::by(key, &format!("registry.test/{repository}"), &image.digest);
        stage.judge(&repository, &image, &[signature]).await.serves(&image);
    }
}

#[tokio::test]
async fn g25_a_signature_of_another_algorithm_is_none() {
    let keys = [Key::p256(), Key::p384(), Key::ed25519(), Key::rsa2048()];
    let policy: String = (0..keys.len())
        .map(|n| {
            format!("[authority.k{n}]\nkey = \"k{n}.pub\"\n[[rule]]\nmatch = \"registry.test/k{n}/*\"\nrequire = \"k{n}\"\n")
        })
        .collect();
    let stage = Stage::with(|setup| {
        let setup = setup.policy(&policy);
        keys.iter().enumerate().fold(setup, |s, (n, key)| s.key(&format!("k{n}.pub"), key))
    })
    .await;
    let image = Image::oci("signed by the wrong kind");
    for wanted in 0..keys.len() {
        for (number, key) in keys.iter().enumerate().filter(|(number, _)| *number != wanted) {
            let repository = format!("k{wanted}/by{number}");
            let name = format!("registry.test/{repository}");
            let signature = Signature::by(key, &name, &image.digest);
            stage.judge(&repository, &image, &[signature]).await.denied();
        }
    }
}

#[tokio::test]
async fn g14_refuses_payloads_that_two_parsers_could_read_differently() {
    let stage = Stage::new().await;
    let image = Image::oci("odd payloads");
    let hex = image.digest.to_string();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let edits: Vec<(&str, Edit)> = vec![
        ("critical twice", edit(|p| p.replacen('{', "{\"critical\":{},", 1))),
        ("Critical beside critical", edit(|p| p.replacen('{', "{\"Critical\":{},", 1))),
        ("Critical instead", edit(|p| p.replacen("critical", "Critical", 1))),
        ("Docker-manifest-digest", edit(|p| p.replacen("docker-manifest", "Docker-manifest", 1))),
        ("digest twice", {
            let hex = hex.clone();
            edit(move |p| {
                p.replacen(
                    "{\"docker-manifest",
                    &format!("{{\"docker-manifest-digest\":\"{hex}\",\"docker-manifest"),
                    1,
                )
            })
        }),
        ("type twice", edit(|p| p.replacen("\"type\"", "\"type\":\"x\",\"type\"", 1))),
        ("unknown member of critical", edit(|p| p.replacen("\"type\"", "\"more\":1,\"type\"", 1))),
        (
            "unknown member of image",
            edit(|p| p.replacen("{\"docker-man", "{\"x\":1,\"docker-man", 1)),
        ),
        (
            "unknown member of identity",
            edit(|p| p.replacen("{\"docker-ref", "{\"x\":1,\"docker-ref", 1)),
        ),
        ("unknown member at the top", edit(|p| p.replacen('{', "{\"more\":{},", 1))),
        ("optional is a list", edit(|p| p.replacen("null", "[]", 1))),
        ("no identity", edit(|p| p.replacen("\"identity\"", "\"identities\"", 1))),
        ("another type", edit(|p| p.replacen("cosign container", "cosign", 1))),
        (
            "atomic type",
            edit(|p| {
                p.replacen("cosign container image signature", "atomic container signature", 1)
            }),
        ),
        ("byte order mark", edit(|p| format!("\u{feff}{p}"))),
        ("trailing text", edit(|p| format!("{p}x"))),
        ("two documents", edit(|p| format!("{p}{p}"))),
        ("lone surrogate", edit(|p| p.replacen("null", "{\"a\":\"\\ud800\"}", 1))),
        ("too deep", edit(move |p| p.replacen("null", &format!("{{\"a\":{deep}}}"), 1))),
        ("empty", edit(|_| String::new())),
        ("not JSON", edit(|_| "hello".to_owned())),
        (
            "invalid UTF-8",
            Box::new(|p| [p.replacen("null}", "\"", 1).as_bytes(), b"\xff\"}"].concat()),
        ),
        ("digest in upper case", edit(|p| p.replacen("sha256:", "SHA256:", 1))),
        ("digest too long", edit(|p| p.replacen("sha256:", "sha256:0", 1))),
        ("digest without algorithm", edit(|p| p.replacen("sha256:", "", 1))),
        ("digest with space", edit(|p| p.replacen("sha256:", "sha256: ", 1))),
        ("digest is a path", edit(|p| p.replacen("sha256:", "sha256:../../", 1))),
        ("digest is a number", edit(|p| p.replacen("\"sha256:", "1,\"x\":\"", 1))),
    ];
    let signatures = edits
        .iter()
        .enumerate()
        .map(|(number, (what, edit))| {
            let payload = edit(&payload(&name(number), &image.digest));
            ((*what).to_owned(), Signature::over(&stage.key, payload))
        })
        .collect();
    refuses_all(&stage, &image, signatures).await;

    let spaced = payload("registry.test/acme/control", &image.digest)
        .replace(':', ": ")
        .replace("sha256: ", "sha256:");
    let control = Signature::over(&stage.key, spaced);
    stage.judge("acme/control", &image, &[control]).await.serves(&image);
}

fn edit(change: impl Fn(&str) -> String + 'static) -> Edit {
    Box::new(move |payload| change(payload).into_bytes())
}

#[tokio::test]
async fn g15_the_annotation_is_strict_base64() {
    let stage = Stage::new().await;
    let image = Image::oci("odd base64");
    let good = |number| Signature::by(&stage.key, &name(number), &image.digest);
    let edits: [(&str, TextEdit); 10] = [
        ("empty", |_| String::new()),
        ("white space inside", |text| format!("{} {}", &text[..8], &text[8..])),
        ("line feed at the end", |text| format!("{text}\n")),
        ("no padding", |text| text.trim_end_matches('=').to_owned()),
        ("too much padding", |text| format!("{text}====")),
        ("bits after the end", |text| {
            let bare = text.trim_end_matches('=');
            let (start, last) = bare.split_at(bare.len() - 1);
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let place = alphabet.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
            format!("{start}{}{}", char::from(alphabet[place | 1]), &text[bare.len()..])
        }),
        ("url-safe", |text| text.replace('+', "-").replace('/', "_")),
        ("not base64", |_| "!!!!".to_owned()),
        ("hex", |text| STANDARD.decode(text).unwrap().iter().map(|b| format!("{b:02x}")).collect()),
        ("9 KiB", |text| format!("{text}{}", "A".repeat(9 << 10))),
    ];
    let mut signatures = Vec::new();
    for (what, edit) in edits {
        let number = signatures.len();
        // Signatures are random: some have no padding or none of the letters that differ.
        let (signature, text) = std::iter::repeat_with(|| good(number))
            .map(|signature| (signature.clone(), edit(signature.annotation())))
            .find(|(signature, text)| text != signature.annotation())
            .unwrap();
        signatures.push((what.to_owned(), signature.annotated(&text)));
    }
    refuses_all(&stage, &image, signatures).await;
    let control = Signature::by(&stage.key, "registry.test/acme/control", &image.digest);
    stage.judge("acme/control", &image, &[control]).await.serves(&image);
}

#[tokio::test]
async fn g33_ecdsa_is_der_and_nothing_but() {
    let stage = Stage::new().await;
    let image = Image::oci("malleable");
    let edits: [(&str, ByteEdit); 10] = [
        ("P1363", |der| p256::ecdsa::Signature::from_der(&der).unwrap().to_bytes().to_vec()),
        ("trailing byte", |der| [&der[..], &[0]].concat()),
        ("long form of the length", |der| [&[0x30, 0x81], &der[1..]].concat()),
        ("superfluous zero", |der| [&[0x30, der[1] + 1, 2, der[3] + 1, 0], &der[4..]].concat()),
        ("r is zero", |_| vec![0x30, 6, 2, 1, 0, 2, 1, 1]),
        ("s is zero", |_| vec![0x30, 6, 2, 1, 1, 2, 1, 0]),
        ("one and one", |_| vec![0x30, 6, 2, 1, 1, 2, 1, 1]),
        ("nothing", |_| Vec::new()),
        ("cut", |der| der[..20].to_vec()),
        ("one bit", |mut der| {
            der[40] ^= 1;
            der
        }),
    ];
    let signatures = edits
        .iter()
        .enumerate()
        .map(|(number, (what, edit))| {
            let payload = payload(&name(number), &image.digest);
            let signature = edit(stage.key.sign(payload.as_bytes()));
            ((*what).to_owned(), Signature::made_of(payload, &signature))
        })
        .collect();
    refuses_all(&stage, &image, signatures).await;
}

#[tokio::test]
async fn g33_both_values_of_s_verify_and_count_once() {
    const TWO: &str = r#"
[authority.release]
key = "release.pub"
[authority.other]
key = "other.pub"
[[rule]]
match = "registry.test/one/*"
require = "release"
[[rule]]
match = "registry.test/two/*"
require = { at_least = 2, of = ["release", "other"] }
"#;
    let second = Key::p256();
    let stage = Stage::with(|setup| setup.policy(TWO).key("other.pub", &second)).await;
    let image = Image::oci("high and low");
    let text = payload("registry.test/one/app", &image.digest);
    let made = p256::ecdsa::Signature::from_der(&stage.key.sign(text.as_bytes())).unwrap();
    let (r, s) = made.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    // Go's signers emit high and low alike, so both are right.
    for signature in [made, other] {
        let signature = Signature::made_of(text.clone(), signature.to_der().as_bytes());
        stage.judge("one/app", &image, &[signature]).await.serves(&image);
        stage.mirror.adopt(&format!("{TWO}\n# judge again\n")).await;
    }

    let text = payload("registry.test/two/app", &image.digest);
    let made = p256::ecdsa::Signature::from_der(&stage.key.sign(text.as_bytes())).unwrap();
    let (r, s) = made.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    let both = [made, other].map(|one| Signature::made_of(text.clone(), one.to_der().as_bytes()));
    stage.judge("two/app", &image, &both).await.denied();
}

#[tokio::test]
async fn g1_the_blob_must_be_the_layers() {
    let stage = Stage::new().await;
    let image = Image::oci("odd layers");
    let good = |number| Signature::by(&stage.key, &name(number), &image.digest);
    let mut another_type = good(0);
    another_type.media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
    let mut prose_name = good(1);
    let signature = prose_name.annotations.remove(SIGNATURE_ANNOTATION).unwrap();
    prose_name.annotations.insert("dev.sigstore.cosign/signature".to_owned(), signature);
    let mut number = good(2);
    number.annotations.insert(SIGNATURE_ANNOTATION.to_owned(), json!(1));
    let mut envelope = good(3);
    envelope.media_type = "application/vnd.dsse.envelope.v1+json".to_owned();
    let signatures = [
        ("a layer of a root file system", another_type),
        ("the annotation under another name", prose_name),
        ("an annotation that is no text", number),
        ("an attestation", envelope),
    ]
    .map(|(what, signature)| (what.to_owned(), signature));
    let cases = signatures.iter().enumerate().map(|(number, (what, signature))| {
        let (stage, image) = (&stage, &image);
        async move {
            let repository = format!("acme/case{number}");
            let answer = stage.judge(&repository, image, std::slice::from_ref(signature)).await;
            assert!([403, 503].contains(&answer.status.as_u16()), "{what}: {answer:?}");
        }
    });
    join_all(cases).await;
}

#[tokio::test]
async fn g36_a_payload_of_another_size_or_digest_is_never_verified() {
    let stage = Stage::new().await;
    let image = Image::oci("lying layers");
    let mut shorter = Signature::by(&stage.key, "registry.test/acme/shorter", &image.digest);
    shorter.size -= 1;
    let mut longer = Signature::by(&stage.key, "registry.test/acme/longer", &image.digest);
    longer.size += 1;
    let text = payload("registry.test/acme/large", &image.digest);
    let padded = text.replacen("null", &format!("{{\"pad\":\"{}\"}}", "x".repeat(65 << 10)), 1);
    let large = Signature::over(&stage.key, padded);
    for (repository, signature) in
        [("acme/shorter", shorter), ("acme/longer", longer), ("acme/large", large)]
    {
        let answer = stage.judge(repository, &image, &[signature]).await;
        assert!([403, 503].contains(&answer.status.as_u16()), "{repository}: {answer:?}");
    }
    // Other bytes than the layer's digest names: that upstream does not tell the truth now.
    let signature = Signature::by(&stage.key, "registry.test/acme/swapped", &image.digest);
    let blob = format!("/v2/acme/swapped/blobs/{}", signature.digest);
    let forged = payload("registry.test/acme/swapped", &Digest::of(b"forged"));
    stage.upstream.always(&blob, Fault::Instead(forged.into()));
    let answer = stage.judge("acme/swapped", &image, &[signature]).await;
    assert_ne!(answer.status, 200);
}

#[tokio::test]
async fn one_bad_signature_hides_no_good_one() {
    let stage = Stage::new().await;
    let image = Image::oci("crowded");
    let good = Signature::by(&stage.key, "registry.test/acme/app", &image.digest);
    let junk = Signature::made_of("junk", b"junk");
    let stranger = Signature::by(&Key::p256(), "registry.test/acme/app", &image.digest);
    let mut other_type = good.clone();
    other_type.media_type = "application/octet-stream".to_owned();
    let crowd = [junk.clone(), stranger, other_type, good, junk];
    stage.judge("acme/app", &image, &crowd).await.serves(&image);
}

#[tokio::test]
async fn g39_a_flood_of_signatures_is_undecided_and_not_remembered() {
    let stage = Stage::new().await;
    let image = Image::oci("flooded");
    let junk = |number: usize| Signature::made_of(format!("junk {number}"), b"junk");
    let good = stage.signature("acme/app", &image);
    let mut flood: Vec<_> = (0..64).map(junk).collect();
    flood.push(good.clone());
    let answer = stage.judge("acme/app", &image, &flood).await;
    answer.unavailable();
    assert_eq!(stage.mirror.reason_of(&answer), "limit_reached");

    stage.upstream.attach("acme/app", &image.digest, &[good]);
    stage.mirror.manifest("acme/app", image.digest).await.serves(&image);
}

#[tokio::test]
async fn as_many_signatures_as_allowed_are_all_looked_at() {
    let stage = Stage::new().await;
    let image = Image::oci("just below");
    let mut many: Vec<_> =
        (0..63).map(|number| Signature::made_of(format!("junk {number}"), b"junk")).collect();
    many.push(stage.signature("acme/app", &image));
    stage.judge("acme/app", &image, &many).await.serves(&image);
}

#[tokio::test]
async fn key_windows_decide_by_the_time_of_the_pull() {
    let (past, future) = (Key::p256(), Key::p256());
    let policy = r#"
[authority.release]
keys = [
    { file = "release.pub", from = "2020-01-01T00:00:00Z", until = "2999-01-01T00:00:00Z" },
    { file = "past.pub", until = "2020-01-01T00:00:00Z" },
    { file = "future.pub", from = "2999-01-01T00:00:00Z" },
]
[[rule]]
match = "registry.test/**"
require = "release"
"#;
    let stage =
        Stage::with(|setup| setup.policy(policy).key("past.pub", &past).key("future.pub", &future))
            .await;
    let image = Image::oci("windows");
    for (repository, key) in [("acme/past", &past), ("acme/future", &future)] {
        let name = format!("registry.test/{repository}");
        let answer =
            stage.judge(repository, &image, &[Signature::by(key, &name, &image.digest)]).await;
        answer.denied();
        assert_eq!(stage.mirror.reason_of(&answer), "time_outside_validity");
    }
    stage.push_signed("acme/now", "v1", &image);
    stage.mirror.manifest("acme/now", "v1").await.serves(&image);
}

#[tokio::test]
async fn signatures_in_another_repository_are_found_and_judged_the_same() {
    let policy = r#"
[authority.release]
key = "release.pub"
[[rule]]
match = "registry.test/acme/**"
require = "release"
signatures_in = "registry.test/signatures"
"#;
    let stage = Stage::with(|setup| setup.policy(policy)).await;
    let image = Image::oci("signed elsewhere");
    stage.upstream.push("acme/app", "v1", &image);
    let signature = stage.signature("acme/app", &image);
    stage.upstream.attach("signatures", &image.digest, &[signature]);
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);

    let other = Image::oci("signed elsewhere, as another");
    stage.upstream.push("acme/app", "v2", &other);
    let signature = stage.signature("signatures", &other);
    stage.upstream.attach("signatures", &other.digest, &[signature]);
    stage.mirror.manifest("acme/app", "v2").await.denied();
}
