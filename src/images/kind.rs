//! What kind of file it is: by its name, else by what is in it.

use std::{fmt, path::Path, str::FromStr};

use super::{
    ReadError, Reading, Text, Values, compose, dockerfile, kubernetes, list,
    yaml::{self, Node},
};

/// A kind of file that mentions images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Compose file.
    Compose,
    /// A Dockerfile.
    Dockerfile,
    /// Kubernetes manifests.
    Kubernetes,
    /// An image list.
    List,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Compose, Self::Dockerfile, Self::Kubernetes, Self::List];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compose => "compose",
            Self::Dockerfile => "dockerfile",
            Self::Kubernetes => "kubernetes",
            Self::List => "list",
        }
    }

    /// What `text` mentions, read as this kind of file. `file` is its name in messages.
    ///
    /// # Errors
    /// [`ReadError`] when the file is not of this kind.
    pub fn read(self, file: &str, text: &str, values: &Values) -> Result<Reading, ReadError> {
        let source = Text::new(file, text);
        match self {
            Self::Compose => compose::read(&source, values),
            Self::Dockerfile => dockerfile::read(&source, values),
            Self::Kubernetes => kubernetes::read(&source),
            Self::List => list::read(&source),
        }
    }

    /// What the file's name says; `None` where YAML or JSON can be one or the other.
    pub(super) fn of_name(path: &Path) -> Option<Named> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let is_yaml = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
        let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
        if is_yaml && begins(&["compose.", "compose-", "docker-compose.", "docker-compose-"]) {
            Some(Named::Kind(Self::Compose))
        } else if is_yaml {
            Some(Named::Yaml)
        } else if begins(&["dockerfile", "containerfile"])
            || [".dockerfile", ".containerfile"].iter().any(|ending| name.ends_with(ending))
        {
            Some(Named::Kind(Self::Dockerfile))
        } else if [".txt", ".list", ".images"].iter().any(|ending| name.ends_with(ending)) {
            Some(Named::Kind(Self::List))
        } else {
            None
        }
    }

    /// What the content of a YAML file says: Compose, Kubernetes, or neither.
    pub(super) fn of_yaml(file: &str, text: &str) -> Result<Option<Self>, ReadError> {
        let documents = yaml::documents(&Text::new(file, text))?;
        let any = |is: &dyn Fn(&Node) -> bool| documents.iter().any(|document| is(&document.root));
        Ok(if any(&kubernetes::is_object) {
            Some(Self::Kubernetes)
        } else if any(&|root| root.member("services").is_some()) {
            Some(Self::Compose)
        } else {
            None
        })
    }

    /// What a text without a name looks like.
    pub(super) fn of_content(file: &str, text: &str) -> Self {
        let first = |word: &str| {
            text.lines().any(|line| {
                line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            })
        };
        if first("FROM ") {
            return Self::Dockerfile;
        }
        Self::of_yaml(file, text).ok().flatten().unwrap_or(Self::List)
    }
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The kind.
    Kind(Kind),
    /// YAML or JSON of some kind.
    Yaml,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_inside() {
        let named = |name: &str| Kind::of_name(Path::new(name));
        for name in ["Dockerfile", "Dockerfile.release", "app.dockerfile", "Containerfile"] {
            assert_eq!(named(name), Some(Named::Kind(Kind::Dockerfile)), "{name}");
        }
        for name in ["compose.yaml", "docker-compose.prod.yml", "docker-compose-dev.yaml"] {
            assert_eq!(named(name), Some(Named::Kind(Kind::Compose)), "{name}");
        }
        assert_eq!(named("k8s/app.yaml"), Some(Named::Yaml));
        assert_eq!(named("images.txt"), Some(Named::Kind(Kind::List)));
        assert_eq!(named("main.rs"), None);
    }

    #[test]
    fn content_says_it_where_no_name_does() {
        assert_eq!(Kind::of_content("-", "# x\nfrom a\n"), Kind::Dockerfile);
        assert_eq!(Kind::of_content("-", "services: {a: {image: b}}"), Kind::Compose);
        assert_eq!(Kind::of_content("-", "apiVersion: v1\nkind: Pod\n"), Kind::Kubernetes);
        assert_eq!(Kind::of_content("-", "nginx:1\napp@sha256:00\n"), Kind::List);
    }
}
