//! Asking the admin listener of a running mirror.
//!
//! Plain HTTP/1.1 over loopback, one request for each connection: an archive of any size passes
//! through one buffer.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    str::FromStr,
};

use crate::cli::CliError;

/// Where an admin listener is: `127.0.0.1:5001` or `http://127.0.0.1:5001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress(String);

impl FromStr for ServerAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self(authority.to_owned()))
            }
            _ => Err("name a host and a port, such as `127.0.0.1:5001`"),
        }
    }
}

impl ServerAddress {
    /// The answer to `GET path`.
    ///
    /// # Errors
    /// When the mirror does not answer, or answers that it cannot.
    pub(super) fn fetch(&self, path: &str) -> Result<String, CliError> {
        let asked = self.connect().and_then(|mut stream| {
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.0)?;
            answer(stream)
        });
        self.understood(asked)
    }

    /// The answer to `content` sent to `path` as a tar stream.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub(super) fn send(&self, path: &str, content: &mut dyn Read) -> Result<String, CliError> {
        let asked = self.connect().and_then(|mut stream| {
            write!(
                stream,
                "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {TAR}\r\nTransfer-Encoding: chunked\r\n\r\n",
                self.0
            )?;
            let sent = send_chunks(&stream, content);
            match sent {
                // A mirror that has heard enough says why before it hangs up.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe
                    && error.kind() != io::ErrorKind::ConnectionReset => Err(error),
                _ => answer(stream),
            }
        });
        self.understood(asked)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(&self.0)
    }

    fn understood(&self, asked: io::Result<(u16, String)>) -> Result<String, CliError> {
        match asked {
            Ok((200, text)) => Ok(text),
            Ok((status, text)) => Err(CliError::Failed(format!(
                "the mirror at `{}` answers {status}: {}",
                self.0,
                text.trim_end()
            ))),
            Err(error) => Err(CliError::Failed(format!(
                "cannot ask the mirror at `{}`: {error}. Name its admin listener",
                self.0
            ))),
        }
    }
}

/// RFC 9112, 7.1, "Chunked Transfer Coding".
fn send_chunks(mut stream: &TcpStream, content: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match content.read(&mut buffer)? {
            0 => return stream.write_all(b"0\r\n\r\n"),
            read => {
                write!(stream, "{read:x}\r\n")?;
                stream.write_all(&buffer[..read])?;
                stream.write_all(b"\r\n")?;
            }
        }
    }
}

/// The status and the text of an answer that ends with its connection.
fn answer(stream: TcpStream) -> io::Result<(u16, String)> {
    let mut reader = BufReader::new(stream.take(MAX_ANSWER));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("what it says is no HTTP"))?;
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    Ok((status, text))
}

const TAR: &str = "application/x-tar";
const BUFFER: usize = 256 << 10;
/// Bytes of an answer: some hundred thousand images.
const MAX_ANSWER: u64 = 256 << 20;
