//! When trust roots are refreshed, and what is known about them between.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{RETRY_AFTER, refresh, source::Source};
use crate::{
    environment::Environment,
    telemetry::Metrics,
    timestamp::Timestamp,
    trust::material::{KnownRoot, Origin},
    upstream::{Settings, Site, UpstreamSetupError},
};

/// Refreshes the known trust roots that somebody needs.
#[derive(Debug)]
pub struct Refresher {
    settings: Schedule,
    environment: Environment,
    metrics: Arc<Metrics>,
    /// Of each root, the end of the last attempt: when, and what went wrong.
    attempts: Mutex<BTreeMap<KnownRoot, (SystemTime, Option<String>)>>,
}

/// When to refresh, and where.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Where refreshed roots are kept.
    pub folder: PathBuf,
    /// How often to look for a newer one; `None` is never.
    pub every: Option<Duration>,
    /// After what time without a refresh to complain.
    pub max_age: Duration,
    /// Whether a mirror with a stale root is not ready.
    pub strict: bool,
    /// Where each root is published.
    pub sites: Vec<(KnownRoot, Settings)>,
}

/// What is known about one trust root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name.
    pub root: KnownRoot,
    /// Whether it is the one that was built in.
    pub built_in: bool,
    /// When it was last known to be current.
    pub verified: Timestamp,
    /// Whether that is longer ago than is allowed.
    pub stale: bool,
    /// Why the last refresh failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Refresher {
    /// Refreshes as `settings` say.
    #[must_use]
    pub fn new(settings: Schedule, environment: Environment, metrics: Arc<Metrics>) -> Self {
        Self { settings, environment, metrics, attempts: Mutex::default() }
    }

    /// Refreshes what is due, of what `needed` says is needed, for ever.
    pub async fn run(self: Arc<Self>, needed: impl Fn() -> Vec<KnownRoot> + Send) {
        let Some(every) = self.settings.every else { return };
        loop {
            for known in needed() {
                if self.is_due(known, every) {
                    self.refresh(known).await;
                }
                self.tell(known);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether a mirror with a stale root is not ready.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        self.settings.strict
    }

    /// How `known` stands now.
    #[must_use]
    pub fn standing(&self, known: KnownRoot) -> Standing {
        let problem = self.attempt(known).and_then(|(_, problem)| problem);
        standing(&self.settings, known, self.environment.clock.now(), problem)
    }

    /// Whether it is time to look: never sooner than one interval after the last success, also
    /// before a restart, nor than one pause after the last failure.
    fn is_due(&self, known: KnownRoot, every: Duration) -> bool {
        let now = self.environment.clock.now();
        let passed = |since: SystemTime, span: Duration| {
            now.duration_since(since).map_or(true, |elapsed| elapsed >= span)
        };
        if let Some((at, Some(_))) = self.attempt(known) {
            return passed(at, every.min(RETRY_AFTER));
        }
        match known.state(&self.settings.folder) {
            Ok(Some(state)) => passed(state.verified.0, every),
            Ok(None) | Err(_) => true,
        }
    }

    async fn refresh(&self, known: KnownRoot) {
        let now = self.environment.clock.now();
        let outcome = match self.site(known) {
            Ok(site) => refresh(known, Source::Site(Box::new(site)), &self.settings.folder, now)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match &outcome {
            Ok(state) => tracing::info!(
                root = known.as_str(), content = %state.content, "trust root refreshed"
            ),
            Err(error) => tracing::warn!(
                root = known.as_str(),
                error,
                "trust root not refreshed; the last one stays in force"
            ),
        }
        self.metrics.trust_refreshed(known.as_str(), outcome.is_ok());
        let mut attempts = self.attempts.lock().expect("nothing panics while it holds this lock");
        attempts.insert(known, (now, outcome.err()));
    }

    fn tell(&self, known: KnownRoot) {
        let standing = self.standing(known);
        let age = self.environment.clock.now().duration_since(standing.verified.0);
        self.metrics.trust_age(known.as_str(), age.unwrap_or_default());
    }

    fn attempt(&self, known: KnownRoot) -> Option<(SystemTime, Option<String>)> {
        let attempts = self.attempts.lock().expect("nothing panics while it holds this lock");
        attempts.get(&known).cloned()
    }

    fn site(&self, known: KnownRoot) -> Result<Site, UpstreamSetupError> {
        let (_, settings) = self
            .settings
            .sites
            .iter()
            .find(|(name, _)| *name == known)
            .expect("the configuration has a site for each known root");
        Site::new(settings.clone(), &self.environment, self.metrics.clone())
    }
}

/// How `known` stands at `now`, when the last refresh ended in `problem`.
#[must_use]
pub fn standing(
    settings: &Schedule,
    known: KnownRoot,
    now: SystemTime,
    problem: Option<String>,
) -> Standing {
    let material = known.read(Some(&settings.folder));
    let (built_in, verified) = match material.origin {
        Origin::BuiltIn(at) => (true, at),
        Origin::Refreshed(at) => (false, at),
    };
    let stale = now.duration_since(verified).is_ok_and(|age| age > settings.max_age);
    let problem = problem.or(material.set_aside);
    Standing { root: known, built_in, verified: Timestamp(verified), stale, problem }
}

/// How often to look whether a refresh is due: a policy may need another root from now on.
const LOOK_EVERY: Duration = Duration::from_secs(60);
