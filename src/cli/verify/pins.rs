//! `--pin`: writes the digests that were admitted into the files, or says which are missing.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use super::Answer;
use crate::{
    cli::{failure::CliError, output::Output},
    images::{Document, ImageArgument, Mention, Pin, Selection, Writing, pin as write_pins},
    oci::Digest,
};

/// Pins what `documents` mention, or with `check` only tells what is not pinned. Whether everything
/// is pinned now.
///
/// # Errors
/// [`CliError::Failed`] when a file cannot be written, or has changed since it was read.
pub(super) fn pin(
    documents: &[Document],
    answers: &[Answer],
    check: bool,
    output: &mut Output,
) -> Result<bool, CliError> {
    let admitted: HashMap<&str, Digest> = answers
        .iter()
        .filter_map(|answer| Some((answer.asked.as_str(), answer.admitted()?)))
        .collect();
    let mut complete = true;
    for document in documents {
        let mut pins = Vec::new();
        for mention in &document.reading.mentions {
            match place(mention, &admitted) {
                Pinning::Pinned => {}
                Pinning::Can(pin) if !check => {
                    output.note(format_args!("{}: pinned `{}`", mention.place, pin.text));
                    pins.push(pin);
                }
                Pinning::Can(pin) => {
                    complete = false;
                    let (place, wanted) = (&mention.place, &mention.wanted);
                    output.note(format_args!(
                        "{place}: `{wanted}` is not pinned; `portcullis verify --pin` writes `{}`",
                        pin.text
                    ));
                }
                Pinning::Cannot(why) => {
                    complete = false;
                    let (place, wanted) = (&mention.place, &mention.wanted);
                    output.note(format_args!("{place}: `{wanted}` is not pinned: {why}"));
                }
            }
        }
        complete &= document.reading.unclear.is_empty();
        if !pins.is_empty() {
            write(document, &pins)?;
        }
    }
    Ok(complete)
}

/// Whether and how a mention can be pinned.
enum Pinning {
    Can(Pin),
    Cannot(&'static str),
    Pinned,
}

fn place(mention: &Mention, admitted: &HashMap<&str, Digest>) -> Pinning {
    let Selection::One(image) = &mention.wanted else {
        return Pinning::Cannot("it names more than one image");
    };
    if image.is_pinned() {
        return Pinning::Pinned;
    }
    match (admitted.get(image.to_string().as_str()), &mention.writing) {
        (None, _) => Pinning::Cannot("it is not admitted"),
        (Some(_), Writing::Computed) => {
            Pinning::Cannot("it is put together from variables; pin what they are set to")
        }
        (Some(digest), Writing::Literal(span)) => Pinning::Can(as_pin(image, *digest, span)),
    }
}

fn as_pin(image: &ImageArgument, digest: Digest, span: &std::ops::Range<usize>) -> Pin {
    Pin { span: span.clone(), text: image.pinned(digest).to_string() }
}

fn write(document: &Document, pins: &[Pin]) -> Result<(), CliError> {
    let Some(path) = &document.path else {
        let text = "the standard input cannot be pinned; name a file, or use `--check`";
        return Err(CliError::Usage(text.to_owned()));
    };
    let failed = |error: io::Error| {
        CliError::Failed(format!("cannot pin images in `{}`: {error}", path.display()))
    };
    let now = fs::read_to_string(path).map_err(failed)?;
    if now != document.text {
        return Err(failed(io::Error::other("it changed meanwhile; run the command again")));
    }
    replace(path, &write_pins(&document.text, pins)).map_err(failed)
}

/// Puts `text` in the place of the file, whole or not at all, with the same permissions.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Where the name is a link, the file that it leads to is meant.
    let path = fs::canonicalize(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(SUFFIX);
    let beside = path.with_file_name(name);
    let written = File::create_new(&beside).and_then(|mut file| {
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    });
    // Somebody else's file of this name is left alone; ours must not stay behind.
    if let Err(error) = &written
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Of the file that is written before it replaces the other.
const SUFFIX: &str = ".pinned";
