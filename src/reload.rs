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
        Self { path, mirror, environment, metrics, problems: Mutex::new(Vec::new()) }
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
                *problems = found.iter().map(ToString::to_string).collect();
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
            if found != seen {
                seen = found;
                self.reload();
            }
        }
    }
}

impl Readiness for PolicyKeeper {
    /// A mirror that refuses everything, or stands by its last good policy, still does its work.
    fn is_ready(&self) -> bool {
        true
    }

    fn body(&self) -> Value {
        let policy = self.mirror.policy();
        let problems = self.problems.lock().expect("nothing panics while it holds this lock");
        json!({
            "ready": true,
            "policy": { "hash": policy.hash(), "trust": policy.trust_hash(), "reload_problems": *problems },
        })
    }
}

/// Everything that is wrong with a policy.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PolicyProblems(pub Vec<Problem>);

/// How often the policy's files are looked at: half of what the contract promises.
const LOOK_EVERY: Duration = Duration::from_secs(1);
