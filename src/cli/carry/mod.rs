//! The commands that carry images: `seed`, `export`, `import`, and those that say what is here.
//!
//! Each opens the data directory of a mirror that does not run, or asks the admin listener of one
//! that does. They share how they name images, show progress and tell what became of each.

mod bars;
pub mod export;
pub mod import;
pub mod inventory;
pub mod list;
mod report;
pub mod seed;
mod station;
mod wanted;

use self::{bars::Bars, report::Report, station::Station};
