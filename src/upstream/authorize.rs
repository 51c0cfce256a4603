//! What is sent as `Authorization`, and what a challenge leads to.
//!
//! Nothing at first: most images are public. A challenge teaches the scheme, which is then used at
//! once for other repositories, so that only the first request of an upstream meets a 401. What is
//! learned is never the credentials' destination alone: each realm is judged before it is kept.

use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Uri};

use super::{
    challenge::Challenge,
    error::{UpstreamError, UpstreamSetupError},
    realm::Realms,
    retry::Failure,
    settings::Credentials,
    token::{Scope, Token, TokenRequest, Tokens},
    wire::Wire,
};
use crate::environment::Environment;

/// The authorizations of one upstream.
#[derive(Debug)]
pub(super) struct Authorizer {
    realms: Realms,
    basic: Option<HeaderValue>,
    tokens: Tokens,
    learned: Mutex<Option<Scheme>>,
}

/// How an upstream wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: Uri, service: Option<String> },
}

/// What one request carries.
#[derive(Clone, Debug)]
pub(super) enum Authorization {
    Basic(HeaderValue),
    Bearer {
        request: TokenRequest,
        token: Token,
        /// Whether the token was fetched for this very call: then another one will not do better.
        is_new: bool,
    },
}

impl Authorization {
    /// The value of the header.
    pub(super) const fn header(&self) -> &HeaderValue {
        match self {
            Self::Basic(header) => header,
            Self::Bearer { token, .. } => token.header(),
        }
    }
}

impl Authorizer {
    /// # Errors
    /// When the credentials cannot be written as Basic authentication (RFC 7617, 2).
    pub(super) fn new(
        wire: Arc<Wire>,
        realms: Realms,
        credentials: Option<&Credentials>,
        environment: &Environment,
    ) -> Result<Self, UpstreamSetupError> {
        let basic = credentials.map(basic).transpose()?;
        let tokens = Tokens::new(wire, basic.clone(), Arc::clone(&environment.clock));
        Ok(Self { realms, basic, tokens, learned: Mutex::default() })
    }

    /// What a first request within `scope` carries: what the upstream asked for last time.
    ///
    /// # Errors
    /// When no token can be had.
    pub(super) async fn first(&self, scope: &Scope) -> Result<Option<Authorization>, Failure> {
        let learned = self.learned.lock().expect("nothing panics while it holds this lock").clone();
        match learned {
            Some(scheme) => self.by(scheme, scope).await,
            None => Ok(None),
        }
    }

    /// What to carry after the upstream answered a request that carried `used` with 401 and
    /// `headers`; `None` when there is nothing better than that.
    ///
    /// # Errors
    /// When the challenge must not be followed, or no token can be had.
    pub(super) async fn answer(
        &self,
        headers: &HeaderMap,
        scope: &Scope,
        used: Option<&Authorization>,
    ) -> Result<Option<Authorization>, Failure> {
        let challenges =
            Challenge::all(headers).map_err(|error| UpstreamError::invalid(error.to_string()))?;
        let Some(scheme) = self.choose(&challenges)? else { return Ok(None) };
        match (used, &scheme) {
            (Some(Authorization::Basic(_)), Scheme::Basic) => return Ok(None),
            (Some(Authorization::Bearer { request, token, is_new }), scheme) => {
                self.tokens.forget(request, token);
                if *is_new && *scheme == Scheme::of(request) {
                    return Ok(None);
                }
            }
            _ => {}
        }
        *self.learned.lock().expect("nothing panics while it holds this lock") =
            Some(scheme.clone());
        self.by(scheme, scope).await
    }

    /// Forgets `used`, which the upstream refused although it had asked for it.
    pub(super) fn forget(&self, used: &Authorization) {
        if let Authorization::Bearer { request, token, .. } = used {
            self.tokens.forget(request, token);
        }
    }

    async fn by(&self, scheme: Scheme, scope: &Scope) -> Result<Option<Authorization>, Failure> {
        match scheme {
            Scheme::Basic => Ok(self.basic.clone().map(Authorization::Basic)),
            Scheme::Bearer { realm, service } => {
                let request = TokenRequest { realm, service, scope: scope.clone() };
                let (token, is_new) = self.tokens.token(&request).await?;
                Ok(Some(Authorization::Bearer { request, token, is_new }))
            }
        }
    }

    /// The challenge to follow: a token before a password, for it can do less.
    fn choose(&self, challenges: &[Challenge]) -> Result<Option<Scheme>, UpstreamError> {
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        if let Some(bearer) = of("bearer") {
            let realm = bearer
                .parameter("realm")
                .ok_or_else(|| UpstreamError::invalid("its challenge names no token realm"))?;
            let realm = self.realms.check(realm).map_err(UpstreamError::invalid)?;
            let service = bearer.parameter("service").map(str::to_owned);
            return Ok(Some(Scheme::Bearer { realm, service }));
        }
        Ok(of("basic").and(self.basic.as_ref()).map(|_| Scheme::Basic))
    }
}

impl Scheme {
    fn of(request: &TokenRequest) -> Self {
        Self::Bearer { realm: request.realm.clone(), service: request.service.clone() }
    }
}

/// RFC 7617, 2.
fn basic(credentials: &Credentials) -> Result<HeaderValue, UpstreamSetupError> {
    let (username, password) = (&credentials.username, credentials.password.expose());
    if username.contains(':') || username.chars().chain(password.chars()).any(char::is_control) {
        return Err(UpstreamSetupError::Credentials);
    }
    let encoded = BASE64_STANDARD.encode(format!("{username}:{password}"));
    let mut header = HeaderValue::try_from(format!("Basic {encoded}"))
        .map_err(|_| UpstreamSetupError::Credentials)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn credentials(username: &str, password: &str) -> Credentials {
        Credentials { username: username.to_owned(), password: Secret::new(password.to_owned()) }
    }

    #[test]
    fn credentials_are_written_as_rfc_7617_says() {
        let header = basic(&credentials("Aladdin", "open:sesame")).unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuOnNlc2FtZQ==");
        assert!(header.is_sensitive());
        for (username, password) in [("a:b", "c"), ("a\n", "c"), ("a", "c\r\n")] {
            assert!(basic(&credentials(username, password)).is_err());
        }
    }
}
