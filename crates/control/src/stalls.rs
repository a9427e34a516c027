//! Watches over what does not get on: a rollback or a rise that takes too long is looked into, and the page says why
//! and what helps.
//!
//! Every replica looks for itself, so that its pages know. The one that conducts the release writes it down.

use crate::error::OrProblem as _;
use crate::releases::about;
use crate::{Control, read_lock, write_lock};
use futures::future::join_all;
use model::audit::NewEvent;
use model::release::Release;
use model::stall::{Stall, at_first_sight, overdue};
use model::{Actor, Problem, ReleaseId};
use std::time::Duration;

/// Time between two looks; with [`model::stall::PATIENCE`] a stall is told within 30 s.
const EVERY: Duration = Duration::from_secs(3);

impl Control {
    pub(crate) async fn run_stalls(&self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let active: Vec<_> = read_lock(&self.inner.active).values().cloned().collect();
            write_lock(&self.inner.stalls).retain(|id, _| active.iter().any(|r| r.id == *id));
            join_all(active.iter().map(|release| self.look_into(release))).await;
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

    async fn stall(&self, release: &Release) -> Option<Stall> {
        let cluster = self.cluster(&release.workload.cluster).ok()?;
        let workload = cluster.workload(&release.workload)?;
        let (since, hash) = overdue(release, &workload, self.now_utc())?;
        let mut obstacles = at_first_sight(&workload);
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
        let words: Vec<_> = stall.obstacles.iter().map(|o| o.what.trim_end_matches('.')).collect();
        let summary = format!("It takes longer than it should. {}.", words.join(". "));
        let mut event =
            NewEvent::new(self.now_utc(), &Actor::system("conductor"), "release.stalled", summary);
        about(&mut event, release);
        event.detail = serde_json::to_value(stall).unwrap_or_default();
        let tx = self.store().begin().await.or_problem()?;
        tx.commit(event).await.or_problem()?;
        Ok(())
    }
}
