//! What the program takes from the world around it: time, chance and connections.
//!
//! Everything that is not a pure function gets these through a constructor, so that a test can
//! stop the clock. `SystemTime::now`, `Instant::now` and the system's entropy are called in this
//! file only; `clippy.toml` refuses them elsewhere.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of day: for validity windows, records and freshness that outlives a restart.
    fn now(&self) -> SystemTime;

    /// A time that never goes back: for deadlines and durations.
    fn instant(&self) -> Instant;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock {
    start: (SystemTime, Instant),
    offset: std::sync::Mutex<Duration>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        Self { start: (now, SystemClock.instant()), offset: std::sync::Mutex::default() }
    }

    /// Moves both times on.
    pub fn advance(&self, by: Duration) {
        *self.offset.lock().expect("nothing panics while it holds this lock") += by;
    }

    fn offset(&self) -> Duration {
        *self.offset.lock().expect("nothing panics while it holds this lock")
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.start.0 + self.offset()
    }

    fn instant(&self) -> Instant {
        self.start.1 + self.offset()
    }
}

/// Gives random bytes.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes` with bytes nobody can guess.
    fn fill(&self, bytes: &mut [u8]);

    /// A random number below `bound`, for jitter; 0 when `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes)
            .expect("the operating system always has entropy once it has started");
    }
}

/// What the composition root hands out.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The generator.
    pub entropy: Arc<dyn Entropy>,
}

impl Environment {
    /// The real world.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}
