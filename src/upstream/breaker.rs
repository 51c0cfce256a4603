//! A breaker: while an upstream is known to be down, asking it costs nothing.
//!
//! After [`FAILURES`] calls in a row that could not reach the upstream, calls fail at once for a
//! while. Then one call goes through as a probe; its answer closes the breaker, its failure opens it
//! again for twice as long. An upstream that says no (404, 403, 429) is not down.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::environment::Environment;

/// The breaker of one upstream.
#[derive(Debug)]
pub(super) struct Breaker {
    environment: Environment,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Calls go through; the last `failures` of them failed.
    Closed { failures: u32 },
    /// Calls fail until then.
    Open { until: Instant, openings: u32 },
    /// One call is on its way to find out.
    Probing { openings: u32 },
}

/// What the breaker does with the next call, for the gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Closed,
    Open,
    Probing,
}

impl Breaker {
    pub(super) fn new(environment: &Environment) -> Self {
        Self { environment: environment.clone(), state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Lets a call through.
    ///
    /// # Errors
    /// When the upstream is known to be down: how long that is taken for granted.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Duration> {
        let now = self.environment.clock.instant();
        let mut state = self.lock();
        let openings = match *state {
            State::Closed { .. } => return Ok(Pass { breaker: self, probe: None }),
            State::Probing { .. } => return Err(PROBE_WAIT),
            State::Open { until, openings } => {
                let left = until.saturating_duration_since(now);
                if !left.is_zero() {
                    return Err(left);
                }
                openings
            }
        };
        *state = State::Probing { openings };
        Ok(Pass { breaker: self, probe: Some(openings) })
    }

    pub(super) fn position(&self) -> Position {
        match *self.lock() {
            State::Closed { .. } => Position::Closed,
            State::Open { .. } => Position::Open,
            State::Probing { .. } => Position::Probing,
        }
    }

    fn failed(&self) {
        let mut state = self.lock();
        *state = match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => self.open(0),
            State::Probing { openings } => self.open(openings.saturating_add(1)),
            // A call that began before it opened.
            open @ State::Open { .. } => open,
        };
    }

    fn open(&self, openings: u32) -> State {
        let length = (FIRST_PAUSE * (1 << openings.min(8))).min(LONGEST_PAUSE);
        let quarter = length.as_millis().try_into().unwrap_or(u64::MAX) / 4;
        let jitter = Duration::from_millis(self.environment.entropy.below(quarter));
        State::Open { until: self.environment.clock.instant() + length + jitter, openings }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// A call that was let through. Whoever holds it says how the call ended; a probe that is dropped
/// because its caller went away leaves the next call to be the probe.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// How often the breaker had opened in a row, if this call is the probe.
    probe: Option<u32>,
}

impl Pass<'_> {
    /// The upstream answered, whatever it said.
    pub(super) fn answered(mut self) {
        self.probe = None;
        *self.breaker.lock() = State::Closed { failures: 0 };
    }

    /// The upstream could not be reached.
    pub(super) fn failed(mut self) {
        self.probe = None;
        self.breaker.failed();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(openings) = self.probe {
            let now = self.breaker.environment.clock.instant();
            let mut state = self.breaker.lock();
            if matches!(*state, State::Probing { .. }) {
                *state = State::Open { until: now, openings };
            }
        }
    }
}

/// Calls in a row that must fail before the breaker opens.
const FAILURES: u32 = 5;
/// How long it stays open the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// How long it stays open at most, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// When to ask again while another call probes.
const PROBE_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::SystemTime};

    use super::*;
    use crate::environment::{ManualClock, SystemEntropy};

    fn breaker() -> (Breaker, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(SystemTime::UNIX_EPOCH));
        let environment = Environment {
            clock: Arc::<ManualClock>::clone(&clock),
            entropy: Arc::new(SystemEntropy),
        };
        (Breaker::new(&environment), clock)
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.enter().expect("still closed").failed();
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let (breaker, _) = breaker();
        fail(&breaker, FAILURES - 1);
        breaker.enter().unwrap().answered();
        fail(&breaker, FAILURES - 1);
        assert_eq!(breaker.position(), Position::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.position(), Position::Open);
        let left = breaker.enter().unwrap_err();
        assert!(left >= FIRST_PAUSE && left <= FIRST_PAUSE * 5 / 4, "{left:?}");
    }

    #[test]
    fn one_probe_decides() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        clock.advance(FIRST_PAUSE * 5 / 4);
        let probe = breaker.enter().expect("the pause is over");
        assert_eq!(breaker.enter().unwrap_err(), PROBE_WAIT);
        probe.failed();
        assert!(breaker.enter().unwrap_err() >= FIRST_PAUSE * 2, "longer the second time");
        clock.advance(FIRST_PAUSE * 3);
        breaker.enter().unwrap().answered();
        assert_eq!(breaker.position(), Position::Closed);
        fail(&breaker, FAILURES - 1);
        assert_eq!(breaker.position(), Position::Closed, "it counts from zero again");
    }

    #[test]
    fn a_probe_whose_caller_goes_away_leaves_the_place_to_the_next() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        clock.advance(FIRST_PAUSE * 5 / 4);
        drop(breaker.enter().unwrap());
        breaker.enter().expect("the next call probes").answered();
        assert_eq!(breaker.position(), Position::Closed);
    }

    #[test]
    fn the_pause_has_an_end() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        for _ in 0..20 {
            clock.advance(LONGEST_PAUSE * 5 / 4);
            breaker.enter().expect("never longer than the longest pause").failed();
        }
    }
}
