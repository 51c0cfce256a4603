//! Whether to ask again, and when.
//!
//! Everything the mirror asks is `GET` or `HEAD`, so everything may be asked again. It is worth it
//! after a connection error, a broken body and the statuses that pass (500, 502, 503, 504), and
//! after 429 or 503 when the upstream names a short time itself (`Retry-After`, RFC 9110, 10.2.3).
//! The waits grow and are jittered, so that the mirrors of a company do not come back in step.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use super::error::UpstreamError;
use crate::environment::Entropy;

/// An attempt that failed, and whether another one can help.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: UpstreamError,
    pub(super) retry: Retry,
}

/// When another attempt can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// When the upstream said.
    After(Duration),
    /// After a wait of our choice.
    Backoff,
    /// Not at all.
    Never,
}

impl Failure {
    /// A connection, a head or a body that failed on the way.
    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self { error: UpstreamError::unreachable(reason), retry: Retry::Backoff }
    }

    /// What `status` means when it says that the server, not the request, is at fault, or that we
    /// ask too often. `None` for every other status, 501 among them: that is an answer.
    pub(super) fn of_status(
        status: StatusCode,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Option<Self> {
        let named = retry_after(headers, now);
        let retry = match named {
            Some(wait) if wait <= LONGEST_WAIT => Retry::After(wait),
            Some(_) => Retry::Never,
            None => Retry::Backoff,
        };
        let mut error = UpstreamError::of_status(status);
        match &mut error {
            UpstreamError::RateLimited { retry_after } => *retry_after = named,
            UpstreamError::Unreachable { retry_after, .. } => {
                *retry_after = named.unwrap_or(*retry_after);
            }
            _ => return None,
        }
        let retry = match status.as_u16() {
            // A quota does not come back in a second by itself.
            429 if named.is_none() => Retry::Never,
            429 | 500 | 502 | 503 | 504 => retry,
            501 => return None,
            _ => Retry::Never,
        };
        Some(Self { error, retry })
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self { error, retry: Retry::Never }
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Schedule {
    started: Instant,
    failures: u32,
}

impl Schedule {
    pub(super) const fn new(now: Instant) -> Self {
        Self { started: now, failures: 0 }
    }

    /// How long to wait before the next attempt after a failure; `None` when there shall be none.
    pub(super) fn next(
        &mut self,
        retry: Retry,
        now: Instant,
        entropy: &dyn Entropy,
    ) -> Option<Duration> {
        let wait = match retry {
            Retry::After(named) => named.max(backoff(self.failures, entropy)),
            Retry::Backoff => backoff(self.failures, entropy),
            Retry::Never => return None,
        };
        self.failures += 1;
        let in_time = now.saturating_duration_since(self.started) + wait <= RETRY_TIME;
        (self.failures < ATTEMPTS && in_time).then_some(wait)
    }
}

/// Half of a wait that doubles with each failure, and by chance up to the other half.
pub(super) fn backoff(failures: u32, entropy: &dyn Entropy) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << failures.min(6));
    let half = whole / 2;
    half + Duration::from_millis(entropy.below(half.as_millis().try_into().unwrap_or(u64::MAX)))
}

/// The value of `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().ok()?)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_NAMED))
}

/// How often one call is tried.
const ATTEMPTS: u32 = 3;
/// How long after its start a call may begin another attempt.
const RETRY_TIME: Duration = Duration::from_secs(6);
/// The wait after the first failure, before jitter.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// A wait that an upstream names is kept up to here; beyond, the client hears of it instead.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// No upstream means more than this; a larger number is cut.
const LONGEST_NAMED: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::environment::{Clock, SystemClock, SystemEntropy};

    fn failure(status: u16, retry_after: Option<&str>) -> Option<Failure> {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        }
        Failure::of_status(StatusCode::from_u16(status).unwrap(), &headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_what_passes_is_worth_another_attempt() {
        for status in [500, 502, 503, 504] {
            assert_eq!(failure(status, None).unwrap().retry, Retry::Backoff, "{status}");
        }
        assert_eq!(failure(507, None).unwrap().retry, Retry::Never);
        for status in [200, 304, 400, 401, 403, 404, 405, 416, 501] {
            assert!(failure(status, None).is_none(), "{status}");
        }
    }

    #[test]
    fn a_named_wait_is_kept_when_it_is_short_and_told_when_it_is_long() {
        assert_eq!(failure(429, Some("2")).unwrap().retry, Retry::After(Duration::from_secs(2)));
        let long = failure(429, Some("60")).unwrap();
        assert_eq!(long.retry, Retry::Never);
        let retry_after = Some(Duration::from_secs(60));
        assert_eq!(long.error, UpstreamError::RateLimited { retry_after });
        assert_eq!(failure(429, None).unwrap().retry, Retry::Never);
        let date = failure(503, Some("Thu, 01 Jan 1970 00:00:03 GMT")).unwrap();
        assert_eq!(date.retry, Retry::After(Duration::from_secs(3)));
        assert_eq!(failure(503, Some("soon")).unwrap().retry, Retry::Backoff);
        assert_eq!(failure(503, Some("99999999999999999999")).unwrap().retry, Retry::Backoff);
    }

    #[test]
    fn attempts_are_bounded_in_number_and_in_time() {
        let start = SystemClock.instant();
        let mut schedule = Schedule::new(start);
        let first = schedule.next(Retry::Backoff, start, &SystemEntropy).unwrap();
        let second = schedule.next(Retry::Backoff, start, &SystemEntropy).unwrap();
        assert!(first >= FIRST_WAIT / 2 && first < FIRST_WAIT, "{first:?}");
        assert!(second >= FIRST_WAIT && second < FIRST_WAIT * 2, "{second:?}");
        assert_eq!(schedule.next(Retry::Backoff, start, &SystemEntropy), None);

        let mut slow = Schedule::new(start);
        assert_eq!(slow.next(Retry::Backoff, start + RETRY_TIME, &SystemEntropy), None);
        assert_eq!(Schedule::new(start).next(Retry::Never, start, &SystemEntropy), None);
    }

    proptest! {
        #[test]
        fn reading_a_wait_never_panics(text in "[ -~]{0,40}") {
            let _ = failure(429, Some(&text));
        }
    }
}
