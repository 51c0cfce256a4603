//! What asking an upstream can end with. What an upstream wrote in its error bodies is not part of
//! it: that goes to the log, cut, and never to a client.

use std::{error::Error, time::Duration};

use http::StatusCode;

use crate::{oci::Digest, tls::TlsError};

/// Why an upstream gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It does not let us: 403, or 401 after the token flow.
    #[error("the upstream denies access (status {status})")]
    Denied {
        /// Its status, or that of its token server.
        status: u16,
    },
    /// It sent other bytes than the digest names.
    #[error("the upstream sent other bytes than {digest} names")]
    Integrity {
        /// What the bytes should have hashed to.
        digest: Digest,
    },
    /// It answered, and the answer makes no sense or must not be followed.
    #[error("the upstream's answer cannot be used: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// It sent more than anyone needs.
    #[error("the upstream's answer is too large: {reason}")]
    Limit {
        /// Which bound was reached.
        reason: String,
    },
    /// It does not have it.
    #[error("the upstream does not have it")]
    NotFound,
    /// Nobody is asked: the mirror is offline, and was never brought it.
    #[error("the mirror is offline and does not have it")]
    Offline,
    /// It wants to be asked less often.
    #[error("the upstream limits how often it may be asked")]
    RateLimited {
        /// When it wants to be asked again, where it says so.
        retry_after: Option<Duration>,
    },
    /// It cannot be reached, does not answer in time, breaks off or is broken: a connection error,
    /// a timeout, 5xx, or the breaker is open.
    #[error("the upstream cannot be reached: {reason}")]
    Unreachable {
        /// What failed.
        reason: String,
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

impl UpstreamError {
    /// Whether the upstream could not be asked, as opposed to saying no: another time the answer may
    /// be another, and what was known before stands until then.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::Limit { .. }
            | Self::RateLimited { .. }
            | Self::Unreachable { .. } => true,
            Self::Denied { .. } | Self::Integrity { .. } | Self::NotFound | Self::Offline => false,
        }
    }

    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid { reason: reason.into() }
    }

    pub(super) fn limit(reason: impl Into<String>) -> Self {
        Self::Limit { reason: reason.into() }
    }

    pub(super) fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable { reason: reason.into(), retry_after: RETRY_AFTER }
    }

    /// What a status other than success means, whatever was asked for.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Self::Denied { status: status.as_u16() }
            }
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { retry_after: None },
            status if status.is_server_error() => {
                Self::unreachable(format!("it answered with status {}", status.as_u16()))
            }
            status => Self::invalid(format!("it has status {}", status.as_u16())),
        }
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// The user name or the password cannot be sent.
    #[error("`username` must not have a colon, nor may it or the password have control characters")]
    Credentials,
    /// An entry of `realms` is no host.
    #[error("`realms`: `{entry}` is not a host with an optional port, such as `auth.example`")]
    Realm {
        /// The entry.
        entry: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The innermost cause of `error`, which is the one that says something.
pub(super) fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    error.source().map_or(error, root_cause)
}

/// When a client may ask again after a failure that says nothing about it.
const RETRY_AFTER: Duration = Duration::from_secs(5);
