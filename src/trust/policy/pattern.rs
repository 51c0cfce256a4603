//! Patterns over repository names, and which of two is the more specific.
//!
//! A pattern is a canonical name whose segments, the registry's host among them, may hold wildcards:
//! `*` stands for any letters within one segment, a whole `**` for any number of segments, none
//! included. Nothing crosses a slash but `**`, so `*.example.com/app` is never matched by
//! `evil.test/x.example.com/app` (G-49). A pattern begins with a registry: a relative one would mean
//! another thing on every mirror.
//!
//! [`Pattern`]'s order is specificity, the most specific first. It goes segment by segment from the
//! left; at the first difference a literal beats a segment with `*` inside, that beats `*`, that
//! beats `**`. Two segments with `*` inside are compared letter by letter in the same way, then by
//! the alphabet, so that only equal patterns tie.

use std::{cmp::Ordering, fmt};

use crate::oci::{ImageName, Repository, UpstreamName, UpstreamTable};

/// A checked pattern in canonical spelling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    segments: Vec<Segment>,
}

/// Variants in the order in which one beats the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<str>),
    /// With at least one `*` and at least one letter.
    Glob(Box<str>),
    /// `*`
    One,
    /// `**`
    Many,
}

impl Pattern {
    /// Reads `text`, as people write repository names, with the other spellings of upstreams that
    /// `table` knows.
    ///
    /// # Errors
    /// When it is no pattern, or one that could not match what it seems to.
    pub fn parse(text: &str, table: &UpstreamTable) -> Result<Self, PatternError> {
        if text.len() > MAX_LENGTH {
            return Err(PatternError::TooLong);
        }
        if text.contains(['@']) || text.rsplit('/').next().is_some_and(|last| last.contains(':')) {
            return Err(PatternError::Tag);
        }
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let mut segments = vec![host_segment(host, table)?];
        if !path.is_empty() || text.ends_with('/') {
            for segment in path.split('/') {
                segments.push(path_segment(segment)?);
            }
        }
        let adjacent = |pair: &[Segment]| pair == [Segment::Many, Segment::Many];
        if segments.windows(2).any(adjacent) {
            return Err(PatternError::Redundant);
        }
        if segments.len() == 1 && segments[0] != Segment::Many {
            return Err(PatternError::NoRepository(text.to_owned()));
        }
        add_library(&mut segments);
        Ok(Self { segments })
    }

    /// Whether the pattern covers `image`.
    #[must_use]
    pub fn matches(&self, image: &ImageName) -> bool {
        let mut names = vec![image.upstream.as_str()];
        names.extend(image.repository.segments());
        matches_all(&self.segments, &names)
    }

    /// The registry, where the pattern names exactly one.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(host)) => Some(host),
            _ => None,
        }
    }

    /// The image, where the pattern names exactly one.
    #[must_use]
    pub fn image(&self) -> Option<ImageName> {
        if self.segments.iter().any(|segment| !matches!(segment, Segment::Literal(_))) {
            return None;
        }
        let (upstream, repository) =
            self.to_string().split_once('/').map(|(a, b)| (a.parse(), b.parse()))?;
        Some(ImageName { upstream: upstream.ok()?, repository: repository.ok()? })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.segments.iter().enumerate() {
            if at > 0 {
                formatter.write_str("/")?;
            }
            formatter.write_str(match segment {
                Segment::Literal(text) | Segment::Glob(text) => text,
                Segment::One => "*",
                Segment::Many => "**",
            })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Ord for Pattern {
    /// The more specific pattern is the lesser.
    fn cmp(&self, other: &Self) -> Ordering {
        for (a, b) in self.segments.iter().zip(&other.segments) {
            let order = a.rank().cmp(&b.rank()).then_with(|| compare_texts(a.text(), b.text()));
            if order.is_ne() {
                return order;
            }
        }
        // One is the beginning of the other. What goes on with `**` covers the shorter one's names
        // too; what goes on with anything else asks for more.
        let rank =
            |pattern: &Self, at: usize| pattern.segments.get(at).map_or(END_RANK, Segment::rank);
        let at = self.segments.len().min(other.segments.len());
        rank(self, at).cmp(&rank(other, at))
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Segment {
    const fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Glob(_) => 1,
            Self::One => 2,
            Self::Many => 4,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Glob(text) => text,
            Self::One | Self::Many => "",
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(text) => **text == *name,
            Self::Glob(text) => matches_glob(text.as_bytes(), name.as_bytes()),
            Self::One | Self::Many => true,
        }
    }
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It names a registry and no repository.
    #[error("`{0}` names a registry and no repository: write `{0}/**` for all of it")]
    NoRepository(String),
    /// A segment breaks the grammar of names.
    #[error(
        "`{0}` is not a segment of a name: use lower-case letters, digits, `.`, `_`, `-` and the wildcards `*` and `**`, and no empty segment"
    )]
    Segment(String),
    /// `**` twice in a row.
    #[error("`**/**` means the same as `**`: write it once")]
    Redundant,
    /// `**` with letters around it.
    #[error("`{0}`: `**` stands for whole segments and must stand alone between slashes")]
    Stars(String),
    /// A tag or a digest.
    #[error("a pattern covers repositories: leave the tag or digest out")]
    Tag,
    /// Longer than any name.
    #[error("the pattern is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// It does not begin with a registry.
    #[error(
        "`{0}` is not a registry, and a pattern must begin with one: `docker.io/library/nginx`, `ghcr.io/acme/**`"
    )]
    Unanchored(String),
}

/// A host and a repository at their longest.
const MAX_LENGTH: usize = 512;
/// Where a pattern that ends stands among the ranks of segments.
const END_RANK: u8 = 3;

fn host_segment(text: &str, table: &UpstreamTable) -> Result<Segment, PatternError> {
    match wildcard(text)? {
        Some(Segment::Glob(glob)) => {
            let right = glob.contains(['.', ':'])
                && glob.bytes().all(|byte| is_host_byte(byte) || byte == b'*');
            if right {
                Ok(Segment::Glob(glob))
            } else {
                Err(PatternError::Unanchored(text.to_owned()))
            }
        }
        Some(segment) => Ok(segment),
        None => {
            let unanchored = || PatternError::Unanchored(text.chars().take(60).collect());
            let is_host =
                text.contains(['.', ':']) || text == "localhost" || table.named(text).is_some();
            if !is_host {
                return Err(unanchored());
            }
            // The table knows every other spelling, of Docker Hub too.
            let image = table.parse_image(&format!("{text}/a/b")).map_err(|_| unanchored())?;
            Ok(Segment::Literal(image.upstream.as_str().into()))
        }
    }
}

fn path_segment(text: &str) -> Result<Segment, PatternError> {
    let wrong = || PatternError::Segment(text.chars().take(60).collect());
    match wildcard(text)? {
        Some(Segment::Glob(glob)) => {
            let right = glob.bytes().all(|byte| is_path_byte(byte) || byte == b'*');
            if right { Ok(Segment::Glob(glob)) } else { Err(wrong()) }
        }
        Some(segment) => Ok(segment),
        None => {
            let repository: Repository = text.parse().map_err(|_| wrong())?;
            Ok(Segment::Literal(repository.as_str().into()))
        }
    }
}

/// The segment of a text with a star in it.
fn wildcard(text: &str) -> Result<Option<Segment>, PatternError> {
    Ok(match text {
        "*" => Some(Segment::One),
        "**" => Some(Segment::Many),
        _ if text.contains("**") => {
            return Err(PatternError::Stars(text.chars().take(60).collect()));
        }
        _ if text.contains('*') => Some(Segment::Glob(text.into())),
        _ => None,
    })
}

/// Docker Hub's official images live under `library/`, in patterns as in names.
fn add_library(segments: &mut Vec<Segment>) {
    let hub = Segment::Literal(crate::oci::table::DOCKER_HUB.into());
    if segments.len() == 2 && segments[0] == hub && segments[1] != Segment::Many {
        segments.insert(1, Segment::Literal("library".into()));
    }
}

const fn is_path_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')
}

const fn is_host_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':')
}

/// Letter by letter, where a letter beats a star, and more letters beat the end.
fn compare_texts(a: &str, b: &str) -> Ordering {
    let rank = |byte: Option<u8>| match byte {
        Some(b'*') => 2,
        Some(_) => 0,
        None => 1,
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    (0..a.len().max(b.len()))
        .map(|at| {
            let (a, b) = (a.get(at).copied(), b.get(at).copied());
            rank(a).cmp(&rank(b)).then(a.cmp(&b))
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Linear in pattern times name: on a mismatch only the last `**` has to take one more.
fn matches_all(pattern: &[Segment], names: &[&str]) -> bool {
    let fits = |segment: &Segment, name: &&str| segment.matches(name);
    matches_stars(pattern, names, |segment| *segment == Segment::Many, fits)
}

fn matches_glob(glob: &[u8], name: &[u8]) -> bool {
    matches_stars(glob, name, |byte| *byte == b'*', |byte, letter| byte == letter)
}

/// Whether `pattern`, in which some elements stand for any run of elements, covers `names`.
fn matches_stars<P, N>(
    pattern: &[P],
    names: &[N],
    is_star: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &N) -> bool,
) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while n < names.len() {
        match pattern.get(p) {
            Some(element) if is_star(element) => {
                resume = Some((p + 1, n));
                p += 1;
            }
            Some(element) if fits(element, &names[n]) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, taken)) = resume else { return false };
                resume = Some((after, taken + 1));
                p = after;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(is_star)
}

/// Whether an upstream called `name` is in `table`.
pub(super) fn is_configured(name: &str, table: &UpstreamTable) -> bool {
    name.parse::<UpstreamName>().is_ok_and(|name| table.names().any(|known| *known == name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oci::UpstreamNames;

    fn table() -> UpstreamTable {
        let names = |name: &str, alias: &str| UpstreamNames {
            name: name.parse().unwrap(),
            aliases: vec![alias.parse().unwrap()],
            hosts: vec![],
        };
        let entries = vec![names("docker.io", "hub.alias"), names("internal", "registry.alias")];
        UpstreamTable::new(entries, None).unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text, &table()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn covers(text: &str, image: &str) -> bool {
        pattern(text).matches(&table().parse_image(image).unwrap())
    }

    #[test]
    fn g49_spellings_of_a_registry_are_one() {
        for (text, canonical) in [
            ("nginx.test/a", "nginx.test/a"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("index.docker.io/nginx", "docker.io/library/nginx"),
            ("registry-1.docker.io/acme/app", "docker.io/acme/app"),
            ("hub.alias/*", "docker.io/library/*"),
            ("docker.io/**", "docker.io/**"),
            ("registry.alias/a", "internal/a"),
            ("internal/*/a-*", "internal/*/a-*"),
            ("localhost:5000/**", "localhost:5000/**"),
            ("*.gcr.io/**/app", "*.gcr.io/**/app"),
            ("**", "**"),
        ] {
            assert_eq!(pattern(text).to_string(), canonical);
        }
    }

    #[test]
    fn refuses_patterns_that_do_not_mean_what_they_seem_to() {
        for bad in [
            "",
            "nginx",
            "acme/**",
            "acme*/x",
            "ghcr.io",
            "*",
            "ghcr.io/",
            "ghcr.io//a",
            "/a",
            "ghcr.io/a/",
            "ghcr.io/A",
            "ghcr.io/a**",
            "ghcr.io/**b",
            "ghcr.io/**/**/a",
            "ghcr.io/a:v1",
            "ghcr.io/a@sha256:00",
            "ghcr.io/[ab]",
            "ghcr.io/a?",
            "ghcr.io/{a,b}",
            "https://ghcr.io/a",
            "ghcr.io/../a",
            "ghcr.io/a b",
            "gh cr.io/a",
            "ghcr.io/***",
            "ghcr.io/%2f",
            "^ghcr.io/a$",
            "ghcr.io/ä",
            "-a.test/b",
        ] {
            assert!(Pattern::parse(bad, &table()).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn g49_only_two_stars_cross_a_slash() {
        assert!(covers("ghcr.io/acme/*", "ghcr.io/acme/app"));
        assert!(!covers("ghcr.io/acme/*", "ghcr.io/acme/app/sub"));
        assert!(!covers("ghcr.io/acme/*", "ghcr.io/acme"));
        assert!(covers("ghcr.io/acme/**", "ghcr.io/acme"));
        assert!(covers("ghcr.io/acme/**", "ghcr.io/acme/a/b/c"));
        assert!(!covers("ghcr.io/acme/**", "ghcr.io/acme-evil/a"));
        assert!(covers("ghcr.io/**/app", "ghcr.io/app"));
        assert!(covers("ghcr.io/**/app", "ghcr.io/a/app/b/app"));
        assert!(!covers("ghcr.io/**/app", "ghcr.io/a/app/b"));
        assert!(covers("*.example.com/app", "a.b.example.com/app"));
        assert!(!covers("*.example.com/app", "evil.test/x.example.com/app"));
        assert!(!covers("*.example.com/app", "example.com/app"));
        assert!(covers("ghcr.io/a*c/x", "ghcr.io/abc/x"));
        assert!(!covers("ghcr.io/a*c/x", "ghcr.io/ab/c/x"));
        assert!(covers("**", "docker.io/library/nginx"));
        assert!(covers("*/acme/app", "ghcr.io/acme/app"));
    }

    #[test]
    fn the_first_difference_from_the_left_decides() {
        for (more, less) in [
            ("a.test/b", "a.test/*"),
            ("a.test/b*", "a.test/*"),
            ("a.test/*", "a.test/**"),
            ("a.test/b", "a.test/b/**"),
            ("a.test/b/**", "a.test/*/c"),
            ("a.test/**/c", "a.test/**"),
            ("a.test/**", "*.test/b"),
            ("*.test/b", "*/b"),
            ("*/b", "**/b"),
            ("a.test/ab*", "a.test/a*"),
            ("a.test/a*c", "a.test/a*"),
            ("a.test/a*", "a.test/*a"),
            ("a.test/**/b", "a.test/**/*"),
            ("a.test/**/b", "a.test/**/b/**"),
        ] {
            assert!(pattern(more) < pattern(less), "{more} should beat {less}");
            assert!(pattern(less) > pattern(more), "{more} should beat {less}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(text in "\\PC{0,20}|[a-z0-9./*:-]{0,40}") {
            if let Ok(pattern) = Pattern::parse(&text, &table()) {
                prop_assert_eq!(Pattern::parse(&pattern.to_string(), &table()), Ok(pattern));
            }
        }

        #[test]
        fn only_equal_patterns_tie(
            a in "a\\.test(/(a|b|a\\*|\\*b|\\*|\\*\\*)){1,3}",
            b in "a\\.test(/(a|b|a\\*|\\*b|\\*|\\*\\*)){1,3}",
            c in "a\\.test(/(a|b|a\\*|\\*b|\\*|\\*\\*)){1,3}",
        ) {
            let parse = |text: &str| Pattern::parse(text, &table());
            if let (Ok(a), Ok(b), Ok(c)) = (parse(&a), parse(&b), parse(&c)) {
                prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
                prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
                if a < b && b < c {
                    prop_assert!(a < c);
                }
            }
        }

        #[test]
        fn matching_agrees_with_the_definition(
            pattern in "a\\.test(/(a|b|a\\*|\\*b|\\*|\\*\\*)){1,4}",
            image in "a\\.test(/(a|b|ab|aab)){1,4}",
        ) {
            if let Ok(pattern) = Pattern::parse(&pattern, &table()) {
                let image = table().parse_image(&image).unwrap();
                let text = image.to_string();
                let names: Vec<_> = text.split('/').collect();
                prop_assert_eq!(pattern.matches(&image), by_definition(&pattern.segments, &names));
            }
        }
    }

    fn by_definition(pattern: &[Segment], names: &[&str]) -> bool {
        match (pattern, names) {
            ([], []) => true,
            ([Segment::Many, rest @ ..], _) => {
                by_definition(rest, names)
                    || names.split_first().is_some_and(|(_, names)| by_definition(pattern, names))
            }
            ([first, rest @ ..], [name, names @ ..]) => {
                first.matches(name) && by_definition(rest, names)
            }
            _ => false,
        }
    }
}
