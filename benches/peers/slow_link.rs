//! A relay in front of the upstream that makes it far away or slow, and counts what it sends.
//!
//! Each piece of data waits half a round trip in each direction, and a connection costs the round
//! trip that its handshake would. A limited rate holds for each direction of each connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// A running relay. It lasts as long as this process.
#[derive(Debug)]
pub(crate) struct SlowLink {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
}

/// What lies between the upstream and who asks it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Distance {
    pub round_trip: Duration,
    /// Bytes a second; `None` for as fast as this machine is.
    pub rate: Option<u32>,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl SlowLink {
    /// Relays to `upstream` over some `distance`.
    pub(crate) fn start(upstream: SocketAddr, distance: Distance) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(upstream) {
                    relay(client, server, distance, &counter);
                }
            }
        });
        Ok(Self { address, sent })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that the upstream has sent through it, heads included.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

fn relay(client: TcpStream, server: TcpStream, distance: Distance, sent: &Arc<AtomicU64>) {
    let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    // Best effort: without it only small pieces would be later.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    one_direction((client, to_server), distance, Arc::default());
    one_direction((server, to_client), distance, sent.clone());
}

fn one_direction((from, to): (TcpStream, TcpStream), distance: Distance, count: Arc<AtomicU64>) {
    let (sender, receiver) = sync_channel(MAX_IN_FLIGHT);
    thread::spawn(move || read_pieces(from, distance, &sender));
    thread::spawn(move || write_pieces(to, &count, &receiver));
}

fn read_pieces(mut from: TcpStream, distance: Distance, to: &SyncSender<Piece>) {
    let mut buffer = vec![0; PIECE];
    // When the link has carried everything so far; the handshake comes first.
    let mut free = Instant::now() + distance.round_trip;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        free = free.max(Instant::now());
        if let Some(rate) = distance.rate {
            free += Duration::from_secs_f64(count as f64 / f64::from(rate));
        }
        let due = free + distance.round_trip / 2;
        if to.send(Piece { due, bytes: buffer[..count].to_vec() }).is_err() {
            return;
        }
    }
}

fn write_pieces(mut to: TcpStream, count: &AtomicU64, from: &Receiver<Piece>) {
    for piece in from {
        thread::sleep(piece.due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece.bytes).is_err() {
            return;
        }
        count.fetch_add(piece.bytes.len() as u64, Ordering::Relaxed);
    }
    // The other side closed; it may have done so already.
    let _ = to.shutdown(Shutdown::Write);
}

const PIECE: usize = 64 * 1024;

/// Pieces on their way in one direction of one connection.
const MAX_IN_FLIGHT: usize = 256;
