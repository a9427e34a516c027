//! From the rollback journal into the chain: each accepted rollback exactly once, as soon as Postgres answers.

use crate::Control;
use crate::error::OrProblem as _;
use crate::journal::{Entry, Intent, Outcome, Record};
use crate::rollback::turn;
use model::Problem;
use std::time::Duration;

/// How often a journal that could not be merged is tried again. Only the safety net of a database outage.
const RETRY: Duration = Duration::from_secs(2);
/// A rollback whose outcome is missing for this long lost its process between intent and outcome.
const ABANDONED: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

impl Control {
    /// Records one rollback in the chain and turns its release's record back, in one transaction.
    pub(crate) async fn merge_one(&self, intent: &Intent, outcome: Option<&Outcome>) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        if !tx.journal_merged(&intent.attempt).await.or_problem()? {
            // Another try got as far as the commit.
            drop(tx);
            return self.journal_write(Record::Merged(intent.attempt.clone())).await;
        }
        let mut turned = None;
        if let Some(id) = intent.release {
            let (mut release, _) = tx.lock_release(id).await.or_problem()?;
            let effective = outcome.is_none_or(|o| o.applied) || !release.state.ended();
            if effective && crate::rollback::can_go_back(&release).is_ok() {
                let event = &intent.event;
                turn(&mut release, &event.actor, event.reason.as_deref(), event.at);
                tx.put_release(&release, None).await.or_problem()?;
                turned = Some(release);
            }
        }
        let mut event = intent.event.clone();
        event.detail = serde_json::json!({
            "attempt": intent.attempt,
            "workload": intent.key,
            "good": intent.good.hash,
            "route": intent.route.calls,
            "pace": intent.route.pace,
            "applied": outcome.map(|o| o.applied),
            "calls": outcome.map(|o| o.words.clone()),
        });
        tx.commit(event).await.or_problem()?;
        if let Some(release) = turned {
            self.remember(&release);
        }
        self.journal_write(Record::Merged(intent.attempt.clone())).await
    }

    pub(crate) async fn run_merger(&self) {
        // Left by a process that died: the cluster may be half way. Carry the rollback on before anything else.
        for Entry { intent, outcome } in self.inner.journal.unmerged() {
            if outcome.is_none() {
                self.carry_on(&intent).await;
            }
        }
        loop {
            let mut all_merged = true;
            for Entry { intent, outcome } in self.inner.journal.unmerged() {
                if outcome.is_none() && self.now_utc() - intent.event.at < ABANDONED {
                    // Its press is still at work in this very process.
                    continue;
                }
                if let Err(problem) = self.merge_one(&intent, outcome.as_ref()).await {
                    tracing::debug!(%problem, attempt = %intent.attempt, "not merged yet");
                    all_merged = false;
                }
            }
            if all_merged {
                self.inner.nudge.notify_one();
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The process died between intent and outcome: look at what is, and do what the route says for that.
    async fn carry_on(&self, intent: &Intent) {
        let Ok(cluster) = self.cluster(&intent.key.cluster) else { return };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while cluster.synced().is_none() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let Some(workload) = cluster.workload(&intent.key) else { return };
        let route = model::rollback::route(&workload, &intent.good.hash);
        let result = cluster.roll_back(&intent.key, &intent.attempt, &intent.good, &route).await;
        let outcome = Outcome {
            attempt: intent.attempt.clone(),
            at: self.now_utc(),
            applied: result.is_ok(),
            words: match result {
                Ok(_) => "Carried on after a restart.".to_owned(),
                Err(e) => e.to_string(),
            },
        };
        if let Err(problem) = self.journal_write(Record::Outcome(outcome)).await {
            tracing::error!(%problem, "the journal cannot be written");
        }
    }
}
