//! What became of one image that was to be carried.

use serde::Serialize;

use crate::{
    mirror::{Order, PullError, Weighed},
    oci::{Digest, ImageName, Reference},
    trust,
};

/// One line of the report of `seed`, `export` and `import`.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Its full name.
    pub image: String,
    /// What it is, once that is known.
    pub digest: Option<Digest>,
    /// What became of it.
    pub outcome: Outcome,
    /// The reason of the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What to know about it, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_step: String,
    /// Bytes of everything that belongs to it.
    pub size: u64,
    /// Who vouched for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Policy admits it, and it was carried.
    Admitted,
    /// Policy denies it: it stays where it is.
    Denied,
    /// It could not be had.
    Failed,
    /// Policy denies it; it is kept, and cannot be pulled.
    Kept,
    /// Nobody can tell now.
    Undecided,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Kept => "kept",
            Self::Undecided => "undecided",
        }
    }
}

impl Item {
    /// What became of `order`.
    #[must_use]
    pub fn of(order: &Order, result: &Result<Weighed, PullError>) -> Self {
        let image = full_name(&order.image, &order.reference);
        match result {
            Ok(weighed) => Self::judged(image, weighed),
            Err(error) => Self::failed(image, error.to_string()),
        }
    }

    /// An image that could not be had.
    #[must_use]
    pub const fn failed(image: String, message: String) -> Self {
        Self {
            image,
            digest: None,
            outcome: Outcome::Failed,
            reason: None,
            message,
            next_step: String::new(),
            size: 0,
            signed_by: Vec::new(),
        }
    }

    fn judged(image: String, weighed: &Weighed) -> Self {
        let Weighed { digest, verdict, cargo, .. } = weighed;
        let outcome = match (verdict.outcome, cargo) {
            (trust::Outcome::Admitted, _) => Outcome::Admitted,
            (trust::Outcome::Denied, None) => Outcome::Denied,
            (trust::Outcome::Denied, Some(_)) => Outcome::Kept,
            (trust::Outcome::Undecided, _) => Outcome::Undecided,
        };
        let is_admitted = outcome == Outcome::Admitted && verdict.enforced;
        let said = |text: &str| if is_admitted { String::new() } else { text.to_owned() };
        Self {
            image,
            digest: Some(*digest),
            outcome,
            reason: Some(verdict.reason.as_str()),
            message: said(&verdict.message),
            next_step: said(&verdict.next_step),
            size: cargo.as_ref().map_or(0, crate::mirror::Cargo::size),
            signed_by: verdict.signed_by.clone(),
        }
    }
}

/// `docker.io/library/nginx:1.27`, `ghcr.io/acme/app@sha256:...`.
#[must_use]
pub(super) fn full_name(image: &ImageName, reference: &Reference) -> String {
    match reference {
        Reference::Digest(digest) => format!("{image}@{digest}"),
        Reference::Tag(tag) => format!("{image}:{tag}"),
    }
}
