//! The other commands, by what they print and by their exit codes.

use std::{
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::*;

/// A folder with `setup` in it, to run commands in.
fn laid_out(setup: &Setup) -> TempDir {
    let folder = TempDir::new().expect("there is room");
    setup.lay_out(folder.path());
    folder
}

/// Runs `portcullis` with `words` in `folder`, off this runtime's threads.
async fn run(folder: &Path, words: &[&str]) -> Output {
    let mut command = mirror::program();
    command.current_dir(folder).args(words);
    finish(command).await
}

async fn finish(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("nothing panics in it")
        .expect("the program was built")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}\n{}", out(output), err(output));
}

#[tokio::test]
async fn tells_its_version_and_its_commands() {
    let folder = TempDir::new().expect("there is room");
    let version = run(folder.path(), &["--version"]).await;
    exits(&version, 0);
    assert!(out(&version).starts_with("portcullis "), "{}", out(&version));
    let help = run(folder.path(), &["--help"]).await;
    exits(&help, 0);
    for command in ["demo", "serve", "check", "verify", "why", "keygen", "sign", "completions"] {
        assert!(out(&help).contains(command), "{command}");
        exits(&run(folder.path(), &[command, "--help"]).await, 0);
    }
    exits(&run(folder.path(), &["no-such-command"]).await, 2);
    let completions = run(folder.path(), &["completions", "bash"]).await;
    exits(&completions, 0);
    assert!(out(&completions).contains("portcullis"));
}

#[tokio::test]
async fn check_prints_what_it_understood() {
    let upstream = Upstream::start().await;
    let setup = Setup::new()
        .upstream(NAME, &upstream)
        .key("release.pub", &Key::p256())
        .policy(&format!(
            "{}\n[[rule]]\nmatch = \"registry.test/open/*\"\nrequire = \"insecure-accept-anything\"\n",
            stage::POLICY
        ));
    let folder = laid_out(&setup);
    let output = run(folder.path(), &["check"]).await;
    exits(&output, 0);
    let text = out(&output) + &err(&output);
    for word in ["registry.test/**", "release", "portcullis.toml", "insecure-accept-anything"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(upstream.count("*"), 0, "a check asks nobody");

    let json = run(folder.path(), &["check", "--json"]).await;
    exits(&json, 0);
    let value: Value = serde_json::from_slice(&json.stdout).expect("stdout is JSON alone");
    assert!(value.to_string().contains("registry.test/**"), "{value}");
}

#[tokio::test]
async fn check_lists_every_error_and_not_only_the_first() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().upstream(NAME, &upstream).key("release.pub", &Key::p256()).policy(
        r#"
[authority.release]
key = "release.pub"
[authority.gone]
key = "gone.pub"
[[rule]]
match = "registry.test/a"
require = "nobody"
[[rule]]
match = "registry.test/b"
require = { any = [] }
[[rule]]
match = "registry.test/c"
require = { at_least = 3, of = ["release"] }
[[rule]]
match = "registry.test/d"
require = "release"
mode = "lenient"
"#,
    );
    let folder = laid_out(&setup);
    let output = run(folder.path(), &["check"]).await;
    exits(&output, 2);
    let text = out(&output) + &err(&output);
    for word in ["gone.pub", "nobody", "any", "at_least", "policy.toml"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let serve = run(folder.path(), &["serve"]).await;
    exits(&serve, 2);
}

#[tokio::test]
async fn g50_what_is_wrong_with_a_policy_is_an_error_at_load() {
    let upstream = Upstream::start().await;
    let rule = |require: &str| {
        format!(
            "[authority.release]\nkey = \"release.pub\"\n[[rule]]\nmatch = \"registry.test/**\"\n{require}\n"
        )
    };
    for (what, policy, hint) in [
        ("unknown key", rule("requires = \"release\""), "require"),
        ("no requirement", rule(""), "require"),
        ("g51: empty list", rule("require = { all = [] }"), "all"),
        ("unknown authority", rule("require = \"releases\""), "release"),
        ("at_least too large", rule("require = { at_least = 2, of = [\"release\"] }"), "at_least"),
        (
            "g27: two names of one key",
            rule(
                "require = { at_least = 2, of = [\"release\", \"again\"] }\n[authority.again]\nkey = \"release.pub\"",
            ),
            "at least 2",
        ),
        ("at_least zero", rule("require = { at_least = 0, of = [\"release\"] }"), "at_least"),
        ("empty pin", rule("require = { pin = [] }"), "pin"),
        ("malformed pin", rule("require = { pin = [\"sha256:abc\"] }"), "pin"),
        ("unknown mode", rule("require = \"release\"\nmode = \"off\""), "mode"),
        ("unknown format", rule("require = \"release\"\nformats = [\"gpg\"]"), "formats"),
        ("empty formats", rule("require = \"release\"\nformats = []"), "formats"),
        (
            "two of one pattern",
            rule(
                "require = \"release\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"never\"",
            ),
            "registry.test/**",
        ),
        (
            "malformed pattern",
            rule(
                "require = \"release\"\n[[rule]]\nmatch = \"registry.test/UPPER/***\"\nrequire = \"never\"",
            ),
            "match",
        ),
        (
            "bad date",
            rule(
                "require = \"release\"\n[[exception]]\nmatch = \"registry.test/a\"\nuntil = \"soon\"\nreason = \"x\"",
            ),
            "until",
        ),
        (
            "exception without end",
            rule(
                "require = \"release\"\n[[exception]]\nmatch = \"registry.test/a\"\nreason = \"x\"",
            ),
            "until",
        ),
        (
            "exception without reason",
            rule(
                "require = \"release\"\n[[exception]]\nmatch = \"registry.test/a\"\nuntil = \"2999-01-01T00:00:00Z\"",
            ),
            "reason",
        ),
        ("deny of nothing", rule("require = \"release\"\n[[deny]]\nreason = \"x\""), "deny"),
        (
            "deny of a malformed digest",
            rule("require = \"release\"\n[[deny]]\ndigest = \"sha256:XYZ\"\nreason = \"x\""),
            "digest",
        ),
        (
            "a condition that cannot be read",
            rule(
                "require = { attestation = { type = \"slsaprovenance1\", by = \"release\", where = \"predicate.\" } }",
            ),
            "where",
        ),
        ("not TOML", "[[rule".to_owned(), "policy.toml"),
    ] {
        let setup =
            Setup::new().upstream(NAME, &upstream).key("release.pub", &Key::p256()).policy(&policy);
        let folder = laid_out(&setup);
        let output = run(folder.path(), &["check"]).await;
        let text = out(&output) + &err(&output);
        assert_eq!(output.status.code(), Some(2), "{what}: {text}");
        assert!(text.contains(hint), "{what}: `{hint}` in {text}");
        assert!(text.contains("policy.toml"), "{what}: the file in {text}");
        exits(&run(folder.path(), &["serve"]).await, 2);
    }
    let unversioned = laid_out(&Setup::new().upstream(NAME, &upstream).policy(""));
    write(
        &unversioned.path().join("policy.toml"),
        "[[rule]]\nmatch = \"**\"\nrequire = \"never\"\n",
    );
    let output = run(unversioned.path(), &["check"]).await;
    exits(&output, 2);
    assert!((out(&output) + &err(&output)).contains("version"));
}

#[tokio::test]
async fn g19_g25_keys_that_are_not_what_they_should_be_are_errors_at_load() {
    let upstream = Upstream::start().await;
    let good = Key::p256().public_pem();
    let other = Key::p256().public_pem();
    let small = small_rsa();
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    for (what, pem) in [
        ("empty", String::new()),
        ("white space", " \n\t\n".to_owned()),
        ("two keys", format!("{good}{other}")),
        ("text after", format!("{good}and more\n")),
        ("Windows line ends", good.replace('\n', "\r\n")),
        ("a certificate's label", good.replace("PUBLIC KEY", "CERTIFICATE")),
        ("a private label", good.replace("PUBLIC KEY", "PRIVATE KEY")),
        ("no armour", body),
        ("not base64", good.replacen('M', "!", 1)),
        ("cut", good[..60].to_owned()),
        ("g25: RSA of 1024 bits", small),
        ("not a point of the curve", {
            let mut der = Key::p256().public_der();
            let last = der.len() - 1;
            der[last] ^= 1;
            signing::pem("PUBLIC KEY", &der)
        }),
        ("bytes after the key", {
            let der = [&Key::p256().public_der()[..], &[0]].concat();
            signing::pem("PUBLIC KEY", &der)
        }),
    ] {
        let setup =
            Setup::new().upstream(NAME, &upstream).file("release.pub", pem).policy(stage::POLICY);
        let output = run(laid_out(&setup).path(), &["check"]).await;
        let text = out(&output) + &err(&output);
        assert_eq!(output.status.code(), Some(2), "{what}: {text}");
        assert!(text.contains("release.pub"), "{what}: {text}");
    }
    let setup = Setup::new()
        .upstream(NAME, &upstream)
        .file("release.pub", good.trim_end())
        .policy(stage::POLICY);
    exits(&run(laid_out(&setup).path(), &["check"]).await, 0);
}

/// The `SubjectPublicKeyInfo` of an RSA key of 1024 bits, which nobody makes any more: an odd
/// number with its top bit set, and the exponent 65537.
fn small_rsa() -> String {
    let mut modulus = image::noise("modulus", 128).to_vec();
    modulus[0] |= 0x80;
    modulus[127] |= 1;
    let integer = [&[0x02, 0x81, 0x81, 0x00][..], &modulus].concat();
    let key = [&[0x30, 0x81, 0x89][..], &integer, &[0x02, 0x03, 1, 0, 1]].concat();
    let bits = [&[0x03, 0x81, 0x8d, 0x00][..], &key].concat();
    let algorithm = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let info = [&[0x30, 0x81, 0x9f][..], &algorithm, &bits].concat();
    signing::pem("PUBLIC KEY", &info)
}

#[tokio::test]
async fn mistakes_in_the_configuration_name_key_and_file() {
    let upstream = Upstream::start().await;
    for (lines, hint) in [
        ("max_sizes = \"1GiB\"", "max_size"),
        ("max_size = \"lots\"", "max_size"),
        ("tag_fresh = \"60\"", "tag_fresh"),
        ("tag_fresh = 60", "tag_fresh"),
    ] {
        let setup = Setup::new().upstream(NAME, &upstream).cache(lines).policy("");
        let folder = laid_out(&setup);
        let output = run(folder.path(), &["check"]).await;
        exits(&output, 2);
        let text = out(&output) + &err(&output);
        assert!(text.contains(hint) && text.contains("portcullis.toml"), "{lines}: {text}");
    }
    let folder = laid_out(&Setup::new().upstream(NAME, &upstream).policy(""));
    let missing = run(folder.path(), &["check", "--config", "absent.toml"]).await;
    exits(&missing, 2);
    assert!(err(&missing).contains("absent.toml"));
    let missing = run(folder.path(), &["serve", "--policy", "absent.toml"]).await;
    exits(&missing, 2);
    let public = run(folder.path(), &["serve", "--listen", "0.0.0.0:0"]).await;
    exits(&public, 2);
    assert!((out(&public) + &err(&public)).contains("plain_http"), "{}", err(&public));
}

#[tokio::test]
async fn the_environment_overrides_the_file_and_the_command_line_both() {
    let upstream = Upstream::start().await;
    let folder = laid_out(&Setup::new().upstream(NAME, &upstream).policy(""));
    let mut command = mirror::program();
    command
        .current_dir(folder.path())
        .args(["check"])
        .env("PORTCULLIS_CACHE_TAG_FRESH", "nonsense");
    let output = finish(command).await;
    exits(&output, 2);
    assert!((out(&output) + &err(&output)).contains("PORTCULLIS_CACHE_TAG_FRESH"));
}

#[tokio::test]
async fn verify_judges_without_a_mirror() {
    let upstream = Upstream::start().await;
    let key = Key::p256();
    let setup =
        Setup::new().upstream(NAME, &upstream).key("release.pub", &key).policy(stage::POLICY);
    let folder = laid_out(&setup);
    let (good, bad, far) = (Image::oci("good"), Image::oci("bad"), Image::oci("far"));
    upstream.push("acme/app", "good", &good);
    upstream.push("acme/app", "bad", &bad);
    upstream.push("acme/app", "far", &far);
    let signature = Signature::by(&key, "registry.test/acme/app", &good.digest);
    upstream.attach("acme/app", &good.digest, &[signature]);
    let tag = signing::signature_tag(&far.digest);
    upstream.always(&format!("/v2/acme/app/manifests/{tag}"), Fault::status(401));

    let admitted = run(folder.path(), &["verify", "registry.test/acme/app:good"]).await;
    exits(&admitted, 0);
    assert!(out(&admitted).contains("release"), "{}", out(&admitted));
    let by_digest = format!("registry.test/acme/app@{}", good.digest);
    exits(&run(folder.path(), &["verify", &by_digest]).await, 0);
    let denied = run(folder.path(), &["verify", "registry.test/acme/app:bad"]).await;
    exits(&denied, 1);
    assert!(out(&denied).contains(&bad.digest.to_string()), "{}", out(&denied));
    exits(&run(folder.path(), &["verify", "registry.test/acme/app:far"]).await, 3);
    let both = ["verify", "registry.test/acme/app:far", "registry.test/acme/app:bad"];
    exits(&run(folder.path(), &both).await, 1);
    exits(&run(folder.path(), &["verify"]).await, 2);
    exits(&run(folder.path(), &["verify", "registry.test/ACME/app:x"]).await, 2);

    let words = ["verify", "--json", "registry.test/acme/app:good", "registry.test/acme/app:bad"];
    let json = run(folder.path(), &words).await;
    exits(&json, 1);
    let value: Value = serde_json::from_slice(&json.stdout).expect("stdout is JSON alone");
    let text = value.to_string();
    assert!(text.contains("admitted") && text.contains("no_signature"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test]
async fn why_tells_the_recorded_decision_and_the_next_step() {
    let stage = Stage::new().await;
    let (good, bad) = (Image::oci("good"), Image::oci("bad"));
    stage.push_signed("acme/app", "good", &good);
    stage.upstream.push("acme/app", "bad", &bad);
    stage.mirror.manifest("acme/app", "good").await.serves(&good);
    let denied = stage.mirror.manifest("acme/app", "bad").await;
    let id = denied.decision();
    let folder = stage.mirror.folder();

    for wanted in [&*id, "registry.test/acme/app:bad", "acme/app:bad"] {
        let output = run(folder, &["why", wanted]).await;
        exits(&output, 0);
        let text = out(&output);
        for word in [&*id, "no_signature", "registry.test/**", &*bad.digest.to_string()] {
            assert!(text.contains(word), "{word} for {wanted}: {text}");
        }
    }
    let at = format!("{}/acme/app:good", stage.mirror.address());
    for wanted in ["registry.test/acme/app:good", &*at] {
        let output = run(folder, &["why", wanted]).await;
        exits(&output, 0);
        assert!(out(&output).contains(&good.digest.to_string()), "{wanted}: {}", out(&output));
    }
    exits(&run(folder, &["why", "registry.test/acme/unheard:of"]).await, 1);
    exits(&run(folder, &["why", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]).await, 1);
    let json = run(folder, &["why", "--json", &id]).await;
    exits(&json, 0);
    let value: Value = serde_json::from_slice(&json.stdout).expect("stdout is JSON alone");
    assert!(value.to_string().contains("no_signature"), "{value}");
}

#[tokio::test]
async fn keygen_and_sign_make_what_the_mirror_admits() {
    let upstream = Upstream::start().await;
    let setup = Setup::new().upstream(NAME, &upstream).policy(stage::POLICY);
    let folder = laid_out(&setup);
    let with_password = |words: &[&str]| {
        let mut command = mirror::program();
        command.current_dir(folder.path()).args(words).env("COSIGN_PASSWORD", "only for tests");
        finish(command)
    };
    let made = with_password(&["keygen", "release"]).await;
    exits(&made, 0);
    let read = |name: &str| {
        std::fs::read_to_string(folder.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    assert!(read("release.pub").starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(read("release.key").contains("ENCRYPTED"), "as cosign does");
    let again = with_password(&["keygen", "release"]).await;
    assert_ne!(again.status.code(), Some(0), "a key is never overwritten");

    let image = Image::oci("signed by the command");
    upstream.push("acme/app", "v1", &image);
    let words =
        ["sign", "registry.test/acme/app:v1", "--key", "release.key", "--output-dir", "signature"];
    let signed = with_password(&words).await;
    exits(&signed, 0);
    assert_eq!(
        upstream
            .requests("*")
            .iter()
            .filter(|seen| seen.method != "GET" && seen.method != "HEAD")
            .count(),
        0
    );
    let wrong = {
        let mut command = mirror::program();
        command.current_dir(folder.path()).args(words).env("COSIGN_PASSWORD", "wrong");
        finish(command).await
    };
    assert_ne!(wrong.status.code(), Some(0), "the password matters");

    // What was written is a signature manifest and its payload: put there, it admits.
    let mut payload = None;
    let mut value = None;
    for file in std::fs::read_dir(folder.path().join("signature")).expect("made").flatten() {
        let content = std::fs::read(file.path()).expect("readable");
        if content.starts_with(b"{\"critical\"") {
            payload = Some(content);
        } else if let Ok(manifest) = serde_json::from_slice::<Value>(&content)
            && manifest["layers"].is_array()
        {
            value = manifest["layers"][0]["annotations"][signing::SIGNATURE_ANNOTATION]
                .as_str()
                .map(str::to_owned);
        } else if let Ok(text) = String::from_utf8(content)
            && text.trim_end().len() > 80
            && !text.contains(['{', '-'])
        {
            value = Some(text.trim_end().to_owned());
        }
    }
    let payload = payload.expect("a payload");
    let signature = Signature::made_of(payload, b"").annotated(&value.expect("a signature"));
    upstream.attach("acme/app", &image.digest, &[signature]);
    exits(&run(folder.path(), &["verify", "registry.test/acme/app:v1"]).await, 0);
}
