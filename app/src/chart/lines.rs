//! The two lines, by plotters, and how sure the canary's is.

use super::Point;
use model::verdict::Sample;
use plotters::prelude::*;
use std::fmt::Write as _;

/// Marker colours: plotters writes them, [`draw`] replaces them. No other part of the drawing may use them.
const STABLE: RGBColor = RGBColor(0, 0, 0xA1);
const CANARY: RGBColor = RGBColor(0, 0, 0xA2);
const TOKENS: [(&str, &str); 2] = [
    (r##"stroke="#0000A1""##, r#"class="stable" stroke="var(--series-stable)""#),
    (r##"stroke="#0000A2""##, r#"class="canary" stroke="var(--series-canary)""#),
];

const SIDE: u32 = 1000;

/// Both series in a square of 1000 by 1000, without text and without plain colours.
pub(super) fn draw(stable: &[Vec<Point>], canary: &[Vec<Point>], top: f64) -> String {
    let mut svg = String::new();
    // Drawing into a string fails only when a formatter does: the lines are then missing, the page is not.
    let drawn = try_draw(&mut svg, stable, canary, top).is_ok();
    let inside =
        svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>")).map(|(inside, _)| inside);
    match inside {
        Some(inside) if drawn => {
            TOKENS.iter().fold(inside.to_owned(), |text, (marker, token)| text.replace(marker, token))
        }
        _ => String::new(),
    }
}

/// Where the canary's true error rate is with 95 %, around its line: wide where few requests stand behind a figure.
pub(super) fn sure(canary: &[Vec<Point>], samples: &[Sample], top: f64) -> String {
    let range = |p: &Point| {
        let at = samples.partition_point(|s| s.at < p.at);
        samples.get(at).filter(|s| s.at == p.at).and_then(|s| s.canary_recent.error_range())
    };
    let y = |rate: f64| f64::from(SIDE) * (1.0 - (rate * 100.0 / top).clamp(0.0, 1.0));
    let mut out = String::new();
    for run in canary {
        let ranges: Vec<_> = run.iter().filter_map(|p| range(p).map(|r| (p.x, r))).collect();
        if ranges.len() < 2 {
            continue;
        }
        out.push_str(r#"<polygon class="sure" points=""#);
        let above = ranges.iter().map(|(x, (_, high))| (x, y(*high)));
        let below = ranges.iter().rev().map(|(x, (low, _))| (x, y(*low)));
        for (x, y) in above.chain(below) {
            // Writing to a string does not fail.
            let _ = write!(out, "{x:.1},{y:.1} ");
        }
        out.push_str(r#""/>"#);
    }
    out
}

fn try_draw(
    svg: &mut String,
    stable: &[Vec<Point>],
    canary: &[Vec<Point>],
    top: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, (SIDE, SIDE)).into_drawing_area();
    let mut chart = ChartBuilder::on(&area).build_cartesian_2d(0.0..f64::from(SIDE), 0.0..top)?;
    for (runs, color) in [(stable, STABLE), (canary, CANARY)] {
        for run in runs {
            let mut points: Vec<(f64, f64)> = run.iter().map(|p| (p.x, p.value.min(top))).collect();
            // A single point has no length: give it some, so that it shows.
            if let [(x, y)] = points[..] {
                points = vec![(x - 2.0, y), (x + 2.0, y)];
            }
            chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        }
    }
    area.present()?;
    drop(chart);
    Ok(())
}
