//! Signature material: no bytes panic, whatever they say they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::is_signature_payload;

const KINDS: [&str; 5] = [
    "application/cose",
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dsse.envelope.v1+json",
    "application/jose+json",
];

fuzz_target!(|bytes: &[u8]| {
    for kind in KINDS {
        if is_signature_payload(kind, bytes) {
            let is_cose = kind == "application/cose" && bytes.starts_with(&[0xd2, 0x84]);
            assert!(
                is_cose || bytes.trim_ascii().starts_with(b"{"),
                "signature material is JSON, or a tagged COSE envelope"
            );
        }
    }
});
