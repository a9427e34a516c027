//! What a rollback still needs after its patches: to be seen home.
//!
//! The controller may promote the bad version in the very moment in which the template is put back; then the
//! known-good version comes in as a new update and would stop at the Rollout's own first pause. And a window
//! may have no effect (ReplicaSets are compared by the second they were made in, or are gone). Either way
//! promoteFull brings it home, but only once the controller has taken the template up: sent earlier it is
//! lost.

use crate::cache::View;
use crate::error::Error;
use crate::observe::ATTEMPT;
use crate::patch::annotation;
use crate::rollout;
use crate::send::{Outcome, Part, Sender};
use model::release::KnownGood;
use model::workload::{Key, Phase, Workload};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a rollback waits for the controller to take the old template up before it asks for promoteFull.
const TAKEN_UP: Duration = Duration::from_secs(5);
/// How long it is looked after in the background. A conductor, where there is one, looks after it for longer.
const HOME: Duration = Duration::from_secs(60);
/// A promoteFull that was lost is sent again so often.
const TRIES: usize = 3;

/// Sees one rollback home.
#[derive(Debug)]
pub(crate) struct Escort {
    pub sender: Sender,
    pub view: Arc<View>,
    /// The workload before the template was put back.
    pub before: Arc<Workload>,
    /// The generation that holds the known-good template.
    pub generation: i64,
    pub good: KnownGood,
}

impl Escort {
    fn key(&self) -> &Key {
        &self.before.key
    }

    fn taken_up(&self, w: &Workload) -> bool {
        w.observed_generation.is_some_and(|o| o >= self.generation)
            && w.phase != Phase::Unknown
            && (w.current_hash != self.before.current_hash || self.carried_on())
    }

    /// The template had been put back already, and taken up, when this began: by a process that died.
    fn carried_on(&self) -> bool {
        self.before.observed() && self.ours(&self.before)
    }

    /// What the controller took up is what was put back, not what somebody else wrote a moment later.
    fn ours(&self, w: &Workload) -> bool {
        w.images == self.good.images
    }

    /// Once the controller has taken the template up: promoteFull, unless it is home already (`None`).
    pub(crate) async fn promote(&self) -> Option<Result<Outcome, Error>> {
        let Some(seen) = self.view.wait_for(self.key(), TAKEN_UP, |w| self.taken_up(w)).await else {
            return Some(Ok(Outcome::refused(format!(
                "The controller has not taken up the old template within {} s. Check that Argo \
                 Rollouts runs.",
                TAKEN_UP.as_secs()
            ))));
        };
        if home(&seen) || !self.ours(&seen) {
            return None;
        }
        Some(self.send(&seen, seen.current_hash.as_deref()?).await)
    }

    async fn send(&self, seen: &Workload, hash: &str) -> Result<Outcome, Error> {
        let mut patch = rollout::promote_full(hash);
        if let Some(mark) = &seen.attempt {
            // Not if a release of the same version has begun since this was seen.
            patch = patch.first_test(&annotation(ATTEMPT), mark.as_str());
        }
        self.sender.patch(self.key(), Part::Status, None, patch).await
    }

    /// Repeats promoteFull where the steps are walked all the same, and takes the rollbackWindow away at the
    /// end.
    pub(crate) async fn see_home(self) {
        let deadline = Instant::now() + HOME;
        let mut sent_at = None;
        for _ in 0..=TRIES {
            let left = deadline.saturating_duration_since(Instant::now());
            let stands = |w: &Workload| {
                let walks = w.in_flight() && !w.promote_full && sent_at.as_ref() != Some(&w.resource_version);
                self.taken_up(w) && (walks || home(w) || !self.ours(w))
            };
            let Some(seen) = self.view.wait_for(self.key(), left, stands).await else {
                return;
            };
            if !self.ours(&seen) {
                return;
            }
            if home(&seen) {
                return self.close_window(&seen).await;
            }
            let Some(hash) = seen.current_hash.as_deref() else {
                return;
            };
            tracing::warn!(key = %self.key(), "the way back walks the steps; sending promoteFull");
            if let Err(why) = self.send(&seen, hash).await {
                tracing::warn!(key = %self.key(), %why, "promoteFull was not taken");
            }
            sent_at = Some(seen.resource_version.clone());
        }
    }

    pub(crate) async fn close_if_home(&self, seen: &Workload) {
        if home(seen) {
            self.close_window(seen).await;
        }
    }

    async fn close_window(&self, seen: &Workload) {
        let (Some(entry), Some(hash)) = (self.view.entry(self.key()), seen.current_hash.as_deref()) else {
            return;
        };
        let Some(patch) = rollout::restore_window(&entry.facts, hash) else {
            return;
        };
        // Left behind it only makes later rollbacks faster; restoring the steps takes it away, too.
        match self.sender.patch(self.key(), Part::Main, None, patch).await {
            Ok(Outcome::Applied { .. }) => {}
            Ok(Outcome::Refused { why } | Outcome::Unsure { why }) => {
                tracing::info!(key = %self.key(), %why, "the rollbackWindow of a rollback stays for now");
            }
            Err(why) => {
                tracing::info!(key = %self.key(), %why, "the rollbackWindow of a rollback stays for now");
            }
        }
    }
}

fn home(w: &Workload) -> bool {
    w.phase == Phase::Healthy && w.stable_hash.is_some() && w.stable_hash == w.current_hash
}
