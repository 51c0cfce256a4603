//! Single flight: many callers, one piece of work, one answer for all.
//!
//! The work is a task of its own, so it ends whether or not its first caller stays: one client that
//! gives up never fails the others. The answer is cloned to everybody who waited; nothing is kept
//! after that.

use std::{collections::HashMap, fmt, hash::Hash, sync::Mutex};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::sync::oneshot;

/// The work under way, by key.
pub(super) struct Flights<K, V> {
    running: std::sync::Arc<Running<K, V>>,
}

type Answer<V> = Shared<BoxFuture<'static, Option<V>>>;
type Running<K, V> = Mutex<HashMap<K, Answer<V>>>;

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { running: std::sync::Arc::default() }
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer of the work under way for `key`, or of `work` started now. `None` when the work
    /// panicked.
    ///
    /// # Cancel safety
    /// Dropping the returned future stops waiting; the work goes on.
    pub(super) async fn run<F>(&self, key: K, work: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let answer = {
            let mut running = self.running.lock().expect("nothing panics while it holds this lock");
            match running.get(&key) {
                Some(answer) => answer.clone(),
                None => {
                    let answer = self.start(key.clone(), work());
                    running.insert(key, answer.clone());
                    answer
                }
            }
        };
        answer.await
    }

    fn start<F>(&self, key: K, work: F) -> Answer<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let landing = Landing { running: self.running.clone(), key };
        tokio::spawn(async move {
            let answer = work.await;
            // Off the board first: whoever comes after the answer starts anew.
            drop(landing);
            let _ = sender.send(answer);
        });
        receiver.map(Result::ok).boxed().shared()
    }
}

/// Takes the work off the board, also when it panics.
struct Landing<K: Eq + Hash, V> {
    running: std::sync::Arc<Running<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        if let Ok(mut running) = self.running.lock() {
            running.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_callers_share_one_piece_of_work_that_outlives_the_first() {
        let flights = Arc::new(Flights::<u8, u32>::default());
        let (runs, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let call = || {
            let (flights, runs, gate) = (flights.clone(), runs.clone(), gate.clone());
            tokio::spawn(async move {
                let work = || async move {
                    gate.notified().await;
                    runs.fetch_add(1, Ordering::SeqCst) + 1
                };
                flights.run(1, work).await
            })
        };
        let first = call();
        tokio::task::yield_now().await;
        let others = [call(), call(), call()];
        tokio::task::yield_now().await;
        first.abort();
        gate.notify_one();
        for other in others {
            assert_eq!(other.await.unwrap(), Some(1));
        }
        gate.notify_one();
        assert_eq!(call().await.unwrap(), Some(2), "nothing is kept after the answer");
    }

    #[tokio::test]
    async fn work_that_panics_frees_its_waiters_and_its_key() {
        let flights = Flights::<u8, u32>::default();
        assert_eq!(flights.run(1, || async { panic!("on purpose") }).await, None);
        assert_eq!(flights.run(1, || async { 7 }).await, Some(7));
    }
}
