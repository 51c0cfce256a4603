//! Where signatures may be, and which layers of what is there are signatures.

use std::sync::Arc;

use super::super::{
    Format,
    format::{WireFormat, judged},
    policy::Rule,
};
use crate::oci::{Descriptor, Digest, ImageName, Manifest, Shape};

/// Somewhere signatures may be.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) image: ImageName,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Everything that refers to the manifest.
    Referrers,
    /// The tag of this format.
    Tag(&'static dyn WireFormat),
}

impl Place {
    /// The places of `image` that `rule` counts: in its own repository, and where else the rule says.
    pub(super) fn all(rule: &Rule, image: &ImageName) -> Vec<Self> {
        let formats: Vec<_> = rule.formats.iter().filter_map(|format| judged(*format)).collect();
        let elsewhere = rule.signatures_in.iter().filter(|other| *other != image);
        let mut places = Vec::new();
        for image in std::iter::once(image).chain(elsewhere) {
            let kinds = formats.iter().map(|format| Kind::Tag(*format)).chain([Kind::Referrers]);
            places.extend(kinds.map(|kind| Self { image: image.clone(), kind }));
        }
        places
    }

    /// The format by which the place is named in findings.
    pub(super) fn format(&self) -> Format {
        match self.kind {
            Kind::Referrers => Format::Cosign,
            Kind::Tag(format) => format.format(),
        }
    }

    /// The place of `subject`'s signatures, for people.
    pub(super) fn name(&self, subject: &Digest) -> String {
        match self.kind {
            Kind::Referrers => format!("referrers of {}@{subject}", self.image),
            Kind::Tag(format) => format!("{}:{}", self.image, format.tag(subject)),
        }
    }
}

/// A layer that is a signature.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) format: &'static dyn WireFormat,
    pub(super) place: Arc<str>,
    /// The manifest that lists it.
    pub(super) manifest: Digest,
    pub(super) descriptor: Descriptor,
}

impl Layer {
    /// The layers of `manifest`, found at `place`, that are signatures of `format`.
    ///
    /// # Errors
    /// When it holds none, in words.
    pub(super) fn all(
        manifest: &Manifest,
        digest: Digest,
        format: &'static dyn WireFormat,
        place: &str,
    ) -> Result<Vec<Self>, &'static str> {
        let Shape::Image { layers, .. } = &manifest.shape else {
            return Err("is an image index and holds no signatures");
        };
        let place: Arc<str> = place.into();
        let layers: Vec<_> = layers
            .iter()
            .filter(|layer| format.payload_limit(&layer.media_type).is_some())
            .map(|layer| Self {
                format,
                place: place.clone(),
                manifest: digest,
                descriptor: layer.clone(),
            })
            .collect();
        if layers.is_empty() { Err("holds no signatures") } else { Ok(layers) }
    }
}
