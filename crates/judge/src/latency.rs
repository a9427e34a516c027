//! Latency: is the canary's 95th percentile above an absolute limit, or above a multiple of stable's?
//!
//! A quantile of few requests jumps, so it is not compared itself. Counted is how many requests took longer than a bound of the
//! histogram. Were the canary exactly as slow as is allowed, that multiple of stable, its share beyond a bound would be stable's share
//! beyond the bound divided by the multiple; against that share the counts are held, by the same test as errors.

use crate::Finding;
use crate::evidence::{LATENCY_ALARM, OVERWHELMING, against};
use crate::words::{millis, percent, times};
use model::verdict::{Class, Latency, Limits, Sample};

/// Beyond the 95th percentile.
const TAIL: f64 = 0.05;
/// A share of slow requests that is held against the canary is at least this: under it a few stragglers would decide.
const LEAST_TAIL: f64 = 0.01;
/// A bound beyond which more than this lies is no tail.
const MOST_TAIL: f64 = 0.3;
/// Fewer requests of stable, or slow ones of the canary, are no ground for a fail.
const LEAST_STABLE: f64 = 100.0;
const LEAST_SLOW: f64 = 5.0;
/// A difference in milliseconds that nobody feels, and that a histogram's buckets can make by themselves.
const LEAST_MS: f64 = 10.0;

pub(crate) fn find(s: &Sample, limits: &Limits) -> Finding {
    let Some(canary) = s.canary.p95_ms else {
        let why = "No latency was measured on the canary. No data is never a pass.".to_owned();
        return Finding { class: Class::NoData, figures: "no data".into(), why };
    };
    let broken = broken(s, limits);
    let slow = s.latency.as_ref().filter(|l| usable(l)).and_then(|l| worst(l, s, limits));
    let enough = s.canary.requests >= f64::from(limits.min_requests);
    // Both limits set share the budget.
    let alarm = if limits.max_p95_ms.is_some() { LATENCY_ALARM * 2.0 } else { LATENCY_ALARM };
    let needed = if enough { alarm } else { OVERWHELMING.max(alarm) };
    let surely = slow.as_ref().is_some_and(|slow| slow.evidence >= needed && slow.count >= LEAST_SLOW);
    let class = if broken.is_some() && surely {
        Class::Fail
    } else if !enough {
        Class::NoData
    } else if broken.is_some() {
        Class::Marginal
    } else {
        Class::Pass
    };
    let figures = match s.stable.p95_ms {
        Some(stable) => format!("{} / {} ms", millis(canary), millis(stable)),
        None => format!("{} ms", millis(canary)),
    };
    Finding { class, figures, why: why(s, limits, class, broken, slow.as_ref()) }
}

/// Which limit the percentiles are beyond.
#[derive(Clone, Copy)]
enum Broken {
    Absolute,
    Ratio,
}

fn broken(s: &Sample, limits: &Limits) -> Option<Broken> {
    let canary = s.canary.p95_ms?;
    if limits.max_p95_ms.is_some_and(|limit| canary > limit) {
        return Some(Broken::Absolute);
    }
    let stable = s.stable.p95_ms?;
    (canary > stable * limits.max_p95_ratio && canary - stable > LEAST_MS).then_some(Broken::Ratio)
}

/// What was counted beyond a bound.
struct Slow {
    bound_ms: f64,
    /// Requests of the canary that took longer.
    count: f64,
    /// Their share, 0 to 1, and the highest that is allowed.
    share: f64,
    allowed: f64,
    evidence: f64,
}

/// Cumulative counts that can be true.
fn usable(l: &Latency) -> bool {
    let rising = |v: &[f64]| v.iter().all(|n| n.is_finite() && *n >= 0.0) && v.is_sorted();
    let n = l.bounds_ms.len();
    n > 0 && [&l.stable, &l.canary].iter().all(|v| v.len() == n + 1 && rising(v)) && rising(&l.bounds_ms)
}

/// The stronger evidence of the two limits.
fn worst(l: &Latency, s: &Sample, limits: &Limits) -> Option<Slow> {
    let absolute = limits.max_p95_ms.and_then(|limit| {
        let at = l.bounds_ms.iter().position(|b| *b >= limit)?;
        beyond(l, at, TAIL)
    });
    let ratio = s.stable.p95_ms.and_then(|_| compared(l, limits.max_p95_ratio));
    [absolute, ratio].into_iter().flatten().max_by(|a, b| a.evidence.total_cmp(&b.evidence))
}

/// Against stable, stretched by the allowed multiple, at the bound where its tail is nearest to 5 %.
fn compared(l: &Latency, ratio: f64) -> Option<Slow> {
    let all = l.stable.last().copied().filter(|n| *n >= LEAST_STABLE)?;
    let tail = |at: usize| tail(&l.bounds_ms, &l.stable, l.bounds_ms[at] / ratio);
    let off = |at: &usize| (tail(*at).max(LEAST_TAIL) / TAIL).ln().abs();
    let at = (0..l.bounds_ms.len())
        .filter(|at| tail(*at) <= MOST_TAIL)
        .min_by(|a, b| off(a).total_cmp(&off(b)))?;
    let share = tail(at).max(LEAST_TAIL);
    // Stable's share is an estimate, too: two standard errors in the canary's favour.
    beyond(l, at, share + 2.0 * (share * (1.0 - share) / all).sqrt())
}

fn beyond(l: &Latency, at: usize, allowed: f64) -> Option<Slow> {
    let all = l.canary.last().copied().filter(|n| *n > 0.0)?;
    // Counts from rates are not whole: rounded against the alarm.
    let count = (all - l.canary[at]).floor();
    let evidence = against(count, all.max(count), allowed, 1.0);
    Some(Slow { bound_ms: l.bounds_ms[at], count, share: count / all, allowed, evidence })
}

/// The share of requests that took longer than `ms`. Between two bounds it falls as tails do, by the same factor with each
/// millisecond: a straight line would put far too many into the far end of a wide bucket.
fn tail(bounds: &[f64], counts: &[f64], ms: f64) -> f64 {
    let Some(all) = counts.last().copied().filter(|n| *n > 0.0) else { return 0.0 };
    // Nothing beyond a bound may be half a request that was not seen.
    let beyond = |within: f64| (1.0 - within / all).max(0.5 / all);
    let at = bounds.partition_point(|b| *b < ms);
    let (low, before) = if at == 0 { (0.0, 1.0) } else { (bounds[at - 1], beyond(counts[at - 1])) };
    match bounds.get(at) {
        Some(high) => before * (beyond(counts[at]) / before).powf((ms - low) / (high - low)),
        None => before,
    }
}

fn why(s: &Sample, limits: &Limits, class: Class, broken: Option<Broken>, slow: Option<&Slow>) -> String {
    let canary = s.canary.p95_ms.map(millis).unwrap_or_default();
    let compared = match s.stable.p95_ms {
        Some(stable) => format!("Canary p95 {canary} ms against {} ms on stable", millis(stable)),
        None => format!("Canary p95 {canary} ms, and stable has no traffic to compare with"),
    };
    let broken = match broken {
        Some(Broken::Absolute) => {
            format!("; the limit is {} ms", millis(limits.max_p95_ms.unwrap_or_default()))
        }
        Some(Broken::Ratio) => {
            let ratio = s.canary.p95_ms.zip(s.stable.p95_ms).map_or(0.0, |(c, s)| c / s);
            format!(": {} times as long, {} are allowed", times(ratio), times(limits.max_p95_ratio))
        }
        None => String::new(),
    };
    match class {
        Class::Fail => match slow {
            Some(slow) => format!("{compared}{broken}. {}", told(slow)),
            None => format!("{compared}{broken}."),
        },
        Class::Marginal => format!("{compared}{broken}; not yet on enough requests to decide."),
        Class::NoData => format!("{compared}{broken}; too few requests to say more."),
        Class::Pass => format!("{compared}."),
    }
}

/// What the decision rests on.
fn told(slow: &Slow) -> String {
    let (share, allowed) = (percent(slow.share * 100.0), percent(slow.allowed * 100.0));
    format!("{share} % took longer than {} ms, {allowed} % may.", millis(slow.bound_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_falls_by_the_same_factor_with_each_millisecond() {
        // Half take longer than 100 ms, one in fifty longer than 200.
        let (bounds, counts) = ([100.0, 200.0, 400.0], [500.0, 980.0, 1000.0, 1000.0]);
        let at = |ms: f64| (tail(&bounds, &counts, ms) * 1e4).round() / 1e4;
        assert_eq!([at(0.0), at(100.0), at(150.0), at(200.0)], [1.0, 0.5, 0.1, 0.02]);
        assert_eq!([at(400.0), at(1000.0)], [0.0005, 0.0005], "half a request that was not seen");
        assert_eq!(tail(&bounds, &[0.0; 4], 100.0), 0.0);
    }

    #[test]
    fn a_broken_histogram_is_not_used() {
        let l = |bounds: &[f64], stable: &[f64], canary: &[f64]| Latency {
            bounds_ms: bounds.to_vec(),
            stable: stable.to_vec(),
            canary: canary.to_vec(),
        };
        assert!(usable(&l(&[1.0, 2.0], &[1.0, 2.0, 2.0], &[0.0, 0.0, 4.0])));
        for bad in [
            l(&[], &[1.0], &[1.0]),
            l(&[1.0, 2.0], &[1.0, 2.0], &[0.0, 0.0, 4.0]),
            l(&[1.0, 2.0], &[3.0, 2.0, 2.0], &[0.0, 0.0, 4.0]),
            l(&[2.0, 1.0], &[1.0, 2.0, 2.0], &[0.0, 0.0, 4.0]),
            l(&[1.0, 2.0], &[1.0, f64::NAN, 2.0], &[0.0, 0.0, 4.0]),
        ] {
            assert!(!usable(&bad), "{bad:?}");
        }
    }
}
