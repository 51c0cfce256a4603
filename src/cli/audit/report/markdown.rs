//! The report as Markdown, which reads as it is in a terminal of 80 columns.

use std::fmt::Write as _;

use super::{
    summary::Summary,
    tables::{self, Table},
};

/// The page.
pub(super) fn page(summary: &Summary) -> String {
    let totals = &summary.totals;
    let mut page = format!(
        "# Portcullis audit report\n\n{} to {}\n\n\
         - {} pulls served\n- {} decisions admitted, {} of them by rules that do not enforce\n\
         - {} denied, {} undecided\n",
        summary.since,
        summary.until,
        totals.pulls,
        totals.admitted,
        totals.unenforced,
        totals.denied,
        totals.undecided
    );
    if !summary.reasons.is_empty() {
        page.push_str("\n## Why\n\n");
        for (reason, count) in &summary.reasons {
            line(&mut page, format_args!("- `{reason}`: {count}"));
        }
    }
    for table in tables::all(summary) {
        write_table(&mut page, &table);
    }
    page
}

fn write_table(page: &mut String, table: &Table) {
    line(page, format_args!("\n## {}\n", table.title));
    if table.rows.is_empty() {
        return line(page, table.empty);
    }
    line(page, format_args!("| {} |", table.columns.join(" | ")));
    line(page, format_args!("|{}", " --- |".repeat(table.columns.len())));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(|cell| escaped(cell)).collect();
        line(page, format_args!("| {} |", cells.join(" | ")));
    }
    if table.more > 0 {
        line(page, format_args!("\nand {} more; `--output json` has all", table.more));
    }
}

/// A text inside of a cell: it ends neither the cell nor the line, and begins no tag or link.
fn escaped(cell: &str) -> String {
    let mut safe = String::new();
    for character in cell.chars() {
        match character {
            '|' | '<' | '[' | '\\' => {
                safe.push('\\');
                safe.push(character);
            }
            character if character.is_control() => safe.push(' '),
            character => safe.push(character),
        }
    }
    safe
}

fn line(page: &mut String, text: impl std::fmt::Display) {
    writeln!(page, "{text}").expect("writing to a String does not fail");
}
