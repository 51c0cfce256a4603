//! Pieces of files that the kernel moves into the socket itself: sendfile(2).
//!
//! hyper writes the bytes that a body gives it. A body that wants a piece of a file sent without two
//! copies through this process gives a *stand-in* instead: bytes of [`STAND_IN`], as many as the
//! piece has, while the piece waits in the [`Lane`] of its connection. hyper passes such bytes on
//! without reading them, and [`DirectSocket`], asked to write them, knows them by their address and
//! sends from the file.
//!
//! A stand-in that somebody copied on the way would have lost its address, and its zeros would go
//! out as content. hyper does not copy what it writes vectored (HTTP/1.1 on a plain socket, the only
//! place where this is used), but tenet 2 must not hang on that. So a flush fails while the lane
//! still holds something, since hyper flushes once it has written everything; and a body sends its
//! last byte in the ordinary way, and only when the lane is empty. Nobody can receive a blob with
//! zeros in it to its end.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// The pieces that one connection is about to send. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    /// A body that waits until there are none.
    body: Option<Waker>,
}

/// A part of a file that is still to be sent.
#[derive(Debug)]
struct Piece {
    file: Arc<File>,
    position: u64,
    length: usize,
}

impl Lane {
    /// Takes `length` bytes of `file`, [`MAX_PIECE`] at most; returns what stands in for them.
    pub(super) fn put(&self, file: &Arc<File>, position: u64, length: u64) -> Bytes {
        let length = usize::try_from(length).unwrap_or(MAX_PIECE).min(MAX_PIECE);
        self.waiting().pieces.push_back(Piece { file: Arc::clone(file), position, length });
        Bytes::from_static(&STAND_IN[..length])
    }

    /// Waits until everything on the lane is sent.
    pub(super) fn poll_empty(&self, context: &Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting();
        if waiting.pieces.is_empty() {
            return Poll::Ready(());
        }
        waiting.body = Some(context.waker().clone());
        Poll::Pending
    }

    /// Sends the beginning of the first piece, at most `wanted` bytes, as far as the socket takes it.
    fn send(&self, socket: &TcpStream, wanted: usize) -> io::Result<usize> {
        let mut waiting = self.waiting();
        let piece = waiting.pieces.front_mut().ok_or_else(out_of_step)?;
        let length = wanted.min(piece.length);
        // Moves `position` on by what was sent.
        let sent = rustix::fs::sendfile(socket, &piece.file, Some(&mut piece.position), length)?;
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends before the blob",
            ));
        }
        piece.length -= sent;
        if piece.length == 0 {
            waiting.pieces.pop_front();
        }
        if waiting.pieces.is_empty()
            && let Some(body) = waiting.body.take()
        {
            body.wake();
        }
        Ok(sent)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds this lock")
    }
}

/// A socket that knows stand-ins.
#[derive(Debug)]
pub(super) struct DirectSocket {
    socket: TcpStream,
    lane: Lane,
}

impl DirectSocket {
    pub(super) const fn new(socket: TcpStream, lane: Lane) -> Self {
        Self { socket, lane }
    }

    fn poll_send(&self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(context))?;
            let send = || self.lane.send(&self.socket, wanted);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for DirectSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for DirectSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if stands_in(bytes) {
            return self.poll_send(context, bytes.len());
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    /// Writes up to the first stand-in, or sends what that stands for.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let ordinary = slices.iter().position(|slice| stands_in(slice)).unwrap_or(slices.len());
        match slices.get(ordinary) {
            Some(stand_in) if slices[..ordinary].iter().all(|slice| slice.is_empty()) => {
                self.poll_send(context, stand_in.len())
            }
            _ => Pin::new(&mut self.socket).poll_write_vectored(context, &slices[..ordinary]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.lane.waiting().pieces.is_empty() {
            return Poll::Ready(Err(out_of_step()));
        }
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

fn stands_in(bytes: &[u8]) -> bool {
    !bytes.is_empty() && STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

fn out_of_step() -> io::Error {
    io::Error::other("what is written and what is to be sent are not the same")
}

/// The bytes of one piece, at most. A client that reads slowly holds none of them in memory.
pub(super) const MAX_PIECE: usize = 1 << 20;

/// Never read and never written: it costs addresses, not memory.
static STAND_IN: [u8; MAX_PIECE] = [0; MAX_PIECE];

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn sockets() -> (Lane, DirectSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let lane = Lane::default();
        (lane.clone(), DirectSocket::new(server, lane), client)
    }

    fn file(length: usize) -> (Arc<File>, Vec<u8>) {
        let content: Vec<u8> = (0..length).map(|position| (position % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        (Arc::new(file), content)
    }

    #[tokio::test]
    async fn stand_ins_become_their_pieces_in_order() {
        let (lane, mut socket, mut client) = sockets().await;
        let (file, content) = file(3 * MAX_PIECE);
        let first = lane.put(&file, 10, u64::MAX);
        let second = lane.put(&file, 7, 5_000);
        assert_eq!((first.len(), second.len()), (MAX_PIECE, 5_000));
        let mut queue = [
            Bytes::from_static(b"head"),
            first,
            Bytes::from_static(b"between"),
            second,
            Bytes::from_static(b"tail"),
        ];
        let sending = tokio::spawn(async move {
            while queue.iter().any(|bytes| !bytes.is_empty()) {
                let slices: Vec<_> = queue.iter().map(|bytes| IoSlice::new(bytes)).collect();
                let mut written = socket.write_vectored(&slices).await.unwrap();
                for bytes in &mut queue {
                    written -= bytes.split_to(written.min(bytes.len())).len();
                }
            }
            socket.flush().await.unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        sending.await.unwrap();
        let wanted =
            [b"head", &content[10..10 + MAX_PIECE], b"between", &content[7..5_007], b"tail"];
        assert!(received == wanted.concat());
    }

    #[tokio::test]
    async fn a_stand_in_that_was_copied_is_noticed() {
        let (lane, mut socket, _client) = sockets().await;
        let (file, _) = file(1_000);
        let copy = lane.put(&file, 0, 1_000).to_vec();
        socket.write_all(&copy).await.unwrap();
        assert!(socket.flush().await.is_err());
        std::future::poll_fn(|context| {
            assert!(lane.poll_empty(context).is_pending(), "the last byte is never sent");
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_stand_in_for_nothing_sends_nothing() {
        let (lane, mut socket, _client) = sockets().await;
        let (file, _) = file(10);
        let stand_in = lane.put(&file, 0, 10);
        assert_eq!(socket.write(&stand_in).await.unwrap(), 10);
        assert!(socket.write(&stand_in).await.is_err());
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error() {
        let (lane, mut socket, _client) = sockets().await;
        let (file, _) = file(10);
        let stand_in = lane.put(&file, 4, 10);
        assert_eq!(socket.write(&stand_in).await.unwrap(), 6);
        assert!(socket.write(&stand_in[6..]).await.is_err());
    }
}
