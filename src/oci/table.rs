//! Which upstreams there are, and all the ways in which a text can name one.
//!
//! The table is a closed world: a client's text is looked up in it and never dialled. Policy files,
//! signature payloads, request paths, `ns=` and `Host` all go through the same table, so that
//! `nginx`, `docker.io/library/nginx` and `index.docker.io/library/nginx` are one repository
//! everywhere (G-49).

use super::{ImageName, ParseNameError, Repository, UpstreamName};

/// The names of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamNames {
    /// The canonical name.
    pub name: UpstreamName,
    /// Other spellings of `name` in policies, payloads, paths and `ns=`.
    pub aliases: Vec<UpstreamName>,
    /// Values of `Host` that mean this upstream.
    pub hosts: Vec<UpstreamName>,
}

/// All configured upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTable {
    entries: Vec<UpstreamNames>,
    default: Option<UpstreamName>,
}

impl UpstreamTable {
    /// A table of `entries`, of which `default` answers when nothing names one.
    ///
    /// # Errors
    /// The name that two entries share, or the default that is no entry.
    pub fn new(
        entries: Vec<UpstreamNames>,
        default: Option<UpstreamName>,
    ) -> Result<Self, UpstreamName> {
        let mut entries = entries;
        for entry in &mut entries {
            if entry.name.as_str() == DOCKER_HUB {
                for alias in DOCKER_HUB_ALIASES {
                    let alias: UpstreamName = alias.parse().expect("a constant in the grammar");
                    if !entry.aliases.contains(&alias) {
                        entry.aliases.push(alias);
                    }
                }
            }
        }
        let mut seen = Vec::new();
        for entry in &entries {
            for name in std::iter::once(&entry.name).chain(&entry.aliases) {
                if seen.contains(&name) {
                    return Err(name.clone());
                }
                seen.push(name);
            }
        }
        let mut hosts = Vec::new();
        for host in entries.iter().flat_map(|entry| &entry.hosts) {
            if hosts.contains(&host) {
                return Err(host.clone());
            }
            hosts.push(host);
        }
        if let Some(default) = &default
            && !entries.iter().any(|entry| entry.name == *default)
        {
            return Err(default.clone());
        }
        Ok(Self { entries, default })
    }

    /// The canonical names, as configured.
    pub fn names(&self) -> impl Iterator<Item = &UpstreamName> {
        self.entries.iter().map(|entry| &entry.name)
    }

    /// The upstream of `/v2/<repository>/` when nothing else names one.
    #[must_use]
    pub const fn default_upstream(&self) -> Option<&UpstreamName> {
        self.default.as_ref()
    }

    /// The upstream that `text` names, by its name or an alias. Host names ignore case.
    #[must_use]
    pub fn named(&self, text: &str) -> Option<&UpstreamName> {
        let names = |entry: &&UpstreamNames| {
            std::iter::once(&entry.name)
                .chain(&entry.aliases)
                .any(|name| name.as_str().eq_ignore_ascii_case(text))
        };
        self.entries.iter().find(names).map(|entry| &entry.name)
    }

    /// The upstream that the `Host` header `text` names, with or without its port.
    #[must_use]
    pub fn by_host(&self, text: &str) -> Option<&UpstreamName> {
        let bare = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let names = |entry: &&UpstreamNames| {
            entry.hosts.iter().any(|host| {
                [text, bare].iter().any(|text| host.as_str().eq_ignore_ascii_case(text))
            })
        };
        self.entries.iter().find(names).map(|entry| &entry.name)
    }

    /// `path` at `upstream`, canonical: Docker Hub's official images live under `library/`.
    ///
    /// # Errors
    /// When `path` is not a repository.
    pub fn image(&self, upstream: &UpstreamName, path: &str) -> Result<ImageName, ParseNameError> {
        let repository: Repository = if upstream.as_str() == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}").parse()?
        } else {
            path.parse()?
        };
        Ok(ImageName { upstream: upstream.clone(), repository })
    }

    /// The image that `text` names as people write images: `nginx`, `docker.io/library/nginx`,
    /// `ghcr.io/acme/app`. A first segment with a dot, a colon or the word `localhost` is a host, as
    /// every client reads it; a host outside the table is its own canonical name.
    ///
    /// # Errors
    /// When a part breaks its grammar.
    pub fn parse_image(&self, text: &str) -> Result<ImageName, ParseNameError> {
        let (host, path) = match text.split_once('/') {
            Some((first, rest))
                if first.contains(['.', ':'])
                    || first == "localhost"
                    || self.named(first).is_some() =>
            {
                (Some(first), rest)
            }
            _ => (None, text),
        };
        match host {
            Some(host) => {
                let upstream = match self.named(host) {
                    Some(name) => name.clone(),
                    None => canonical_host(host).parse()?,
                };
                self.image(&upstream, path)
            }
            None => {
                let hub: UpstreamName = DOCKER_HUB.parse().expect("a constant in the grammar");
                self.image(self.default.as_ref().unwrap_or(&hub), path)
            }
        }
    }
}

/// The name under which image names call Docker Hub.
pub const DOCKER_HUB: &str = "docker.io";
/// Its other spellings.
const DOCKER_HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

fn canonical_host(host: &str) -> &str {
    if DOCKER_HUB_ALIASES.contains(&host) { DOCKER_HUB } else { host }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(name: &str, aliases: &[&str], hosts: &[&str]) -> UpstreamNames {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        UpstreamNames { name: name.parse().unwrap(), aliases: parse(aliases), hosts: parse(hosts) }
    }

    fn table() -> UpstreamTable {
        let entries = vec![
            names("docker.io", &[], &["docker.example.org"]),
            names("registry.test", &["registry.alias"], &["mirror.test:5000"]),
        ];
        UpstreamTable::new(entries, Some("docker.io".parse().unwrap())).unwrap()
    }

    #[test]
    fn g49_every_spelling_of_an_image_is_one_name() {
        for text in [
            "nginx",
            "library/nginx",
            "docker.io/nginx",
            "docker.io/library/nginx",
            "index.docker.io/library/nginx",
            "registry-1.docker.io/nginx",
            "Docker.IO/library/nginx",
        ] {
            assert_eq!(table().parse_image(text).unwrap().to_string(), "docker.io/library/nginx");
        }
        assert_eq!(table().parse_image("registry.alias/a").unwrap().to_string(), "registry.test/a");
        assert_eq!(table().parse_image("quay.io/a/b").unwrap().to_string(), "quay.io/a/b");
        assert_eq!(table().parse_image("a/b").unwrap().to_string(), "docker.io/a/b");
    }

    #[test]
    fn a_host_names_an_upstream_with_or_without_its_port() {
        assert_eq!(table().by_host("docker.example.org:5000").unwrap().as_str(), "docker.io");
        assert_eq!(table().by_host("DOCKER.example.org").unwrap().as_str(), "docker.io");
        assert_eq!(table().by_host("mirror.test:5000").unwrap().as_str(), "registry.test");
        assert_eq!(table().by_host("mirror.test"), None);
        assert_eq!(table().by_host("docker.io"), None);
    }

    #[test]
    fn refuses_a_name_that_two_upstreams_share() {
        let twice = vec![names("a.test", &[], &[]), names("b.test", &["a.test"], &[])];
        assert_eq!(UpstreamTable::new(twice, None), Err("a.test".parse().unwrap()));
        let stranger =
            UpstreamTable::new(vec![names("a.test", &[], &[])], Some("b.test".parse().unwrap()));
        assert_eq!(stranger, Err("b.test".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn never_panics_and_is_stable(text in ".{0,40}") {
            let table = table();
            let _ = (table.named(&text), table.by_host(&text));
            if let Ok(image) = table.parse_image(&text) {
                prop_assert_eq!(table.parse_image(&image.to_string()), Ok(image));
            }
        }
    }
}
