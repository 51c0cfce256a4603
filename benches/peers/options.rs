//! What to measure, and how much of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

/// The command line.
#[derive(Clone, Debug, clap::Parser)]
#[command(about = "Compares the mirror with its peers on this machine")]
pub(crate) struct Options {
    /// About a minute instead of ten: smaller content, two rounds, nothing written.
    #[arg(long)]
    pub quick: bool,
    /// How often each measurement is repeated.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Also a store of a million blobs: three more minutes, and as many inodes.
    #[arg(long)]
    pub large_store: bool,
    /// Also writes the table into `README.md`.
    #[arg(long)]
    pub readme: bool,
    /// Instead of measuring: loads the mirror for so long (`30m`, `90s`), and tells whether memory or
    /// open files grow.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub soak: Option<Duration>,
    /// Only rows whose identifier contains this.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Leave these peers out; repeatable.
    #[arg(long, value_name = "NAME")]
    pub without: Vec<String>,
    /// Another build of the mirror than this one, to compare before and after.
    #[arg(long, value_name = "PROGRAM", default_value = env!("CARGO_BIN_EXE_portcullis"))]
    pub mirror: PathBuf,
    /// Where the upstream listens, so that another mirror can be pointed at it; 0 for any.
    #[arg(long, default_value_t = 0)]
    pub upstream_port: u16,
    /// Another mirror of the upstream: `NAME=http://127.0.0.1:PORT`; repeatable.
    #[arg(value_name = "NAME=URL", value_parser = parse_extra)]
    pub extras: Vec<Extra>,
    /// `cargo bench` adds this.
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// A mirror that somebody else started.
#[derive(Clone, Debug)]
pub(crate) struct Extra {
    pub name: String,
    pub address: SocketAddr,
}

/// How much work a run does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Repetitions of each interleaved measurement.
    pub rounds: usize,
    /// Length of one run of `wrk`, in seconds.
    pub seconds: u32,
    /// The big blob, in bytes.
    pub blob: u64,
    /// The blob that a crowd asks for at once, in bytes.
    pub crowd_blob: u64,
    /// How many clients ask for it.
    pub crowd: usize,
    /// How many clients hold a range open while memory is read.
    pub readers: usize,
    /// Images that are pulled for the first time in each round, with and without a signature.
    pub first_pulls: usize,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 5,
        seconds: 3,
        blob: 210_000_000,
        crowd_blob: 1_000_000_000,
        crowd: 100,
        readers: 1_000,
        first_pulls: 5,
    };

    const QUICK: Self = Self {
        rounds: 2,
        seconds: 1,
        blob: 64_000_000,
        crowd_blob: 100_000_000,
        crowd: 20,
        readers: 200,
        first_pulls: 3,
    };
}

impl Options {
    /// The amounts that these options ask for.
    pub(crate) fn scale(&self) -> Scale {
        let scale = if self.quick || self.soak.is_some() { Scale::QUICK } else { Scale::FULL };
        Scale { rounds: self.rounds.unwrap_or(scale.rounds), ..scale }
    }

    /// Whether the row called `identifier` was asked for.
    pub(crate) fn wants(&self, identifier: &str) -> bool {
        self.only.as_deref().is_none_or(|text| identifier.contains(text))
    }
}

fn parse_time(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "m" => 60,
        "s" => 1,
        _ => anyhow::bail!("expected a number and `m` or `s`"),
    };
    Ok(Duration::from_secs(number.parse::<u64>()? * seconds))
}

fn parse_extra(text: &str) -> Result<Extra> {
    let (name, url) = text.split_once('=').context("expected NAME=URL")?;
    let authority = url.strip_prefix("http://").context("the URL must start with `http://`")?;
    let address: SocketAddr =
        authority.trim_end_matches('/').parse().context("the URL must be `http://ADDRESS:PORT`")?;
    anyhow::ensure!(address.ip().is_loopback(), "only servers on this machine are measured");
    Ok(Extra { name: name.to_owned(), address })
}
