//! Charts of stable against canary: one pure drawing function, run on the server and again in the browser, so that
//! the page is whole without script and grows without reloading.
//!
//! The lines are drawn by plotters' backend, into a square of 1000 by 1000 that the browser stretches; everything with text
//! stands outside of that square, at percentages, so that letters keep their size at every width. plotters writes
//! plain colours: each series has a marker colour that is replaced by a token of the style sheet afterwards.

mod axis;
#[cfg(feature = "ssr")]
mod compare;
mod lines;
mod marks;
#[cfg(feature = "ssr")]
mod picture;
mod read;
mod strip;
mod weight;

#[cfg(feature = "ssr")]
pub(crate) use compare::{at_moment, compare, compare_label, moments, since};
#[cfg(feature = "ssr")]
pub use picture::{Theme, csv, picture};
pub(crate) use read::{cursor, words};
#[cfg(any(test, feature = "hydrate"))]
pub(crate) use read::{moved, nearest};
pub(crate) use strip::label as strip_label;
pub use strip::{VerdictMark, strip};
pub use weight::{label as weight_label, weight};

use axis::Scale;
use chrono::{DateTime, TimeDelta, Utc};
use lines::Line;
use model::verdict::{Limits, Sample, Side};
use std::fmt::Write as _;

/// What is drawn of each side, and of both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The new version's share of the traffic, in percent.
    Weight,
    /// Share of requests answered with 5xx, in percent.
    Errors,
    /// 95th percentile of latency, in milliseconds.
    Latency,
}

impl Metric {
    fn of(self, side: &Side) -> Option<f64> {
        match self {
            Self::Weight => None,
            Self::Errors => side.error_rate().map(|r| r * 100.0),
            Self::Latency => side.p95_ms,
        }
    }

    /// The figure with its unit: `4.1 %`, `191 ms`.
    pub fn words(self, value: f64) -> String {
        match self {
            Self::Weight => format!("{value:.0}\u{a0}%"),
            Self::Errors if value > 0.0 && value < 0.95 => format!("{value:.2}\u{a0}%"),
            Self::Errors => format!("{value:.1}\u{a0}%"),
            Self::Latency if value >= 10_000.0 => format!("{:.1}\u{a0}s", value / 1000.0),
            Self::Latency => format!("{value:.0}\u{a0}ms"),
        }
    }

    /// The figure at a line's end, where the axis beside it has the unit.
    fn short(self, value: f64) -> String {
        match self {
            Self::Weight | Self::Errors => self.words(value),
            Self::Latency => format!("{value:.0}"),
        }
    }

    fn limit(self, limits: &Limits) -> Option<f64> {
        match self {
            Self::Weight => None,
            Self::Errors => Some(limits.max_error_percent),
            Self::Latency => limits.max_p95_ms,
        }
    }

    /// Height of the plot in pixels, as the style sheet has it.
    fn height(self) -> f64 {
        match self {
            Self::Errors => 144.0,
            Self::Weight | Self::Latency => 88.0,
        }
    }
}

/// The stretch of time that a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// `None` once the release has ended.
    pub now: Option<DateTime<Utc>>,
    /// What will happen by itself, and when.
    pub due: Option<(DateTime<Utc>, String)>,
}

impl Window {
    /// From a little before `from` to a little after `now` (or `ended`): room to the right for labels and for what is
    /// to come.
    pub fn new(
        from: DateTime<Utc>,
        now: DateTime<Utc>,
        ended: Option<DateTime<Utc>>,
        due: Option<(DateTime<Utc>, String)>,
    ) -> Self {
        let end = ended.unwrap_or(now).max(from);
        let elapsed = (end - from).max(TimeDelta::seconds(45));
        let lead = (elapsed / 20).max(TimeDelta::seconds(5));
        if ended.is_some() {
            return Self { from: from - lead, to: from + elapsed + lead * 2, now: None, due: None };
        }
        let near = elapsed.max(TimeDelta::minutes(5));
        let due = due.filter(|(at, _)| *at > end && *at <= end + near);
        let mut to = from + elapsed + elapsed / 3;
        if let Some((at, _)) = &due {
            to = to.max(*at + (*at - from) / 12);
        }
        Self { from: from - lead, to, now: Some(end), due }
    }

    /// Place of a moment, in percent of the width.
    pub(crate) fn x(&self, at: DateTime<Utc>) -> f64 {
        let ms = |d: TimeDelta| precise(d.num_milliseconds());
        (ms(at - self.from) / ms(self.to - self.from).max(1.0) * 100.0).clamp(0.0, 100.0)
    }

    /// Place of a moment, in thousandths.
    fn x1000(&self, at: DateTime<Utc>) -> f64 {
        self.x(at) * 10.0
    }
}

/// Milliseconds and counts here are far below 2^53.
#[expect(clippy::cast_precision_loss)]
fn precise(n: i64) -> f64 {
    n as f64
}

/// Top of the plot in pixels; above it stand the marks' labels.
const TOP: f64 = 18.0;

/// A stretch without samples at least this long is a gap; so is anything three times the usual pace.
const GAP: TimeDelta = TimeDelta::seconds(20);

/// The inside of an `<svg class="plot">`: bands, grid, marks, limit, both lines, the figures at their ends.
///
/// The canary's line begins at `limits.min_requests` requests in a step. `marks` are the weights as confirmed, oldest
/// first. Labels in `marks` and `window` are escaped here.
pub fn svg(
    metric: Metric,
    samples: &[Sample],
    marks: &[(DateTime<Utc>, String)],
    limits: &Limits,
    window: &Window,
) -> String {
    let height = metric.height();
    let (stable, canary, scale) = lines_of(metric, samples, limits, window);
    let limit = metric.limit(limits);
    let y = |value: f64| TOP + height - height * (value / scale.top).clamp(0.0, 1.0);

    let mut out = String::with_capacity(8192);
    marks::bands(&mut out, marks, window, height);
    grid(&mut out, metric, &scale, height);
    axis::times(&mut out, window, TOP + height);
    marks::uprights(&mut out, metric, marks, window, height);
    if let Some(limit) = limit {
        let at = y(limit);
        let _ = write!(
            out,
            r#"<line class="limit" x1="0" x2="100%" y1="{at:.1}" y2="{at:.1}"/><text class="lab" x="0" y="{:.1}">limit {}</text>"#,
            at - 5.0,
            metric.words(limit).replace(".0\u{a0}", "\u{a0}")
        );
    }
    gaps(&mut out, &stable, window, height);
    let sure = match metric {
        Metric::Weight | Metric::Errors => lines::sure(&canary, scale.top, |p| {
            let (low, high) = sample_at(samples, p.at)?.canary_recent.error_range()?;
            Some((low * 100.0, high * 100.0))
        }),
        Metric::Latency => lines::sure(&canary, scale.top, |p| sample_at(samples, p.at)?.p95_range),
    };
    let allowed = allowed(metric, limits, &stable);
    if let Some(p) = allowed.first().and_then(|run| run.first())
        && limit.is_none_or(|limit| (y(limit) - y(p.value)).abs() > 14.0)
    {
        let _ = write!(
            out,
            r#"<text class="lab" x="{:.2}%" y="{:.1}">limit {} × stable</text>"#,
            p.x / 10.0,
            y(p.value) - 5.0,
            limits.max_p95_ratio
        );
    }
    let drawn =
        lines::draw(&[(Line::Limit, &allowed), (Line::Stable, &stable), (Line::Canary, &canary)], scale.top);
    inner(&mut out, height, &sure, &drawn);
    ends(&mut out, metric, &stable, &canary, &y);
    notes(&mut out, samples, &canary, limits, height);
    out
}

/// The stretched square, with what lines are drawn in it.
fn inner(out: &mut String, height: f64, behind: &str, lines: &str) {
    let _ = write!(
        out,
        r#"<svg x="0" y="{TOP}" width="100%" height="{height}" viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible">{behind}{lines}</svg>"#
    );
}

fn sample_at(samples: &[Sample], at: DateTime<Utc>) -> Option<&Sample> {
    samples.get(samples.partition_point(|s| s.at < at)).filter(|s| s.at == at)
}

/// What the canary may take where it is held against stable: the line moves with stable's.
fn allowed(metric: Metric, limits: &Limits, stable: &[Vec<Point>]) -> Vec<Vec<Point>> {
    if metric != Metric::Latency {
        return Vec::new();
    }
    let raised = |p: &Point| Point { value: p.value * limits.max_p95_ratio, ..*p };
    stable.iter().map(|run| run.iter().map(raised).collect()).collect()
}

/// Both lines, and the scale that has room for them and the limits.
fn lines_of(
    metric: Metric,
    samples: &[Sample],
    limits: &Limits,
    window: &Window,
) -> (Vec<Vec<Point>>, Vec<Vec<Point>>, Scale) {
    let stable = points(samples, window, |s| metric.of(&s.stable_recent));
    let canary = points(samples, window, |s| {
        let enough = s.canary.requests >= f64::from(limits.min_requests);
        if enough { metric.of(&s.canary_recent) } else { None }
    });
    let highest = stable.iter().chain(&canary).flatten().map(|p| p.value).fold(0.0, f64::max);
    let moving = allowed(metric, limits, &stable).iter().flatten().map(|p| p.value).fold(0.0, f64::max);
    let scale = Scale::new(metric, highest, metric.limit(limits).unwrap_or(0.0).max(moving));
    (stable, canary, scale)
}

/// What the chart says, for those who do not see it.
pub fn label(metric: Metric, samples: &[Sample], limits: &Limits) -> String {
    let name = match metric {
        Metric::Weight => "Weight",
        Metric::Errors => "Errors",
        Metric::Latency => "Latency p95",
    };
    let Some(last) = samples.last() else { return format!("{name}: no samples yet.") };
    let say = |v: Option<f64>| v.map_or_else(|| "no data".to_owned(), |v| metric.words(v));
    let enough = last.canary.requests >= f64::from(limits.min_requests);
    let canary = if enough { say(metric.of(&last.canary_recent)) } else { "too few requests yet".to_owned() };
    let limit = metric.limit(limits).map(|l| format!(" Limit {}.", metric.words(l))).unwrap_or_default();
    format!("{name} now: stable {}, canary {canary}.{limit}", say(metric.of(&last.stable_recent)))
}

/// A value at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    at: DateTime<Utc>,
    /// Thousandths of the width.
    x: f64,
    value: f64,
}

/// Runs of points; a gap separates two runs.
fn points(samples: &[Sample], window: &Window, value: impl Fn(&Sample) -> Option<f64>) -> Vec<Vec<Point>> {
    let pace = pace(samples);
    let mut runs: Vec<Vec<Point>> = Vec::new();
    let mut open = false;
    let mut before: Option<DateTime<Utc>> = None;
    for s in samples.iter().filter(|s| s.at >= window.from && s.at <= window.to) {
        if before.is_some_and(|b| s.at - b > pace) {
            open = false;
        }
        before = Some(s.at);
        let Some(value) = value(s).filter(|v| v.is_finite() && s.error.is_none()) else {
            open = false;
            continue;
        };
        let point = Point { at: s.at, x: window.x1000(s.at), value };
        match runs.last_mut() {
            Some(run) if open => run.push(point),
            _ => runs.push(vec![point]),
        }
        open = true;
    }
    runs
}

/// Longest distance between two samples that is not a gap.
fn pace(samples: &[Sample]) -> TimeDelta {
    let mut steps: Vec<_> = samples.windows(2).map(|w| w[1].at - w[0].at).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).map_or(GAP, |middle| (*middle * 3).max(GAP))
}

fn grid(out: &mut String, metric: Metric, scale: &Scale, height: f64) {
    for value in scale.ticks() {
        let y = TOP + height - height * (value / scale.top);
        let _ = write!(out, r#"<line class="grid" x1="0" x2="100%" y1="{y:.1}" y2="{y:.1}"/>"#);
        if value > 0.0 {
            let words = metric.words(value).replace(".0\u{a0}", "\u{a0}");
            let _ = write!(out, r#"<text x="100%" text-anchor="end" y="{:.1}">{words}</text>"#, y + 13.0);
        }
    }
}

/// A missing stretch is hatched and named, never bridged.
fn gaps(out: &mut String, stable: &[Vec<Point>], window: &Window, height: f64) {
    for pair in stable.windows(2) {
        let (Some(a), Some(b)) = (pair[0].last(), pair[1].first()) else { continue };
        let (from, to) = (window.x(a.at), window.x(b.at));
        let _ = write!(
            out,
            r#"<svg x="{from:.2}%" y="{TOP}" width="{:.2}%" height="{height}"><rect class="shut" width="100%" height="{height}"/></svg>"#,
            to - from
        );
        if to - from > 15.0 {
            let long = model::Span(u64::try_from((b.at - a.at).num_seconds()).unwrap_or(0)).clock();
            let _ = write!(
                out,
                r#"<text class="lab" x="{:.2}%" y="{:.1}" text-anchor="middle">no data {long}</text>"#,
                f64::midpoint(from, to),
                TOP + 14.0
            );
        }
    }
}

/// The last figure of each line, beside its end; never one on top of the other.
fn ends(
    out: &mut String,
    metric: Metric,
    stable: &[Vec<Point>],
    canary: &[Vec<Point>],
    y: &dyn Fn(f64) -> f64,
) {
    let last = |runs: &[Vec<Point>]| runs.last().and_then(|r| r.last()).copied();
    let (s, c) = (last(stable), last(canary));
    let mut places = [s.map(|p| y(p.value)), c.map(|p| y(p.value))];
    if let [Some(a), Some(b)] = &mut places
        && (*a - *b).abs() < 14.0
    {
        let middle = f64::midpoint(*a, *b);
        let stable_below = *a >= *b;
        *a = if stable_below { middle + 7.0 } else { middle - 7.0 };
        *b = if stable_below { middle - 7.0 } else { middle + 7.0 };
    }
    for (class, point, place) in [("lc", c, places[1]), ("ls", s, places[0])] {
        if let (Some(p), Some(place)) = (point, place) {
            let x = p.x / 10.0;
            let (dx, anchor) = if x > 88.0 { (-7, "end") } else { (7, "start") };
            let _ = write!(
                out,
                r#"<text class="{class}" x="{x:.2}%" dx="{dx}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                place + 4.0,
                metric.short(p.value)
            );
        }
    }
}

/// Why there is nothing, where there is nothing.
fn notes(out: &mut String, samples: &[Sample], canary: &[Vec<Point>], limits: &Limits, height: f64) {
    let words = if samples.is_empty() {
        "No samples yet: the first comes when the new version takes traffic".to_owned()
    } else if let Some(error) = samples.last().and_then(|s| s.error.as_deref()) {
        format!("No metrics: {}", error.chars().take(80).collect::<String>())
    } else if canary.is_empty() {
        format!("The new version's line begins at {} requests", limits.min_requests)
    } else {
        return;
    };
    let _ = write!(
        out,
        r#"<text class="lab" x="50%" y="{:.1}" text-anchor="middle">{}</text>"#,
        TOP + height / 2.0,
        escape(&words)
    );
}

/// Text as it may stand inside SVG.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
