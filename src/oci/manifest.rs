//! Manifests: a checked view of the few members that the mirror acts on.
//!
//! OCI image specification 1.1, "Image manifest" and "Image index"; Docker's schema 2 has the same
//! shape. The bytes stay what they are: a view is never written back. A document that could be read
//! as both an image and an index is refused (GHSA-qq97-vm5h-rrhg, G-5), as is one with a member
//! given twice (G-14), since two readers could then see two images.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Digest, MediaType};

/// A manifest that can mean one thing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it says it is; the same as its `mediaType` member where there is one.
    pub media_type: MediaType,
    /// `artifactType`, where given.
    pub artifact_type: Option<String>,
    /// The manifest this one refers to. A hint: nothing signs it.
    pub subject: Option<Descriptor>,
    /// What it lists.
    pub shape: Shape,
    /// Its annotations. Hints too.
    pub annotations: HashMap<String, String>,
}

/// What a manifest lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One image or artifact.
    Image {
        /// The configuration blob.
        config: Box<Descriptor>,
        /// The content, in order.
        layers: Vec<Descriptor>,
    },
    /// Several manifests.
    Index {
        /// The children, in order.
        manifests: Vec<Descriptor>,
    },
}

/// A pointer to content: OCI image specification 1.1, "Content descriptors".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content claims to be.
    pub media_type: String,
    /// What it hashes to.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Hints for who reads it.
    #[serde(default, deserialize_with = "unique_map")]
    pub annotations: HashMap<String, String>,
    /// The artifact type of a listed manifest.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// Where a listed image runs.
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// Where an image runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor: `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system: `linux`.
    #[serde(default)]
    pub os: String,
    /// The processor's variant: `v8`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Manifest {
    /// Reads `bytes` that were announced as `content_type`.
    ///
    /// # Errors
    /// When they are not exactly one kind of manifest; see [`ManifestError`].
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_SIZE {
            return Err(ManifestError::TooLarge);
        }
        let announced = match content_type.map(essence) {
            None | Some("" | "application/json" | "application/octet-stream" | "text/plain") => {
                None
            }
            Some(text) => Some(
                MediaType::parse(text)
                    .ok_or_else(|| ManifestError::MediaType(text.chars().take(100).collect()))?,
            ),
        };
        if announced == Some(MediaType::DockerSchema1) {
            return Err(ManifestError::Schema1);
        }
        let text =
            std::str::from_utf8(bytes).map_err(|_| ManifestError::Json("not UTF-8".to_owned()))?;
        let raw: RawManifest =
            serde_json::from_str(text).map_err(|error| ManifestError::Json(error.to_string()))?;
        raw.check(announced)
    }

    /// Everything it lists and needs to be complete in this repository: children of an index, or
    /// configuration and layers of an image.
    pub fn references(&self) -> impl Iterator<Item = &Descriptor> {
        let (first, rest) = match &self.shape {
            Shape::Image { config, layers } => (Some(&**config), layers),
            Shape::Index { manifests } => (None, manifests),
        };
        first.into_iter().chain(rest)
    }

    /// Whether it lists other manifests.
    #[must_use]
    pub const fn is_index(&self) -> bool {
        matches!(self.shape, Shape::Index { .. })
    }
}

/// Why bytes are not a manifest that can be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It can be read as an image and as an index, or as neither.
    #[error(
        "the manifest must have either `config` and `layers` or `manifests`, and not members of both"
    )]
    Ambiguous,
    /// It is not JSON of the right shape.
    #[error("the manifest is not valid: {0}")]
    Json(String),
    /// A media type nobody serves.
    #[error("`{0}` is not the media type of a manifest")]
    MediaType(String),
    /// The announced type and the type inside differ, or the type does not fit the members.
    #[error("the manifest's media type does not fit: announced `{announced}`, inside `{inside}`")]
    Mismatch {
        /// From `Content-Type`.
        announced: String,
        /// From the document.
        inside: String,
    },
    /// Docker schema 1, whose digest does not cover its bytes.
    #[error("Docker schema 1 manifests are not served: push the image again with a current client")]
    Schema1,
    /// Larger than [`MAX_MANIFEST_SIZE`].
    #[error("the manifest is larger than 4 MiB")]
    TooLarge,
}

/// What containerd, containers/image and distribution accept, in bytes.
pub const MAX_MANIFEST_SIZE: usize = 4 << 20;

/// A manifest as it is written. Unknown members are allowed, double ones are not: serde refuses
/// duplicates of the members named here, and those are all that anybody acts on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "unique_map")]
    annotations: HashMap<String, String>,
    /// Schema 1 only.
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl RawManifest {
    fn check(self, announced: Option<MediaType>) -> Result<Manifest, ManifestError> {
        if self.schema_version == 1 || self.fs_layers.is_some() {
            return Err(ManifestError::Schema1);
        }
        if self.schema_version != 2 {
            return Err(ManifestError::Json("`schemaVersion` must be 2".to_owned()));
        }
        let shape = match (self.config, self.layers, self.manifests) {
            (Some(config), Some(layers), None) => Shape::Image { config: Box::new(config), layers },
            (None, None, Some(manifests)) => Shape::Index { manifests },
            _ => return Err(ManifestError::Ambiguous),
        };
        let is_index = matches!(shape, Shape::Index { .. });
        let inside = match &self.media_type {
            None => None,
            Some(text) => Some(
                MediaType::parse(text)
                    .ok_or_else(|| ManifestError::MediaType(text.chars().take(100).collect()))?,
            ),
        };
        let default = if is_index { MediaType::OciIndex } else { MediaType::OciManifest };
        let media_type = inside.or(announced).unwrap_or(default);
        let fits =
            matches!(media_type, MediaType::OciIndex | MediaType::DockerManifestList) == is_index;
        if !fits || announced.is_some_and(|announced| announced != media_type) {
            return Err(ManifestError::Mismatch {
                announced: announced.map_or("nothing", MediaType::as_str).to_owned(),
                inside: self.media_type.unwrap_or_else(|| default.as_str().to_owned()),
            });
        }
        Ok(Manifest {
            media_type,
            artifact_type: self.artifact_type,
            subject: self.subject,
            shape,
            annotations: self.annotations,
        })
    }
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// A map whose keys appear once; `null` is an empty map, as Go writes it.
fn unique_map<'de, D>(deserializer: D) -> Result<HashMap<String, String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    struct Visitor;

    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = HashMap<String, String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object of texts")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(HashMap::new())
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut access: A,
        ) -> Result<Self::Value, A::Error> {
            let mut map = HashMap::new();
            while let Some((key, value)) = access.next_entry::<String, String>()? {
                if map.contains_key(&key) {
                    return Err(serde::de::Error::custom(format_args!("`{key}` is there twice")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_any(Visitor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn descriptor() -> String {
        format!(r#"{{"mediaType":"x/y","digest":"sha256:{HEX}","size":3}}"#)
    }

    fn image() -> String {
        format!(r#"{{"schemaVersion":2,"config":{d},"layers":[{d}]}}"#, d = descriptor())
    }

    #[test]
    fn reads_an_image_and_an_index() {
        let manifest = Manifest::parse(image().as_bytes(), None).expect("valid");
        assert_eq!(manifest.media_type, MediaType::OciManifest);
        assert_eq!(manifest.references().count(), 2);
        let index =
            format!(r#"{{"schemaVersion":2,"manifests":[{}],"annotations":null}}"#, descriptor());
        let index =
            Manifest::parse(index.as_bytes(), Some(MediaType::OciIndex.as_str())).expect("valid");
        assert!(index.is_index());
    }

    #[test]
    fn an_announced_type_decides_only_where_the_document_is_silent() {
        let docker = Manifest::parse(image().as_bytes(), Some(MediaType::DockerManifest.as_str()));
        assert_eq!(docker.expect("valid").media_type, MediaType::DockerManifest);
        let json = Manifest::parse(image().as_bytes(), Some("application/json; charset=utf-8"));
        assert_eq!(json.expect("valid").media_type, MediaType::OciManifest);
    }

    #[test]
    fn g5_refuses_what_can_be_read_in_two_ways() {
        let d = descriptor();
        for both in [
            format!(r#"{{"schemaVersion":2,"config":{d},"layers":[],"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"layers":[],"manifests":[{d}]}}"#),
            format!(r#"{{"schemaVersion":2,"config":{d}}}"#),
            r#"{"schemaVersion":2}"#.to_owned(),
        ] {
            assert_eq!(
                Manifest::parse(both.as_bytes(), None),
                Err(ManifestError::Ambiguous),
                "{both}"
            );
        }
        assert!(matches!(
            Manifest::parse(image().as_bytes(), Some(MediaType::OciIndex.as_str())),
            Err(ManifestError::Mismatch { .. })
        ));
        let inside =
            image().replacen('{', r#"{"mediaType":"application/vnd.oci.image.index.v1+json","#, 1);
        assert!(matches!(
            Manifest::parse(inside.as_bytes(), None),
            Err(ManifestError::Mismatch { .. })
        ));
    }

    #[test]
    fn g5_refuses_schema_1_in_every_dress() {
        let old = r#"{"schemaVersion":1,"name":"a","fsLayers":[],"history":[]}"#;
        assert_eq!(Manifest::parse(old.as_bytes(), None), Err(ManifestError::Schema1));
        let dressed = image().replacen('{', r#"{"fsLayers":[],"#, 1);
        assert_eq!(Manifest::parse(dressed.as_bytes(), None), Err(ManifestError::Schema1));
        let announced = Some("application/vnd.docker.distribution.manifest.v1+json");
        assert_eq!(Manifest::parse(image().as_bytes(), announced), Err(ManifestError::Schema1));
    }

    #[test]
    fn g14_refuses_double_members_and_trailing_text() {
        let d = descriptor();
        for bad in [
            image().replacen('{', r#"{"schemaVersion":2,"#, 1),
            image().replacen('{', &format!(r#"{{"config":{d},"#), 1),
            image().replacen('{', r#"{"annotations":{"a":"1","a":"2"},"#, 1),
            format!("{} {{}}", image()),
            format!("\u{feff}{}", image()),
            image().replace(HEX, &HEX.to_uppercase()),
            "[".repeat(10_000),
        ] {
            assert!(
                matches!(Manifest::parse(bad.as_bytes(), None), Err(ManifestError::Json(_))),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>, content_type: Option<String>) {
            let _ = Manifest::parse(&bytes, content_type.as_deref());
        }
    }
}
