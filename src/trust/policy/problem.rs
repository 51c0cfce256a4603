//! What is wrong, or doubtful, in a policy: where, what, and what to do about it.

use std::{fmt, path::PathBuf};

use crate::trust::words::words;

/// Something because of which a policy is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1, where there is one.
    pub line: Option<usize>,
    /// The key path: `rule[0].require`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub next_step: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(formatter, &self.file, self.line, &self.key)?;
        formatter.write_str(&self.what)?;
        if self.next_step.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.next_step) }
    }
}

impl std::error::Error for Problem {}

words! {
    /// What a warning is about.
    pub enum WarningKind {
        /// A rule takes signatures that name any repository.
        AnyName = "any_name",
        /// A key on the deny list belongs to an authority.
        DeniedKey = "denied_key",
        /// An exception has ended and does nothing.
        ExceptionEnded = "exception_ended",
        /// An exception ends soon.
        ExceptionEnding = "exception_ending",
        /// A rule admits images without proof.
        InsecureRule = "insecure_rule",
        /// An identity that lets in more signers than it seems to.
        LooseIdentity = "loose_identity",
        /// There is no rule, so everything is denied.
        NoRules = "no_rules",
        /// An authority may not vouch for what a rule asks of it.
        OutOfScope = "out_of_scope",
        /// A key belongs to several authorities, and its signature counts once.
        SharedKey = "shared_key",
        /// A certificate or revocation list has ended.
        TrustEnded = "trust_ended",
        /// A certificate or revocation list ends soon.
        TrustEnding = "trust_ending",
        /// A rule serves what it refuses.
        Unenforced = "unenforced",
        /// A rule for an upstream that is not configured.
        UnreachableRule = "unreachable_rule",
        /// No rule asks an authority.
        UnusedAuthority = "unused_authority",
        /// A key's window has ended.
        WindowEnded = "window_ended",
        /// A key's window ends soon.
        WindowEnding = "window_ending",
        /// A key's window has not begun.
        WindowFuture = "window_future",
    }
}

/// Something that weakens a policy, or will soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The key path.
    pub key: String,
    /// In words.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(formatter, &self.file, self.line, &self.key)?;
        formatter.write_str(&self.what)
    }
}

fn write_place(
    formatter: &mut fmt::Formatter<'_>,
    file: &std::path::Path,
    line: Option<usize>,
    key: &str,
) -> fmt::Result {
    write!(formatter, "{}", file.display())?;
    if let Some(line) = line {
        write!(formatter, ":{line}")?;
    }
    formatter.write_str(": ")?;
    if key.is_empty() { Ok(()) } else { write!(formatter, "`{key}`: ") }
}
