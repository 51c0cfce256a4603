use proptest::prelude::*;
use rcgen::{CertificateParams, IsCa};

use super::*;
use crate::trust::{
    der::{around, instead, wrapped},
    keys::Hash,
    root::{
        TrustedRoot,
        fixtures::{authority, empty, parsed, with},
    },
    x509::fixtures::{Issued, at, authority as authority_plan, key_usage, plan, purposes},
};

const SIGNED: &[u8] = b"a signature";

/// What a timestamp is made of; every test changes one thing.
#[derive(Clone)]
struct Recipe {
    status: u8,
    version: u8,
    imprint: Vec<u8>,
    hash: &'static [u8],
    time: String,
    accuracy: Vec<u8>,
    extensions: Vec<u8>,
    content_type: &'static [u8],
    digest: Vec<u8>,
    /// The hash in the signer's own attribute, and whether there is one.
    own: Option<Vec<u8>>,
    more_attributes: Vec<u8>,
    embedded: Vec<Vec<u8>>,
    signers: usize,
}

/// An authority, its signer, and what it signs.
struct Clock {
    top: Issued,
    signer: Issued,
}

impl Clock {
    fn new() -> Self {
        Self::with(plan(vec![key_usage(&[0x03, 2, 7, 0x80]), purposes(true, &[8])]))
    }

    fn with(signer: CertificateParams) -> Self {
        let top = Issued::authority("clock", None);
        let signer = Issued::new(Some(&top), signer).unwrap();
        Self { top, signer }
    }

    fn root(&self) -> TrustedRoot {
        let chain = [&self.signer.certificate, &self.top.certificate];
        parsed(&with(empty(), "timestampAuthorities", authority("https://tsa.test", &chain)))
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            status: 0,
            version: 1,
            imprint: Hash::Sha256.of(SIGNED),
            hash: SHA_256,
            time: "20260101000230Z".to_owned(),
            accuracy: Vec::new(),
            extensions: Vec::new(),
            content_type: TIMESTAMP_INFO,
            digest: Vec::new(),
            own: Some(Hash::Sha256.of(self.signer.certificate.der())),
            more_attributes: Vec::new(),
            embedded: vec![self.signer.certificate.der().to_vec()],
            signers: 1,
        }
    }

    /// The token and the response around it.
    fn token(&self, recipe: &Recipe) -> (Vec<u8>, Vec<u8>) {
        let info = info(recipe);
        let digest = Some(&recipe.digest).filter(|digest| !digest.is_empty()).cloned();
        let attributes = [
            attribute(CONTENT_TYPE, &oid(recipe.content_type)),
            attribute(MESSAGE_DIGEST, &octets(&digest.unwrap_or_else(|| Hash::Sha256.of(&info)))),
            recipe.own.as_ref().map_or_else(Vec::new, |hash| {
                let own = sequence(&[sequence(&[sequence(&[octets(hash)])])]);
                attribute(SIGNING_CERTIFICATE_2, &own)
            }),
            recipe.more_attributes.clone(),
        ]
        .concat();
        let signature = self.signer.sign(&wrapped(Tag::Set, &attributes).unwrap());
        let certificate = &self.signer.certificate;
        let signer = sequence(&[
            integer(1),
            sequence(&[
                certificate.issuer().to_vec(),
                wrapped(Tag::Integer, certificate.serial()).unwrap(),
            ]),
            sequence(&[oid(SHA_256)]),
            wrapped(around(0), &attributes).unwrap(),
            sequence(&[oid(ECDSA_SHA_256)]),
            octets(&signature),
        ]);
        let data = sequence(&[
            integer(3),
            wrapped(Tag::Set, &sequence(&[oid(SHA_256)])).unwrap(),
            sequence(&[oid(TIMESTAMP_INFO), wrapped(around(0), &octets(&info)).unwrap()]),
            wrapped(around(0), &recipe.embedded.concat()).unwrap(),
            wrapped(Tag::Set, &signer.repeat(recipe.signers)).unwrap(),
        ]);
        let token = sequence(&[oid(SIGNED_DATA), wrapped(around(0), &data).unwrap()]);
        let response = sequence(&[sequence(&[integer(recipe.status)]), token.clone()]);
        (token, response)
    }

    fn response(&self, change: impl FnOnce(&mut Recipe)) -> Result<Stamp, Malformed> {
        let mut recipe = self.recipe();
        change(&mut recipe);
        let response = self.token(&recipe).1;
        let stamp = verify_response(&response, SIGNED, self.root().timestamp_authorities())?;
        stamp.ok_or_else(|| Malformed("it is by somebody else".to_owned()))
    }

    fn bare(&self, change: impl FnOnce(&mut Recipe)) -> Result<Stamp, Malformed> {
        let mut recipe = self.recipe();
        change(&mut recipe);
        let anchors = std::slice::from_ref(&self.top.certificate);
        verify_token(&self.token(&recipe).0, SIGNED, anchors)
    }
}

fn info(recipe: &Recipe) -> Vec<u8> {
    sequence(&[
        integer(recipe.version),
        oid(&[0x2b, 1]),
        sequence(&[sequence(&[oid(recipe.hash)]), octets(&recipe.imprint)]),
        integer(9),
        wrapped(Tag::GeneralizedTime, recipe.time.as_bytes()).unwrap(),
        recipe.accuracy.clone(),
        recipe.extensions.clone(),
    ])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    wrapped(Tag::Sequence, &parts.concat()).unwrap()
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    wrapped(Tag::OctetString, bytes).unwrap()
}

fn integer(number: u8) -> Vec<u8> {
    vec![2, 1, number]
}

fn oid(content: &[u8]) -> Vec<u8> {
    wrapped(Tag::ObjectIdentifier, content).unwrap()
}

fn attribute(name: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[oid(name), wrapped(Tag::Set, value).unwrap()])
}

#[test]
fn a_timestamp_gives_a_time_and_who_vouches_for_it() {
    let clock = Clock::new();
    let stamp = clock.response(|_| {}).unwrap();
    assert_eq!((stamp.time, stamp.accuracy), (at(150), DEFAULT_ACCURACY));
    assert_eq!(&*stamp.authority, "https://tsa.test");
    assert_eq!(stamp.signer, clock.signer.certificate);
    assert_eq!(stamp.path.issuer(), &clock.top.certificate);
    assert!(clock.response(|recipe| recipe.status = 1).is_ok());
    assert!(clock.response(|recipe| recipe.embedded.clear()).is_ok());
    assert!(clock.response(|recipe| recipe.own = None).is_ok());

    let accuracy = sequence(&[
        integer(2),
        wrapped(instead(0), &[5]).unwrap(),
        wrapped(instead(1), &[1, 0]).unwrap(),
    ]);
    let stamp = clock.response(|recipe| recipe.accuracy = accuracy).unwrap();
    assert_eq!(stamp.accuracy, Duration::from_micros(2_005_256));
    let stamp = clock.response(|recipe| recipe.time = "20260101000230.5Z".to_owned()).unwrap();
    assert_eq!(stamp.time, at(150) + Duration::from_millis(500));

    let bare = clock.bare(|_| {}).unwrap();
    assert_eq!(bare.time, at(150));
    assert_eq!(bare.path.above().last(), Some(&clock.top.certificate));
}

#[test]
fn g30_refuses_what_is_not_signed_as_a_timestamp() {
    let clock = Clock::new();
    let critical = sequence(&[oid(&[0x2a, 3]), vec![1, 1, 0xff], octets(&[])]);
    let twice = attribute(CONTENT_TYPE, &oid(TIMESTAMP_INFO));
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Recipe));
    let changes: [Change<'_>; 16] = [
        ("not granted", &|recipe| recipe.status = 2),
        ("version 2", &|recipe| recipe.version = 2),
        ("another signature", &|recipe| recipe.imprint = Hash::Sha256.of(b"another")),
        ("a short imprint", &|recipe| recipe.imprint.truncate(31)),
        ("SHA-1", &|recipe| recipe.hash = SHA_1),
        ("another hash", &|recipe| recipe.hash = SHA_512),
        ("no time", &|recipe| recipe.time = "2026010100023Z".to_owned()),
        ("a local time", &|recipe| recipe.time = "20260101000230+0100".to_owned()),
        ("an accuracy of a second", &|recipe| {
            recipe.accuracy = sequence(&[wrapped(instead(0), &[3, 232]).unwrap()]);
        }),
        ("a critical extension", &|recipe| {
            recipe.extensions = wrapped(around(1), &critical).unwrap();
        }),
        ("other content", &|recipe| recipe.digest = vec![0; 32]),
        ("another type", &|recipe| recipe.content_type = SIGNED_DATA),
        ("an attribute twice", &|recipe| recipe.more_attributes.clone_from(&twice)),
        ("another certificate of theirs", &|recipe| recipe.own = Some(vec![0; 32])),
        ("two signers", &|recipe| recipe.signers = 2),
        ("no signer", &|recipe| recipe.signers = 0),
    ];
    for (what, change) in changes {
        assert!(clock.response(change).is_err(), "{what}");
        if what != "not granted" {
            assert!(clock.bare(change).is_err(), "{what}");
        }
    }
    assert!(clock.bare(|recipe| recipe.own = None).is_err(), "Notation wants to know whose it is");
    assert!(clock.bare(|recipe| recipe.embedded.clear()).is_err());
}

#[test]
fn g30_every_byte_that_is_signed_matters() {
    let clock = Clock::new();
    let (_, response) = clock.token(&clock.recipe());
    let root = clock.root();
    let authorities = root.timestamp_authorities();
    let good = verify_response(&response, SIGNED, authorities).unwrap();
    assert!(good.is_some());
    for position in 0..response.len() {
        let mut changed = response.clone();
        changed[position] ^= 1;
        // What is not signed may change, as long as nothing that follows from it does.
        if let Ok(Some(stamp)) = verify_response(&changed, SIGNED, authorities) {
            assert_eq!(Some(stamp), good, "byte {position}");
        }
    }
}

#[test]
fn g30_only_the_authority_that_is_named_signs() {
    let (clock, other) = (Clock::new(), Clock::new());
    let (token, response) = clock.token(&clock.recipe());
    let by_other = verify_response(&response, SIGNED, other.root().timestamp_authorities());
    assert_eq!(by_other, Ok(None), "its certificate comes along, and nobody trusts it");
    let anchors = std::slice::from_ref(&other.top.certificate);
    assert!(verify_token(&token, SIGNED, anchors).is_err());
    // A second certificate for the same name and number, which the real one would hide behind.
    let mut namesake = plan(vec![key_usage(&[0x03, 2, 7, 0x80]), purposes(true, &[8])]);
    namesake.serial_number = Some(clock.signer.certificate.serial().to_vec().into());
    let namesake = Issued::new(Some(&clock.top), namesake).unwrap().certificate.der().to_vec();
    assert!(clock.response(|recipe| recipe.embedded = vec![namesake.clone()]).is_err());
    assert!(clock.bare(|recipe| recipe.embedded = vec![namesake]).is_err());
}

#[test]
fn g30_a_signer_is_for_timestamps_alone() {
    let usage = || key_usage(&[0x03, 2, 7, 0x80]);
    let mut own = authority_plan("clock");
    own.custom_extensions = vec![purposes(true, &[8])];
    let mut certifies = plan(vec![purposes(true, &[8])]);
    certifies.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for bad in [
        plan(vec![usage(), purposes(false, &[8])]),
        plan(vec![usage(), purposes(true, &[8, 3])]),
        plan(vec![usage(), purposes(true, &[3])]),
        plan(vec![usage()]),
        plan(vec![key_usage(&[0x03, 2, 2, 0x04]), purposes(true, &[8])]),
        own,
        certifies,
    ] {
        let clock = Clock::with(bad);
        assert!(clock.response(|_| {}).is_err());
        assert!(clock.bare(|_| {}).is_err());
    }
}

#[test]
fn g28_g30_an_authority_and_its_certificates_are_valid_at_the_time() {
    let clock = Clock::new();
    let at = |seconds: &str| {
        let time = format!("202601010{seconds}Z");
        (
            clock.response(|recipe| recipe.time.clone_from(&time)).is_ok(),
            clock.bare(|recipe| recipe.time = time).is_ok(),
        )
    };
    // The signer from 100 to 200 seconds, both included.
    assert_eq!(at("00140"), (true, true));
    assert_eq!(at("00139"), (false, false));
    assert_eq!(at("00320"), (true, true));
    assert_eq!(at("00321"), (false, false));
}

proptest! {
    #[test]
    fn g18_reading_never_panics(at in 0_usize..2000, with: u8, bytes: Vec<u8>) {
        let mut real = REAL.clone();
        let at = at % real.len();
        real[at] = with;
        let _ = verify_response(&real, SIGNED, &[]);
        let _ = verify_response(&bytes, SIGNED, &[]);
        let _ = verify_token(&bytes, SIGNED, &[]);
    }
}

/// A good response.
static REAL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    let clock = Clock::new();
    clock.token(&clock.recipe()).1
});

const SHA_1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA_512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
const ECDSA_SHA_256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const TIMESTAMP_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const SIGNING_CERTIFICATE_2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
