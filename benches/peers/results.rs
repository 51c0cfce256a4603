//! Samples, and the table made of their medians.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::chart;
use crate::rows::{Bar, Compared, DIRECT, ROWS, Row};
use crate::workbench::{MIRROR, Workbench};

/// Every number that was measured, by row and server, in the order of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: BTreeMap<(&'static str, String), Vec<f64>>,
    failures: Vec<String>,
}

impl Results {
    /// Keeps one sample.
    pub(crate) fn add(&mut self, identifier: &'static str, server: &str, value: f64) {
        self.samples.entry((identifier, server.to_owned())).or_default().push(value);
    }

    /// Remembers that a measurement failed; the others go on.
    pub(crate) fn note(&mut self, measurement: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            eprintln!("`{measurement}` failed: {error:#}");
            self.failures.push(format!("`{measurement}` failed: {error:#}"));
        }
    }

    /// Whether no measurement failed.
    pub(crate) const fn all_measured(&self) -> bool {
        self.failures.is_empty()
    }

    /// The median of a server's samples.
    pub(crate) fn median(&self, identifier: &'static str, server: &str) -> Option<f64> {
        median(self.of(identifier, server))
    }

    /// What the bar of `row` is held against, for `server`: the median of what the rounds say one
    /// by one, so that a slow round is slow on both sides.
    pub(crate) fn compared(&self, row: &Row, server: &str) -> Option<f64> {
        let own = self.of(row.identifier, server);
        match row.compared {
            Compared::Alone => median(own),
            Compared::Minus(other) => {
                median(&paired(own, self.of(row.identifier, other), |a, b| a - b))
            }
            Compared::Over { identifier, server: other } => {
                median(&paired(own, self.of(identifier, other), |a, b| a / b))
            }
        }
    }

    /// Prints the table to standard output.
    pub(crate) fn print(&self, workbench: &Workbench) {
        let servers = self.servers(workbench);
        print!("\n{:<52}{:>6}", "medians", "");
        for server in &servers {
            print!("{:>16}", server.chars().take(15).collect::<String>());
        }
        println!("{:>9}  bar", "result");
        for row in self.rows() {
            print!("{:<52}{:>6}", row.title, row.unit);
            for server in &servers {
                let cell = self.median(row.identifier, server).map_or_else(String::new, number);
                print!("{cell:>16}");
            }
            let result = self.compared(row, MIRROR);
            println!(
                "{:>9}  {}",
                result.map_or_else(String::new, number),
                verdict(row.bar, result)
            );
        }
        println!(
            "\nresult: portcullis against the server that the bar names, round by round; {}",
            machine()
        );
        let disturbed = workbench.calm.disturbed();
        if disturbed > 0 {
            println!(
                "{disturbed} measurements began on a machine that was busy with something else"
            );
        }
    }

    /// Writes `target/peers/results.json` and `chart.svg`.
    pub(crate) fn write(&self, workbench: &Workbench) -> Result<()> {
        let folder = output_folder()?;
        fs::create_dir_all(&folder)?;
        let servers = self.servers(workbench);
        let document = serde_json::to_string_pretty(&self.document(workbench))?;
        fs::write(folder.join("results.json"), document)?;
        fs::write(folder.join("chart.svg"), chart::draw(self, &servers))?;
        println!("written: `results.json` and `chart.svg` in `{}`", folder.display());
        Ok(())
    }

    /// The rows that have a result.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| self.compared(row, MIRROR).is_some())
    }

    fn of(&self, identifier: &'static str, server: &str) -> &[f64] {
        self.samples.get(&(identifier, server.to_owned())).map_or(&[], Vec::as_slice)
    }

    fn servers(&self, workbench: &Workbench) -> Vec<String> {
        workbench.peers.iter().map(|peer| peer.name.clone()).chain([DIRECT.to_owned()]).collect()
    }

    fn document(&self, workbench: &Workbench) -> Value {
        let rows: Vec<Value> = self
            .rows()
            .map(|row| {
                let result = self.compared(row, MIRROR);
                json!({
                    "row": row.identifier,
                    "title": row.title,
                    "unit": row.unit,
                    "result": result,
                    "bar": row.bar.value(),
                    "reached": result.is_some_and(|value| row.bar.is_reached(value)),
                })
            })
            .collect();
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(
                |((row, server), values)| json!({ "row": row, "server": server, "values": values }),
            )
            .collect();
        json!({
            "time": humantime(SystemTime::now()),
            "machine": machine(),
            "rounds": workbench.scale.rounds,
            "disturbed": workbench.calm.disturbed(),
            "failures": self.failures,
            "rows": rows,
            "samples": samples,
        })
    }
}

/// Three significant figures, which is more than a shared machine can promise.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        magnitude if magnitude >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn verdict(bar: Bar, result: Option<f64>) -> String {
    let sign = match bar {
        Bar::AtLeast(_) => ">=",
        Bar::AtMost(_) => "<=",
    };
    let mark = match result {
        Some(value) if bar.is_reached(value) => "reached",
        Some(_) => "MISSED",
        None => "",
    };
    format!("{sign} {:<6} {mark}", bar.value())
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

fn paired(own: &[f64], other: &[f64], compare: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    own.iter().zip(other).map(|(own, other)| compare(*own, *other)).collect()
}

fn humantime(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_default();
    format!("{processors} x {model}")
}

/// `target/peers`: the folder for scratch files is `target/tmp`.
fn output_folder() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    Ok(target.join("peers"))
}
