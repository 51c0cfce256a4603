//! The table of the README: ratios, each with its bar, the date and the machine.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::results::{Results, machine, number};
use crate::rows::{Bar, Compared, Row};
use crate::workbench::{MIRROR, Workbench};

/// Puts the table between the two marks in `README.md`.
pub(crate) fn write(results: &Results, workbench: &Workbench) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).context("`README.md` has no place for it")?;
    let (_, after) = rest.split_once(END).context("the place in `README.md` has no end")?;
    let table = table(results, workbench.scale.rounds);
    Ok(fs::write(path, format!("{before}{BEGIN}\n{table}{END}{after}"))?)
}

fn table(results: &Results, rounds: usize) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut text = format!(
        "Medians of {rounds} rounds on {date}, {}.\n\n| | result | bar |\n| --- | --- | --- |\n",
        machine()
    );
    for row in results.rows() {
        let Some(result) = results.compared(row, MIRROR) else { continue };
        let sign = match row.bar {
            Bar::AtLeast(_) => "≥",
            Bar::AtMost(_) => "≤",
        };
        let missed = if row.bar.is_reached(result) { "" } else { ", missed" };
        let (result, bar) = (number(result), row.bar.value());
        // A String takes everything.
        let _ = writeln!(text, "| {} | {result} {} | {sign} {bar}{missed} |", row.title, unit(row));
    }
    text
}

fn unit(row: &Row) -> String {
    match row.compared {
        Compared::Alone => row.unit.to_owned(),
        Compared::Minus(other) => format!("{} more than {other}", row.unit),
        Compared::Over { server, .. } => format!("x {server}"),
    }
}

const BEGIN: &str = "<!-- speed: written by `cargo bench --bench peers -- --readme` -->";
const END: &str = "<!-- end of speed -->";
