//! The clients: `wrk` for many small answers, threads that read and forget for big ones.

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::content::MANIFEST_TYPE;
use crate::wire::{Connection, Target};

/// What one download was like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Download {
    /// From the request to the first byte of the body.
    pub first_byte: Duration,
    /// From the request to the last byte.
    pub total: Duration,
}

/// What one run of `wrk` was like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests {
    /// Answers a second.
    pub rate: f64,
    /// Ninety-nine of a hundred requests were answered in this time, in milliseconds.
    pub p99: f64,
}

/// Asks for `path` over [`CONNECTIONS`] keep-alive connections for `seconds`.
///
/// `wrk` is bound to the last processor: it then takes the same one in every measurement, whatever
/// the server does.
pub(crate) fn requests(wrk: &Path, target: &Target, path: &str, seconds: u32) -> Result<Requests> {
    let last = thread::available_parallelism()?.get() - 1;
    let output = Command::new("taskset")
        .args(["-c", &last.to_string()])
        .arg(wrk)
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}"), "--latency"])
        .args(["-H", &format!("Accept: {MANIFEST_TYPE}")])
        .arg(format!("http://{}{path}", target.address))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "`wrk` failed: {text}");
    for complaint in ["Non-2xx", "Socket errors"] {
        ensure!(!text.contains(complaint), "`wrk` for `{path}` at {}: {text}", target.address);
    }
    let value = |label: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(label))
            .map(str::trim)
            .with_context(|| format!("`wrk` printed no `{label}`"))
    };
    Ok(Requests { rate: value("Requests/sec:")?.parse()?, p99: milliseconds(value("99%")?)? })
}

/// Reads one blob whole over a connection that is open already.
pub(crate) fn download(
    connection: &mut Connection,
    path: &str,
    size: u64,
    buffer: &mut [u8],
) -> Result<Download> {
    let start = Instant::now();
    let head = connection.get(path, &[])?;
    ensure!(head.status == 200, "`{path}` was answered {}", head.status);
    ensure!(head.length == size, "`{path}` has {} bytes instead of {size}", head.length);
    let mut first_byte = None;
    connection.read_body(&head, buffer, |_| {
        first_byte.get_or_insert_with(|| start.elapsed());
    })?;
    let total = start.elapsed();
    Ok(Download { first_byte: first_byte.unwrap_or(total), total })
}

/// `streams` clients that each read the blob `repeat` times, all starting at once.
///
/// Returns the time until the last one has ended, and the time of each one.
pub(crate) fn streams(
    target: &Target,
    (path, size): (&str, u64),
    streams: usize,
    repeat: usize,
) -> Result<(Duration, Vec<Duration>)> {
    let gate = Barrier::new(streams + 1);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..streams)
            .map(|_| {
                scope.spawn(|| {
                    let connection = Connection::open(target);
                    gate.wait();
                    let start = Instant::now();
                    let mut connection = connection?;
                    let mut buffer = vec![0; BUFFER];
                    for _ in 0..repeat {
                        download(&mut connection, path, size, &mut buffer)?;
                    }
                    Ok(start.elapsed())
                })
            })
            .collect();
        gate.wait();
        let start = Instant::now();
        let times = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect::<Result<Vec<_>>>()?;
        Ok((start.elapsed(), times))
    })
}

/// `wrk` writes times as `812.00us`, `1.20ms` or `1.02s`.
fn milliseconds(text: &str) -> Result<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s').context("`wrk` printed a time without a unit")?, 1000.0)
    };
    Ok(number.parse::<f64>()? * factor)
}

/// How many connections `wrk` keeps open.
pub(crate) const CONNECTIONS: usize = 16;

/// What a client reads at once: as much as `curl` and containerd do, or more.
pub(crate) const BUFFER: usize = 256 * 1024;
