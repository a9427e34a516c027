//! Services that a policy watches all the time: read every quarter of a minute while no release of theirs is under way.
//!
//! Each replica reads for itself, and whoever comes first records that a policy fired; the next one finds it there. What was read is
//! kept in memory: a process that starts anew needs its readings in a row again.

use super::watch::{Names, filled, of_samples, one};
use crate::Control;
use crate::error::OrProblem as _;
use crate::{read_lock, write_lock};
use chrono::{DateTime, Utc};
use cluster::{Prometheus, service_reading};
use futures::future::join_all;
use model::audit::NewEvent;
use model::policy::{Fired, FiredOn, LOOK, Policy, Reading, ServiceAt, What, fire, is_quiet};
use model::release::PolicyUsed;
use model::workload::{Key, Workload};
use model::{Actor, Problem};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use store::{FiringRecord, NewFiring};

/// Readings kept of a service: as many as a policy may ask for in a row, and what proves that it is quiet.
const KEPT: usize = 128;
/// Services read at once.
const AT_ONCE: usize = 8;

/// What was read of a service, while its version and its policy stayed the same.
#[derive(Debug)]
pub(super) struct Watched {
    since: DateTime<Utc>,
    hash: String,
    file: i64,
    readings: Vec<Reading>,
}

/// A service to be read.
struct Due {
    workload: Arc<Workload>,
    hash: String,
    used: PolicyUsed,
    policy: Policy,
}

impl Control {
    pub(crate) async fn run_services(&self) {
        let mut tick = tokio::time::interval(LOOK.to_std().unwrap_or_default());
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(problem) = self.look_at_services().await {
                tracing::debug!(%problem, "services are watched again when the database answers");
            }
        }
    }

    async fn look_at_services(&self) -> Result<(), Problem> {
        let open = self.store().open_firings().await.or_problem()?;
        let due = self.services_due();
        let keys: HashSet<Key> = due.iter().map(|d| d.workload.key.clone()).collect();
        write_lock(&self.inner.policies.watched).retain(|key, _| keys.contains(key));
        for some in due.chunks(AT_ONCE) {
            let looked = join_all(some.iter().map(|d| self.look_at_service(d, &open))).await;
            looked.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        for firing in &open {
            if let FiredOn::Service(at) = &firing.on
                && !keys.contains(&at.workload)
                && self.is_unwatched(&at.workload)
            {
                self.service_over(firing, at, "it is not watched any more").await?;
            }
        }
        Ok(())
    }

    /// Services whose policy watches all the time, and that have no release under way.
    fn services_due(&self) -> Vec<Due> {
        let mut due = Vec::new();
        for cluster in self.clusters().iter().filter(|c| self.prometheus(c.name()).is_some()) {
            for workload in cluster.workloads().iter() {
                let w = &**workload;
                let (Some(hash), Some((used, policy))) = (w.stable_hash.clone(), self.service_policy(w))
                else {
                    continue;
                };
                if !self.is_driven(&w.key) {
                    due.push(Due { workload: workload.clone(), hash, used, policy });
                }
            }
        }
        due
    }

    fn is_driven(&self, key: &Key) -> bool {
        read_lock(&self.inner.active).values().any(|r| r.workload == *key)
    }

    /// The policy that watches a service between releases.
    pub(super) fn service_policy(&self, w: &Workload) -> Option<(PolicyUsed, Policy)> {
        let used = self.policy_for(&w.key, &w.service, &w.environment)?;
        let policy = read_lock(&self.inner.policies.contents).get(&used.file)?.get(&used.name)?.clone();
        policy.services.is_some().then_some((used, policy))
    }

    /// It is known for certain that nothing watches it: not while a cluster or its files are still being read.
    fn is_unwatched(&self, key: &Key) -> bool {
        let Ok(cluster) = self.cluster(&key.cluster) else { return true };
        let known = cluster.synced().is_some() && !self.inner.policies.files().is_empty();
        known && cluster.workload(key).is_none_or(|w| self.service_policy(&w).is_none())
    }

    async fn look_at_service(&self, due: &Due, open: &[FiringRecord]) -> Result<(), Problem> {
        let Due { workload: w, policy, .. } = due;
        let Some(prometheus) = self.prometheus(&w.key.cluster) else { return Ok(()) };
        let now = self.now_utc();
        let reading = self.read_service(due, prometheus, now).await;
        let (since, readings) = self.keep(due, reading, now);
        let of = |f: &&FiringRecord| matches!(&f.on, FiredOn::Service(at) if at.workload == w.key);
        if let Some(firing) = open.iter().find(of) {
            if let FiredOn::Service(at) = &firing.on
                && is_quiet(&firing.fired.policy, &readings, now)
            {
                self.service_over(firing, at, "nothing is beyond its limit any more").await?;
            }
            return Ok(());
        }
        if fire(policy, since, &readings).is_none() {
            return Ok(());
        }
        // What ended, here or elsewhere, is not begun again by what led to it.
        let last = self.store().service_firings(&w.key).await.or_problem()?.pop();
        if last.as_ref().is_some_and(|l| l.ended.is_none()) {
            return Ok(());
        }
        let since = last.and_then(|l| l.ended).map_or(since, |ended| since.max(ended));
        let Some(firing) = fire(policy, since, &readings) else { return Ok(()) };
        self.service_fired(due, Fired { policy: policy.clone(), firing }, now).await
    }

    async fn service_fired(&self, due: &Due, fired: Fired, now: DateTime<Utc>) -> Result<(), Problem> {
        let Due { workload: w, used, hash, .. } = due;
        let at = ServiceAt {
            workload: w.key.clone(),
            service: w.service.clone(),
            environment: w.environment.clone(),
            version: w.stable_version(),
            hash: hash.clone(),
        };
        let on = FiredOn::Service(Box::new(at));
        let mut tx = self.store().begin().await.or_problem()?;
        let new = NewFiring { on: &on, file: used.file, policy: &used.name, fired: &fired };
        if tx.insert_firing(&new).await.or_problem()?.is_none() {
            return Ok(());
        }
        tx.notify(format!("workload:{}", w.key));
        let words = format!("Policy {} fired on {}: {}", used.name, w.service, fired.words());
        let mut event = service_event(now, "policy.fired", words, &w.service, &w.environment);
        event.detail = serde_json::json!({ "policy": used.name, "workload": w.key, "firing": fired.firing });
        tx.commit(event).await.or_problem()?;
        self.announce(format!("workload:{}", w.key));
        self.inner.policies.fired.notify_one();
        Ok(())
    }

    async fn read_service(&self, due: &Due, prometheus: &Prometheus, at: DateTime<Utc>) -> Reading {
        let w = &due.workload;
        let whats: Vec<&What> = due.policy.triggers.iter().map(|t| &t.what).collect();
        let mut reading = match service_reading(prometheus, w, &whats, at).await {
            Ok(reading) => reading,
            Err(error) => {
                tracing::debug!(%error, service = w.service, "a service cannot be read");
                return Reading { at, requests: 0.0, values: BTreeMap::new() };
            }
        };
        for what in whats.into_iter().filter(|w| !of_samples(w)) {
            let value = match what {
                What::Query { query, .. } => one(prometheus, &filled(query, &names(w, &due.hash)), at).await,
                What::PodRestartRate => match self.cluster(&w.key.cluster) {
                    Ok(cluster) => cluster.restart_rate(&w.key, &due.hash, at).await.ok().flatten(),
                    Err(_) => None,
                },
                What::ErrorRate | What::ResponseTimeP95 | What::WorkflowFailureRate => None,
            };
            reading.values.extend(value.map(|value| (what.clone(), value)));
        }
        reading
    }

    /// All readings of a service in its present version, and since when they are of it.
    fn keep(&self, due: &Due, reading: Reading, now: DateTime<Utc>) -> (DateTime<Utc>, Vec<Reading>) {
        let mut all = write_lock(&self.inner.policies.watched);
        let new =
            || Watched { since: now, hash: due.hash.clone(), file: due.used.file, readings: Vec::new() };
        let watched = all.entry(due.workload.key.clone()).or_insert_with(new);
        if watched.hash != due.hash || watched.file != due.used.file {
            *watched = new();
        }
        watched.readings.push(reading);
        let surplus = watched.readings.len().saturating_sub(KEPT);
        watched.readings.drain(..surplus);
        (watched.since, watched.readings.clone())
    }
}

pub(super) fn names<'a>(w: &'a Workload, hash: &'a str) -> Names<'a> {
    Names {
        namespace: &w.key.namespace,
        workload: &w.key.name,
        service: &w.service,
        environment: &w.environment,
        canary_hash: hash,
        stable_hash: hash,
    }
}

/// An event of the policies' about a service between releases.
pub(super) fn service_event(
    now: DateTime<Utc>,
    action: &str,
    words: String,
    service: &str,
    environment: &str,
) -> NewEvent {
    let mut event = NewEvent::new(now, &Actor::system("policies"), action, words);
    event.service = Some(service.to_owned());
    event.environment = Some(environment.to_owned());
    event
}
