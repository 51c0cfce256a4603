//! Authorities: who can vouch.
//!
//! Three kinds: public keys, a keyless identity, a Notation trust store. What each is made of is read
//! by a file of its own; here is what they share, and who is of which kind.

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
    keyless::{self, Keyless},
    pattern::Pattern,
    rule::read_patterns,
    trust_root::{TrustRoot, TrustRoots},
};
use crate::{
    oci::{ImageName, UpstreamTable},
    timestamp::Timestamp,
    trust::{keys::PublicKey, words::listed, x509::Certificate},
};

/// Someone who can vouch for images.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The name that rules use.
    pub name: Arc<str>,
    /// Where the policy says so.
    pub place: Place,
    /// By what its signatures are known.
    pub kind: Kind,
    /// What it may vouch for; empty for everything.
    pub repositories: Vec<Pattern>,
}

/// By what the signatures of an authority are known.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Public keys.
    Keys(Keys),
    /// A certificate that says who somebody is.
    Keyless(Box<Keyless>),
}

/// The keys that speak for an authority.
#[derive(Clone, Debug)]
pub struct Keys {
    /// In the order of the policy.
    pub keys: Vec<AuthorityKey>,
    /// Whose logs and timestamps are believed, if anybody's.
    pub trust_root: Option<Arc<TrustRoot>>,
    /// Whether a log must have seen the signature.
    pub log: Wanted,
}

/// Whether something may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It may; where it is there all the same, it must verify.
    Optional,
    /// It may not.
    Required,
}

impl Wanted {
    /// How a policy spells them.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("required", Self::Required), ("optional", Self::Optional)];
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
    /// The keys that speak for it; none for who is not known by keys.
    #[must_use]
    pub fn keys(&self) -> &[AuthorityKey] {
        match &self.kind {
            Kind::Keys(keys) => &keys.keys,
            Kind::Keyless(_) => &[],
        }
    }

    /// Whether it may vouch for `image`.
    #[must_use]
    pub fn may_vouch_for(&self, image: &ImageName) -> bool {
        self.repositories.is_empty()
            || self.repositories.iter().any(|pattern| pattern.matches(image))
    }
}

impl Kind {
    /// What names everything that is trusted for its sake.
    pub(super) fn material(&self) -> Vec<String> {
        let of_root = |root: &Arc<TrustRoot>| root.root.hash().to_string();
        match self {
            Self::Keys(keys) => {
                let each = keys.keys.iter().map(|key| key.key.fingerprint().to_string());
                each.chain(keys.trust_root.as_ref().map(of_root)).collect()
            }
            Self::Keyless(keyless) => {
                let anchors = keyless.anchors().iter().map(Certificate::fingerprint);
                anchors.chain(keyless.trust_root().map(of_root)).collect()
            }
        }
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

/// Where the files are that a policy names.
#[derive(Debug)]
pub(super) struct Folder<'t> {
    path: &'t Path,
    /// Every file that was named.
    files: Vec<PathBuf>,
}

impl<'t> Folder<'t> {
    /// The folder `path`.
    pub(super) const fn new(path: &'t Path) -> Self {
        Self { path, files: Vec::new() }
    }

    /// The file that `text` names, which makes up the policy from now on.
    pub(super) fn file(&mut self, text: &str) -> PathBuf {
        let file = self.path.join(text);
        self.files.push(file.clone());
        file
    }

    /// Every file that was named.
    pub(super) fn into_files(self) -> Vec<PathBuf> {
        self.files
    }
}

/// Reads authorities, and the files that they name.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    pub(super) folder: Folder<'t>,
    pub(super) table: &'t UpstreamTable,
    pub(super) roots: TrustRoots,
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
        let kind = match shape_of(&section)? {
            Shape::Keys => self.keys(&section).map(Kind::Keys),
            Shape::Keyless => keyless::read(&section, &mut self.folder, &mut self.roots)
                .map(|keyless| Kind::Keyless(Box::new(keyless))),
            Shape::Notation => notation(&section),
        };
        section.finish();
        let place = field.place.clone();
        Some(Authority { name: name.into(), place, kind: kind?, repositories: repositories? })
    }

    fn keys(&mut self, section: &Section<'_, '_>) -> Option<Keys> {
        let root = section.field("trust_root");
        let root = root.map(|field| self.roots.open(&mut self.folder, &field));
        let log = match section.field("log") {
            Some(field) => field.word(&Wanted::WORDS),
            None => Some(Wanted::Optional),
        };
        let keys = self.listed_keys(section);
        let trust_root = root.map_or(Some(None), |root| root.map(Some))?;
        let keys = Keys { keys: keys?, trust_root, log: log? };
        let has_log = keys.trust_root.as_ref().is_some_and(|root| !root.root.logs().is_empty());
        if let Some(field) = section.field("log").filter(|_| keys.log == Wanted::Required)
            && !has_log
        {
            let next_step = "write a `trust_root` that has one, or `log = \"optional\"`";
            field.problem("no log is trusted, so none can be required", next_step);
        }
        Some(keys)
    }

    fn listed_keys(&mut self, section: &Section<'_, '_>) -> Option<Vec<AuthorityKey>> {
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
        let file = self.folder.file(text);
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
pub(super) fn read_bounded(file: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
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
enum Shape {
    Keyless,
    Keys,
    Notation,
}

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
fn shape_of(section: &Section<'_, '_>) -> Option<Shape> {
    let mut kinds = Vec::new();
    for (kind, members) in [
        (Shape::Keys, &["key", "keys"][..]),
        (Shape::Keyless, &keyless::MEMBERS),
        (Shape::Notation, &["notation"]),
    ] {
        let present = section.present(members);
        if !present.is_empty() {
            kinds.push((kind, present));
        }
    }
    match kinds.as_slice() {
        [(Shape::Keys, both)] if both.len() == 2 => {
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

fn notation(section: &Section<'_, '_>) -> Option<Kind> {
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
