//! `cargo bench --bench pure`: what a request costs in the parts that wait for nothing.
//!
//! The evidence is what cosign wrote (`tests/vectors`), judged under a policy of one rule and under
//! one of a thousand: what is paid for a verdict must not grow with the policy.
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

/// One recorded signature, as a registry would hand it out.
struct Recorded {
    signatures: Bytes,
    payload: Bytes,
}

impl EvidenceSource for Recorded {
    async fn manifest(
        &self,
        _image: &ImageName,
        reference: &Reference,
    ) -> Result<Option<Bytes>, LookFailure> {
        let is_signature =
            matches!(reference, Reference::Tag(tag) if tag.as_str().ends_with(".sig"));
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
        Ok(Vec::new())
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
    /// The image is covered by one rule; `others` cover other repositories.
    fn new(others: usize) -> Self {
        let (vector, table) = (vector(), table());
        let folder = tempfile::tempdir().unwrap();
        fs::copy(vector.join("key.pub"), folder.path().join("key.pub")).unwrap();
        let mut text = String::from(
            "version = 1\n[authority.release]\nkey = 'key.pub'\n\
             [[rule]]\nmatch = 'registry.test/acme/**'\nrequire = 'release'\n",
        );
        for number in 0..others {
            write!(
                text,
                "[[rule]]\nmatch = 'registry.test/team-{number}/**'\nrequire = 'release'\n"
            )
            .unwrap();
        }
        let path = folder.path().join("policy.toml");
        fs::write(&path, text).unwrap();
        let now = SystemClock.now();
        let (policy, _) = Policy::load(&path, &table, now).unwrap();

        let image = table.parse_image("registry.test/acme/app").unwrap();
        let digest = Digest::of(&fs::read(vector.join("manifest.json")).unwrap());
        let recorded = Recorded {
            signatures: fs::read(vector.join("signatures.json")).unwrap().into(),
            payload: fs::read(vector.join("payload-0.json")).unwrap().into(),
        };
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
}

/// What cosign 2 wrote with a P-256 key.
fn vector() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/cosign2-p256")
}

fn table() -> UpstreamTable {
    let name: UpstreamName = "registry.test".parse().unwrap();
    let names = UpstreamNames { name: name.clone(), aliases: Vec::new(), hosts: Vec::new() };
    UpstreamTable::new(vec![names], Some(name)).unwrap()
}

criterion_group!(benches, parsing, judging);
criterion_main!(benches);
