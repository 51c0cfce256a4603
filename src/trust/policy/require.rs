//! What a rule requires: a tree whose leaves are places to be filled.

use std::{fmt, sync::Arc};

use super::{
    attestation::Attestation,
    document::{Field, Section, nearest},
};
use crate::{
    oci::Digest,
    trust::{
        places::{self, Filling, Free, Offer},
        words::listed,
    },
};

/// A requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Require {
    /// That somebody says something.
    Attestation(Arc<Attestation>),
    /// A signature by this authority.
    Authority(Arc<str>),
    /// Some of several requirements.
    Group(Group),
    /// Nothing: whatever is there is admitted. Spelled so that nobody writes it by accident.
    Insecure,
    /// Cannot be met.
    Never,
    /// One of these digests, signed or not.
    Pin(Vec<Digest>),
}

/// Requirements of which a number has to be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub quantity: Quantity,
    /// Of what. Not empty.
    pub of: Vec<Require>,
}

/// How many of a group have to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Each.
    All,
    /// One.
    Any,
    /// This many, by distinct authorities.
    AtLeast(usize),
}

impl Group {
    /// How many of the group have to be met.
    #[must_use]
    pub const fn needed(&self) -> usize {
        match self.quantity {
            Quantity::All => self.of.len(),
            Quantity::Any => 1,
            Quantity::AtLeast(count) => count,
        }
    }
}

impl Require {
    /// Every authority that has a place, in the order of the tree.
    pub fn authorities(&self) -> Vec<&Arc<str>> {
        self.places().into_iter().map(|(name, _)| name).collect()
    }

    /// Every place, in the order of the tree: the authority, and the attestation that it is to make,
    /// where it is not to sign.
    pub fn places(&self) -> Vec<(&Arc<str>, Option<&Arc<Attestation>>)> {
        match self {
            Self::Attestation(attestation) => {
                let authorities = attestation.by.authorities().into_iter();
                authorities.map(|name| (name, Some(attestation))).collect()
            }
            Self::Authority(name) => vec![(name, None)],
            Self::Group(group) => group.of.iter().flat_map(Self::places).collect(),
            Self::Insecure | Self::Never | Self::Pin(_) => Vec::new(),
        }
    }

    /// Every attestation that is required, in the order of the tree.
    pub fn attestations(&self) -> Vec<&Arc<Attestation>> {
        match self {
            Self::Attestation(attestation) => vec![attestation],
            Self::Group(group) => group.of.iter().flat_map(Self::attestations).collect(),
            Self::Authority(_) | Self::Insecure | Self::Never | Self::Pin(_) => Vec::new(),
        }
    }

    /// Whether it is made of authorities alone.
    pub(super) fn is_authorities(&self) -> bool {
        match self {
            Self::Authority(_) => true,
            Self::Group(group) => group.of.iter().all(Self::is_authorities),
            Self::Attestation(_) | Self::Insecure | Self::Never | Self::Pin(_) => false,
        }
    }

    /// Whether any part of the tree is `leaf`.
    pub(in crate::trust) fn contains(&self, leaf: &Self) -> bool {
        match self {
            Self::Group(group) => group.of.iter().any(|part| part.contains(leaf)),
            other => other == leaf,
        }
    }

    /// Whether any set of signatures could meet it for `digest`.
    pub(in crate::trust) fn is_attainable(&self, digest: &Digest) -> bool {
        match self {
            Self::Attestation(_) | Self::Authority(_) | Self::Insecure => true,
            Self::Group(group) => {
                group.of.iter().filter(|part| part.is_attainable(digest)).count() >= group.needed()
            }
            Self::Never => false,
            Self::Pin(digests) => digests.contains(digest),
        }
    }

    /// The requirement as the object of "requires".
    #[must_use]
    pub fn demand(&self) -> String {
        match self {
            Self::Authority(name) => format!("a signature by `{name}`"),
            Self::Group(_) if self.is_authorities() => format!("signatures by {self}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Require {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attestation(attestation) => attestation.fmt(formatter),
            Self::Authority(name) => write!(formatter, "`{name}`"),
            Self::Group(group) => group.fmt(formatter),
            Self::Insecure => formatter.write_str("nothing (`insecure-accept-anything`)"),
            Self::Never => formatter.write_str("`never`"),
            Self::Pin(digests) => match digests.as_slice() {
                [digest] => write!(formatter, "the pinned digest {digest}"),
                several => write!(formatter, "one of {} pinned digests", several.len()),
            },
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quantity {
            Quantity::All => formatter.write_str("all of ")?,
            Quantity::Any => formatter.write_str("any of ")?,
            Quantity::AtLeast(count) => write!(formatter, "at least {count} of ")?,
        }
        for (at, part) in self.of.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match part {
                Require::Group(group) => write!(formatter, "{comma}({group})")?,
                leaf => write!(formatter, "{comma}{leaf}")?,
            }
        }
        Ok(())
    }
}

/// Reads the value of `require`.
#[derive(Debug)]
pub(super) struct Reader<'n> {
    /// Every authority of the file, right or wrong.
    pub(super) authorities: &'n [String],
}

impl Reader<'_> {
    /// The requirement that `field` holds, if it is one that can be met.
    pub(super) fn read(&self, field: &Field<'_, '_>) -> Option<Require> {
        let require = self.require(field, MAX_DEPTH)?;
        if require.authorities().len() > MAX_PLACES {
            field.problem(format!("has more than {MAX_PLACES} places"), "split the rule");
            return None;
        }
        Some(require)
    }

    pub(super) fn require(&self, field: &Field<'_, '_>, depth: usize) -> Option<Require> {
        if depth == 0 {
            field.problem(format!("is nested deeper than {MAX_DEPTH} levels"), "make it simpler");
            return None;
        }
        if field.is_text() { self.word(field) } else { self.table(field.section()?, depth - 1) }
    }

    fn word(&self, field: &Field<'_, '_>) -> Option<Require> {
        match field.text()? {
            NEVER => Some(Require::Never),
            INSECURE => Some(Require::Insecure),
            name if self.authorities.iter().any(|known| known == name) => {
                Some(Require::Authority(name.into()))
            }
            name => {
                let next_step = match nearest(name, self.authorities) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if self.authorities.is_empty() => {
                        format!("write `[authority.{name}]` with a `key`")
                    }
                    None => format!("the authorities are {}", listed(self.authorities)),
                };
                field.problem(format!("there is no authority `{name}`"), next_step);
                None
            }
        }
    }

    fn table(&self, section: Section<'_, '_>, depth: usize) -> Option<Require> {
        const KINDS: [&str; 5] = ["all", "any", "at_least", "attestation", "pin"];
        let require = match section.present(&KINDS).as_slice() {
            ["all"] => self.group(&section, "all", depth, |_, _| Some(Quantity::All)),
            ["any"] => self.group(&section, "any", depth, |_, _| Some(Quantity::Any)),
            ["at_least"] => self.group(&section, "of", depth, at_least),
            ["attestation"] => self.attestation(&section, depth),
            ["pin"] => pin(&section),
            _ => {
                let kinds = listed(&KINDS);
                section.problem(
                    "is no requirement",
                    format!("write exactly one of {kinds}, or a name"),
                );
                return None;
            }
        };
        section.finish();
        require
    }

    fn group(
        &self,
        section: &Section<'_, '_>,
        name: &'static str,
        depth: usize,
        quantity: impl Fn(&Section<'_, '_>, usize) -> Option<Quantity>,
    ) -> Option<Require> {
        let Some(list) = section.field(name) else {
            section.problem(format!("has no `{name}`"), "list what may count");
            return None;
        };
        let entries = list.list()?;
        let quantity = quantity(section, entries.len());
        let parts: Vec<_> = entries.iter().map(|entry| self.require(entry, depth)).collect();
        for (at, part) in parts.iter().enumerate() {
            let twice = part.is_some() && parts[..at].contains(part);
            if twice {
                entries[at]
                    .problem("is there twice", "name it once: one authority fills one place");
            }
        }
        let of = parts.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Require::Group(Group { quantity: quantity?, of }))
    }
}

fn at_least(section: &Section<'_, '_>, of: usize) -> Option<Quantity> {
    let field = section.field("at_least")?;
    match field.number().map(usize::try_from)? {
        Ok(count) if (1..=of).contains(&count) => Some(Quantity::AtLeast(count)),
        _ => {
            field.problem(
                "cannot be met",
                format!("write a number from 1 to {of}, what `of` lists"),
            );
            None
        }
    }
}

fn pin(section: &Section<'_, '_>) -> Option<Require> {
    let field = section.field("pin")?;
    let digests: Vec<_> = field
        .texts()?
        .into_iter()
        .map(|(_, text)| {
            let digest = text.parse::<Digest>();
            digest.map_err(|error| field.problem(format!("`{text}`: {error}"), "")).ok()
        })
        .collect();
    let digests = digests.into_iter().collect::<Option<Vec<_>>>()?;
    let twice = digests.iter().enumerate().any(|(at, digest)| digests[..at].contains(digest));
    if twice {
        field.problem("names a digest twice", "name it once");
        return None;
    }
    Some(Require::Pin(digests))
}

/// Whether enough signatures could ever meet `require`, given the keys of each authority. Two places
/// that only one key can fill cannot both be filled.
pub(super) fn can_be_met(require: &Require, offers: &[Offer]) -> bool {
    let free = Free { insecure: true, pinned: None };
    !matches!(places::fill(require, offers, free), Filling::Unfilled)
}

/// The word that cannot be met.
pub(super) const NEVER: &str = "never";
/// The word that is always met.
pub(super) const INSECURE: &str = "insecure-accept-anything";
/// Requirements inside each other.
const MAX_DEPTH: usize = 8;
/// Places in a tree.
const MAX_PLACES: usize = 64;
