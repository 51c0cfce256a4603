//! The name inside a classic signature: which repository its signer meant.
//!
//! It is the only thing in this format that keeps a signature from being carried to another
//! repository (G-9). It counts as a repository: a tag in it is ignored, a digest in it has to be the
//! digest that is judged.

use crate::oci::{Digest, ImageName, Tag, UpstreamTable};

/// What a signer named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) image: ImageName,
    pub(super) digest: Option<Digest>,
}

impl Named {
    /// Reads `text`, by every spelling of upstreams that `table` knows. `None` when it names nothing.
    ///
    /// A name without a registry means Docker Hub, as it does to every signer; it never means this
    /// mirror's default upstream, since what was signed must not depend on who reads it.
    pub(super) fn parse(text: &str, table: &UpstreamTable) -> Option<Self> {
        let (text, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().ok()?)),
            None => (text, None),
        };
        let name = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => {
                tag.parse::<Tag>().ok()?;
                name
            }
            _ => text,
        };
        let has_registry = name.split_once('/').is_some_and(|(first, _)| {
            first.contains(['.', ':']) || first == "localhost" || table.named(first).is_some()
        });
        let image = if has_registry {
            table.parse_image(name)
        } else {
            table.parse_image(&format!("{}/{name}", crate::oci::table::DOCKER_HUB))
        };
        Some(Self { image: image.ok()?, digest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::UpstreamNames;

    fn table() -> UpstreamTable {
        let names = |name: &str| UpstreamNames {
            name: name.parse().unwrap(),
            aliases: vec![format!("{name}.alias").parse().unwrap()],
            hosts: vec![],
        };
        let default = Some("registry.test".parse().unwrap());
        UpstreamTable::new(vec![names("registry.test"), names("internal")], default).unwrap()
    }

    fn image_of(text: &str) -> Option<String> {
        Named::parse(text, &table()).map(|named| named.image.to_string())
    }

    #[test]
    fn g49_reads_every_spelling_of_a_repository() {
        for (text, image) in [
            ("registry.test/acme/app", "registry.test/acme/app"),
            ("registry.test/acme/app:v1", "registry.test/acme/app"),
            ("registry.test.alias/acme/app", "registry.test/acme/app"),
            ("internal/app", "internal/app"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("127.0.0.1:5000/app:v1", "127.0.0.1:5000/app"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx"),
            ("docker.io/nginx:1", "docker.io/library/nginx"),
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.25", "docker.io/library/nginx"),
            ("acme/app", "docker.io/acme/app"),
        ] {
            assert_eq!(image_of(text).as_deref(), Some(image), "{text}");
        }
    }

    #[test]
    fn a_digest_is_kept_and_a_broken_one_names_nothing() {
        let digest = Digest::of(b"x");
        let named = Named::parse(&format!("registry.test/app:v1@{digest}"), &table()).unwrap();
        assert_eq!(
            (named.image.to_string().as_str(), named.digest),
            ("registry.test/app", Some(digest))
        );
        for bad in [
            "",
            " ",
            "/",
            "registry.test/",
            "registry.test/app@",
            "registry.test/app@sha256:00",
            "registry.test/App",
            "registry.test/app:",
            "registry.test/app:a b",
            "registry.test//app",
            "registry.test/../app",
            "https://registry.test/app",
            "registry.test/app\0",
        ] {
            assert_eq!(image_of(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}|[a-z:@./]{0,40}") {
            let _ = Named::parse(&text, &table());
        }
    }
}
