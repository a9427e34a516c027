//! How a metric stands by its measurements, and a run by its metrics.

use super::phase::Phase;
use super::run::{Analysis, MetricResult, Status, Summary, is_terminating};
use super::template::Metric;

pub(super) fn phase_of(status: &Status, metric: &str) -> Option<Phase> {
    status.metric_results.iter().find(|r| r.name == metric).map(|r| r.phase)
}

/// Which limit a metric is above, and how. Of several the last one named here is told: errors before inconclusive ones
/// before failures.
#[must_use]
pub fn limit(metric: &Metric, result: &MetricResult) -> Option<(Phase, String)> {
    let mut above = None;
    let failures = metric.failures();
    if failures >= 0 && result.failed > failures {
        above = Some((Phase::Failed, format!("failed ({}) > failureLimit ({failures})", result.failed)));
    }
    let inconclusives = metric.inconclusives();
    if result.inconclusive > inconclusives {
        let words = format!("inconclusive ({}) > inconclusiveLimit ({inconclusives})", result.inconclusive);
        above = Some((Phase::Inconclusive, words));
    }
    let errors = metric.errors();
    if result.consecutive_error > errors {
        let words =
            format!("consecutiveErrors ({}) > consecutiveErrorLimit ({errors})", result.consecutive_error);
        above = Some((Phase::Error, words));
    }
    above
}

/// How a metric stands. `terminating`: nothing more will be measured.
#[must_use]
pub fn metric(metric: &Metric, result: &MetricResult, terminating: bool) -> Phase {
    if result.phase.completed() {
        return result.phase;
    }
    match result.measurements.last() {
        // Ended before anything was measured: that passes.
        None => return if terminating { Phase::Successful } else { Phase::Pending },
        Some(last) if !last.phase.completed() => return Phase::Running,
        Some(_) => {}
    }
    if let Some((phase, _)) = limit(metric, result) {
        return phase;
    }
    let wanted = metric.successes();
    if wanted > 0 && result.consecutive_success >= wanted {
        return Phase::Successful;
    }
    if metric.effective_count().is_some_and(|n| result.count >= n) {
        return match (metric.failures() >= 0, wanted > 0) {
            // Neither enough failures nor enough successes in a row.
            (true, true) => Phase::Inconclusive,
            (false, true) => Phase::Failed,
            _ => Phase::Successful,
        };
    }
    if terminating { Phase::Successful } else { Phase::Running }
}

impl Summary {
    fn add(&mut self, phase: Option<Phase>) {
        let of = match phase {
            Some(Phase::Error) => &mut self.error,
            Some(Phase::Failed) => &mut self.failed,
            Some(Phase::Inconclusive) => &mut self.inconclusive,
            _ => &mut self.successful,
        };
        *of += 1;
    }
}

/// Brings the metrics' phases up to date and says how the run stands, and why.
pub(super) fn run(analysis: &Analysis, status: &mut Status) -> (Phase, String) {
    // Asked once, before: a metric that fails now ends the run at the next look.
    let terminating = is_terminating(analysis.terminate, &status.metric_results);
    let mut message = if analysis.terminate { "Run Terminated".to_owned() } else { String::new() };
    let mut worst: Option<Phase> = None;
    let mut completed = true;
    let (mut deciding, mut dry) = (Summary::default(), Summary::default());
    for m in &analysis.metrics {
        let is_dry = analysis.dry.contains(&m.name);
        if is_dry {
            dry.count += 1
        } else {
            deciding.count += 1
        }
        let Some(result) = status.metric_results.iter_mut().find(|r| r.name == m.name) else {
            completed = false;
            continue;
        };
        let phase = metric(m, result, terminating);
        if phase != result.phase {
            if let Some(last) = result.measurements.last() {
                result.message.clone_from(&last.message);
            }
            result.phase = phase;
        }
        if !phase.completed() {
            completed = false;
            continue;
        }
        let above = limit(m, result);
        let why = above.as_ref().map(|(_, words)| words.as_str());
        if is_dry {
            worst.get_or_insert(Phase::Successful);
            if let Some(why) = why {
                result.message = format!("Metric assessed {phase} due to {why}");
            }
            dry.add(above.map(|(p, _)| p));
            continue;
        }
        if worst.is_none_or(|w| w.is_worse(phase)) {
            worst = Some(phase);
            if let Some(why) = why {
                message = format!("Metric \"{}\" assessed {phase} due to {why}", m.name);
                if !result.message.is_empty() {
                    message.push_str(&format!(": \"Error Message: {}\"", result.message));
                }
            }
        }
        deciding.add(above.map(|(p, _)| p));
    }
    status.run_summary = deciding;
    status.dry_run_summary = Some(dry);
    match worst {
        _ if terminating => (worst.unwrap_or(Phase::Successful), message.trim().to_owned()),
        Some(worst) if completed => (worst, message.trim().to_owned()),
        _ => (Phase::Running, String::new()),
    }
}
