//! One metric of the report: from two samples to pass, high, low or no data.

use super::config::{Counts, Direction, Effect, Measure, Metric, Nan, Values};
use super::mann_whitney::{Z_98, common_language, shift};
use super::report::{Label, MetricReport, Summary};
use crate::evidence::{ERRORS_ALARM, against};
use crate::words::{percent, thousands};

/// Multiple of the control's rate up to which counts say nothing, where none is given.
const TOLERATED: f64 = 1.2;

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
    let (finding, control, canary) = match (&metric.control, &metric.experiment) {
        (Values::Counts(control), Values::Counts(canary)) => {
            (count(metric, *canary, *control), summary(*control), summary(*canary))
        }
        (control, canary) => {
            let prepare = |values: &Values| match values {
                Values::Points(points) => prepared(points, metric),
                Values::Counts(_) => Vec::new(),
            };
            let (control, canary) = (prepare(control), prepare(canary));
            let finding = find(metric, &canary, &control, sensitivity);
            (finding, Summary::of(&control), Summary::of(&canary))
        }
    };
    MetricReport {
        name: metric.name.clone(),
        groups: metric.groups(),
        classification: finding.label,
        reason: finding.reason,
        critical: finding.critical,
        muted: metric.muted,
        ratio: finding.ratio,
        evidence: finding.evidence,
        control,
        experiment: canary,
    }
}

struct Finding {
    label: Label,
    reason: String,
    critical: bool,
    ratio: Option<f64>,
    evidence: Option<f64>,
}

/// A rate's summary: as many events, of which so many parts were bad.
fn summary(counts: Counts) -> Summary {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count, checked where it entered"
    )]
    let count = counts.of as usize;
    let mean = if counts.of > 0.0 { counts.bad / counts.of } else { 0.0 };
    Summary {
        count,
        min: 0.0,
        max: if counts.bad > 0.0 { 1.0 } else { 0.0 },
        mean,
        std: (mean * (1.0 - mean)).sqrt(),
    }
}

/// By the guard's test: more bad ones than the tolerated multiple of its share. `allowedIncrease` is that multiple.
fn count(metric: &Metric, canary: Counts, control: Counts) -> Finding {
    let all = canary.of + control.of;
    if canary.of <= 0.0 || control.of <= 0.0 {
        let side = if canary.of <= 0.0 { "the experiment" } else { "the control" };
        return missing(metric, side);
    }
    let tolerated = metric.effect_size.allowed_increase.unwrap_or(TOLERATED);
    let evidence =
        against(canary.bad.floor(), canary.bad.floor() + control.bad.ceil(), canary.of / all, tolerated);
    let rates = [canary, control].map(|c| c.bad / c.of);
    let ratio = (rates[1] > 0.0).then(|| rates[0] / rates[1]);
    let sides = format!("{} % against {} %", percent(rates[0] * 100.0), percent(rates[1] * 100.0));
    let enough = ratio.zip(metric.effect_size.critical_increase).is_none_or(|(ratio, least)| ratio >= least);
    if evidence >= ERRORS_ALARM && metric.direction != Direction::Decrease {
        let odds = thousands(evidence.floor());
        let reason = format!("{sides}: by chance at most once in {odds}, however often one looks.");
        let critical = metric.critical && enough;
        return Finding { label: Label::High, reason, critical, ratio, evidence: Some(evidence) };
    }
    let reason = format!("{sides}: nothing that chance does not bring.");
    Finding { label: Label::Pass, reason, critical: false, ratio, evidence: Some(evidence) }
}

fn missing(metric: &Metric, side: &str) -> Finding {
    let plain = |label, reason| Finding { label, reason, critical: false, ratio: Some(1.0), evidence: None };
    let reason = format!("No values of {side}.");
    if metric.must_have_data && !metric.critical {
        return plain(Label::NodataFailMetric, reason);
    }
    Finding { critical: metric.critical, ..plain(Label::Nodata, reason) }
}

fn find(metric: &Metric, canary: &[f64], control: &[f64], sensitivity: Sensitivity) -> Finding {
    let pass = |reason: &str| Finding {
        label: Label::Pass,
        reason: reason.to_owned(),
        critical: false,
        ratio: Some(1.0),
        evidence: None,
    };
    if canary.is_empty() || control.is_empty() {
        if metric.nan_strategy == Nan::Replace {
            return pass("No values on one side, and missing ones count as 0.");
        }
        return missing(metric, if canary.is_empty() { "the experiment" } else { "the control" });
    }
    if same(canary, control) {
        return pass("Both sides have the same values.");
    }
    if canary.iter().chain(control).all(|x| *x == control[0]) {
        return pass("Both sides have one value, the same.");
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
    Finding { label, reason, critical, ratio, evidence: None }
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
