//! Timestamps: no bytes panic, and none is taken that nobody vouches for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::timestamp(bytes));
