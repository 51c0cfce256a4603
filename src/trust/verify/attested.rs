//! What cosign attests with a whole Sigstore: recordings in `tests/vectors/attestations`, made by
//! `record-sigstore.sh` there.

use std::path::{Path, PathBuf};

use super::recorded::{read, read_json, registry_of};
use crate::{
    oci::Digest,
    trust::{
        Reason,
        fixtures::{judge, load},
    },
};

/// Each recording, of what type it is, and what it says.
const CASES: [(&str, &str, &str); 8] = [
    ("att-keyless-slsa1", "slsaprovenance1", SLSA),
    ("att-keyless-slsa1-rekor1", "https://slsa.dev/provenance/v1", SLSA),
    ("att-keyless-vuln", "vuln", VULN),
    ("att-key-vuln-notlog", "vuln", VULN),
    ("att-key-custom-notlog", "custom", "predicate.Data.contains('reviewed')"),
    ("att2-keyless-custom-rekor1-tsa", "custom", "predicate.Data.contains('reviewed')"),
    ("att2-key-vuln-notlog", "vuln", VULN),
    ("att2-keyless-slsa1-rekor1", "slsaprovenance1", SLSA),
];
const SLSA: &str = "predicate.buildDefinition.externalParameters.workflow.ref.startsWith('refs/tags/v') && predicate.runDetails.builder.id.matches('^https://github[.]com/acme/.+$')";
const VULN: &str = "predicate.scanner.result.vulnerabilities.all(v, v.severity == 'LOW') && timestamp(predicate.metadata.scanFinishedOn) < now";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/attestations")
}

/// How the recording of `kind` ends where the authority `who` has to say this.
fn end(kind: &str, who: &str, required: &str) -> (Reason, String) {
    let folder = root().join(kind);
    let case = read_json(&folder.join("case.json"));
    let named = case["name"].as_str().unwrap();
    let digest: Digest = case["digest"].as_str().unwrap().parse().unwrap();
    assert!(digest.matches(&read(&folder.join("manifest.json"))));
    let text = format!(
        "version = 1\n[authority.a]\n{who}\n[[rule]]\nmatch = \"{named}\"\nrequire = {required}\n"
    );
    let (policy, _) = load(&text, &[]).unwrap_or_else(|problems| panic!("{text}{problems:?}"));
    let verdict = judge(&policy, &registry_of(&folder, named, &digest), named, &digest);
    (verdict.reason, verdict.message)
}

fn says(kind: &str, condition: &str) -> String {
    format!("{{ attestation = {{ type = \"{kind}\", by = \"a\", where = \"{condition}\" }} }}")
}

/// Who made the recording of `kind`, and somebody else.
fn authorities(kind: &str) -> [String; 2] {
    let root = root();
    let file = |name: &str| root.join(name).display().to_string();
    if kind.contains("-key-") {
        return ["cosign.pub", "other.pub"].map(|key| format!("key = \"{}\"", file(key)));
    }
    ["acme", "evil"].map(|owner| {
        format!(
            "issuer = \"https://token.actions.githubusercontent.com\"\nsubject = \"https://github.com/{owner}/*/.github/workflows/release.yml@refs/tags/v*\"\ntrust_root = \"{}\"",
            file("trusted_root.json")
        )
    })
}

#[test]
fn admits_what_cosign_attests_and_refuses_what_it_does_not() {
    for (recording, kind, condition) in CASES {
        let [right, wrong] = authorities(recording);
        let (reason, message) = end(recording, &right, &says(kind, condition));
        assert_eq!(reason, Reason::Admitted, "{recording}: {message}");
        for (who, required, wanted) in [
            (&wrong, says(kind, condition), Reason::SignerNotTrusted),
            (&right, says(kind, "predicate.nobody == 1"), Reason::ConditionFalse),
            (&right, says(kind, &format!("!({condition})")), Reason::ConditionFalse),
            (&right, says("cyclonedx", "true"), Reason::NoSignature),
            (&right, "\"a\"".to_owned(), Reason::NoSignature),
        ] {
            let (reason, message) = end(recording, who, &required);
            assert_eq!(reason, wanted, "{recording} {required}: {message}");
        }
    }
    println!("recorded attestations: {0} of {0}", CASES.len());
}

#[test]
fn a_predicate_that_is_a_text_has_no_fields() {
    let [right, _] = authorities("att2-key-spdx-notlog");
    let (reason, message) =
        end("att2-key-spdx-notlog", &right, &says("spdx", "has(predicate.packages)"));
    assert_eq!(reason, Reason::ConditionFalse, "{message}");
    let (reason, message) =
        end("att2-key-spdx-notlog", &right, &says("spdx", "predicate.contains('SPDX-2.3')"));
    assert_eq!(reason, Reason::Admitted, "{message}");
}
