//! Redirects, followed here, since where one leads decides what may go along.
//!
//! Registries send blobs off to object stores and content networks, so redirects are normal. But
//! credentials belong to the origin that asked for them: they are left behind when scheme, host or
//! port changes, and do not come back when a later redirect returns (G-47). HTTPS never turns into
//! HTTP. Whether the target's address may be dialled at all is [`super::guard`]'s question.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, LOCATION},
};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{
    error::UpstreamError,
    retry::Failure,
    url::{self, Origin, Scheme},
    wire::Wire,
};

/// What is asked, wherever it is answered.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// `GET` and `HEAD` keep their method along a redirect; what writes follows none.
    pub(super) method: Method,
    pub(super) url: Uri,
    /// Goes along redirects: no secrets.
    pub(super) headers: HeaderMap,
    /// What is written; empty for what only reads.
    pub(super) content: Bytes,
}

impl Ask {
    pub(super) fn new(method: Method, url: Uri) -> Self {
        Self { method, url, headers: HeaderMap::new(), content: Bytes::new() }
    }
}

/// An answer, and where it came from.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) response: Response<Incoming>,
    /// The last URL.
    pub(super) url: Uri,
    /// Whether every hop was at the origin of the first. Only then is the answer the upstream's own
    /// word, and a 401 something to react to.
    pub(super) is_own: bool,
}

impl Wire {
    /// Asks, and follows where it is sent.
    ///
    /// # Errors
    /// When a hop fails, when a redirect leads where none may, and after too many of them.
    pub(super) async fn follow(
        &self,
        ask: &Ask,
        authorization: Option<&HeaderValue>,
    ) -> Result<Followed, Failure> {
        let mut url = ask.url.clone();
        let mut is_own = true;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(Full::new(ask.content.clone()));
            *request.method_mut() = ask.method.clone();
            *request.uri_mut() = url.clone();
            *request.headers_mut() = ask.headers.clone();
            if let Some(authorization) = authorization.filter(|_| is_own) {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            let response = self.send(request).await?;
            let Some(next) = target(&url, response.status(), response.headers())? else {
                return Ok(Followed { response, url, is_own });
            };
            if !ask.method.is_safe() {
                return Err(UpstreamError::invalid("it redirects what is written to it").into());
            }
            is_own &= Origin::of(&next) == Origin::of(&url);
            url = next;
        }
        Err(UpstreamError::invalid(format!("it redirects more than {MAX_REDIRECTS} times")).into())
    }
}

/// Where the answer to a request for `url` sends the mirror; `None` when it is no redirect.
///
/// # Errors
/// When it leads where no redirect may.
fn target(
    url: &Uri,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Uri>, UpstreamError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = |why: &str| UpstreamError::invalid(format!("its redirect is refused: {why}"));
    let location = headers.get(LOCATION).ok_or_else(|| refused("it has no `Location`"))?;
    let location = location.to_str().map_err(|_| refused("its `Location` is not ASCII"))?;
    let next = url::resolve(url, location).map_err(|problem| refused(&problem.to_string()))?;
    let scheme = |url: &Uri| Origin::of(url).map(|origin| origin.scheme());
    if scheme(url) == Ok(Scheme::Https) && scheme(&next) == Ok(Scheme::Http) {
        return Err(refused("it leads from `https://` to `http://`"));
    }
    Ok(Some(next))
}

/// How many redirects one request follows.
const MAX_REDIRECTS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(
        from: &'static str,
        status: u16,
        location: &str,
    ) -> Result<Option<Uri>, UpstreamError> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
        target(&Uri::from_static(from), StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn five_statuses_are_redirects() {
        for status in [301, 302, 303, 307, 308] {
            let next = leads("https://a.test/x", status, "/y").unwrap().unwrap();
            assert_eq!(next, "https://a.test/y");
        }
        for status in [200, 300, 304, 305, 306, 404] {
            assert_eq!(leads("https://a.test/x", status, "/y"), Ok(None), "{status}");
        }
        let bare =
            target(&Uri::from_static("https://a.test/"), StatusCode::FOUND, &HeaderMap::new());
        assert!(bare.is_err());
    }

    #[test]
    fn g47_https_never_turns_into_http() {
        assert!(leads("https://a.test/x", 302, "http://a.test/x").is_err());
        assert!(leads("http://a.test/x", 302, "https://a.test/x").is_ok());
        assert!(leads("http://a.test/x", 302, "http://b.test/x").is_ok());
    }

    #[test]
    fn g38_only_http_is_followed() {
        for location in ["file:///etc/passwd", "file://h/p", "https://a.test@b.test/", "ftp://x/"] {
            assert!(leads("https://a.test/x", 302, location).is_err(), "{location}");
        }
    }
}
