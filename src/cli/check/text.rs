//! The same for people.

use std::io;

use super::summary::{
    AuthoritySummary, EndingSummary, IdentitySummary, PolicySummary, Summary, UpstreamSummary,
};
use crate::{
    cli::output::{Output, Tone},
    config::Problem,
};

impl Summary {
    /// Prints what was understood, and what to look at.
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub(super) fn print(&self, warnings: &[Problem], output: &mut Output) -> io::Result<()> {
        output.line(format_args!("data       {}", self.data.display()))?;
        output.line(format_args!("clients    {}", self.listen))?;
        output.line(format_args!("admin      {}", self.admin.as_deref().unwrap_or("off")))?;
        output.line(format_args!(
            "cache      {}; tags are fresh for {} s, denials for {} s",
            self.max_size, self.tag_fresh_seconds, self.denied_fresh_seconds
        ))?;
        heading(output, "upstreams")?;
        for upstream in &self.upstreams {
            output.line(format_args!("  {}", upstream_line(upstream)))?;
        }
        self.policy.print(output)?;
        if !warnings.is_empty() {
            output.line("")?;
            let title = output.paint(Tone::Worrying, format_args!("warnings: {}", warnings.len()));
            output.line(title)?;
            for warning in warnings {
                output.line(format_args!("  {}", warning.to_string().replace('\n', "\n  ")))?;
            }
        }
        Ok(())
    }
}

impl PolicySummary {
    fn print(&self, output: &mut Output) -> io::Result<()> {
        heading(output, "policy")?;
        match &self.path {
            Some(path) => output.line(format_args!("  {}", path.display()))?,
            None => output.line("  none")?,
        }
        output.line(format_args!("  hash {}", self.hash))?;
        output.line(format_args!("  trust {}", self.trust))?;
        heading(output, "rules, the most specific first")?;
        for rule in &self.rules {
            let mut notes = vec![rule.mode.clone()];
            if rule.signed_as != "match" {
                notes.push(format!("signed as {}", rule.signed_as));
            }
            notes.extend(rule.signatures_in.iter().map(|place| format!("signatures in {place}")));
            output.line(format_args!("  {}", rule.pattern))?;
            output.line(format_args!("    requires {} ({})", rule.requires, notes.join("; ")))?;
        }
        output.line("  everything else")?;
        output.line("    is denied")?;
        if !self.authorities.is_empty() {
            heading(output, "authorities")?;
            self.authorities.iter().try_for_each(|authority| print_authority(authority, output))?;
        }
        if !self.deny.is_empty() {
            heading(output, "denied whatever the rules say")?;
        }
        for denial in &self.deny {
            let reason = denial.reason.as_deref().unwrap_or("no reason given");
            output.line(format_args!("  {} ({reason})", denial.what))?;
        }
        if !self.exceptions.is_empty() {
            heading(output, "exceptions")?;
        }
        for exception in &self.exceptions {
            let state = if exception.ended { "ended" } else { "until" };
            output.line(format_args!("  {}", exception.repositories.join(", ")))?;
            output.line(format_args!("    {}", exception.digest))?;
            output.line(format_args!("    {state} {}: {}", exception.until, exception.reason))?;
        }
        Ok(())
    }
}

fn heading(output: &mut Output, title: &str) -> io::Result<()> {
    let title = output.paint(Tone::Strong, title);
    output.line(format_args!("\n{title}"))
}

fn upstream_line(upstream: &UpstreamSummary) -> String {
    let mut line = format!("{}  {}", upstream.name, upstream.url);
    if let Some(username) = &upstream.username {
        line.push_str(&format!(", as {username}"));
    }
    if upstream.default {
        line.push_str(", the default");
    }
    line
}

fn print_authority(authority: &AuthoritySummary, output: &mut Output) -> io::Result<()> {
    let scope = match authority.repositories.as_slice() {
        [] => "may vouch for everything".to_owned(),
        repositories => format!("may vouch for {}", repositories.join(", ")),
    };
    output.line(format_args!("  {} {scope}", authority.name))?;
    for key in &authority.keys {
        let state = if key.counts_now { "counts" } else { "does not count now; it counts" };
        output.line(format_args!("    {} {}", key.algorithm, key.fingerprint))?;
        output.line(format_args!("      {}, {state} {}", key.file.display(), key.window))?;
    }
    if let Some(notation) = &authority.notation {
        let identities = notation.identities.join("; ");
        output.line(format_args!("    Notation signatures by {identities}"))?;
        for EndingSummary { what, until, ended } in &notation.trusts {
            let state = if *ended { "ended" } else { "ends" };
            output.line(format_args!("      {what}, {state} {until}"))?;
        }
    }
    authority.identity.as_ref().map_or(Ok(()), |identity| print_identity(identity, output))
}

fn print_identity(identity: &IdentitySummary, output: &mut Output) -> io::Result<()> {
    output.line(format_args!("    {}", identity.subject))?;
    if let Some(issuer) = &identity.issuer {
        output.line(format_args!("      known to {issuer}"))?;
    }
    for (claim, value) in &identity.claims {
        output.line(format_args!("      {claim} = {value}"))?;
    }
    for file in &identity.ca {
        output.line(format_args!("      certified by {}", file.display()))?;
    }
    let log = if identity.log_required { "in a log" } else { "in a log or not" };
    match &identity.trust_root {
        Some(root) => output.line(format_args!("      trust root {root}, {log}")),
        None => Ok(()),
    }
}
