//! What cosign signs with a whole Sigstore, under right and wrong policies: recordings in
//! `tests/vectors/sigstore`, made by `record-sigstore.sh` there.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use serde_json::{Value, json};

use super::recorded::{read, read_json, registry_of};
use crate::{
    oci::Digest,
    timestamp::Timestamp,
    trust::{
        Policy, Reason, Verdict, decide,
        fixtures::{Registry, image, load, look, now, write},
        signing::PrivateKey,
    },
};

const GITHUB: (&str, &str) = (
    "https://token.actions.githubusercontent.com",
    "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0",
);
const LOCAL: (&str, &str) = ("http://127.0.0.1:7500/actions", GITHUB.1);
const EMAIL: (&str, &str) = ("http://127.0.0.1:7500/email", "dev@acme.test");

/// A recording, who signed it by issuer and subject (nobody for a key), and what it lacks of what is asked
/// for by default.
type Row = (&'static str, Option<(&'static str, &'static str)>, Option<Lack>);

const CASES: [Row; 15] = [
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

/// What the registry holds when several recordings are of one image in one repository.
fn together(kinds: &[&str]) -> Case {
    let mut cases = kinds.iter().map(|kind| Case::read(kind));
    let mut all = cases.next().unwrap();
    let place = |case: &Case| format!("{}@{}", case.named, case.digest);
    for case in cases {
        assert_eq!(case.digest, all.digest);
        for (referrer, bytes) in case.registry.manifests.clone() {
            let kept = referrer.replace(&case.named, &all.named);
            all.registry.manifests.insert(kept, bytes);
        }
        all.registry.blobs.extend(case.registry.blobs.clone());
        let listed = case.registry.referrers[&place(&case)].clone().unwrap();
        let known = all.registry.referrers.get_mut(&place(&all)).unwrap();
        known.as_mut().unwrap().extend(listed);
    }
    all
}

fn reason_under(case: &Case, authorities: &[(&str, String)], require: &str) -> Reason {
    let authorities: String =
        authorities.iter().map(|(name, what)| format!("[authority.{name}]\n{what}\n")).collect();
    let text = format!(
        "version = 1\n{authorities}[[rule]]\nmatch = \"{}\"\nrequire = {require}\n",
        case.named
    );
    let policy = load(&text, &[]).unwrap_or_else(|problems| panic!("{text}{problems:?}")).0;
    let evidence = look(&policy, &case.registry, &case.named, &case.digest);
    decide(&policy, &image(&case.named), &case.digest, &evidence, now()).reason
}

#[test]
fn g27_a_key_and_an_identity_are_two_and_an_identity_that_signs_twice_is_one() {
    let two = "{ at_least = 2, of = [\"release\", \"ci\", \"again\"] }";
    let who = [
        ("release", key("cosign.pub", "log = \"required\"")),
        ("ci", keyless(GITHUB, "")),
        ("again", keyless((GITHUB.0, "https://github.com/acme/**"), "")),
    ];
    let mixed = together(&["bundle-keyless-rekor1", "bundle-key-rekor2-tsa"]);
    assert_eq!(reason_under(&mixed, &who, two), Reason::Admitted);
    let twice = together(&["bundle-keyless-rekor1", "bundle-keyless-rekor2-tsa"]);
    assert_eq!(reason_under(&twice, &who, two), Reason::BelowThreshold);
    let people = together(&["bundle-keyless-rekor1", "bundle-keyless-email"]);
    let who = [("ci", keyless(GITHUB, "")), ("dev", keyless(EMAIL, ""))];
    assert_eq!(reason_under(&people, &who, "{ all = [\"ci\", \"dev\"] }"), Reason::Admitted);
}

#[test]
fn one_broken_signature_does_not_hide_a_good_one() {
    let mut case = together(&["bundle-keyless-rekor1", "bundle-keyless-rekor2-tsa"]);
    let first = Case::read("bundle-keyless-rekor1");
    for digest in first.registry.blobs.keys() {
        case.registry.blobs.insert(*digest, Ok("{}".into()));
    }
    let verdict = case.judge(&keyless(GITHUB, ""));
    assert_eq!(verdict.reason, Reason::Admitted, "{}", verdict.message);
}

#[test]
fn an_unmet_place_names_its_reason_and_the_way_on() {
    let case = Case::read("bundle-keyless-tsa-notlog");
    let verdict = case.judge(&keyless(GITHUB, ""));
    let found = "comes without an entry of a log that the trust root knows";
    assert!(verdict.message.contains(found), "{}", verdict.message);
    assert!(verdict.next_step.contains("`cosign sign "), "{}", verdict.next_step);
    let tree = verdict.tree.unwrap();
    assert_eq!((tree.satisfied, tree.why_not), (false, Some(Reason::SignatureInvalid)));
    let signed = Case::read("bundle-keyless-rekor1").judge(&keyless(GITHUB, ""));
    let by = signed.tree.unwrap().by.unwrap();
    assert_eq!(by, format!("a (`{}`, issuer `{}`)", GITHUB.1, GITHUB.0));
    assert_eq!(signed.valid_until, None);
}

#[test]
fn a_certificate_of_ones_own_that_no_witness_saw_counts_until_it_ends() {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let issuer = CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::Rfc822Name("dev@acme.test".try_into().unwrap())];
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 9, 1));
    let certificate = params.signed_by(&pair, &issuer).unwrap().pem();
    let signer = PrivateKey::from_pkcs8(&pair.serialize_der()).unwrap();

    let named = "registry.test/acme/app";
    let digest = Digest::of(b"the image");
    let mut registry = Registry::default();
    registry.sign(&signer, named, &digest);
    registry.edit(named, &digest, |manifest| {
        manifest["layers"][0]["annotations"]["dev.sigstore.cosign/certificate"] =
            json!(certificate);
    });
    let case = Case { registry, named: named.to_owned(), digest };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    write(&file, &issuer.pem());
    let own = |subject: &str| {
        case.judge(&format!("ca = \"{}\"\nsubject = \"{subject}\"", file.display()))
    };
    let admitted = own("*@acme.test");
    assert_eq!(admitted.reason, Reason::Admitted, "{}", admitted.message);
    let end = "2026-09-01T00:00:00Z".parse::<Timestamp>().unwrap();
    assert_eq!(admitted.valid_until, Some(end.0));
    assert_eq!(own("other@acme.test").reason, Reason::SignerNotTrusted);
    assert_eq!(own("https://acme.test/dev@acme.test").reason, Reason::SignerNotTrusted);
    let later = end.0 + Duration::from_secs(1);
    let policy = policy(&format!("ca = \"{}\"\nsubject = \"*@acme.test\"", file.display()), named);
    let evidence = look(&policy, &case.registry, named, &digest);
    let ended = decide(&policy, &image(named), &digest, &evidence, later);
    assert_eq!(ended.reason, Reason::TimeOutsideValidity, "{}", ended.message);
}
