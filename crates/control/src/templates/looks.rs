//! One run of ours: from what is stored to what is asked, and back.

use super::{counts, nothing};
use crate::Control;
use crate::analyses::{Kept, kept_of, measurement};
use crate::error::OrProblem as _;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use judge::argo::Phase;
use judge::argo::own;
use judge::argo::run::{Analysis, Measurement, Status};
use judge::argo::template::{Metric, Spec};
use model::checked::Outcome;
use model::release::Release;
use model::{Problem, ReleaseId};
use store::{AnalysisRecord, MeasurementRecord, OWN};

/// A run of Tidegate's own as it was read, with the last measurement of each metric.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) record: AnalysisRecord,
    kept: Kept,
    pub(crate) status: Status,
}

impl Own {
    /// One that begins, or, where it cannot, has ended as an error.
    pub(super) fn new(
        release: &Release,
        uid: String,
        step: usize,
        name: &str,
        spec: Result<Spec, String>,
        now: DateTime<Utc>,
    ) -> Self {
        let begun = spec.and_then(|spec| Ok((Analysis::new(&spec)?, spec)));
        let (spec, status) = match begun {
            Ok((analysis, spec)) => {
                let mut status = Status::default();
                analysis.settle(&mut status, now);
                (spec, status)
            }
            Err(message) => {
                let status = Status {
                    phase: Phase::Error,
                    message,
                    started_at: Some(now),
                    completed_at: Some(now),
                    ..Status::default()
                };
                (nothing(), status)
            }
        };
        let record = AnalysisRecord {
            runner: OWN.to_owned(),
            uid,
            name: name.to_owned(),
            stage: "plan".to_owned(),
            step: u32::try_from(step).ok(),
            hash: release.canary_hash.clone(),
            phase: String::new(),
            message: None,
            progress: 0,
            document: serde_json::Value::Null,
        };
        Self { record, kept: Kept { created: Some(now), spec, status: Status::default() }, status }
    }

    fn read(record: AnalysisRecord, last: &[MeasurementRecord]) -> Result<Self, Problem> {
        let broken = |e: serde_json::Error| {
            store::Error::Corrupt(format!("The analysis {} cannot be read: {e}.", record.uid))
        };
        let kept: Kept = serde_json::from_value(record.document.clone()).map_err(broken).or_problem()?;
        let mut status = kept.status.clone();
        for result in &mut status.metric_results {
            let of = |m: &&MeasurementRecord| m.uid == record.uid && m.metric == result.name;
            for m in last.iter().filter(of) {
                let m: Measurement =
                    serde_json::from_value(m.document.clone()).map_err(broken).or_problem()?;
                result.measurements.push(m);
            }
        }
        Ok(Self { record, kept, status })
    }

    pub(super) fn step(&self) -> Option<usize> {
        self.record.step.and_then(|step| usize::try_from(step).ok())
    }

    /// What it came to, in words; none while it runs.
    pub(super) fn outcome(&self) -> Option<(Outcome, String)> {
        let words = own::words(&self.record.name, &self.kept.spec, &self.status);
        Some((counts(self.status.phase)?, words))
    }

    /// As it is to be stored now. Progress counts measurements, and the end.
    pub(super) fn record(&self) -> Result<AnalysisRecord, Problem> {
        let made = self.status.metric_results.iter().map(|r| i64::from(r.count) + i64::from(r.error));
        let kept = kept_of(self.kept.created, &self.kept.spec, &self.status);
        let broken = |e| store::Error::Corrupt(format!("An analysis cannot be stored: {e}."));
        Ok(AnalysisRecord {
            phase: self.status.phase.name().to_owned(),
            message: Some(self.status.message.clone()).filter(|m| !m.is_empty()),
            progress: made.sum::<i64>() * 2 + i64::from(self.status.phase.completed()),
            document: serde_json::to_value(kept).map_err(broken).or_problem()?,
            ..self.record.clone()
        })
    }

    /// The number that the next measurement of a metric has.
    fn next_number(&self, metric: &str) -> u32 {
        let made = self.status.metric_results.iter().find(|r| r.name == metric);
        made.map_or(1, |r| {
            u32::try_from(r.count.saturating_add(r.error).saturating_add(1)).unwrap_or(u32::MAX)
        })
    }
}

impl Control {
    pub(super) async fn own_runs(&self, id: ReleaseId) -> Result<Vec<Own>, Problem> {
        let mut runs = self.store().analyses(id).await.or_problem()?;
        runs.retain(|run| run.runner == OWN);
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let last = self.store().measurements(id, 1).await.or_problem()?;
        runs.into_iter().map(|run| Own::read(run, &last.shown)).collect()
    }

    /// Measures what is due. Whether anything was.
    pub(super) async fn look_at(&self, release: &Release, run: &mut Own) -> Result<bool, Problem> {
        let analysis = match Analysis::new(&run.kept.spec) {
            Ok(analysis) => analysis,
            Err(why) => return Err(Problem::conflict(why)),
        };
        // One time for the whole look: what was asked, when, and what follows from it.
        let now = self.now_utc();
        let due = analysis.due(&run.status, now);
        if due.is_empty() {
            return Ok(false);
        }
        let asked = due.iter().filter_map(|task| {
            let metric = analysis.metrics().iter().find(|m| m.name == task.metric)?;
            Some(async move { (metric.name.clone(), self.measure(release, metric, now).await) })
        });
        let measured: Vec<(String, Measurement)> = join_all(asked).await;
        let made = measured
            .iter()
            .map(|(name, m)| measurement(&run.record.uid, &(name.clone(), run.next_number(name)), m));
        let made = made.collect::<Result<Vec<_>, _>>().or_problem()?;
        own::take(&analysis, &mut run.status, measured, now);
        self.advance(release, run, &made).await
    }

    /// Ends a run that decides nothing any more.
    pub(super) async fn end_run(&self, release: &Release, run: &mut Own) -> Result<bool, Problem> {
        let mut analysis = match Analysis::new(&run.kept.spec) {
            Ok(analysis) => analysis,
            Err(why) => return Err(Problem::conflict(why)),
        };
        analysis.terminate();
        analysis.settle(&mut run.status, self.now_utc());
        run.kept.spec.terminate = true;
        self.advance(release, run, &[]).await
    }

    async fn advance(
        &self,
        release: &Release,
        run: &mut Own,
        made: &[MeasurementRecord],
    ) -> Result<bool, Problem> {
        let record = run.record()?;
        let from = run.record.progress;
        if !self.store().advance_analysis(release.id, &record, from, made).await.or_problem()? {
            return Err(Problem::conflict("Somebody else looked at the same moment."));
        }
        run.record = record;
        Ok(true)
    }

    /// Asks Prometheus, and says what its answer is.
    async fn measure(&self, release: &Release, metric: &Metric, now: DateTime<Utc>) -> Measurement {
        own::measured(metric, self.ask_metric(&release.workload.cluster, metric, now).await, now)
    }

    /// What the cluster's Prometheus replies to a metric's query.
    ///
    /// # Errors
    /// Why there is no reply, in words.
    pub(super) async fn ask_metric(
        &self,
        cluster: &str,
        metric: &Metric,
        now: DateTime<Utc>,
    ) -> Result<(u16, String), String> {
        let question = own::question(metric, now)?;
        let prometheus = self
            .prometheus(cluster)
            .ok_or_else(|| format!("No Prometheus is named for the cluster {cluster}"))?;
        let time = |at: DateTime<Utc>| format!("{}.{:03}", at.timestamp(), at.timestamp_subsec_millis());
        let reply = match question.range {
            None => prometheus.reply("query", &[("query", question.query), ("time", &time(now))]).await,
            Some(range) => {
                let step = format!("{:.3}", range.step.num_milliseconds() as f64 / 1000.0);
                let form = [
                    ("query", question.query),
                    ("start", &time(range.start)),
                    ("end", &time(range.end)),
                    ("step", &step),
                ];
                prometheus.reply("query_range", &form).await
            }
        };
        reply.map_err(|e| e.to_string())
    }
}
