//! `require = { attestation = { type, by, where } }`: that somebody says something about an image.

use std::{fmt, sync::Arc};

use super::{
    document::{Field, Section, nearest},
    require::{Reader, Require},
};
use crate::trust::attestation::{Condition, PredicateType, ShortName};

/// An attestation that is required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// Of what type.
    pub kind: PredicateType,
    /// By whom: authorities, or groups of them.
    pub by: Require,
    /// What it has to say; anything when there is no condition.
    pub condition: Option<Condition>,
}

impl fmt::Display for Attestation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, by, condition } = self;
        write!(formatter, "an attestation of type `{kind}` by {by}")?;
        match condition {
            Some(condition) => {
                let text: Vec<_> = condition.text().split_whitespace().collect();
                write!(formatter, " where `{}`", text.join(" "))
            }
            None => Ok(()),
        }
    }
}

impl Reader<'_> {
    /// The attestation in `section`, which has a member of this name.
    pub(super) fn attestation(&self, section: &Section<'_, '_>, depth: usize) -> Option<Require> {
        let inner = section.field("attestation")?.section()?;
        let required = |name, what: &str| {
            let field = inner.field(name);
            if field.is_none() {
                inner.problem(format!("has no `{name}`"), format!("say {what} with `{name}`"));
            }
            field
        };
        let kind = required("type", "what it is about").and_then(|field| kind(&field));
        let by = required("by", "who has to say it").and_then(|field| self.by(&field, depth));
        let condition = inner.field("where").map(|field| condition(&field));
        inner.finish();
        let (kind, by, condition) = (kind?, by?, condition.unwrap_or(Some(None))?);
        Some(Require::Attestation(Arc::new(Attestation { kind, by, condition })))
    }

    fn by(&self, field: &Field<'_, '_>, depth: usize) -> Option<Require> {
        let by = self.require(field, depth)?;
        if !by.is_authorities() {
            field.problem(
                "an attestation is said by authorities",
                "name one, or several with `all`, `any` or `at_least`",
            );
            return None;
        }
        Some(by)
    }
}

fn kind(field: &Field<'_, '_>) -> Option<PredicateType> {
    let text = field.text()?;
    match PredicateType::parse(text) {
        Ok(kind) => Some(kind),
        Err(what) => {
            let names: Vec<_> = ShortName::ALL.iter().map(|name| name.as_str()).collect();
            let next_step = match nearest(text, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a URI such as `https://slsa.dev/provenance/v1`, or a short name such as `slsaprovenance1`".to_owned(),
            };
            field.problem(format!("`{text}` {what}"), next_step);
            None
        }
    }
}

/// `None` when it is wrong.
fn condition(field: &Field<'_, '_>) -> Option<Option<Condition>> {
    match Condition::compile(field.text()?) {
        Ok(condition) => Some(Some(condition)),
        Err(mistake) => {
            field.problem(mistake.to_string(), "");
            None
        }
    }
}
