//! `cargo bench --bench pure`: what a request costs in the parts that wait for nothing.
//!
//! The evidence is what cosign wrote (`tests/vectors`), judged under a policy of one rule and under
//! one of a thousand: what is paid for a verdict must not grow with the policy. Bundles are judged with
//! everything that comes along: log entries, timestamps, certificates.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a benchmark writes its own scratch files")]

use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use hyper::{HeaderMap, Method, Uri};
use portcullis::{
    environment::{Clock, SystemClock},
    http::route::{Asked, Route},
    oci::{
        Descriptor, Digest, ImageName, Manifest, Reference, UpstreamName, UpstreamNames,
        UpstreamTable,
    },
    trust::{self, Evidence, EvidenceSource, LookFailure, Outcome, Policy},
};
use serde_json::Value;

/// One recorded signature, as a registry would hand it out.
struct Recorded {
    signatures: Bytes,
    payload: Bytes,
    /// What lists it, where it is a referrer.
    referrers: Vec<Descriptor>,
}

impl Recorded {
    fn read(folder: &Path) -> Self {
        let referrers = fs::read(folder.join("referrers.json")).map_or_else(
            |_| Vec::new(),
            |listed| {
                let mut listed: Value = serde_json::from_slice(&listed).unwrap();
                serde_json::from_value(listed["manifests"].take()).unwrap()
            },
        );
        let read = |name| fs::read(folder.join(name)).unwrap().into();
        Self { signatures: read("signatures.json"), payload: read("payload-0.json"), referrers }
    }
}

impl EvidenceSource for Recorded {
    async fn manifest(
        &self,
        _image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        let is_signature = match reference {
            Reference::Tag(tag) => self.referrers.is_empty() && tag.as_str().ends_with(".sig"),
            Reference::Digest(_) => true,
        };
        Ok(is_signature.then(|| self.signatures.clone()))
    }

    async fn blob(
        &self,
        _image: &ImageName,
        _digest: &Digest,
        _limit: usize,
    ) -> Result<Option<Bytes>, LookFailure> {
        Ok(Some(self.payload.clone()))
    }

    async fn referrers(
        &self,
        _image: &ImageName,
        _subject: &Digest,
        _artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, LookFailure> {
        Ok(self.referrers.clone())
    }
}

/// A signed image and a policy that wants its signature.
struct Case {
    policy: Policy,
    image: ImageName,
    digest: Digest,
    evidence: Evidence,
    now: SystemTime,
}

impl Case {
    /// What cosign 2 signed with a P-256 key. The image is covered by one rule; `others` cover other
    /// repositories.
    fn new(others: usize) -> Self {
        let key = vector().join("key.pub").display().to_string();
        Self::of(&vector(), &format!("key = '{key}'"), others)
    }

    /// What cosign 3 signed with a whole Sigstore: `kind`, under `authority`.
    fn sigstore(kind: &str, authority: &str) -> Self {
        let folder = vectors().join("sigstore");
        let root = folder.join("trusted_root.json").display().to_string();
        Self::of(&folder.join(kind), &format!("{authority}\ntrust_root = '{root}'"), 0)
    }

    fn of(folder: &Path, authority: &str, others: usize) -> Self {
        let table = table();
        let mut text = format!(
            "version = 1\n[authority.release]\n{authority}\n\
             [[rule]]\nmatch = 'registry.test/acme/**'\nrequire = 'release'\n",
        );
        for number in 0..others {
            write!(
                text,
                "[[rule]]\nmatch = 'registry.test/team-{number}/**'\nrequire = 'release'\n"
            )
            .unwrap();
        }
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("policy.toml");
        fs::write(&path, text).unwrap();
        let now = SystemClock.now();
        let (policy, _) = Policy::load(&path, &table, now).unwrap();

        let image = table.parse_image("registry.test/acme/app").unwrap();
        let digest = Digest::of(&fs::read(folder.join("manifest.json")).unwrap());
        let recorded = Recorded::read(folder);
        let evidence = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(trust::gather(&policy, &image, &digest, &recorded, &SystemClock));
        let case = Self { policy, image, digest, evidence, now };
        assert_eq!(case.decide(), Outcome::Admitted);
        case
    }

    fn decide(&self) -> Outcome {
        trust::decide(&self.policy, &self.image, &self.digest, &self.evidence, self.now).outcome
    }
}

fn parsing(criterion: &mut Criterion) {
    let table = table();
    let (headers, text) = (HeaderMap::new(), Digest::of(b"blob").to_string());
    let uri: Uri = format!("/v2/acme/app/blobs/{text}").parse().unwrap();
    criterion.bench_function("parse a route", |bencher| {
        bencher.iter(|| {
            let asked =
                Asked { method: &Method::GET, uri: black_box(&uri), headers: &headers, door: None };
            Route::parse(asked, &table)
        });
    });
    criterion.bench_function("parse a digest", |bencher| {
        bencher.iter(|| black_box(&text).parse::<Digest>());
    });
    let manifest = fs::read(vector().join("manifest.json")).unwrap();
    criterion.bench_function("parse a manifest", |bencher| {
        bencher.iter(|| Manifest::parse(black_box(&manifest), None));
    });
    criterion.bench_function("hash a manifest", |bencher| {
        bencher.iter(|| Digest::of(black_box(&manifest)));
    });
}

fn judging(criterion: &mut Criterion) {
    for (others, rules) in [(0, "1 rule"), (999, "1000 rules")] {
        let case = Case::new(others);
        criterion.bench_function(&format!("find the covering rule, {rules}"), |bencher| {
            bencher.iter(|| case.policy.covering(black_box(&case.image)).is_some());
        });
        criterion.bench_function(&format!("verify and decide, {rules}"), |bencher| {
            bencher.iter(|| case.decide());
        });
    }
    let key = vectors().join("sigstore/cosign.pub").display().to_string();
    let by_key = format!("key = '{key}'\nlog = 'required'");
    let keyless = "issuer = 'https://token.actions.githubusercontent.com'\n\
                   subject = 'https://github.com/acme/*/.github/workflows/release.yml@refs/tags/v*'";
    for (what, kind, authority) in [
        ("bundle by key, Rekor 1", "bundle-key-rekor1", &*by_key),
        ("bundle by key, Rekor 2", "bundle-key-rekor2-tsa", &by_key),
        ("keyless bundle, Rekor 1", "bundle-keyless-rekor1", keyless),
        ("keyless bundle, Rekor 2", "bundle-keyless-rekor2-tsa", keyless),
    ] {
        let case = Case::sigstore(kind, authority);
        criterion.bench_function(&format!("verify and decide, {what}"), |bencher| {
            bencher.iter(|| case.decide());
        });
    }
}

/// What cosign 2 wrote with a P-256 key.
fn vector() -> PathBuf {
    vectors().join("cosign2-p256")
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn table() -> UpstreamTable {
    let name: UpstreamName = "registry.test".parse().unwrap();
    let names = UpstreamNames { name: name.clone(), aliases: Vec::new(), hosts: Vec::new() };
    UpstreamTable::new(vec![names], Some(name)).unwrap()
}

criterion_group!(benches, parsing, judging);
criterion_main!(benches);
