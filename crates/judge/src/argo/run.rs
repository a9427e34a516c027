//! A run of an analysis, step by step: what is measured now, what a measurement changes, how the run stands, when to
//! look again. The caller measures and keeps the time:
//!
//! ```text
//! loop {
//!     for metric in analysis.due(&status, now) { analysis.record(&mut status, name, measured, now) }
//!     analysis.settle(&mut status, now);
//!     sleep until analysis.next(&status, now)
//! }
//! ```

use super::args;
use super::assess::{self, phase_of};
use super::duration;
use super::expr::pattern;
use super::phase::Phase;
use super::template::{self, Metric, Spec, Ttl};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Measurements kept of each metric, where no rule says otherwise.
pub const KEPT: usize = 10;
/// Time after which a measurement that was an error is tried again, whatever the interval.
pub const RETRY: TimeDelta = TimeDelta::seconds(10);

/// How a run stands: an AnalysisRun's `status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Of the whole run.
    pub phase: Phase,
    /// Why, once it is over and did not pass.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Of the metrics that were measured at least once.
    pub metric_results: Vec<MetricResult>,
    /// When it was first settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<DateTime<Utc>>,
    /// What the metrics that decide came to.
    pub run_summary: Summary,
    /// What the others came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<Summary>,
}

/// How a metric stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricResult {
    /// The metric.
    pub name: String,
    /// How it stands.
    pub phase: Phase,
    /// The newest ones, in the order of their start.
    pub measurements: Vec<Measurement>,
    /// That of its last measurement when its phase last changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Measurements that were no errors.
    pub count: i32,
    /// Of these, which passed.
    pub successful: i32,
    /// Which failed.
    pub failed: i32,
    /// Which did neither.
    pub inconclusive: i32,
    /// Measurements that were errors.
    pub error: i32,
    /// The last of them, without another in between.
    pub consecutive_error: i32,
    /// The last that passed, without another in between.
    pub consecutive_success: i32,
    /// It decides nothing.
    pub dry_run: bool,
    /// For instance the query as it was asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Measurement {
    /// What it came to.
    pub phase: Phase,
    /// Why it is an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over; none while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// The answer, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// For instance warnings of the source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Of one under way: not to be looked at before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<DateTime<Utc>>,
}

/// How many metrics came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// All of them.
    pub count: i32,
    /// Those that passed.
    pub successful: i32,
    /// Those that failed.
    pub failed: i32,
    /// Those that did neither.
    pub inconclusive: i32,
    /// Those that were errors.
    pub error: i32,
}

/// What is to be done now for a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The metric's name.
    pub metric: String,
    /// Its last measurement is still under way and is to be looked at, or, in a run that ends, ended.
    pub resume: bool,
}

/// A specification that can be run: arguments filled in, rules applied.
#[derive(Clone, Debug)]
pub struct Analysis {
    pub(super) metrics: Vec<Metric>,
    pub(super) dry: BTreeSet<String>,
    pub(super) terminate: bool,
    kept: BTreeMap<String, usize>,
}

impl Analysis {
    /// # Errors
    /// Why the controller would end such a run as an Error at once, in its words.
    pub fn new(spec: &Spec) -> Result<Self, String> {
        let metrics = args::resolve(&spec.metrics, &spec.args)
            .map_err(|e| format!("Unable to resolve metric arguments: {e}"))?;
        let invalid = |e| format!("Analysis spec invalid: {e}");
        template::check(&metrics).map_err(invalid)?;
        let names: Vec<&str> = metrics.iter().map(|m| m.name.as_str()).collect();
        let dry = dry_run(spec, &names).map_err(invalid)?;
        let kept = retention(spec, &names).map_err(invalid)?;
        Ok(Self { metrics, dry, terminate: spec.terminate, kept })
    }

    /// The metrics, their arguments filled in.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// From now on the run ends: what is under way is ended, nothing else begins.
    pub fn terminate(&mut self) {
        self.terminate = true;
    }

    /// What is to be measured at `now`.
    #[must_use]
    pub fn due(&self, status: &Status, now: DateTime<Utc>) -> Vec<Task> {
        if status.phase.completed() {
            return Vec::new();
        }
        let terminating = is_terminating(self.terminate, &status.metric_results);
        self.metrics.iter().filter_map(|metric| due(metric, status, terminating, now)).collect()
    }

    /// Puts a measurement where it belongs: in place of the one under way, else after the others.
    pub fn record(
        &self,
        status: &mut Status,
        metric: &str,
        mut measurement: Measurement,
        now: DateTime<Utc>,
    ) {
        let at = status.metric_results.iter().position(|r| r.name == metric);
        let at = at.unwrap_or_else(|| {
            let dry_run = self.dry.contains(metric);
            status.metric_results.push(MetricResult {
                name: metric.into(),
                phase: Phase::Running,
                dry_run,
                ..MetricResult::default()
            });
            status.metric_results.len() - 1
        });
        let result = &mut status.metric_results[at];
        if measurement.phase.completed() {
            measurement.finished_at.get_or_insert(now);
            result.count(measurement.phase);
        }
        match result.measurements.last_mut().filter(|m| m.finished_at.is_none()) {
            Some(open) => *open = measurement,
            None => result.measurements.push(measurement),
        }
    }

    /// Brings the metrics' phases and the run's up to what was measured. A run that is over stays as it is.
    pub fn settle(&self, status: &mut Status, now: DateTime<Utc>) {
        if status.phase.completed() {
            return;
        }
        status.started_at.get_or_insert(now);
        let (phase, message) = assess::run(self, status);
        if phase != status.phase {
            status.phase = phase;
            status.message = message;
            if phase.completed() {
                status.completed_at.get_or_insert(now);
            }
        }
        trim(&mut status.metric_results, &self.kept, KEPT);
    }

    /// When to look again; none where nothing is to be expected.
    #[must_use]
    pub fn next(&self, status: &Status, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if status.phase.completed() {
            return None;
        }
        self.metrics.iter().filter_map(|metric| next(metric, status, now)).min()
    }
}

impl MetricResult {
    fn count(&mut self, phase: Phase) {
        let of = match phase {
            Phase::Successful => &mut self.successful,
            Phase::Failed => &mut self.failed,
            Phase::Inconclusive => &mut self.inconclusive,
            Phase::Error => &mut self.error,
            Phase::Pending | Phase::Running => return,
        };
        *of = of.saturating_add(1);
        let in_a_row = |n: i32, yes: bool| if yes { n.saturating_add(1) } else { 0 };
        self.count = self.count.saturating_add(i32::from(phase != Phase::Error));
        self.consecutive_error = in_a_row(self.consecutive_error, phase == Phase::Error);
        self.consecutive_success = in_a_row(self.consecutive_success, phase == Phase::Successful);
    }
}

/// Whether a run ends: it was told to, or a metric that decides did not pass.
#[must_use]
pub fn is_terminating(terminate: bool, results: &[MetricResult]) -> bool {
    let bad = |phase| matches!(phase, Phase::Failed | Phase::Error | Phase::Inconclusive);
    terminate || results.iter().any(|r| !r.dry_run && bad(r.phase))
}

fn due(metric: &Metric, status: &Status, terminating: bool, now: DateTime<Utc>) -> Option<Task> {
    let result = status.metric_results.iter().find(|r| r.name == metric.name);
    if result.is_some_and(|r| r.phase.completed()) {
        return None;
    }
    let task = |resume| Some(Task { metric: metric.name.clone(), resume });
    let Some((result, last)) = result.and_then(|r| Some((r, r.measurements.last()?))) else {
        if terminating {
            return None;
        }
        if !metric.initial_delay.is_empty() {
            let delay = TimeDelta::nanoseconds(duration::parse(&metric.initial_delay).ok()?);
            if status.started_at?.checked_add_signed(delay)? > now {
                return None;
            }
        }
        return task(false);
    };
    let Some(finished) = last.finished_at else {
        let later = last.resume_at.is_some_and(|at| at > now);
        return if terminating || !later { task(true) } else { None };
    };
    if terminating || metric.effective_count().is_some_and(|n| result.count >= n) {
        return None;
    }
    if now > finished.checked_add_signed(pause(metric, last)?.unwrap_or(RETRY))? { task(false) } else { None }
}

/// Time from this measurement's end to the next; an inner none where there is no interval, an outer one where it cannot
/// be read.
fn pause(metric: &Metric, last: &Measurement) -> Option<Option<TimeDelta>> {
    if last.phase == Phase::Error {
        return Some(Some(RETRY));
    }
    if metric.interval.is_empty() {
        return Some(None);
    }
    duration::parse(&metric.interval).ok().map(|ns| Some(TimeDelta::nanoseconds(ns)))
}

fn next(metric: &Metric, status: &Status, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if phase_of(status, &metric.name).is_some_and(Phase::completed) {
        return None;
    }
    let result = status.metric_results.iter().find(|r| r.name == metric.name);
    let Some((result, last)) = result.and_then(|r| Some((r, r.measurements.last()?))) else {
        if metric.initial_delay.is_empty() {
            return None;
        }
        let delay = TimeDelta::nanoseconds(duration::parse(&metric.initial_delay).ok()?);
        return status.started_at.unwrap_or(now).checked_add_signed(delay);
    };
    let Some(finished) = last.finished_at else { return last.resume_at };
    if metric.effective_count().is_some_and(|n| result.count >= n) {
        return None;
    }
    finished.checked_add_signed(pause(metric, last)??)
}

/// The names that rules match. A rule that is no regular expression matches none.
fn matched<'n>(rule: &str, names: &[&'n str]) -> Vec<&'n str> {
    match pattern::regex(rule) {
        Ok(rule) => names.iter().copied().filter(|n| rule.is_match(n)).collect(),
        Err(_) => Vec::new(),
    }
}

/// The metrics that decide nothing.
///
/// # Errors
/// A rule that matches none, in the controller's words.
pub fn dry_run(spec: &Spec, names: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut dry = BTreeSet::new();
    for (i, rule) in spec.dry_run.iter().enumerate() {
        let found = matched(&rule.metric_name, names);
        if found.is_empty() {
            return Err(format!("dryRun[{i}]: Rule didn't match any metric name(s)"));
        }
        dry.extend(found.into_iter().map(ToOwned::to_owned));
    }
    Ok(dry)
}

/// How many measurements are kept of the metrics that rules name.
///
/// # Errors
/// A rule that matches none, in the controller's words.
pub fn retention(spec: &Spec, names: &[&str]) -> Result<BTreeMap<String, usize>, String> {
    let mut kept = BTreeMap::new();
    for (i, rule) in spec.measurement_retention.iter().enumerate() {
        let found = matched(&rule.metric_name, names);
        if found.is_empty() {
            return Err(format!("measurementRetention[{i}]: Rule didn't match any metric name(s)"));
        }
        // A limit that is not above zero leaves the usual one.
        let limit = usize::try_from(rule.limit).ok().filter(|n| *n > 0).unwrap_or(KEPT);
        kept.extend(found.into_iter().map(|n| (n.to_owned(), limit)));
    }
    Ok(kept)
}

/// Forgets the oldest measurements above what is kept of each metric.
pub fn trim(results: &mut [MetricResult], kept: &BTreeMap<String, usize>, otherwise: usize) {
    for result in results {
        let kept = kept.get(&result.name).copied().unwrap_or(otherwise);
        let old = result.measurements.len().saturating_sub(kept);
        result.measurements.drain(..old);
    }
}

/// Whether the controller deletes a run that is over.
#[must_use]
pub fn expired(ttl: &Ttl, phase: Phase, completed: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    let limit = match phase {
        Phase::Successful => ttl.seconds_after_success,
        Phase::Failed => ttl.seconds_after_failure,
        _ => None,
    };
    let (Some(limit), Some(completed), true) =
        (limit.or(ttl.seconds_after_completion), completed, phase.completed())
    else {
        return false;
    };
    (now - completed).num_seconds() > i64::from(limit)
}
