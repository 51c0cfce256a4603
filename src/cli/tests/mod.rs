//! Commands from the command line to what they print.

mod audits;
mod files;
mod keys;
mod policies;
mod registry;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use clap::{CommandFactory as _, Parser as _};
use tempfile::TempDir;

use super::{
    verify::{Judge, Judged, Unjudged},
    *,
};
use crate::{
    audit::{Audit, ClientRecord, DecisionRecord, FOLDER},
    environment::{ManualClock, SystemEntropy},
    images::ImageArgument,
    oci::{Digest, ImageName, UpstreamNames, UpstreamTable},
    store::{Options, Store},
    trust::{Finding, Format, Mode, Node, Outcome, Policy, Reason, Verdict},
};

/// A stream that can be read afterwards.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A folder to run commands in.
struct Desk {
    folder: TempDir,
    answer: Buffer,
    notes: Buffer,
}

impl Desk {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().write_all(content.as_bytes()).unwrap();
        }
        Self { folder, answer: Buffer::default(), notes: Buffer::default() }
    }

    fn output(&self) -> Output {
        Output::to(Box::new(self.answer.clone()), Box::new(self.notes.clone()))
    }

    /// The file `name` on it.
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs `portcullis` with `arguments` and the folder's `portcullis.toml`.
    async fn run(&self, arguments: &[&str]) -> Result<Exit, CliError> {
        let config = self.folder.path().join("portcullis.toml");
        let line = ["portcullis"].iter().chain(arguments).map(ToString::to_string);
        let line = line.chain(["--config".to_owned(), config.display().to_string()]);
        let cli = Cli::try_parse_from(line).unwrap();
        cli.run(Variables::default(), &environment(), &mut self.output()).await
    }

    /// The answer, without what differs from run to run.
    fn told(&self) -> String {
        self.without_folder(&self.answer.text())
    }

    fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn environment() -> Environment {
    let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Environment { clock: Arc::new(ManualClock::new(now)), entropy: Arc::new(SystemEntropy) }
}

const KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBJdR3qkmwaoFii0IDLgwp4t3tqci
qa0Hw6A39m55Uyph/FdgzwybohCzQCjwTtxznYqTdtnkdaKyL/UP4EH7vw==
-----END PUBLIC KEY-----
";

const OTHER_KEYS: [&str; 2] = [
    "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6Ymo2F5WhYPs+/12He0zwIZNqYLH
SKzd0j57uzMRI/OVhL4WwLnetnNdl/xGMODITgu+ri0jpXzACPmvJELinw==
-----END PUBLIC KEY-----
",
    "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExZslhi3XTruDWDBrJg1MOl7a4AlZ
7JWKLbvdS45JoAsEgJ/fUTzjanYeSakl7WhDrQMrLf8nmXqsaw33gQRogQ==
-----END PUBLIC KEY-----
",
];

const POLICY: &str = "version = 1
[authority.release]
keys = [{ file = 'release.pub', until = '2027-01-01T00:00:00Z' }]
[[rule]]
match = ['registry.test/**']
require = 'release'
[[rule]]
match = ['registry.test/tools/*']
require = 'insecure-accept-anything'
mode = 'warn'
[[deny]]
digest = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
reason = 'CVE-2026-0001'
";

const CONFIG: &str = "data = 'data'
policy = 'policy.toml'
[[upstream]]
name = 'registry.test'
";

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    let version = Cli::command().get_version().unwrap().to_owned();
    assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
}

#[tokio::test]
async fn check_prints_what_it_understood() {
    let files = [("portcullis.toml", CONFIG), ("policy.toml", POLICY), ("release.pub", KEY)];
    let desk = Desk::with(&files);
    assert_eq!(desk.run(&["check"]).await.unwrap(), Exit::Success);
    let told = desk.told();
    let hashes = |line: &&str| !line.starts_with("  hash ") && !line.starts_with("  trust ");
    let told = told.lines().filter(hashes).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(told, @"
    data       data
    clients    http://127.0.0.1:5000
    admin      http://127.0.0.1:5001
    cache      no limit; tags are fresh for 60 s, denials for 30 s

    upstreams
      registry.test  https://registry.test, the default

    policy
      policy.toml

    rules, the most specific first
      registry.test/tools/*
        requires nothing (`insecure-accept-anything`) (warn)
      registry.test/**
        requires a signature by `release` (enforce)
      everything else
        is denied

    authorities
      release may vouch for everything
        ECDSA P-256 sha256:79665385a4f21fdfcb848adb6a84ebc33a24dd73895c24204c7b18a69a9f2c34
          release.pub, counts until 2027-01-01T00:00:00.000Z

    denied whatever the rules say
      sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad (CVE-2026-0001)

    warnings: 2
      policy.toml:7: `rule[1]`: `insecure-accept-anything` admits images without any signature
      policy.toml:7: `rule[1]`: mode `warn` serves what the rule refuses
    ");
}

#[tokio::test]
async fn check_tells_the_problems_of_both_files() {
    let desk = Desk::with(&[
        ("portcullis.toml", "policy = 'policy.toml'\n[listen]\naddress = 'here'\n"),
        (
            "policy.toml",
            "version = 1\n[[rule]]\nmatch = ['registry.test/**']\nrequire = 'nobody'\n",
        ),
    ]);
    let error = desk.run(&["check", "--json"]).await.unwrap_err();
    let CliError::Config(problems) = &error else { panic!("{error}") };
    assert_eq!(problems.len(), 2, "{error}");
    let answer: serde_json::Value = serde_json::from_str(&desk.answer.text()).unwrap();
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["problems"][0]["key"], "listen.address");
    assert_eq!(answer["problems"][1]["key"], "rule[0].require");
}

#[tokio::test]
async fn check_warns_when_there_is_no_policy() {
    let desk = Desk::with(&[("portcullis.toml", "")]);
    desk.run(&["check"]).await.unwrap();
    assert!(desk.told().contains("the built-in catalogue is in force"), "{}", desk.told());
}

/// A file beside a recorded Notation signature.
fn notation_file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/notation/revocable");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test]
async fn check_tells_whom_a_notation_store_trusts_and_until_when() {
    let policy = "version = 1\n[authority.corp.notation]\ntrust_store = 'ca.pem'\ncrl = 'ca.crl'\n\
        identities = 'x509.subject: C=US, ST=WA, O=Acme'\n\
        [[rule]]\nmatch = 'registry.test/**'\nrequire = 'corp'\n";
    let (store, list) = (notation_file("ca.pem"), notation_file("ca.crl"));
    let files = [("portcullis.toml", CONFIG), ("policy.toml", policy), ("ca.pem", &store)];
    let desk = Desk::with(&[&files[..], &[("ca.crl", &list)]].concat());
    assert_eq!(desk.run(&["check"]).await.unwrap(), Exit::Success);
    let told = desk.told();
    for words in [
        "Notation signatures by C=US,O=Acme,ST=WA",
        "certificate `C=US,CN=revocable root,O=Acme,ST=WA` (sha256:",
        "revocation list of `C=US,CN=revocable root,O=Acme,ST=WA`, ends 20",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn the_example_policy_loads_as_it_is_and_with_everything_switched_on() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policy.toml");
    let (table, now) = (table(&["docker.io", "ghcr.io"]), environment().clock.now());
    let (policy, _) = Policy::load(&example, &table, now).unwrap();
    assert_eq!(policy.coverage().count(), 0);

    // A setting behind a `#` without a space is one to switch on.
    let switched_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text = fs::read_to_string(&example).unwrap();
    let on: String = text.lines().map(switched_on).collect();
    let desk = Desk::with(&[
        ("policy.toml", &on),
        ("keys/release.pub", KEY),
        ("keys/qa-2026.pub", OTHER_KEYS[0]),
        ("keys/qa-2025.pub", OTHER_KEYS[1]),
        ("certs/corporate-ca.pem", include_str!("../../../tests/vectors/sigstore/ca.pem")),
        ("notation/corp-ca.pem", &notation_file("ca.pem")),
        ("notation/signing-service.pem", &notation_file("ca.pem")),
        ("notation/tsa-root.pem", &notation_file("tsa.pem")),
        ("notation/corp.crl", &notation_file("ca.crl")),
    ]);
    let loaded = Policy::load(&desk.folder.path().join("policy.toml"), &table, now);
    let (policy, warnings) = loaded.unwrap();
    assert_eq!(policy.coverage().count(), 4);
    assert_eq!((policy.denials().len(), policy.exceptions().len()), (1, 1));
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Writes `record` into the log of the desk's default data folder.
async fn record(desk: &Desk, record: DecisionRecord) {
    let log = desk.folder.path().join("data").join(FOLDER);
    let audit = Audit::open(&log, &environment(), Arc::default()).unwrap();
    audit.decision(record).await.unwrap();
    audit.close().await;
}

fn denied() -> DecisionRecord {
    DecisionRecord {
        time: environment().clock.now(),
        decision: "01KDVDNA00Z92FGRQ78VA9SSW9".to_owned(),
        outcome: "denied".to_owned(),
        reason: "no_signature".to_owned(),
        upstream: "registry.test".to_owned(),
        repository: "acme/app".to_owned(),
        reference: "1.0".to_owned(),
        digest: Some(Digest::of(b"app")),
        rule: Some("registry.test/**".to_owned()),
        mode: "enforce".to_owned(),
        enforced: true,
        policy: "aa".to_owned(),
        trust: "bb".to_owned(),
        evidence: vec![serde_json::to_value(finding()).unwrap()],
        client: ClientRecord {
            address: [10, 0, 0, 7].into(),
            user: None,
            label: Some("podman/5".to_owned()),
            job: None,
        },
        request: "7f".to_owned(),
        message: "`registry.test/acme/app:1.0` has no signature.".to_owned(),
        next_step: "sign it with `portcullis sign`".to_owned(),
        tree: Some(serde_json::to_value(tree()).unwrap()),
    }
}

fn finding() -> Finding {
    Finding {
        place: "registry.test/acme/app:sha256-00.sig".to_owned(),
        format: Format::Cosign,
        found: false,
        manifest: None,
        digest: None,
        verified: false,
        why_not: None,
        detail: "404".to_owned(),
        signer: None,
    }
}

fn tree() -> Node {
    let leaf = |requirement: &str, by: Option<&str>| Node {
        requirement: requirement.to_owned(),
        satisfied: by.is_some(),
        by: by.map(str::to_owned),
        detail: None,
        why_not: by.is_none().then_some(Reason::NoSignature),
        children: Vec::new(),
    };
    Node {
        requirement: "all of".to_owned(),
        satisfied: false,
        by: None,
        detail: None,
        why_not: None,
        children: vec![leaf("`release`", None), leaf("`qa`", Some("qa, key 00ff"))],
    }
}

#[tokio::test]
async fn why_tells_a_recorded_decision_however_it_is_named() {
    let desk = Desk::with(&[("portcullis.toml", CONFIG)]);
    record(&desk, denied()).await;
    let digest = format!("registry.test/acme/app@{}", Digest::of(b"app"));
    for wanted in [
        "01KDVDNA00Z92FGRQ78VA9SSW9",
        "01kdvdna00z92fgrq78va9ssw9",
        "acme/app:1.0",
        "registry.test/acme/app",
        "mirror.example:5000/acme/app:1.0",
        "127.0.0.1:5000/registry.test/acme/app:1.0",
        "docker://registry.test/acme/app:1.0",
        &digest,
    ] {
        assert_eq!(desk.run(&["why", wanted]).await.unwrap(), Exit::Success, "{wanted}");
    }
    let told = desk.told();
    let first = told.split_inclusive("portcullis sign`\n").next().unwrap();
    insta::assert_snapshot!(first, @"
    registry.test/acme/app:1.0: denied (no_signature)
      `registry.test/acme/app:1.0` has no signature.
      decision  01KDVDNA00Z92FGRQ78VA9SSW9 at 2026-01-01T00:00:00.000Z
      client    10.0.0.7 (podman/5), request 7f
      digest    sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333
      rule      registry.test/**, mode enforce
      policy    aa, trust bb
      required
        no  all of
          no  `release`: no_signature
          yes `qa`: qa, key 00ff
      looked at
        registry.test/acme/app:sha256-00.sig [cosign]: nothing there
          404
      next sign it with `portcullis sign`
    ");
}

#[tokio::test]
async fn why_follows_another_tag_of_the_same_image() {
    let desk = Desk::with(&[("portcullis.toml", CONFIG)]);
    record(&desk, denied()).await;
    let root = desk.folder.path().join("data");
    let options = Options {
        root,
        max_size: 0,
        scrub_every: Duration::from_secs(3600),
        fills_per_origin: std::num::NonZeroUsize::MIN,
    };
    let store = Store::open(options, &environment(), Arc::default()).unwrap();
    let image = ImageName {
        upstream: "registry.test".parse().unwrap(),
        repository: "acme/app".parse().unwrap(),
    };
    let tag = "stable".parse().unwrap();
    store.put_tag(&image, &tag, &Digest::of(b"app"), environment().clock.now()).await.unwrap();
    // The store is still open: a running mirror is not in the way.
    assert_eq!(desk.run(&["why", "acme/app:stable"]).await.unwrap(), Exit::Success);
    assert!(desk.told().contains("01KDVDNA00Z92FGRQ78VA9SSW9"));
    store.close().await;
}

#[tokio::test]
async fn why_lets_no_client_write_on_the_terminal() {
    let desk = Desk::with(&[("portcullis.toml", CONFIG)]);
    let mut disguised = denied();
    disguised.client.label = Some("\x1b[2Jadmitted\n\u{202e}".to_owned());
    record(&desk, disguised).await;
    desk.run(&["why", "acme/app"]).await.unwrap();
    assert!(desk.told().contains(r"10.0.0.7 (\u{1b}[2Jadmitted\n\u{202e})"), "{}", desk.told());
}

#[tokio::test]
async fn why_prints_the_record_as_json() {
    let desk = Desk::with(&[("portcullis.toml", CONFIG)]);
    record(&desk, denied()).await;
    desk.run(&["why", "--json", "acme/app:1.0"]).await.unwrap();
    let printed: DecisionRecord = serde_json::from_str(&desk.answer.text()).unwrap();
    assert_eq!(printed, denied());
}

#[tokio::test]
async fn why_says_what_it_looked_for_when_nothing_is_recorded() {
    let desk = Desk::with(&[("portcullis.toml", CONFIG)]);
    assert_eq!(desk.run(&["why", "acme/app:2.0"]).await.unwrap(), Exit::No);
    let notes = desk.without_folder(&desk.notes.text());
    assert!(notes.contains("in `data/audit-v1` about `registry.test/acme/app:2.0`"), "{notes}");
    assert!(matches!(desk.run(&["why", "app:a b"]).await, Err(CliError::Usage(_))));
}

/// The digest of `app` in bytes, which [`ByTag`] admits.
const ADMITTED: &str = "sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333";

/// Judges by the tag.
struct ByTag(UpstreamTable);

fn table(names: &[&str]) -> UpstreamTable {
    let entry = |name: &&str| UpstreamNames {
        name: name.parse().unwrap(),
        aliases: Vec::new(),
        hosts: Vec::new(),
    };
    let default = names[0].parse().unwrap();
    UpstreamTable::new(names.iter().map(entry).collect(), Some(default)).unwrap()
}

impl Judge for ByTag {
    fn canonical(&self, image: &ImageArgument) -> Result<Option<ImageName>, String> {
        image.image(&self.0).map(Some).map_err(|error| error.to_string())
    }

    async fn judge(&self, argument: &ImageArgument) -> Result<Judged, Unjudged> {
        let image = argument.image(&self.0).unwrap();
        let (outcome, reason) = match argument.reference_or_latest().to_string().as_str() {
            "good" | ADMITTED => (Outcome::Admitted, Reason::Admitted),
            "bad" => (Outcome::Denied, Reason::NoSignature),
            "unknown" => (Outcome::Undecided, Reason::UpstreamUnreachable),
            _ => return Err(Unjudged::Missing("the upstream does not have it".to_owned())),
        };
        let verdict = Verdict {
            outcome,
            reason,
            rule: Some("registry.test/**".to_owned()),
            mode: Mode::Enforce,
            enforced: true,
            policy: "aa".to_owned(),
            trust: "bb".to_owned(),
            message: format!("`{image}` is {outcome}."),
            next_step: String::new(),
            evidence: vec![finding()],
            tree: Some(tree()),
            valid_until: None,
            signed_by: Vec::new(),
            inherited_from: None,
        };
        Ok(Judged { image, digest: Some(Digest::of(b"app")), verdict })
    }

    async fn tags(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(["v1.good", "good", "v2.good"].map(str::to_owned).to_vec())
    }
}

/// Parses the options of `verify` as the command line does.
#[derive(clap::Parser)]
struct VerifyLine {
    #[command(flatten)]
    verify: verify::Verify,
}

async fn verify(desk: &Desk, arguments: &[&str]) -> Result<Exit, CliError> {
    let line = ["verify"].iter().chain(arguments);
    let VerifyLine { verify } = VerifyLine::try_parse_from(line).unwrap();
    verify.run(&ByTag(table(&["registry.test"])), &mut desk.output()).await
}

#[tokio::test]
async fn verify_exits_with_the_worst_verdict() {
    let desk = Desk::with(&[]);
    for (images, expected) in [
        (&["app:good"][..], Exit::Success),
        (&["app:good", "app:bad"], Exit::No),
        (&["app:bad", "app:unknown"], Exit::No),
        (&["app:unknown", "app:bad", "app:good"], Exit::No),
        (&["app:good", "app:unknown"], Exit::Undecided),
        (&["app:missing"], Exit::No),
    ] {
        assert_eq!(verify(&desk, images).await.unwrap(), expected, "{images:?}");
    }
    assert!(matches!(verify(&desk, &["app:good", "UPPER"]).await, Err(CliError::Usage(_))));
}

#[tokio::test]
async fn verify_prints_what_was_required_and_found() {
    let desk = Desk::with(&[]);
    verify(&desk, &["app:bad", "app:missing"]).await.unwrap();
    insta::assert_snapshot!(desk.told(), @"
    registry.test/app:bad: denied (no_signature)
      `registry.test/app` is denied.
      digest    sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333
      rule      registry.test/**, mode enforce
      required
        no  all of
          no  `release`: no_signature
          yes `qa`: qa, key 00ff
      looked at
        registry.test/acme/app:sha256-00.sig [cosign]: nothing there
          404

    registry.test/app:missing: cannot be judged: the upstream does not have it

    2 images: 0 admitted, 2 denied, 0 undecided
    ");
}

#[tokio::test]
async fn verify_prints_json_alone() {
    let desk = Desk::with(&[]);
    verify(&desk, &["--json", "app:good", "app:missing"]).await.unwrap();
    let printed: serde_json::Value = serde_json::from_str(&desk.answer.text()).unwrap();
    assert_eq!(printed["images"][0]["outcome"], "admitted");
    assert_eq!(printed["images"][0]["repository"], "app");
    assert_eq!(printed["images"][1]["error"], "the upstream does not have it");
}

#[tokio::test]
async fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let desk = Desk::with(&[]);
        let cli = Cli::try_parse_from(["portcullis", "completions", shell]).unwrap();
        cli.run(Variables::default(), &environment(), &mut desk.output()).await.unwrap();
        assert!(desk.told().contains("why"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert!(error.is_silent());
    assert!(!CliError::from(io::Error::other("full")).is_silent());
}
