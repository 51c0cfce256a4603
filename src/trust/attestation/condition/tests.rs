use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

/// 1 June 2026.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_780_272_000)
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap()
}

const PREDICATE: &str = r#"{
    "builder": {"id": "https://builder.test/v1", "retries": 3, "score": 7.5},
    "finished": "2026-05-30T12:00:00Z",
    "packages": [{"name": "zlib", "version": "1.3"}, {"name": "openssl"}],
    "tags": ["a", "b"], "nothing": null, "draft": false
}"#;

/// Whether `condition` holds for [`PREDICATE`].
fn until(condition: &str) -> Result<Option<SystemTime>, Unmet> {
    let condition =
        Condition::compile(condition).unwrap_or_else(|why| panic!("{condition}: {why}"));
    let (predicate, subject, image) = (
        json(PREDICATE),
        json(r#"{"name": "app", "digest": {"sha256": "00"}}"#),
        json(r#"{"upstream": "registry.test", "repository": "acme/app"}"#),
    );
    condition.holds(Scope { predicate: &predicate, subject: &subject, image: &image, now: now() })
}

fn holds(condition: &str) -> Result<(), Unmet> {
    until(condition).map(drop)
}

fn why_not(condition: &str) -> String {
    match holds(condition) {
        Err(Unmet::False(why)) => why,
        end => panic!("{condition}: {end:?}"),
    }
}

#[test]
fn conditions_that_hold() {
    for condition in [
        "true",
        "predicate.builder.id == 'https://builder.test/v1'",
        "predicate['builder']['id'].startsWith('https://')",
        "predicate.builder.id.endsWith('/v1') && predicate.builder.id.contains('.test')",
        r"predicate.builder.id.matches('^https://builder\\.test/v[0-9]+$')",
        "predicate.builder.retries == 3 && predicate.builder.retries == 3.0",
        "predicate.builder.retries + 1 == 4 && -predicate.builder.retries < 0",
        "predicate.builder.score >= 7 && predicate.builder.score * 2.0 == 15.0",
        "7 / 2 == 3 && 7 % 2 == 1 && 7 - 2 == 5",
        "has(predicate.builder.id) && !has(predicate.builder.name)",
        "!has(predicate.nobody) || predicate.nobody.name == 'x'",
        "predicate.packages.exists(p, p.name == 'zlib')",
        "predicate.packages.all(p, p.name.size() > 3)",
        "predicate.packages.exists_one(p, has(p.version))",
        "predicate.packages.filter(p, has(p.version)).size() == 1",
        "predicate.packages.map(p, p.name) == ['zlib', 'openssl']",
        "predicate.packages.all(p, predicate.tags.exists(t, t == 'b' && p.name != t))",
        "'a' in predicate.tags && 'builder' in predicate && !('c' in predicate.tags)",
        "predicate.tags[1] == 'b' && size(predicate.tags) == 2 && size('äö') == 2",
        "predicate.builder == predicate.builder && predicate.tags != predicate.packages",
        "timestamp(predicate.finished) > now - duration('168h')",
        "now - timestamp(predicate.finished) < duration('36h1m')",
        "predicate.nothing == null && !predicate.draft",
        "predicate.draft ? predicate.missing : true",
        "image.repository == 'acme/app' && image.upstream in ['registry.test']",
        "subject.name == 'app' && subject.digest.sha256 == '00'",
        "int('7') == 7 && double('7.5') == 7.5 && 1u == 1",
        // A part that decides alone, whatever is wrong with the other.
        "predicate.missing || true",
        "[1, 'x'].exists(n, n > 'a')",
        "predicate.packages.exists(p, p.version == '1.3')",
    ] {
        assert_eq!(holds(condition), Ok(()), "{condition}");
    }
}

#[test]
fn a_missing_field_is_named_and_never_true() {
    for (condition, field) in [
        ("predicate.buildDefinition.buildType == 'x'", "`predicate.buildDefinition` is missing"),
        ("predicate.builder.name == 'x'", "`predicate.builder.name` is missing"),
        ("predicate.builder.name != 'x'", "`predicate.builder.name` is missing"),
        ("!(predicate.builder.name == 'x')", "`predicate.builder.name` is missing"),
        ("true && predicate.builder.name == 'x'", "`predicate.builder.name` is missing"),
        ("predicate.draft || predicate.builder.name == 'x'", "`predicate.builder.name` is missing"),
        ("predicate.packages.all(p, p.version != '')", "`p.version` is missing"),
        ("predicate.packages[7].name == 'x'", "the entry `7` is missing"),
        ("predicate['x'] == 'x'", "the entry `x` is missing"),
        ("predicate.builder.id.length == 1", "`predicate.builder.id.length` is missing"),
        ("predicate.nothing.more == null", "`predicate.nothing.more` is missing"),
    ] {
        let why = why_not(condition);
        assert!(why.contains(field), "{condition}: {why}");
    }
}

#[test]
fn what_cannot_be_told_does_not_hold() {
    for condition in [
        "predicate",
        "predicate.builder.id",
        "1 + 1",
        "predicate.builder.id > 3",
        "predicate.builder.id + 1 == 2",
        "predicate.builder.id && true",
        "!predicate.builder.id",
        "predicate.builder.id.all(c, true)",
        "predicate.builder.retries.matches('^3$')",
        "predicate.builder.retries.startsWith('3')",
        "timestamp(predicate.builder.id) > now",
        "duration('168') < duration('1h')",
        "duration('') < duration('1h')",
        "9223372036854775807 + 1 > 0",
        "1 / 0 == 1",
        "1 % 0 == 1",
        "int('x') == 1",
        "1 in 2",
        "'a' in 'abc'",
        "predicate.tags['a'] == 'a'",
        "predicate.tags[-1] == 'a'",
        "predicate.tags.map(t, t)",
        "predicate.tags.filter(t, t)",
        "size(3) == 3",
        "now == 1",
        "-9223372036854775807 - 2 < 0",
    ] {
        assert!(matches!(holds(condition), Err(Unmet::False(_))), "{condition} holds");
    }
}

#[test]
fn says_which_part_is_false_and_what_is_there() {
    assert_eq!(
        why_not("predicate.builder.retries == 3 && predicate.builder.id == 'https://acme.test'"),
        "`where` is not met: `predicate.builder.id == 'https://acme.test'` is false, there is `https://builder.test/v1`"
    );
    assert_eq!(
        why_not("(predicate.draft && true) && (1 == 1)"),
        "`where` is not met: `(predicate.draft && true) && (1 == 1)` is false"
    );
    assert_eq!(why_not("\n predicate.draft"), "`where` is not met: `predicate.draft` is false");
}

#[test]
fn g44_what_depends_on_the_time_says_until_when_it_holds() {
    let finished = UNIX_EPOCH + Duration::from_secs(1_780_142_400);
    let day = Duration::from_secs(86_400);
    for (condition, end) in [
        ("timestamp(predicate.finished) > now - duration('168h')", Some(finished + 7 * day)),
        ("now - timestamp(predicate.finished) < duration('48h')", Some(finished + 2 * day)),
        ("timestamp(predicate.finished) - now > duration('-72h')", Some(finished + 3 * day)),
        (
            "now < timestamp('2027-01-01T00:00:00Z') && now < timestamp('2026-07-01T00:00:00Z')",
            Some(now() + 30 * day),
        ),
        ("now > timestamp(predicate.finished)", None),
        ("timestamp(predicate.finished) < timestamp('2027-01-01T00:00:00Z')", None),
        ("now <= timestamp('2026-06-01T00:00:00Z')", Some(now())),
    ] {
        assert_eq!(until(condition), Ok(end), "{condition}");
    }
}

#[test]
fn mistakes_have_a_place() {
    for (condition, line, column, what) in [
        ("predicat.x == 1", 1, 1, "there is no `predicat`"),
        ("predicate.x ==\n  other.y", 2, 3, "there is no `other`"),
        ("predicate.a.lowerAscii() == 'x'", 1, 23, "no function `lowerAscii`"),
        ("now() == 1", 1, 4, "no function `now`"),
        ("predicate.x.matches('a')", 1, 21, "over the whole text"),
        ("predicate.x.matches(predicate.y)", 1, 30, "written out"),
        ("{'a': 1} == predicate", 1, 1, "not understood"),
        ("b'x' == predicate.x", 1, 1, "bytes"),
        ("has(predicate)", 1, 5, "asks for a field"),
        ("predicate.x.all(p.q, true)", 1, 18, "a name"),
        ("predicate.x.all(p, true) && p == 1", 1, 29, "there is no `p`"),
        ("predicate.x ==", 1, 15, ""),
        ("'x'", 1, 1, "neither true nor false"),
        ("18446744073709551615u == 1", 1, 1, "too large"),
        ("predicate.?x == 1", 1, 10, ""),
    ] {
        let mistake = Condition::compile(condition).expect_err(condition);
        assert_eq!((mistake.line, mistake.column), (line, column), "{condition}: {mistake}");
        assert!(mistake.what.contains(what), "{condition}: {mistake}");
    }
}

#[test]
fn g36_refuses_conditions_that_are_long_or_deep() {
    for condition in [
        format!("predicate.x == '{}'", "x".repeat(5000)),
        format!("{}true{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}true", "[".repeat(4000)),
        format!("predicate{} == 1", ".x".repeat(2000)),
        format!("true{}", " ? true : true".repeat(290)),
        format!("1{} == 1", "+1".repeat(2000)),
        format!("{}predicate.x{}", "!(".repeat(40), ")".repeat(40)),
        format!("predicate{} == 1", ".x".repeat(60)),
        format!("{}true{}", "predicate.a.all(x, ".repeat(40), ")".repeat(40)),
    ] {
        assert!(Condition::compile(&condition).is_err(), "{condition:.60} was taken");
    }
}

#[test]
fn g18_no_condition_ends_the_process() {
    for (open, close) in [("(", ")"), ("!", ""), ("-", ""), ("[", "]"), ("{'a':", "}"), ("f(", ")")]
    {
        let condition = format!("{}true{}", open.repeat(800), close.repeat(800));
        let _ = Condition::compile(&condition);
    }
}

#[test]
fn g36_g40_a_costly_condition_ends_undecided() {
    let entries = format!("[{}0]", "\"x\",".repeat(20_000));
    let long = format!("\"{}\"", "ab".repeat(500_000));
    let predicate = json(&format!(r#"{{"list":{entries},"long":{long}}}"#));
    let empty = json("{}");
    let scope = Scope { predicate: &predicate, subject: &empty, image: &empty, now: now() };
    for condition in [
        "predicate.list.all(a, predicate.list.all(b, a != 'y' || b != 'y'))",
        "predicate.list.exists(a, predicate.list.exists(b, a == 'y'))",
        "predicate.list.all(a, predicate == predicate)",
        "predicate.list.all(a, !('y' in predicate.list))",
        "predicate.list.all(a, predicate.long.contains('ab'))",
        "predicate.list.all(a, predicate.long.matches('^(?:ab)+$'))",
        "predicate.list.map(a, predicate.list.map(b, a)).size() > 0",
        "predicate.list.all(a, predicate.long <= predicate.long)",
        "predicate.list.all(a, size(predicate.long) > 1) || true",
    ] {
        let compiled = Condition::compile(condition).unwrap();
        assert_eq!(compiled.holds(scope), Err(Unmet::TooCostly), "{condition}");
    }
    let cheap = Condition::compile("predicate.list.all(a, a != 'y')").unwrap();
    assert_eq!(cheap.holds(scope), Ok(None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compiling_and_evaluating_never_panic(
        text in "\\PC{0,40}|(predicate|now|image|[a-z]{1,3}|[0-9]{1,3}|'x'|[.()!&|=<>+*/%?:,\\[\\]-]){0,14}",
        document in "\\PC{0,20}|[{}\\[\\]\",:0-9a-z]{0,30}",
    ) {
        if let Ok(condition) = Condition::compile(&text) {
            let document = Json::parse(document.as_bytes()).unwrap_or(Json::Null);
            let scope =
                Scope { predicate: &document, subject: &document, image: &document, now: now() };
            let _ = condition.holds(scope);
        }
    }
}
