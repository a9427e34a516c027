//! Is the canary worse? Pure functions of stored samples.

use chrono::{DateTime, Utc};
use model::Span;
use model::verdict::{Class, Limits, MetricVerdict, Sample, Side, Verdict};

/// The verdict on one step's samples as of `now`.
pub fn verdict(samples: &[Sample], step: usize, limits: &Limits, now: DateTime<Utc>) -> Verdict {
    let last = samples.iter().rev().find(|s| s.step == step && s.error.is_none());
    let (canary, stable) = last.map_or((Side::default(), Side::default()), |s| (s.canary, s.stable));
    let rate = canary.error_rate().unwrap_or(0.0) * 100.0;
    let base = stable.error_rate().unwrap_or(0.0) * 100.0;
    let class = if canary.requests < f64::from(limits.min_requests) {
        Class::NoData
    } else if rate > limits.max_error_percent && rate > 2.0 * base {
        Class::Fail
    } else {
        Class::Pass
    };
    Verdict {
        at: now,
        step,
        class,
        words: format!("Canary errors {rate:.1} % against {base:.1} % on stable."),
        metrics: vec![MetricVerdict {
            name: "Errors, 5xx".into(),
            class,
            figures: format!("{rate:.1} % / {base:.1} %"),
            why: String::new(),
        }],
        chance: None,
        limits: *limits,
        canary,
        stable,
        watched: Span::ZERO,
    }
}
