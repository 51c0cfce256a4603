//! What only shows when the parts of a policy are held against each other, the upstreams and the
//! time: ties, requirements that nobody can meet, keys that have ended, and all that weakens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    authority::{Authority, AuthorityKey},
    check::Parts,
    document::{Place, Report},
    pattern::{Pattern, is_configured},
    problem::WarningKind,
    require::{Require, can_be_met},
    rule::{Denied, Rule, SignedAs},
};
use crate::{
    oci::UpstreamTable,
    timestamp::Timestamp,
    trust::{Mode, keys::Fingerprint, places::Offer, words::listed},
};

/// Reports what is wrong or doubtful about `parts` as a whole.
pub(super) fn weigh(parts: &Parts, report: &Report<'_>, table: &UpstreamTable, now: SystemTime) {
    let scale = Scale { parts, report, table, now };
    scale.ties();
    scale.authorities();
    scale.shared_keys();
    for rule in &parts.rules {
        scale.can_be_met(rule);
        scale.weakness(rule);
        scale.reach(rule);
    }
    scale.deny_list();
    scale.exceptions();
    if parts.rules.is_empty() && !report.has_problems() {
        let place = Place { key: "rule".to_owned(), line: 1 };
        report.warning(&place, WarningKind::NoRules, "there is no rule: every image is denied");
    }
}

/// How long before its end something is called ending.
pub const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

struct Scale<'p> {
    parts: &'p Parts,
    report: &'p Report<'p>,
    table: &'p UpstreamTable,
    now: SystemTime,
}

impl Scale<'_> {
    /// Exactly one rule covers a repository, so no two may have the same pattern.
    fn ties(&self) {
        let mut seen: BTreeMap<&Pattern, &Place> = BTreeMap::new();
        for rule in &self.parts.rules {
            for pattern in &rule.patterns {
                if let Some(first) = seen.insert(pattern, &rule.place) {
                    let what = format!(
                        "`{pattern}` is covered by two rules, on line {} and on line {}",
                        first.line, rule.place.line
                    );
                    self.report.problem(
                        &rule.place,
                        what,
                        "make one of them more specific, or join them",
                    );
                }
            }
        }
    }

    fn authorities(&self) {
        let used: BTreeSet<&Arc<str>> =
            self.parts.rules.iter().flat_map(|rule| rule.require.authorities()).collect();
        for authority in &self.parts.authorities {
            let keys = authority.keys();
            if !keys.is_empty() && keys.iter().all(|key| key.window.has_ended(self.now)) {
                let what = "none of its keys can ever be valid again: every window has ended";
                self.report.problem(
                    &authority.place,
                    what,
                    "add a current key, or take the authority out",
                );
            }
            if !used.contains(&authority.name) {
                let what = "no rule asks this authority";
                self.report.warning(&authority.place, WarningKind::UnusedAuthority, what);
            }
            authority.keys().iter().for_each(|key| self.window(authority, key));
        }
    }

    fn window(&self, authority: &Authority, key: &AuthorityKey) {
        let warn = |kind, what: &str, time| {
            let file = key.file.display();
            let what = format!("the window of `{file}` {what} {}", Timestamp(time));
            self.report.warning(&authority.place, kind, what);
        };
        match (key.window.from, key.window.until) {
            (_, Some(until)) if until <= self.now => {
                warn(WarningKind::WindowEnded, "ended at", until);
            }
            (Some(from), _) if from > self.now => {
                warn(WarningKind::WindowFuture, "does not begin before", from);
            }
            (_, Some(until)) if until <= self.now + SOON => {
                warn(WarningKind::WindowEnding, "ends soon, at", until);
            }
            _ => {}
        }
    }

    /// The keys of all authorities, each once, with the authorities that list it.
    fn keys(&self) -> BTreeMap<Fingerprint, Vec<&Authority>> {
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for authority in &self.parts.authorities {
            for key in authority.keys() {
                keys.entry(*key.key.fingerprint()).or_default().push(authority);
            }
        }
        keys
    }

    fn shared_keys(&self) {
        for (fingerprint, authorities) in self.keys() {
            if let [first, _, ..] = authorities.as_slice() {
                let names: Vec<_> = authorities.iter().map(|authority| &authority.name).collect();
                let what = format!(
                    "{} share the key {fingerprint}: a signature by it fills one place only",
                    listed(&names)
                );
                self.report.warning(&first.place, WarningKind::SharedKey, what);
            }
        }
    }

    /// Whether any set of signatures could satisfy the rule. `never` may be written on purpose.
    fn can_be_met(&self, rule: &Rule) {
        let names = rule.require.authorities();
        let known = |name: &&Arc<str>| self.parts.authorities.iter().any(|one| one.name == **name);
        if !names.iter().all(known) || rule.require.contains(&Require::Never) {
            return;
        }
        let offer = |authorities: &[&Authority]| Offer {
            authorities: authorities.iter().map(|one| (one.name.clone(), None)).collect(),
        };
        let mut offers: Vec<_> =
            self.keys().into_values().map(|authorities| offer(&authorities)).collect();
        // Who is known by a name may hold any number of certificates, and nobody else has that name.
        let by_name = self.parts.authorities.iter().filter(|one| one.keys().is_empty());
        offers.extend(by_name.map(|one| offer(&[one])));
        if !can_be_met(&rule.require, &offers) {
            self.report.problem(
                &rule.place,
                format!("no set of signatures can ever meet {}", rule.require),
                "each place needs an authority and a key of its own: name more of them, or ask for less",
            );
        }
    }

    fn weakness(&self, rule: &Rule) {
        let warn = |kind, what: String| self.report.warning(&rule.place, kind, what);
        if rule.require.contains(&Require::Insecure) {
            let what = "`insecure-accept-anything` admits images without any signature";
            warn(WarningKind::InsecureRule, what.to_owned());
        }
        if rule.mode != Mode::Enforce {
            let what = format!("mode `{}` serves what the rule refuses", rule.mode);
            warn(WarningKind::Unenforced, what);
        }
        if rule.signed_as == SignedAs::Any {
            let what =
                "`signed_as = \"any\"` takes signatures that were made for other repositories";
            warn(WarningKind::AnyName, what.to_owned());
        }
    }

    fn reach(&self, rule: &Rule) {
        let warn = |kind, what: String| self.report.warning(&rule.place, kind, what);
        for pattern in &rule.patterns {
            if let Some(host) = pattern.upstream()
                && !is_configured(host, self.table)
            {
                let what =
                    format!("no upstream is called `{host}`, so no pull reaches `{pattern}`");
                warn(WarningKind::UnreachableRule, what);
            }
            let Some(image) = pattern.image() else { continue };
            for name in rule.require.authorities() {
                let authority = self.parts.authorities.iter().find(|one| one.name == *name);
                if authority.is_some_and(|authority| !authority.may_vouch_for(&image)) {
                    let what =
                        format!("`{name}` may not vouch for `{image}`: see its `repositories`");
                    warn(WarningKind::OutOfScope, what);
                }
            }
        }
    }

    fn deny_list(&self) {
        let keys = self.keys();
        for denial in &self.parts.denials {
            if let Denied::Key(fingerprint) = &denial.what
                && let Some(authorities) = keys.get(fingerprint)
            {
                let names: Vec<_> = authorities.iter().map(|authority| &authority.name).collect();
                let what =
                    format!("denies a key of {}: its signatures no longer count", listed(&names));
                self.report.warning(&denial.place, WarningKind::DeniedKey, what);
            }
        }
    }

    fn exceptions(&self) {
        for exception in &self.parts.exceptions {
            let until = Timestamp(exception.until);
            let warn = |kind, what| self.report.warning(&exception.place, kind, what);
            if exception.until <= self.now {
                warn(WarningKind::ExceptionEnded, format!("ended at {until} and has no effect"));
            } else if exception.until <= self.now + SOON {
                warn(WarningKind::ExceptionEnding, format!("ends soon, at {until}"));
            }
        }
    }
}
