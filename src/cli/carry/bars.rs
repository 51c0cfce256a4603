//! How far a transfer has come: a bar on a terminal, nothing elsewhere.

use std::{
    io::{self, IsTerminal as _},
    sync::atomic::{AtomicU64, Ordering},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::mirror::Watch;

/// The bar of one command.
#[derive(Debug)]
pub(in crate::cli) struct Bars {
    bar: ProgressBar,
    fetched: AtomicU64,
}

impl Bars {
    /// A bar on standard error, where that is a terminal and `wanted`.
    pub(in crate::cli) fn new(wanted: bool) -> Self {
        let target = match wanted && io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template(TEMPLATE).expect("a constant in the grammar");
        bar.set_style(style);
        Self { bar, fetched: AtomicU64::new(0) }
    }

    /// Writes a line without disturbing the bar.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Bytes that were not here before.
    pub(super) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Bars {
    fn planned(&self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    fn arrived(&self, bytes: u64, fetched: bool) {
        self.bar.inc(bytes);
        if fetched {
            self.fetched.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

const TEMPLATE: &str =
    "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
