//! A tar file from outside, and the documents in it: no bytes panic, and nothing is taken into
//! memory because a header says so.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::archive::{EntryName, Inventory, list_members};

fuzz_target!(|bytes: &[u8]| {
    let _ = list_members(bytes);
    let _ = EntryName::parse(bytes);
    let _ = Inventory::parse(bytes);
});
