//! What the program takes from the world around it: time, chance and connections.
//!
//! Everything that is not a pure function gets these through a constructor, so that a test can
//! stop the clock. `SystemTime::now`, `Instant::now` and the system's entropy are called in this
//! file only; `clippy.toml` refuses them elsewhere.

use std::{
    cell::RefCell,
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

/// The operating system's generator, asked for many bytes at once: a request needs a few, and a
/// system call each would be felt.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > DRAW / 2 {
            return draw(bytes);
        }
        DRAWN.with_borrow_mut(|drawn| drawn.take(bytes));
    }
}

/// Bytes that one thread has drawn and not given out.
struct Drawn {
    bytes: [u8; DRAW],
    left: usize,
}

impl Drawn {
    const EMPTY: Self = Self { bytes: [0; DRAW], left: 0 };

    /// Fills `taken`, which is no longer than `bytes`. What was given out is not kept.
    fn take(&mut self, taken: &mut [u8]) {
        if self.left < taken.len() {
            draw(&mut self.bytes);
            self.left = DRAW;
        }
        let start = self.left - taken.len();
        taken.copy_from_slice(&self.bytes[start..self.left]);
        self.bytes[start..self.left].fill(0);
        self.left = start;
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
fn draw(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system always has entropy once it has started");
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn::EMPTY) };
}

/// Bytes that are asked of the system at once: what it gives without stopping (getrandom(2)).
const DRAW: usize = 256;

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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_chance_is_given_out_twice() {
        let mut seen = HashSet::new();
        for length in [16, 48, 1, 200, 16, 16] {
            for _ in 0..50 {
                let mut bytes = vec![0; length];
                SystemEntropy.fill(&mut bytes);
                assert!(length < 16 || seen.insert(bytes));
            }
        }
    }

    #[test]
    fn what_was_given_out_is_not_kept() {
        let mut drawn = Drawn::EMPTY;
        let mut bytes = [0; 16];
        drawn.take(&mut bytes);
        assert_eq!(drawn.left, DRAW - 16);
        assert_eq!(drawn.bytes[drawn.left..], [0; 16]);
    }
}
