//! Has a release's policy look at what was measured, and records that it fired.

use crate::Control;
use crate::error::OrProblem as _;
use crate::releases::about;
use chrono::{DateTime, Utc};
use cluster::Prometheus;
use model::audit::NewEvent;
use model::policy::{Fired, FiredOn, Policy, Reading, What, fire};
use model::release::Release;
use model::verdict::Sample;
use model::{Actor, Problem};
use std::collections::BTreeMap;
use store::NewFiring;

/// Readings looked back on.
const LOOKS: i64 = judge::LOOKS as i64;

impl Control {
    /// Looks at a release's samples, of which the newest is `now` old, and fires its policy where that is due.
    pub(crate) async fn watch_policy(
        &self,
        release: &Release,
        policy: &Policy,
        samples: &[Sample],
        prometheus: &Prometheus,
    ) -> Result<(), Problem> {
        let (Some(step), Some(newest), Some(used)) = (release.step, samples.last(), &release.policy) else {
            return Ok(());
        };
        let earlier = self.store().firings(release.id).await.or_problem()?;
        let on = FiredOn::Release { id: release.id, step };
        if earlier.iter().any(|f| f.on == on) {
            return Ok(());
        }
        let beside = self.read_beside(release, policy, prometheus, newest.at).await;
        if !beside.is_empty() {
            self.store().insert_policy_reading(release.id, newest.at, &beside).await.or_problem()?;
        }
        let beside = match policy.triggers.iter().all(|t| of_samples(&t.what)) {
            true => Vec::new(),
            false => self.store().policy_readings(release.id, LOOKS).await.or_problem()?,
        };
        let readings = readings(samples, beside);
        // Whoever let it go on after it fired accepted that step; the next one is looked at anew.
        let began = release.started.unwrap_or(release.created);
        let since = if earlier.is_empty() { began } else { release.step_since.unwrap_or(began) };
        let Some(firing) = fire(policy, since, &readings) else { return Ok(()) };
        let fired = Fired { policy: policy.clone(), firing };
        let mut tx = self.store().begin().await.or_problem()?;
        let new = NewFiring { on: &on, file: used.file, policy: &used.name, fired: &fired };
        if tx.insert_firing(&new).await.or_problem()?.is_none() {
            return Ok(());
        }
        let actor = Actor::system("policies");
        let words = format!("Policy {} fired: {}", used.name, fired.words());
        let mut event = NewEvent::new(self.now_utc(), &actor, "policy.fired", words);
        about(&mut event, release);
        event.detail = serde_json::json!({ "policy": used.name, "step": step, "firing": fired.firing });
        tx.commit(event).await.or_problem()?;
        self.inner.policies.fired.notify_one();
        Ok(())
    }

    /// What the policy asks for that is not among a release's samples. A figure that cannot be read is not there.
    async fn read_beside(
        &self,
        release: &Release,
        policy: &Policy,
        prometheus: &Prometheus,
        at: DateTime<Utc>,
    ) -> Vec<(What, f64)> {
        let mut values = Vec::new();
        for trigger in policy.triggers.iter().filter(|t| !of_samples(&t.what)) {
            let value = match &trigger.what {
                What::PodRestartRate => self.restarts(release, at).await,
                What::Query { query, .. } => one(prometheus, &filled(query, &Names::of(release)), at).await,
                What::WorkflowFailureRate => {
                    one(prometheus, &cluster::workflows(&release.workload.namespace), at).await
                }
                What::ErrorRate | What::ResponseTimeP95 => None,
            };
            values.extend(value.map(|value| (trigger.what.clone(), value)));
        }
        values
    }

    async fn restarts(&self, release: &Release, at: DateTime<Utc>) -> Option<f64> {
        let cluster = self.cluster(&release.workload.cluster).ok()?;
        let rate = cluster.restart_rate(&release.workload, release.canary_hash.as_deref()?, at).await;
        rate.inspect_err(|error| tracing::debug!(%error, "restarts cannot be read")).ok().flatten()
    }
}

/// Is the figure among what every release stores?
pub(crate) fn of_samples(what: &What) -> bool {
    matches!(what, What::ErrorRate | What::ResponseTimeP95)
}

/// The one number that a query answers; none where it answers several or no series.
pub(super) async fn one(prometheus: &Prometheus, query: &str, at: DateTime<Utc>) -> Option<f64> {
    match prometheus.query(query, at).await {
        Ok(series) if series.len() == 1 => series.first().and_then(|s| s.value),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, "a policy's query cannot be read");
            None
        }
    }
}

/// What stands in a query in the places that AnalysisTemplates have for arguments.
pub(crate) struct Names<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) workload: &'a str,
    pub(crate) service: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) canary_hash: &'a str,
    pub(crate) stable_hash: &'a str,
}

impl<'a> Names<'a> {
    pub(crate) fn of(release: &'a Release) -> Self {
        Self {
            namespace: &release.workload.namespace,
            workload: &release.workload.name,
            service: &release.service,
            environment: &release.environment,
            canary_hash: release.canary_hash.as_deref().unwrap_or_default(),
            stable_hash: &release.known_good.hash,
        }
    }
}

/// A query with names in it.
pub(crate) fn filled(query: &str, names: &Names<'_>) -> String {
    let names = [
        ("namespace", names.namespace),
        ("workload", names.workload),
        ("service-name", names.service),
        ("environment", names.environment),
        ("canary-hash", names.canary_hash),
        ("stable-hash", names.stable_hash),
    ];
    names
        .iter()
        .fold(query.to_owned(), |query, (name, value)| query.replace(&format!("{{{{args.{name}}}}}"), value))
}

/// Samples as a policy reads them, each with what was read beside it.
pub(crate) fn readings(samples: &[Sample], beside: Vec<store::Beside>) -> Vec<Reading> {
    let mut beside: BTreeMap<DateTime<Utc>, Vec<(What, f64)>> = beside.into_iter().collect();
    let with = |sample: &Sample| {
        let mut reading = Reading::of(sample);
        // Postgres keeps microseconds, of both.
        reading.values.extend(beside.remove(&sample.at).unwrap_or_default());
        reading
    };
    samples.iter().map(with).collect()
}
