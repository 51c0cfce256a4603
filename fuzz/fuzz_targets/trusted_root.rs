//! Trust roots: no bytes panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::fuzzed;

fuzz_target!(|bytes: &[u8]| fuzzed::trusted_root(bytes));
