//! What a referrer says it is.
//!
//! A registry lists referrers with their artifact types, and some of them list the type of the
//! configuration instead, or nothing. So what says nothing is opened and says it itself. All of this
//! is written by strangers: it tells where to look, and a lie about it hides at most what a registry
//! could hide by listing nothing (`signatures.md` b.2).

use crate::{
    oci::{Manifest, Shape, media_type::OCI_EMPTY},
    trust::{
        Format,
        format::{WireFormat, of_artifact_type, unjudged},
    },
};

/// What a referrer says it is.
#[derive(Debug)]
pub(super) enum Referrer {
    /// Something that a person should hear about and that is not judged: what, in words.
    Beside(Format, &'static str),
    /// Something that has nothing to do with signatures.
    Else,
    Signature(&'static dyn WireFormat),
    /// Nothing: some registries list what a referrer's configuration is, which is empty.
    Unknown,
}

impl Referrer {
    /// What `artifact_type` says, where `formats` are those that count.
    pub(super) fn of(artifact_type: Option<&str>, formats: &[&'static dyn WireFormat]) -> Self {
        let Some(kind) = artifact_type.filter(|kind| !matches!(*kind, "" | OCI_EMPTY)) else {
            return Self::Unknown;
        };
        match of_artifact_type(kind) {
            Some(format) if formats.iter().any(|one| one.format() == format.format()) => {
                Self::Signature(format)
            }
            Some(format) => Self::Beside(
                format.format(),
                "a signature in a form that the rule's `formats` leaves out",
            ),
            None => unjudged(kind).map_or(Self::Else, |(format, what)| Self::Beside(format, what)),
        }
    }

    /// What the manifest in `bytes` says it is, by its artifact type or else by its layers.
    pub(super) fn inside(bytes: &[u8], formats: &[&'static dyn WireFormat]) -> Option<Self> {
        let manifest = Manifest::parse(bytes, None).ok()?;
        let kind = manifest.artifact_type.as_deref();
        match (Self::of(kind, formats), &manifest.shape) {
            (Self::Unknown, Shape::Image { layers, .. }) => {
                let layer = layers.first()?;
                let of_layer =
                    |format: &&'static dyn WireFormat| format.limits(&layer.media_type).is_some();
                Some(formats.iter().copied().find(of_layer).map_or(Self::Else, Self::Signature))
            }
            (said, _) => Some(said),
        }
    }
}
