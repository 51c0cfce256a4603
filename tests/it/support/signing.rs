//! Keys, and classic cosign signatures with every part open to be broken.
//!
//! `signatures.md` of the design calls the format (a): one manifest at `sha256-<hex>.sig`, a layer
//! for each signature, the payload as the layer's blob and the signature as its annotation. Keys
//! come from aws-lc-rs, so that P-256 is checked against another implementation than the program's.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use portcullis::oci::Digest;
use serde_json::{Map, Value, json};

use super::{
    content::{Document, OCI_MANIFEST},
    image::{self, Image},
};

pub(crate) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(crate) const SIGNATURE_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
pub(crate) const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// Someone who signs.
#[derive(Debug)]
pub(crate) enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    pub(crate) fn p256() -> Self {
        Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    pub(crate) fn p384() -> Self {
        Self::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)
    }

    pub(crate) fn p521() -> Self {
        Self::ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING)
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().expect("there is entropy"))
    }

    pub(crate) fn rsa2048() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("there is entropy"))
    }

    fn ecdsa(algorithm: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> Self {
        Self::Ecdsa(EcdsaKeyPair::generate(algorithm).expect("there is entropy"))
    }

    /// The signature over `payload`, as cosign makes it: DER for ECDSA, PKCS #1 v1.5 for RSA.
    pub(crate) fn sign(&self, payload: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => {
                pair.sign(&random, payload).expect("there is entropy").as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(payload).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, payload, &mut signature)
                    .expect("the buffer fits");
                signature
            }
        }
    }

    /// The public half as DER `SubjectPublicKeyInfo`.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Ecdsa(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
        }
        .expect("a key that was just made encodes");
        der.as_ref().to_vec()
    }

    /// The public half as PEM.
    pub(crate) fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public_der())
    }

    /// What `deny.key` names it by.
    pub(crate) fn fingerprint(&self) -> String {
        Digest::of(&self.public_der()).hex()
    }
}

/// One layer of a signature manifest. Every member may be changed before it is attached.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) payload: Bytes,
    pub(crate) media_type: String,
    /// What the layer says its blob hashes to.
    pub(crate) digest: Digest,
    pub(crate) size: usize,
    pub(crate) annotations: Map<String, Value>,
}

impl Signature {
    /// A right signature by `key` that says: the image `digest` belongs at `name`.
    pub(crate) fn by(key: &Key, name: &str, digest: &Digest) -> Self {
        Self::over(key, payload(name, digest))
    }

    /// A signature by `key` over any payload.
    pub(crate) fn over(key: &Key, payload: impl Into<Bytes>) -> Self {
        let payload = payload.into();
        let signature = key.sign(&payload);
        Self::made_of(payload, &signature)
    }

    pub(crate) fn made_of(payload: impl Into<Bytes>, signature: &[u8]) -> Self {
        let payload = payload.into();
        let unsigned = Self {
            media_type: SIMPLE_SIGNING.to_owned(),
            digest: Digest::of(&payload),
            size: payload.len(),
            payload,
            annotations: Map::new(),
        };
        unsigned.annotated(&STANDARD.encode(signature))
    }

    /// With this text where the signature belongs.
    pub(crate) fn annotated(mut self, text: &str) -> Self {
        self.annotations.insert(SIGNATURE_ANNOTATION.to_owned(), json!(text));
        self
    }

    /// The text where the signature belongs.
    pub(crate) fn annotation(&self) -> &str {
        self.annotations[SIGNATURE_ANNOTATION].as_str().expect("made as text")
    }

    fn layer(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            "annotations": self.annotations,
        })
    }
}

/// The document that a classic signature signs (`signatures.md` a.3), as cosign writes it.
pub(crate) fn payload(name: &str, digest: &Digest) -> String {
    json!({
        "critical": {
            "identity": { "docker-reference": name },
            "image": { "docker-manifest-digest": digest },
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

/// The tag that holds the signatures of `subject`.
pub(crate) fn signature_tag(subject: &Digest) -> String {
    format!("{}.sig", subject.to_string().replace(':', "-"))
}

/// The manifest of `signatures`; with a subject, a referrer of it.
pub(crate) fn signature_image(signatures: &[Signature], subject: Option<&Image>) -> Image {
    let config = Bytes::from_static(
        b"{\"architecture\":\"\",\"os\":\"\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
    );
    let config_type = match subject {
        Some(_) => SIGNATURE_ARTIFACT,
        None => "application/vnd.oci.image.config.v1+json",
    };
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": image::descriptor(config_type, &config),
        "layers": signatures.iter().map(Signature::layer).collect::<Vec<_>>(),
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.descriptor();
    }
    let mut blobs = vec![config];
    blobs.extend(signatures.iter().map(|signature| signature.payload.clone()));
    Image::raw(OCI_MANIFEST, Document::json(OCI_MANIFEST, &manifest).bytes, blobs)
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
