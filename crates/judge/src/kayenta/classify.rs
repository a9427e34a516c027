//! One metric of the report: from two samples to pass, high, low or no data.

use super::config::{Direction, Effect, Measure, Metric, Nan};
use super::mann_whitney::{Z_98, common_language, shift};
use super::report::{Label, MetricReport, Summary};

/// How sure a difference must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sensitivity {
    /// The interval must clear this part of the estimate.
    pub(super) tolerance: f64,
    /// Standard deviations to either side of the interval.
    pub(super) z: f64,
}

/// Kayenta's constants.
pub(super) const KAYENTA: Sensitivity = Sensitivity { tolerance: 0.25, z: Z_98 };

/// What a metric's two samples say.
pub(super) fn classify(metric: &Metric, sensitivity: Sensitivity) -> MetricReport {
    let prepare = |values: &[Option<f64>]| prepared(values, metric);
    let (control, canary) = (prepare(&metric.control), prepare(&metric.experiment));
    let finding = find(metric, &canary, &control, sensitivity);
    MetricReport {
        name: metric.name.clone(),
        groups: metric.groups(),
        classification: finding.label,
        reason: finding.reason,
        critical: finding.critical,
        muted: metric.muted,
        ratio: finding.ratio,
        control: Summary::of(&control),
        experiment: Summary::of(&canary),
    }
}

struct Finding {
    label: Label,
    reason: String,
    critical: bool,
    ratio: Option<f64>,
}

fn find(metric: &Metric, canary: &[f64], control: &[f64], sensitivity: Sensitivity) -> Finding {
    let plain = |label, reason: String| Finding { label, reason, critical: false, ratio: Some(1.0) };
    if canary.is_empty() || control.is_empty() {
        if metric.nan_strategy == Nan::Replace {
            return plain(Label::Pass, "No values on one side, and missing ones count as 0.".to_owned());
        }
        let side = if canary.is_empty() { "the experiment" } else { "the control" };
        let reason = format!("No values of {side}.");
        if metric.must_have_data && !metric.critical {
            return plain(Label::NodataFailMetric, reason);
        }
        return Finding { critical: metric.critical, ..plain(Label::Nodata, reason) };
    }
    if same(canary, control) {
        return plain(Label::Pass, "Both sides have the same values.".to_owned());
    }
    if canary.iter().chain(control).all(|x| *x == control[0]) {
        return plain(Label::Pass, "Both sides have one value, the same.".to_owned());
    }
    compare(metric, canary, control, sensitivity)
}

fn compare(metric: &Metric, canary: &[f64], control: &[f64], sensitivity: Sensitivity) -> Finding {
    let ratio = mean_ratio(canary, control);
    let effect = match metric.effect_size.measure {
        Measure::MeanRatio => ratio,
        Measure::Cles => Some(common_language(canary, control)),
    };
    // Each side constant, and not the same constant: ranks leave nothing to estimate a spread from. Which side is
    // higher is then certain.
    let (low, high, estimate) = match constant(canary).zip(constant(control)) {
        Some((canary, control)) => (canary - control, canary - control, canary - control),
        None => match shift(canary, control, sensitivity.z) {
            Some(s) => (s.low, s.high, s.estimate),
            None => (0.0, 0.0, 0.0),
        },
    };
    let bound = sensitivity.tolerance * estimate.abs();
    let Effect { allowed_increase, allowed_decrease, critical_increase, critical_decrease, .. } =
        metric.effect_size.resolved();
    // An effect that cannot be computed holds nothing up.
    let at_least = |least: f64| effect.is_none_or(|e| e >= least);
    let at_most = |most: f64| effect.is_none_or(|e| e <= most);
    let counts = |way: Direction| metric.direction == Direction::Either || metric.direction == way;
    let (label, critical) = if counts(Direction::Increase) && low > bound && at_least(allowed_increase) {
        (Label::High, metric.critical && at_least(critical_increase))
    } else if counts(Direction::Decrease) && high < -bound && at_most(allowed_decrease) {
        (Label::Low, metric.critical && at_most(critical_decrease))
    } else {
        (Label::Pass, false)
    };
    let reason = explain(label, (low, high), bound, ratio);
    Finding { label, reason, critical, ratio }
}

fn explain(label: Label, (low, high): (f64, f64), bound: f64, ratio: Option<f64>) -> String {
    let interval = format!("98 % sure that the shift is between {} and {}", figure(low), figure(high));
    let times = ratio.map(|r| format!("; its mean is {} times the control's", figure(r))).unwrap_or_default();
    match label {
        Label::High => format!("Above the control: {interval}{times}."),
        Label::Low => format!("Below the control: {interval}{times}."),
        _ if low > bound || high < -bound => {
            format!("A small difference, or one that is allowed: {interval}{times}.")
        }
        _ => format!("No difference that could not be chance: {interval}{times}."),
    }
}

/// Four significant digits.
fn figure(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let digits = (3.0 - x.abs().log10().floor()).clamp(0.0, 12.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 12")]
    let text = format!("{x:.*}", digits as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn constant(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    values.iter().all(|x| *x == first).then_some(first)
}

fn same(a: &[f64], b: &[f64]) -> bool {
    let sorted = |values: &[f64]| {
        let mut all = values.to_vec();
        all.sort_by(f64::total_cmp);
        all
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

/// `None` where a mean is 0: nothing is so many times nothing.
fn mean_ratio(canary: &[f64], control: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (canary, control) = (mean(canary), mean(control));
    (canary != 0.0 && control != 0.0).then(|| canary / control)
}

/// Missing values taken out or made 0, outliers taken out when that is asked for.
fn prepared(values: &[Option<f64>], metric: &Metric) -> Vec<f64> {
    let number = |value: &Option<f64>| value.filter(|x| x.is_finite());
    let values: Vec<f64> = match metric.nan_strategy {
        Nan::Remove => values.iter().filter_map(number).collect(),
        Nan::Replace => values.iter().map(|v| number(v).unwrap_or(0.0)).collect(),
    };
    let Some(factor) = metric.outliers.factor() else { return values };
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |p: f64| quantile(&sorted, p);
    let (Some(p01), Some(q1), Some(q3), Some(p99)) = (at(0.01), at(0.25), at(0.75), at(0.99)) else {
        return values;
    };
    let (low, high) = (p01.min(q1 - factor * (q3 - q1)), p99.max(q3 + factor * (q3 - q1)));
    values.into_iter().filter(|x| (low..=high).contains(x)).collect()
}

/// Interpolated linearly between the two nearest (type 7 of Hyndman and Fan).
fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let at = p * (sorted.len().checked_sub(1)? as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let below = at.floor() as usize;
    let (low, high) = (*sorted.get(below)?, *sorted.get(below + 1).or(sorted.last())?);
    Some(low + (high - low) * at.fract())
}
