//! Waiting for a quiet machine: two cores are easily taken by somebody else's compiler.

use std::cell::Cell;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Waits before a measurement, and remembers how often waiting did not help.
#[derive(Debug)]
pub(crate) struct Calm {
    patience: Duration,
    disturbed: Cell<usize>,
}

impl Calm {
    /// Waits up to `patience` each time.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self { patience, disturbed: Cell::new(0) }
    }

    /// Returns once the processors have been idle for a moment, or patience has run out.
    pub(crate) fn wait(&self) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            let before = Processors::now()?;
            thread::sleep(MOMENT);
            let after = Processors::now()?;
            let all = (after.all - before.all).max(1.0);
            if (after.busy - before.busy) / all < IDLE_ENOUGH {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.disturbed.set(self.disturbed.get() + 1);
                return Ok(());
            }
        }
    }

    /// How many measurements began on a busy machine.
    pub(crate) const fn disturbed(&self) -> usize {
        self.disturbed.get()
    }
}

/// Ticks of all processors since boot; proc(5), `/proc/stat`.
struct Processors {
    busy: f64,
    all: f64,
}

impl Processors {
    fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("`/proc/stat` is empty")?;
        let ticks: Vec<f64> =
            line.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
        let all: f64 = ticks.iter().take(8).sum();
        // The fourth and fifth are idle and waiting for disk.
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        Ok(Self { busy: all - idle, all })
    }
}

const MOMENT: Duration = Duration::from_millis(200);
const IDLE_ENOUGH: f64 = 0.1;
