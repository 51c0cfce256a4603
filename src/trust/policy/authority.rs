//! Authorities: who can vouch.
//!
//! Three kinds: public keys, a keyless identity, a Notation trust store. Keys work; the other two are
//! read and checked in shape, so that their mistakes show today, and then refused with their line.

use std::{
    fmt,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    document::{Field, Place, Section},
    pattern::Pattern,
    rule::read_patterns,
};
use crate::{
    oci::{ImageName, UpstreamTable},
    timestamp::Timestamp,
    trust::{keys::PublicKey, words::listed},
};

/// Someone who can vouch for images.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The name that rules use.
    pub name: Arc<str>,
    /// Where the policy says so.
    pub place: Place,
    /// The keys that speak for it, in the order of the policy.
    pub keys: Vec<AuthorityKey>,
    /// What it may vouch for; empty for everything.
    pub repositories: Vec<Pattern>,
}

/// A key that speaks for an authority, and when.
#[derive(Clone, Debug)]
pub struct AuthorityKey {
    /// The file, as found from the policy's folder.
    pub file: PathBuf,
    /// The key.
    pub key: PublicKey,
    /// When its signatures count.
    pub window: Window,
}

/// A span of time: from its first moment to just before its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The first moment; the beginning of time where there is none.
    pub from: Option<SystemTime>,
    /// The first moment after it; never where there is none.
    pub until: Option<SystemTime>,
}

impl Authority {
    /// Whether it may vouch for `image`.
    #[must_use]
    pub fn may_vouch_for(&self, image: &ImageName) -> bool {
        self.repositories.is_empty()
            || self.repositories.iter().any(|pattern| pattern.matches(image))
    }
}

impl Window {
    /// Whether `now` lies inside.
    #[must_use]
    pub fn contains(&self, now: SystemTime) -> bool {
        self.from.is_none_or(|from| from <= now) && !self.has_ended(now)
    }

    /// Whether `now` is after it.
    #[must_use]
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from.map(Timestamp), self.until.map(Timestamp)) {
            (None, None) => formatter.write_str("at any time"),
            (Some(from), None) => write!(formatter, "from {from}"),
            (None, Some(until)) => write!(formatter, "until {until}"),
            (Some(from), Some(until)) => write!(formatter, "from {from} until {until}"),
        }
    }
}

/// Reads authorities, and the key files that they name.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    pub(super) folder: &'t Path,
    pub(super) table: &'t UpstreamTable,
    /// Every key file that was named.
    pub(super) files: Vec<PathBuf>,
}

impl Reader<'_> {
    /// The authority called `name`, if nothing is wrong with it.
    pub(super) fn read(&mut self, name: &str, field: &Field<'_, '_>) -> Option<Authority> {
        let section = field.section()?;
        check_name(name, &section);
        let repositories = match section.field("repositories") {
            Some(field) => read_patterns(&field, self.table),
            None => Some(Vec::new()),
        };
        let keys = match kind_of(&section)? {
            Kind::Keys => self.keys(&section),
            Kind::Keyless => keyless(&section),
            Kind::Notation => notation(&section),
        };
        section.finish();
        let place = field.place.clone();
        Some(Authority { name: name.into(), place, keys: keys?, repositories: repositories? })
    }

    fn keys(&mut self, section: &Section<'_, '_>) -> Option<Vec<AuthorityKey>> {
        if let Some(log) = section.field("log")
            && log.word(&LOG) == Some(Wanted::Required)
        {
            log.problem(
                "log entries of key signatures cannot be verified yet, so they cannot be required",
                "write `log = \"optional\"`",
            );
        }
        if let Some(field) = section.field("key") {
            let key = self.key(&field, field.text()?, Window::default())?;
            return Some(vec![key]);
        }
        let entries = section.field("keys")?.list()?;
        let keys: Vec<_> = entries.iter().map(|entry| self.windowed(entry)).collect();
        let keys = keys.into_iter().collect::<Option<Vec<_>>>()?;
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other.key == key.key) {
                entries[at].problem("is a key that this authority already lists", "name it once");
            }
        }
        Some(keys)
    }

    fn windowed(&mut self, entry: &Field<'_, '_>) -> Option<AuthorityKey> {
        let section = entry.section()?;
        let read_time = |name| match section.field(name) {
            Some(field) => field.time().map(Some),
            None => Some(None),
        };
        let (from, until) = (read_time("from"), read_time("until"));
        let file = section.field("file");
        if file.is_none() {
            section.problem("has no `file`", "name the PEM file of the key");
        }
        let window = from.zip(until).map(|(from, until)| Window { from, until });
        if let Some(Window { from: Some(from), until: Some(until) }) = window
            && from >= until
        {
            section.problem("its window ends before it begins", "put `from` before `until`");
        }
        let key = file.and_then(|file| self.key(&file, file.text()?, window?));
        section.finish();
        key
    }

    fn key(&mut self, field: &Field<'_, '_>, text: &str, window: Window) -> Option<AuthorityKey> {
        let file = self.folder.join(text);
        self.files.push(file.clone());
        let content = match read_bounded(&file, MAX_KEY_FILE) {
            Ok(content) => content,
            Err(error) => {
                let what = format!("cannot read `{}`: {error}", file.display());
                field.problem(what, "paths are relative to the policy's folder");
                return None;
            }
        };
        match PublicKey::from_pem(&content) {
            Ok(key) => Some(AuthorityKey { file, key, window }),
            Err(error) => {
                let what = format!("`{}` is not a key to trust: {error}", file.display());
                field
                    .problem(what, "use the `.pub` file that `portcullis keygen` or `cosign` made");
                None
            }
        }
    }
}

/// The content of `file`, if it is a file of at most `limit` bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub(in crate::trust) fn read_bounded(file: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    if !fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    let file = File::open(file)?;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(std::io::Error::other(format!("larger than {limit} bytes")));
    }
    Ok(content)
}

/// Bytes of a key file. An RSA key of 8192 bits has 1,500.
const MAX_KEY_FILE: u64 = 64 << 10;

#[derive(Clone, Copy)]
enum Kind {
    Keyless,
    Keys,
    Notation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Optional,
    Required,
}

const LOG: [(&str, Wanted); 2] = [("required", Wanted::Required), ("optional", Wanted::Optional)];

fn check_name(name: &str, section: &Section<'_, '_>) {
    if [super::require::NEVER, super::require::INSECURE].contains(&name) {
        section.problem(format!("`{name}` is a word of the policy"), "choose another name");
    }
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(letter) {
        section.problem(
            "an authority's name is up to 64 letters, digits, `-`, `_` and `.`",
            "choose another name",
        );
    }
}

/// Which of the three kinds it is; each has members of its own.
fn kind_of(section: &Section<'_, '_>) -> Option<Kind> {
    let mut kinds = Vec::new();
    for (kind, members) in [
        (Kind::Keys, &["key", "keys"][..]),
        (Kind::Keyless, &["issuer", "subject", "claims", "trust_root", "sct"]),
        (Kind::Notation, &["notation"]),
    ] {
        let present = section.present(members);
        if !present.is_empty() {
            kinds.push((kind, present));
        }
    }
    match kinds.as_slice() {
        [(Kind::Keys, both)] if both.len() == 2 => {
            section.problem("has both `key` and `keys`", "list every key under `keys`");
            None
        }
        [(kind, _)] => Some(*kind),
        [] => {
            let next = "give it a `key`, an `issuer` and a `subject`, or `notation`";
            section.problem("does not say who it is", next);
            None
        }
        several => {
            let members: Vec<_> =
                several.iter().flat_map(|(_, members)| members).copied().collect();
            let what =
                format!("is of several kinds at once: {} do not go together", listed(&members));
            section.problem(what, "make an authority of each");
            None
        }
    }
}

fn keyless(section: &Section<'_, '_>) -> Option<Vec<AuthorityKey>> {
    for name in ["issuer", "subject"] {
        if section.present(&[name]).is_empty() {
            let next_step = "a keyless identity is an `issuer` and a `subject`, together";
            section.problem(format!("has no `{name}`"), next_step);
        }
        section.field(name).and_then(|field| field.text());
    }
    if let Some(claims) = section.field("claims").and_then(|claims| claims.section()) {
        for (_, claim) in claims.fields() {
            claim.text();
        }
    }
    section.field("trust_root").and_then(|root| root.text());
    for name in ["log", "sct"] {
        section.field(name).and_then(|field| field.word(&LOG));
    }
    section.problem("keyless authorities are not supported yet", "use a `key` authority");
    None
}

fn notation(section: &Section<'_, '_>) -> Option<Vec<AuthorityKey>> {
    let store = section.field("notation")?.section()?;
    for name in ["trust_store", "identities"] {
        if store.present(&[name]).is_empty() {
            store.problem(format!("has no `{name}`"), "name whom to trust");
        }
    }
    for name in ["trust_store", "identities", "tsa"] {
        store.field(name).and_then(|field| field.texts());
    }
    store.field("level").and_then(|level| level.word(&[("strict", ()), ("permissive", ())]));
    store.finish();
    section.problem("Notation authorities are not supported yet", "use a `key` authority");
    None
}
