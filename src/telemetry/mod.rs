//! What the program tells about itself while it runs: metrics and logs. A leaf: it knows no room.

mod human;
mod lines;
pub mod log;
pub mod metrics;

pub use log::{LogFormat, LogSettings};
pub use metrics::Metrics;
