//! What belongs to an image: everything that has to travel for it to run, and to be believed.
//!
//! That is its manifest, the children that are wanted, their blobs, and whatever vouches for any of
//! these in the forms that it has: cosign's tags, the referrers, and the tag schema of registries
//! without a referrers API. What refers to a piece of evidence belongs to it too. A child that is
//! nowhere to be had is left out, as registries allow (OCI image specification 1.1, "Image index");
//! evidence that cannot be looked at now is an error, since nobody should find out at the far end.

use std::{collections::HashSet, fmt, str::FromStr, sync::Arc};

use futures_util::future::BoxFuture;

use super::{PullError, Room, Wanted, fetch::Fetched, look::Look};
use crate::{
    oci::{CosignSuffix, Descriptor, Digest, ImageName, Manifest, Platform, Reference, Shape, Tag},
    upstream::UpstreamError,
};

/// Everything that belongs to an image, each piece once.
#[derive(Clone, Debug, Default)]
pub struct Cargo {
    /// The image itself first, then its children, then evidence.
    pub manifests: Vec<Piece>,
    /// Configurations, layers and payloads, with their lengths in bytes.
    pub blobs: Vec<(Digest, u64)>,
    /// Where it runs, as far as it says so.
    pub platforms: Vec<String>,
}

impl Cargo {
    /// Bytes of everything together.
    #[must_use]
    pub fn size(&self) -> u64 {
        let manifests = self.manifests.iter().map(|piece| piece.descriptor.size);
        manifests.chain(self.blobs.iter().map(|(_, size)| *size)).sum()
    }
}

/// One manifest of a cargo.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its digest, length and types.
    pub descriptor: Descriptor,
    /// What it is there for.
    pub role: Role,
    /// The tag under which it is found, for evidence that has one.
    pub name: Option<(ImageName, Tag)>,
}

/// What a manifest is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Listed by an index.
    Child,
    /// Vouches for another.
    Evidence,
    /// What was asked for.
    Image,
}

/// Which children of an index are wanted. Without any, all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platforms(Vec<Wish>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platforms {
    /// Whether the child is wanted. One that runs nowhere, as attestations do, goes with all.
    fn want(&self, platform: Option<&Platform>) -> bool {
        let Some(platform) = platform.filter(|platform| platform.os != "unknown") else {
            return true;
        };
        self.0.is_empty()
            || self.0.iter().any(|wish| {
                wish.os == platform.os
                    && wish.architecture == platform.architecture
                    && (wish.variant.is_none() || wish.variant == platform.variant)
            })
    }
}

impl FromStr for Platforms {
    type Err = ParsePlatformsError;

    /// Parses `linux/amd64,linux/arm64/v8`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wishes = text.split(',').map(|one| {
            let parts: Vec<_> = one.split('/').collect();
            let (os, architecture, variant) = match parts.as_slice() {
                [os, architecture] => (os, architecture, None),
                [os, architecture, variant] => (os, architecture, Some(*variant)),
                _ => return Err(ParsePlatformsError),
            };
            match parts.iter().any(|part| part.is_empty()) {
                true => Err(ParsePlatformsError),
                false => Ok(Wish {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: variant.map(str::to_owned),
                }),
            }
        });
        Ok(Self(wishes.collect::<Result<_, _>>()?))
    }
}

/// A text that is no list of platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a platform is `linux/amd64` or `linux/arm64/v8`; commas separate several")]
pub struct ParsePlatformsError;

impl Room {
    /// Finds everything that belongs to the manifest `digest` of `image`. Small things are fetched
    /// on the way, and kept.
    ///
    /// # Errors
    /// When the manifest or its evidence cannot be had, or a manifest among them makes no sense.
    pub(super) async fn pack(
        self: &Arc<Self>,
        image: &ImageName,
        digest: &Digest,
        platforms: &Platforms,
    ) -> Result<Cargo, PullError> {
        let mut packer = Packer {
            room: self,
            look: Look::new(self),
            platforms,
            cargo: Cargo::default(),
            seen: HashSet::new(),
        };
        packer.image(image, *digest, Role::Image, 0).await?;
        let subjects: Vec<_> =
            packer.cargo.manifests.iter().map(|piece| piece.descriptor.digest).collect();
        let elsewhere = self.policy.load().signatures_in(image);
        for home in std::iter::once(image.clone()).chain(elsewhere) {
            for subject in &subjects {
                packer.evidence(&home, *subject, 0).await?;
            }
        }
        Ok(packer.cargo)
    }
}

struct Packer<'a> {
    room: &'a Arc<Room>,
    look: Look,
    platforms: &'a Platforms,
    cargo: Cargo,
    seen: HashSet<Digest>,
}

impl Packer<'_> {
    fn image<'f>(
        &'f mut self,
        image: &'f ImageName,
        digest: Digest,
        role: Role,
        depth: usize,
    ) -> BoxFuture<'f, Result<(), PullError>> {
        Box::pin(async move {
            let fetched = self.room.fetch(image, &digest).await.map_err(PullError::Shared)?;
            let manifest = understood(&fetched, image)?;
            self.add(&fetched, &manifest, digest, role);
            let Shape::Index { manifests } = &manifest.shape else { return Ok(()) };
            let wanted = |child: &&Descriptor| self.platforms.want(child.platform.as_ref());
            let children: Vec<_> = manifests.iter().filter(wanted).cloned().collect();
            for child in children {
                if depth >= MAX_DEPTH || self.seen.contains(&child.digest) {
                    continue;
                }
                match self.image(image, child.digest, Role::Child, depth + 1).await {
                    Ok(()) => {
                        self.cargo.platforms.extend(child.platform.as_ref().and_then(name_of))
                    }
                    Err(error) if is_absent(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    /// What vouches for `subject` in the repository `home`.
    fn evidence<'f>(
        &'f mut self,
        home: &'f ImageName,
        subject: Digest,
        depth: usize,
    ) -> BoxFuture<'f, Result<(), PullError>> {
        Box::pin(async move {
            let signatures = Tag::cosign(&subject, CosignSuffix::Signatures);
            let attestations = Tag::cosign(&subject, CosignSuffix::Attestations);
            for tag in [signatures, attestations, Tag::referrers(&subject)] {
                self.tagged(home, tag).await?;
            }
            let listed = self.look.referrers_of(home, &subject, None).await;
            let listed = listed.map_err(|error| {
                PullError::upstream(Wanted::Referrers(home.clone(), subject), error)
            })?;
            for descriptor in listed.into_iter().take(MAX_REFERRERS) {
                let digest = descriptor.digest;
                if self.seen.contains(&digest) {
                    continue;
                }
                match self.room.fetch(home, &digest).await {
                    Ok(fetched) => {
                        if let Ok(manifest) = understood(&fetched, home) {
                            self.add(&fetched, &manifest, digest, Role::Evidence);
                        }
                    }
                    Err(error) if is_absent(&error) => continue,
                    Err(error) => return Err(PullError::Shared(error)),
                }
                if depth < MAX_DEPTH {
                    self.evidence(home, digest, depth + 1).await?;
                }
            }
            Ok(())
        })
    }

    /// The evidence under a tag. Whoever may push tags may put anything there: only a manifest counts.
    async fn tagged(&mut self, home: &ImageName, tag: Tag) -> Result<(), PullError> {
        let reference = Reference::Tag(tag.clone());
        let found = self.look.manifest_of(home, &reference).await.map_err(|error| {
            PullError::upstream(Wanted::Manifest(home.clone(), reference.clone()), error)
        })?;
        let Some(bytes) = found else { return Ok(()) };
        let digest = Digest::of(&bytes);
        let fetched = self.room.adopt(home, &digest, bytes, None).await?;
        let Ok(manifest) = understood(&fetched, home) else { return Ok(()) };
        if !self.seen.contains(&digest) {
            self.add(&fetched, &manifest, digest, Role::Evidence);
        }
        let piece = self.cargo.manifests.iter_mut().find(|piece| piece.descriptor.digest == digest);
        if let Some(piece) = piece {
            piece.name.get_or_insert_with(|| (home.clone(), tag));
        }
        Ok(())
    }

    fn add(&mut self, fetched: &Fetched, manifest: &Manifest, digest: Digest, role: Role) {
        if !self.seen.insert(digest) {
            return;
        }
        let descriptor = super::descriptor_of(&digest, &fetched.bytes);
        self.cargo.manifests.extend(descriptor.map(|descriptor| Piece {
            descriptor,
            role,
            name: None,
        }));
        let Shape::Image { .. } = &manifest.shape else { return };
        for blob in manifest.references() {
            if !is_foreign(&blob.media_type) && self.seen.insert(blob.digest) {
                self.cargo.blobs.push((blob.digest, blob.size));
            }
        }
    }
}

fn understood(fetched: &Fetched, image: &ImageName) -> Result<Arc<Manifest>, PullError> {
    fetched.manifest.clone().map_err(|error| {
        let wanted = Wanted::Manifest(image.clone(), Reference::Digest(Digest::of(&fetched.bytes)));
        PullError::upstream(wanted, UpstreamError::Invalid { reason: error.to_string() })
    })
}

fn is_absent(error: &PullError) -> bool {
    match error {
        PullError::Shared(error) => is_absent(error),
        PullError::Upstream { error, .. } => {
            matches!(error, UpstreamError::NotFound | UpstreamError::Offline)
        }
        _ => false,
    }
}

/// Layers that are fetched from elsewhere, and that registries do not have (OCI image specification
/// 1.1, "Non-distributable layers").
fn is_foreign(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains(".foreign.")
}

fn name_of(platform: &Platform) -> Option<String> {
    (platform.os != "unknown").then(|| {
        let variant = platform.variant.as_deref().map_or(String::new(), |text| format!("/{text}"));
        format!("{}/{}{variant}", platform.os, platform.architecture)
    })
}

impl fmt::Display for Platforms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = self.0.iter().map(|wish| match &wish.variant {
            Some(variant) => format!("{}/{}/{variant}", wish.os, wish.architecture),
            None => format!("{}/{}", wish.os, wish.architecture),
        });
        formatter.write_str(&texts.collect::<Vec<_>>().join(","))
    }
}

/// Indexes inside indexes, and evidence about evidence, that are followed.
const MAX_DEPTH: usize = 3;
/// Referrers of one manifest that are carried: as many as an upstream is asked for.
const MAX_REFERRERS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    #[test]
    fn a_wish_without_a_variant_takes_any() {
        let wanted: Platforms = "linux/amd64,linux/arm64/v8".parse().unwrap();
        for (os, architecture, variant, expected) in [
            ("linux", "amd64", None, true),
            ("linux", "amd64", Some("v3"), true),
            ("linux", "arm64", Some("v8"), true),
            ("linux", "arm64", Some("v9"), false),
            ("linux", "arm64", None, false),
            ("windows", "amd64", None, false),
            ("unknown", "unknown", None, true),
        ] {
            let asked = platform(os, architecture, variant);
            assert_eq!(wanted.want(Some(&asked)), expected, "{asked:?}");
        }
        assert!(wanted.want(None), "what runs nowhere goes along");
        assert!(Platforms::default().want(Some(&platform("windows", "amd64", None))));
    }

    #[test]
    fn texts_that_are_no_platforms_are_refused() {
        for text in ["", "linux", "linux/", "a/b/c/d", "linux/amd64,"] {
            assert_eq!(text.parse::<Platforms>(), Err(ParsePlatformsError), "{text:?}");
        }
    }
}
