//! Revocation: whether an issuer has taken a certificate back (RFC 5280, 5).
//!
//! Issuers publish lists. An operator gives them as files, and judging stays pure: a list in the
//! policy is trust material like a certificate, with an end of its own, and nothing is fetched while a
//! client waits. A certificate that names a place to ask, and on which no current list says anything,
//! is *unknown*: that is neither good nor revoked, and a verdict that rests on it is undecided. One
//! that names no place and is on no list cannot be revoked by its issuer, and counts as good.
//!
//! When an entry says since when the key was not to be trusted (`invalidityDate`), a signature that
//! is provably older stays good; a signer's own word about the time proves nothing.

mod list;

use std::time::{Duration, SystemTime};

pub(in crate::trust) use self::list::RevocationList;
use self::list::Standing;
use crate::trust::{notation::trust::described, x509::Certificate};

/// Why certificates are not known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotGood {
    /// Their issuer has taken one back. In words.
    Revoked(String),
    /// Nobody can tell now. In words.
    Unknown(String),
}

/// Makes sure that none of `certificates`, each with its issuer, is revoked by what `lists` say at
/// `now`. `signed` is when the signature was made, where that is proven. Gives the first moment at which
/// the answer has to be asked for again.
///
/// # Errors
/// When one is revoked, or may be.
pub(super) fn check<'c>(
    certificates: impl Iterator<Item = (&'c Certificate, &'c Certificate)>,
    lists: &[RevocationList],
    signed: Option<SystemTime>,
    now: SystemTime,
) -> Result<Option<SystemTime>, NotGood> {
    let mut until: Option<SystemTime> = None;
    let mut unknown = None;
    for (certificate, issuer) in certificates {
        match list::standing(certificate, issuer, lists, now) {
            Standing::Good(next) => until = Some(until.map_or(next, |until| until.min(next))),
            Standing::Revoked { invalid_since: Some(since) }
                if signed.is_some_and(|at| at < since) => {}
            Standing::Revoked { .. } => {
                return Err(NotGood::Revoked(format!("{} is revoked", described(certificate))));
            }
            Standing::Unlisted if names_a_place(certificate) => {
                unknown.get_or_insert_with(|| described(certificate));
            }
            Standing::Unlisted => {}
            Standing::Unusable(why) => {
                unknown.get_or_insert_with(|| format!("{} ({why})", described(certificate)));
            }
        }
    }
    match unknown {
        Some(which) => {
            Err(NotGood::Unknown(format!("nothing current says whether {which} is revoked")))
        }
        None => Ok(until),
    }
}

/// Whether its issuer says where to ask about it.
fn names_a_place(certificate: &Certificate) -> bool {
    [AUTHORITY_INFORMATION_ACCESS, REVOCATION_LIST_POINTS]
        .into_iter()
        .any(|oid| certificate.extension(oid).is_some())
}

/// The first moment after a span whose last moment is `end`.
pub(super) fn just_after(end: SystemTime) -> SystemTime {
    end.checked_add(Duration::from_nanos(1)).unwrap_or(end)
}

const AUTHORITY_INFORMATION_ACCESS: spki::ObjectIdentifier =
    spki::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const REVOCATION_LIST_POINTS: spki::ObjectIdentifier =
    spki::ObjectIdentifier::new_unwrap("2.5.29.31");
