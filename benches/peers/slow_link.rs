//! A relay in front of the upstream that makes it far away and counts what it sends.
//!
//! Each piece of data waits half a round trip in each direction, and a connection costs the round
//! trip that its handshake would. Bandwidth is not limited.

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

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

impl SlowLink {
    /// Relays to `upstream` with `round_trip` between the two.
    pub(crate) fn start(upstream: SocketAddr, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(upstream) {
                    relay(client, server, round_trip, &counter);
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

fn relay(client: TcpStream, server: TcpStream, round_trip: Duration, sent: &Arc<AtomicU64>) {
    let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    // Best effort: without it only small pieces would be later.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let one_way = round_trip / 2;
    let established = Instant::now() + round_trip;
    one_direction(client, to_server, one_way, established, Arc::default());
    one_direction(server, to_client, one_way, established, sent.clone());
}

fn one_direction(
    from: TcpStream,
    to: TcpStream,
    delay: Duration,
    not_before: Instant,
    count: Arc<AtomicU64>,
) {
    let (sender, receiver) = sync_channel(MAX_IN_FLIGHT);
    thread::spawn(move || read_pieces(from, delay, not_before, &sender));
    thread::spawn(move || write_pieces(to, &count, &receiver));
}

fn read_pieces(mut from: TcpStream, delay: Duration, not_before: Instant, to: &SyncSender<Piece>) {
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let due = Instant::now().max(not_before) + delay;
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

const PIECE: usize = 256 * 1024;

/// Pieces on their way in one direction of one connection.
const MAX_IN_FLIGHT: usize = 256;
