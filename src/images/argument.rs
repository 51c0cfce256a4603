//! An image as people write it: `nginx`, `ghcr.io/acme/app:1.2`, `app@sha256:...`, `docker://app`.

use std::{fmt, str::FromStr};

use crate::oci::{Digest, ImageName, ParseNameError, Reference, Tag, UpstreamTable};

/// An image, before the table of upstreams says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageArgument {
    name: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl ImageArgument {
    /// Which repository it is, by the names that `table` knows.
    ///
    /// # Errors
    /// When the name is none.
    pub fn image(&self, table: &UpstreamTable) -> Result<ImageName, ParseNameError> {
        table.parse_image(&self.name)
    }

    /// Which repositories it may be, where the host may also be the mirror's own, as in
    /// `mirror.example:5000/docker.io/library/nginx`. The most likely one comes first.
    ///
    /// # Errors
    /// When the name is none.
    pub fn readings(&self, table: &UpstreamTable) -> Result<Vec<ImageName>, ParseNameError> {
        let direct = self.image(table);
        let behind = self.name.split_once('/').and_then(|(host, rest)| {
            table.named(host).is_none().then(|| table.parse_image(rest).ok())?
        });
        match (direct, behind) {
            (Ok(direct), behind) => Ok(std::iter::once(direct).chain(behind).collect()),
            (Err(_), Some(behind)) => Ok(vec![behind]),
            (Err(error), None) => Err(error),
        }
    }

    /// What it names there, if it says so: a digest, which is more exact, or a tag.
    #[must_use]
    pub fn reference(&self) -> Option<Reference> {
        let digest = self.digest.map(Reference::Digest);
        digest.or_else(|| self.tag.clone().map(Reference::Tag))
    }

    /// Whether it names exactly one content, whatever happens upstream.
    #[must_use]
    pub const fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// The same image, which is `digest` from now on; a missing tag is written out as `latest`, so
    /// that the next reader knows what the digest once was.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        let latest = || LATEST.parse().expect("a constant in the grammar");
        let tag = self.tag.clone().unwrap_or_else(latest);
        Self { name: self.name.clone(), tag: Some(tag), digest: Some(digest) }
    }

    /// The name, without tag and digest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The image `name` by `tag`.
    #[must_use]
    pub fn tagged(name: &str, tag: Tag) -> Self {
        Self { name: name.to_owned(), tag: Some(tag), digest: None }
    }

    /// What a pull of it asks for: `latest` where it says nothing.
    #[must_use]
    pub fn reference_or_latest(&self) -> Reference {
        self.reference()
            .unwrap_or_else(|| Reference::Tag(LATEST.parse().expect("a constant in the grammar")))
    }
}

impl fmt::Display for ImageArgument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ImageArgument {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        let (text, digest) = match text.split_once('@') {
            Some((text, digest)) => (text, Some(digest.parse().map_err(ParseImageError::Digest)?)),
            None => (text, None),
        };
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => {
                (name, Some(tag.parse().map_err(|_| ParseImageError::Tag)?))
            }
            _ => (text, None),
        };
        if name.is_empty() {
            return Err(ParseImageError::Empty);
        }
        Ok(Self { name: name.to_owned(), tag, digest })
    }
}

/// Why a text is not an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageError {
    /// The part after `@`.
    #[error("{0}")]
    Digest(crate::oci::ParseDigestError),
    /// No name.
    #[error("an image has a name, such as `docker.io/library/nginx:1.27`")]
    Empty,
    /// The part after the last colon.
    #[error("a tag is letters, digits, `_`, `.` and `-`, at most 128 of them")]
    Tag,
}

const LATEST: &str = "latest";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::UpstreamNames;

    fn table() -> UpstreamTable {
        let names = |name: &str| UpstreamNames {
            name: name.parse().unwrap(),
            aliases: Vec::new(),
            hosts: Vec::new(),
        };
        let default = Some("docker.io".parse().unwrap());
        UpstreamTable::new(vec![names("docker.io"), names("registry.test:5000")], default).unwrap()
    }

    fn read(text: &str) -> (String, String) {
        let image: ImageArgument = text.parse().unwrap();
        (image.image(&table()).unwrap().to_string(), image.reference_or_latest().to_string())
    }

    fn pair(name: &str, reference: &str) -> (String, String) {
        (name.to_owned(), reference.to_owned())
    }

    #[test]
    fn reads_what_people_write() {
        let digest = Digest::of(b"x").to_string();
        assert_eq!(read("nginx"), pair("docker.io/library/nginx", "latest"));
        assert_eq!(read("acme/app:1.0"), pair("docker.io/acme/app", "1.0"));
        assert_eq!(read("docker://registry.test:5000/a"), pair("registry.test:5000/a", "latest"));
        assert_eq!(read("registry.test:5000/a/b:c"), pair("registry.test:5000/a/b", "c"));
        assert_eq!(read(&format!("app:1@{digest}")), pair("docker.io/library/app", &digest));
        for bad in ["", ":1", "app:", "app@sha256:00", "app:a b", "@"] {
            assert!(bad.parse::<ImageArgument>().is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_through_the_mirrors_own_name() {
        let readings = |text: &str| -> Vec<String> {
            let image: ImageArgument = text.parse().unwrap();
            image.readings(&table()).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(readings("mirror.example/registry.test:5000/a:1"), ["registry.test:5000/a"]);
        assert_eq!(
            readings("127.0.0.1:5000/app:1"),
            ["127.0.0.1:5000/app", "docker.io/library/app"]
        );
        assert_eq!(readings("registry.test:5000/app"), ["registry.test:5000/app"]);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_round_trip(text in "[a-z.]{1,8}(/[a-z]{1,5}){0,2}(:[a-zA-Z0-9]{1,5})?") {
            let image: ImageArgument = text.parse().unwrap();
            prop_assert_eq!(image.to_string(), text);
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}") {
            if let Ok(image) = text.parse::<ImageArgument>() {
                let _ = image.readings(&table());
            }
        }
    }
}
