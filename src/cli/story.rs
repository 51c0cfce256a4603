//! A decision, told to a person: what `verify` and `why` print.

use std::io;

use super::output::{Output, Tone, Visible};
use crate::trust::{Finding, Node};

/// What there is to tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Story<'a> {
    /// The image as it was asked for, resolved: `docker.io/acme/app:1.0`.
    pub(super) image: String,
    pub(super) outcome: &'a str,
    pub(super) reason: &'a str,
    pub(super) enforced: bool,
    pub(super) message: &'a str,
    pub(super) next_step: &'a str,
    /// Names and values, in the order of their lines.
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) tree: Option<Node>,
    pub(super) evidence: Vec<Finding>,
}

impl Story<'_> {
    /// Tells it.
    ///
    /// # Errors
    /// When the answer cannot be written.
    pub(super) fn tell(&self, output: &mut Output) -> io::Result<()> {
        let (tone, word) = self.verdict();
        let word = output.paint(tone, word);
        output.line(format_args!("{}: {word} ({})", Visible(&self.image), Visible(self.reason)))?;
        output.line(format_args!("  {}", Visible(self.message)))?;
        for (name, value) in &self.facts {
            let name = output.paint(Tone::Faint, format_args!("{name:<9}"));
            output.line(format_args!("  {name} {}", Visible(value)))?;
        }
        if let Some(tree) = &self.tree {
            output.line(format_args!("  {}", output.paint(Tone::Strong, "required")))?;
            branch(output, tree, 2)?;
        }
        if !self.evidence.is_empty() {
            output.line(format_args!("  {}", output.paint(Tone::Strong, "looked at")))?;
            for finding in &self.evidence {
                tell_finding(output, finding)?;
            }
        }
        if !self.next_step.is_empty() {
            let title = output.paint(Tone::Strong, "next");
            output.line(format_args!("  {title} {}", Visible(self.next_step)))?;
        }
        Ok(())
    }

    fn verdict(&self) -> (Tone, &str) {
        match self.outcome {
            "admitted" if self.enforced => (Tone::Good, "admitted"),
            "admitted" => (Tone::Worrying, "admitted, though policy would refuse it"),
            "denied" => (Tone::Bad, "denied"),
            other => (Tone::Worrying, other),
        }
    }
}

/// One part of the requirement, and below it its parts.
fn branch(output: &mut Output, node: &Node, depth: usize) -> io::Result<()> {
    let (tone, mark) = if node.satisfied { (Tone::Good, "yes") } else { (Tone::Bad, "no ") };
    let mark = output.paint(tone, mark);
    let because = match (&node.by, node.why_not) {
        (Some(by), _) => format!(": {by}"),
        (None, Some(reason)) => format!(": {reason}"),
        (None, None) => String::new(),
    };
    let indent = "  ".repeat(depth);
    output.line(format_args!(
        "{indent}{mark} {}{}",
        Visible(&node.requirement),
        Visible(&because)
    ))?;
    if let Some(detail) = &node.detail {
        output.line(format_args!("{indent}      {}", Visible(detail)))?;
    }
    node.children.iter().try_for_each(|child| branch(output, child, depth + 1))
}

fn tell_finding(output: &mut Output, finding: &Finding) -> io::Result<()> {
    let (tone, word) = match (finding.found, finding.verified) {
        (_, true) => (Tone::Good, "counts"),
        (true, false) => (Tone::Bad, "does not count"),
        (false, false) => (Tone::Faint, "nothing there"),
    };
    let reason = finding.why_not.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let word = output.paint(tone, word);
    output.line(format_args!(
        "    {} [{}]: {word}{reason}",
        Visible(&finding.place),
        finding.format
    ))?;
    let signer = finding.signer.as_ref().map(|signer| format!("signed by {signer}"));
    let detail = (!finding.detail.is_empty()).then(|| finding.detail.clone());
    for line in signer.into_iter().chain(detail) {
        output.line(format_args!("      {}", Visible(&line)))?;
    }
    Ok(())
}
