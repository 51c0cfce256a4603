//! Signers, chains and envelopes made to order.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use coset::{
    CborSerializable as _, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable as _,
    cbor::Value as Cbor, iana,
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::DecodePrivateKey as _,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

use crate::oci::Digest;

/// Someone who signs, with a chain that ends in a root.
pub(super) struct Signer {
    pub(super) key: KeyPair,
    pub(super) root: Issuer<'static, KeyPair>,
    /// In DER, the signer's first.
    pub(super) chain: Vec<Vec<u8>>,
}

/// What of a chain can be made otherwise.
pub(super) struct Plan {
    pub(super) leaf: CertificateParams,
    pub(super) root: CertificateParams,
}

impl Default for Plan {
    fn default() -> Self {
        let mut leaf = named("release");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        leaf.serial_number = Some(SerialNumber::from(7_u64));
        let mut root = named("root");
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { leaf, root }
    }
}

/// A certificate for `C=US, ST=WA, O=Acme, CN=<name>`, valid from 2026 to 2028.
pub(super) fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CountryName, "US");
    subject.push(DnType::StateOrProvinceName, "WA");
    subject.push(DnType::OrganizationName, "Acme");
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

impl Signer {
    /// A signer with a root of its own, made as `plan` says.
    pub(super) fn new(plan: Plan) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_certificate = plan.root.self_signed(&root_key).unwrap();
        let root = Issuer::new(plan.root, root_key);
        let key = KeyPair::generate().unwrap();
        let leaf = plan.leaf.signed_by(&key, &root).unwrap();
        let chain = vec![leaf.der().to_vec(), root_certificate.der().to_vec()];
        Self { key, root, chain }
    }

    /// The root as a PEM file.
    pub(super) fn root_pem(&self) -> String {
        crate::trust::pem::encode("CERTIFICATE", self.chain.last().unwrap())
    }

    /// The 64 bytes of a signature.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = SigningKey::from_pkcs8_der(&self.key.serialize_der()).unwrap();
        let signature: Signature = key.sign(message);
        signature.to_bytes().to_vec()
    }

    /// A JWS envelope over `payload` with these protected headers.
    pub(super) fn jws(&self, payload: &Value, protected: &Value) -> Value {
        let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
        let protected = URL_SAFE_NO_PAD.encode(protected.to_string());
        let signature = self.sign(format!("{protected}.{payload}").as_bytes());
        let chain: Vec<_> = self.chain.iter().map(|one| STANDARD.encode(one)).collect();
        json!({
            "payload": payload, "protected": protected,
            "header": {"x5c": chain, "io.cncf.notary.signingAgent": "made/1"},
            "signature": URL_SAFE_NO_PAD.encode(signature),
        })
    }

    /// A COSE envelope over `payload`, made at 2026-06-01, with more headers.
    pub(super) fn cose(&self, payload: &Value, more: Vec<(&str, Cbor)>) -> Vec<u8> {
        let critical = more.iter().filter(|(name, _)| *name == EXPIRY);
        let mut protected = HeaderBuilder::new()
            .algorithm(iana::Algorithm::ES256)
            .content_type(CONTENT_TYPE.to_owned())
            .add_critical_label(coset::RegisteredLabelWithPrivate::Text(SCHEME.to_owned()))
            .text_value(SCHEME.to_owned(), Cbor::Text("notary.x509".to_owned()))
            .text_value(SIGNING_TIME.to_owned(), epoch(1_780_272_000));
        for (name, _) in critical {
            protected = protected
                .add_critical_label(coset::RegisteredLabelWithPrivate::Text((*name).to_owned()));
        }
        for (name, value) in more {
            protected = protected.text_value(name.to_owned(), value);
        }
        let chain = self.chain.iter().map(|one| Cbor::Bytes(one.clone())).collect();
        let unprotected = HeaderBuilder::new().value(33, Cbor::Array(chain)).build();
        CoseSign1Builder::new()
            .protected(protected.build())
            .unprotected(unprotected)
            .payload(payload.to_string().into_bytes())
            .create_signature(&[], |message| self.sign(message))
            .build()
            .to_tagged_vec()
            .unwrap()
    }
}

/// Seconds since 1970 as Notation writes them.
pub(super) fn epoch(seconds: u64) -> Cbor {
    Cbor::Tag(1, Box::new(Cbor::Integer(seconds.into())))
}

/// The payload over `manifest`.
pub(super) fn payload(manifest: &[u8]) -> Value {
    json!({"targetArtifact": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": Digest::of(manifest).to_string(), "size": manifest.len(),
    }})
}

/// Protected headers of a signature made at 2026-06-01.
pub(super) fn protected() -> Value {
    json!({
        "alg": "ES256", "cty": CONTENT_TYPE, "crit": [SCHEME],
        SCHEME: "notary.x509", SIGNING_TIME: "2026-06-01T00:00:00Z",
    })
}

/// `bytes` read as CBOR and written again with a change.
pub(super) fn recoded(bytes: &[u8], change: impl FnOnce(&mut Vec<Cbor>)) -> Vec<u8> {
    let Cbor::Tag(18, mut inner) = Cbor::from_slice(bytes).unwrap() else { panic!("no tag 18") };
    let Cbor::Array(parts) = inner.as_mut() else { panic!("no list") };
    change(parts);
    Cbor::Tag(18, inner).to_vec().unwrap()
}

pub(super) const CONTENT_TYPE: &str = "application/vnd.cncf.notary.payload.v1+json";
pub(super) const SCHEME: &str = "io.cncf.notary.signingScheme";
pub(super) const SIGNING_TIME: &str = "io.cncf.notary.signingTime";
pub(super) const EXPIRY: &str = "io.cncf.notary.expiry";
