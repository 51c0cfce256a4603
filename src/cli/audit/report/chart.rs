//! Charts as SVG inside of the page: they need no script, and a reader for the blind finds the
//! numbers in their titles.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{html::Escaped, summary::Tally};

/// A bar for each day: what was pulled, and what was refused below it.
pub(super) fn days(days: &BTreeMap<String, Tally>) -> String {
    let most = days.values().map(|day| day.pulls.max(day.refused())).max().unwrap_or(0).max(1);
    let count = u64::try_from(days.len()).unwrap_or(u64::MAX).max(1);
    let step = (WIDTH / count).clamp(MIN_STEP, MAX_STEP);
    let width = step * count;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"Pulls and refusals by day\">\n",
        2 * HEIGHT
    );
    for (number, (day, tally)) in days.iter().enumerate() {
        let x = step * u64::try_from(number).unwrap_or_default();
        let (pulls, refused) = (scaled(tally.pulls, most), scaled(tally.refused(), most));
        write!(
            svg,
            "<g><title>{day}: {} pulls, {} refused</title>\
             <rect class=\"served\" x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{pulls}\"/>\
             <rect class=\"refused\" x=\"{x}\" y=\"{HEIGHT}\" width=\"{}\" height=\"{refused}\"/></g>\n",
            tally.pulls,
            tally.refused(),
            HEIGHT - pulls,
            step - 1,
            step - 1,
            day = Escaped(day),
        )
        .expect("writing to a String does not fail");
    }
    write!(svg, "<line x1=\"0\" y1=\"{HEIGHT}\" x2=\"{width}\" y2=\"{HEIGHT}\"/>\n</svg>\n")
        .expect("writing to a String does not fail");
    svg
}

/// A bar for each reason.
pub(super) fn reasons(reasons: &BTreeMap<String, u64>) -> String {
    let most = reasons.values().copied().max().unwrap_or(0).max(1);
    let mut sorted: Vec<_> = reasons.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let height = ROW * u64::try_from(sorted.len()).unwrap_or_default();
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Refusals by reason\">\n"
    );
    for (number, (reason, count)) in sorted.into_iter().enumerate() {
        let y = ROW * u64::try_from(number).unwrap_or_default();
        let length = (count.saturating_mul(WIDTH - LABEL - NUMBER) / most).max(1);
        write!(
            svg,
            "<text x=\"0\" y=\"{}\">{}</text>\
             <rect class=\"refused\" x=\"{LABEL}\" y=\"{}\" width=\"{length}\" height=\"12\"/>\
             <text x=\"{}\" y=\"{}\">{count}</text>\n",
            y + 14,
            Escaped(reason),
            y + 4,
            LABEL + length + 6,
            y + 14,
        )
        .expect("writing to a String does not fail");
    }
    svg.push_str("</svg>\n");
    svg
}

/// What is there is seen, however little it is.
fn scaled(count: u64, most: u64) -> u64 {
    if count == 0 { 0 } else { (count.saturating_mul(HEIGHT - 2) / most).max(1) }
}

/// Units of the drawing, which the page stretches to its own width.
const WIDTH: u64 = 720;
/// Of each half of the chart of days.
const HEIGHT: u64 = 70;
const MIN_STEP: u64 = 3;
const MAX_STEP: u64 = 40;
const ROW: u64 = 20;
/// Where bars begin behind their names.
const LABEL: u64 = 190;
/// Room for the number behind the longest bar.
const NUMBER: u64 = 80;
