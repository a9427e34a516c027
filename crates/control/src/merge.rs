//! From the rollback journal into the chain: each accepted rollback exactly once, as soon as Postgres answers.

use crate::Control;
use crate::error::OrProblem as _;
use crate::journal::{Entry, Intent, Outcome, Record};
use crate::rollback::{can_go_back, is_overtaken, turn};
use model::known_good::Came;
use model::workload::version_of;
use model::{AttemptId, Problem};
use std::collections::HashSet;
use std::time::Duration;
use store::NewKnownGood;

/// How often a journal that could not be merged is tried again. Only the safety net of a database outage.
const RETRY: Duration = Duration::from_secs(2);
/// A rollback whose outcome is missing for this long lost its process between intent and outcome.
const ABANDONED: chrono::TimeDelta = chrono::TimeDelta::seconds(30);

impl Control {
    /// Records that a rollback was accepted and turns its release's record back, in one transaction; once.
    pub(crate) async fn record_accepted(&self, intent: &Intent) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        if !tx.journal_merged(&intent.attempt).await.or_problem()? {
            return Ok(());
        }
        let mut turned = None;
        if let Some(id) = intent.release {
            let (mut release, _) = tx.lock_release(id).await.or_problem()?;
            if can_go_back(&release).is_ok() {
                let (good, event) = (intent.good.clone(), &intent.event);
                turn(&mut release, good, &event.actor, event.reason.as_deref(), event.at);
                tx.put_release(&release, None).await.or_problem()?;
                turned = Some(release);
            }
        }
        // Whatever becomes of it: the version that it leaves is nowhere to go back to.
        let came = Came::Back { from: intent.left.clone() };
        let back = NewKnownGood {
            key: &intent.key,
            good: &intent.good,
            came: &came,
            release: intent.release,
            at: intent.event.at,
        };
        let back = tx.insert_known_good(&back).await.or_problem()?;
        let mut event = intent.event.clone();
        event.detail = serde_json::json!({
            "attempt": intent.attempt,
            "workload": intent.key,
            "good": intent.good.hash,
            "instead_of": intent.instead,
            "route": intent.route.calls,
            "pace": intent.route.pace,
        });
        failpoint::reach("accept:commit");
        match tx.commit(event).await {
            // A later release of the workload is under way, so this one cannot be opened again: the fact is kept.
            Err(store::Error::Conflict(why)) if turned.is_some() => {
                tracing::warn!(why, attempt = %intent.attempt, "recorded without its release");
                let alone = Intent { release: None, ..intent.clone() };
                return Box::pin(self.record_accepted(&alone)).await;
            }
            other => other.or_problem()?,
        };
        failpoint::reach("accept:committed");
        if let Some(release) = turned {
            self.remember(&release);
        }
        self.remember_known_good(&intent.key, back, &intent.good);
        Ok(())
    }

    /// Records a rollback and its outcome, each once, and takes it out of the journal.
    pub(crate) async fn merge_one(&self, intent: &Intent, outcome: Option<&Outcome>) -> Result<(), Problem> {
        if outcome.is_none_or(|o| !o.overtaken) {
            self.record_accepted(intent).await?;
        }
        failpoint::reach("merge:accepted");
        if let Some(outcome) = outcome {
            self.record_outcome(intent, outcome).await?;
        }
        failpoint::reach("merge:recorded");
        self.journal_write(Record::Merged(intent.attempt.clone())).await?;
        failpoint::reach("merge:merged");
        Ok(())
    }

    async fn record_outcome(&self, intent: &Intent, outcome: &Outcome) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        let once = AttemptId(format!("{}/outcome", intent.attempt));
        if !tx.journal_merged(&once).await.or_problem()? {
            return Ok(());
        }
        let mut event = intent.event.clone();
        event.at = outcome.at;
        if !outcome.overtaken {
            // Said with the press.
            event.reason = None;
        }
        (event.action, event.summary) = if outcome.overtaken {
            ("rollback.overtaken".to_owned(), outcome.words.clone())
        } else if outcome.applied {
            let to = version_of(&intent.good.images);
            ("rollback.applied".to_owned(), format!("The API server has the rollback to {to}"))
        } else {
            ("rollback.not_applied".to_owned(), format!("The cluster did not take it: {}", outcome.words))
        };
        event.detail = serde_json::json!({ "attempt": intent.attempt, "calls": outcome.words });
        tx.commit(event).await.or_problem().map(drop)
    }

    pub(crate) async fn run_merger(&self) {
        // Left by a process that died: the cluster may be half way. Carry the rollback on before anything else.
        let mut left = HashSet::new();
        for Entry { intent, .. } in self.inner.journal.unmerged().into_iter().filter(|e| e.outcome.is_none())
        {
            self.carry_on(&intent).await;
            left.insert(intent.attempt);
        }
        loop {
            let mut all_merged = true;
            for Entry { intent, outcome } in self.inner.journal.unmerged() {
                if outcome.is_none() && left.contains(&intent.attempt) {
                    // Whether it is still due must be known before anything is recorded of it.
                    self.carry_on(&intent).await;
                    all_merged = false;
                    continue;
                }
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
        // Past the cache: hours may lie between, and other replicas may have gone on.
        let Ok(workload) = cluster.fresh(&intent.key).await else { return };
        if let Some(words) = is_overtaken(intent, &workload) {
            let outcome = Outcome::overtaken(intent, self.now_utc(), &words);
            if let Err(problem) = self.journal_write(Record::Outcome(outcome)).await {
                tracing::error!(%problem, "the journal cannot be written");
            }
            return;
        }
        let route = model::rollback::route(&workload, &intent.good.hash);
        let result = cluster.roll_back(&intent.key, &intent.attempt, &intent.good, &route).await;
        if route.calls.is_empty() {
            cluster.close_window(&intent.key).await;
        }
        let outcome = Outcome {
            attempt: intent.attempt.clone(),
            at: self.now_utc(),
            applied: result.is_ok(),
            overtaken: false,
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
