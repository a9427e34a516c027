//! Runs of Tidegate's own again, from what is stored of them.

use crate::analyses::Kept;
use crate::error::OrProblem as _;
use judge::argo::own;
use judge::argo::run::{Measurement, Status};
use model::{Problem, ReleaseId};
use std::collections::BTreeMap;
use store::{OWN, Store};

/// Measurements read of one metric, at most.
const MOST: i64 = 100_000;

/// How a run came out again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedRun {
    /// The template.
    pub name: String,
    /// The plan's step, counted from 0.
    pub step: Option<u32>,
    /// As it was stored.
    pub phase: String,
    /// What is different now, in words; empty where nothing is.
    pub other: Vec<String>,
}

/// Recomputes every run of a release's templates from its measurements.
///
/// # Errors
/// 404; 503 without a database; 500 for what cannot be read.
pub async fn replay_templates(store: &Store, id: ReleaseId) -> Result<Vec<ReplayedRun>, Problem> {
    let runs = store.analyses(id).await.or_problem()?;
    let measured = store.measurements(id, MOST).await.or_problem()?;
    let mut all = Vec::new();
    for run in runs.into_iter().filter(|run| run.runner == OWN) {
        let broken = |e: serde_json::Error| {
            store::Error::Corrupt(format!("The analysis {} cannot be read: {e}.", run.uid))
        };
        let kept: Kept = serde_json::from_value(run.document.clone()).map_err(broken).or_problem()?;
        let mut made = Vec::new();
        for m in measured.shown.iter().filter(|m| m.uid == run.uid) {
            let one: Measurement = serde_json::from_value(m.document.clone()).map_err(broken).or_problem()?;
            made.push((m.metric.clone(), one));
        }
        let stopped = kept.status.completed_at.filter(|_| kept.spec.terminate);
        let other = match kept.status.started_at.filter(|_| !kept.spec.metrics.is_empty()) {
            // It could not begin: nothing was measured.
            None => Vec::new(),
            Some(started) => match own::again(&kept.spec, started, &made, stopped) {
                Ok(again) => different(&kept.status, &again),
                Err(why) => vec![why],
            },
        };
        all.push(ReplayedRun { name: run.name, step: run.step, phase: run.phase, other });
    }
    Ok(all)
}

fn different(stored: &Status, again: &own::Again) -> Vec<String> {
    let mut other: Vec<String> = again
        .other
        .iter()
        .map(|(metric, was, is)| format!("A measurement of {metric} was {was} and is {is}."))
        .collect();
    let (was, is) = (bare(stored), bare(&again.status));
    if (was.phase, &was.message) != (is.phase, &is.message) {
        other.push(format!("It was {}: {} It is {}: {}", was.phase, was.message, is.phase, is.message));
    }
    if was != is && other.is_empty() {
        other.push("Its counts or times are others.".to_owned());
    }
    other
}

/// Without measurements, its metrics by name.
fn bare(status: &Status) -> Status {
    let mut status = status.clone();
    let all: BTreeMap<_, _> = status
        .metric_results
        .drain(..)
        .map(|mut r| {
            r.measurements.clear();
            (r.name.clone(), r)
        })
        .collect();
    status.metric_results = all.into_values().collect();
    status
}
