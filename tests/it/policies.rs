//! Policies as code, and looking again on demand.

use std::path::Path;

use crate::support::*;

/// Runs `portcullis` in `folder`, off this runtime's threads; its exit code and all that it printed.
async fn run(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = mirror::program();
    command.current_dir(folder).args(words);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("nothing panics in it").expect("the program was built");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
}

#[tokio::test]
async fn a_signature_that_comes_late_is_seen_at_once_when_somebody_asks() {
    let stage = Stage::with(|setup| setup.cache("denied_fresh = \"1h\"\ntag_fresh = \"1h\"")).await;
    let image = Image::oci("signed late, seen at once");
    stage.upstream.push("acme/app", "v1", &image);
    stage.mirror.manifest("acme/app", "v1").await.denied();
    stage.sign("acme/app", &image);
    stage.mirror.manifest("acme/app", "v1").await.denied();

    let name = format!("{NAME}/acme/app");
    let answer = stage.mirror.recheck(&name, "v1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(told["verdict"]["outcome"], "admitted", "{told}");
    stage.mirror.manifest("acme/app", "v1").await.serves(&image);
}

#[tokio::test]
async fn looking_again_also_asks_what_a_tag_means() {
    let stage = Stage::with(|setup| setup.cache("tag_fresh = \"1h\"")).await;
    let (before, after) = (Image::oci("before"), Image::oci("after"));
    stage.push_signed("acme/app", "v1", &before);
    stage.mirror.manifest("acme/app", "v1").await.serves(&before);
    stage.push_signed("acme/app", "v1", &after);
    stage.mirror.manifest("acme/app", "v1").await.serves(&before);
    assert_eq!(stage.mirror.recheck(&format!("{NAME}/acme/app"), "v1").await.status, 200);
    stage.mirror.manifest("acme/app", "v1").await.serves(&after);
}

#[tokio::test]
async fn looking_again_is_for_operators_and_wants_an_image() {
    let stage = Stage::new().await;
    let target = format!("/v1/verify?image={NAME}/acme/app&reference=v1");
    assert_eq!(stage.mirror.send(Ask::method("POST", &target)).await.status, 404);
    assert_eq!(stage.mirror.admin(&target).await.status, 404, "GET changes nothing");
    for (image, reference) in [("", "v1"), ("acme/UPPER", "v1"), ("acme/app", "no tag")] {
        let answer = stage.mirror.recheck(image, reference.replace(' ', "%20")).await;
        assert_eq!(answer.status, 400, "{image} {reference}: {answer:?}");
    }
}

#[tokio::test]
async fn a_recorded_image_is_judged_without_its_registry() {
    let stage = Stage::new().await;
    stage.push_signed("acme/app", "v1", &Image::oci("recorded"));
    let folder = stage.mirror.folder().to_owned();
    let name = format!("{NAME}/acme/app:v1");
    let (code, told) = run(&folder, &["verify", "--record", "recorded", &name]).await;
    assert_eq!(code, Some(0), "{told}");
    drop(stage.upstream);

    let case = |outcome: &str| {
        format!("[[case]]\nname = \"app\"\nevidence = \"recorded\"\noutcome = \"{outcome}\"\n")
    };
    stage.mirror.replace("cases.toml", format!("version = 1\n{}", case("admitted")));
    let (code, told) = run(&folder, &["policy", "test", "cases.toml"]).await;
    assert_eq!(code, Some(0), "{told}");
    stage.mirror.replace("cases.toml", format!("version = 1\n{}", case("denied")));
    let (code, told) = run(&folder, &["policy", "test", "cases.toml"]).await;
    assert_eq!(code, Some(1), "{told}");

    let never = format!("version = 1\n[[rule]]\nmatch = \"{NAME}/**\"\nrequire = \"never\"\n");
    stage.mirror.replace("never.toml", never);
    let (code, told) =
        run(&folder, &["policy", "diff", "policy.toml", "never.toml", "recorded"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("admitted (admitted) -> denied (never)"), "{told}");
}

#[tokio::test]
async fn without_a_policy_the_catalogue_is_shown_and_used() {
    let upstream = Upstream::start().await;
    let mirror = Setup::new().upstream("quay.io", &upstream).start().await;
    assert!(mirror.log().contains("quay.io/cilium/**"), "{}", mirror.log());
    upstream.push("cilium/cilium", "v1", &Image::oci("not really cilium"));
    let answer = mirror.manifest("cilium/cilium", "v1").await;
    answer.denied();
    assert_eq!(mirror.reason_of(&answer), "no_signature", "the catalogue's rule was asked");
    let ready = mirror.admin("/readyz").await;
    let ready: Value = serde_json::from_slice(&ready.body).expect("JSON");
    assert_eq!(ready["trust"]["roots"][0]["root"], "public-good", "{ready}");
}

#[tokio::test]
async fn the_catalogue_can_be_taken_as_a_policy() {
    let folder = tempfile::TempDir::new().expect("there is room");
    let (code, catalogue) = run(folder.path(), &["catalogue", "--toml"]).await;
    assert_eq!(code, Some(0));
    write(&folder.path().join("policy.toml"), catalogue);
    write(&folder.path().join("portcullis.toml"), "policy = \"policy.toml\"\n");
    let (code, told) = run(folder.path(), &["check"]).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = run(folder.path(), &["catalogue"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("keyless@distroless.iam.gserviceaccount.com"), "{told}");
}
