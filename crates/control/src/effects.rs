//! One effect on the cluster: announced in the record, carried out with its preconditions, and settled.

use crate::Control;
use crate::error::OrProblem as _;
use crate::releases::about;
use cluster::{Announced, Outcome};
use model::audit::NewEvent;
use model::conductor::{Effect, Record, announce, begin};
use model::plan::Plan;
use model::release::Release;
use model::rollback::{Call, route};
use model::workload::Workload;
use model::{Actor, AttemptId, Problem};
use std::time::{Duration, Instant};
use store::Epoch;

/// An effect that was announced longer ago is no longer sent. Well below the time after which somebody else takes it as
/// not done, so that a process that slept seldom sends anything; that it could do no harm is the mark's work.
const SEND_WITHIN: Duration = Duration::from_secs(3);

impl Control {
    /// Announces, acts, settles. A process that dies in between leaves an announced attempt, which
    /// [`model::conductor::next`] settles by what it sees.
    pub(crate) async fn act(
        &self,
        read: &Release,
        plan: &Plan,
        epoch: Epoch,
        effect: Effect,
        seen: Option<&Workload>,
    ) -> Result<(), Problem> {
        let mark = self.mark_of(read, &effect, seen).await?;
        let announced = Instant::now();
        let now = self.now_utc();
        let actor = Actor::system("conductor");
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(read.id).await.or_problem()?;
        if release != *read {
            return Ok(());
        }
        if effect.raises() {
            // Read again inside the transaction: an approval taken back this moment stops the step (invariant 3).
            let valid = tx.valid_approvals(read.plan, &read.digest, now).await.or_problem()?.len();
            if u32::try_from(valid).unwrap_or(u32::MAX) < plan.spec.approvals.required {
                return Ok(());
            }
        }
        let id = AttemptId(format!("r{}-{}", read.id, release.attempts + 1));
        begin(&mut release, id.clone(), effect.clone(), now);
        tx.put_release(&release, Some(epoch)).await.or_problem()?;
        tx.begin_attempt(&id, read.id, &effect, now).await.or_problem()?;
        let mut event = NewEvent::new(now, &actor, "release.effect.begun", announce(&effect, read, plan));
        about(&mut event, read);
        event.detail = serde_json::json!({ "attempt": id, "effect": effect });
        failpoint::reach_at("announcing", effect.key());
        tx.commit(event).await.or_problem()?;
        failpoint::reach_at("announced", effect.key());
        self.remember(&release);

        if announced.elapsed() >= SEND_WITHIN {
            tracing::warn!(release = %read.id, attempt = %id, "announced too long ago to be sent: left to be made void");
            return Ok(());
        }
        failpoint::reach_at("sending", effect.key());
        let attempt = Announced::after(&id, mark.as_deref());
        let settled = match self.carry_out_effect(read, plan, attempt, &effect, seen).await {
            Ok(Outcome::Applied { .. }) => {
                Some(Record::Settle { happened: true, words: announce(&effect, read, plan) })
            }
            Ok(Outcome::Refused { why }) => Some(Record::Settle { happened: false, words: why }),
            // Perhaps it happened: only what is seen later can tell.
            Ok(Outcome::Unsure { why }) => {
                tracing::warn!(release = %read.id, attempt = %id, why, "the answer was lost");
                None
            }
            Err(e) => {
                tracing::warn!(release = %read.id, attempt = %id, error = %e, "the effect failed");
                Some(Record::Settle { happened: false, words: e.to_string() })
            }
        };
        failpoint::reach_at("answered", effect.key());
        if let Some(record) = settled {
            self.record(&release, plan, epoch, &record, seen).await?;
            failpoint::reach_at("settled", effect.key());
        }
        Ok(())
    }

    /// The mark on the object that the effect is decided on: the Deployment's, where a template is written that a Rollout
    /// takes from there. As the watch shows it; if this effect has just failed, the watch may lag, and the object itself
    /// is asked.
    async fn mark_of(
        &self,
        release: &Release,
        effect: &Effect,
        seen: Option<&Workload>,
    ) -> Result<Option<String>, Problem> {
        let failed = release.tried.iter().any(|t| t.effect == *effect && !t.happened);
        let Some(w) = seen else { return Ok(None) };
        let source = w.source.as_ref().filter(|_| *effect == Effect::TakeOver);
        if failed {
            let holder = if source.is_some() { w.template_key() } else { w.key.clone() };
            return self.cluster(&holder.cluster)?.mark(&holder).await.or_problem();
        }
        Ok(source.map_or_else(|| w.attempt.clone(), |source| source.attempt.clone()))
    }

    async fn carry_out_effect(
        &self,
        release: &Release,
        plan: &Plan,
        id: Announced<'_>,
        effect: &Effect,
        seen: Option<&Workload>,
    ) -> Result<Outcome, cluster::Error> {
        let key = &release.workload;
        let Ok(cluster) = self.cluster(&key.cluster) else {
            return Ok(Outcome::Refused { why: format!("There is no cluster `{}` here.", key.cluster) });
        };
        let bad = release.canary_hash.as_deref().or_else(|| seen.and_then(|w| w.current_hash.as_deref()));
        let good = &release.known_good;
        match effect {
            Effect::Deploy => cluster.deploy(key, id, plan, good, release.id).await,
            Effect::Scale { from, to } => cluster.scale(key, id, *from, *to).await,
            Effect::Weigh { from, to } => {
                // As it was when this was decided, however long ago that is by now.
                let decided = seen.and_then(Workload::weight_mark);
                cluster.weigh(key, id.id(), decided, *from, *to).await
            }
            Effect::TakeOver => cluster.take_over(key, id, plan, good, release.id).await,
            Effect::HandBack => cluster.hand_back(key, id).await,
            Effect::Retire => cluster.retire(key, id).await,
            Effect::OpenPause { from } => cluster.open_pause(key, id, *from).await,
            Effect::Switch => match release.canary_hash.as_deref() {
                Some(hash) => {
                    // As they were when this was decided, however long ago that is by now.
                    let decided = seen.map_or(&[][..], |w| &w.fronts);
                    cluster.switch(key, id, hash, decided).await
                }
                None => Ok(Outcome::Refused { why: "Which version to switch to is not known yet.".into() }),
            },
            Effect::Pause => cluster.pause(key, id).await,
            Effect::Resume | Effect::Unpause => cluster.unpause(key, id).await,
            Effect::Abort => match bad {
                // Without the mark: late, it could only take traffic away, and it must not fail for a lagging watch.
                Some(bad) => cluster.abort(key, id.id(), bad).await,
                None => Ok(Outcome::Refused { why: "Which version to abort is not known yet.".into() }),
            },
            Effect::Revert => {
                let through_window =
                    |w: &Workload| route(w, &good.hash).calls.contains(&Call::RevertThroughWindow);
                let window = seen.is_some_and(through_window);
                cluster.revert(key, id, good, window).await
            }
            Effect::PromoteFull => match seen.and_then(|w| w.current_hash.as_deref()) {
                // Only on the way back: the wanted version must be the known-good one by now.
                Some(wanted) if release.canary_hash.as_deref() != Some(wanted) => {
                    cluster.promote_full(key, id, wanted).await
                }
                _ => Ok(Outcome::Refused { why: "The known-good version is not wanted yet.".into() }),
            },
            Effect::RestoreSteps => cluster.restore_steps(key, id, good).await,
        }
    }
}
