//! Method and path become a [`Route`]: what is asked for, of which repository at which upstream.
//!
//! OCI distribution 1.1, "API". A repository may hold any words, `manifests` and `blobs` too, so a
//! path is matched from its right end. It is percent-decoded once, segment by segment; what decodes
//! to a slash, a percent sign or a control character is refused, and all the rest has to pass the
//! grammar of names, tags and digests, so that two spellings never reach two policies (G-2, G-49).
//! Nothing here does input or output.

use std::borrow::Cow;

use hyper::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

use super::{namespace::Named, query};
use crate::oci::{
    Digest, ImageName, ParseDigestError, ParseNameError, ParseReferenceError, Reference,
    UpstreamName, UpstreamTable,
};

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What is asked for.
    pub target: Target,
    /// Whether the client wants the headers only (`HEAD`).
    pub head: bool,
    /// The value of `ns=` as it was sent, echoed as `OCI-Namespace`.
    pub namespace: Option<String>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/v2/`: whether this is a registry.
    Base,
    /// A blob.
    Blob {
        /// Of which repository.
        image: ImageName,
        /// Which.
        digest: Digest,
    },
    /// A manifest.
    Manifest {
        /// Of which repository.
        image: ImageName,
        /// Which.
        reference: Reference,
    },
    /// The referrers of a manifest.
    Referrers {
        /// Of which repository.
        image: ImageName,
        /// Of which manifest.
        subject: Digest,
        /// Only those of this type.
        artifact_type: Option<String>,
    },
    /// The tags of a repository.
    Tags {
        /// Which repository.
        image: ImageName,
        /// The repository as the client spells it, for the answer and its `Link`.
        spelled: String,
        /// How many at most (`n`).
        count: Option<u32>,
        /// Only those behind this one.
        last: Option<String>,
    },
    /// What policy says of a manifest; see `verdicts`.
    Verdict {
        /// Of which repository.
        image: ImageName,
        /// Which.
        reference: Reference,
    },
}

/// A request, as far as its route depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, in any form; the authority is that of HTTP/2 too.
    pub uri: &'a Uri,
    /// The headers, of which `Host` is read.
    pub headers: &'a HeaderMap,
    /// The upstream that the listener implies.
    pub door: Option<&'a UpstreamName>,
}

impl Route {
    /// The route of a request, by the `table` of configured upstreams.
    ///
    /// # Errors
    /// When nothing can be asked of the mirror in this way; see [`RouteError`].
    pub fn parse(asked: Asked<'_>, table: &UpstreamTable) -> Result<Self, RouteError> {
        let path = decode(asked.uri.path())?;
        let endpoint = Endpoint::parse(&path)?;
        let head = match *asked.method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(RouteError::Method),
        };
        let named = Named::read(asked.uri, asked.headers, asked.door, table)?;
        let target = Target::parse(endpoint, &named, asked.uri.query(), table)?;
        let namespace = match named {
            Named::Namespace(_, sent) => Some(sent.into_owned()),
            Named::Host(_) | Named::Not => None,
        };
        Ok(Self { target, head, namespace })
    }
}

impl Target {
    fn parse(
        endpoint: Endpoint<'_>,
        named: &Named<'_>,
        query: Option<&str>,
        table: &UpstreamTable,
    ) -> Result<Self, RouteError> {
        Ok(match endpoint {
            Endpoint::Base => Self::Base,
            Endpoint::Blob { name, digest } => {
                Self::Blob { image: named.image(name, table)?, digest: digest.parse()? }
            }
            Endpoint::Manifest { name, reference } => {
                Self::Manifest { image: named.image(name, table)?, reference: reference.parse()? }
            }
            Endpoint::Referrers { name, subject } => Self::Referrers {
                image: named.image(name, table)?,
                subject: subject.parse()?,
                artifact_type: text(query, "artifactType")?,
            },
            Endpoint::Tags { name } => Self::Tags {
                image: named.image(name, table)?,
                spelled: name.to_owned(),
                count: count(query)?,
                last: text(query, "last")?,
            },
            Endpoint::Verdict { name, reference } => {
                Self::Verdict { image: named.image(name, table)?, reference: reference.parse()? }
            }
        })
    }

    /// The repository, where one is asked for.
    #[must_use]
    pub const fn image(&self) -> Option<&ImageName> {
        match self {
            Self::Base => None,
            Self::Blob { image, .. }
            | Self::Manifest { image, .. }
            | Self::Referrers { image, .. }
            | Self::Tags { image, .. }
            | Self::Verdict { image, .. } => Some(image),
        }
    }
}

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A list of all repositories, which a mirror does not have.
    #[error("the mirror does not list repositories")]
    Catalog,
    /// A digest breaks its grammar.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// A path segment decodes to something that no path may hold.
    #[error("the path holds a percent-encoded `/`, `%`, control character or broken text")]
    Encoding,
    /// There is more than one `Host`.
    #[error("the request has more than one `Host`")]
    HostRepeated,
    /// A method that no endpoint has.
    #[error("the mirror is read-only: it answers `GET` and `HEAD`")]
    Method,
    /// A repository breaks its grammar.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// `ns=` and the path name two upstreams.
    #[error("`ns={namespace}` and the path, which starts with `{segment}`, name two upstreams")]
    NamespaceContradicted {
        /// The upstream that `ns=` names.
        namespace: UpstreamName,
        /// The upstream that the path names.
        segment: UpstreamName,
    },
    /// `ns=` is no host name.
    #[error("`ns=` must be a host name with an optional port, such as `docker.io`")]
    NamespaceMalformed,
    /// `ns=` is there more than once.
    #[error("`ns=` is there more than once")]
    NamespaceRepeated,
    /// `ns=` names an upstream that is not configured.
    #[error("`{sent}` is not an upstream of this mirror")]
    NamespaceUnknown {
        /// What it names.
        sent: String,
        /// The upstreams there are.
        known: Vec<UpstreamName>,
    },
    /// The path is not one of the API.
    #[error("there is nothing at this path")]
    NoEndpoint,
    /// Nothing names an upstream, and there is no default one.
    #[error("the request names no upstream, and this mirror has no default one")]
    NoUpstream {
        /// The upstreams there are.
        known: Vec<UpstreamName>,
    },
    /// A parameter of the query has a value it cannot have.
    #[error("`{0}` has a value that it cannot have")]
    Parameter(&'static str),
    /// A tag or digest breaks its grammar.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    /// An upload: the mirror takes nothing.
    #[error("the mirror is read-only: it takes no uploads")]
    Upload,
}

/// The shape of a path, before its parts are parsed.
#[derive(Clone, Copy)]
enum Endpoint<'a> {
    Base,
    Blob { name: &'a str, digest: &'a str },
    Manifest { name: &'a str, reference: &'a str },
    Referrers { name: &'a str, subject: &'a str },
    Tags { name: &'a str },
    Verdict { name: &'a str, reference: &'a str },
}

impl<'a> Endpoint<'a> {
    fn parse(path: &'a str) -> Result<Self, RouteError> {
        let rest = match path.strip_prefix("/v2").map(|rest| (rest, rest.strip_prefix('/'))) {
            Some(("" | "/", _)) => return Ok(Self::Base),
            Some((_, Some(rest))) => rest,
            Some((_, None)) | None => return Err(RouteError::NoEndpoint),
        };
        let (front, last) = rest.rsplit_once('/').unwrap_or(("", rest));
        let (name, noun) = front.rsplit_once('/').unwrap_or(("", front));
        match (noun, last) {
            ("tags", "list") => Ok(Self::Tags { name }),
            ("blobs", "uploads") => Err(RouteError::Upload),
            ("uploads", _) if name.ends_with("/blobs") => Err(RouteError::Upload),
            ("blobs", digest) => Ok(Self::Blob { name, digest }),
            ("manifests", reference) => Ok(Self::Manifest { name, reference }),
            ("referrers", subject) => Ok(Self::Referrers { name, subject }),
            ("verdict", reference) if name.ends_with(EXTENSION) => {
                Ok(Self::Verdict { name: &name[..name.len() - EXTENSION.len()], reference })
            }
            (_, "_catalog") => Err(RouteError::Catalog),
            _ => Err(RouteError::NoEndpoint),
        }
    }
}

/// `path` with each segment percent-decoded.
fn decode(path: &str) -> Result<Cow<'_, str>, RouteError> {
    if !path.contains('%') {
        return Ok(path.into());
    }
    let mut decoded = String::with_capacity(path.len());
    for (position, segment) in path.split('/').enumerate() {
        let segment =
            percent_decode_str(segment).decode_utf8().map_err(|_| RouteError::Encoding)?;
        if segment.contains(|found: char| matches!(found, '/' | '%') || found.is_control()) {
            return Err(RouteError::Encoding);
        }
        if position > 0 {
            decoded.push('/');
        }
        decoded.push_str(&segment);
    }
    Ok(decoded.into())
}

/// The parameter `n`: OCI distribution 1.1, "Listing Tags".
fn count(query: Option<&str>) -> Result<Option<u32>, RouteError> {
    let Some(value) = text(query, "n")? else { return Ok(None) };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RouteError::Parameter("n"));
    }
    Ok(Some(value.parse().unwrap_or(u32::MAX)))
}

/// The first value of a parameter that is handed on as text.
fn text(query: Option<&str>, name: &'static str) -> Result<Option<String>, RouteError> {
    match query::first(query, name) {
        Some(value) if value.len() > MAX_PARAMETER_LENGTH || value.contains(char::is_control) => {
            Err(RouteError::Parameter(name))
        }
        value => Ok(value.map(Cow::into_owned).filter(|value| !value.is_empty())),
    }
}

/// What a repository is followed by where more is asked for than the specification knows. No
/// repository can end with it: a part of one begins with a letter or a digit.
const EXTENSION: &str = "/_portcullis";
/// More than any tag or media type needs (RFC 6838, 4.2: 127 characters for each half of a type).
const MAX_PARAMETER_LENGTH: usize = 255;

#[cfg(test)]
mod tests;
