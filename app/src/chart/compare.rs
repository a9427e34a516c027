//! Several releases in one chart, aligned at their start: the present one strong, the earlier ones fainter and dashed otherwise.

use super::{Metric, Point, TOP, axis, escape, grid, inner, lines, precise};
use chrono::{DateTime, Utc};
use model::view::{ComparePoint, CompareRelease};
use std::fmt::Write as _;

/// Seconds between two times on the axis.
const STEPS: [i64; 14] =
    [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 7 * 86_400];
/// A stretch without a figure at least this long is a gap, in seconds; so is anything five times a chart's usual pace.
const GAP: i64 = 90;
/// Letters of a version beside its line: the list over the charts has all of them.
const LABEL: usize = 11;
/// Room to the right of the longest line, for its version.
const ROOM: f64 = 1.16;

/// What a point says of a metric.
pub(crate) fn figure(metric: Metric, p: &ComparePoint) -> Option<f64> {
    match metric {
        Metric::Weight => Some(f64::from(p.weight)),
        Metric::Errors => p.error_percent,
        Metric::Latency => p.p95_ms,
    }
}

/// Seconds that the longest of the releases was measured for.
fn longest(releases: &[CompareRelease]) -> i64 {
    releases.iter().filter_map(|r| r.points.last()).map(|p| p.second).max().unwrap_or(0)
}

/// The inside of an `<svg class="plot">`. `releases` are newest first; versions are escaped here.
pub(crate) fn compare(metric: Metric, releases: &[CompareRelease]) -> String {
    let height = metric.height();
    let length = precise(longest(releases).max(30)) * ROOM;
    let of = |r: &CompareRelease| runs(metric, r, length);
    let all: Vec<Vec<Vec<Point>>> = releases.iter().map(of).collect();
    let highest = all.iter().flatten().flatten().map(|p| p.value).fold(0.0, f64::max);
    let scale = axis::Scale::new(metric, highest, 0.0);
    let mut out = String::with_capacity(8192);
    grid(&mut out, metric, &scale, height);
    times(&mut out, length, TOP + height);
    let mut drawn = String::new();
    // The newest last, on top of the others.
    for (i, of_release) in all.iter().enumerate().rev() {
        for run in of_release {
            // Writing to a string does not fail.
            let _ = write!(drawn, r#"<polyline class="cmp c{i}" points=""#);
            for (x, y) in lines::columns(run, scale.top) {
                let _ = write!(drawn, "{x},{y} ");
            }
            drawn.push_str(r#""/>"#);
        }
    }
    inner(&mut out, height, "", &drawn);
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for (i, (release, of_release)) in releases.iter().zip(&all).enumerate() {
        let Some(end) = of_release.last().and_then(|run| run.last()) else { continue };
        let x = end.x / 10.0;
        let wish = TOP + height * (1.0 - (end.value / scale.top).clamp(0.0, 1.0)) + 4.0;
        let Some(y) = free(x, wish, height, &taken) else { continue };
        taken.push((x, y));
        let mut words: String = release.version.chars().take(LABEL).collect();
        if words.len() < release.version.len() {
            words.push('…');
        }
        let _ =
            write!(out, r#"<text class="cl k{i}" x="{x:.2}%" dx="6" y="{y:.1}">{}</text>"#, escape(&words));
    }
    if all.iter().all(Vec::is_empty) {
        let y = TOP + height / 2.0;
        let _ = write!(
            out,
            r#"<text class="lab" x="50%" y="{y:.1}" text-anchor="middle">Nothing was measured</text>"#
        );
    }
    out
}

/// A place for a label, so near to where it is wished that it is seen whose it is, and on top of no other. The list above names
/// all of them.
fn free(x: f64, wish: f64, height: f64, taken: &[(f64, f64)]) -> Option<f64> {
    let clear = |y: f64| taken.iter().all(|(tx, ty)| (tx - x).abs() > 24.0 || (ty - y).abs() >= 12.0);
    let steps = [0.0, -12.0, 12.0, -24.0, 24.0];
    steps.iter().map(|d| wish + d).find(|y| (TOP..=TOP + height + 4.0).contains(y) && clear(*y))
}

/// What the chart says, for those who do not see it.
pub(crate) fn compare_label(metric: Metric, releases: &[CompareRelease]) -> String {
    let name = match metric {
        Metric::Weight => "Weight",
        Metric::Errors => "Errors",
        Metric::Latency => "Latency p95",
    };
    let most = |r: &CompareRelease| {
        let most = r
            .points
            .iter()
            .filter_map(|p| figure(metric, p))
            .fold(None, |m: Option<f64>, v| Some(m.map_or(v, |m| m.max(v))));
        match most {
            Some(value) => format!("{} at most {}", r.version, metric.words(value)),
            None => format!("{} without figures", r.version),
        }
    };
    let all: Vec<_> = releases.iter().map(most).collect();
    format!("{name} of the new version by release, newest first: {}.", all.join("; "))
}

/// Moments of a table: at most twelve, a round time apart, from the first on.
pub(crate) fn moments(releases: &[CompareRelease]) -> Vec<i64> {
    let length = longest(releases);
    let step = STEPS.into_iter().find(|s| length / s <= 12).unwrap_or(30 * 86_400);
    (1..).map(|i| i * step).take_while(|at| *at < length + step).collect()
}

/// The last figure in the stretch that ends at a moment.
pub(crate) fn at_moment(metric: Metric, r: &CompareRelease, from: i64, to: i64) -> Option<f64> {
    r.points
        .iter()
        .filter(|p| p.second > from && p.second <= to)
        .filter_map(|p| figure(metric, p))
        .next_back()
}

fn runs(metric: Metric, r: &CompareRelease, length: f64) -> Vec<Vec<Point>> {
    let mut steps: Vec<_> = r.points.windows(2).map(|w| w[1].second - w[0].second).collect();
    steps.sort_unstable();
    let gap = steps.get(steps.len() / 2).map_or(GAP, |s| (s * 5).max(GAP));
    let mut out: Vec<Vec<Point>> = Vec::new();
    let mut before: Option<i64> = None;
    for p in &r.points {
        let Some(value) = figure(metric, p).filter(|v| v.is_finite()) else {
            before = None;
            continue;
        };
        let x = precise(p.second) / length * 1000.0;
        let point = Point { at: DateTime::<Utc>::UNIX_EPOCH, x, value };
        match (before, out.last_mut()) {
            (Some(second), Some(run)) if p.second - second <= gap => run.push(point),
            _ => out.push(vec![point]),
        }
        before = Some(p.second);
    }
    out
}

/// Minutes since the start under the plot.
fn times(out: &mut String, length: f64, bottom: f64) {
    let step = STEPS.into_iter().find(|s| length / precise(*s) <= 7.0).unwrap_or(30 * 86_400);
    for at in (0..).map(|i| i * step).take_while(|at| precise(*at) <= length) {
        let x = precise(at) / length * 100.0;
        let _ = write!(
            out,
            r#"<line class="grid" x1="{x:.2}%" x2="{x:.2}%" y1="{bottom}" y2="{}"/>"#,
            bottom + 4.0
        );
        let anchor = if at == 0 { "start" } else { "middle" };
        if x <= 96.0 {
            let _ = write!(
                out,
                r#"<text x="{x:.2}%" y="{}" text-anchor="{anchor}">{}</text>"#,
                bottom + 17.0,
                since(at)
            );
        }
    }
}

/// `0`, `30 s`, `5 min`, `2 h`: since the start.
pub(crate) fn since(second: i64) -> String {
    if second == 0 { "0".to_owned() } else { crate::when::span(chrono::TimeDelta::seconds(second)) }
}
