//! The report at the end of a step: Kayenta's judge over what was measured in it.

use super::config::{Config, Direction, EffectRule, Metric, Values};
use super::report::{Report, report};
use chrono::TimeDelta;
use model::verdict::{Limits, Sample, Side};

/// Points are so far apart: the span that a sample's recent figures look back on, so that no request counts in two of them.
const APART: TimeDelta = TimeDelta::seconds(30);

/// What the judge is asked of a step: its errors and its p95, as points of which none tells of a request that another tells of.
/// A difference within the plan's own limits does not count. `None` while there are fewer than two points.
pub fn of_step(samples: &[Sample], step: usize, limits: &Limits) -> Option<Config> {
    let mut of_step: Vec<&Sample> = samples.iter().filter(|s| s.step == step && s.error.is_none()).collect();
    of_step.sort_by_key(|s| s.at);
    let mut points: Vec<&Sample> = Vec::new();
    // The first figures still look back on the step before.
    let mut next = of_step.first()?.at + APART;
    for sample in of_step {
        if sample.at >= next {
            points.push(sample);
            next = sample.at + APART;
        }
    }
    let metric = |name: &str, value: fn(&Side) -> Option<f64>, allowed: f64| {
        let side = |of: fn(&Sample) -> &Side| {
            Values::Points(points.iter().map(|s| value(of(s)).filter(|v| v.is_finite())).collect())
        };
        Metric {
            name: name.to_owned(),
            direction: Direction::Increase,
            effect_size: EffectRule { allowed_increase: Some(allowed), ..EffectRule::default() },
            control: side(|s| &s.stable_recent),
            experiment: side(|s| &s.canary_recent),
            ..Metric::default()
        }
    };
    let metrics = vec![
        metric("errors", Side::error_rate, limits.max_error_ratio),
        metric("p95", |side| side.p95_ms, limits.max_p95_ratio),
    ];
    (points.len() >= 2).then(|| Config { metrics, ..Config::default() })
}

/// The same, judged.
pub fn step_report(samples: &[Sample], step: usize, limits: &Limits) -> Option<(usize, Report)> {
    let config = of_step(samples, step, limits)?;
    let points = match config.metrics.first().map(|m| &m.control) {
        Some(Values::Points(points)) => points.len(),
        _ => 0,
    };
    Some((points, report(&config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kayenta::{Label, Verdict};
    use chrono::{DateTime, Utc};

    fn sample(second: i64, canary_errors: f64, canary_p95: f64) -> Sample {
        let side = |errors, p95| Side { requests: 1000.0, errors, p95_ms: Some(p95) };
        let at: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let jitter = f64::from(u32::try_from(second / 30 % 3).unwrap());
        let (stable, canary) =
            (side(2.0 + jitter, 100.0 + jitter), side(canary_errors + jitter, canary_p95 + jitter));
        Sample {
            at: at + TimeDelta::seconds(second),
            step: 1,
            weight: 20,
            stable,
            canary,
            stable_recent: stable,
            canary_recent: canary,
            latency: None,
            asked: None,
            error: None,
            p95_range: None,
            stands_for: 1,
        }
    }

    fn judged(errors: f64, p95: f64) -> Report {
        let samples: Vec<_> = (0..100).map(|i| sample(i * 3, errors, p95)).collect();
        let (points, report) = step_report(&samples, 1, &Limits::default()).unwrap();
        assert_eq!(points, 9, "one each 30 s, none for what lies before the step");
        report
    }

    #[test]
    fn a_step_is_reported_metric_by_metric() {
        let well = judged(2.0, 100.0);
        assert_eq!((well.verdict, well.score), (Verdict::Pass, 100.0));
        let slow = judged(2.0, 250.0);
        let labels: Vec<_> = slow.metrics.iter().map(|m| m.classification).collect();
        assert_eq!((slow.verdict, &labels[..]), (Verdict::Fail, &[Label::Pass, Label::High][..]));
        assert_eq!(judged(2.0, 101.0).verdict, Verdict::Pass, "within the plan's own limit");
        assert_eq!(judged(90.0, 100.0).metrics[0].classification, Label::High);
    }

    #[test]
    fn too_little_is_no_report() {
        let samples: Vec<_> = (0..15).map(|i| sample(i * 3, 2.0, 100.0)).collect();
        assert_eq!(step_report(&samples, 1, &Limits::default()), None, "one point");
        let failed = Sample { error: Some("no answer".into()), ..sample(90, 2.0, 100.0) };
        assert_eq!(step_report(&[samples, vec![failed]].concat(), 1, &Limits::default()), None);
        assert_eq!(step_report(&[], 1, &Limits::default()), None);
    }
}
