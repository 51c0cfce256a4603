use proptest::prelude::*;
use rcgen::{BasicConstraints as PathLength, CertificateParams, CustomExtension, IsCa};
use spki::der::Tag;

use super::{
    fixtures::{
        ISSUER, Issued, at, authority, extension, fulcio, key_usage, names, plan, purposes, raw,
        text, valid,
    },
    fulcio::{Claim, Identity, Subject},
    path::{NoPath, Purpose, find},
    *,
};
use crate::trust::der::{around, instead, wrapped};

const URI: &str = "https://example.test/workflow@refs/tags/v1";

fn signer(extensions: Vec<CustomExtension>) -> Certificate {
    let above = Issued::authority("root", None);
    Issued::new(Some(&above), plan(extensions)).unwrap().certificate
}

fn identity(change: impl FnOnce(&mut Vec<CustomExtension>)) -> Result<Identity, Malformed> {
    let mut extensions = fulcio(6, URI);
    change(&mut extensions);
    let above = Issued::authority("root", None);
    let issued = Issued::new(Some(&above), plan(extensions))
        .ok_or_else(|| Malformed("no certificate".to_owned()))?;
    Identity::of(&issued.certificate)
}

#[test]
fn a_certificate_is_read_as_it_was_written() {
    let above = Issued::authority("root", None);
    let issued = Issued::new(Some(&above), plan(fulcio(6, URI))).unwrap().certificate;
    assert_eq!((issued.not_before(), issued.not_after()), (at(100), at(200)));
    assert_eq!(issued.issuer(), above.certificate.subject());
    assert!(above.certificate.is_self_issued() && !issued.is_self_issued());
    assert!(issued.is_signed_by(&above.certificate));
    assert!(!above.certificate.is_signed_by(&issued));
    let namesake = Issued::authority("root", None).certificate;
    assert!(!issued.is_signed_by(&namesake), "another key has the same name");
    let constraints = above.certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.is_authority && constraints.path_length.is_none());
}

#[test]
fn g19_reads_one_certificate_from_a_file() {
    let certificate = signer(fulcio(6, URI));
    let text = pem::encode("CERTIFICATE", certificate.der());
    assert_eq!(Certificate::from_pem(text.as_bytes()).unwrap(), certificate);
    for bad in [text.repeat(2), format!("{text}more"), text.replace("CERTIFICATE", "PUBLIC KEY")] {
        assert!(Certificate::from_pem(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn g22_refuses_certificates_with_two_meanings() {
    let good = signer(fulcio(6, URI)).der().to_vec();
    let trailing = [good.as_slice(), &[0]].concat();
    assert!(Certificate::from_der(&trailing).is_err());
    assert!(Certificate::from_der(&good[..good.len() - 1]).is_err());
    let above = Issued::authority("root", None);
    let twice = [fulcio(6, URI), fulcio(6, URI)].concat();
    assert!(Issued::new(Some(&above), plan(twice)).is_none(), "an extension is there twice");
    // The algorithm that is signed is another than the one outside: ECDSA with SHA-384.
    let other = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    let at = good.windows(8).position(|bytes| bytes == [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    let mut changed = good.clone();
    changed[at.unwrap()..][..8].copy_from_slice(&other);
    assert!(Certificate::from_der(&changed).is_err());
    // Version 2.
    let version = good.windows(5).position(|bytes| bytes == [0xa0, 3, 2, 1, 2]).unwrap();
    let mut changed = good;
    changed[version + 4] = 1;
    assert!(Certificate::from_der(&changed).is_err());
}

#[test]
fn g24_reads_every_claim_by_its_documented_name() {
    let claims = [(5, "acme/app"), (9, "https://signer.test"), (12, "https://source.test")];
    let identity = identity(|extensions| {
        for (arc, value) in claims {
            let content = if arc < 8 { value.as_bytes().to_vec() } else { text(value) };
            extensions.push(raw(arc, &content));
        }
    });
    let identity = identity.unwrap();
    assert_eq!(identity.issuer, ISSUER);
    assert_eq!(identity.subject, Subject::Uri(URI.to_owned()));
    let claim = |name| identity.claims.get(&Claim::from_word(name).unwrap()).map(String::as_str);
    assert_eq!(claim("github_workflow_repository"), Some("acme/app"));
    assert_eq!(claim("build_signer_uri"), Some("https://signer.test"));
    assert_eq!(claim("source_repository"), Some("https://source.test"));
    assert_eq!(claim("runner_environment"), None);
    assert_eq!(identity.claims.len(), 3);
}

#[test]
fn g21_the_kind_of_a_subject_is_part_of_it() {
    let subject = |number, name: &str| Identity::of(&signer(fulcio(number, name))).unwrap().subject;
    assert_eq!(subject(1, "dev@acme.test"), Subject::Email("dev@acme.test".to_owned()));
    assert_ne!(subject(1, URI), subject(6, URI));
    let user = [
        vec![6, 10, 0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 7],
        wrapped(around(0), &text("somebody")).unwrap(),
    ]
    .concat();
    let user = names(&wrapped(around(0), &user).unwrap());
    let named = identity(|extensions| extensions[2] = user.clone()).unwrap();
    assert_eq!(named.subject, Subject::UserName("somebody".to_owned()));
}

#[test]
fn g21_refuses_subjects_that_are_not_one_plain_name() {
    let name = |number, text: &str| wrapped(instead(number), text.as_bytes()).unwrap();
    for bad in [
        Vec::new(),
        [name(6, URI), name(6, URI)].concat(),
        [name(6, URI), name(1, "dev@acme.test")].concat(),
        name(2, "acme.test"),
        name(7, "\u{1}\u{1}\u{1}\u{1}"),
        name(6, ""),
        name(6, "https://example.test/\0.evil.test"),
        name(6, "https://example.test/ x"),
        name(6, "https://ex\u{430}mple.test"),
        name(1, "dev@acme.test\n"),
    ] {
        let identity = identity(|extensions| extensions[2] = names(&bad));
        assert!(identity.is_err(), "{bad:?}: {identity:?}");
    }
    assert!(identity(|extensions| drop(extensions.remove(2))).is_err(), "no subject");
    assert!(identity(|extensions| extensions[2].set_criticality(false)).is_err());
    let mut named = plan(fulcio(6, URI));
    named.distinguished_name.push(rcgen::DnType::CommonName, "somebody else");
    let named = Issued::new(Some(&Issued::authority("root", None)), named).unwrap();
    assert!(Identity::of(&named.certificate).is_err(), "two subjects");
}

#[test]
fn g22_an_issuer_is_written_once_or_twice_the_same() {
    assert_eq!(identity(|extensions| drop(extensions.remove(3))).unwrap().issuer, ISSUER);
    assert_eq!(identity(|extensions| drop(extensions.pop())).unwrap().issuer, ISSUER);
    for (position, bad) in [
        (3, raw(1, b"https://other.test")),
        (3, raw(1, b"https://issuer.test\0")),
        (4, raw(8, &text("https://other.test"))),
        (4, raw(8, ISSUER.as_bytes())),
        (4, raw(8, &[text(ISSUER), vec![0]].concat())),
        (4, raw(8, &wrapped(Tag::Ia5String, ISSUER.as_bytes()).unwrap())),
    ] {
        let identity = identity(|extensions| extensions[position] = bad);
        assert!(identity.is_err(), "{position}: {identity:?}");
    }
    assert!(identity(|extensions| extensions.truncate(3)).is_err(), "no issuer");
}

#[test]
fn refuses_certificates_for_other_uses_than_fulcios() {
    for (position, bad) in [
        (0, key_usage(&[0x03, 2, 6, 0xc0])),
        (0, key_usage(&[0x03, 2, 2, 0x84])),
        (0, extension(&[2, 5, 29, 15], false, &[0x03, 2, 7, 0x80])),
        (1, purposes(false, &[8])),
        (1, purposes(false, &[3, 1])),
        (1, purposes(false, &[3, 3])),
        (1, purposes(false, &[])),
    ] {
        let identity = identity(|extensions| extensions[position] = bad);
        assert!(identity.is_err(), "{position}: {identity:?}");
    }
    assert!(identity(|extensions| drop(extensions.remove(0))).is_err());
    assert!(identity(|extensions| drop(extensions.remove(1))).is_err());
    let mut own = plan(fulcio(6, URI));
    own.is_ca = IsCa::Ca(PathLength::Unconstrained);
    own.custom_extensions.remove(0);
    let own = Issued::new(Some(&Issued::authority("root", None)), own).unwrap().certificate;
    assert!(Identity::of(&own).is_err());
}

/// A root, an authority below it made by `middle`, and a signer below that.
struct Chain {
    root: Issued,
    middle: Issued,
    leaf: Issued,
}

impl Chain {
    fn new(root: CertificateParams, middle: CertificateParams) -> Self {
        let root = Issued::new(None, root).unwrap();
        let middle = Issued::new(Some(&root), middle).unwrap();
        let leaf = Issued::new(Some(&middle), plan(fulcio(6, URI))).unwrap();
        Self { root, middle, leaf }
    }

    fn path(&self, seconds: u64) -> Result<path::Path, NoPath> {
        let (middle, root) = (&self.middle.certificate, &self.root.certificate);
        let (middle, root) = (std::slice::from_ref(middle), std::slice::from_ref(root));
        find(&self.leaf.certificate, middle, root, at(seconds), Purpose::CodeSigning)
    }
}

#[test]
fn g28_every_certificate_of_a_path_is_valid_at_the_time() {
    let chain = Chain::new(authority("root"), authority("middle"));
    let path = chain.path(150).unwrap();
    assert_eq!(path.issuer(), &chain.middle.certificate);
    assert_eq!(path.above().last(), Some(&chain.root.certificate));
    assert!(chain.path(100).is_ok() && chain.path(200).is_ok(), "both ends are included");
    assert_eq!(chain.path(99), Err(NoPath::Untimely));
    assert_eq!(chain.path(201), Err(NoPath::Untimely));
    let (root, middle) = (&chain.root.certificate, &chain.middle.certificate);
    let late = at(200) + std::time::Duration::from_millis(1);
    let late = find(
        &chain.leaf.certificate,
        std::slice::from_ref(middle),
        std::slice::from_ref(root),
        late,
        Purpose::CodeSigning,
    );
    assert_eq!(late, Err(NoPath::Untimely), "a fraction of a second is after the end too");
    for (from, until) in [(0, 149), (151, 1000)] {
        let (mut root, mut middle) = (authority("root"), authority("middle"));
        valid(&mut root, from, until);
        assert_eq!(Chain::new(root, middle.clone()).path(150), Err(NoPath::Untimely), "root");
        valid(&mut middle, from, until);
        let chain = Chain::new(authority("root"), middle);
        assert_eq!(chain.path(150), Err(NoPath::Untimely), "intermediate");
    }
}

#[test]
fn a_path_leads_over_authorities_for_this_purpose_only() {
    let is_refused = |root: CertificateParams, middle: CertificateParams| {
        matches!(Chain::new(root, middle).path(150), Err(NoPath::Untrusted(_)))
    };
    let changed = |change: &dyn Fn(&mut CertificateParams)| {
        let mut plan = authority("middle");
        change(&mut plan);
        plan
    };
    let root = || authority("root");
    assert!(is_refused(root(), changed(&|plan| plan.is_ca = IsCa::ExplicitNoCa)));
    assert!(is_refused(root(), changed(&|plan| plan.is_ca = IsCa::NoCa)));
    assert!(is_refused(
        root(),
        changed(&|plan| {
            plan.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        })
    ));
    assert!(is_refused(
        root(),
        changed(&|plan| plan.custom_extensions = vec![purposes(false, &[8])])
    ));
    assert!(is_refused(
        root(),
        changed(&|plan| {
            plan.custom_extensions = vec![extension(&[1, 2, 3], true, &[5, 0])];
        })
    ));
    let wide = changed(&|plan| plan.custom_extensions = vec![purposes(false, &[3])]);
    assert!(Chain::new(root(), wide).path(150).is_ok());
    let other = Chain::new(root(), authority("middle"));
    let foreign = Chain { root: Issued::authority("root", None), ..other };
    assert!(matches!(foreign.path(150), Err(NoPath::Untrusted(_))), "a root of the same name");
}

proptest! {
    #[test]
    fn g18_reading_never_panics(at in 0_usize..1000, with: u8, bytes: Vec<u8>) {
        let mut der = REAL.clone();
        let at = at % der.len();
        der[at] = with;
        for der in [&der, &bytes] {
            let Ok(certificate) = Certificate::from_der(der) else { continue };
            prop_assert_eq!(certificate.der(), der.as_slice());
            let _ = Identity::of(&certificate);
            let _ = (certificate.basic_constraints(), certificate.alternative_names());
            let _ = certificate.subject_key_identifier();
        }
    }
}

static REAL: std::sync::LazyLock<Vec<u8>> =
    std::sync::LazyLock::new(|| signer(fulcio(6, URI)).der().to_vec());
