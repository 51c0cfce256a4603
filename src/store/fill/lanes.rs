//! Whose turn it is: how many fills run for one origin, and how many wait.
//!
//! Without a bound, one upstream that has become slow would take every thread and every buffer there
//! is for fills, and those of the others would wait behind it. So each origin has a lane of its own,
//! as wide as its fills may be; behind it a queue, which has an end: who comes after that is told to
//! come back, which clients do by themselves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    store::keyed::lock,
    telemetry::{Metrics, metrics::Present},
};

/// The lanes of all origins.
#[derive(Debug)]
pub(super) struct Lanes {
    width: usize,
    lanes: Mutex<HashMap<String, Weak<Lane>>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Lane {
    /// Those who run or wait.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Lanes {
    /// Lanes for `width` fills each.
    pub(super) fn new(width: usize, metrics: Arc<Metrics>) -> Self {
        Self { width, lanes: Mutex::default(), metrics }
    }

    /// A place in the queue for `origin`; `None` when the queue is full.
    pub(super) fn enter(&self, origin: &str) -> Option<Place> {
        let lane = self.lane(origin);
        let held = Arc::clone(&lane.places).try_acquire_owned().ok()?;
        let waiting = self.metrics.fill_waits(origin);
        Some(Place { lane, origin: origin.to_owned(), waiting, held })
    }

    fn lane(&self, origin: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(origin).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::new(Lane {
            places: Arc::new(Semaphore::new(self.width + MAX_WAITING)),
            turns: Arc::new(Semaphore::new(self.width)),
        });
        lanes.insert(origin.to_owned(), Arc::downgrade(&lane));
        lane
    }
}

/// A place in a queue.
#[derive(Debug)]
pub(super) struct Place {
    lane: Arc<Lane>,
    origin: String,
    waiting: Present,
    held: OwnedSemaphorePermit,
}

impl Place {
    /// Waits until it is this one's turn.
    ///
    /// # Cancel safety
    /// Dropping the future gives the place up.
    pub(super) async fn turn(self, metrics: &Metrics) -> Turn {
        let Self { lane, origin, waiting, held } = self;
        let turn = Arc::clone(&lane.turns).acquire_owned().await;
        let turn = turn.expect("the semaphore is never closed");
        drop(waiting);
        Turn { _running: metrics.fill_runs(&origin), _turn: turn, _held: held, _lane: lane }
    }
}

/// The right to fill, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _running: Present,
    _turn: OwnedSemaphorePermit,
    _held: OwnedSemaphorePermit,
    _lane: Arc<Lane>,
}

/// Fills of one origin that wait for their turn: more than the layers of a rack's images.
const MAX_WAITING: usize = 512;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_slow_origin_takes_its_own_turns_only() {
        let metrics = Arc::new(Metrics::new());
        let lanes = Lanes::new(1, Arc::clone(&metrics));
        let turn = |origin: &str| lanes.enter(origin).map(|place| place.turn(&metrics));
        let first = turn("slow").unwrap().now_or_never().expect("its turn");
        let mut second = Box::pin(turn("slow").unwrap());
        assert!(second.as_mut().now_or_never().is_none(), "one at a time");
        assert!(turn("other").unwrap().now_or_never().is_some());
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn a_full_queue_is_said_and_empties_again() {
        let lanes = Lanes::new(1, Arc::new(Metrics::new()));
        let places: Vec<_> = (0..=MAX_WAITING).map(|_| lanes.enter("a")).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(lanes.enter("a").is_none());
        assert!(lanes.enter("b").is_some());
        drop(places);
        assert!(lanes.enter("a").is_some());
    }
}
