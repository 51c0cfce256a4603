//! `portcullis verify`: judges images by the policy, here or through a running mirror.
//!
//! Images come from the command line and from files (`questions`), a [`Judge`] answers for each, the
//! answers are told in one of five forms (`answer`, `junit`, `markdown`, `sarif`), and `--pin` writes
//! the digests that were admitted back into the files (`pins`).

mod answer;
mod ask;
mod junit;
mod markdown;
mod pins;
mod questions;
mod sarif;

use std::{future::Future, io, path::PathBuf};

use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, stream};

use self::{
    answer::{Answer, Told},
    ask::RemoteJudge,
    questions::Question,
};
use super::{
    failure::{CliError, Exit},
    judge::MirrorJudge,
    output::Output,
    shared::Shared,
};
use crate::{
    config::Variables,
    environment::Environment,
    images::{Document, ImageArgument, Source, Values},
    mirror::Job,
    oci::{Digest, ImageName},
    trust::{Outcome, Verdict},
};

/// Judges images against the policy, as the mirror would.
///
/// Prints what each rule requires, what was found, and what is missing. Without --server no mirror
/// has to run, and nothing is served, kept or recorded. Images in files are found in Dockerfiles,
/// Compose files, Kubernetes manifests and lists.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis verify nginx:1.27
  portcullis verify --policy policy.toml ghcr.io/acme/app@sha256:...
  portcullis verify --file Dockerfile --file deploy/ --output junit > report.xml
  helm template chart | portcullis verify --file kubernetes=-
  portcullis verify --file compose.yaml --pin
  portcullis verify --record cases/app app:1     for `portcullis policy test`
  portcullis verify --fresh app:1                and the running mirror looks again too
  portcullis verify --server https://mirror.example --job \"$CI_JOB_URL\" --file Dockerfile

Exits with 0 when all are admitted, 1 when one is denied, 3 when one is undecided and none denied.")]
pub struct Verify {
    /// What to judge, as a pull names it
    #[arg(value_name = "IMAGE", required_unless_present = "files")]
    images: Vec<ImageArgument>,
    /// Judge what a file or folder mentions, `-` for stdin; KIND is compose, dockerfile, kubernetes or list where the name does not say it (repeatable)
    #[arg(long = "file", short = 'f', value_name = "[KIND=]FILE")]
    files: Vec<Source>,
    /// What a variable in a Dockerfile or Compose file is set to (repeatable)
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value, requires = "files")]
    variables: Vec<(String, String)>,
    /// How to tell the verdicts
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Text, conflicts_with = "json")]
    output: Form,
    /// Print the verdicts as JSON: --output json
    #[arg(long)]
    json: bool,
    /// The mildest verdict that fails
    #[arg(long, value_name = "OUTCOME", value_enum, default_value_t = FailOn::Undecided)]
    fail_on: FailOn,
    /// Write the digest of each admitted image behind its tag, in the files
    #[arg(long, requires = "files")]
    pin: bool,
    /// With --pin: write nothing, fail when an image is not pinned
    #[arg(long, requires = "pin")]
    check: bool,
    /// Ask the mirror that runs there, by its policy
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The job to name in the mirror's records
    #[arg(long, value_name = "LABEL", requires = "server")]
    job: Option<String>,
    /// Keep the manifest and everything that was found about it in a folder; for one image
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "server"])]
    record: Option<PathBuf>,
    /// Have the running mirror look again too, instead of remembering a denial
    #[arg(long, conflicts_with_all = ["files", "server"])]
    fresh: bool,
    /// Where the policy and the upstreams are
    #[command(flatten)]
    shared: Shared,
}

/// How the verdicts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Junit,
    Markdown,
    Sarif,
    Text,
}

/// The mildest verdict that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// What nobody could judge passes
    Denied,
    /// Everything has to be admitted
    Undecided,
}

/// Judges as the mirror does: resolves, fetches, gathers evidence, decides.
pub trait Judge: Sync {
    /// The canonical name of `image`, as far as it is known before the judgement.
    ///
    /// # Errors
    /// In words, when the name is none.
    fn canonical(&self, image: &ImageArgument) -> Result<Option<ImageName>, String>;

    /// The verdict on `image`. An upstream that does not answer is an undecided one, not an error.
    ///
    /// # Errors
    /// [`Unjudged`] says why there is none.
    fn judge(&self, image: &ImageArgument)
    -> impl Future<Output = Result<Judged, Unjudged>> + Send;

    /// The tags of the repository `name`.
    ///
    /// # Errors
    /// In words, when they cannot be had.
    fn tags(&self, name: &str) -> impl Future<Output = Result<Vec<String>, String>> + Send;
}

/// A verdict and what it is about.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The repository, by its canonical name.
    pub image: ImageName,
    /// What was judged; unknown when a tag could not be resolved.
    pub digest: Option<Digest>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum Unjudged {
    /// There is nothing to judge: the upstream does not have it, or refuses access to it.
    Missing(String),
    /// Nobody could be asked.
    Unreached(String),
}

impl Verify {
    /// Finds a judge and has everything judged.
    pub(super) async fn start(
        self,
        variables: Variables,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if let Some(url) = &self.server {
            let job = self.job.as_deref().and_then(Job::of);
            let judge = RemoteJudge::connect(url, job.as_ref()).await?;
            return self.run(&judge, output).await;
        }
        let config = self.shared.start(variables, output)?;
        let judge = MirrorJudge::new(config, environment)?;
        let exit = self.run_here(&judge, output).await;
        judge.close().await;
        exit
    }

    /// Judges here, which can record what it found.
    async fn run_here(&self, judge: &MirrorJudge, output: &mut Output) -> Result<Exit, CliError> {
        if self.record.is_some() && self.images.len() != 1 {
            let what = "`--record` is for one image: name a folder for each";
            return Err(CliError::Usage(what.to_owned()));
        }
        if self.fresh {
            self.images.iter().try_for_each(|image| judge.refresh(image))?;
        }
        let exit = self.run(judge, output).await?;
        if let (Some(folder), Some(image)) = (&self.record, self.images.first()) {
            judge.record(image, folder, output).await?;
        }
        Ok(exit)
    }

    /// Has every image judged by `judge`, and tells the verdicts in the order of the images.
    ///
    /// # Errors
    /// [`CliError::Usage`] when a name or a file is none, before anything is judged.
    pub async fn run<J: Judge>(&self, judge: &J, output: &mut Output) -> Result<Exit, CliError> {
        let documents = self.documents(output)?;
        let questions = questions::all(&self.images, &documents, judge).await?;
        let answers = self.answers(judge, questions, output).await?;
        match self.form() {
            Form::Json => output.json(&answer::json(&answers))?,
            Form::Junit => junit::write(&answers, output.answer())?,
            Form::Markdown => markdown::write(&answers, output.answer())?,
            Form::Sarif => output.json(&sarif::report(&answers))?,
            Form::Text => answer::summarise(&answers, output)?,
        }
        let exit = self.exit(answers.iter().map(Answer::outcome));
        let pinned = !self.pin || pins::pin(&documents, &answers, self.check, output)?;
        Ok(if self.check && !pinned { Exit::No } else { exit })
    }

    fn form(&self) -> Form {
        if self.json { Form::Json } else { self.output }
    }

    fn documents(&self, output: &mut Output) -> Result<Vec<Document>, CliError> {
        let values: Values = self.variables.iter().cloned().collect();
        let mut documents = Vec::new();
        for source in &self.files {
            let read = source.read(&values, &mut io::stdin());
            documents.extend(read.map_err(|error| CliError::Usage(error.to_string()))?);
        }
        for note in documents.iter().flat_map(|document| &document.reading.notes) {
            output.note(format_args!("{}: {}", note.place, note.what));
        }
        if !self.files.is_empty() {
            let mentions = documents.iter().map(|document| document.reading.mentions.len());
            let (count, mentions) = (documents.len(), mentions.sum::<usize>());
            output.note(format_args!("files: {count}, with {mentions} mentions of images"));
        }
        Ok(documents)
    }

    /// Several are judged at a time; each is told as soon as those before it are.
    async fn answers<J: Judge>(
        &self,
        judge: &J,
        questions: Vec<Question>,
        output: &mut Output,
    ) -> Result<Vec<Answer>, CliError> {
        let progress = output.progress(questions.len());
        let answering = questions.into_iter().map(|question| question.put_to(judge));
        let mut answering = stream::iter(answering).buffered(PARALLEL);
        let mut answers = Vec::new();
        while let Some(answer) = answering.next().await {
            progress.inc(1);
            if self.form() == Form::Text {
                progress.suspend(|| answer.tell(!answers.is_empty(), output))?;
            }
            answers.push(answer);
        }
        progress.finish_and_clear();
        Ok(answers)
    }

    /// Denied wins over undecided, which wins over admitted.
    fn exit(&self, outcomes: impl Iterator<Item = Outcome>) -> Exit {
        outcomes.fold(Exit::Success, |exit, outcome| match (exit, outcome) {
            (_, Outcome::Denied) | (Exit::No, _) => Exit::No,
            (_, Outcome::Undecided) if self.fail_on == FailOn::Undecided => Exit::Undecided,
            (exit, Outcome::Admitted | Outcome::Undecided) => exit,
        })
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("write NAME=VALUE, such as TAG=1.27")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Images that are judged at the same time.
const PARALLEL: usize = 8;
