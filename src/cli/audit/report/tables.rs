//! The tables of a report, the same ones in every form that people read.

use std::collections::BTreeMap;

use super::summary::{Summary, Tally};
use crate::oci::Digest;

/// A table and what it is about.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) title: &'static str,
    /// What it says when there is nothing in it.
    pub(super) empty: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
    /// Rows that are not shown.
    pub(super) more: usize,
}

/// All of them, the most urgent first.
pub(super) fn all(summary: &Summary) -> Vec<Table> {
    vec![
        distrusted(summary),
        expiring(summary),
        refused(summary),
        moved(summary),
        tallies("By repository", "Nothing was asked for.", &summary.repositories),
        tallies("By client", "Nobody asked for anything.", &summary.clients),
        tallies("By job", "No client named a job (`X-Portcullis-Job`).", &summary.jobs),
        tallies("By signer", "No signature counted.", &summary.signers),
    ]
}

fn distrusted(summary: &Summary) -> Table {
    let rows = summary.distrusted.iter().map(|image| {
        let digest = image.digest.as_ref().map(short).unwrap_or_default();
        vec![image.image.clone(), digest, image.pulls.to_string(), image.why.clone()]
    });
    Table::of(
        "Pulled, and no longer trusted",
        "Everything that was pulled would still be trusted by who signed it.",
        &["image", "digest", "pulls", "why"],
        rows.collect(),
    )
}

fn expiring(summary: &Summary) -> Table {
    let rows = summary.expiring.iter().map(|expiring| {
        let state = if expiring.ended { "ended" } else { "ends" };
        vec![expiring.what.clone(), format!("{state} {}", day(&expiring.until.to_string()))]
    });
    Table::of(
        "Trust that ends",
        "No key and no exception ends within 90 days.",
        &["what", "when"],
        rows.collect(),
    )
}

fn refused(summary: &Summary) -> Table {
    let mut images: Vec<_> = summary.refused.iter().collect();
    images.sort_by_key(|(_, refused)| std::cmp::Reverse(refused.count));
    let rows = images.into_iter().map(|(image, refused)| {
        vec![
            image.clone(),
            refused.reason.clone(),
            refused.count.to_string(),
            refused.clients.len().to_string(),
            refused.next_step.clone(),
        ]
    });
    Table::of(
        "Refused",
        "Nothing was refused.",
        &["image", "reason", "times", "clients", "next step"],
        rows.collect(),
    )
}

fn moved(summary: &Summary) -> Table {
    let rows = summary.moved.iter().map(|(tag, meanings)| {
        let meanings: Vec<_> = meanings
            .iter()
            .map(|meaning| {
                format!("{} since {}", short(&meaning.digest), day(&meaning.since.to_string()))
            })
            .collect();
        vec![tag.clone(), meanings.join(", before ")]
    });
    Table::of("Tags that moved", "No tag moved.", &["tag", "meant"], rows.collect())
}

fn tallies(title: &'static str, empty: &'static str, tallies: &BTreeMap<String, Tally>) -> Table {
    let mut sorted: Vec<_> = tallies.iter().collect();
    sorted.sort_by_key(|(_, tally)| std::cmp::Reverse((tally.refused(), tally.pulls)));
    let rows = sorted.into_iter().map(|(name, tally)| {
        let numbers = [tally.pulls, tally.admitted, tally.denied, tally.undecided];
        std::iter::once(name.clone()).chain(numbers.map(|number| number.to_string())).collect()
    });
    Table::of(title, empty, &["", "pulls", "admitted", "denied", "undecided"], rows.collect())
}

impl Table {
    fn of(
        title: &'static str,
        empty: &'static str,
        columns: &'static [&'static str],
        mut rows: Vec<Vec<String>>,
    ) -> Self {
        let more = rows.len().saturating_sub(MAX_ROWS);
        rows.truncate(MAX_ROWS);
        Self { title, empty, columns, rows, more }
    }
}

/// A digest as people tell two apart.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(SHORT_DIGEST).collect()
}

fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or(time)
}

/// Rows that a person reads; `--output json` has all.
const MAX_ROWS: usize = 50;
/// `sha256:` and twelve digits.
const SHORT_DIGEST: usize = 19;
