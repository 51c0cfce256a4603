//! What cosign signs with a whole Sigstore, under right and wrong policies: recordings in
//! `tests/vectors/sigstore`, made by `record-sigstore.sh` there.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::recorded::{read, read_json, registry_of};
use crate::{
    oci::Digest,
    trust::{
        Policy, Reason, Verdict, decide,
        fixtures::{Registry, image, load, look, now, write},
    },
};

const GITHUB: (&str, &str) = (
    "https://token.actions.githubusercontent.com",
    "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0",
);
const LOCAL: (&str, &str) = ("http://127.0.0.1:7500/actions", GITHUB.1);
const EMAIL: (&str, &str) = ("http://127.0.0.1:7500/email", "dev@acme.test");

/// What each recording lacks of what is asked for by default, and who signed it; nobody for a key.
const CASES: [(&str, Option<(&str, &str)>, Option<Lack>); 15] = [
    ("bundle-keyless-rekor2-tsa", Some(GITHUB), None),
    ("bundle-keyless-rekor1", Some(GITHUB), None),
    ("bundle-keyless-rekor1-tsa", Some(GITHUB), None),
    ("bundle-keyless-localissuer", Some(LOCAL), None),
    ("bundle-keyless-email", Some(EMAIL), None),
    ("bundle-keyless-nosct", Some(GITHUB), Some(Lack::Sct)),
    ("bundle-keyless-tsa-notlog", Some(GITHUB), Some(Lack::Log)),
    ("bundle2-keyless-rekor1", Some(GITHUB), None),
    ("bundle-key-rekor2-tsa", None, None),
    ("bundle-key-rekor1", None, None),
    ("bundle-key-tsa-notlog", None, Some(Lack::Log)),
    ("sig-key-rekor1", None, None),
    ("sig-keyless-rekor1", Some(GITHUB), None),
    ("sig-keyless-rekor1-tsa", Some(GITHUB), None),
    ("sig-keyless-tsa-notlog", Some(GITHUB), Some(Lack::Log)),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lack {
    Log,
    Sct,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sigstore")
}

/// A recording: what the registry held, and of what.
struct Case {
    registry: Registry,
    named: String,
    digest: Digest,
}

impl Case {
    fn read(kind: &str) -> Self {
        let folder = root().join(kind);
        let case = read_json(&folder.join("case.json"));
        let named = case["name"].as_str().unwrap().to_owned();
        let digest: Digest = case["digest"].as_str().unwrap().parse().unwrap();
        assert!(digest.matches(&read(&folder.join("manifest.json"))));
        Self { registry: registry_of(&folder, &named, &digest), named, digest }
    }

    /// Judges it under a policy in which `authority` is asked.
    fn judge(&self, authority: &str) -> Verdict {
        let policy = policy(authority, &self.named);
        let evidence = look(&policy, &self.registry, &self.named, &self.digest);
        decide(&policy, &image(&self.named), &self.digest, &evidence, now())
    }
}

fn policy(authority: &str, named: &str) -> Policy {
    let text = format!(
        "version = 1\n[authority.a]\n{authority}\n[[rule]]\nmatch = \"{named}\"\nrequire = \"a\"\n"
    );
    load(&text, &[]).unwrap_or_else(|problems| panic!("{text}{problems:?}")).0
}

fn keyless((issuer, subject): (&str, &str), more: &str) -> String {
    let trust_root = root().join("trusted_root.json");
    format!(
        "issuer = \"{issuer}\"\nsubject = \"{subject}\"\ntrust_root = \"{}\"\n{more}",
        trust_root.display()
    )
}

fn key(file: &str, more: &str) -> String {
    let root = root();
    format!(
        "key = \"{}\"\ntrust_root = \"{}\"\n{more}",
        root.join(file).display(),
        root.join("trusted_root.json").display()
    )
}

/// The trust root after `change`, as a file in a folder that stays.
fn changed_root(change: impl Fn(&mut Value)) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut document = read_json(&root().join("trusted_root.json"));
    change(&mut document);
    let file = folder.path().join("root.json");
    write(&file, &document.to_string());
    let text = file.display().to_string();
    (folder, text)
}

#[test]
fn judges_what_cosign_signs_with_a_whole_sigstore() {
    for (kind, who, lack) in CASES {
        let case = Case::read(kind);
        let asked = |more: &str| match who {
            Some(who) => case.judge(&keyless(who, more)),
            None => case.judge(&key("cosign.pub", more)),
        };
        let strict = asked("log = \"required\"");
        let expected = match lack {
            None => Reason::Admitted,
            Some(Lack::Log) => Reason::SignatureInvalid,
            Some(Lack::Sct) => Reason::SignerNotTrusted,
        };
        assert_eq!(strict.reason, expected, "{kind}: {}", strict.message);
        let lax = match lack {
            Some(Lack::Sct) => "sct = \"optional\"",
            Some(Lack::Log) | None => "log = \"optional\"",
        };
        let lax = asked(lax);
        assert_eq!(lax.reason, Reason::Admitted, "{kind}: {}", lax.message);
        assert_eq!(lax.signed_by, ["a"]);
    }
    println!("sigstore recordings: {} of {}", CASES.len(), CASES.len());
}

#[test]
fn names_who_signed_when_it_is_nobody_who_is_asked() {
    for (kind, who, _) in CASES {
        let case = Case::read(kind);
        let Some((issuer, subject)) = who else {
            let verdict = case.judge(&key("other.pub", ""));
            assert_ne!(verdict.reason, Reason::Admitted, "{kind}");
            continue;
        };
        for other in [
            keyless(
                (issuer, "https://github.com/acme/other/.github/workflows/x.yml@refs/heads/main"),
                "",
            ),
            keyless(("https://accounts.test", subject), ""),
            keyless((issuer, subject), "claims = { runner_environment = \"self-hosted\" }"),
        ] {
            let verdict = case.judge(&other);
            assert_eq!(verdict.reason, Reason::SignerNotTrusted, "{kind}: {}", verdict.message);
            let named = format!("`{subject}`, issuer `{issuer}`, whom the rule does not ask");
            assert!(verdict.message.contains(&named), "{kind}: {}", verdict.message);
        }
    }
}

#[test]
fn g24_claims_tell_a_release_from_a_branch() {
    let case = Case::read("bundle-keyless-rekor2-tsa");
    let claims =
        |text: &str| case.judge(&keyless(GITHUB, &format!("claims = {{ {text} }}"))).reason;
    let right = "source_repository = \"https://github.com/acme/app\", source_repository_ref = \"refs/tags/v*\", runner_environment = \"github-hosted\"";
    assert_eq!(claims(right), Reason::Admitted);
    for (what, with) in [
        ("acme/app", "fork/app"),
        ("refs/tags/v*", "refs/heads/main"),
        ("github-hosted", "self-hosted"),
    ] {
        assert_eq!(claims(&right.replace(what, with)), Reason::SignerNotTrusted, "{with}");
    }
}

#[test]
fn g28_g34_what_the_root_does_not_know_does_not_count() {
    let without = |part: &'static str| move |root: &mut Value| root[part] = json!([]);
    let lax = "log = \"optional\"\nsct = \"optional\"";
    for (part, kind, reason) in [
        ("tlogs", "bundle-keyless-rekor1", Reason::TimeOutsideValidity),
        ("tlogs", "sig-keyless-rekor1", Reason::TimeOutsideValidity),
        ("tlogs", "bundle-keyless-rekor2-tsa", Reason::Admitted),
        ("timestampAuthorities", "bundle-keyless-rekor2-tsa", Reason::TimeOutsideValidity),
        ("timestampAuthorities", "sig-keyless-tsa-notlog", Reason::TimeOutsideValidity),
        ("timestampAuthorities", "bundle-keyless-rekor1-tsa", Reason::Admitted),
        ("certificateAuthorities", "bundle-keyless-rekor1", Reason::SignerNotTrusted),
        ("certificateAuthorities", "sig-keyless-rekor1", Reason::SignerNotTrusted),
        ("ctlogs", "bundle-keyless-rekor1", Reason::Admitted),
    ] {
        let (_folder, file) = changed_root(without(part));
        let own = root().join("trusted_root.json").display().to_string();
        let authority = keyless(GITHUB, lax).replace(&own, &file);
        let verdict = Case::read(kind).judge(&authority);
        assert_eq!(verdict.reason, reason, "{kind} without {part}: {}", verdict.message);
    }
    // Logs of another Sigstore: the certificate and the signature were seen by nobody who counts.
    let (_folder, public) = changed_root(|root| {
        let document = crate::trust::root::embedded::ALL[0].document;
        let public: Value = serde_json::from_str(document).unwrap();
        root["tlogs"] = public["tlogs"].clone();
        root["ctlogs"] = public["ctlogs"].clone();
    });
    let own = root().join("trusted_root.json").display().to_string();
    let authority = |more| keyless(GITHUB, more).replace(&own, &public);
    let case = Case::read("bundle-keyless-rekor2-tsa");
    let strict = case.judge(&authority(""));
    assert_eq!(strict.reason, Reason::SignatureInvalid, "{}", strict.message);
    let unseen = case.judge(&authority("log = \"optional\""));
    assert_eq!(unseen.reason, Reason::SignerNotTrusted, "{}", unseen.message);
}

#[test]
fn g26_a_certificate_is_no_key_and_a_key_no_certificate() {
    let key_only = Case::read("bundle-key-rekor2-tsa").judge(&keyless(GITHUB, ""));
    assert_eq!(key_only.reason, Reason::SignerNotTrusted, "{}", key_only.message);
    let certificate = Case::read("bundle-keyless-rekor2-tsa").judge(&key("cosign.pub", ""));
    assert_eq!(certificate.reason, Reason::SignerNotTrusted, "{}", certificate.message);
}

#[test]
fn g31_a_keys_window_holds_for_the_time_that_witnesses_saw() {
    // The recordings are of November 2026, and the tests' now is in June.
    for (kind, ends) in [
        ("bundle-key-rekor1", Reason::TimeOutsideValidity),
        ("bundle-key-rekor2-tsa", Reason::TimeOutsideValidity),
        ("bundle-key-tsa-notlog", Reason::TimeOutsideValidity),
    ] {
        let windowed = |until: &str| {
            let authority = key("cosign.pub", "");
            let file = root().join("cosign.pub").display().to_string();
            let plain = format!("key = \"{file}\"");
            let keys = format!("keys = [{{ file = \"{file}\", until = \"{until}\" }}]");
            Case::read(kind).judge(&authority.replace(&plain, &keys)).reason
        };
        assert_eq!(windowed("2027-01-01T00:00:00Z"), Reason::Admitted, "{kind}");
        assert_eq!(windowed("2026-08-01T00:00:00Z"), ends, "{kind}");
    }
}

#[test]
fn an_authority_of_ones_own_is_held_against_the_time_of_signing() {
    let ca = format!("ca = \"{}\"\n", root().join("ca.pem").display());
    let root = format!("trust_root = \"{}\"\n", root().join("trusted_root.json").display());
    let who = |(issuer, subject): (&str, &str)| {
        format!("issuer = \"{issuer}\"\nsubject = \"{subject}\"\n")
    };
    let case = Case::read("sig-keyless-rekor1");
    let seen = case.judge(&format!("{ca}{root}{}", who(GITHUB)));
    assert_eq!(seen.reason, Reason::Admitted, "{}", seen.message);
    // Ten minutes of November are not now.
    let unseen = case.judge(&format!("{ca}{}", who(GITHUB)));
    assert_eq!(unseen.reason, Reason::TimeOutsideValidity, "{}", unseen.message);
    let other = case.judge(&format!("{ca}{root}{}", who(LOCAL)));
    assert_eq!(other.reason, Reason::SignerNotTrusted, "{}", other.message);
    // A bundle comes without what leads to the root.
    let bundle = Case::read("bundle-keyless-rekor1").judge(&format!("{ca}{root}{}", who(GITHUB)));
    assert_eq!(bundle.reason, Reason::SignerNotTrusted, "{}", bundle.message);
}
