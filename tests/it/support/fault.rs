//! The ways in which the scripted upstream can misbehave.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use tokio::sync::watch;

/// A body on its way to the mirror; an error cuts the connection.
pub(crate) type UpstreamBody = UnsyncBoxBody<Bytes, io::Error>;

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This answer instead of the honest one.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Bytes },
    /// The connection closes without an answer.
    Cut,
    /// The honest answer, late.
    Delay(Duration),
    /// The honest body in small pieces, with a pause after each.
    Drip { piece: usize, every: Duration },
    /// A chunked body that never ends.
    Endless,
    /// No answer at all, on an open connection.
    Hang,
    /// The honest answer with this header set.
    Header(&'static str, String),
    /// The honest headers and the first `after` bytes; the rest once the gate opens.
    Hold { after: usize, gate: Gate },
    /// Other bytes than the honest ones, under the honest headers.
    Instead(Bytes),
    /// This status, once the gate opens.
    Late { gate: Gate, status: u16 },
    /// The honest headers and the first bytes of the body, then the connection closes.
    Truncate(usize),
}

impl Fault {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn redirect(target: &str) -> Self {
        let headers = vec![("location", target.to_owned())];
        Self::Answer { status: 307, headers, body: Bytes::new() }
    }

    /// What a login page, a captive portal or a proxy says, with status 200.
    pub(crate) fn html() -> Self {
        let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
        let body = Bytes::from_static(b"<!DOCTYPE html><title>Sign in</title><p>Hello.</p>");
        Self::Answer { status: 200, headers, body }
    }

    pub(crate) fn json(media_type: &str, value: &serde_json::Value) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self::Answer { status: 200, headers, body: value.to_string().into() }
    }

    /// Turns the honest answer into the faulty one; `None` closes the connection.
    pub(crate) async fn apply(self, honest: Response<Bytes>) -> Option<Response<UpstreamBody>> {
        let (mut parts, body) = honest.into_parts();
        let length = body.len();
        let pieces = match self {
            Self::Cut => return None,
            Self::Hang => std::future::pending().await,
            Self::Delay(delay) => {
                tokio::time::sleep(delay).await;
                whole(body)
            }
            Self::Late { gate, status } => {
                gate.passed().await;
                parts.status = StatusCode::from_u16(status).expect("a test knows its statuses");
                return Some(sized(Response::from_parts(parts, Bytes::new())));
            }
            Self::Answer { status, headers, body } => {
                parts.headers.clear();
                parts.status = StatusCode::from_u16(status).expect("a test knows its statuses");
                for (name, value) in headers {
                    parts.headers.insert(name, value.parse().expect("fit for a header"));
                }
                return Some(sized(Response::from_parts(parts, body)));
            }
            Self::Header(name, value) => {
                parts.headers.insert(name, value.parse().expect("fit for a header"));
                return Some(sized(Response::from_parts(parts, body)));
            }
            Self::Instead(other) => return Some(sized(Response::from_parts(parts, other))),
            Self::Drip { piece, every } => drip(&body, piece, every),
            Self::Endless => return Some(Response::from_parts(parts, boxed(endless()))),
            Self::Hold { after, gate } => hold(&body, after, gate),
            Self::Truncate(after) => truncated(&body, after),
        };
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        Some(Response::from_parts(parts, boxed(pieces)))
    }
}

/// What holds a body back until a test lets it go.
#[derive(Clone, Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn passed(self) {
        let mut state = self.0.subscribe();
        let _ = state.wait_for(|open| *open).await;
    }
}

/// `answer` with its length told, unless a header says another one already.
pub(crate) fn sized(answer: Response<Bytes>) -> Response<UpstreamBody> {
    let (mut parts, body) = answer.into_parts();
    parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(body.len()));
    Response::from_parts(parts, boxed(whole(body)))
}

type Pieces = stream::BoxStream<'static, io::Result<Bytes>>;

fn boxed(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> UpstreamBody {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

fn whole(body: Bytes) -> Pieces {
    stream::iter([Ok(body)]).boxed()
}

fn truncated(body: &Bytes, after: usize) -> Pieces {
    let start = body.slice(..after.min(body.len()));
    let cut = io::Error::new(io::ErrorKind::ConnectionReset, "cut by the script");
    // The pause lets the first piece reach the wire before the connection goes.
    let end = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(cut)
    });
    stream::iter([Ok(start)]).chain(end).boxed()
}

fn hold(body: &Bytes, after: usize, gate: Gate) -> Pieces {
    let after = after.min(body.len());
    let (start, rest) = (body.slice(..after), body.slice(after..));
    let rest = stream::once(async {
        gate.passed().await;
        Ok(rest)
    });
    stream::iter([Ok(start)]).chain(rest).boxed()
}

fn drip(body: &Bytes, piece: usize, every: Duration) -> Pieces {
    let pieces: Vec<_> = body.chunks(piece).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces)
        .then(move |piece| async move {
            tokio::time::sleep(every).await;
            Ok(piece)
        })
        .boxed()
}

fn endless() -> Pieces {
    stream::repeat_with(|| Ok(Bytes::from_static(&[b' '; 16 << 10]))).boxed()
}
