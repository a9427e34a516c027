//! The new version's share of the traffic over time, under the most that the plan allowed at each moment.

use super::lines::{self, Line};
use super::{Metric, Point, TOP, Window, axis, escape, grid, inner, marks};
use chrono::{DateTime, Utc};
use model::view::WeightPoint;
use std::fmt::Write as _;

const METRIC: Metric = Metric::Weight;

/// The inside of an `<svg class="plot low">`. `weights` are oldest first, each holds until the next; labels are escaped here.
pub fn weight(weights: &[WeightPoint], marks: &[(DateTime<Utc>, String)], window: &Window) -> String {
    let height = METRIC.height();
    let scale = axis::Scale::new(METRIC, 0.0, 0.0);
    let mut out = String::with_capacity(4096);
    marks::bands(&mut out, marks, window, height);
    grid(&mut out, METRIC, &scale, height);
    axis::times(&mut out, window, TOP + height);
    marks::uprights(&mut out, METRIC, marks, window, height);
    let run = |of: fn(&WeightPoint) -> u8| [steps(weights, window, of)];
    let (weight, ceiling) = (run(|w| w.weight), run(|w| w.ceiling));
    let under = lines::columns(&weight[0], scale.top);
    let mut area = String::new();
    if let (Some(first), Some(last)) = (under.first(), under.last()) {
        // Writing to a string does not fail.
        let _ = write!(area, r#"<polygon class="sure" points="{},1000 "#, first.0);
        for (x, y) in &under {
            let _ = write!(area, "{x},{y} ");
        }
        let _ = write!(area, r#"{},1000"/>"#, last.0);
    }
    inner(
        &mut out,
        height,
        &area,
        &lines::draw(&[(Line::Canary, &weight), (Line::Limit, &ceiling)], scale.top),
    );
    match (weights.last(), weight[0].last()) {
        (Some(now), Some(end)) => {
            let x = end.x / 10.0;
            let (dx, anchor) = if x > 88.0 { (-7, "end") } else { (7, "start") };
            let y = (TOP + height * (1.0 - end.value / scale.top) + 4.0).max(TOP + 10.0);
            let words = METRIC.words(f64::from(now.weight));
            let _ = write!(
                out,
                r#"<text class="lc" x="{x:.2}%" dx="{dx}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
                escape(&words)
            );
        }
        _ => {
            let y = TOP + height / 2.0;
            let _ = write!(
                out,
                r#"<text class="lab" x="50%" y="{y:.1}" text-anchor="middle">No traffic on the new version yet</text>"#
            );
        }
    }
    out
}

/// What the chart says, for those who do not see it.
pub fn label(weights: &[WeightPoint]) -> String {
    match weights.last() {
        None => "Weight: no traffic on the new version yet.".to_owned(),
        Some(now) => {
            let most = weights.iter().map(|w| w.weight).max().unwrap_or(0);
            format!(
                "Weight now: {}\u{a0}% of traffic, at most {}\u{a0}% allowed. Highest so far: {most}\u{a0}%.",
                now.weight, now.ceiling
            )
        }
    }
}

/// A line with corners: each value holds until the next, the last one until now.
fn steps(weights: &[WeightPoint], window: &Window, of: fn(&WeightPoint) -> u8) -> Vec<Point> {
    let point = |at: DateTime<Utc>, value: u8| Point { at, x: window.x1000(at), value: f64::from(value) };
    let mut out = Vec::with_capacity(weights.len() * 2 + 1);
    let mut before = None;
    for w in weights {
        out.extend(before.map(|value| point(w.at, value)));
        out.push(point(w.at, of(w)));
        before = Some(of(w));
    }
    let end = window.now.or_else(|| weights.last().map(|w| w.at)).filter(|end| *end <= window.to);
    if let (Some(end), Some(value)) = (end, before) {
        out.push(point(end, value));
    }
    out
}
