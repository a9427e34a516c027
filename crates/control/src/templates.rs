//! Evaluates AnalysisTemplates that plans name, by itself: what the controller of Argo Rollouts does for a Rollout, for any workload.
//!
//! A run is what is stored of it and nothing else. When its step is reached the template is read and kept with the run; each look
//! writes what it measured, and how the run stands then, in one statement that only holds where the run is still as it was read. So
//! whoever holds the release's lease goes on where another stopped, measures nothing twice, and judges what was approved to be asked.

mod check;
mod looks;
mod replay;

use crate::error::OrProblem as _;
use crate::releases::about;
use crate::{Control, read_lock};
use futures::future::join_all;
use judge::argo::Phase;
use judge::argo::own;
use judge::argo::template::Spec;
use looks::Own;
use model::audit::NewEvent;
use model::checked::{Checked, Outcome};
use model::plan::{Template, filled};
use model::release::{Course, Release};
use model::{Actor, Problem, ReleaseId};
pub use replay::{ReplayedRun, replay_templates};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks at what is due.
const EVERY: Duration = Duration::from_secs(1);

/// The run of a step's template, counted from 0: known before it begins, so that nobody begins a second one.
pub(crate) fn uid(step: usize, n: usize) -> String {
    format!("tidegate-{step}-{n}")
}

impl Control {
    pub(crate) async fn run_templates(&self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let active: BTreeMap<ReleaseId, Arc<Release>> =
                read_lock(&self.inner.active).iter().map(|(id, r)| (*id, r.clone())).collect();
            // Runs of releases that have ended, or are on their way back, are ended as well.
            let open = self.store().open_analyses().await.unwrap_or_default();
            let all: BTreeSet<ReleaseId> = active.keys().copied().chain(open).collect();
            let looks = all.into_iter().map(|id| {
                let release = active.get(&id).cloned();
                async move {
                    if let Err(problem) = self.evaluate(id, release).await {
                        tracing::debug!(%problem, release = %id, "its templates are looked at later");
                    }
                }
            });
            join_all(looks).await;
        }
    }

    async fn evaluate(&self, id: ReleaseId, active: Option<Arc<Release>>) -> Result<(), Problem> {
        let release = match active {
            Some(release) => release,
            None => Arc::new(self.store().release(id).await.or_problem()?),
        };
        let plan = self.plan_of(&release).await?;
        if !plan.has_templates() {
            return Ok(());
        }
        let replica = &self.inner.config.replica;
        if release.ended.is_none() && !self.store().holds_lease(id, replica).await.or_problem()? {
            return Ok(());
        }
        let here = standing(&release);
        let mut runs = self.own_runs(id).await?;
        if let Some(step) = here {
            let missing = plan.templates_at(step).into_iter().enumerate().filter(|(n, _)| {
                let uid = uid(step, *n);
                !runs.iter().any(|run| run.record.uid == uid)
            });
            let missing: Vec<_> = missing.collect();
            for (n, template) in &missing {
                self.begin(&release, step, *n, template).await?;
            }
            if !missing.is_empty() {
                runs = self.own_runs(id).await?;
            }
        }
        let mut changed = false;
        for run in runs.iter_mut().filter(|run| !run.status.phase.completed()) {
            changed |= match here.filter(|step| run.step() == Some(*step)) {
                Some(_) => self.look_at(&release, run).await?,
                None => self.end_run(&release, run).await?,
            };
        }
        if changed {
            self.store().announce(&format!("release:{id}")).await.or_problem()?;
        }
        match here {
            Some(step) => self.check_off(&release, step, plan.templates_at(step).len(), &runs).await,
            None => Ok(()),
        }
    }

    /// Reads the template, and keeps what it asks for now.
    async fn begin(
        &self,
        release: &Release,
        step: usize,
        n: usize,
        template: &Template,
    ) -> Result<(), Problem> {
        let given: BTreeMap<String, String> =
            template.args.iter().map(|(k, v)| (k.clone(), filled(v, &names(release)))).collect();
        let spec = match self.template_spec(&release.workload, template).await.or_problem()? {
            Ok(found) => own::prepare(&found.spec, &given)
                .map_err(|faults| faults.into_iter().map(|f| f.words).collect::<Vec<_>>().join(" ")),
            Err(why) => Err(why),
        };
        let own = Own::new(release, uid(step, n), step, &template.name, spec, self.now_utc());
        self.store().begin_analysis(release.id, &own.record()?).await.or_problem()
    }

    /// What the runs of a step come to together, told once it is known, and again where it becomes worse.
    async fn check_off(
        &self,
        read: &Release,
        step: usize,
        asked: usize,
        runs: &[Own],
    ) -> Result<(), Problem> {
        let Some((outcome, words)) = outcome(step, asked, runs) else { return Ok(()) };
        let known = |r: &Release| r.checked_at(step).is_some_and(|c| c.outcome >= outcome);
        if known(read) {
            return Ok(());
        }
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(read.id).await.or_problem()?;
        if standing(&release) != Some(step) || known(&release) {
            return Ok(());
        }
        let now = self.now_utc();
        release.checked = Some(Checked { step, outcome, words: words.clone(), at: now });
        tx.put_release(&release, None).await.or_problem()?;
        let actor = Actor::system("analysis");
        let mut event = NewEvent::new(now, &actor, "release.templates", words);
        about(&mut event, read);
        event.detail = serde_json::json!({ "step": step, "outcome": outcome });
        tx.commit(event).await.or_problem()?;
        self.remember(&release);
        self.inner.nudge.notify_one();
        Ok(())
    }
}

/// The step at which a release stands, and whose templates are to be evaluated.
fn standing(release: &Release) -> Option<usize> {
    let step = release.step.filter(|_| release.step_since.is_some())?;
    let here = release.course == Course::Forward && release.ended.is_none() && release.passed.len() <= step;
    here.then_some(step)
}

/// What a value may ask for in double braces.
fn names(release: &Release) -> [(&'static str, &str); 6] {
    [
        ("service-name", release.service.as_str()),
        ("namespace", release.workload.namespace.as_str()),
        ("workload", release.workload.name.as_str()),
        ("environment", release.environment.as_str()),
        ("canary-hash", release.canary_hash.as_deref().unwrap_or_default()),
        ("stable-hash", release.known_good.hash.as_str()),
    ]
}

/// The worst of a step's runs; none while nothing is wrong and some have not ended.
pub(crate) fn outcome(step: usize, asked: usize, runs: &[Own]) -> Option<(Outcome, String)> {
    let of = |n: usize| runs.iter().find(|run| run.record.uid == uid(step, n));
    let all: Vec<_> = (0..asked).filter_map(of).filter_map(Own::outcome).collect();
    let worst = all.iter().max_by_key(|(outcome, _)| *outcome)?;
    match worst.0 {
        Outcome::Passed if all.len() < asked => None,
        Outcome::Passed if asked > 1 => Some((Outcome::Passed, format!("All {asked} templates passed."))),
        _ => Some(worst.clone()),
    }
}

/// How a run's phase counts for its release.
fn counts(phase: Phase) -> Option<Outcome> {
    match phase {
        Phase::Pending | Phase::Running => None,
        Phase::Successful => Some(Outcome::Passed),
        Phase::Inconclusive => Some(Outcome::Inconclusive),
        Phase::Error => Some(Outcome::Error),
        Phase::Failed => Some(Outcome::Failed),
    }
}

/// What a run that cannot begin is stored with.
fn nothing() -> Spec {
    Spec::default()
}
