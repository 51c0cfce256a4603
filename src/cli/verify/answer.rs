//! What became of each image, as text for a person and as JSON for a program.

use std::io;

use serde::Serialize;

use crate::{
    cli::{
        output::{Output, Tone, Visible},
        story::Story,
        why::with_reference,
    },
    images::Place,
    oci::{Digest, ImageName, Reference},
    timestamp::Timestamp,
    trust::{Outcome, Verdict},
};

/// What became of one image.
#[derive(Debug)]
pub(super) struct Answer {
    /// As it is written.
    pub(super) asked: String,
    /// Where, in files.
    pub(super) places: Vec<Place>,
    /// Its canonical name, as far as it is known.
    pub(super) image: Option<ImageName>,
    pub(super) reference: Option<Reference>,
    pub(super) told: Told,
}

/// What was found out about an image.
#[derive(Debug)]
pub(super) enum Told {
    Judged(Option<Digest>, Box<Verdict>),
    /// The upstream does not have it, or gives it to nobody here.
    Missing(String),
    /// The file does not say which image it is.
    Unclear(String),
    /// The mirror that was asked does not answer.
    Unreached(String),
}

impl Answer {
    /// An image that cannot be had is not admitted; one that nobody could look at is undecided.
    pub(super) fn outcome(&self) -> Outcome {
        match &self.told {
            Told::Judged(_, verdict) => verdict.outcome,
            Told::Missing(_) => Outcome::Denied,
            Told::Unclear(_) | Told::Unreached(_) => Outcome::Undecided,
        }
    }

    /// One word for why.
    pub(super) fn reason(&self) -> &'static str {
        match &self.told {
            Told::Judged(_, verdict) => verdict.reason.as_str(),
            Told::Missing(_) => "image_missing",
            Told::Unclear(_) => "image_unclear",
            Told::Unreached(_) => "mirror_unreachable",
        }
    }

    /// Whether a rule that does not enforce let pass what policy refuses.
    pub(super) fn is_tolerated(&self) -> bool {
        matches!(&self.told, Told::Judged(_, verdict)
            if verdict.outcome == Outcome::Admitted && !verdict.enforced)
    }

    /// One sentence.
    pub(super) fn message(&self) -> String {
        match &self.told {
            Told::Judged(_, verdict) => verdict.message.clone(),
            Told::Missing(why) | Told::Unclear(why) | Told::Unreached(why) => {
                format!("`{}` cannot be judged: {why}", self.name())
            }
        }
    }

    /// What to do about it; empty when there is nothing to do.
    pub(super) fn next_step(&self) -> &str {
        match &self.told {
            Told::Judged(_, verdict) => &verdict.next_step,
            Told::Missing(_) | Told::Unclear(_) | Told::Unreached(_) => "",
        }
    }

    /// The digest, if it is admitted.
    pub(super) fn admitted(&self) -> Option<Digest> {
        match &self.told {
            Told::Judged(digest, verdict) if verdict.outcome == Outcome::Admitted => *digest,
            _ => None,
        }
    }

    /// `docker.io/library/nginx:1.27`, or what is written where that is all there is.
    pub(super) fn name(&self) -> String {
        match (&self.image, &self.reference) {
            (Some(image), Some(reference)) => with_reference(image, reference),
            _ => self.asked.clone(),
        }
    }

    /// Tells it to a person.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub(super) fn tell(&self, follows: bool, output: &mut Output) -> io::Result<()> {
        if follows {
            output.line("")?;
        }
        let places: Vec<_> = self.places.iter().map(ToString::to_string).collect();
        let (digest, verdict) = match &self.told {
            Told::Judged(digest, verdict) => (digest, verdict),
            Told::Missing(why) | Told::Unclear(why) | Told::Unreached(why) => {
                return self.tell_trouble(why, &places, output);
            }
        };
        let mut facts = Vec::new();
        if !places.is_empty() {
            facts.push(("in", places.join(", ")));
        }
        facts.extend(digest.map(|digest| ("digest", digest.to_string())));
        let rule = verdict.rule.as_deref().unwrap_or("none");
        facts.push(("rule", format!("{rule}, mode {}", verdict.mode)));
        if !verdict.signed_by.is_empty() {
            facts.push(("signed by", verdict.signed_by.join(", ")));
        }
        if let Some(end) = verdict.valid_until {
            facts.push(("until", Timestamp(end).to_string()));
        }
        let story = Story {
            image: self.name(),
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

    fn tell_trouble(&self, why: &str, places: &[String], output: &mut Output) -> io::Result<()> {
        let tone = match self.outcome() {
            Outcome::Undecided => Tone::Worrying,
            Outcome::Admitted | Outcome::Denied => Tone::Bad,
        };
        let word = output.paint(tone, "cannot be judged");
        output.line(format_args!("{}: {word}: {}", Visible(&self.name()), Visible(why)))?;
        if places.is_empty() {
            return Ok(());
        }
        let name = output.paint(Tone::Faint, format_args!("{:<9}", "in"));
        output.line(format_args!("  {name} {}", Visible(&places.join(", "))))
    }
}

/// How many answers there are of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) admitted: usize,
    pub(super) denied: usize,
    pub(super) undecided: usize,
}

impl Counts {
    pub(super) fn of<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        answers.into_iter().fold(Self::default(), |mut counts, answer| {
            match answer.outcome() {
                Outcome::Admitted => counts.admitted += 1,
                Outcome::Denied => counts.denied += 1,
                Outcome::Undecided => counts.undecided += 1,
            }
            counts
        })
    }
}

/// The last line: how it went as a whole. One image needs none.
///
/// # Errors
/// When stdout cannot be written to.
pub(super) fn summarise(answers: &[Answer], output: &mut Output) -> io::Result<()> {
    if answers.len() < 2 {
        return Ok(());
    }
    let Counts { admitted, denied, undecided } = Counts::of(answers);
    output.line(format_args!(
        "\n{} images: {admitted} admitted, {denied} denied, {undecided} undecided",
        answers.len()
    ))
}

/// The answers; `docs/json.md` describes them.
pub(super) fn json(answers: &[Answer]) -> serde_json::Value {
    let images: Vec<_> = answers.iter().map(JsonAnswer::of).collect();
    serde_json::json!({ "images": images })
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "<[Place]>::is_empty")]
    places: &'a [Place],
    upstream: Option<&'a str>,
    repository: Option<&'a str>,
    reference: Option<String>,
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// The outcome where there is no verdict that says it.
    #[serde(rename = "outcome", skip_serializing_if = "Option::is_none")]
    without_verdict: Option<&'static str>,
    #[serde(flatten)]
    verdict: Option<&'a Verdict>,
}

impl<'a> JsonAnswer<'a> {
    fn of(answer: &'a Answer) -> Self {
        let (digest, error, verdict) = match &answer.told {
            Told::Judged(digest, verdict) => (*digest, None, Some(&**verdict)),
            Told::Missing(why) | Told::Unclear(why) | Told::Unreached(why) => {
                (None, Some(why.as_str()), None)
            }
        };
        Self {
            image: &answer.asked,
            places: &answer.places,
            upstream: answer.image.as_ref().map(|image| image.upstream.as_str()),
            repository: answer.image.as_ref().map(|image| image.repository.as_str()),
            reference: answer.reference.as_ref().map(ToString::to_string),
            digest,
            error,
            without_verdict: error.map(|_| answer.outcome().as_str()),
            verdict,
        }
    }
}
