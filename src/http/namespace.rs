//! Which upstream a request belongs to.
//!
//! Four ways, in this order: `ns=` (OCI distribution, "Registry Proxying"; containerd and BuildKit
//! send it), the `Host` or the door that the request came through, the first segment of the
//! repository, the default upstream. Each is a key into the table of configured upstreams; nothing
//! that a client sends is ever dialled (G-49).

use std::borrow::Cow;

use hyper::{HeaderMap, Uri, header};

use super::{query, route::RouteError};
use crate::oci::{ImageName, UpstreamName, UpstreamTable};

/// An upstream that a request names outside its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// By `ns=`, with the value as it was sent.
    Namespace(&'a UpstreamName, Cow<'a, str>),
    /// By its `Host`, or by the door it came through.
    Host(&'a UpstreamName),
    /// Not at all.
    Not,
}

impl<'a> Named<'a> {
    /// Reads what a request says about its upstream; `door` is what the listener implies.
    pub(super) fn read(
        uri: &'a Uri,
        headers: &'a HeaderMap,
        door: Option<&'a UpstreamName>,
        table: &'a UpstreamTable,
    ) -> Result<Self, RouteError> {
        if let Some((upstream, sent)) = namespace(uri, table)? {
            return Ok(Self::Namespace(upstream, sent));
        }
        let upstream = match door {
            Some(door) => Some(door),
            None => host(uri, headers)?.and_then(|host| table.by_host(host)),
        };
        Ok(upstream.map_or(Self::Not, Self::Host))
    }

    /// The canonical name of the repository that the path calls `name`.
    pub(super) fn image(&self, name: &str, table: &UpstreamTable) -> Result<ImageName, RouteError> {
        // A segment is an upstream only where a repository follows it.
        let first = name
            .split_once('/')
            .and_then(|(first, rest)| table.named(first).map(|upstream| (upstream, rest)));
        let (upstream, path) = match (self, first) {
            (Self::Namespace(upstream, _), Some((first, rest))) if first == *upstream => {
                (*upstream, rest)
            }
            (Self::Namespace(upstream, _), Some((first, _))) => {
                return Err(RouteError::NamespaceContradicted {
                    namespace: (*upstream).clone(),
                    segment: first.clone(),
                });
            }
            (Self::Namespace(upstream, _) | Self::Host(upstream), _) => (*upstream, name),
            (Self::Not, Some((first, rest))) => (first, rest),
            (Self::Not, None) => {
                let default = table.default_upstream();
                (default.ok_or_else(|| RouteError::NoUpstream { known: known(table) })?, name)
            }
        };
        Ok(table.image(upstream, path)?)
    }
}

/// The upstream that `ns=` names, and the value as it was sent.
fn namespace<'a>(
    uri: &'a Uri,
    table: &'a UpstreamTable,
) -> Result<Option<(&'a UpstreamName, Cow<'a, str>)>, RouteError> {
    let mut values = query::values(uri.query(), NAMESPACE);
    let Some(sent) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(RouteError::NamespaceRepeated);
    }
    let sent = sent.ok_or(RouteError::NamespaceMalformed)?;
    let is_name = sent.to_ascii_lowercase().parse::<UpstreamName>().is_ok();
    match table.named(&sent) {
        Some(upstream) if is_name => Ok(Some((upstream, sent))),
        None if is_name => {
            Err(RouteError::NamespaceUnknown { sent: sent.into_owned(), known: known(table) })
        }
        _ => Err(RouteError::NamespaceMalformed),
    }
}

/// The host that a request is for: the authority of its target, else its `Host` (RFC 9112, 3.2.2).
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Option<&'a str>, RouteError> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.as_str()));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(RouteError::HostRepeated);
    }
    Ok(host.and_then(|host| host.to_str().ok()))
}

fn known(table: &UpstreamTable) -> Vec<UpstreamName> {
    table.names().cloned().collect()
}

const NAMESPACE: &str = "ns";
