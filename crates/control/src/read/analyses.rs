//! The analyses that Argo Rollouts and Tidegate run, in words: stored for a release, live for a workload without one.

use crate::Control;
use crate::analyses::{Kept, measurement, numbered, record};
use crate::error::OrProblem as _;
use chrono::{DateTime, Utc};
use judge::argo::diagnose::{Finding, Weight, diagnose};
use judge::argo::run::{Measurement, MetricResult};
use judge::argo::template::{Metric, Spec};
use judge::argo::{Phase, args};
use model::release::Release;
use model::view::{
    AnalysisFinding, AnalysisLimit, AnalysisMeasurement, AnalysisMetric, AnalysisPhase, AnalysisView,
};
use model::workload::Key;
use model::{Actor, Problem, ReleaseId};
use store::{AnalysisRecord, Measured, MeasurementRecord, OWN};

/// Measurements of a metric that a page shows: the newest.
const SHOWN: i64 = 20;
/// Of those, no more of each text.
const TEXT: usize = 160;
/// Measurements of a metric that REST gives: two days of one every two seconds.
const MOST: i64 = 100_000;

impl Control {
    /// The analyses that Argo Rollouts or Tidegate ran for a release, with every measurement that was seen.
    ///
    /// # Errors
    /// 403, 404; 503 without a database.
    pub async fn analyses(&self, actor: &Actor, id: ReleaseId) -> Result<Vec<AnalysisView>, Problem> {
        self.release_record(actor, id).await?;
        let runs = self.store().analyses(id).await.or_problem()?;
        let measured = self.store().measurements(id, MOST).await.or_problem()?;
        Ok(runs.iter().map(|run| view(run, &measured, self.now_utc(), None)).collect())
    }

    /// The same for its page, with the newest measurements. While Postgres is down, what the cluster shows.
    pub(crate) async fn analyses_of(&self, release: &Release) -> Vec<AnalysisView> {
        let now = self.now_utc();
        match self.store().analyses(release.id).await {
            Ok(runs) if runs.is_empty() => Vec::new(),
            Ok(runs) => match self.store().measurements(release.id, SHOWN).await {
                Ok(measured) => runs.iter().map(|run| view(run, &measured, now, Some(TEXT))).collect(),
                Err(_) => self.as_seen(&self.runs_of(release)),
            },
            Err(_) => self.as_seen(&self.runs_of(release)),
        }
    }

    /// Those about the version on its way into a workload, or that came in last, as the cluster shows them.
    pub(crate) fn analyses_now(&self, key: &Key) -> Vec<AnalysisView> {
        let Ok(cluster) = self.cluster(&key.cluster) else { return Vec::new() };
        let hash = cluster.workload(key).and_then(|w| w.current_hash.clone());
        let mut runs = cluster.analyses(key);
        runs.retain(|run| run.hash.is_some() && run.hash == hash);
        self.as_seen(&runs)
    }

    fn as_seen(&self, runs: &[std::sync::Arc<cluster::AnalysisRun>]) -> Vec<AnalysisView> {
        let now = self.now_utc();
        let one = |run: &cluster::AnalysisRun| {
            let mut measured = Measured::default();
            for (place, m) in numbered(&run.status) {
                measured.shown.extend(measurement(&run.uid, &place, &m));
            }
            Some(view(&record(run).ok()?, &measured, now, Some(TEXT)))
        };
        runs.iter().filter_map(|run| one(run)).collect()
    }
}

fn view(run: &AnalysisRecord, measured: &Measured, now: DateTime<Utc>, cut: Option<usize>) -> AnalysisView {
    // Another version's document may not be readable: what stands in columns still is.
    let kept: Kept = serde_json::from_value(run.document.clone()).unwrap_or_default();
    let phase = serde_json::from_value(run.phase.clone().into()).unwrap_or_default();
    let own = run.runner == OWN;
    // One that could not begin has nothing to look into.
    let found = if own && kept.spec.metrics.is_empty() { Vec::new() } else { diagnose(&kept.spec, now) };
    let (findings, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| f.metric.is_none());
    // A page has no room for what is merely good to know.
    let worth = |f: &&Finding| cut.is_none() || f.weight > Weight::Note;
    let metrics = metrics(&kept.spec);
    AnalysisView {
        uid: run.uid.clone(),
        by: if own { "Tidegate" } else { "Argo Rollouts" }.to_owned(),
        name: run.name.clone(),
        stage: stage(&run.stage, run.step),
        phase: word(phase),
        message: run.message.clone().unwrap_or_default(),
        started: kept.status.started_at.or(kept.created),
        ended: kept.status.completed_at,
        args: kept
            .spec
            .args
            .iter()
            .map(|a| (a.name.clone(), a.value.clone().unwrap_or_else(|| "from the cluster".into())))
            .collect(),
        metrics: metrics
            .iter()
            .map(|m| {
                let result = kept.status.metric_results.iter().find(|r| r.name == m.name);
                let of = |place: (&str, &str)| place == (run.uid.as_str(), m.name.as_str());
                let shown: Vec<_> =
                    measured.shown.iter().filter(|s| of((&s.uid, &s.metric))).map(|s| one(s, cut)).collect();
                let stored = measured.stored.iter().find(|(uid, name, _)| of((uid, name))).map(|(.., n)| *n);
                let findings = rest.iter().filter(|f| f.metric.as_ref() == Some(&m.name)).filter(worth);
                metric(m, &kept.spec, result, shown, stored, findings.map(finding).collect())
            })
            .collect(),
        findings: findings.iter().filter(worth).map(finding).collect(),
    }
}

/// The metrics with their arguments filled in, or as they are written where that cannot be done.
fn metrics(spec: &Spec) -> Vec<Metric> {
    args::resolve(&spec.metrics, &spec.args).unwrap_or_else(|_| spec.metrics.clone())
}

fn metric(
    m: &Metric,
    spec: &Spec,
    result: Option<&MetricResult>,
    measurements: Vec<AnalysisMeasurement>,
    stored: Option<u32>,
    findings: Vec<AnalysisFinding>,
) -> AnalysisMetric {
    let last = measurements.last().map_or(0, |m| m.number);
    let stored = stored.unwrap_or_else(|| u32::try_from(measurements.len()).unwrap_or(u32::MAX));
    let of_last = || measurements.iter().rev().find(|m| !m.message.is_empty()).map(|m| m.message.clone());
    let message = result.map(|r| r.message.clone()).filter(|m| !m.is_empty()).or_else(of_last);
    let names: Vec<&str> = spec.metrics.iter().map(|m| m.name.as_str()).collect();
    let dry = judge::argo::run::dry_run(spec, &names).is_ok_and(|dry| dry.contains(&m.name));
    AnalysisMetric {
        name: m.name.clone(),
        phase: word(result.map(|r| r.phase).unwrap_or_default()),
        dry_run: result.map_or(dry, |r| r.dry_run),
        source: source(m),
        conditions: conditions(m),
        rhythm: rhythm(m),
        limits: limits(m, result.unwrap_or(&MetricResult::default())),
        message: message.unwrap_or_default(),
        made: last,
        missed: last.saturating_sub(stored),
        measurements,
        findings,
    }
}

fn one(record: &MeasurementRecord, cut: Option<usize>) -> AnalysisMeasurement {
    let m: Measurement = serde_json::from_value(record.document.clone()).unwrap_or_default();
    let short = |text: String| match cut {
        Some(most) if text.chars().count() > most => text.chars().take(most - 1).chain(['…']).collect(),
        _ => text,
    };
    let figure = |text: String| match cut {
        Some(_) => figures(&text).unwrap_or_else(|| short(text)),
        None => text,
    };
    AnalysisMeasurement {
        number: record.number,
        phase: word(m.phase),
        at: m.finished_at.or(m.started_at),
        value: figure(m.value),
        message: short(m.message),
    }
}

/// An answer of numbers, `[0.98765 2]`, as a person reads it: `0.9877, 2`. None where it is anything else.
fn figures(answer: &str) -> Option<String> {
    let inside = answer.trim().trim_start_matches('[').trim_end_matches(']');
    let parts: Vec<f64> =
        inside.split([',', ' ']).filter(|p| !p.is_empty()).map(|p| p.parse().ok()).collect::<Option<_>>()?;
    if parts.is_empty() || parts.len() > 6 {
        return None;
    }
    let rounded = |n: f64| {
        let places = match n.abs() {
            a if a >= 1000.0 => 0,
            a if a >= 1.0 => 2,
            _ => 4,
        };
        let text = format!("{n:.places$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    Some(parts.into_iter().map(rounded).collect::<Vec<_>>().join(", "))
}

fn word(phase: Phase) -> AnalysisPhase {
    match phase {
        Phase::Pending => AnalysisPhase::Pending,
        Phase::Running => AnalysisPhase::Running,
        Phase::Successful => AnalysisPhase::Passed,
        Phase::Inconclusive => AnalysisPhase::Inconclusive,
        Phase::Error => AnalysisPhase::Error,
        Phase::Failed => AnalysisPhase::Failed,
    }
}

fn stage(stage: &str, step: Option<u32>) -> String {
    match (stage, step) {
        ("step", Some(step)) => format!("Step {} of the Rollout", step.saturating_add(1)),
        ("plan", Some(step)) => format!("Step {} of the plan", step.saturating_add(1)),
        ("step", None) => "A step of the Rollout".to_owned(),
        ("background", _) => "In the background".to_owned(),
        ("pre_promotion", _) => "Before the switch".to_owned(),
        ("post_promotion", _) => "After the switch".to_owned(),
        _ => "Beside the Rollout's steps".to_owned(),
    }
}

fn source(m: &Metric) -> String {
    match m.provider.keys().next().map(String::as_str) {
        Some("prometheus") => "Prometheus".to_owned(),
        Some("job") => "a Job".to_owned(),
        Some("web") => "a web address".to_owned(),
        Some(other) => other.to_owned(),
        None => "nobody".to_owned(),
    }
}

fn conditions(m: &Metric) -> Vec<(String, String)> {
    let both = [("Passes where", &m.success_condition), ("Fails where", &m.failure_condition)];
    both.into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(words, text)| (words.to_owned(), text.clone()))
        .collect()
}

/// When it is measured, and how often.
fn rhythm(m: &Metric) -> String {
    let times = match m.effective_count() {
        Some(1) => "once".to_owned(),
        Some(n) => format!("every {}, {n} times", m.interval),
        None => format!("every {}, until the run is ended", m.interval),
    };
    match m.initial_delay.as_str() {
        "" => times,
        delay => format!("{times}, first after {delay}"),
    }
}

fn limits(m: &Metric, r: &MetricResult) -> Vec<AnalysisLimit> {
    let mut all = Vec::new();
    let mut limit = |name: &str, n: i32, most: i32| {
        all.push(AnalysisLimit { words: format!("{name} {n}, at most {most}"), over: n > most });
    };
    if m.failures() >= 0 {
        limit("failed", r.failed, m.failures());
    }
    limit("inconclusive", r.inconclusive, m.inconclusives());
    limit("errors in a row", r.consecutive_error, m.errors());
    if m.successes() > 0 {
        let words = format!("passed in a row {}, {} wanted", r.consecutive_success, m.successes());
        all.push(AnalysisLimit { words, over: false });
    }
    all
}

fn finding(f: &Finding) -> AnalysisFinding {
    let weight = match f.weight {
        Weight::Note => "note",
        Weight::Warning => "warning",
        Weight::Fault => "fault",
    };
    AnalysisFinding { weight: weight.to_owned(), happens: f.happens.clone(), instead: f.instead.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_numbers_is_shortened_and_any_other_is_left() {
        for (answer, shown) in [
            ("[0.98765432]", Some("0.9877")),
            ("[1]", Some("1")),
            ("0.5", Some("0.5")),
            ("[10,2.126]", Some("10, 2.13")),
            ("[NaN]", Some("NaN")),
            ("[1795312345.25]", Some("1795312345")),
            ("0", Some("0")),
            ("[]", None),
            ("{\"ok\":true}", None),
            ("", None),
        ] {
            assert_eq!(figures(answer).as_deref(), shown, "{answer}");
        }
    }
}
