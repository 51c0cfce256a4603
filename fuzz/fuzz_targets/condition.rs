//! Conditions: no text panics when it is compiled, and none that compiles panics on any statement. The input
//! is both, with a line break and a zero between them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::trust::Condition;

fuzz_target!(|input: &str| {
    let (text, statement) = input.split_once("\n\0").unwrap_or((input, ""));
    if let Ok(condition) = Condition::compile(text) {
        assert_eq!(condition.text(), text);
        condition.try_over(statement.as_bytes());
    }
});
