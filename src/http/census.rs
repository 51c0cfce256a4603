//! Counts connections and requests, in all and by address.
//!
//! A connection takes a [`Seat`], a request on it a [`Turn`]; dropping them gives them back. The table
//! of addresses is locked when a connection comes or goes, never for a request: each seat holds the
//! counter of its address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Limits;

/// Who is here. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct Census {
    connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    addresses: Arc<Mutex<HashMap<IpAddr, Address>>>,
    limits: Limits,
}

/// One address, as long as it has a connection.
#[derive(Debug, Default)]
struct Address {
    connections: usize,
    requests: Arc<AtomicUsize>,
}

impl Census {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.connections)),
            requests: Arc::new(Semaphore::new(limits.requests)),
            addresses: Arc::default(),
            limits,
        }
    }

    /// Waits until there is room for a connection.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.connections).acquire_owned().await;
        room.expect("the semaphore is never closed")
    }

    /// Seats a connection from `address`; `None` when it has as many as it may.
    pub(super) fn seat(&self, address: IpAddr, room: OwnedSemaphorePermit) -> Option<Seat> {
        let address = network(address);
        let mut addresses = self.addresses();
        let entry = addresses.entry(address).or_default();
        if entry.connections >= self.limits.connections_per_address {
            return None;
        }
        entry.connections += 1;
        let requests = Arc::clone(&entry.requests);
        drop(addresses);
        Some(Seat { address, requests, census: self.clone(), _room: room })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, Address>> {
        self.addresses.lock().expect("nothing panics while it holds this lock")
    }
}

/// The right to hold a connection.
#[derive(Debug)]
pub(super) struct Seat {
    address: IpAddr,
    /// Requests in flight of this address.
    requests: Arc<AtomicUsize>,
    census: Census,
    _room: OwnedSemaphorePermit,
}

impl Seat {
    /// The right to be answered; `None` when too many are being answered already.
    pub(super) fn turn(&self) -> Option<Turn> {
        let all = Arc::clone(&self.census.requests).try_acquire_owned().ok()?;
        let turn = Turn { requests: Arc::clone(&self.requests), _all: all };
        let before = turn.requests.fetch_add(1, Ordering::Relaxed);
        (before < self.census.limits.requests_per_address).then_some(turn)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut addresses = self.census.addresses();
        let left = addresses.get_mut(&self.address).map_or(0, |entry| {
            entry.connections -= 1;
            entry.connections
        });
        if left == 0 {
            addresses.remove(&self.address);
        }
    }
}

/// The right of one request to be answered.
#[derive(Debug)]
pub(super) struct Turn {
    requests: Arc<AtomicUsize>,
    _all: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 client has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census(per_address: usize, requests: usize) -> Census {
        Census::new(Limits {
            connections: 3,
            connections_per_address: per_address,
            requests,
            requests_per_address: 2,
            ..Limits::default()
        })
    }

    async fn seat(census: &Census, address: &str) -> Option<Seat> {
        census.seat(address.parse().unwrap(), census.room().await)
    }

    #[tokio::test]
    async fn an_address_has_no_more_seats_than_it_may_and_gets_them_back() {
        let census = census(1, 10);
        let first = seat(&census, "192.0.2.1").await.unwrap();
        assert!(seat(&census, "192.0.2.1").await.is_none());
        assert!(seat(&census, "::ffff:192.0.2.1").await.is_none(), "the same address");
        let other = seat(&census, "192.0.2.2").await.unwrap();
        drop(first);
        assert!(seat(&census, "192.0.2.1").await.is_some());
        drop(other);
        assert!(census.addresses().is_empty(), "nothing is kept of who has left");
        assert_eq!(census.connections.available_permits(), 3);
    }

    #[tokio::test]
    async fn a_whole_v6_network_is_one_client() {
        let census = census(1, 10);
        let _first = seat(&census, "2001:db8:0:1::1").await.unwrap();
        assert!(seat(&census, "2001:db8:0:1:ffff::2").await.is_none());
        assert!(seat(&census, "2001:db8:0:2::1").await.is_some());
    }

    #[tokio::test]
    async fn requests_are_counted_by_address_and_in_all() {
        let census = census(2, 3);
        let (one, same) =
            (seat(&census, "192.0.2.1").await.unwrap(), seat(&census, "192.0.2.1").await.unwrap());
        let other = seat(&census, "192.0.2.2").await.unwrap();
        let turns = (one.turn().unwrap(), same.turn().unwrap());
        assert!(one.turn().is_none(), "the address has two");
        let third = other.turn().unwrap();
        assert!(other.turn().is_none(), "there are three in all");
        drop(turns);
        assert!(one.turn().is_some());
        drop(third);
        assert_eq!(census.requests.available_permits(), 3);
    }
}
