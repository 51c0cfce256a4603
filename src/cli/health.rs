//! `portcullis health`: whether a mirror is ready, for container runtimes and scripts.
//!
//! One plain HTTP/1.1 request to the admin listener, which is never TLS. No library client: the
//! answer's first line is all that counts, and the container's health check starts a process for it
//! every few seconds.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use clap::Args;

use super::{
    failure::{CliError, Exit},
    output::Output,
    shared::Shared,
};
use crate::{
    config::{self, Variables},
    oci::{ImageName, Reference},
};

/// Asks a running mirror whether it is ready.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis health
  portcullis health http://127.0.0.1:5001

Exits with 0 when the mirror is ready, else with 1.")]
pub struct Health {
    /// The mirror's admin listener; else the one of the configuration
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    shared: Shared,
}

impl Health {
    /// Asks.
    pub(super) fn run(&self, variables: Variables, output: &mut Output) -> Result<Exit, CliError> {
        let authority = match &self.url {
            Some(url) => authority_of(url)?,
            None => self.configured(variables)?,
        };
        match ask(&authority, &READY) {
            Ok(line) if is_success(&line) => {
                output.line(format_args!("ready: http://{authority}{READY_PATH}"))?;
                Ok(Exit::Success)
            }
            Ok(line) => {
                output.note(format_args!(
                    "not ready: http://{authority}{READY_PATH} answered `{line}`"
                ));
                Ok(Exit::No)
            }
            Err(error) => {
                output.note(format_args!("not ready: http://{authority}{READY_PATH}: {error}"));
                Ok(Exit::No)
            }
        }
    }

    fn configured(&self, variables: Variables) -> Result<String, CliError> {
        let loaded = config::load(&self.shared.request(variables))?;
        match loaded.config.listen.admin {
            Some(address) => Ok(reachable(address).to_string()),
            None => Err(CliError::Usage(
                "the admin listener is off: nothing can be asked. Set `listen.admin`, or name a URL"
                    .to_owned(),
            )),
        }
    }
}

/// Host and port in an `http://` URL.
fn authority_of(url: &str) -> Result<String, CliError> {
    let usage = || CliError::Usage(format!("`{url}` is not a URL such as `http://127.0.0.1:5001`"));
    let rest = url.strip_prefix("http://").ok_or_else(usage)?;
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match authority {
        "" => Err(usage()),
        _ if has_port => Ok(authority.to_owned()),
        _ => Ok(format!("{authority}:80")),
    }
}

/// A listener on every address is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            ([0, 0, 0, 0, 0, 0, 0, 1], v6.port()).into()
        }
        address => address,
    }
}

/// Has the mirror whose operator's listener is at `admin` look again at an image.
///
/// # Errors
/// When nobody is there, or it cannot.
pub(super) fn recheck(
    admin: SocketAddr,
    image: &ImageName,
    reference: &Reference,
) -> Result<(), CliError> {
    let admin = reachable(admin).to_string();
    let target = format!("/v1/verify?image={image}&reference={reference}");
    let answer = ask(&admin, &Asked { method: "POST", target: &target, patience: RECHECK_TIME });
    let told = |what: String| CliError::Failed(format!("the mirror at `{admin}` {what}"));
    let line = answer.map_err(|error| told(format!("cannot be asked to look again: {error}")))?;
    if is_success(&line) {
        return Ok(());
    }
    Err(told(format!("could not look again: it answered `{line}`")))
}

/// A request, and how long its answer may take to begin.
struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    patience: Duration,
}

/// The first line of the answer.
fn ask(authority: &str, request: &Asked<'_>) -> io::Result<String> {
    let Asked { method, target, patience } = request;
    let address = authority.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(*patience))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_LINE_LENGTH)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn is_success(line: &str) -> bool {
    line.strip_prefix("HTTP/1.1 ").is_some_and(|rest| rest.starts_with("200"))
}

const READY_PATH: &str = "/readyz";
const READY: Asked<'_> = Asked { method: "GET", target: READY_PATH, patience: TIMEOUT };
/// For a look at an upstream, which has a deadline of its own below this.
const RECHECK_TIME: Duration = Duration::from_secs(60);
/// For the connection, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(3);
/// No status line is longer, in bytes.
const MAX_LINE_LENGTH: u64 = 1024;

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    /// What `health` says about a server that answers with `answer`.
    fn asked(answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // A socket closed with something unread takes its answer along.
            let request = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(request.map_while(Result::ok).any(|line| line.is_empty()));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let ready = ask(&authority, &READY).is_ok_and(|line| is_success(&line));
        server.join().unwrap();
        ready
    }

    #[test]
    fn only_200_is_ready() {
        assert!(asked("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!asked("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert!(!asked("nonsense\r\n"));
        assert!(!asked(""));
    }

    #[test]
    fn reads_urls() {
        assert_eq!(authority_of("http://a.test:1/x").unwrap(), "a.test:1");
        assert_eq!(authority_of("http://a.test").unwrap(), "a.test:80");
        for bad in ["", "a.test", "https://a.test", "http:///x"] {
            assert!(authority_of(bad).is_err(), "{bad}");
        }
    }
}
