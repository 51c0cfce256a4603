//! Checkpoints of logs: no text panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::fuzzed;

fuzz_target!(|text: &str| fuzzed::checkpoint(text));
