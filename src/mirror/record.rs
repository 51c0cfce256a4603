//! From a verdict to the records: on disk beside the manifest, and in the audit log.
//!
//! The order is the promise of the contract: the audit entry is on disk before anybody sees the
//! verdict, and a verdict that cannot be recorded serves nothing. What a manifest's record keeps is
//! only a shortcut: one that cannot be read is judged again.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Client, Origin, PullError, Room,
    fetch::Fetched,
    judge::{Asked, Case, Decided},
    look::Look,
};
use crate::{
    audit::{ClientRecord, DecisionRecord},
    oci::{Digest, ImageName},
    store::ManifestRecord,
    trust::{self, Mode, Outcome, Policy, Reason, Verdict},
};

/// A verdict as a manifest's record keeps it.
#[derive(Serialize, Deserialize)]
struct RecordedVerdict {
    decision: Arc<str>,
    at: SystemTime,
    verdict: Arc<Verdict>,
}

impl Room {
    /// The admitting verdict that the manifest's record holds, if it was made under this policy.
    pub(super) fn recorded(&self, case: &Case, fetched: &Fetched) -> Option<Arc<Decided>> {
        let value = fetched.record.as_ref()?.verdict.as_ref()?;
        let recorded = RecordedVerdict::deserialize(value)
            .inspect_err(|error| {
                tracing::warn!(image = %case.image, digest = %case.digest, %error, "recorded verdict not readable; judging again");
            })
            .ok()?;
        let decided = decided(case, fetched, recorded.verdict, recorded.decision, recorded.at);
        let admits = decided.verdict.outcome == Outcome::Admitted;
        (admits && self.holds(&decided, &case.policy)).then(|| Arc::new(decided))
    }

    /// The verdict that the manifest's record holds, by whichever policy.
    pub(super) fn earlier(fetched: &Fetched) -> Option<Arc<Verdict>> {
        let value = fetched.record.as_ref()?.verdict.as_ref()?;
        RecordedVerdict::deserialize(value).ok().map(|recorded| recorded.verdict)
    }

    /// Takes the verdict out of the manifest's record, so that no restart finds it again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) async fn withdraw(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<(), PullError> {
        self.decided.invalidate(&(image.clone(), *digest));
        if let Some(record) = self.store.manifest(image, digest).await?
            && record.verdict.is_some()
        {
            let record = ManifestRecord { verdict: None, ..(*record).clone() };
            self.store.put_manifest(image, digest, &record).await?;
        }
        Ok(())
    }

    /// Writes `verdict` down, beside what `look` saw, and makes it visible.
    ///
    /// # Errors
    /// When the audit log cannot take it.
    pub(super) async fn record(
        self: &Arc<Self>,
        case: &Case,
        fetched: &Fetched,
        verdict: Verdict,
        look: &Look,
    ) -> Result<Arc<Decided>, PullError> {
        let at = self.environment.clock.now();
        let verdict = Arc::new(verdict);
        let logged = self.log(case.asked(), Some(case.digest), &verdict);
        // The manifest's record is about to name the evidence, so that must be there.
        let (decision, ()) = tokio::join!(logged, look.kept());
        let decision = decision?;
        let decided = Arc::new(decided(case, fetched, verdict, decision, at));
        if decided.verdict.outcome == Outcome::Admitted {
            if decided.verdict.enforced {
                self.keep_verdict(case, fetched, &decided).await;
            }
            self.overturn_denials(case, fetched);
            self.prefetch(case, fetched);
        }
        let asks_all = self.origin(&case.image.upstream).is_ok_and(Origin::speaks_for_all);
        let is_final = match decided.verdict.outcome {
            Outcome::Admitted => true,
            // One that did not ask every index is not the last word on the manifest, and what an
            // archive lacks the upstream may have.
            Outcome::Denied => !case.is_deepest() && asks_all,
            Outcome::Undecided => false,
        };
        if is_final {
            self.remember(case, &decided);
        }
        Ok(decided)
    }

    /// Writes down a verdict on content that is no manifest, and keeps it in memory.
    ///
    /// # Errors
    /// When the audit log cannot take it.
    pub(super) async fn record_content(
        &self,
        case: &Case,
        verdict: Verdict,
    ) -> Result<Arc<Decided>, PullError> {
        let at = self.environment.clock.now();
        let verdict = Arc::new(verdict);
        let decision = self.log(case.asked(), Some(case.digest), &verdict).await?;
        let decided = Decided {
            bytes: Bytes::new(),
            etag: "".into(),
            media_type: "".into(),
            warning: None,
            verdict,
            decision,
            at,
        };
        let decided = Arc::new(decided);
        self.remember(case, &decided);
        Ok(decided)
    }

    /// Records that a manifest could not be had, and gives back what the client hears.
    pub(super) async fn record_failure(&self, case: &Case, error: Arc<PullError>) -> PullError {
        if let PullError::Integrity { digest, upstream } = &*error {
            tracing::error!(image = %case.image, %digest, %upstream, "the upstream sent other bytes than the digest names");
            self.metrics.integrity_failure(upstream);
        }
        let Some(reason) = failure_of(&error) else { return PullError::Shared(error) };
        let verdict =
            trust::failed(&case.policy, &case.image, &case.digest, reason, &error.to_string());
        match self.log(case.asked(), Some(case.digest), &verdict).await {
            Ok(_) => PullError::Shared(error),
            Err(unrecorded) => unrecorded,
        }
    }

    /// Records that a tag could not be resolved, and gives back what the client hears.
    pub(super) async fn record_unresolved(
        &self,
        asked: Asked<'_>,
        policy: &Policy,
        error: PullError,
    ) -> PullError {
        if failure_of(&error).is_none() {
            return error;
        }
        let verdict = trust::unresolved(policy, asked.image, asked.reference, &error.to_string());
        match self.log(asked, None, &verdict).await {
            Ok(_) => error,
            Err(unrecorded) => unrecorded,
        }
    }

    /// Writes a decision to the audit log; its id, once it is on disk.
    async fn log(
        &self,
        asked: Asked<'_>,
        digest: Option<Digest>,
        verdict: &Verdict,
    ) -> Result<Arc<str>, PullError> {
        let decision = self.audit.next_id();
        self.metrics.decision(verdict.outcome.as_str(), verdict.reason.as_str());
        let findings = verdict.evidence.iter();
        let record = DecisionRecord {
            time: self.environment.clock.now(),
            decision: decision.clone(),
            outcome: verdict.outcome.as_str().to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            upstream: asked.image.upstream.to_string(),
            repository: asked.image.repository.to_string(),
            reference: asked.reference.to_string(),
            digest,
            rule: verdict.rule.clone(),
            mode: verdict.mode.as_str().to_owned(),
            enforced: verdict.enforced,
            policy: verdict.policy.clone(),
            trust: verdict.trust.clone(),
            evidence: findings.filter_map(|finding| serde_json::to_value(finding).ok()).collect(),
            message: verdict.message.clone(),
            next_step: verdict.next_step.clone(),
            tree: verdict.tree.as_ref().and_then(|tree| serde_json::to_value(tree).ok()),
            client: client_record(&asked.context.client),
            request: asked.context.request.clone(),
        };
        self.audit.decision(record).await.map_err(|error| PullError::Audit(error.to_string()))?;
        Ok(decision.into())
    }

    /// Keeps the verdict beside the manifest, so that a restart asks nothing of the upstream.
    async fn keep_verdict(&self, case: &Case, fetched: &Fetched, decided: &Decided) {
        let Some(record) = &fetched.record else { return };
        let mut record = (**record).clone();
        let recorded = RecordedVerdict {
            decision: decided.decision.clone(),
            at: decided.at,
            verdict: decided.verdict.clone(),
        };
        record.verdict = serde_json::to_value(&recorded).ok();
        let findings = decided.verdict.evidence.iter();
        record.evidence =
            findings.flat_map(|finding| [finding.manifest, finding.digest]).flatten().collect();
        if let Err(error) = self.store.put_manifest(&case.image, &case.digest, &record).await {
            // The verdict stands, it is in the audit log; after a restart it is made again.
            tracing::warn!(image = %case.image, digest = %case.digest, %error, "verdict not kept on disk");
        }
    }

    /// Forgets that `digest`, or an index that lists it, was refused.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) async fn forget_denials(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> Result<(), PullError> {
        let parents = self.store.parents(image, digest).await?;
        for known in parents.iter().chain([digest]) {
            self.forget_denial(image, known);
        }
        Ok(())
    }

    fn forget_denial(&self, image: &ImageName, digest: &Digest) {
        let key = (image.clone(), *digest);
        let is_denied = |decided: Arc<Decided>| {
            decided.verdict.outcome != Outcome::Admitted || !decided.verdict.enforced
        };
        if self.decided.get(&key).is_some_and(is_denied) {
            self.decided.invalidate(&key);
        }
    }

    /// Children that were refused before their index was known here are judged again.
    fn overturn_denials(&self, case: &Case, fetched: &Fetched) {
        let Ok(manifest) = &fetched.manifest else { return };
        if manifest.is_index() {
            for child in manifest.references() {
                self.forget_denial(&case.image, &child.digest);
            }
        }
    }
}

/// The reason under which a manifest that could not be had is recorded; `None` when the upstream said
/// no, which is nobody's decision here, or when the mirror itself failed.
pub(super) fn failure_of(error: &PullError) -> Option<Reason> {
    match error {
        PullError::Integrity { .. } => Some(Reason::UpstreamIntegrity),
        PullError::Shared(error) => failure_of(error),
        PullError::Upstream { error, .. } if error.is_temporary() => {
            Some(Reason::UpstreamUnreachable)
        }
        _ => None,
    }
}

/// `client` as the records know it.
pub(super) fn client_record(client: &Client) -> ClientRecord {
    ClientRecord {
        address: client.address,
        user: None,
        label: client.label.clone(),
        job: client.job.as_ref().map(ToString::to_string),
    }
}

fn decided(
    case: &Case,
    fetched: &Fetched,
    verdict: Arc<Verdict>,
    decision: Arc<str>,
    at: SystemTime,
) -> Decided {
    let media_type = fetched.manifest.as_ref().map_or("", |manifest| manifest.media_type.as_str());
    let warning =
        (!verdict.enforced && verdict.mode == Mode::Warn).then(|| verdict.message.as_str().into());
    Decided {
        bytes: fetched.bytes.clone(),
        etag: format!("\"{}\"", case.digest).into(),
        media_type: media_type.into(),
        warning,
        verdict,
        decision,
        at,
    }
}
