//! Doors for the fuzzers in `fuzz/`: parsers that nobody outside calls. They are there in their builds
//! only.

use super::{
    log::{Checkpoint, count_receipts, read_receipts},
    root::{TrustedRoot, embedded},
    stamp::{verify_response, verify_token},
    x509::{Certificate, fulcio::Identity},
};

/// A certificate, and all that is read from one.
pub fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    assert_eq!(certificate.der(), bytes, "a certificate is all of its bytes");
    let identity = Identity::of(&certificate);
    assert!(identity.is_err() || !certificate.is_authority().unwrap_or(true));
    for root in embedded::ALL.iter().filter_map(|embedded| embedded::root(embedded.name)) {
        let _ = root.paths(&certificate, certificate.not_before());
        let _ = count_receipts(&certificate, &certificate, root);
    }
}

/// A checkpoint of a log.
pub fn checkpoint(text: &str) {
    let Ok(checkpoint) = Checkpoint::parse(text) else { return };
    assert!(!checkpoint.includes(text.as_bytes(), u64::MAX, &[]), "nothing is beyond the tree");
}

/// The receipts in a certificate.
pub fn receipts(bytes: &[u8]) {
    assert!(read_receipts(bytes).is_none_or(|receipts| !receipts.is_empty()));
}

/// A timestamp, as a response and bare.
pub fn timestamp(bytes: &[u8]) {
    assert!(verify_token(bytes, b"", &[]).is_err(), "nobody vouches");
    for root in embedded::ALL.iter().filter_map(|embedded| embedded::root(embedded.name)) {
        let _ = verify_response(bytes, b"", root.timestamp_authorities());
    }
}

/// A trust root.
pub fn trusted_root(bytes: &[u8]) {
    let Ok(root) = TrustedRoot::parse(bytes) else { return };
    assert_eq!(root.hash(), &crate::oci::Digest::of(bytes));
    let _ = root.expiries();
}
