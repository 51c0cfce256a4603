//! Trust roots made for tests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::TrustedRoot;
use crate::{
    timestamp::Timestamp,
    trust::{
        log::note,
        x509::{
            Certificate,
            fixtures::{Issued, at},
        },
    },
};

/// A root of nothing.
pub(in crate::trust) fn empty() -> Value {
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [], "ctlogs": [], "certificateAuthorities": [], "timestampAuthorities": [],
    })
}

/// `root` with `entry` under `name`.
pub(in crate::trust) fn with(mut root: Value, name: &str, entry: Value) -> Value {
    root[name].as_array_mut().unwrap().push(entry);
    root
}

/// A log at `url`, for the seconds from 50 to 500.
pub(in crate::trust) fn log(url: &str, signer: &Issued) -> Value {
    let key = signer.certificate.public_key();
    let id = note::key_id(url, key);
    json!({
        "baseUrl": url, "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": STANDARD.encode(key.spki()),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": span(50, 500),
        },
        "logId": {"keyId": STANDARD.encode(id.0)},
    })
}

/// An authority with `chain`, for the seconds from 50 to 500.
pub(in crate::trust) fn authority(url: &str, chain: &[&Certificate]) -> Value {
    let chain = chain.iter().map(|one| json!({"rawBytes": STANDARD.encode(one.der())}));
    json!({
        "uri": url,
        "certChain": {"certificates": chain.collect::<Vec<_>>()},
        "validFor": span(50, 500),
    })
}

/// The span between two seconds.
pub(in crate::trust) fn span(from: u64, until: u64) -> Value {
    json!({"start": Timestamp(at(from)).to_string(), "end": Timestamp(at(until)).to_string()})
}

/// The root that `document` is.
pub(in crate::trust) fn parsed(document: &Value) -> TrustedRoot {
    TrustedRoot::parse(document.to_string().as_bytes()).unwrap()
}
