//! Tests of the store as a whole, one module per behaviour.

mod accelerator;
mod content;
mod eviction;
mod faults;
mod fills;
mod opening;
mod records;
mod resume;
mod scrubbing;
mod support;
