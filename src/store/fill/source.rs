//! Where a fill's bytes come from.

use std::fmt;

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};

use crate::store::error::SourceError;

/// Somewhere that content can be fetched from, at any position.
///
/// The store sets no deadlines: a source that hears nothing from its peer for too long ends its
/// stream with an error. It asks once per fill; to try again is the source's own business.
pub trait FillSource: Send + Sync + fmt::Debug {
    /// Opens the content at byte `from`.
    fn open(&self, from: u64) -> BoxFuture<'static, Result<FillStream, SourceError>>;

    /// Whom it asks. The fills of one origin take turns; those of another do not wait for them.
    fn origin(&self) -> &str;
}

/// Content from some position to its end.
pub struct FillStream {
    /// The position of the first byte of `body`. A source that cannot start where it was asked to
    /// starts earlier; what is already there is then dropped.
    pub from: u64,
    /// The length of the whole content in bytes, if the source says it.
    pub size: Option<u64>,
    /// The bytes.
    pub body: BoxStream<'static, Result<Bytes, SourceError>>,
}

impl fmt::Debug for FillStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FillStream")
            .field("from", &self.from)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
