//! A blocking HTTP/1.1 client that costs little, since it shares two cores with what it measures:
//! one connection, one request at a time, bodies with a `Content-Length`, bytes thrown away.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Where to connect, and whether to speak TLS there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// A server that speaks plain HTTP.
    pub(crate) const fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Waits until `path` is answered with 200.
    pub(crate) fn wait_until_ready(&self, path: &str, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let answered =
                Connection::open(self).and_then(|mut connection| connection.get(path, &[]));
            if answered.is_ok_and(|head| head.status == 200) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{} did not answer `{path}` in {patience:?}",
                self.address
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    host: String,
    /// What was read beyond the last head.
    ahead: Vec<u8>,
}

/// The part of an answer before its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub status: u16,
    pub length: u64,
    pub location: Option<String>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects, and finishes the TLS handshake where there is one.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        let socket = TcpStream::connect(target.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let stream = match &target.tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                let session = ClientConnection::new(config.clone(), name)?;
                let mut stream = StreamOwned::new(session, socket);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Self { stream, host: target.address.to_string(), ahead: Vec::new() })
    }

    /// Sends a `GET` and reads the head of its answer.
    pub(crate) fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Head> {
        self.send("GET", path, headers, (&mut io::empty(), 0))?;
        self.read_head()
    }

    /// Sends a request whose body is the next `length` bytes of `body`.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        (body, length): (&mut dyn Read, u64),
    ) -> Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n")?;
        }
        if method != "GET" {
            write!(request, "Content-Length: {length}\r\n")?;
        }
        request.push_str("\r\n");
        self.stream.write_all(request.as_bytes())?;
        ensure!(io::copy(&mut body.take(length), &mut self.stream)? == length, "short body");
        self.stream.flush()?;
        Ok(())
    }

    /// Reads up to the empty line.
    pub(crate) fn read_head(&mut self) -> Result<Head> {
        let mut received = std::mem::take(&mut self.ahead);
        let end = loop {
            if let Some(end) = find(&received, b"\r\n\r\n") {
                break end + 4;
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk)?;
            ensure!(count > 0 && received.len() < MAX_HEAD, "the answer has no end of its head");
            received.extend_from_slice(&chunk[..count]);
        };
        self.ahead = received.split_off(end);
        parse_head(std::str::from_utf8(&received)?)
    }

    /// Reads the body of `head` through `buffer`, showing each piece to `see`.
    pub(crate) fn read_body(
        &mut self,
        head: &Head,
        buffer: &mut [u8],
        mut see: impl FnMut(&[u8]),
    ) -> Result<()> {
        let mut left = head.length;
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            left =
                left.checked_sub(ahead.len() as u64).context("more than the announced length")?;
            see(&ahead);
        }
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = self.stream.read(&mut buffer[..most])?;
            ensure!(count > 0, "the body ended {left} bytes early");
            left -= count as u64;
            see(&buffer[..count]);
        }
        Ok(())
    }

    /// `GET`s a small document whole; anything but 200 is an error that shows the answer.
    pub(crate) fn fetch(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Vec<u8>> {
        let head = self.get(path, headers)?;
        let mut body = Vec::new();
        self.read_body(&head, &mut [0; 8192], |piece| body.extend_from_slice(piece))?;
        if head.status != 200 {
            bail!("`{path}` at {}: {} {}", self.host, head.status, String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn parse_head(text: &str) -> Result<Head> {
    let mut lines = text.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let mut head = Head { status, length: 0, location: None };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.trim().parse()?;
        } else if name.eq_ignore_ascii_case("location") {
            head.location = Some(value.trim().to_owned());
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer is chunked, which this client does not read");
        }
    }
    Ok(head)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
