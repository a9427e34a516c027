//! Weight and ceiling of a release over time, from its events and samples; and how sure a p95 is.

use chrono::{DateTime, TimeDelta, Utc};
use model::audit::Event;
use model::plan::Plan;
use model::verdict::{Latency, Sample};
use model::view::WeightPoint;

/// What a sample's recent figures look back on.
const RECENT: TimeDelta = TimeDelta::seconds(30);
/// Samples come every three seconds.
const SLACK: TimeDelta = TimeDelta::seconds(3);

/// Oldest first; each holds until the next. A weight is what was confirmed, or measured between two confirmations.
pub(super) fn weights(events: &[Event], samples: &[Sample], plan: &Plan) -> Vec<WeightPoint> {
    let first = plan.steps().first().map_or(0, |s| s.weight);
    let mut moves: Vec<(DateTime<Utc>, Move)> = events.iter().filter_map(|e| moved(e, first)).collect();
    moves.extend(samples.iter().map(|s| (s.at, Move { weight: Some(s.weight), ceiling: None })));
    moves.sort_by_key(|(at, _)| *at);
    let mut out: Vec<WeightPoint> = Vec::new();
    let (mut weight, mut ceiling) = (0, 0);
    for (at, m) in moves {
        weight = m.weight.unwrap_or(weight);
        ceiling = m.ceiling.unwrap_or(ceiling);
        match out.last_mut() {
            Some(last) if (last.weight, last.ceiling) == (weight, ceiling) => {}
            Some(last) if last.at == at => (last.weight, last.ceiling) = (weight, ceiling),
            _ => out.push(WeightPoint { at, weight, ceiling }),
        }
    }
    out
}

struct Move {
    weight: Option<u8>,
    ceiling: Option<u8>,
}

fn moved(e: &Event, first: u8) -> Option<(DateTime<Utc>, Move)> {
    let number = |of: &str, field: &str| {
        let n = e.event.detail.get(of)?.get(field)?.as_u64()?;
        u8::try_from(n).ok()
    };
    let (weight, ceiling) = match e.event.action.as_str() {
        "release.deployed" => (None, Some(first)),
        "release.step.reached" => (number("step_reached", "weight"), None),
        "release.step.passed" | "release.step.skipped" => (None, number("step_passed", "next")),
        "release.switched" => (Some(100), None),
        "release.turned_back" | "rollback.accepted" | "release.aborted" => (None, Some(0)),
        "release.rolled_back" | "release.cancelled" => (Some(0), Some(0)),
        "release.succeeded" => (Some(100), Some(100)),
        _ => return None,
    };
    (weight.is_some() || ceiling.is_some()).then_some((e.event.at, Move { weight, ceiling }))
}

/// What a page draws of samples, oldest first: without the histograms, which are for verdicts, but with what they tell of how
/// sure the canary's p95 is.
pub(super) fn drawn(mut samples: Vec<Sample>) -> Vec<Sample> {
    let ranges: Vec<_> = (0..samples.len()).map(|i| range(&samples, i)).collect();
    for (sample, range) in samples.iter_mut().zip(ranges) {
        sample.latency = None;
        sample.p95_range = range;
    }
    samples
}

/// From the counts since the step began, less those of half a minute before.
fn range(samples: &[Sample], i: usize) -> Option<(f64, f64)> {
    let now = &samples[i];
    let latency = now.latency.as_ref()?;
    let of_step = |s: &&Sample| s.step == now.step && s.latency.is_some();
    let mut earlier = samples[..i].iter().rev().filter(of_step);
    let before = match earlier.find(|s| now.at - s.at >= RECENT - SLACK) {
        // Counts over longer than that would be surer than what is drawn.
        Some(s) if now.at - s.at > RECENT + SLACK => return None,
        before => before.and_then(|s| s.latency.as_ref()),
    };
    let counts: Vec<f64> = match before {
        Some(b) if b.bounds_ms == latency.bounds_ms && b.canary.len() == latency.canary.len() => {
            latency.canary.iter().zip(&b.canary).map(|(now, then)| (now - then).max(0.0)).collect()
        }
        Some(_) => return None,
        None => latency.canary.clone(),
    };
    p95_range(latency, &counts)
}

/// Between which milliseconds the true 95th percentile lies with 95 %: the values at the ranks that a quantile's own rank
/// wanders between, by the normal approximation of the binomial. Source: Conover, Practical Nonparametric Statistics, 3.2.
fn p95_range(latency: &Latency, counts: &[f64]) -> Option<(f64, f64)> {
    const SHARE: f64 = 0.95;
    let n = *counts.last()?;
    // Fewer, and the upper rank lies beyond the last request.
    if n < 30.0 {
        return None;
    }
    let half = 1.96 * (n * SHARE * (1.0 - SHARE)).sqrt();
    Some((
        value_at(latency, counts, n * SHARE - half)?,
        value_at(latency, counts, (n * SHARE + half).min(n))?,
    ))
}

/// The value at a rank; between two bounds a straight line, as Prometheus takes it. Beyond the last bound: that bound.
fn value_at(latency: &Latency, counts: &[f64], rank: f64) -> Option<f64> {
    let bounds = &latency.bounds_ms;
    let at = counts.iter().take(bounds.len()).position(|c| *c >= rank).unwrap_or(bounds.len());
    if at >= bounds.len() {
        return bounds.last().copied();
    }
    let (low, under) = match at.checked_sub(1) {
        Some(before) => (bounds[before], counts[before]),
        None => (0.0, 0.0),
    };
    let within = counts[at] - under;
    Some(if within > 0.0 { low + (bounds[at] - low) * (rank - under) / within } else { bounds[at] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p95_is_surer_the_more_requests_stand_behind_it() {
        let latency = |n: f64| Latency {
            bounds_ms: vec![100.0, 200.0, 400.0],
            stable: vec![],
            canary: vec![n * 0.5, n * 0.9, n, n],
        };
        let width = |n: f64| {
            let l = latency(n);
            let (low, high) = p95_range(&l, &l.canary).unwrap();
            assert!(low < 300.0 && 300.0 < high, "the figure itself lies between: {low} {high}");
            high - low
        };
        assert!(width(100.0) > 2.0 * width(1000.0));
        let few = latency(20.0);
        assert_eq!(p95_range(&few, &few.canary), None);
    }
}
