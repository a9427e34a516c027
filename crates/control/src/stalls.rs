//! Watches over what does not get on: a rollback or a rise that takes too long is looked into, and the page says why
//! and what helps.
//!
//! Every replica looks for itself, so that its pages know. The one that conducts the release writes it down.

use crate::error::OrProblem as _;
use crate::releases::about;
use crate::{Control, read_lock, write_lock};
use chrono::TimeDelta;
use futures::future::join_all;
use model::audit::NewEvent;
use model::known_good::{Came, under_way};
use model::release::Release;
use model::stall::{PATIENCE, Stall, at_first_sight, left_beside, overdue};
use model::workload::Key;
use model::{Actor, AttemptId, Problem, ReleaseId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks; with [`model::stall::PATIENCE`] a stall is told within 30 s.
const EVERY: Duration = Duration::from_secs(3);
/// How long after its press a rollback without a release is looked after.
const LOOKED_AFTER: TimeDelta = TimeDelta::hours(1);

impl Control {
    pub(crate) async fn run_stalls(&self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let active: Vec<_> = read_lock(&self.inner.active).values().cloned().collect();
            write_lock(&self.inner.stalls).retain(|id, _| active.iter().any(|r| r.id == *id));
            join_all(active.iter().map(|release| self.look_into(release))).await;
            self.look_into_presses(&active).await;
        }
    }

    pub(crate) fn stall_of(&self, id: ReleaseId) -> Option<Stall> {
        read_lock(&self.inner.stalls).get(&id).cloned()
    }

    async fn look_into(&self, release: &Release) {
        let found = self.stall(release).await;
        let before = self.stall_of(release.id);
        if found == before {
            return;
        }
        match &found {
            Some(stall) => write_lock(&self.inner.stalls).insert(release.id, stall.clone()),
            None => write_lock(&self.inner.stalls).remove(&release.id),
        };
        self.announce(format!("release:{}", release.id));
        // Told once: what stands in the way may change its words every few seconds.
        if let (Some(stall), None) = (&found, &before)
            && let Err(problem) = self.tell_stall(release, stall).await
        {
            tracing::debug!(%problem, release = %release.id, "a stall is on the page, and not in the history");
        }
    }

    /// Rollbacks without a release: nobody conducts them, and somebody may wait for them all the same.
    async fn look_into_presses(&self, active: &[Arc<Release>]) {
        let mut found = HashMap::new();
        for (key, record) in self.presses(active) {
            let Some(stall) = self.stall_of_press(&key, &record).await else { continue };
            if !read_lock(&self.inner.stalled).contains_key(&key)
                && let Err(problem) = self.tell_press(&key, &record, &stall).await
            {
                tracing::debug!(%problem, %key, "a stall is on the page, and not in the history");
            }
            found.insert(key, stall);
        }
        let before = std::mem::replace(&mut *write_lock(&self.inner.stalled), found.clone());
        let keys = before.keys().chain(found.keys()).filter(|k| before.get(k) != found.get(k));
        keys.for_each(|key| self.announce(format!("workload:{key}")));
    }

    /// Rollbacks pressed within the last hour, on record or in the journal.
    fn presses(&self, active: &[Arc<Release>]) -> Vec<(Key, model::known_good::Record)> {
        let now = self.now_utc();
        let mut all: HashMap<Key, model::known_good::Record> =
            self.inner.known.last_presses(now - LOOKED_AFTER).into_iter().collect();
        for entry in self.inner.journal.unmerged() {
            let intent = entry.intent;
            let came = Came::Back { from: intent.left };
            let record =
                model::known_good::Record { id: 0, at: intent.event.at, hash: intent.good.hash, came };
            all.insert(intent.key, record);
        }
        all.retain(|key, _| active.iter().all(|r| r.workload != *key));
        all.into_iter().collect()
    }

    async fn stall_of_press(&self, key: &Key, record: &model::known_good::Record) -> Option<Stall> {
        let since = record.at + PATIENCE;
        let cluster = self.cluster(&key.cluster).ok()?;
        let w = cluster.workload(key)?;
        if self.now_utc() < since || under_way(std::slice::from_ref(record), &w).is_none() {
            return None;
        }
        let mut obstacles = at_first_sight(&w);
        obstacles.extend(cluster.obstacles(key, w.current_hash.as_deref()?).await.unwrap_or_default());
        (!obstacles.is_empty()).then_some(Stall { since, obstacles })
    }

    /// Once for each press, whichever replica sees it first.
    async fn tell_press(
        &self,
        key: &Key,
        record: &model::known_good::Record,
        stall: &Stall,
    ) -> Result<(), Problem> {
        let w = self.cluster(&key.cluster)?.workload(key);
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let once = AttemptId(format!("stalled/{key}/{}", record.at.timestamp_millis()));
        if !tx.journal_merged(&once).await.or_problem()? {
            return Ok(());
        }
        let mut event = NewEvent::new(now, &Actor::system("watch"), "rollback.stalled", summary(stall));
        event.service = w.as_ref().map(|w| w.service.clone());
        event.environment = w.as_ref().map(|w| w.environment.clone());
        event.detail = serde_json::json!({"workload": key, "good": record.hash, "stall": stall});
        tx.commit(event).await.or_problem().map(drop)
    }

    async fn stall(&self, release: &Release) -> Option<Stall> {
        let cluster = self.cluster(&release.workload.cluster).ok()?;
        let workload = cluster.workload(&release.workload)?;
        let (since, hash) = overdue(release, &workload, self.now_utc())?;
        let mut obstacles: Vec<_> = left_beside(release, &workload).into_iter().collect();
        obstacles.extend(at_first_sight(&workload));
        match cluster.obstacles(&release.workload, hash).await {
            Ok(found) => obstacles.extend(found),
            Err(error) => tracing::debug!(%error, release = %release.id, "its pods cannot be looked at"),
        }
        (!obstacles.is_empty()).then_some(Stall { since, obstacles })
    }

    async fn tell_stall(&self, release: &Release, stall: &Stall) -> Result<(), Problem> {
        let replica = &self.inner.config.replica;
        if !self.store().holds_lease(release.id, replica).await.or_problem()? {
            return Ok(());
        }
        let conductor = Actor::system("conductor");
        let mut event = NewEvent::new(self.now_utc(), &conductor, "release.stalled", summary(stall));
        about(&mut event, release);
        event.detail = serde_json::to_value(stall).unwrap_or_default();
        let tx = self.store().begin().await.or_problem()?;
        tx.commit(event).await.or_problem()?;
        Ok(())
    }
}

fn summary(stall: &Stall) -> String {
    let words: Vec<_> = stall.obstacles.iter().map(|o| o.what.trim_end_matches('.')).collect();
    format!("It takes longer than it should. {}.", words.join(". "))
}
