//! Keeping the policy current: loaded at start, on SIGHUP, and within two seconds of a change.
//!
//! A policy that does not load changes nothing: the last good one stays in force, and the log, a
//! metric and the body of `/readyz` say so until a good one is there (G-50). A change is noticed by
//! looking at the files, every one of them that the policy names, so that it works the same on every
//! file system and with the symbolic links by which Kubernetes swaps mounted files.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    config::Fingerprints,
    environment::Environment,
    http::Readiness,
    mirror::Mirror,
    oci::UpstreamTable,
    telemetry::Metrics,
    trust::{Policy, Problem},
};

/// Loads the policy and hands it to the mirror.
#[derive(Debug)]
pub struct PolicyKeeper {
    path: Option<PathBuf>,
    mirror: Mirror,
    environment: Environment,
    metrics: Arc<Metrics>,
    /// Held from reading the files until the result is in force: of two loads, the one that read
    /// later wins, or a key that was taken out would come back.
    loading: Mutex<()>,
    /// What is wrong with the policy on disk, while the last good one is in force.
    problems: Mutex<Vec<String>>,
}

impl PolicyKeeper {
    /// Keeps the policy at `path` current in `mirror`; without a path there is nothing to do.
    #[must_use]
    pub const fn new(
        path: Option<PathBuf>,
        mirror: Mirror,
        environment: Environment,
        metrics: Arc<Metrics>,
    ) -> Self {
        let problems = Mutex::new(Vec::new());
        Self { path, mirror, environment, metrics, loading: Mutex::new(()), problems }
    }

    /// The policy at `path`, or the one that denies everything and says how to write one.
    ///
    /// # Errors
    /// Everything that is wrong with the policy.
    pub fn load(
        path: Option<&Path>,
        table: &UpstreamTable,
        environment: &Environment,
    ) -> Result<Policy, PolicyProblems> {
        let Some(path) = path else { return Ok(Policy::absent(None)) };
        let (policy, warnings) =
            Policy::load(path, table, environment.clock.now()).map_err(PolicyProblems)?;
        for warning in warnings {
            tracing::warn!(policy = %path.display(), "{warning}");
        }
        Ok(policy)
    }

    /// Loads the policy again, now. Says in the log what came of it.
    pub fn reload(&self) {
        let _turn = self.loading.lock().expect("nothing panics while it holds this lock");
        let loaded = Self::load(self.path.as_deref(), self.mirror.table(), &self.environment);
        let mut problems = self.problems.lock().expect("nothing panics while it holds this lock");
        match loaded {
            Ok(policy) => {
                tracing::info!(
                    policy = policy.hash(),
                    trust = policy.trust_hash(),
                    "policy loaded"
                );
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
        let Some(path) = self.path.clone() else { return };
        let files = || {
            let mut files = self.mirror.policy().files().to_vec();
            files.push(path.clone());
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
    /// Whether a policy that did not load would fare otherwise now. What it names is known only once
    /// it has loaded, so a key file that was missing is not among the files that are looked at.
    fn has_news(&self) -> bool {
        let before = self.problems.lock().expect("nothing panics while it holds this lock").clone();
        let Some(path) = self.path.as_deref().filter(|_| !before.is_empty()) else { return false };
        match Policy::load(path, self.mirror.table(), self.environment.clock.now()) {
            Ok(_) => true,
            Err(found) => texts(&found) != before,
        }
    }
}

impl Readiness for PolicyKeeper {
    /// A mirror that refuses everything, or stands by its last good policy, still does its work; one
    /// that cannot write down what it decides does not.
    fn is_ready(&self) -> bool {
        self.mirror.store_problem().is_none()
    }

    fn body(&self) -> Value {
        let policy = self.mirror.policy();
        let problems = self.problems.lock().expect("nothing panics while it holds this lock");
        json!({
            "ready": self.is_ready(),
            "policy": { "hash": policy.hash(), "trust": policy.trust_hash(), "reload_problems": *problems },
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
    use std::fs;

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
        let keeper = PolicyKeeper::new(Some(path), mirror.clone(), environment, metrics);
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
