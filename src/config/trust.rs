//! The trust roots that have a name: where they are kept, how often they are looked for, and where.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::{check::Check, problem::Problem, raw, upstreams};
use crate::{
    refresh::{FOLDER, Schedule, home},
    trust::material::KnownRoot,
    upstream::{BaseUrl, Settings, SystemProxy},
};

/// How the trust roots that have a name are kept current.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Where refreshed roots are.
    pub folder: PathBuf,
    /// How often to look for newer ones; `None` is never.
    pub refresh: Option<Duration>,
    /// After what time without a refresh one is stale.
    pub max_age: Duration,
    /// What a stale one does.
    pub on_stale: OnStale,
    /// Where each is published.
    pub sites: Vec<(KnownRoot, Settings)>,
}

/// What a stale trust root does, beside being used: what it vouches for has not changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStale {
    /// The mirror is not ready.
    Unready,
    /// It is complained about.
    #[default]
    Warn,
}

impl From<&Trust> for Schedule {
    fn from(trust: &Trust) -> Self {
        Self {
            folder: trust.folder.clone(),
            every: trust.refresh,
            max_age: trust.max_age,
            strict: trust.on_stale == OnStale::Unready,
            sites: trust.sites.clone(),
        }
    }
}

impl FromStr for OnStale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "unready" => Ok(Self::Unready),
            "warn" => Ok(Self::Warn),
            _ => Err("is neither `warn` nor `unready`"),
        }
    }
}

/// Checks `raw`, for a mirror that keeps everything in `data`.
pub(super) fn check(
    check: &mut Check<'_>,
    raw: &raw::Trust,
    data: &Path,
    system_proxy: SystemProxy,
) -> Trust {
    let every = check.duration("trust.refresh", raw.refresh.as_deref(), DEFAULT_REFRESH);
    if !every.is_zero() && every < SHORTEST_REFRESH {
        let what = format!("is more often than every {} seconds", SHORTEST_REFRESH.as_secs());
        let step = "trust roots change a few times a year; once a day is enough";
        check.refuse("trust.refresh", Problem::new(what).next(step));
    }
    let mirror: Option<BaseUrl> = check.parsed("trust.mirror", raw.mirror.as_deref());
    let proxy = check.parsed("trust.proxy", raw.proxy.as_deref());
    let ca = upstreams::certificates(check, "trust", raw.ca.as_deref(), raw.ca_only);
    let sites = KnownRoot::ALL.iter().map(|known| {
        let url = match &mirror {
            Some(mirror) => format!("{mirror}/{known}"),
            None => home(*known).to_owned(),
        };
        let name = known.as_str().parse().expect("the name of a root is in the grammar");
        let url = url.parse().expect("a checked URL with a segment more, or a constant");
        let mut settings = Settings::new(name, url);
        settings.ca.clone_from(&ca);
        settings.ca_only = raw.ca_only.unwrap_or(false);
        settings.proxy.clone_from(&proxy);
        settings.system_proxy = system_proxy.clone();
        (*known, settings)
    });
    Trust {
        folder: data.join(FOLDER),
        refresh: (!every.is_zero()).then_some(every),
        max_age: check.some_time("trust.max_age", raw.max_age.as_deref(), DEFAULT_MAX_AGE),
        on_stale: check.parsed("trust.on_stale", raw.on_stale.as_deref()).unwrap_or_default(),
        sites: sites.collect(),
    }
}

const DEFAULT_REFRESH: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Nobody needs to ask a public service more often.
const SHORTEST_REFRESH: Duration = Duration::from_secs(60);
