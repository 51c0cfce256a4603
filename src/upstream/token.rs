//! Bearer tokens: fetched from the realm, kept until shortly before they expire, fetched once for
//! all who wait.
//!
//! Docker's token protocol ("Token authentication specification"): `GET realm?service=..&scope=..`,
//! with Basic credentials where there are any. The service is the challenge's; the scope never is:
//! it is `repository:<name>:pull`, or with `push` where a person signs, so that no upstream can talk
//! the mirror into a token that may do more.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use http::{HeaderValue, Method, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{
    body::{Reading, Whole, refuse_encoded},
    error::UpstreamError,
    redirect::Ask,
    retry::Failure,
    wire::Wire,
};
use crate::{environment::Clock, oci::Repository};

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenRequest {
    /// Where to ask, already judged by [`super::realm::Realms`].
    pub(super) realm: Uri,
    /// The name that the upstream has there.
    pub(super) service: Option<String>,
    /// What shall be done.
    pub(super) scope: Scope,
}

/// What is to be done, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) repository: Repository,
    pub(super) access: Access,
}

/// What is to be done in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Reading, which is all that a mirror does.
    Pull,
    /// Writing, which needs reading too.
    Push,
}

impl Access {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "repository:{}:{}", self.repository, self.access.as_str())
    }
}

impl TokenRequest {
    fn url(&self) -> Result<Uri, UpstreamError> {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut url = self.realm.to_string();
        url.push(if self.realm.query().is_some() { '&' } else { '?' });
        if let Some(service) = &self.service {
            url.push_str(&format!("service={}&", encode(service)));
        }
        url.push_str(&format!("scope={}", encode(&self.scope.to_string())));
        url.parse().map_err(|_| UpstreamError::invalid("its token realm is too long"))
    }
}

/// A token, as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    header: HeaderValue,
    expires: Instant,
}

impl Token {
    /// The value of `Authorization`.
    pub(super) const fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

type Fetch = BoxFuture<'static, Result<Token, Failure>>;

#[derive(Debug)]
enum Slot {
    Ready(Token),
    /// Held weakly: when all who wait have gone, the request goes too.
    Fetching(WeakShared<Fetch>),
}

/// The tokens of one upstream.
#[derive(Debug)]
pub(super) struct Tokens {
    wire: Arc<Wire>,
    /// The Basic credentials for the realm, where there are any.
    credentials: Option<HeaderValue>,
    clock: Arc<dyn Clock>,
    slots: Mutex<HashMap<TokenRequest, Slot>>,
}

impl Tokens {
    pub(super) fn new(
        wire: Arc<Wire>,
        credentials: Option<HeaderValue>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { wire, credentials, clock, slots: Mutex::default() }
    }

    /// A token for `request` that is good for a while, and whether it was fetched for this call.
    ///
    /// # Cancel safety
    /// All who wait for one token poll the same future, so it goes on as long as one of them does.
    ///
    /// # Errors
    /// When the token server cannot be reached, refuses, or answers nonsense; the same for all who
    /// wait.
    pub(super) async fn token(&self, request: &TokenRequest) -> Result<(Token, bool), Failure> {
        let fetching = match self.look_up(request) {
            Ok(token) => return Ok((token, false)),
            Err(fetching) => fetching,
        };
        let outcome = fetching.await;
        let mut slots = self.lock();
        if matches!(slots.get(request), Some(Slot::Fetching(_))) {
            match &outcome {
                Ok(token) => slots.insert(request.clone(), Slot::Ready(token.clone())),
                Err(_) => slots.remove(request),
            };
        }
        drop(slots);
        outcome.map(|token| (token, true))
    }

    /// Forgets `token`, which the upstream did not accept.
    pub(super) fn forget(&self, request: &TokenRequest, token: &Token) {
        let mut slots = self.lock();
        if matches!(slots.get(request), Some(Slot::Ready(kept)) if kept == token) {
            slots.remove(request);
        }
    }

    /// The kept token, or the request that is or now gets on its way.
    fn look_up(&self, request: &TokenRequest) -> Result<Token, Shared<Fetch>> {
        let now = self.clock.instant();
        let mut slots = self.lock();
        match slots.get(request) {
            Some(Slot::Ready(token)) if token.expires > now => return Ok(token.clone()),
            Some(Slot::Fetching(fetching)) => {
                if let Some(fetching) = fetching.upgrade() {
                    return Err(fetching);
                }
            }
            Some(Slot::Ready(_)) | None => {}
        }
        if slots.len() >= MAX_TOKENS {
            slots.retain(|_, slot| matches!(slot, Slot::Fetching(_)));
        }
        let fetching = self.fetch(request.clone()).shared();
        if let Some(weak) = fetching.downgrade() {
            slots.insert(request.clone(), Slot::Fetching(weak));
        }
        Err(fetching)
    }

    fn fetch(&self, request: TokenRequest) -> Fetch {
        let (wire, clock) = (Arc::clone(&self.wire), Arc::clone(&self.clock));
        let credentials = self.credentials.clone();
        async move {
            let ask = Ask::new(Method::GET, request.url()?);
            let followed = wire.follow(&ask, credentials.as_ref()).await?;
            let (head, body) = followed.response.into_parts();
            if let Some(failure) = Failure::of_status(head.status, &head.headers, clock.now()) {
                return Err(failure);
            }
            if !head.status.is_success() {
                return Err(match UpstreamError::of_status(head.status) {
                    denied @ UpstreamError::Denied { .. } => denied,
                    _ => UpstreamError::invalid(format!(
                        "its token server answered with status {}",
                        head.status.as_u16()
                    )),
                }
                .into());
            }
            refuse_encoded(&head.headers)?;
            let bytes = Whole { limit: MAX_ANSWER_SIZE }.read(body, wire.timeouts()).await?;
            Ok(parse(&bytes, clock.instant())?)
        }
        .boxed()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenRequest, Slot>> {
        self.slots.lock().expect("nothing panics while it holds this lock")
    }
}

/// Reads a token server's answer, received at `now`.
fn parse(bytes: &[u8], now: Instant) -> Result<Token, UpstreamError> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        /// Seconds; some servers write a fraction, and one that makes no sense is as good as none.
        expires_in: Option<serde_json::Value>,
    }
    let unusable = || UpstreamError::invalid("its token server's answer has no usable token");
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| unusable())?;
    let text = answer
        .token
        .filter(|token| !token.is_empty())
        .or(answer.access_token)
        .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(unusable)?;
    let mut header = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| unusable())?;
    header.set_sensitive(true);
    let seconds = answer.expires_in.and_then(|value| value.as_f64()).unwrap_or_default();
    let (shortest, longest) = (SHORTEST_LIFE.as_secs_f64(), LONGEST_LIFE.as_secs_f64());
    let kept = Duration::from_secs_f64(seconds.clamp(shortest, longest)) - MARGIN;
    Ok(Token { header, expires: now + kept })
}

/// What a token server may send, in bytes. Real answers are below 10 KiB.
const MAX_ANSWER_SIZE: usize = 32 << 10;
/// Tokens that are kept; beyond, all are fetched anew.
const MAX_TOKENS: usize = 4096;
/// The life of a token that names none, which is also the least that the protocol allows.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// A token is asked for again after this long, whatever it says itself.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
/// How long before its end a token is no longer used, for clocks and slow requests.
const MARGIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SystemClock;

    fn request(realm: &'static str, service: Option<&str>) -> TokenRequest {
        TokenRequest {
            realm: Uri::from_static(realm),
            service: service.map(str::to_owned),
            scope: Scope { repository: "library/nginx".parse().unwrap(), access: Access::Pull },
        }
    }

    #[test]
    fn g47_the_scope_is_ours_and_pull_only() {
        let url = request("https://auth.test/token", Some("registry & co")).url().unwrap();
        assert_eq!(
            url,
            "https://auth.test/token?service=registry%20%26%20co&scope=repository%3Alibrary%2Fnginx%3Apull"
        );
        let url = request("https://auth.test/token?account=x", None).url().unwrap();
        assert!(url.to_string().ends_with("?account=x&scope=repository%3Alibrary%2Fnginx%3Apull"));
    }

    #[test]
    fn reads_both_spellings_and_bounds_the_lifetime() {
        let now = SystemClock.instant();
        let read = |text: &str| parse(text.as_bytes(), now);
        let life = |text: &str| read(text).unwrap().expires - now;
        assert_eq!(read(r#"{"token":"a.b-c"}"#).unwrap().header(), "Bearer a.b-c");
        assert_eq!(read(r#"{"token":"","access_token":"x"}"#).unwrap().header(), "Bearer x");
        assert_eq!(life(r#"{"token":"a"}"#), SHORTEST_LIFE - MARGIN);
        assert_eq!(life(r#"{"token":"a","expires_in":1}"#), SHORTEST_LIFE - MARGIN);
        assert_eq!(life(r#"{"token":"a","expires_in":300}"#), Duration::from_secs(290));
        for long in ["18446744073709551615", "1e300"] {
            let text = format!(r#"{{"token":"a","expires_in":{long}}}"#);
            assert_eq!(life(&text), LONGEST_LIFE - MARGIN);
        }
        for odd in ["-5", "null", r#""soon""#, "[]", "59.9"] {
            let text = format!(r#"{{"token":"a","expires_in":{odd}}}"#);
            assert_eq!(life(&text), SHORTEST_LIFE - MARGIN);
        }
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"token":""}"#,
            r#"{"token":"a b"}"#,
            r#"{"token":"a\r\nX: y"}"#,
            r#"{"token":7}"#,
            "<html></html>",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let token = parse(br#"{"token":"hunter2"}"#, SystemClock.instant()).unwrap();
        assert!(!format!("{token:?}{:?}", token.header()).contains("hunter2"));
    }
}
