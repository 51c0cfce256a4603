//! Where texts come from: files, folders and the standard input. The only input and output here.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Kind, ReadError, Reading, Values, kind::Named};

/// A file, a folder or the standard input, as a person names it: `Dockerfile`, `deploy/`, `-`, or
/// with its kind, where the name does not say it: `kubernetes=-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    kind: Option<Kind>,
    /// `None` is the standard input.
    path: Option<PathBuf>,
}

/// A text that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its file; none for the standard input.
    pub path: Option<PathBuf>,
    /// What is in it.
    pub text: String,
    /// What it mentions.
    pub reading: Reading,
}

impl Source {
    /// Reads everything that it names. Of a folder, those files whose names say that they are
    /// Dockerfiles, Compose files or YAML; hidden ones and links are passed over.
    ///
    /// # Errors
    /// [`SourceError`], for the first file that cannot be read.
    pub fn read(
        &self,
        values: &Values,
        input: &mut dyn Read,
    ) -> Result<Vec<Document>, SourceError> {
        let Some(path) = &self.path else {
            let text = bounded(input).map_err(|error| SourceError::Input(STDIN.into(), error))?;
            let kind = self.kind.unwrap_or_else(|| Kind::of_content(STDIN, &text));
            let reading = kind.read(STDIN, &text, values)?;
            return Ok(vec![Document { path: None, text, reading }]);
        };
        if !path.is_dir() {
            return Ok(vec![self.read_file(path, values)?]);
        }
        let mut files = Vec::new();
        walk(path, MAX_DEPTH, &mut files)?;
        let mut documents = Vec::new();
        for file in files {
            documents.extend(self.read_found(&file, values)?);
        }
        Ok(documents)
    }

    /// A file that the person named.
    fn read_file(&self, path: &Path, values: &Values) -> Result<Document, SourceError> {
        let (file, text) = open(path)?;
        let kind = match (self.kind, Kind::of_name(path)) {
            (Some(kind), _) | (None, Some(Named::Kind(kind))) => kind,
            (None, Some(Named::Yaml)) => {
                Kind::of_yaml(&file, &text)?.ok_or_else(|| SourceError::Kind(path.to_owned()))?
            }
            (None, None) => Kind::of_content(&file, &text),
        };
        let reading = kind.read(&file, &text, values)?;
        Ok(Document { path: Some(path.to_owned()), text, reading })
    }

    /// A file that was found in a folder; `None` when it is none of ours.
    fn read_found(&self, path: &Path, values: &Values) -> Result<Option<Document>, SourceError> {
        let kind = match Kind::of_name(path) {
            // A list is read where it is named: any text file may lie in a folder.
            None | Some(Named::Kind(Kind::List)) => return Ok(None),
            Some(Named::Kind(kind)) => Some(kind),
            Some(Named::Yaml) => None,
        };
        if self.kind.is_some() && kind.is_some() && kind != self.kind {
            return Ok(None);
        }
        let (file, text) = open(path)?;
        let found = match kind {
            Some(kind) => Some(kind),
            None => Kind::of_yaml(&file, &text)?,
        };
        let Some(kind) = found.filter(|found| self.kind.is_none_or(|kind| kind == *found)) else {
            return Ok(None);
        };
        let reading = kind.read(&file, &text, values)?;
        Ok(Some(Document { path: Some(path.to_owned()), text, reading }))
    }
}

impl FromStr for Source {
    type Err = ParseSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, path) = match text.split_once('=') {
            Some((word, path)) => match word.parse() {
                Ok(kind) => (Some(kind), path),
                Err(()) => (None, text),
            },
            None => (None, text),
        };
        if path.is_empty() {
            return Err(ParseSourceError);
        }
        Ok(Self { kind, path: (path != STDIN).then(|| path.into()) })
    }
}

/// A text names nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "name a file, a folder or `-`, and its kind where needed: `compose=`, `dockerfile=`, `kubernetes=` or `list=`"
)]
pub struct ParseSourceError;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is YAML, and neither Compose nor Kubernetes.
    #[error(
        "`{}` is neither a Compose file nor Kubernetes manifests; name its kind, as in `list={}`", .0.display(), .0.display()
    )]
    Kind(PathBuf),
    /// The system says no.
    #[error("cannot read `{}`: {}", .0.display(), .1)]
    Input(PathBuf, io::Error),
    /// It is not what it is read as.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn open(path: &Path) -> Result<(String, String), SourceError> {
    let failed = |error| SourceError::Input(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    Ok((path.display().to_string(), bounded(&mut file).map_err(failed)?))
}

/// Everything that `input` has, unless that is more than a person writes.
fn bounded(input: &mut dyn Read) -> io::Result<String> {
    let mut text = String::new();
    input.take(MAX_FILE_LENGTH + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_LENGTH {
        return Err(io::Error::other(format!("longer than {MAX_FILE_LENGTH} bytes")));
    }
    Ok(text)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let failed = |error| SourceError::Input(folder.to_owned(), error);
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if kind.is_file() && !is_hidden {
            files.push(entry.path());
        } else if kind.is_dir() && !is_hidden && depth > 0 {
            walk(&entry.path(), depth - 1, files)?;
        }
    }
    Ok(())
}

const STDIN: &str = "-";
/// Bytes of a file that are read: a rendered chart is some hundred kilobytes.
pub const MAX_FILE_LENGTH: u64 = 16 << 20;
/// Folders inside folders.
const MAX_DEPTH: usize = 32;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn images(source: &str, input: &str) -> Result<Vec<String>, SourceError> {
        let source: Source = source.parse().unwrap();
        let documents = source.read(&Values::new(), &mut input.as_bytes())?;
        let mentions = documents.iter().flat_map(|document| &document.reading.mentions);
        Ok(mentions.map(|mention| mention.wanted.to_string()).collect())
    }

    #[test]
    fn reads_the_standard_input_as_what_it_is_or_is_said_to_be() {
        assert_eq!(images("-", "FROM a:1\n").unwrap(), ["a:1"]);
        assert_eq!(images("list=-", "a:1\nb:2\n").unwrap(), ["a:1", "b:2"]);
        assert!(images("kubernetes=-", "a: [").is_err());
    }

    #[test]
    fn finds_what_a_folder_holds() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deploy")).unwrap();
        for (name, text) in [
            ("Dockerfile", "FROM docker:1\n"),
            ("compose.yml", "services: {a: {image: compose:1}}\n"),
            (
                "deploy/pod.yaml",
                "{apiVersion: v1, kind: Pod, spec: {containers: [{image: pod:1}]}}\n",
            ),
            ("values.yaml", "image: none\n"),
            ("notes.txt", "no image at all\n"),
            (".hidden.yaml", "a: [\n"),
        ] {
            File::create(folder.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }
        let path = folder.path().to_str().unwrap();
        assert_eq!(images(path, "").unwrap(), ["docker:1", "compose:1", "pod:1"]);
        assert_eq!(images(&format!("kubernetes={path}"), "").unwrap(), ["pod:1"]);
        let values = images(&format!("{path}/values.yaml"), "").unwrap_err().to_string();
        assert!(values.contains("neither"), "{values}");
        assert!(matches!(images("/nowhere/x", ""), Err(SourceError::Input(..))));
    }

    #[test]
    fn an_endless_input_ends() {
        let source: Source = "list=-".parse().unwrap();
        let error = source.read(&Values::new(), &mut io::repeat(b'#')).unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
}
