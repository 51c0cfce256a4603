//! Rechecking everything: on demand, on a schedule, on a running mirror or a stopped one.
//!
//! One manifest at a time with a pause between them, so that pulls never wait for it. What is denied
//! now comes with who pulled it, from the audit log: whoever reads it has to go to them.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{
    audit::{Audit, AuditError, Pulled},
    environment::Environment,
    mirror::{Client, Context, Mirror, PullError, Rechecked},
    oci::{Digest, ImageName},
    timestamp::Timestamp,
    trust::{Outcome, Pattern},
};

/// What a recheck of many found; `docs/json.md` describes it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Manifests that were judged again.
    pub rechecked: usize,
    /// How many of them are admitted.
    pub admitted: usize,
    /// How many are denied now, and not served any more.
    pub denied: usize,
    /// How many could not be looked at; they keep their verdict.
    pub undecided: usize,
    /// What is not as it was.
    pub changes: Vec<Change>,
}

/// A manifest that does not stand as it did.
#[derive(Debug, Serialize)]
pub struct Change {
    /// What was found.
    #[serde(flatten)]
    pub found: Rechecked,
    /// Who pulled what is denied now.
    pub pulled_by: Vec<Puller>,
}

/// Who pulled an image.
#[derive(Debug, Serialize)]
pub struct Puller {
    /// From where.
    pub address: String,
    /// For which job, if the client said so.
    pub job: Option<String>,
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Timestamp,
}

/// Rechecks what `mirror` keeps in repositories that match `pattern`, all of it where there is none,
/// with `pause` after each; `log` is the
/// folder of its audit log. `told` hears of each that is done: how many are, of how many.
///
/// # Errors
/// In words, when the disk or the log refuses. One manifest that cannot be judged counts as
/// undecided.
///
/// # Cancel safety
/// What was rechecked before the future was dropped stays so.
pub async fn run(
    mirror: &Mirror,
    log: &Path,
    pattern: Option<&Pattern>,
    pause: Duration,
    mut told: impl FnMut(usize, usize),
) -> Result<Report, String> {
    let mut kept = mirror.kept_manifests().await.map_err(|error| error.to_string())?;
    kept.retain(|(image, _)| pattern.is_none_or(|pattern| pattern.matches(image)));
    let mut report = Report::default();
    for (number, (image, digest)) in kept.iter().enumerate() {
        let found = mirror.recheck(&context(), image, digest).await;
        report.add(image, digest, found);
        told(number + 1, kept.len());
        tokio::time::sleep(pause).await;
    }
    let log = log.to_owned();
    let named = tokio::task::spawn_blocking(move || report.name_pullers(&log));
    let named = named.await.map_err(|error| error.to_string())?;
    named.map_err(|error| error.to_string())
}

/// Rechecks everything every `every`, the first time after that long. Never ends.
pub async fn on_schedule(
    mirror: Mirror,
    log: Arc<Path>,
    environment: Environment,
    every: Duration,
) {
    loop {
        tokio::time::sleep(every).await;
        let started = environment.clock.instant();
        match run(&mirror, &log, None, GENTLE, |_, _| {}).await {
            Ok(report) => {
                for change in &report.changes {
                    tracing::warn!(
                        upstream = change.found.upstream,
                        repository = change.found.repository,
                        digest = %change.found.digest,
                        before = change.found.before.outcome.as_str(),
                        now = change.found.now.outcome.as_str(),
                        reason = change.found.now.reason.as_str(),
                        pulled_by = change.pulled_by.len(),
                        "recheck_changed"
                    );
                }
                tracing::info!(
                    rechecked = report.rechecked,
                    denied = report.denied,
                    undecided = report.undecided,
                    seconds = environment.clock.instant().duration_since(started).as_secs(),
                    "recheck_done"
                );
            }
            Err(error) => tracing::error!(error, "recheck_failed"),
        }
    }
}

impl Report {
    fn add(
        &mut self,
        image: &ImageName,
        digest: &Digest,
        found: Result<Option<Rechecked>, PullError>,
    ) {
        let found = match found {
            Ok(None) => return,
            Ok(Some(found)) => found,
            Err(error) => {
                tracing::warn!(%image, %digest, %error, "manifest not rechecked");
                self.rechecked += 1;
                self.undecided += 1;
                return;
            }
        };
        self.rechecked += 1;
        match found.now.outcome {
            Outcome::Admitted => self.admitted += 1,
            Outcome::Denied => self.denied += 1,
            Outcome::Undecided => self.undecided += 1,
        }
        if found.has_changed() {
            self.changes.push(Change { found, pulled_by: Vec::new() });
        }
    }

    /// Says of each image that is denied now who pulled it, as far as the log goes back.
    fn name_pullers(mut self, log: &Path) -> Result<Self, AuditError> {
        let denied: HashMap<Digest, usize> = self
            .changes
            .iter()
            .enumerate()
            .filter(|(_, change)| change.found.now.outcome == Outcome::Denied)
            .map(|(number, change)| (change.found.digest, number))
            .collect();
        if denied.is_empty() {
            return Ok(self);
        }
        for decided in Audit::history(log, std::time::UNIX_EPOCH)? {
            for pulled in decided?.pulls {
                if let Some(number) = denied.get(&pulled.digest) {
                    self.changes[*number].pulled_by.push(Puller::from(&pulled));
                }
            }
        }
        Ok(self)
    }
}

impl From<&Pulled> for Puller {
    fn from(pulled: &Pulled) -> Self {
        Self {
            address: pulled.client.address.to_string(),
            job: pulled.client.job.clone(),
            count: pulled.count,
            last: Timestamp(pulled.last),
        }
    }
}

/// Who asks: the mirror itself.
fn context() -> Context {
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let client = Client { address, label: Some("recheck".to_owned()), job: None };
    Context { request: "recheck".to_owned(), client, content: false }
}

/// The pause on a mirror that serves: at most twenty manifests a second.
pub const GENTLE: Duration = Duration::from_millis(50);
