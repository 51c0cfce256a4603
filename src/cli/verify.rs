//! `portcullis verify`: judges images by the policy, without a running mirror.

use std::{future::Future, path::PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    failure::{CliError, Exit},
    image::ImageArgument,
    output::Output,
    shared::Shared,
    story::Story,
    why::with_reference,
};
use crate::{
    oci::{Digest, ImageName, Reference},
    timestamp::Timestamp,
    trust::{Outcome, Verdict, recording::Recording},
};

/// Judges images against the policy, as the mirror would, without a running mirror.
///
/// Prints what each rule requires, what was found, and what is missing. Nothing is served, kept or
/// recorded.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis verify nginx:1.27
  portcullis verify --policy policy.toml ghcr.io/acme/app@sha256:...
  portcullis verify --json app:1 app:2 | jq '.images[].outcome'
  portcullis verify --record cases/app app:1     for `portcullis policy test`
  portcullis verify --fresh app:1                and the running mirror looks again too

Exits with 0 when all are admitted, 1 when one is denied, 3 when one is undecided and none denied.")]
pub struct Verify {
    /// What to judge, as a pull names it
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<ImageArgument>,
    /// Print the verdicts as JSON
    #[arg(long)]
    json: bool,
    /// Keep the manifest and everything that was found about it in a folder; for one image
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Have the running mirror look again too, instead of remembering a denial
    #[arg(long)]
    pub(super) fresh: bool,
    /// Where the policy and the upstreams are
    #[command(flatten)]
    pub shared: Shared,
}

/// Judges as the mirror does: resolves, fetches, gathers evidence, decides.
pub trait Judge {
    /// The verdict on what `reference` names in `image`.
    ///
    /// An upstream that does not answer is an undecided verdict, not an error.
    ///
    /// # Errors
    /// In words, when there is nothing to judge: the upstream does not have the image, or refuses
    /// access to it.
    fn judge(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> impl Future<Output = Result<Judged, String>> + Send;

    /// The manifest `digest` of `image` with everything that is kept beside it.
    fn evidence(
        &self,
        image: &ImageName,
        digest: &Digest,
    ) -> impl Future<Output = Recording> + Send;

    /// Has the running mirror look again at `reference` in `image`.
    ///
    /// # Errors
    /// When there is none, or it cannot.
    fn refresh(&self, image: &ImageName, reference: &Reference) -> Result<(), CliError>;

    /// Which repository a name means.
    fn table(&self) -> &crate::oci::UpstreamTable;
}

/// A verdict and what it is about.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What was judged; unknown when a tag could not be resolved.
    pub digest: Option<Digest>,
    /// The verdict.
    pub verdict: Verdict,
}

impl Verify {
    /// Has every image judged by `judge`, in order, and tells the verdicts.
    ///
    /// # Errors
    /// [`CliError::Usage`] when a name is none, before anything is judged.
    pub async fn run<J: Judge>(&self, judge: &J, output: &mut Output) -> Result<Exit, CliError> {
        let mut wanted = Vec::new();
        for argument in &self.images {
            let image = argument.image(judge.table());
            let image = image.map_err(|error| CliError::Usage(format!("`{argument}`: {error}")))?;
            wanted.push((argument, image, argument.reference_or_latest()));
        }
        if self.record.is_some() && wanted.len() > 1 {
            return Err(CliError::Usage(
                "`--record` is for one image: name a folder for each".into(),
            ));
        }
        let mut answers = Vec::new();
        for (argument, image, reference) in wanted {
            if self.fresh {
                judge.refresh(&image, &reference)?;
            }
            let judged = judge.judge(&image, &reference).await;
            self.keep(judge, &image, &judged, output).await?;
            let answer = Answer { asked: argument.to_string(), image, reference, judged };
            if !self.json {
                if !answers.is_empty() {
                    output.line("")?;
                }
                answer.tell(output)?;
            }
            answers.push(answer);
        }
        if self.json {
            let images: Vec<_> = answers.iter().map(Answer::as_json).collect();
            output.json(&serde_json::json!({ "images": images }))?;
        }
        Ok(exit(answers.iter().map(Answer::outcome)))
    }
}

impl Verify {
    /// Keeps what was judged where `--record` says.
    async fn keep<J: Judge>(
        &self,
        judge: &J,
        image: &ImageName,
        judged: &Result<Judged, String>,
        output: &mut Output,
    ) -> Result<(), CliError> {
        let Some(folder) = &self.record else { return Ok(()) };
        let digest = judged.as_ref().ok().and_then(|judged| judged.digest);
        let Some(digest) = digest else {
            return Err(CliError::Failed("there is nothing to record".to_owned()));
        };
        let recording = judge.evidence(image, &digest).await;
        let shown = folder.display();
        let written = recording.write(folder);
        written.map_err(|error| CliError::Failed(format!("cannot write `{shown}`: {error}")))?;
        output.note(format_args!("recorded in `{shown}`"));
        for (place, why) in recording.failures() {
            output.note(format_args!("  not looked at: {place}: {why}"));
        }
        Ok(())
    }
}

/// Denied wins over undecided, which wins over admitted.
fn exit(outcomes: impl Iterator<Item = Outcome>) -> Exit {
    outcomes.fold(Exit::Success, |exit, outcome| match (exit, outcome) {
        (_, Outcome::Denied) | (Exit::No, _) => Exit::No,
        (_, Outcome::Undecided) | (Exit::Undecided, _) => Exit::Undecided,
        (Exit::Success, Outcome::Admitted) => Exit::Success,
    })
}

/// What became of one image.
#[derive(Debug)]
struct Answer {
    asked: String,
    image: ImageName,
    reference: Reference,
    judged: Result<Judged, String>,
}

/// An image in the answer of `verify --json`; `docs/json.md` describes it.
#[derive(Serialize)]
struct JsonAnswer<'a> {
    image: &'a str,
    upstream: String,
    repository: String,
    reference: String,
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    verdict: Option<&'a Verdict>,
}

impl Answer {
    /// An image that cannot be had is not admitted.
    fn outcome(&self) -> Outcome {
        self.judged.as_ref().map_or(Outcome::Denied, |judged| judged.verdict.outcome)
    }

    fn as_json(&self) -> JsonAnswer<'_> {
        JsonAnswer {
            image: &self.asked,
            upstream: self.image.upstream.to_string(),
            repository: self.image.repository.to_string(),
            reference: self.reference.to_string(),
            digest: self.judged.as_ref().ok().and_then(|judged| judged.digest),
            error: self.judged.as_ref().err().map(String::as_str),
            verdict: self.judged.as_ref().ok().map(|judged| &judged.verdict),
        }
    }

    fn tell(&self, output: &mut Output) -> std::io::Result<()> {
        let name = with_reference(&self.image, &self.reference);
        let judged = match &self.judged {
            Ok(judged) => judged,
            Err(error) => return output.line(format_args!("{name}: cannot be judged: {error}")),
        };
        let verdict = &judged.verdict;
        let mut facts: Vec<_> =
            judged.digest.map(|digest| ("digest", digest.to_string())).into_iter().collect();
        let rule = verdict.rule.as_deref().unwrap_or("none");
        facts.push(("rule", format!("{rule}, mode {}", verdict.mode)));
        if !verdict.signed_by.is_empty() {
            facts.push(("signed by", verdict.signed_by.join(", ")));
        }
        if let Some(end) = verdict.valid_until {
            facts.push(("until", Timestamp(end).to_string()));
        }
        let story = Story {
            image: name,
            outcome: verdict.outcome.as_str(),
            reason: verdict.reason.as_str(),
            enforced: verdict.enforced,
            message: &verdict.message,
            next_step: &verdict.next_step,
            facts,
            tree: verdict.tree.clone(),
            evidence: verdict.evidence.clone(),
        };
        story.tell(output)
    }
}
