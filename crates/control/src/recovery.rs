//! Watches the error rate of a service after its rollback, until it is back under its limit or [`WATCHED`] is over.
//!
//! The effect on the cluster ends a rollback; this is observed beside it and after it, and keeps nothing from ending.
//! Every replica looks for itself, so that its pages know. That it is back is recorded once, by whoever sees it first.

use crate::error::OrProblem as _;
use crate::releases::about;
use crate::{Control, read_lock, write_lock};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use judge::{Recovery, rate_of, recovery};
use model::audit::NewEvent;
use model::known_good::carries_all;
use model::release::{Course, Recovered, Release};
use model::rollback::Proof;
use model::verdict::{Limits, Side};
use model::view::ProofView;
use model::workload::{Key, Workload};
use model::{Actor, AttemptId, Problem, ReleaseId};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Time between two looks at the metrics.
const EVERY: Duration = Duration::from_secs(3);
/// How long the error rate is watched after the way back.
pub(crate) const WATCHED: TimeDelta = TimeDelta::minutes(5);
/// Releases read at the start, to go on watching what another process watched.
const LATEST: i64 = 50;

/// What is seen, for pages.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    releases: HashMap<ReleaseId, String>,
    /// Of rollbacks without a release: since when users are back, and what is seen.
    workloads: HashMap<Key, Press>,
}

#[derive(Clone, Debug, PartialEq)]
struct Press {
    /// When it was pressed: tells one from the next.
    pressed: DateTime<Utc>,
    arrived: DateTime<Utc>,
    at: Option<DateTime<Utc>>,
    words: String,
}

impl Control {
    pub(crate) async fn run_recovery(&self) {
        // Which releases have lately gone back: none is missed that was ever under way here.
        let mut known: HashMap<ReleaseId, Option<Release>> = HashMap::new();
        let mut seeded = false;
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !seeded && self.inner.database.load(Ordering::Relaxed) {
                let latest = self.found(store::ReleaseFilter::default(), LATEST).await.unwrap_or_default();
                seeded = !latest.is_empty() || self.inner.database.load(Ordering::Relaxed);
                known.extend(latest.into_iter().filter(|r| r.ended.is_some()).map(|r| (r.id, Some(r))));
            }
            self.take_in(&mut known).await;
            let now = self.now_utc();
            known.retain(|_, r| {
                r.as_ref().is_none_or(|r| watched_from(r).is_some_and(|from| now < from + WATCHED))
            });
            let going = known.values().flatten().filter(|r| r.recovered.is_none());
            join_all(going.map(|release| self.watch_release(release))).await;
            write_lock(&self.inner.recovering).releases.retain(|id, _| known.contains_key(id));
            self.watch_presses().await;
        }
    }

    /// Puts in what is under way, and reads again what has left it or is on its way back.
    async fn take_in(&self, known: &mut HashMap<ReleaseId, Option<Release>>) {
        let active: Vec<_> = read_lock(&self.inner.active).values().cloned().collect();
        let left: Vec<ReleaseId> = known
            .iter()
            .filter(|(id, r)| r.is_none() && active.iter().all(|a| a.id != **id))
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            if let Ok(release) = self.store().release(id).await {
                known.insert(id, Some(release));
            }
        }
        for release in active {
            let back = watched_from(&release).is_some();
            known.insert(release.id, back.then(|| (*release).clone()));
        }
    }

    /// What was last seen of a release's error rate; `None` when it is not watched.
    pub(crate) fn errors_of(&self, id: ReleaseId) -> Option<String> {
        read_lock(&self.inner.recovering).releases.get(&id).cloned()
    }

    /// The same of a rollback without a release, as a piece of proof.
    pub(crate) fn errors_since_press(&self, key: &Key) -> Option<ProofView> {
        let watched = read_lock(&self.inner.recovering);
        let press = watched.workloads.get(key)?;
        Some(ProofView { name: name(&Limits::default()), at: press.at, words: press.words.clone() })
    }

    async fn watch_release(&self, release: &Release) {
        let Some(from) = watched_from(release) else { return };
        let Ok(plan) = self.plan_of(release).await else { return };
        let Some(workload) = self.workload_of(release) else { return };
        let words = match self.measured(&workload, from, &plan.spec.analysis.limits()).await {
            Recovery::Back(side) => match self.record_recovered(release, &side).await {
                Ok(()) => rate_of(side.requests, side.errors),
                Err(problem) => {
                    tracing::debug!(%problem, release = %release.id, "its error rate is back, and not recorded yet");
                    return;
                }
            },
            Recovery::NotYet(words) => words,
        };
        let before = write_lock(&self.inner.recovering).releases.insert(release.id, words.clone());
        if before.as_ref() != Some(&words) {
            self.announce(format!("release:{}", release.id));
        }
    }

    async fn measured(&self, w: &Workload, from: DateTime<Utc>, limits: &Limits) -> Recovery {
        let Some(prometheus) = self.prometheus(&w.key.cluster) else {
            return Recovery::NotYet(format!(
                "no metrics: no Prometheus is named for cluster {}",
                w.key.cluster
            ));
        };
        match cluster::of_service(prometheus, w, from, self.now_utc()).await {
            Ok((whole, recent)) => recovery(&whole, &recent, limits),
            Err(why) => Recovery::NotYet(format!("no metrics: {}", why.trim_end_matches('.'))),
        }
    }

    async fn record_recovered(&self, read: &Release, side: &Side) -> Result<(), Problem> {
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(read.id).await.or_problem()?;
        if release.recovered.is_some() || watched_from(&release) != watched_from(read) {
            // Another replica was first, or it has left for another version since.
            return Ok(());
        }
        release.recovered = Some(Recovered { at: now, requests: side.requests, errors: side.errors });
        tx.put_release(&release, None).await.or_problem()?;
        let mut event = recovered_event(now, side, &release.service);
        about(&mut event, &release);
        tx.commit(event).await.or_problem()?;
        if !release.state.ended() {
            self.remember(&release);
        }
        Ok(())
    }

    /// Rollbacks without a release, once the version they led to carries all traffic.
    async fn watch_presses(&self) {
        let now = self.now_utc();
        let driven: Vec<Key> = read_lock(&self.inner.active).values().map(|r| r.workload.clone()).collect();
        let mut seen = HashMap::new();
        for (key, record) in self.inner.known.last_presses(now - WATCHED * 2) {
            let before = read_lock(&self.inner.recovering).workloads.get(&key).cloned();
            let before = before.filter(|p| p.pressed == record.at);
            let workload = self.cluster(&key.cluster).ok().and_then(|c| c.workload(&key));
            let Some(w) = workload.filter(|_| !driven.contains(&key)) else { continue };
            if carries_all(&w) != Some(&record.hash) {
                continue;
            }
            let mut press = before.clone().unwrap_or_else(|| Press {
                pressed: record.at,
                arrived: w.since.clamp(record.at, now),
                at: None,
                words: String::new(),
            });
            if press.at.is_none() && now < press.arrived + WATCHED {
                match self.measured(&w, press.arrived, &Limits::default()).await {
                    Recovery::Back(side) => {
                        if self.record_press_recovered(&w, &press, &side).await.is_ok() {
                            press.at = Some(now);
                        }
                        press.words = rate_of(side.requests, side.errors);
                    }
                    Recovery::NotYet(words) => press.words = words,
                }
            }
            if before.as_ref() != Some(&press) {
                self.announce(format!("workload:{key}"));
            }
            seen.insert(key, press);
        }
        write_lock(&self.inner.recovering).workloads = seen;
    }

    /// Once for each press, whichever replica sees it first.
    async fn record_press_recovered(&self, w: &Workload, press: &Press, side: &Side) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        let once = AttemptId(format!("recovered/{}/{}", w.key, press.pressed.timestamp_millis()));
        if !tx.journal_merged(&once).await.or_problem()? {
            return Ok(());
        }
        let mut event = recovered_event(self.now_utc(), side, &w.service);
        event.service = Some(w.service.clone());
        event.environment = Some(w.environment.clone());
        tx.commit(event).await.or_problem().map(drop)
    }
}

pub(crate) fn name(limits: &Limits) -> String {
    format!("Errors at most {} %", limits.max_error_percent)
}

/// Since when nobody is sent to the version that was left; `None` while somebody is, and where nothing went back.
pub(crate) fn watched_from(release: &Release) -> Option<DateTime<Utc>> {
    release.turned_back.filter(|_| release.course != Course::Forward && release.canary_hash.is_some())?;
    release.proved.get(&Proof::Traffic).copied().or(release.ended)
}

fn recovered_event(now: DateTime<Utc>, side: &Side, service: &str) -> NewEvent {
    let words = format!("{service} is well again: {} failed", rate_of(side.requests, side.errors));
    let mut event = NewEvent::new(now, &Actor::system("watch"), "rollback.recovered", words);
    event.detail = serde_json::json!({"requests": side.requests, "errors": side.errors});
    event
}
