//! The lines, by plotters, and how sure the canary's is.

use super::Point;
use plotters::prelude::{Color as _, DrawingBackend as _, RGBColor, SVGBackend};
use std::fmt::Write as _;

/// What a line is of. plotters writes plain colours: each has a marker that [`draw`] replaces by a token of the style sheet. No
/// other part of the drawing may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Limit,
    Stable,
    Canary,
}

const TOKENS: [(Line, &str, &str); 3] = [
    (Line::Limit, r##"stroke="#0000A0""##, r#"class="limit" stroke="var(--series-threshold)""#),
    (Line::Stable, r##"stroke="#0000A1""##, r#"class="stable" stroke="var(--series-stable)""#),
    (Line::Canary, r##"stroke="#0000A2""##, r#"class="canary" stroke="var(--series-canary)""#),
];

const SIDE: u32 = 1000;

/// The lines in a square of 1000 by 1000, without text and without plain colours.
pub(super) fn draw(lines: &[(Line, &[Vec<Point>])], top: f64) -> String {
    let mut svg = String::new();
    // Drawing into a string fails only when a formatter does: the lines are then missing, the page is not.
    let drawn = try_draw(&mut svg, lines, top).is_ok();
    let inside =
        svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>")).map(|(inside, _)| inside);
    match inside {
        Some(inside) if drawn => {
            TOKENS.iter().fold(inside.to_owned(), |text, (_, marker, token)| text.replace(marker, token))
        }
        _ => String::new(),
    }
}

fn try_draw(
    svg: &mut String,
    lines: &[(Line, &[Vec<Point>])],
    top: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut area = SVGBackend::with_string(svg, (SIDE, SIDE));
    for (line, runs) in lines {
        let style = RGBColor(0, 0, 0xA0 + *line as u8).stroke_width(2);
        for run in runs.iter().filter(|run| !run.is_empty()) {
            area.draw_path(columns(run, top), &style)?;
        }
    }
    area.present()?;
    Ok(())
}

/// A run as places in the square. Of the points in one column what the column can show: the first, the lowest, the highest, the
/// last.
pub(super) fn columns(run: &[Point], top: f64) -> Vec<(i32, i32)> {
    let mut out: Vec<(i32, i32)> = Vec::new();
    // From where on the places of the last column stand in `out`.
    let mut column = 0;
    for p in run {
        let place = (whole(p.x), whole(upright(p.value, top)));
        match out.last() {
            Some((x, _)) if *x == place.0 => {
                out.push(place);
                if out.len() - column > 4 {
                    thin(&mut out, column);
                }
            }
            _ => {
                column = out.len();
                out.push(place);
            }
        }
    }
    // A single point has no length: give it some, so that it shows.
    if let [(x, y)] = out[..] {
        out = vec![(x - 2, y), (x + 2, y)];
    }
    out
}

/// Five places of one column become four.
fn thin(out: &mut Vec<(i32, i32)>, column: usize) {
    let (first, last) = (out[column], out[out.len() - 1]);
    let ys = || out[column..].iter().map(|(_, y)| *y);
    let (low, high) = (ys().min().unwrap_or(first.1), ys().max().unwrap_or(first.1));
    out.truncate(column);
    out.extend([first, (first.0, low), (first.0, high), last]);
}

/// Place of a value in the square, from above.
fn upright(value: f64, top: f64) -> f64 {
    f64::from(SIDE) * (1.0 - (value / top).clamp(0.0, 1.0))
}

/// Places are in the square, or a few thousandths beside it.
#[expect(clippy::cast_possible_truncation)]
fn whole(place: f64) -> i32 {
    place.round() as i32
}

/// Where the canary's true figure is with 95 %, around its line: wide where few requests stand behind one.
pub(super) fn sure(canary: &[Vec<Point>], top: f64, range: impl Fn(&Point) -> Option<(f64, f64)>) -> String {
    let mut out = String::new();
    for run in canary {
        let mut ranges: Vec<(i32, (f64, f64))> = Vec::with_capacity(run.len());
        for p in run {
            let Some(range) = range(p) else { continue };
            let x = whole(p.x);
            // One for a column is all that can be seen.
            if ranges.last().is_none_or(|(last, _)| *last < x) {
                ranges.push((x, range));
            }
        }
        if ranges.len() < 2 {
            continue;
        }
        out.push_str(r#"<polygon class="sure" points=""#);
        let above = ranges.iter().map(|(x, (_, high))| (*x, whole(upright(*high, top))));
        let below = ranges.iter().rev().map(|(x, (low, _))| (*x, whole(upright(*low, top))));
        for (x, y) in above.chain(below) {
            // Writing to a string does not fail.
            let _ = write!(out, "{x},{y} ");
        }
        out.push_str(r#""/>"#);
    }
    out
}
