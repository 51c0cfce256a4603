//! Certificates made for tests: an authority, what it issues, and every extension to be had.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SigningKey as _,
};
use spki::der::Tag;

use super::Certificate;
use crate::trust::der::{instead, wrapped};

/// A certificate and its key.
pub(in crate::trust) struct Issued {
    pub(in crate::trust) certificate: Certificate,
    plan: CertificateParams,
    key: KeyPair,
}

impl Issued {
    /// An authority called `name`, which `above` has certified, or it itself.
    pub(in crate::trust) fn authority(name: &str, above: Option<&Self>) -> Self {
        Self::new(above, authority(name)).unwrap()
    }

    /// What follows from `plan`, certified by `above` or itself.
    pub(in crate::trust) fn new(above: Option<&Self>, plan: CertificateParams) -> Option<Self> {
        let key = KeyPair::generate().unwrap();
        let der = match above {
            Some(above) => plan.signed_by(&key, &above.issuer()),
            None => plan.self_signed(&key),
        };
        let certificate = Certificate::from_der(der.unwrap().der()).ok()?;
        Some(Self { certificate, plan, key })
    }

    /// The same with one more extension, by the same key.
    pub(in crate::trust) fn again(self, above: &Self, more: CustomExtension) -> Self {
        let mut plan = self.plan;
        plan.custom_extensions.push(more);
        let der = plan.signed_by(&self.key, &above.issuer()).unwrap();
        let certificate = Certificate::from_der(der.der()).unwrap();
        Self { certificate, plan, key: self.key }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.plan, &self.key)
    }

    /// Its signature over `message`: ECDSA P-256.
    pub(in crate::trust) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message).unwrap()
    }
}

/// A moment `seconds` after the beginning.
pub(in crate::trust) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(START + seconds)
}

/// A plan without a name, for the seconds from 100 to 200.
pub(in crate::trust) fn plan(extensions: Vec<CustomExtension>) -> CertificateParams {
    let mut plan = CertificateParams::default();
    plan.distinguished_name = DistinguishedName::new();
    plan.custom_extensions = extensions;
    valid(&mut plan, 100, 200);
    plan
}

/// A plan of an authority, for the seconds from 0 to 1000.
pub(in crate::trust) fn authority(name: &str) -> CertificateParams {
    let mut plan = plan(Vec::new());
    plan.distinguished_name.push(DnType::CommonName, name);
    plan.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    plan.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    valid(&mut plan, 0, 1000);
    plan
}

/// Makes a plan one for some seconds, both of them included.
pub(in crate::trust) fn valid(plan: &mut CertificateParams, from: u64, until: u64) {
    let day = rcgen::date_time_ymd(2026, 1, 1);
    plan.not_before = day + Duration::from_secs(from);
    plan.not_after = day + Duration::from_secs(until);
}

/// The extensions of a Fulcio certificate for a subject of the kind `number`.
pub(in crate::trust) fn fulcio(number: u32, subject: &str) -> Vec<CustomExtension> {
    let name = wrapped(instead(number), subject.as_bytes()).unwrap();
    vec![
        key_usage(&[0x03, 2, 7, 0x80]),
        purposes(false, &[3]),
        names(&name),
        raw(1, ISSUER.as_bytes()),
        raw(8, &text(ISSUER)),
    ]
}

pub(in crate::trust) fn key_usage(bits: &[u8]) -> CustomExtension {
    extension(&[2, 5, 29, 15], true, bits)
}

/// Extended key usage: purposes below `id-kp`.
pub(in crate::trust) fn purposes(is_critical: bool, purposes: &[u8]) -> CustomExtension {
    let purposes = purposes.iter().flat_map(|purpose| [6, 8, 0x2b, 6, 1, 5, 5, 7, 3, *purpose]);
    let purposes = wrapped(Tag::Sequence, &purposes.collect::<Vec<_>>()).unwrap();
    extension(&[2, 5, 29, 37], is_critical, &purposes)
}

/// Subject alternative names, encoded already.
pub(in crate::trust) fn names(names: &[u8]) -> CustomExtension {
    extension(&[2, 5, 29, 17], true, &wrapped(Tag::Sequence, names).unwrap())
}

/// An extension of Fulcio's.
pub(in crate::trust) fn raw(arc: u64, content: &[u8]) -> CustomExtension {
    extension(&[1, 3, 6, 1, 4, 1, 57264, 1, arc], false, content)
}

/// A text in DER.
pub(in crate::trust) fn text(text: &str) -> Vec<u8> {
    wrapped(Tag::Utf8String, text.as_bytes()).unwrap()
}

pub(in crate::trust) fn extension(
    oid: &[u64],
    is_critical: bool,
    content: &[u8],
) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(is_critical);
    extension
}

pub(in crate::trust) const ISSUER: &str = "https://issuer.test";
/// Seconds from 1970 to the first of January 2026.
const START: u64 = 1_767_225_600;
