//! Reads the log back, newest first, while it is being written or not at all.
//!
//! No index: a line is parsed only when its text holds what is looked for, which reads some hundred
//! megabytes a second, and decisions are asked about soon after they were made.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    AuditError,
    backwards::Backwards,
    record::{DecisionRecord, Entry},
    segments,
};
use crate::oci::{ImageName, Reference};

/// Which decision to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The one with this id.
    Decision(String),
    /// One about this repository: of this tag or digest, or any.
    Image(ImageName, Option<Reference>),
}

impl Wanted {
    /// A text that every line about it holds.
    fn mark(&self) -> &str {
        match self {
            Self::Decision(id) => id,
            Self::Image(image, _) => image.repository.as_str(),
        }
    }

    fn is(&self, record: &DecisionRecord) -> bool {
        match self {
            Self::Decision(id) => record.decision == *id,
            Self::Image(image, reference) => {
                record.upstream == image.upstream.as_str()
                    && record.repository == image.repository.as_str()
                    && reference.as_ref().is_none_or(|reference| is_about(record, reference))
            }
        }
    }
}

fn is_about(record: &DecisionRecord, reference: &Reference) -> bool {
    match reference {
        Reference::Digest(digest) => record.digest.as_ref() == Some(digest),
        Reference::Tag(tag) => record.reference == tag.as_str(),
    }
}

/// The lines of the log, newest first. Lines that are not records are passed over.
#[derive(Debug)]
pub struct Entries {
    segments: Vec<PathBuf>,
    current: Option<(PathBuf, Backwards<File>)>,
    mark: String,
}

impl Entries {
    /// The lines that hold `mark` somewhere in their text; an empty mark is in every line.
    pub(super) fn open(directory: &Path, mark: &str) -> Result<Self, AuditError> {
        let segments = segments::list(directory).map_err(AuditError::reading(directory))?;
        let segments = segments.into_iter().map(|(_, path)| path).collect();
        Ok(Self { segments, current: None, mark: mark.to_owned() })
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, AuditError> {
        loop {
            let Some((path, lines)) = &mut self.current else {
                let Some(path) = self.segments.pop() else { return Ok(None) };
                let lines = File::open(&path).and_then(Backwards::new);
                let lines = lines.map_err(AuditError::reading(&path))?;
                self.current = Some((path, lines));
                continue;
            };
            match lines.next() {
                None => self.current = None,
                Some(Err(error)) => return Err(AuditError::reading(path)(error)),
                Some(Ok(line)) => {
                    if let Some(entry) = parse(&line, &self.mark) {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// The newest decision that `wanted` means, if there is one.
pub(super) fn find(
    directory: &Path,
    wanted: &Wanted,
) -> Result<Option<Box<DecisionRecord>>, AuditError> {
    for entry in Entries::open(directory, wanted.mark())? {
        match entry? {
            Entry::Decision(record) if wanted.is(&record) => return Ok(Some(record)),
            Entry::Decision(_) | Entry::Pull(_) => {}
        }
    }
    Ok(None)
}

fn parse(line: &[u8], mark: &str) -> Option<Entry> {
    let text = std::str::from_utf8(line).ok()?;
    text.contains(mark).then(|| serde_json::from_str(text).ok())?
}

impl AuditError {
    fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source: Arc::new(source) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{super::record::tests::decision, *};

    /// Two segments: decisions `1` and `2` in the first, `3` and half a line in the second.
    fn log() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let line = |id, repository| Entry::Decision(Box::new(decision(id, repository))).to_line();
        let segments = [
            ("000001.jsonl", [line("1", "app"), line("2", "acme/app")].concat()),
            ("000002.jsonl", [b"noise\n".to_vec(), line("3", "app"), b"{\"time".to_vec()].concat()),
        ];
        for (name, content) in segments {
            File::create(directory.path().join(name)).unwrap().write_all(&content).unwrap();
        }
        directory
    }

    fn image(repository: &str, reference: Option<&str>) -> Wanted {
        let image = ImageName {
            upstream: "registry.test".parse().unwrap(),
            repository: repository.parse().unwrap(),
        };
        Wanted::Image(image, reference.map(|text| text.parse().unwrap()))
    }

    fn found(wanted: &Wanted) -> Option<String> {
        find(log().path(), wanted).unwrap().map(|record| record.decision)
    }

    #[test]
    fn finds_the_newest_decision_about_an_image() {
        assert_eq!(found(&image("app", None)).as_deref(), Some("3"));
        assert_eq!(found(&image("app", Some("1.0"))).as_deref(), Some("3"));
        assert_eq!(found(&image("acme/app", Some("1.0"))).as_deref(), Some("2"));
        let digest = crate::oci::Digest::of(b"app").to_string();
        assert_eq!(found(&image("app", Some(&digest))).as_deref(), Some("3"));
    }

    #[test]
    fn finds_a_decision_by_its_id_in_an_older_segment() {
        assert_eq!(found(&Wanted::Decision("1".to_owned())).as_deref(), Some("1"));
    }

    #[test]
    fn finds_nothing_where_nothing_is() {
        assert_eq!(found(&image("app", Some("2.0"))), None);
        assert_eq!(found(&image("ap", None)), None);
        assert_eq!(found(&Wanted::Decision("4".to_owned())), None);
        let missing = log().path().join("none");
        assert_eq!(find(&missing, &Wanted::Decision("1".to_owned())).unwrap(), None);
    }
}
