//! Keeping the policy current: loaded at start, on SIGHUP, and within two seconds of a change.
//!
//! A policy that does not load changes nothing: the last good one stays in force, and the log, a
//! metric and the body of `/readyz` say so until a good one is there (G-50). A change is noticed by
//! looking at the files, every one of them that the policy names, so that it works the same on every
//! file system and with the symbolic links by which Kubernetes swaps mounted files.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::{
    config::{Config, Fingerprints},
    environment::Environment,
    http::Readiness,
    mirror::Mirror,
    oci::UpstreamTable,
    refresh::{Refresher, Standing},
    telemetry::Metrics,
    timestamp::Timestamp,
    trust::{Policy, Problem, Warning, material::KnownRoot},
};

/// Where the policy is, and the trust roots that it may name.
#[derive(Clone, Debug)]
pub struct PolicySource {
    /// The policy file; without one the built-in catalogue is the policy.
    pub path: Option<PathBuf>,
    /// The folder of refreshed trust roots.
    pub roots: PathBuf,
}

impl PolicySource {
    /// Where `config` says that they are.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { path: config.policy.clone(), roots: config.trust.folder.clone() }
    }

    /// The policy that is there at the time `now`, with what is doubtful about it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(
        &self,
        table: &UpstreamTable,
        now: SystemTime,
    ) -> Result<(Policy, Vec<Warning>), Vec<Problem>> {
        match &self.path {
            Some(path) => Policy::load_with(path, table, Some(&self.roots), now),
            None => Ok((Policy::catalogue(table, Some(&self.roots), now), Vec::new())),
        }
    }
}

/// Loads the policy and hands it to the mirror.
#[derive(Debug)]
pub struct PolicyKeeper {
    source: PolicySource,
    mirror: Mirror,
    refresher: Arc<Refresher>,
    environment: Environment,
    metrics: Arc<Metrics>,
    /// Held from reading the files until the result is in force: of two loads, the one that read
    /// later wins, or a key that was taken out would come back.
    loading: Mutex<()>,
    /// What is wrong with the policy on disk, while the last good one is in force.
    problems: Mutex<Vec<String>>,
}

impl PolicyKeeper {
    /// Keeps the policy from `source` current in `mirror`, and tells how `refresher` fares.
    #[must_use]
    pub fn new(
        source: PolicySource,
        mirror: Mirror,
        refresher: Arc<Refresher>,
        environment: Environment,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (loading, problems) = (Mutex::new(()), Mutex::new(Vec::new()));
        Self { source, mirror, refresher, environment, metrics, loading, problems }
    }

    /// The policy from `source`.
    ///
    /// # Errors
    /// Everything that is wrong with the policy.
    pub fn load(
        source: &PolicySource,
        table: &UpstreamTable,
        environment: &Environment,
    ) -> Result<Policy, PolicyProblems> {
        let (policy, warnings) =
            source.load(table, environment.clock.now()).map_err(PolicyProblems)?;
        for warning in warnings {
            tracing::warn!(policy = ?source.path, "{warning}");
        }
        Ok(policy)
    }

    /// Loads the policy again, now. Says in the log what came of it.
    pub fn reload(&self) {
        let _turn = self.loading.lock().expect("nothing panics while it holds this lock");
        let loaded = Self::load(&self.source, self.mirror.table(), &self.environment);
        let mut problems = self.problems.lock().expect("nothing panics while it holds this lock");
        match loaded {
            Ok(policy) => {
                tracing::info!(
                    policy = policy.hash(),
                    trust = policy.trust_hash(),
                    "policy loaded"
                );
                let endings = policy.endings(self.environment.clock.now()).into_iter();
                self.metrics.trust_ends(endings.map(|ending| (ending.what, ending.at)));
                self.mirror.replace_policy(Arc::new(policy));
                problems.clear();
                self.metrics.policy_reloaded(true);
            }
            Err(PolicyProblems(found)) => {
                *problems = texts(&found);
                for problem in &found {
                    tracing::error!(%problem, "policy not loaded; the last good one stays in force");
                }
                self.metrics.policy_reloaded(false);
            }
        }
    }

    /// Looks at the policy's files every second and reloads when one changed. Never ends.
    pub async fn watch(self: Arc<Self>) {
        let files = || {
            let mut files = self.mirror.policy().files().to_vec();
            files.extend(self.source.path.clone());
            files
        };
        // The first look always loads: the files may have changed since the start read them.
        let mut seen = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Taken before the load: what changes meanwhile is seen next time.
            let found = Some(Fingerprints::of(&files()));
            if found != seen || self.has_news() {
                seen = found;
                self.reload();
            }
        }
    }
}

impl PolicyKeeper {
    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.mirror.policy()
    }

    /// The trust roots that have a name and that the policy in force rests on.
    #[must_use]
    pub fn needed_roots(&self) -> Vec<KnownRoot> {
        self.mirror.policy().known_roots()
    }

    fn standings(&self) -> Vec<Standing> {
        self.needed_roots().into_iter().map(|known| self.refresher.standing(known)).collect()
    }

    /// Whether a policy that did not load would fare otherwise now. What it names is known only once
    /// it has loaded, so a key file that was missing is not among the files that are looked at.
    fn has_news(&self) -> bool {
        let before = self.problems.lock().expect("nothing panics while it holds this lock").clone();
        if before.is_empty() {
            return false;
        }
        match self.source.load(self.mirror.table(), self.environment.clock.now()) {
            Ok(_) => true,
            Err(found) => texts(&found) != before,
        }
    }
}

impl Readiness for PolicyKeeper {
    /// A mirror that refuses everything, or stands by its last good policy, still does its work; one
    /// that cannot write down what it decides does not.
    fn is_ready(&self) -> bool {
        let stale = || self.standings().iter().any(|standing| standing.stale);
        self.mirror.store_problem().is_none() && !(self.refresher.is_strict() && stale())
    }

    fn body(&self) -> Value {
        let policy = self.mirror.policy();
        let problems = self.problems.lock().expect("nothing panics while it holds this lock");
        let endings = policy.endings(self.environment.clock.now()).into_iter();
        let endings: Vec<_> = endings
            .map(|ending| json!({ "what": ending.what, "at": Timestamp(ending.at) }))
            .collect();
        json!({
            "ready": self.is_ready(),
            "policy": { "hash": policy.hash(), "trust": policy.trust_hash(), "reload_problems": *problems },
            "trust": { "roots": self.standings(), "ending": endings },
            "store": { "problem": self.mirror.store_problem().map(|problem| problem.to_string()) },
        })
    }
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Everything that is wrong with a policy.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PolicyProblems(pub Vec<Problem>);

/// How often the policy's files are looked at: half of what the contract promises.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write the files that a person would")]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        app,
        config::{self, ConfigRequest, Overrides},
        trust::signing::PrivateKey,
    };

    const POLICY: &str = "version = 1\n[authority.release]\nkey = \"release.pub\"\n";

    fn keeper(folder: &Path) -> (Arc<PolicyKeeper>, Mirror) {
        let environment = Environment::system();
        let path = folder.join("policy.toml");
        fs::write(&path, "version = 1\n").unwrap();
        fs::write(folder.join("portcullis.toml"), "").unwrap();
        let request = ConfigRequest {
            file: Some(folder.join("portcullis.toml")),
            overrides: Overrides {
                data: Some(folder.join("data").display().to_string()),
                policy: Some(path.display().to_string()),
                upstreams: vec![("registry.test".to_owned(), "http://127.0.0.1:1".to_owned())],
                ..Overrides::default()
            },
            ..ConfigRequest::default()
        };
        let config = config::load(&request).unwrap().config;
        let (mirror, _) = app::mirror(&config, &environment).unwrap();
        let metrics = Arc::new(Metrics::new());
        let schedule = (&config.trust).into();
        let refresher = Arc::new(Refresher::new(schedule, environment.clone(), metrics.clone()));
        let source = PolicySource::of(&config);
        let keeper = PolicyKeeper::new(source, mirror.clone(), refresher, environment, metrics);
        (Arc::new(keeper), mirror)
    }

    #[tokio::test]
    async fn a_key_file_that_comes_after_its_policy_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, mirror) = keeper(folder.path());
        let before = mirror.policy().hash().to_owned();
        fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        let watching = tokio::spawn(keeper.clone().watch());
        tokio::time::sleep(LOOK_EVERY + LOOK_EVERY / 2).await;
        assert_eq!(mirror.policy().hash(), before, "its key is not there");
        let key = PrivateKey::generate(Environment::system().entropy.as_ref()).unwrap();
        fs::write(folder.path().join("release.pub"), key.public().to_pem()).unwrap();
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert_ne!(mirror.policy().hash(), before);
        assert!(keeper.problems.lock().unwrap().is_empty());
        watching.abort();
    }
}
