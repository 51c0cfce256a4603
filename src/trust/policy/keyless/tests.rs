use std::time::UNIX_EPOCH;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;
use crate::trust::{
    Kind, Policy,
    fixtures::{key, load, problems, table, write},
};

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SUBJECT: &str = "https://github.com/acme/*/.github/workflows/release.yml@refs/tags/v*";

fn who(more: &str) -> String {
    format!("version = 1\n[authority.ci]\nissuer = \"{ISSUER}\"\nsubject = \"{SUBJECT}\"\n{more}\n")
}

fn keyless(text: &str) -> Keyless {
    let (policy, _) = load(text, &[]).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    match policy.authorities()[0].kind.clone() {
        Kind::Keyless(keyless) => *keyless,
        kind => panic!("{kind:?}"),
    }
}

fn identity(subject: Subject, claims: &[(Claim, &str)]) -> Identity {
    let claims = claims.iter().map(|(claim, value)| (*claim, (*value).to_owned()));
    Identity { issuer: ISSUER.to_owned(), subject, claims: claims.collect() }
}

fn release() -> Subject {
    Subject::Uri(
        "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1".to_owned(),
    )
}

#[test]
fn names_an_identity_by_issuer_subject_and_claims() {
    let ci = keyless(&who(
        "claims = { runner_environment = \"github-hosted\", source_repository_ref = \"refs/tags/*\" }",
    ));
    assert_eq!((ci.log, ci.sct), (Wanted::Required, Wanted::Required));
    assert_eq!(ci.trust_root().unwrap().name, "public-good");
    let hosted = (Claim::RunnerEnvironment, "github-hosted");
    let tag = (Claim::SourceRepositoryRef, "refs/tags/v1");
    assert!(ci.is(&identity(release(), &[hosted, tag])));
    for claims in [
        &[][..],
        &[hosted],
        &[hosted, (Claim::SourceRepositoryRef, "refs/heads/main")],
        &[(Claim::RunnerEnvironment, "self-hosted"), tag],
    ] {
        assert!(!ci.is(&identity(release(), claims)), "{claims:?}");
    }
    let mut other = identity(release(), &[hosted, tag]);
    "https://token.actions.githubusercontent.com/".clone_into(&mut other.issuer);
    assert!(!ci.is(&other));
}

#[test]
fn g21_a_name_of_one_kind_is_no_name_of_another() {
    let texts = [
        ("https://acme.test/ci", SubjectKind::Uri),
        ("dev@acme.test", SubjectKind::Email),
        ("dev", SubjectKind::Name),
    ];
    for (text, kind) in texts {
        let one = keyless(&who("").replace(SUBJECT, text));
        assert_eq!(one.subject.kind, kind);
        for (subject, of) in [
            (Subject::Uri(text.to_owned()), SubjectKind::Uri),
            (Subject::Email(text.to_owned()), SubjectKind::Email),
            (Subject::UserName(text.to_owned()), SubjectKind::Name),
        ] {
            assert_eq!(one.is(&identity(subject, &[])), of == kind, "{text} as {of:?}");
        }
    }
}

#[test]
fn g20_what_is_written_wrong_or_without_effect_is_an_error() {
    let own = "version = 1\n[authority.ci]\nca = \"ci.pub\"\nsubject = \"a@b.test\"\n";
    for (text, what) in [
        (who("").replace("subject", "subjects"), "has no `subject`"),
        (who("").replace("subject", "subjects"), "there is no such key"),
        (who("").replace("issuer", "# issuer"), "has no `issuer`"),
        (who("").replace(ISSUER, "https://*.test"), "an issuer is a whole URL"),
        (who("").replace(ISSUER, "https://a.test|b"), "is not anchored"),
        (who("").replace(SUBJECT, "https://github.com/acme/.*"), "is not anchored"),
        (who("").replace(SUBJECT, "^.*$"), "whether it is a URI or a mail address"),
        (who("").replace(SUBJECT, "^https://[$"), "is not a regular expression"),
        (who("").replace(SUBJECT, "**"), "is anybody"),
        (who("claims = {}"), "is an empty table"),
        (who("claims = { runner_enviroment = \"x\" }"), "no certificate has such a claim"),
        (who("claims = { runner_environment = 1 }"), "must be a text"),
        (who("claims = { runner_environment = \"a|b\" }"), "is not anchored"),
        (who("sct = \"no\""), "`no` is not known here"),
        (who("trust_root = \"nowhere.json\""), "cannot read"),
        (who("trust_root = \"ci.pub\""), "is not a trust root"),
        (who("trust_root = \"github\""), "`log` is required"),
        (who("trust_root = \"github\"\nlog = \"optional\""), "`sct` is required"),
        (who("key = \"ci.pub\""), "of several kinds at once"),
        (own.to_owned(), "is no authority to trust"),
        (format!("{own}sct = \"optional\""), "has no effect"),
        (format!("{own}log = \"required\""), "no log of signatures is trusted"),
        (
            format!("{own}claims = {{ build_trigger = \"push\" }}"),
            "has no effect without an `issuer`",
        ),
    ] {
        let found = problems(&text, &[("ci", &key())]);
        assert!(found.iter().any(|found| found.contains(what)), "{text}: {found:?}");
    }
    let near = who("claims = { runner_enviroment = \"x\" }");
    let near = load(&near, &[]).unwrap_err();
    assert_eq!(near[0].next_step, "did you mean `runner_environment`?");
    assert_eq!(near[0].line, Some(5));
}

#[test]
fn github_has_no_log_and_says_so() {
    let text = who("trust_root = \"github\"\nlog = \"optional\"\nsct = \"optional\"");
    let github = keyless(&text);
    assert_eq!(github.trust_root().unwrap().name, "github");
}

/// A policy that trusts the certificates in `ca.pem` and its own `trusted_root.json`, in a folder that
/// stays.
fn policy_with(ca: &str, root: &str) -> (Policy, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("ca.pem"), ca);
    write(&folder.path().join("root.json"), root);
    let path = folder.path().join("policy.toml");
    write(
        &path,
        "version = 1\n[authority.own]\nca = [\"ca.pem\"]\nsubject = \"dev@acme.test\"\ntrust_root = \"root.json\"\n",
    );
    (Policy::load(&path, &table(), UNIX_EPOCH).unwrap().0, folder)
}

fn authority_certificate() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn g35_certificates_and_roots_are_trust_material() {
    let document = |name: &str| {
        let roots = crate::trust::root::embedded::ALL.iter();
        roots.clone().find(|root| root.name == name).unwrap().document
    };
    let (one, two) = (authority_certificate(), authority_certificate());
    let (policy, _folder) = policy_with(&one, document("public-good"));
    let names: Vec<_> =
        policy.files().iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["policy.toml", "ca.pem", "root.json"]);
    let same = policy_with(&one, document("public-good")).0;
    assert_eq!(policy.trust_hash(), same.trust_hash());
    for (ca, root) in [
        (&two, document("public-good")),
        (&format!("{one}{two}"), document("public-good")),
        (&one, document("github")),
    ] {
        let other = policy_with(ca, root).0;
        assert_ne!(policy.trust_hash(), other.trust_hash());
        assert_eq!(policy.hash(), other.hash());
    }
}
