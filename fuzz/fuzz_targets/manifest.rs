//! Manifests: no bytes panic, and what is read lists only digests that can be a path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::oci::{Manifest, MediaType};

fuzz_target!(|bytes: &[u8]| {
    for kind in MediaType::SERVED.map(Some).into_iter().chain([None]) {
        if let Ok(manifest) = Manifest::parse(bytes, kind.map(MediaType::as_str)) {
            for descriptor in manifest.references() {
                assert!(!descriptor.digest.to_string().contains(['/', '.']));
            }
            assert!(kind.is_none_or(|kind| kind == manifest.media_type));
        }
    }
});
