//! The 95th percentile of latency: an absolute limit, and a multiple of stable's. A quantile of few requests jumps,
//! so a break counts only when it lasts, and by more the fewer requests stand behind it.

use crate::Finding;
use crate::words::{millis, times};
use model::verdict::{Class, Limits, Sample};

/// Looks in a row that must break a limit.
const LASTING: usize = 3;
/// Canary requests below which a 95th percentile is five requests or fewer: no ground for a fail.
const LEAST_REQUESTS: f64 = 100.0;
/// A difference in milliseconds that nobody feels, and that a histogram's buckets can make by themselves.
const LEAST_MS: f64 = 10.0;

pub(crate) fn find(good: &[&Sample], limits: &Limits) -> Finding {
    let Some(s) = good.last() else {
        return Finding {
            class: Class::NoData,
            figures: "no data".into(),
            why: "Nothing was measured yet.".into(),
        };
    };
    let Some(canary) = s.canary.p95_ms else {
        let why = "No latency was measured on the canary. No data is never a pass.".to_owned();
        return Finding { class: Class::NoData, figures: "no data".into(), why };
    };
    let broken = good.iter().rev().take_while(|s| breaks(s, limits, false).is_some()).count();
    let surely = good.iter().rev().take(LASTING).filter(|s| breaks(s, limits, true).is_some()).count();
    let class = if surely == LASTING {
        Class::Fail
    } else if s.canary.requests < f64::from(limits.min_requests) {
        Class::NoData
    } else if broken > 0 {
        Class::Marginal
    } else {
        Class::Pass
    };
    let figures = match s.stable.p95_ms {
        Some(stable) => format!("{} / {} ms", millis(canary), millis(stable)),
        None => format!("{} ms", millis(canary)),
    };
    Finding { class, figures, why: why(s, limits, class) }
}

/// Which limit.
enum Broken {
    Absolute,
    Ratio,
}

/// Does one look break a limit? `surely`: by so much, on so many requests, that it can be part of a fail.
fn breaks(s: &Sample, limits: &Limits, surely: bool) -> Option<Broken> {
    let canary = s.canary.p95_ms?;
    if surely && s.canary.requests < LEAST_REQUESTS.max(f64::from(limits.min_requests)) {
        return None;
    }
    // The spread of an estimated quantile falls with the root of the requests behind it.
    let spread = |requests: f64| if surely { 1.0 + 2.0 / requests.max(1.0).sqrt() } else { 1.0 };
    if limits.max_p95_ms.is_some_and(|limit| canary > limit * spread(s.canary.requests)) {
        return Some(Broken::Absolute);
    }
    let stable = s.stable.p95_ms?;
    let fewest = s.canary.requests.min(s.stable.requests);
    let worse = canary > stable * limits.max_p95_ratio * spread(fewest) && canary - stable > LEAST_MS;
    worse.then_some(Broken::Ratio)
}

fn why(s: &Sample, limits: &Limits, class: Class) -> String {
    let canary = s.canary.p95_ms.map(millis).unwrap_or_default();
    let compared = match s.stable.p95_ms {
        Some(stable) => format!("Canary p95 {canary} ms against {} ms on stable", millis(stable)),
        None => format!("Canary p95 {canary} ms, and stable has no traffic to compare with"),
    };
    let broken = match breaks(s, limits, false) {
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
        Class::Fail => format!("{compared}{broken}."),
        Class::Marginal => {
            format!("{compared}{broken}; not yet for long enough, or on enough requests, to decide.")
        }
        Class::NoData => format!("{compared}{broken}; too few requests to say more."),
        Class::Pass => format!("{compared}."),
    }
}
