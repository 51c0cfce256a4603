//! Certificates: no bytes panic, and what is read says what was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::certificate(bytes));
