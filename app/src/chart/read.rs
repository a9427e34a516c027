//! One sample of the charts, read out: by pointer, or by keys.

use super::{Metric, TOP, VerdictMark, Window, lines_of};
use chrono::{DateTime, TimeDelta, Utc};
use model::verdict::{Limits, Sample, Side};
use std::fmt::Write as _;

/// Samples that PageUp and PageDown go past.
#[cfg(any(test, feature = "hydrate"))]
const PAGE: usize = 10;

/// The sample nearest to a place, in percent of the width.
#[cfg(any(test, feature = "hydrate"))]
pub(crate) fn nearest(samples: &[Sample], window: &Window, percent: f64) -> Option<DateTime<Utc>> {
    let away = |s: &&Sample| (window.x(s.at) - percent).abs();
    shown(samples, window).min_by(|a, b| away(a).total_cmp(&away(b))).map(|s| s.at)
}

/// Where a key leads from the sample read now; nowhere after Escape. `None`: not a key of ours.
#[cfg(any(test, feature = "hydrate"))]
pub(crate) fn moved(
    samples: &[Sample],
    window: &Window,
    at: Option<DateTime<Utc>>,
    key: &str,
) -> Option<Option<DateTime<Utc>>> {
    let all: Vec<_> = shown(samples, window).map(|s| s.at).collect();
    let last = all.len().checked_sub(1)?;
    // Nothing is read yet: begin at the newest.
    let here = at.map_or(last, |at| all.partition_point(|s| *s < at).min(last));
    let next = match key {
        "ArrowLeft" | "ArrowRight" if at.is_none() => last,
        "ArrowLeft" => here.saturating_sub(1),
        "ArrowRight" => here + 1,
        "PageUp" => here.saturating_sub(PAGE),
        "PageDown" => here + PAGE,
        "Home" => 0,
        "End" => last,
        "Escape" => return Some(None),
        _ => return None,
    };
    Some(Some(all[next.min(last)]))
}

#[cfg(any(test, feature = "hydrate"))]
fn shown<'s>(samples: &'s [Sample], window: &Window) -> impl Iterator<Item = &'s Sample> {
    let (from, to) = (window.from, window.to);
    samples.iter().filter(move |s| s.at >= from && s.at <= to)
}

/// A sample in a line: when, the weight, both sides, and the verdict that held then.
pub(crate) fn words(
    samples: &[Sample],
    at: DateTime<Utc>,
    verdicts: &[VerdictMark],
    limits: &Limits,
) -> Option<String> {
    let sample = samples.iter().find(|s| s.at == at)?;
    let mut out = format!("{}, weight {}\u{a0}%", crate::when::clock(at), sample.weight);
    if let Some(error) = &sample.error {
        return Some(format!("{out}: no metrics, {error}"));
    }
    let enough = sample.canary.requests >= f64::from(limits.min_requests);
    for (name, metric) in [("errors", Metric::Errors), ("p95", Metric::Latency)] {
        let say = |side: &Side| metric.of(side).map_or_else(|| "no data".to_owned(), |v| metric.words(v));
        let canary = if enough { say(&sample.canary_recent) } else { "too few requests".to_owned() };
        // Writing to a string does not fail.
        let _ = write!(out, "; {name}: stable {}, canary {canary}", say(&sample.stable_recent));
    }
    // A verdict is reached with its sample; the two are stored with different precision.
    let reached = at + TimeDelta::milliseconds(1);
    if let Some((_, class)) = verdicts.iter().rev().find(|(when, _)| *when <= reached) {
        let _ = write!(out, "; verdict {}", class.key().replace('_', " "));
    }
    Some(out)
}

/// The inside of an `<svg class="plot over">`: an upright at a sample, and a ring at each line.
pub(crate) fn cursor(
    metric: Metric,
    samples: &[Sample],
    limits: &Limits,
    window: &Window,
    at: DateTime<Utc>,
) -> String {
    let height = metric.height();
    let x = window.x(at);
    let mut out =
        format!(r#"<line class="mark" x1="{x:.2}%" x2="{x:.2}%" y1="{TOP}" y2="{:.1}"/>"#, TOP + height);
    let (stable, canary, scale) = lines_of(metric, samples, limits, window);
    for (class, runs) in [("stable", stable), ("canary", canary)] {
        if let Some(p) = runs.iter().flatten().find(|p| p.at == at) {
            let y = TOP + height - height * (p.value / scale.top).clamp(0.0, 1.0);
            let _ = write!(out, r#"<circle class="{class}" cx="{x:.2}%" cy="{y:.1}" r="4"/>"#);
        }
    }
    out
}
