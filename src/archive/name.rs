//! Full names of images, as layouts write them: `docker.io/library/nginx:1.27`,
//! `ghcr.io/acme/app@sha256:...`.

use std::collections::HashMap;

use crate::oci::{ImageName, Reference, UpstreamTable};

/// The image and the reference that `text` names; `None` when it is no full name.
#[must_use]
pub fn parse_full_name(text: &str, table: &UpstreamTable) -> Option<(ImageName, Reference)> {
    let (name, reference) = match text.split_once('@') {
        Some((name, digest)) => {
            // `name:tag@digest` means the digest.
            let bare = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
            (bare.map_or(name, |(name, _)| name), Reference::Digest(digest.parse().ok()?))
        }
        None => {
            let (name, tag) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
            (name, Reference::Tag(tag.parse().ok()?))
        }
    };
    name.contains('/').then(|| Some((table.parse_image(name).ok()?, reference)))?
}

/// What an entry of an index is called: by the full name that it carries, else as a tag in `home`.
pub(super) fn name_of(
    annotations: &HashMap<String, String>,
    table: &UpstreamTable,
    home: Option<&ImageName>,
) -> Option<(ImageName, Reference)> {
    let value = |key: &str| annotations.get(key).map(String::as_str);
    let full = [REF_NAME, CONTAINERD_NAME].into_iter().filter_map(value);
    let mut named = full.filter_map(|text| parse_full_name(text, table));
    named.next().or_else(|| {
        let tag = value(REF_NAME)?.parse().ok()?;
        Some((home?.clone(), Reference::Tag(tag)))
    })
}

/// OCI image specification 1.1, "Pre-Defined Annotation Keys".
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What containerd and `docker save` write beside it.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";
