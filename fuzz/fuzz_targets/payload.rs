//! Signature material: no bytes panic, whatever they say they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::is_signature_payload;

const KINDS: [&str; 4] = [
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dsse.envelope.v1+json",
    "application/jose+json",
];

fuzz_target!(|bytes: &[u8]| {
    for kind in KINDS {
        if is_signature_payload(kind, bytes) {
            assert!(bytes.trim_ascii().starts_with(b"{"), "signature material is JSON");
        }
    }
});
