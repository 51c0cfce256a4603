use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::trust::fixtures::{image, key, load, now, problems, table, write};

const KEYS: &str =
    "version = 1\n[authority.release]\nkey = \"release.pub\"\n[authority.qa]\nkey = \"qa.pub\"\n";

/// The problems of `rest` behind two authorities with keys.
fn wrong(rest: &str) -> Vec<String> {
    let (release, qa) = (key(), key());
    problems(&format!("{KEYS}{rest}"), &[("release", &release), ("qa", &qa)])
}

fn right(rest: &str) -> (Policy, Vec<Warning>) {
    let (release, qa) = (key(), key());
    load(&format!("{KEYS}{rest}"), &[("release", &release), ("qa", &qa)])
        .unwrap_or_else(|problems| panic!("{rest}: {problems:?}"))
}

fn warnings(rest: &str) -> Vec<WarningKind> {
    right(rest).1.iter().map(|warning| warning.kind).collect()
}

#[test]
fn reads_every_part_of_the_language() {
    let (policy, warnings) = right(
        r#"
[[rule]]
match = ["registry.test/acme/**", "registry.alias/other/*"]
require = { all = ["release", { at_least = 1, of = ["qa"] }] }
mode = "enforce"
formats = ["cosign", "bundle", "notation"]
signed_as = "registry.internal/**"
signatures_in = "signatures.test/all"

[[rule]]
match = "nginx.test/x"
require = { any = [{ pin = ["sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"] }, "qa"] }

[[rule]]
match = "docker.io/alpine"
require = "never"

[[deny]]
digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
reason = "CVE-2026-0001"

[[deny]]
key = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[[exception]]
match = "docker.io/acme/legacy"
digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
until = 2026-12-31T00:00:00Z
reason = "ticket 4711"
"#,
    );
    let covered: Vec<_> = policy.coverage().map(|(pattern, _)| pattern.to_string()).collect();
    assert_eq!(
        covered,
        [
            "docker.io/library/alpine",
            "nginx.test/x",
            "registry.test/acme/**",
            "registry.test/other/*"
        ]
    );
    let rule = policy.covering(&image("registry.test/acme/a/b")).unwrap();
    assert_eq!(rule.require.demand(), "signatures by all of `release`, (at least 1 of `qa`)");
    assert_eq!(rule.signed_as.to_string(), "registry.internal/**");
    let signatures = policy.signatures_in(&image("registry.test/other/x")).unwrap();
    assert_eq!(signatures.to_string(), "signatures.test/all");
    assert_eq!(policy.covering(&image("nginx")).map(|rule| &rule.require), None);
    assert_eq!(policy.covering(&image("alpine")).unwrap().require, Require::Never);
    assert_eq!(policy.files().len(), 3);
    assert_eq!(
        warnings.iter().map(|one| one.kind).collect::<Vec<_>>(),
        [WarningKind::UnreachableRule]
    );
}

#[test]
fn g51_reports_everything_that_is_wrong_with_its_line() {
    let found = wrong(
        r#"
[[rule]]
match = "acme/**"
require = "relese"
mode = "enforced"
colour = "red"

[[rule]]
matches = "registry.test/a"
require = { all = [] }

[[deny]]
reason = "nothing"

[other]
"#,
    );
    let expected = [
        "8 rule[0].match: `acme` is not a registry",
        "9 rule[0].require: there is no authority `relese`",
        "10 rule[0].mode: `enforced` is not known here",
        "11 rule[0].colour: there is no such key",
        "13 rule[1]: has no `match`",
        "14 rule[1].matches: there is no such key",
        "15 rule[1].require.all: is an empty list",
        "17 deny[0]: must name one thing to deny",
        "20 other: there is no such key",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn names_what_was_probably_meant() {
    let (release, qa) = (key(), key());
    let text = format!("{KEYS}[[rule]]\nmatchs = \"registry.test/a\"\nrequire = \"relese\"\n");
    let problems = load(&text, &[("release", &release), ("qa", &qa)]).unwrap_err();
    let steps: Vec<_> = problems.iter().map(|problem| problem.next_step.as_str()).collect();
    assert!(steps.contains(&"did you mean `match`?"), "{steps:?}");
    assert!(steps.contains(&"did you mean `release`?"), "{steps:?}");
    let printed = problems[1].to_string();
    assert!(
        printed.contains("policy.toml:7: `rule[0].matchs`: there is no such key: did you"),
        "{printed}"
    );
}

#[test]
fn the_version_must_be_there_and_known() {
    for text in ["", "version = 2\n", "version = \"1\"\n", "version = 1.0\n", "version = -1\n"] {
        assert!(!problems(text, &[]).is_empty(), "{text}");
    }
    assert!(
        load("version = 1\n", &[]).unwrap().1.iter().any(|one| one.kind == WarningKind::NoRules)
    );
}

#[test]
fn g49_only_equal_patterns_tie() {
    let found = wrong(
        "[[rule]]\nmatch = \"docker.io/nginx\"\nrequire = \"qa\"\n[[rule]]\nmatch = \"index.docker.io/library/nginx\"\nrequire = \"release\"\n",
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("on line 6 and on line 9"), "{found:?}");
    let twice = wrong(
        "[[rule]]\nmatch = [\"docker.io/nginx\", \"docker.io/library/nginx\"]\nrequire = \"qa\"\n",
    );
    assert!(twice[0].contains("is there twice"), "{twice:?}");
    right(
        "[[rule]]\nmatch = \"docker.io/**\"\nrequire = \"qa\"\n[[rule]]\nmatch = \"docker.io/*/**\"\nrequire = \"qa\"\n",
    );
}

#[test]
fn refuses_requirements_that_make_no_sense() {
    let rule =
        |require: &str| format!("[[rule]]\nmatch = \"registry.test/**\"\nrequire = {require}\n");
    let deep = format!("{}\"qa\"{}", "{ all = [".repeat(9), "] }".repeat(9));
    for (require, what) in [
        ("[]", "must be a table"),
        ("\"\"", "is empty"),
        ("\"nobody\"", "there is no authority `nobody`"),
        ("{}", "is no requirement"),
        ("{ all = [\"qa\"], any = [\"qa\"] }", "is no requirement"),
        ("{ all = [] }", "is an empty list"),
        ("{ all = [\"qa\", \"qa\"] }", "is there twice"),
        ("{ any = [\"qa\"], colour = 1 }", "there is no such key"),
        ("{ at_least = 0, of = [\"qa\"] }", "cannot be met"),
        ("{ at_least = 2, of = [\"qa\"] }", "cannot be met"),
        ("{ at_least = 1 }", "has no `of`"),
        ("{ at_least = \"1\", of = [\"qa\"] }", "must be a whole number"),
        ("{ pin = [] }", "is an empty list"),
        ("{ pin = [\"sha256:abc\"] }", "lower-case hex"),
        ("{ pin = [\"sha1:abc\"] }", "algorithm"),
        (deep.as_str(), "nested deeper than 8"),
        ("{ attestation = { type = \"x\", by = \"qa\" } }", "attestations are not supported yet"),
        ("{ attestation = { type = \"x\" } }", "has no `by`"),
        (
            "{ attestation = { type = \"x\", by = \"nobody\", were = \"x\" } }",
            "there is no such key",
        ),
        (
            "{ all = [\"qa\", { at_least = 2, of = [\"qa\", \"release\"] }] }",
            "no set of signatures",
        ),
    ] {
        let found = wrong(&rule(require));
        assert!(found.iter().any(|found| found.contains(what)), "{require}: {found:?}");
    }
}

#[test]
fn g27_a_requirement_that_shared_keys_cannot_meet_is_an_error() {
    let one = key();
    let text = format!(
        "{KEYS}[[rule]]\nmatch = \"registry.test/**\"\nrequire = {{ at_least = 2, of = [\"release\", \"qa\"] }}\n"
    );
    let found = problems(&text, &[("release", &one), ("qa", &one)]);
    assert!(found[0].contains("no set of signatures can ever meet at least 2 of"), "{found:?}");
    let any = text.replace("at_least = 2, of", "any");
    let warnings = load(&any, &[("release", &one), ("qa", &one)]).unwrap().1;
    assert!(warnings.iter().any(|warning| warning.kind == WarningKind::SharedKey), "{warnings:?}");
}

#[test]
fn what_comes_later_is_checked_and_refused() {
    for (authority, what) in [
        (
            "notation = { trust_store = [\"a\"], identities = [\"b\"] }",
            "Notation authorities are not supported yet",
        ),
        ("notation = { trust_store = [\"a\"], level = \"lax\" }", "`lax` is not known here"),
        ("notation = { trust_store = [] }", "has no `identities`"),
        ("key = \"qa.pub\"\nlog = \"required\"", "no log is trusted, so none can be required"),
        ("key = \"qa.pub\"\nsct = \"required\"", "of several kinds at once"),
        ("key = \"qa.pub\"\nissuer = \"https://x\"", "of several kinds at once"),
        ("key = \"qa.pub\"\nkeys = []", "has both `key` and `keys`"),
        ("repositories = [\"registry.test/**\"]", "does not say who it is"),
        ("key = \"qa.pub\"\nrepositories = []", "is an empty list"),
    ] {
        let found = wrong(&format!("[authority.x]\n{authority}\n"));
        assert!(found.iter().any(|found| found.contains(what)), "{authority}: {found:?}");
    }
    for name in ["never", "insecure-accept-anything", "\"a b\"", "\"\""] {
        let found = wrong(&format!("[authority.{name}]\nkey = \"qa.pub\"\n"));
        let named = ["is a word of the policy", "an authority's name is"];
        assert!(named.iter().any(|what| found[0].contains(what)), "{name}: {found:?}");
    }
    let formats = wrong(
        "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"qa\"\nformats = [\"notation\"]\n",
    );
    assert!(formats[0].contains("not supported yet"), "{formats:?}");
}

#[test]
fn g19_a_key_file_is_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let pem = key().public().to_pem();
    for (content, what) in [
        (Some(pem.repeat(2)), "several blocks"),
        (Some(pem.replace('\n', "\r\n")), "Windows line ends"),
        (Some(format!("{pem}tail\n")), "several blocks"),
        (Some(pem.replace("PUBLIC KEY", "RSA PUBLIC KEY")), "holds a `RSA PUBLIC KEY`"),
        (Some(" \n".to_owned()), "must begin with"),
        (Some("x".repeat(70_000)), "larger than 65536 bytes"),
        (None, "cannot read"),
    ] {
        if let Some(content) = &content {
            write(&folder.path().join("a.pub"), content);
        }
        let file = if content.is_some() { "a.pub" } else { "b.pub" };
        let path = folder.path().join("policy.toml");
        write(&path, &format!("version = 1\n[authority.a]\nkey = \"{file}\"\n"));
        let problems = Policy::load(&path, &table(), now()).unwrap_err();
        assert!(problems[0].what.contains(what), "{what}: {problems:?}");
        assert_eq!((problems[0].line, problems[0].key.as_str()), (Some(3), "authority.a.key"));
    }
}

#[test]
fn windows_are_warnings_until_nothing_is_left() {
    let key = key();
    let at = |days: i64| {
        let shift = Duration::from_secs(days.unsigned_abs() * 86_400);
        let time = if days < 0 { now() - shift } else { now() + shift };
        crate::timestamp::Timestamp(time).to_string()
    };
    let text = |from: Option<i64>, until: Option<i64>| {
        let from = from.map(|days| format!(", from = \"{}\"", at(days))).unwrap_or_default();
        let until = until.map(|days| format!(", until = \"{}\"", at(days))).unwrap_or_default();
        format!(
            "version = 1\n[authority.a]\nkeys = [{{ file = \"a.pub\"{from}{until} }}]\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n"
        )
    };
    let kinds = |text: &str| -> Vec<_> {
        load(text, &[("a", &key)]).unwrap().1.iter().map(|warning| warning.kind).collect()
    };
    assert_eq!(kinds(&text(Some(-2), Some(40))), []);
    assert_eq!(kinds(&text(None, Some(20))), [WarningKind::WindowEnding]);
    assert_eq!(kinds(&text(Some(2), None)), [WarningKind::WindowFuture]);
    let ended = problems(&text(None, Some(-1)), &[("a", &key)]);
    assert!(ended[0].contains("none of its keys can ever be valid again"), "{ended:?}");
    let empty = problems(&text(Some(2), Some(1)), &[("a", &key)]);
    assert!(empty[0].contains("ends before it begins"), "{empty:?}");
    let bad = problems(&text(None, None).replace("\" }", "\", until = \"soon\" }"), &[("a", &key)]);
    assert!(bad[0].contains("is not a time"), "{bad:?}");
    let unnamed = problems(&text(None, None).replace("file =", "fil ="), &[("a", &key)]);
    assert!(unnamed[0].contains("has no `file`"), "{unnamed:?}");
}

#[test]
fn a_retired_key_beside_a_current_one_is_a_warning() {
    let (old, new) = (key(), key());
    let text = "version = 1\n[authority.a]\nkeys = [{ file = \"old.pub\", until = \"2026-01-01T00:00:00Z\" }, { file = \"new.pub\" }]\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n";
    let (policy, warnings) = load(text, &[("old", &old), ("new", &new)]).unwrap();
    assert_eq!(warnings[0].kind, WarningKind::WindowEnded);
    assert!(warnings[0].to_string().contains("ended at 2026-01-01T00:00:00"), "{}", warnings[0]);
    assert_eq!(policy.authorities()[0].keys().len(), 2);
    let same = problems(text, &[("old", &new), ("new", &new)]);
    assert!(same[0].contains("already lists"), "{same:?}");
}

#[test]
fn says_what_weakens_a_policy() {
    let rule = |rest: &str| format!("[[rule]]\nmatch = \"registry.test/**\"\n{rest}\n");
    let unused = WarningKind::UnusedAuthority;
    let both = "require = { any = [\"release\", \"qa\"] }";
    assert_eq!(warnings(&rule(both)), []);
    assert_eq!(warnings(&rule("require = \"qa\"")), [unused]);
    assert_eq!(
        warnings(&rule("require = \"insecure-accept-anything\"")),
        [unused, unused, WarningKind::InsecureRule]
    );
    assert_eq!(warnings(&rule(&format!("{both}\nmode = \"warn\""))), [WarningKind::Unenforced]);
    assert_eq!(warnings(&rule(&format!("{both}\nsigned_as = \"any\""))), [WarningKind::AnyName]);
    let exception = |until: &str| {
        format!(
            "{}[[exception]]\nmatch = \"registry.test/x\"\ndigest = \"sha256:{}\"\nuntil = \"{until}\"\nreason = \"y\"\n",
            rule(both),
            "0".repeat(64)
        )
    };
    assert_eq!(warnings(&exception("2026-05-31T00:00:00Z")), [WarningKind::ExceptionEnded]);
    assert_eq!(warnings(&exception("2026-06-20T00:00:00Z")), [WarningKind::ExceptionEnding]);
    assert_eq!(warnings(&exception("2027-06-20T00:00:00Z")), []);
    let scope = "[authority.far]\nkey = \"qa.pub\"\nrepositories = [\"registry.test/other/**\"]\n[[rule]]\nmatch = \"registry.test/app\"\nrequire = { any = [\"far\", \"release\"] }\n";
    assert!(warnings(scope).contains(&WarningKind::OutOfScope));
}

#[test]
fn an_exception_and_a_denial_are_complete() {
    let digest = format!("\"sha256:{}\"", "0".repeat(64));
    for (text, what) in [
        (format!("[[exception]]\ndigest = {digest}\nuntil = \"2027-01-01T00:00:00Z\"\nreason = \"x\"\n"), "has no `match`"),
        ("[[exception]]\nmatch = \"registry.test/x\"\nuntil = \"2027-01-01T00:00:00Z\"\nreason = \"x\"\n".to_owned(), "has no `digest`"),
        (format!("[[exception]]\nmatch = \"registry.test/x\"\ndigest = {digest}\nreason = \"x\"\n"), "has no `until`"),
        (format!("[[exception]]\nmatch = \"registry.test/x\"\ndigest = {digest}\nuntil = \"2027-01-01\"\n"), "has no `reason`"),
        (format!("[[deny]]\nmatch = \"registry.test/x\"\ndigest = {digest}\n"), "must name one thing"),
        ("[[deny]]\nkey = \"release.pub\"\n".to_owned(), "a fingerprint is"),
        ("[[deny]]\ndigest = 1\n".to_owned(), "must be a text"),
        ("deny = 1\n".to_owned(), "must be a list"),
        ("[rule]\n".to_owned(), "must be a list"),
    ] {
        // A key before the first table belongs to the document.
        let found = match text.strip_prefix("deny = 1\n") {
            Some(_) => problems(&format!("version = 1\n{text}"), &[]),
            None => wrong(&text),
        };
        assert!(found.iter().any(|found| found.contains(what)), "{text}: {found:?}");
    }
}

#[test]
fn signatures_are_looked_for_where_they_can_be_found() {
    let rule = |place: &str| {
        format!(
            "[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"qa\"\nsignatures_in = \"{place}\"\n"
        )
    };
    for (place, what) in [
        ("other.test/signatures", "no upstream is called `other.test`"),
        ("signatures", "is not a repository"),
        ("signatures.test/a:v1", "is not a repository"),
        ("signatures.test/**", "is not a repository"),
    ] {
        let found = wrong(&rule(place));
        assert!(found[0].contains(what), "{place}: {found:?}");
    }
    let (policy, _) = right(&rule("registry.alias/signatures"));
    let place = policy.signatures_in(&image("registry.test/x")).unwrap();
    assert_eq!(place.to_string(), "registry.test/signatures");
}

#[test]
fn g50_a_policy_that_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing.toml"), folder.path().to_owned()] {
        let problems = Policy::load(&path, &table(), now()).unwrap_err();
        assert!(problems[0].what.starts_with("cannot read the policy"), "{problems:?}");
    }
    let large = folder.path().join("large.toml");
    write(&large, &"#".repeat(2 << 20));
    assert!(Policy::load(&large, &table(), now()).unwrap_err()[0].what.contains("larger than"));
}

#[test]
fn g35_hashes_follow_what_is_said_and_by_whom() {
    let (one, other) = (key(), key());
    let text = "version = 1\n[authority.a]\nkey = \"a.pub\"\n[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"a\"\n";
    let hashes = |text: &str, key| {
        let policy = load(text, &[("a", key)]).unwrap().0;
        (policy.hash().to_owned(), policy.trust_hash().to_owned())
    };
    let before = hashes(text, &one);
    assert_eq!(hashes(&text.replace("version", "# a remark\nversion"), &one), before);
    let rotated = hashes(text, &other);
    assert_eq!(rotated.0, before.0);
    assert_ne!(rotated.1, before.1);
    let denied = format!("{text}[[deny]]\ndigest = \"sha256:{}\"\n", "0".repeat(64));
    let denied = hashes(&denied, &one);
    assert_ne!(denied.0, before.0);
    assert_eq!(denied.1, before.1);
}

#[test]
fn g18_depth_and_size_do_no_harm() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{ a = ".repeat(100_000)),
        "[a.".repeat(100_000),
        format!("version = 1\n{}", "[[rule]]\n".repeat(20_000)),
        format!("version = 1\n[[rule]]\nrequire = {}", "{ all = [".repeat(60)),
    ] {
        assert!(load(&text, &[]).is_err());
    }
}

#[test]
fn g14_a_key_written_twice_is_an_error() {
    let found =
        wrong("[[rule]]\nmatch = \"registry.test/**\"\nrequire = \"qa\"\nrequire = \"release\"\n");
    assert!(found[0].contains("duplicate") && found[0].starts_with('9'), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn g18_no_text_makes_loading_panic(text in "(version = 1\n)?(\\[\\[?(rule|deny|exception|authority\\.a)\\]?\\]\n|(match|require|key|keys|digest|until|mode|pin) = (\"[a-z./*:0-9]{0,9}\"|\\[\\]|\\{ (all|any|pin) = \\[\"a\"\\] \\}|1)\n|\\PC{0,8}\n){0,8}") {
        let _ = load(&text, &[]);
    }
}
