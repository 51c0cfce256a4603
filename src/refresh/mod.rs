//! Keeping the trust roots that have a name current, by TUF (The Update Framework 1.0).
//!
//! A trust root says whose logs and authorities count; whoever can replace it can sign anything. So it
//! comes with a chain of signatures of its own: a *root* of keys that vouches for its successor, and a
//! *timestamp*, a *snapshot* and *targets* by which a mirror knows that what it was given is what is
//! in force today, and not what was in force last year. `sigstore-tuf` verifies that chain; here is
//! what it leaves to its user:
//!
//! - **Transport** ([`Source`]): the same connections, proxies and certificate authorities as
//!   everything else that the mirror asks, or a folder that somebody carried in.
//! - **Screening**: the library counts key ids where the specification counts keys, and takes the
//!   last of two members of one name. Both are refused before it sees them.
//! - **The shelf**: versions that were seen are never gone below again (rollback), also after a
//!   restart. A new root is kept at once; the rest only together, when all of it was verified.
//! - **The schedule**: never on the way of a pull. A refresh that fails changes nothing: the last
//!   verified root stays in force, and the log, a metric, `/readyz` and `check` say so.
//!
//! A root does not end when nobody can refresh it: what expires is the promise that there is nothing
//! newer. `trust.max_age` says after what time without a refresh that is a warning.

mod publish;
mod schedule;
mod screen;
mod shelf;
mod source;
#[cfg(test)]
mod tests;

use std::{
    error::Error as _,
    path::Path,
    time::{Duration, SystemTime},
};

use sigstore_tuf::{Updater, UpdaterConfig};

use self::shelf::Shelf;
pub use self::{
    schedule::{Refresher, Schedule, Standing, standing},
    source::Source,
};
use crate::{
    oci::Digest,
    timestamp::Timestamp,
    trust::material::{KnownRoot, MAX_TRUST_ROOT, State, check_trusted_root},
};

/// Brings `known` up to date in `folder` with what `source` has. What is now in force.
///
/// # Errors
/// When the source cannot be read, or anything in it does not verify. What was in force stays.
///
/// # Cancel safety
/// Dropping it leaves what was in force before, or what is in force after, and nothing between.
pub async fn refresh(
    known: KnownRoot,
    source: Source,
    folder: &Path,
    now: SystemTime,
) -> Result<State, RefreshError> {
    refresh_from(known, first_root(known), source, folder, now).await
}

/// As [`refresh`], trusting `first_root` to begin with.
async fn refresh_from(
    known: KnownRoot,
    first_root: &[u8],
    source: Source,
    folder: &Path,
    now: SystemTime,
) -> Result<State, RefreshError> {
    let moment = jiff::Timestamp::try_from(now).map_err(|_| RefreshError::Clock)?;
    let shelf = Shelf::in_folder(&folder.join(known.as_str()).join("tuf"));
    let mut updater =
        Updater::new(source, first_root)?.with_config(bounds()).with_store(shelf.clone());
    updater.refresh(moment).await?;
    let content = updater.get_target(TARGET, moment).await?;
    check_trusted_root(&content).map_err(RefreshError::Content)?;
    let root = updater.trusted().root();
    let state = State {
        content: Digest::of(&content),
        verified: Timestamp(now),
        expires: Timestamp(root.expires.into()),
        root_version: root.version,
    };
    shelf.commit()?;
    publish::put_in_force(known, folder, &state, &content)?;
    Ok(state)
}

/// Where `known` is published.
#[must_use]
pub const fn home(known: KnownRoot) -> &'static str {
    match known {
        KnownRoot::GitHub => "https://tuf-repo.github.com",
        KnownRoot::PublicGood => "https://tuf-repo-cdn.sigstore.dev",
    }
}

/// Why a trust root could not be refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The clock shows a year that no timestamp has.
    #[error("the clock shows no usable time")]
    Clock,
    /// What the chain of signatures vouches for is no trust root.
    #[error("what was published is no trust root: {0}")]
    Content(String),
    /// The folder cannot be written to.
    #[error("cannot keep it: {0}")]
    Disk(#[from] std::io::Error),
    /// Something could not be fetched, or did not verify.
    #[error("{}", chain(.0))]
    Metadata(#[from] sigstore_tuf::Error),
}

/// An error of the library with its causes, which its own text leaves out.
fn chain(error: &sigstore_tuf::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The root of keys that is believed to begin with: the one of the day on which this was built.
const fn first_root(known: KnownRoot) -> &'static [u8] {
    match known {
        KnownRoot::GitHub => include_bytes!("roots/github.json"),
        KnownRoot::PublicGood => include_bytes!("roots/public-good.json"),
    }
}

/// How much is read, at most. The largest file of the public repository has 7,000 bytes.
fn bounds() -> UpdaterConfig {
    let mut bounds = UpdaterConfig::default();
    bounds.snapshot_max_length = 256 << 10;
    bounds.targets_max_length = 256 << 10;
    bounds.target_max_length = MAX_TRUST_ROOT;
    bounds
}

/// The folder of refreshed roots in the data directory.
pub const FOLDER: &str = "trust-v1";
/// The file that a repository keeps its trust root in.
const TARGET: &str = "trusted_root.json";
/// A failed refresh is tried again after this time, or after the usual one where that is shorter.
const RETRY_AFTER: Duration = Duration::from_secs(3600);
