//! The ratios as a picture: one group of bars for each row, one bar for each server.

use std::fmt::Write as _;

use crate::results::{Results, number};
use crate::rows::{Compared, Row};

/// An SVG of every row that compares servers with each other.
pub(crate) fn draw(results: &Results, servers: &[String]) -> String {
    let rows: Vec<&Row> =
        results.rows().filter(|row| matches!(row.compared, Compared::Over { .. })).collect();
    let mut body = String::new();
    let mut top = TOP;
    for row in rows {
        top = draw_row(&mut body, top, row, results, servers);
    }
    let mut legend = String::new();
    for (index, server) in servers.iter().enumerate() {
        let x = LEFT + 130 * index;
        let _ = write!(
            legend,
            "<rect x='{x}' y='12' width='12' height='12' fill='{}'/><text x='{}' y='22'>{}</text>",
            colour(index),
            x + 17,
            escape(server)
        );
    }
    let (width, height) = (LEFT + WIDTH + 90, top + 10);
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' font-family='sans-serif' font-size='12'>\
         <rect width='100%' height='100%' fill='white'/>{legend}{body}</svg>\n"
    )
}

fn draw_row(
    body: &mut String,
    top: usize,
    row: &Row,
    results: &Results,
    servers: &[String],
) -> usize {
    let _ = write!(
        body,
        "<text x='{}' y='{}' text-anchor='end'>{}</text>",
        LEFT - 8,
        top + 11,
        escape(row.title)
    );
    let start = top;
    let mut top = top;
    for (index, server) in servers.iter().enumerate() {
        let Some(ratio) = results.compared(row, server) else { continue };
        let _ = write!(
            body,
            "<rect x='{LEFT}' y='{top}' width='{:.0}' height='{}' fill='{}'/><text x='{:.0}' y='{}' font-size='10'>{}</text>",
            scaled(ratio),
            THICK - 2,
            colour(index),
            LEFT as f64 + scaled(ratio) + 4.0,
            top + 10,
            number(ratio)
        );
        top += THICK;
    }
    let x = LEFT as f64 + scaled(row.bar.value());
    let _ = write!(
        body,
        "<line x1='{x:.0}' x2='{x:.0}' y1='{}' y2='{}' stroke='black' stroke-dasharray='3 2'/>",
        start - 3,
        top + 1
    );
    top + GAP
}

/// Ratios beyond [`MOST`] end at the edge; their number is written beside them all the same.
fn scaled(ratio: f64) -> f64 {
    ratio.min(MOST) / MOST * WIDTH as f64
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const COLOURS: [&str; 6] = ["#1b6ca8", "#5a9e4b", "#c98a1b", "#a34747", "#777777", "#6b4fa0"];
const LEFT: usize = 370;
const WIDTH: usize = 480;
const TOP: usize = 42;
const THICK: usize = 13;
const GAP: usize = 12;
const MOST: f64 = 3.0;
