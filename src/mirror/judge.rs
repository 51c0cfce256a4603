//! From a manifest to a verdict: the gate itself.
//!
//! A verdict holds for one (upstream, repository, digest, policy, trust material); when one of these
//! changes, what was cached is judged again. Admitted verdicts are kept until then or until a
//! validity window ends, denied ones for a moment, undecided ones never. The order of one judgement:
//!
//! 1. the verdict on disk, if it was made under this policy, its deny list included;
//! 2. the deny list, which wins over everything;
//! 3. inheritance: a child of an admitted image index is admitted in that repository, when the index
//!    lists exactly its digest, size and media type (G-4);
//! 4. a signature artifact is readable without a rule, when it is exactly what it claims (G-48);
//! 5. evidence of its own, gathered while the bytes are fetched.
//!
//! Then the record and the audit entry are written, and only then does anybody see the verdict.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{
    Admitted, Context, PullError, Refusal, Room,
    fetch::Fetched,
    look::{Look, Sight},
};
use crate::{
    oci::{Digest, ImageName, Manifest, Reference, Shape},
    trust::{self, Outcome, Policy, Reason, Verdict},
};

/// A verdict that has been recorded.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) verdict: Arc<Verdict>,
    /// The id of the decision.
    pub(super) decision: Arc<str>,
    pub(super) at: SystemTime,
    pub(super) bytes: Bytes,
    /// The digest in quotes.
    pub(super) etag: Arc<str>,
    pub(super) media_type: Arc<str>,
    pub(super) warning: Option<Arc<str>>,
}

impl Decided {
    /// Memory held, in bytes, for the cache.
    pub(super) fn weight(&self) -> u32 {
        u32::try_from(self.bytes.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
    }

    /// The witness, if the verdict admits. This is the only place that makes one.
    pub(super) fn admitted(&self, digest: &Digest) -> Option<Admitted> {
        (self.verdict.outcome == Outcome::Admitted).then(|| Admitted {
            bytes: self.bytes.clone(),
            digest: *digest,
            etag: self.etag.clone(),
            media_type: self.media_type.clone(),
            decision: self.decision.clone(),
            warning: self.warning.clone(),
        })
    }
}

/// What is being judged, for whom, by which policy.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) context: Context,
    pub(super) policy: Arc<Policy>,
    pub(super) image: ImageName,
    /// What the client asked for, for the records.
    pub(super) reference: Reference,
    pub(super) digest: Digest,
    /// How many indexes this one is inside of, as far as this judgement went up.
    depth: usize,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) context: &'a Context,
    pub(super) image: &'a ImageName,
    pub(super) reference: &'a Reference,
}

impl Case {
    pub(super) const fn new(
        context: Context,
        policy: Arc<Policy>,
        image: ImageName,
        reference: Reference,
        digest: Digest,
    ) -> Self {
        Self { context, policy, image, reference, digest, depth: 0 }
    }

    /// The question, for the records.
    pub(super) const fn asked(&self) -> Asked<'_> {
        Asked { context: &self.context, image: &self.image, reference: &self.reference }
    }

    /// Whether no further index is asked about this one.
    pub(super) const fn is_deepest(&self) -> bool {
        self.depth >= MAX_INDEX_DEPTH
    }

    /// The same question about another manifest of the repository.
    pub(super) fn about(&self, digest: Digest) -> Self {
        Self { digest, reference: Reference::Digest(digest), ..self.clone() }
    }
}

impl Room {
    /// The verdict on a manifest, from memory, from disk or made now.
    ///
    /// # Errors
    /// When the manifest cannot be had, or the verdict cannot be recorded.
    ///
    /// # Cancel safety
    /// A judgement that has begun goes on, and its verdict is kept.
    pub(super) async fn judge(self: &Arc<Self>, case: &Case) -> Result<Arc<Decided>, PullError> {
        if let Some(decided) = self.known(&case.image, &case.digest, &case.policy) {
            return Ok(decided);
        }
        let room = Arc::clone(self);
        let asked = case.clone();
        let key = (case.image.clone(), case.digest, question(case));
        let work = move || async move { room.judge_anew(asked).await.map_err(Arc::new) };
        match self.judging.run(key, work).await {
            Some(Ok(decided)) => Ok(decided),
            Some(Err(error)) => Err(PullError::Shared(error)),
            None => Err(PullError::Internal("judging a manifest")),
        }
    }

    /// The verdict in memory, if there is one that holds under `policy`.
    pub(super) fn known(
        &self,
        image: &ImageName,
        digest: &Digest,
        policy: &Policy,
    ) -> Option<Arc<Decided>> {
        let decided = self.decided.get(&(image.clone(), *digest))?;
        self.holds(&decided, policy).then_some(decided)
    }

    pub(super) fn holds(&self, decided: &Decided, policy: &Policy) -> bool {
        let now = self.environment.clock.now();
        let verdict = &decided.verdict;
        let same = verdict.policy == policy.hash() && verdict.trust == policy.trust_hash();
        same && match verdict.outcome {
            Outcome::Admitted if verdict.enforced => {
                verdict.valid_until.is_none_or(|end| now < end)
            }
            // A denial that a mode lets pass is one all the same: a signature may arrive.
            Outcome::Admitted | Outcome::Denied => {
                let fresh =
                    now.duration_since(decided.at).is_ok_and(|age| age < self.freshness.denied);
                fresh && verdict.valid_until.is_none_or(|end| now < end)
            }
            Outcome::Undecided => false,
        }
    }

    fn judge_anew(
        self: Arc<Self>,
        case: Case,
    ) -> BoxFuture<'static, Result<Arc<Decided>, PullError>> {
        Box::pin(async move {
            let (look, started) = (Look::new(&self), self.environment.clock.instant());
            let kept = self.kept(&case.image, &case.digest).await?;
            if let Some(fetched) = &kept
                && let Some(decided) = self.recorded(&case, fetched)
            {
                self.remember(&case, &decided);
                return Ok(decided);
            }
            let (fetched, evidence) = match kept {
                Some(fetched) => (Ok(fetched), None),
                None => self.fetch_and_gather(&case, &look).await?,
            };
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(error) => return Err(self.record_failure(&case, error).await),
            };
            let verdict = self.verdict(&case, &fetched, &look, evidence).await?;
            let outcome = verdict.outcome.as_str();
            let recorded = self.record(&case, &fetched, verdict, &look).await;
            let elapsed = self.environment.clock.instant().duration_since(started);
            self.metrics.judged(outcome, elapsed);
            recorded
        })
    }

    /// Evidence travels while the bytes do, unless an index will probably answer for them.
    async fn fetch_and_gather(
        self: &Arc<Self>,
        case: &Case,
        look: &Look,
    ) -> Result<(Result<Fetched, Arc<PullError>>, Option<trust::Evidence>), PullError> {
        let alone = self.store.parents(&case.image, &case.digest).await?.is_empty();
        let early = async { if alone { Some(self.gather(case, look).await) } else { None } };
        Ok(tokio::join!(self.fetch_anew(&case.image, &case.digest), early))
    }

    fn gather(&self, case: &Case, look: &Look) -> BoxFuture<'static, trust::Evidence> {
        let (case, look, clock) = (case.clone(), look.clone(), self.environment.clock.clone());
        Box::pin(async move {
            trust::gather(&case.policy, &case.image, &case.digest, &look, clock.as_ref()).await
        })
    }

    pub(super) async fn verdict(
        self: &Arc<Self>,
        case: &Case,
        fetched: &Fetched,
        look: &Look,
        evidence: Option<trust::Evidence>,
    ) -> Result<Verdict, PullError> {
        let (policy, image, digest) = (&case.policy, &case.image, &case.digest);
        if let Some(denied) = trust::content_deny_listed(policy, image, digest, &fetched.bytes) {
            return Ok(denied);
        }
        let manifest = match &fetched.manifest {
            Ok(manifest) => manifest,
            Err(error) => return Ok(trust::unsupported(policy, image, digest, &error.to_string())),
        };
        let mut inherited = self.inherit(case, fetched, manifest).await?;
        if let Inherited::Admitted(verdict) = inherited {
            return Ok(*verdict);
        }
        if self.is_artifact(image, manifest, look).await? {
            return Ok(trust::readable_artifact(policy, image, digest));
        }
        let evidence = match evidence {
            Some(evidence) => evidence,
            None => self.gather(case, look).await,
        };
        let verdict = self.decide(case, evidence).await?;
        if verdict.outcome != Outcome::Denied || !verdict.reason.depends_on_evidence() {
            return Ok(verdict);
        }
        // An index may have arrived while the evidence was being looked for.
        if let Inherited::Nothing = inherited {
            inherited = self.inherit(case, fetched, manifest).await?;
        }
        match (inherited, look.sight()) {
            (Inherited::Admitted(verdict), _) => Ok(*verdict),
            (Inherited::Undecided(parent), _) => Ok(trust::unreachable(
                policy,
                image,
                digest,
                &format!("the image index {parent} is undecided"),
            )),
            (Inherited::TooMany(count), _) => Ok(trust::failed(
                policy,
                image,
                digest,
                Reason::LimitReached,
                &format!("{count} image indexes list it, and only {MAX_PARENTS} are asked"),
            )),
            (Inherited::Nothing, Sight::Stale(why)) => {
                Ok(trust::unreachable(policy, image, digest, &why))
            }
            (Inherited::Nothing, Sight::Clear) => Ok(verdict),
        }
    }

    /// Decides on a thread of its own: hundreds of signatures cost more than a request may hold up.
    async fn decide(&self, case: &Case, evidence: trust::Evidence) -> Result<Verdict, PullError> {
        let (case, now) = (case.clone(), self.environment.clock.now());
        let decide = move || trust::decide(&case.policy, &case.image, &case.digest, &evidence, now);
        tokio::task::spawn_blocking(decide).await.map_err(|_| PullError::Internal("deciding"))
    }

    /// What the indexes that list this manifest say about it.
    async fn inherit(
        self: &Arc<Self>,
        case: &Case,
        fetched: &Fetched,
        manifest: &Manifest,
    ) -> Result<Inherited, PullError> {
        if case.is_deepest() {
            return Ok(Inherited::Nothing);
        }
        let mut answer = Inherited::Nothing;
        let parents = self.store.parents(&case.image, &case.digest).await?;
        for parent in parents.iter().copied().take(MAX_PARENTS) {
            if !self.lists(&case.image, &parent, &case.digest, fetched, manifest).await {
                continue;
            }
            let up = Case { depth: case.depth + 1, ..case.about(parent) };
            match self.judge(&up).await {
                Ok(decided) if decided.verdict.outcome == Outcome::Admitted => {
                    return Ok(Inherited::Admitted(Box::new(decided.verdict.inherited(
                        &case.image,
                        &case.digest,
                        &parent,
                    ))));
                }
                Ok(decided) if decided.verdict.outcome == Outcome::Denied => {}
                Ok(_) | Err(_) => answer = Inherited::Undecided(parent),
            }
        }
        if parents.len() > MAX_PARENTS && matches!(answer, Inherited::Nothing) {
            answer = Inherited::TooMany(parents.len());
        }
        Ok(answer)
    }

    /// Whether the index `parent`, as it is kept here, lists exactly this manifest.
    async fn lists(
        self: &Arc<Self>,
        image: &ImageName,
        parent: &Digest,
        digest: &Digest,
        fetched: &Fetched,
        manifest: &Manifest,
    ) -> bool {
        let Ok(Fetched { manifest: Ok(index), .. }) = self.fetch(image, parent).await else {
            return false;
        };
        let Shape::Index { manifests } = &index.shape else { return false };
        manifests.iter().any(|child| {
            child.digest == *digest
                && child.size == fetched.bytes.len() as u64
                && child.media_type == manifest.media_type.as_str()
        })
    }

    /// Keeps a recorded verdict in memory.
    pub(super) fn remember(&self, case: &Case, decided: &Arc<Decided>) {
        self.decided.insert((case.image.clone(), case.digest), Arc::clone(decided));
    }

    /// What a request gets for `decided`.
    ///
    /// # Errors
    /// The refusal, unless the verdict admits.
    pub(super) fn answer(&self, case: &Case, decided: &Decided) -> Result<Admitted, PullError> {
        if let Some(admitted) = decided.admitted(&case.digest) {
            return Ok(admitted);
        }
        let refusal = Box::new(Refusal {
            image: case.image.clone(),
            reference: case.reference.clone(),
            digest: Some(case.digest),
            decision: decided.decision.clone(),
            verdict: decided.verdict.clone(),
            retry_after: RETRY_UNDECIDED,
        });
        Err(match decided.verdict.outcome {
            Outcome::Denied => PullError::Denied(refusal),
            Outcome::Admitted | Outcome::Undecided => PullError::Undecided(refusal),
        })
    }
}

/// What indexes say about a child.
enum Inherited {
    Admitted(Box<Verdict>),
    Nothing,
    /// None of those that were asked, and there are more.
    TooMany(usize),
    Undecided(Digest),
}

/// What makes two judgements of one manifest the same: the policy, and whether indexes are asked.
fn question(case: &Case) -> String {
    let depth = if case.is_deepest() { "alone" } else { "with indexes" };
    format!("{}/{}/{depth}", case.policy.hash(), case.policy.trust_hash())
}

/// An index inside an index inside an index: nobody nests deeper.
const MAX_INDEX_DEPTH: usize = 3;
/// Indexes of one repository that are asked about one child.
const MAX_PARENTS: usize = 64;
/// What an entry of the cache costs beside its bytes, roughly.
const ENTRY_BYTES: usize = 2048;
/// After what time it is worth asking again when nobody could tell.
const RETRY_UNDECIDED: std::time::Duration = std::time::Duration::from_secs(5);
