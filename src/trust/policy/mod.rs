//! The policy: authorities who can vouch, rules that say who has to, and what overrides both.
//!
//! A policy is loaded whole or not at all. Loading reads `policy.toml` and the key files that it
//! names, finds everything that is wrong and not only the first of it, and gives a value in which
//! nothing can be wrong any more. It never changes afterwards: a reload makes another one.
//!
//! Two hashes name it. [`Policy::hash`] covers what the file says (not its layout or comments), the
//! upstreams by whose names it is understood, and the release that understands it;
//! [`Policy::trust_hash`] covers the keys. A verdict that was made under other hashes is no verdict.

mod attestation;
mod authority;
mod check;
mod document;
mod keyless;
mod matcher;
mod notation;
mod pattern;
mod problem;
mod require;
mod rule;
mod trust_root;
mod weigh;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

pub(super) use self::authority::read_bounded;
pub use self::{
    attestation::Attestation,
    authority::{Authority, AuthorityKey, Keys, Kind, Wanted, Window},
    document::Place,
    keyless::{Anchors, Certifier, Keyless, SubjectMatcher},
    matcher::{Matcher, MatcherError},
    pattern::{Pattern, PatternError},
    problem::{Problem, Warning, WarningKind},
    require::{Group, Quantity, Require},
    rule::{Denial, Denied, Exception, Rule, SignedAs},
    trust_root::TrustRoot,
    weigh::SOON,
};
use self::{check::Parts, document::Report};
use super::{
    keys::{Fingerprint, PublicKey},
    material::KnownRoot,
};
use crate::oci::{Digest, ImageName, UpstreamTable, digest::hex_of};

/// A policy in which nothing is wrong.
#[derive(Debug)]
pub struct Policy {
    source: Source,
    hash: String,
    trust_hash: String,
    table: UpstreamTable,
    parts: Parts,
    keys: Vec<TrustedKey>,
    /// Every pattern with the position of its rule, the most specific first.
    coverage: Vec<(Pattern, usize)>,
    files: Vec<PathBuf>,
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// When.
    pub at: SystemTime,
    /// What, in words.
    pub what: String,
}

/// Where a policy comes from.
#[derive(Debug)]
enum Source {
    /// Nobody has written one. Maybe it was looked for somewhere.
    Absent(Option<PathBuf>),
    File(PathBuf),
}

/// A key, once, with everybody it speaks for.
#[derive(Debug)]
pub(super) struct TrustedKey {
    pub(super) key: PublicKey,
    /// The authorities, each with when the key speaks for it.
    pub(super) speaks_for: Vec<(Arc<str>, Window)>,
}

impl Policy {
    /// Loads the policy in the file `path`, understanding names by `table`, with the trust roots that
    /// have a name as they were built in.
    ///
    /// # Errors
    /// Everything that is wrong with it. The policy that was loaded before is not touched.
    pub fn load(
        path: &Path,
        table: &UpstreamTable,
        now: SystemTime,
    ) -> Result<(Self, Vec<Warning>), Vec<Problem>> {
        Self::load_with(path, table, None, now)
    }

    /// Loads the policy in the file `path`, as [`Policy::load`] does, with the trust roots that have a
    /// name as they were refreshed in the folder `refreshed`.
    ///
    /// # Errors
    /// As [`Policy::load`].
    pub fn load_with(
        path: &Path,
        table: &UpstreamTable,
        refreshed: Option<&Path>,
        now: SystemTime,
    ) -> Result<(Self, Vec<Warning>), Vec<Problem>> {
        let text = read_text(path).map_err(|problem| vec![problem])?;
        let report = Report::new(path, &text);
        let Some(document) = report.parse() else { return Err(report.finish().0) };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let parts = check::check(&document, &report, folder, table, refreshed);
        weigh::weigh(&parts, &report, table, now);
        let (problems, warnings) = report.finish();
        if !problems.is_empty() {
            return Err(problems);
        }
        let hash = hash_of(&text, table);
        Ok((Self::assemble(Source::File(path.to_owned()), hash, table.clone(), parts), warnings))
    }

    /// The policy of somebody who has not written one: everything is denied. `looked_at` is where it
    /// would have been.
    #[must_use]
    pub fn absent(looked_at: Option<PathBuf>) -> Self {
        let table = UpstreamTable::default();
        let hash = hash_of("", &table);
        Self::assemble(Source::Absent(looked_at), hash, table, Parts::default())
    }

    /// The policy of somebody who has not written one yet: the built-in catalogue of publishers, and
    /// nothing else. `refreshed` is as in [`Policy::load_with`].
    #[must_use]
    pub fn catalogue(table: &UpstreamTable, refreshed: Option<&Path>, now: SystemTime) -> Self {
        let path = Path::new("the built-in catalogue");
        let report = Report::new(path, CATALOGUE);
        let parts = report.parse().map(|document| {
            let parts = check::check(&document, &report, Path::new(""), table, refreshed);
            weigh::weigh(&parts, &report, table, now);
            parts
        });
        let (problems, _) = report.finish();
        if !problems.is_empty() {
            tracing::error!(?problems, "the built-in catalogue cannot be used");
        }
        // A catalogue with a fault admits nothing.
        let parts = parts.filter(|_| problems.is_empty()).unwrap_or_default();
        let hash = hash_of(CATALOGUE, table);
        Self::assemble(Source::Absent(None), hash, table.clone(), parts)
    }

    fn assemble(source: Source, hash: String, table: UpstreamTable, parts: Parts) -> Self {
        let mut coverage: Vec<_> = parts
            .rules
            .iter()
            .enumerate()
            .flat_map(|(at, rule)| rule.patterns.iter().map(move |pattern| (pattern.clone(), at)))
            .collect();
        coverage.sort();
        let keys = trusted_keys(&parts.authorities);
        let mut files: Vec<_> = match &source {
            Source::Absent(looked_at) => looked_at.iter().cloned().collect(),
            Source::File(path) => vec![path.clone()],
        };
        files.extend(parts.files.iter().cloned());
        let trust_hash = trust_hash_of(&parts.authorities);
        Self { source, hash, trust_hash, table, parts, keys, coverage, files }
    }

    /// What names the policy: hex.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What names the trust material: hex.
    #[must_use]
    pub fn trust_hash(&self) -> &str {
        &self.trust_hash
    }

    /// The files that make up the policy: a change of one of them is a reason to load it again.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether nobody has written a policy.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self.source, Source::Absent(_))
    }

    /// The policy's file, or where one would be looked for.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::Absent(looked_at) => looked_at.as_deref(),
            Source::File(path) => Some(path),
        }
    }

    /// The rule that covers `image`.
    #[must_use]
    pub fn covering(&self, image: &ImageName) -> Option<&Rule> {
        self.covering_pattern(image).map(|(_, rule)| rule)
    }

    /// The pattern that covers `image`, and its rule.
    #[must_use]
    pub fn covering_pattern(&self, image: &ImageName) -> Option<(&Pattern, &Rule)> {
        self.coverage().find(|(pattern, _)| pattern.matches(image))
    }

    /// Where the signatures of `image` may be, beside its own repository.
    #[must_use]
    pub fn signatures_in(&self, image: &ImageName) -> Option<ImageName> {
        self.covering(image)?.signatures_in.clone()
    }

    /// Every pattern with its rule, the most specific first.
    pub fn coverage(&self) -> impl Iterator<Item = (&Pattern, &Rule)> {
        self.coverage.iter().map(|(pattern, at)| (pattern, &self.parts.rules[*at]))
    }

    /// The authorities, by name.
    #[must_use]
    pub fn authorities(&self) -> &[Authority] {
        &self.parts.authorities
    }

    /// The trust roots that have a name and that it rests on.
    #[must_use]
    pub fn known_roots(&self) -> Vec<KnownRoot> {
        let named = self.authorities().iter().filter_map(Authority::trust_root);
        let known: BTreeSet<_> =
            named.filter_map(|root| KnownRoot::from_word(&root.name)).collect();
        known.into_iter().collect()
    }

    /// What it rests on that ends within [`SOON`] of `now`, the first end first.
    #[must_use]
    pub fn endings(&self, now: SystemTime) -> Vec<Ending> {
        let mut endings = self.all_endings();
        endings.retain(|ending| now < ending.at && ending.at <= now + SOON);
        endings
    }

    /// Everything it rests on that ends or has ended, the first end first.
    #[must_use]
    pub fn all_endings(&self) -> Vec<Ending> {
        let all = self.authorities().iter().flat_map(Authority::endings);
        let mut endings: Vec<_> = all.map(|(what, at)| Ending { at, what }).collect();
        endings.sort();
        endings.dedup();
        endings
    }

    /// The deny list.
    #[must_use]
    pub fn denials(&self) -> &[Denial] {
        &self.parts.denials
    }

    /// The exceptions, those that have ended among them.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        &self.parts.exceptions
    }

    /// The spellings by which the policy understands names.
    pub(super) const fn table(&self) -> &UpstreamTable {
        &self.table
    }

    /// Every key, in the order of the policy.
    pub(super) fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    pub(super) fn authority(&self, name: &str) -> Option<&Authority> {
        self.parts.authorities.iter().find(|authority| *authority.name == *name)
    }

    /// The entry of the deny list that is about this manifest.
    pub(super) fn denial_of(&self, image: &ImageName, digest: &Digest) -> Option<&Denial> {
        self.parts.denials.iter().find(|denial| match &denial.what {
            Denied::Digest(denied) => denied == digest,
            Denied::Key(_) => false,
            Denied::Match(patterns) => patterns.iter().any(|pattern| pattern.matches(image)),
        })
    }

    /// The entry of the deny list that is about this key.
    pub(super) fn denial_of_key(&self, fingerprint: &Fingerprint) -> Option<&Denial> {
        let is_denied =
            |denial: &&Denial| matches!(&denial.what, Denied::Key(key) if key == fingerprint);
        self.parts.denials.iter().find(is_denied)
    }

    /// The exception that applies to this manifest now.
    pub(super) fn exception_for(
        &self,
        image: &ImageName,
        digest: &Digest,
        now: SystemTime,
    ) -> Option<&Exception> {
        let applies =
            |exception: &&Exception| exception.covers(image, digest) && now < exception.until;
        self.parts.exceptions.iter().find(applies)
    }
}

/// Publishers of well-known images who really sign, as a policy.
pub const CATALOGUE: &str = include_str!("catalogue.toml");
/// Bytes of a policy. Somebody's longest has 20,000.
const MAX_POLICY_FILE: u64 = 1 << 20;

fn read_text(path: &Path) -> Result<String, Problem> {
    let problem = |what: String| Problem {
        file: path.to_owned(),
        line: None,
        key: String::new(),
        what,
        next_step: "name the policy file with `--policy`, or `policy` in `portcullis.toml`"
            .to_owned(),
    };
    let bytes = read_bounded(path, MAX_POLICY_FILE)
        .map_err(|error| problem(format!("cannot read the policy: {error}")))?;
    String::from_utf8(bytes).map_err(|_| problem("the policy is not UTF-8 text".to_owned()))
}

fn trusted_keys(authorities: &[Authority]) -> Vec<TrustedKey> {
    let mut keys: Vec<TrustedKey> = Vec::new();
    for authority in authorities {
        for entry in authority.keys() {
            let speaks_for = (authority.name.clone(), entry.window);
            match keys.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => known.speaks_for.push(speaks_for),
                None => {
                    keys.push(TrustedKey { key: entry.key.clone(), speaks_for: vec![speaks_for] });
                }
            }
        }
    }
    keys
}

/// Over the document's values in a fixed order, so that layout and comments do not count.
fn hash_of(text: &str, table: &UpstreamTable) -> String {
    let values = text.parse::<toml::Table>().unwrap_or_default();
    let mut hasher = Sha256::new();
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(format!("\n{table:?}\n{values:?}"));
    hex_of(&hasher.finalize())
}

fn trust_hash_of(authorities: &[Authority]) -> String {
    let mut hasher = Sha256::new();
    for authority in authorities {
        for material in authority.kind.material() {
            hasher.update(format!("{}\0{material}\n", authority.name));
        }
    }
    hex_of(&hasher.finalize())
}

#[cfg(test)]
mod tests;
