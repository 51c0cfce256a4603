//! `Range`: no header panics, and a part lies inside the blob.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::http::range::Selection;

fuzz_target!(|input: (u64, &str)| {
    let (size, text) = input;
    if let Selection::Part(span) = Selection::parse(text, size) {
        assert!(span.start < span.end && span.end <= size);
    }
});
