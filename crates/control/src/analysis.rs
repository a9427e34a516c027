//! The sampler: reads the metrics of every release that this replica conducts, and has them judged.

use crate::Control;
use crate::error::OrProblem as _;
use crate::releases::about;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use model::audit::NewEvent;
use model::plan::{Plan, Strategy};
use model::release::{Course, Release};
use model::verdict::{Class, Sample, Verdict};
use model::{Actor, Problem};
use std::time::Duration;

/// Time between two looks at the metrics.
const EVERY: Duration = Duration::from_secs(3);
/// What a verdict looks back on, as Postgres counts.
const LOOKS: i64 = judge::LOOKS as i64;

impl Control {
    pub(crate) async fn run_sampler(&self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let active: Vec<_> = crate::read_lock(&self.inner.active).values().cloned().collect();
            let looks = active.iter().map(|release| async {
                if let Err(problem) = self.look(release).await {
                    tracing::debug!(%problem, release = %release.id, "no sample this time");
                }
            });
            join_all(looks).await;
        }
    }

    async fn look(&self, release: &Release) -> Result<(), Problem> {
        let plan = self.plan_of(release).await?;
        let (analysed, policy) = (analysed(&plan), self.policy_of(release).await?);
        if !analysed && policy.is_none() {
            return Ok(());
        }
        let Some(prometheus) = self.prometheus(&release.workload.cluster) else { return Ok(()) };
        let (Some(step), Some(since), Some(canary)) =
            (release.step, release.step_since, release.canary_hash.as_deref())
        else {
            return Ok(());
        };
        if release.course != Course::Forward {
            return Ok(());
        }
        let replica = &self.inner.config.replica;
        if !self.store().holds_lease(release.id, replica).await.or_problem()? {
            return Ok(());
        }
        let Some(workload) = self.cluster(&release.workload.cluster)?.workload(&release.workload) else {
            return Ok(());
        };
        let stable = release.known_good.hash.as_str();
        let now = self.now_utc();
        let weight = crate::read::weight(release, Some(&workload));
        let asked = asked(&plan, step, weight);
        let sample =
            cluster::sample(prometheus, &workload, canary, stable, step, weight, asked, since, now).await;
        self.store().insert_sample(release.id, &sample).await.or_problem()?;
        // The newest ones: a step may be watched for longer than a verdict looks back.
        let mut samples = self.store().samples(release.id, None, LOOKS).await.or_problem()?;
        if let Some(policy) = &policy
            && let Err(problem) = self.watch_policy(release, policy, &samples, prometheus).await
        {
            tracing::warn!(%problem, release = %release.id, "its policy was not looked at this time");
        }
        if !analysed {
            return self.store().announce(&format!("release:{}", release.id)).await.or_problem();
        }
        samples.retain(|s| s.at >= since);
        let verdict = judged(&plan, &samples, step, now);
        let changed =
            release.verdict.as_ref().is_none_or(|v| v.class != verdict.class || v.step != verdict.step);
        if changed {
            self.conclude(release, verdict).await?;
        } else {
            // Nothing to decide anew, but the page's numbers have moved.
            self.store().announce(&format!("release:{}", release.id)).await.or_problem()?;
        }
        Ok(())
    }

    async fn conclude(&self, read: &Release, verdict: Verdict) -> Result<(), Problem> {
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(read.id).await.or_problem()?;
        if release.step != Some(verdict.step) || release.course != Course::Forward {
            return Ok(());
        }
        if release.verdict.as_ref().is_some_and(|v| v.step == verdict.step && v.class == Class::Fail) {
            // A failed step stays failed: a later lucky look does not take the alarm back.
            return Ok(());
        }
        release.verdict = Some(verdict.clone());
        tx.put_release(&release, None).await.or_problem()?;
        let actor = Actor::system("analysis");
        let summary = format!("Verdict: {}. {}", verdict.class.key(), verdict.words);
        let mut event = NewEvent::new(verdict.at, &actor, "release.verdict", summary);
        about(&mut event, read);
        event.detail = serde_json::json!({
            "class": verdict.class, "step": verdict.step, "canary": verdict.canary, "stable": verdict.stable,
        });
        tx.commit(event).await.or_problem()?;
        self.store().insert_verdict(read.id, &verdict).await.or_problem()?;
        self.remember(&release);
        self.inner.nudge.notify_one();
        Ok(())
    }
}

/// The verdict on the samples of a step, in words about what the plan has judged there.
pub(crate) fn judged(plan: &Plan, samples: &[Sample], step: usize, at: DateTime<Utc>) -> Verdict {
    plan.in_words(judge::verdict(samples, step, &plan.spec.analysis.limits(), at))
}

/// The share that the canary's requests must have been of all since the step began. None of copies, nor where a header brings users
/// as well, nor where the controller raises weights within a step.
fn asked(plan: &Plan, step: usize, weight: u8) -> Option<f64> {
    let plain = plan.steps().get(step).is_some_and(|step| step.header.is_none());
    let held = matches!(plan.spec.strategy, Strategy::Canary(_));
    (held && plain && (1..100).contains(&weight)).then(|| f64::from(weight) / 100.0)
}

/// A plan with an analysis gate anywhere is watched at every step.
pub(crate) fn analysed(plan: &Plan) -> bool {
    plan.steps().iter().any(model::plan::Step::has_analysis)
}
