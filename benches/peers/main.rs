//! `cargo bench --bench peers`: the mirror beside the servers that people will compare it with.
//!
//! Everything happens on this machine, over loopback, in one run: an upstream registry is started
//! and filled with images made here, the mirror and its peers are put in front of it, and each
//! measurement is taken from each of them in turn, round after round, so that a busy minute is
//! shared by all. What is printed are medians, the ratio to the peer of the same round, and the bar
//! that the ratio has to reach. Nothing fails when a bar is missed: a timed test would fail for the
//! neighbour's compile job, so people read the table instead.
//!
//! | file | |
//! | --- | --- |
//! | `content`, `upstream` | images from nothing, and the registry that holds them |
//! | `process`, `peers`, `programs` | the servers |
//! | `wire`, `load`, `slow_link` | the clients: few big downloads, many small ones, a far upstream |
//! | `rows` | what is measured, and its bar |
//! | `rounds`, `crowds`, `large_store` | the measurements |
//! | `results`, `chart`, `readme` | the table, JSON, SVG, and the table of the README |
//! | `soak` | instead of all that: a long time of everything at once |
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the real clock and writes its own scratch files"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark reports on the terminal"
)]

mod calm;
mod chart;
mod content;
mod crowds;
mod large_store;
mod load;
mod options;
mod peers;
mod process;
mod programs;
mod readme;
mod results;
mod rounds;
mod rows;
mod slow_link;
mod soak;
mod upstream;
mod wire;
mod workbench;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use options::Options;
use results::Results;
use workbench::Workbench;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    process::allow_many_files()?;
    let mut workbench = Workbench::set_up(&options)?;
    if let Some(length) = options.soak {
        let is_sound = soak::run(&workbench, length)?;
        return Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut results = Results::default();
    for round in 0..workbench.scale.rounds {
        eprintln!("round {} of {}", round + 1, workbench.scale.rounds);
        rounds::measure(&mut workbench, round, &mut results);
    }
    crowds::measure(&mut workbench, &mut results);
    if options.large_store {
        let outcome = large_store::measure(&workbench, &mut results);
        results.note("large store", outcome);
    }
    results.print(&workbench);
    if !options.quick {
        results.write(&workbench)?;
    }
    if options.readme {
        readme::write(&results, &workbench)?;
    }
    Ok(if results.all_measured() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
