//! Where signatures may be, and which layers of what is there are signatures.

use std::sync::Arc;

use super::super::{
    Format,
    format::{WireFormat, judged},
    policy::Rule,
};
use crate::oci::{Descriptor, Digest, ImageName, Manifest, Shape, Tag, reference::CosignSuffix};

/// Somewhere signatures may be.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) image: ImageName,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Everything that refers to the manifest, for signatures of these formats.
    Referrers(Vec<&'static dyn WireFormat>),
    /// The tag of this format.
    Tag(&'static dyn WireFormat, CosignSuffix),
}

impl Place {
    /// The places of `image` that `rule` counts: in its own repository, and where else the rule says.
    pub(super) fn all(rule: &Rule, image: &ImageName) -> Vec<Self> {
        let formats: Vec<_> = rule.formats.iter().filter_map(|format| judged(*format)).collect();
        let elsewhere = rule.signatures_in.iter().filter(|other| *other != image);
        let mut places = Vec::new();
        for image in std::iter::once(image).chain(elsewhere) {
            let tags = formats.iter().filter_map(|format| Some(Kind::Tag(*format, format.tag()?)));
            let kinds = tags.chain([Kind::Referrers(formats.clone())]);
            places.extend(kinds.map(|kind| Self { image: image.clone(), kind }));
        }
        places
    }

    /// The format by which the place is named in findings.
    pub(super) fn format(&self) -> Format {
        match &self.kind {
            Kind::Tag(format, _) => format.format(),
            // Referrers are the only way to bundles, and an uncommon one to everything else.
            Kind::Referrers(formats) => {
                let is_bundle = |format: &Format| *format == Format::Bundle;
                let mut formats = formats.iter().map(|format| format.format());
                formats.find(is_bundle).unwrap_or(Format::Cosign)
            }
        }
    }

    /// The place of `subject`'s signatures, for people.
    pub(super) fn name(&self, subject: &Digest) -> String {
        match &self.kind {
            Kind::Referrers(_) => format!("referrers of {}@{subject}", self.image),
            Kind::Tag(_, suffix) => format!("{}:{}", self.image, Tag::cosign(subject, *suffix)),
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
        if layers.len() > format.most_layers() {
            return Err("holds more than the one signature that its form has room for");
        }
        let place: Arc<str> = place.into();
        let layers: Vec<_> = layers
            .iter()
            .filter(|layer| format.limits(&layer.media_type).is_some())
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
