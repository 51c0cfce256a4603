//! The report as one HTML page: no script, no other file, light and dark, printable.

use std::fmt::{self, Write as _};

use super::{
    chart,
    summary::Summary,
    tables::{self, Table},
};

/// The page.
pub(super) fn page(summary: &Summary) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>Portcullis audit report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Portcullis audit report</h1>\n<p>{} to {}</p>\n",
        summary.since, summary.until
    );
    totals(&mut page, summary);
    page.push_str("<h2>By day</h2>\n");
    if summary.days.is_empty() {
        page.push_str("<p>Nothing happened.</p>\n");
    } else {
        page.push_str(&chart::days(&summary.days));
        page.push_str(
            "<p class=\"key\"><span class=\"served\"></span> pulls \
             <span class=\"refused\"></span> refused or undecided</p>\n",
        );
    }
    if !summary.reasons.is_empty() {
        page.push_str("<h2>Why</h2>\n");
        page.push_str(&chart::reasons(&summary.reasons));
    }
    for table in tables::all(summary) {
        write_table(&mut page, &table);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn totals(page: &mut String, summary: &Summary) {
    let totals = &summary.totals;
    let cards = [
        ("pulls served", totals.pulls),
        ("admitted", totals.admitted),
        ("denied", totals.denied),
        ("undecided", totals.undecided),
        ("not enforced", totals.unenforced),
    ];
    page.push_str("<dl class=\"cards\">\n");
    for (name, number) in cards {
        put(page, format_args!("<div><dt>{name}</dt><dd>{number}</dd></div>\n"));
    }
    page.push_str("</dl>\n");
}

fn write_table(page: &mut String, table: &Table) {
    put(page, format_args!("<h2>{}</h2>\n", table.title));
    if table.rows.is_empty() {
        return put(page, format_args!("<p>{}</p>\n", Escaped(table.empty)));
    }
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for column in table.columns {
        put(page, format_args!("<th>{column}</th>"));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for cell in row {
            let is_number = cell.bytes().all(|byte| byte.is_ascii_digit());
            let class = if is_number { " class=\"number\"" } else { "" };
            put(page, format_args!("<td{class}>{}</td>", Escaped(cell)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    if table.more > 0 {
        let more = table.more;
        put(page, format_args!("<p>and {more} more; <code>--output json</code> has all</p>\n"));
    }
}

fn put(page: &mut String, text: fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String does not fail");
}

/// A text in an element or between the quotes of an attribute (HTML, "Character references").
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                character if character.is_control() => formatter.write_str(" ")?,
                character => formatter.write_char(character)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --served: #2a7f62; --refused: #c2452d; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2rem; font-size: 1.15rem; }
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.cards div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; }
.cards dt { font-size: .85rem; } .cards dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; max-height: 20rem; } svg text { font-size: 12px; fill: currentColor; }
svg line { stroke: currentColor; stroke-opacity: .4; }
rect.served { fill: var(--served); } rect.refused { fill: var(--refused); }
.key span { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin: 0 .2rem 0 .8rem; }
span.served { background: var(--served); } span.refused { background: var(--refused); }
@media print { body { max-width: none; margin: 0; } }
";
