//! What a policy would have done: on the releases of the last days, by what was stored of them, and on the services themselves, by
//! what Prometheus still knows.

use super::Place;
use super::services::names;
use super::watch::{filled, of_samples, readings};
use crate::Control;
use crate::error::OrProblem as _;
use crate::read::see;
use chrono::{DateTime, TimeDelta, Utc};
use cluster::{Prometheus, service_history};
use model::policy::{Fired, LOOK, Policies, Policy, What, episodes, fire, from_yaml, governing};
use model::view::{DryRun, ServiceRun, WouldFire, WouldFireOn};
use model::workload::Workload;
use model::{Actor, Problem};
use std::sync::Arc;
use std::time::Duration;
use store::{ReleaseFilter, Store};

/// Releases looked at in one go.
const RELEASES: i64 = 200;
/// Samples of one release that are looked at: a day of looks.
const SAMPLES: i64 = 30_000;
/// Services whose past is read.
const SERVICES: usize = 20;
/// How long that may take in all.
const WITHIN: Duration = Duration::from_secs(30);

impl Control {
    /// What the policies of a text would have done in the last days, to releases and to the services that they govern. With a place
    /// those are the ones that a file there rules; without, all.
    ///
    /// # Errors
    /// 403; 422 for a text with faults; 503 without a database.
    pub async fn try_policies(
        &self,
        actor: &Actor,
        text: &str,
        days: u16,
        place: Option<Place>,
    ) -> Result<Vec<DryRun>, Problem> {
        see(actor)?;
        let policies: Policies = from_yaml(text)?.policies;
        let mut all = Vec::new();
        let deadline = tokio::time::Instant::now() + WITHIN;
        for (name, policy) in &policies {
            let mut run = tried(self.store(), name, policy, days, None).await.or_problem()?;
            run.services = self.past(&policies, name, days, place.as_ref(), deadline).await;
            all.push(run);
        }
        Ok(all)
    }

    /// The services that `name` of `policies` governs, one after the other, by what Prometheus has of them.
    async fn past(
        &self,
        policies: &Policies,
        name: &str,
        days: u16,
        place: Option<&Place>,
        deadline: tokio::time::Instant,
    ) -> Option<ServiceRun> {
        let policy = policies.get(name)?;
        let all = self.governed(policies, name, place);
        let mut run = ServiceRun { seen: 0, left: 0, fired: Vec::new(), unread: None, untried: Vec::new() };
        for (i, (w, prometheus)) in all.iter().enumerate() {
            if i >= SERVICES || tokio::time::Instant::now() >= deadline {
                run.left = all.len() - i;
                break;
            }
            let to = self.now_utc();
            let read = past_of(policy, w, prometheus, (to - TimeDelta::days(i64::from(days)), to));
            match tokio::time::timeout_at(deadline, read).await {
                Ok(Ok(fired)) => {
                    run.seen += 1;
                    run.fired.extend(fired);
                }
                Ok(Err(words)) => {
                    run.unread = Some(words);
                    run.left += 1;
                }
                Err(_) => run.left += 1,
            }
        }
        run.fired.sort_by_key(|f| std::cmp::Reverse(f.at));
        let restarts = policy.triggers.iter().filter(|t| t.what == What::PodRestartRate);
        run.untried = restarts.map(|t| t.what.words().to_owned()).collect();
        (!all.is_empty()).then_some(run)
    }

    fn governed(
        &self,
        policies: &Policies,
        name: &str,
        place: Option<&Place>,
    ) -> Vec<(Arc<Workload>, Prometheus)> {
        let mut all = Vec::new();
        for cluster in self.clusters() {
            let Some(prometheus) = self.prometheus(cluster.name()) else { continue };
            for w in cluster.workloads().iter() {
                let ruled = place.is_none_or(|place| self.rules(place, w));
                let named = governing(policies, &w.service, &w.environment);
                if ruled && named.is_some_and(|(of, _)| of == name) {
                    all.push((w.clone(), prometheus.clone()));
                }
            }
        }
        all
    }
}

async fn past_of(
    policy: &Policy,
    w: &Workload,
    prometheus: &Prometheus,
    range: (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<WouldFireOn>, String> {
    let whats: Vec<&What> = policy.triggers.iter().map(|t| &t.what).collect();
    let hash = w.stable_hash.as_deref().unwrap_or_default();
    let own = whats.iter().filter_map(|what| match what {
        What::Query { query, .. } => Some(((*what).clone(), filled(query, &names(w, hash)))),
        _ => None,
    });
    let own: Vec<_> = own.collect();
    let readings = service_history(prometheus, w, &whats, &own, range, LOOK).await?;
    let one = |firing| {
        let fired = Fired { policy: policy.clone(), firing };
        WouldFireOn {
            workload: w.key.clone(),
            service: w.service.clone(),
            at: fired.firing.at,
            words: fired.words(),
        }
    };
    Ok(episodes(policy, &readings).into_iter().map(one).collect())
}

/// Which releases of the last days a policy would have fired on, by what was measured then.
///
/// # Errors
/// As for any read of the store.
pub async fn tried(
    store: &Store,
    name: &str,
    policy: &Policy,
    days: u16,
    service: Option<String>,
) -> store::Result<DryRun> {
    let since = Utc::now() - TimeDelta::days(i64::from(days));
    let untried = policy.triggers.iter().map(|t| &t.what).filter(|w| !of_samples(w));
    let untried = untried.map(|w| What::words(w).to_owned()).collect();
    let mut run = DryRun {
        policy: name.to_owned(),
        days,
        fired: Vec::new(),
        seen: 0,
        without: 0,
        untried,
        services: None,
    };
    let mut before = None;
    loop {
        let filter = ReleaseFilter { service: service.clone(), before, ..ReleaseFilter::default() };
        let page = store.releases(&filter, RELEASES).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for release in page.iter().filter(|r| r.created >= since) {
            let samples = store.samples(release.id, None, SAMPLES).await?;
            let Some(first) = samples.first() else {
                run.without += 1;
                continue;
            };
            run.seen += 1;
            let beside = store.policy_readings(release.id, SAMPLES).await?;
            let began = release.started.unwrap_or(first.at);
            if let Some(firing) = fire(policy, began, &readings(&samples, beside)) {
                let fired = Fired { policy: policy.clone(), firing };
                run.fired.push(WouldFire {
                    release: release.id,
                    service: release.service.clone(),
                    version: release.version(),
                    at: fired.firing.at,
                    words: fired.words(),
                    ended: release.state.words().to_owned(),
                });
            }
        }
        if last.created < since {
            break;
        }
    }
    Ok(run)
}
