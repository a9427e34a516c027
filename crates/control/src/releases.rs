//! Starting a release, and what people may do to one under way. Each deed changes the record; the conductor,
//! woken by the change, acts on the cluster.

use crate::ask::{Ask, carry_out, may};
use crate::error::OrProblem as _;
use crate::plans::tidy;
use crate::retry::Again;
use crate::{Control, write_lock};
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::release::{Course, KnownGood, Release, State};
use model::view::Deed;
use model::workload::{Phase, Workload};
use model::{Action, Actor, Digest, PlanId, Problem, ReleaseId, Span};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a start waits for a workload's controller. Argo Rollouts and Kubernetes take some tenths of a second.
const OBSERVED_WITHIN: Duration = Duration::from_secs(5);

impl Control {
    /// Starts a release of a plan's newest version.
    ///
    /// # Errors
    /// 403; 409 without enough approvals of exactly this digest, without the rehearsal that the plan asks for, with
    /// another release of the workload under way, or when the workload is not Healthy; 422 when the plan no longer
    /// fits the workload.
    pub async fn start(
        &self,
        actor: &Actor,
        id: PlanId,
        digest: Option<Digest>,
    ) -> Result<ReleaseId, Problem> {
        self.start_or_retry(actor, id, digest, None).await
    }

    pub(crate) async fn start_or_retry(
        &self,
        actor: &Actor,
        id: PlanId,
        digest: Option<Digest>,
        again: Option<Again>,
    ) -> Result<ReleaseId, Problem> {
        let plan = self.store().plan(id).await.or_problem()?;
        actor.require(Action::Start, &plan.environment)?;
        if digest.is_some_and(|d| d != plan.digest) {
            return Err(Problem::conflict(format!(
                "Plan {} has changed: version {} has digest {}. Read it again before you start it.",
                plan.name, plan.version, plan.digest
            )));
        }
        if again.is_none() {
            self.not_taken_back(&plan).await?;
        }
        let workload = self.observed(self.workload_for(&plan.plan)?).await?;
        let (errors, _) = model::plan::reach::check(&plan.plan, &workload);
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        startable(&workload)?;
        self.check_templates(&plan.plan, &workload).await?;
        if let Some(broken) = self.broken(&workload.key, &plan.service, &plan.environment).await? {
            return Err(Problem::conflict(broken.words));
        }
        let good = self.cluster(&workload.key.cluster)?.template(&workload.key).await.or_problem()?;
        if let Some(fault) = plan.plan.unplaced(good.steps.as_ref()) {
            return Err(Problem::invalid(vec![fault]));
        }
        self.rehearsed_enough(&plan, &workload, &good.hash).await?;
        let config = match plan.plan.restores_config() {
            true => self.held(&workload, &good).await?,
            false => Vec::new(),
        };
        let good = KnownGood { config, ..good };
        let now = self.now_utc();
        let valid = self.store().valid_approvals(id, &plan.digest, now).await.or_problem()?;
        approved_enough(valid.len(), plan.plan.spec.approvals.required)?;
        let words = match &again {
            None => format!("Release of {} {} started", plan.service, plan.plan.version()),
            Some(again) => {
                format!("Release {} of {} {} retried", again.of, plan.service, plan.plan.version())
            }
        };
        let mut event = NewEvent::new(now, actor, "release.started", words);
        event.reason = again.as_ref().and_then(|again| again.reason.clone());
        event.plan = Some(id);
        event.service = Some(plan.service.clone());
        event.environment = Some(plan.environment.clone());
        self.suspend_before(&workload, &event).await?;
        let mut tx = self.store().begin().await.or_problem()?;
        let locked = tx.lock_plan(id).await.or_problem()?;
        if locked.digest != plan.digest {
            return Err(Problem::conflict("The plan was changed this moment. Read it again."));
        }
        approved_enough(
            tx.valid_approvals(id, &plan.digest, now).await.or_problem()?.len(),
            plan.plan.spec.approvals.required,
        )?;
        let policy = self.policy_for(&workload.key, &plan.service, &plan.environment);
        let release = Release { policy, ..queued(actor, &plan, &workload, good, now) };
        let good = &release.known_good;
        let known = tx.put_known_good(&release.workload, good, None, now).await.or_problem()?;
        let release_id = tx.insert_release(&release).await.or_problem()?;
        event.release = Some(release_id);
        event.detail = serde_json::json!({
            "version": plan.version, "digest": plan.digest, "workload": workload.key,
            "known_good": release.known_good.hash, "retry_of": again.map(|again| again.of),
        });
        tx.commit(event).await.or_problem()?;
        self.remember_known_good(&release.workload, known, good);
        self.inner.nudge.notify_one();
        Ok(release_id)
    }

    /// The workload once its controller has acted on the last change: right after a rollback that is still to come, and
    /// whoever starts the next release then need not press twice.
    async fn observed(&self, w: Arc<Workload>) -> Result<Arc<Workload>, Problem> {
        if w.phase != Phase::Unknown {
            return Ok(w);
        }
        let known = |w: &Workload| w.phase != Phase::Unknown;
        Ok(self.cluster(&w.key.cluster)?.wait_for(&w.key, OBSERVED_WITHIN, known).await.unwrap_or(w))
    }

    /// Holds a release where it is. Its clocks stop; nothing rises until it is resumed.
    ///
    /// # Errors
    /// 403; 409 in a state that cannot be held.
    pub async fn pause(&self, actor: &Actor, id: ReleaseId, reason: Option<String>) -> Result<(), Problem> {
        self.ask(actor, id, Ask::Pause, reason).await
    }

    /// Lets a held release go on.
    ///
    /// # Errors
    /// 403; 409 when it is not held.
    pub async fn resume(&self, actor: &Actor, id: ReleaseId, reason: Option<String>) -> Result<(), Problem> {
        self.ask(actor, id, Ask::Resume, reason).await
    }

    /// Goes on to the next step without waiting for the rest of this one's bake and analysis.
    ///
    /// # Errors
    /// 403; 409 when the canary fails, an approval gate is shut, or no step is being waited at.
    pub async fn promote(&self, actor: &Actor, id: ReleaseId, reason: Option<String>) -> Result<(), Problem> {
        self.ask(actor, id, Ask::Promote, reason).await
    }

    /// Goes on to the end without waiting for the rest of any step's bake and analysis. Weights rise one after the other
    /// as the plan says; a failing canary is turned back all the same, and approvals count at each of them.
    ///
    /// # Errors
    /// As [`Control::promote`]; 409 also when a later step has an approval gate.
    pub async fn promote_full(
        &self,
        actor: &Actor,
        id: ReleaseId,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        self.ask(actor, id, Ask::PromoteFull, reason).await
    }

    /// Leaves out the rest of the present step.
    ///
    /// # Errors
    /// As [`Control::promote`].
    pub async fn skip(&self, actor: &Actor, id: ReleaseId, reason: Option<String>) -> Result<(), Problem> {
        self.ask(actor, id, Ask::Skip, reason).await
    }

    /// Takes the canary's traffic away and ends the release as cancelled.
    ///
    /// # Errors
    /// 403; 409 when it has ended or is rolling back.
    pub async fn abort(&self, actor: &Actor, id: ReleaseId, reason: Option<String>) -> Result<(), Problem> {
        self.ask(actor, id, Ask::Abort, reason).await
    }

    /// Opens the present step's approval gate.
    ///
    /// # Errors
    /// 403; 409 when this step has none or it is open.
    pub async fn open_gate(
        &self,
        actor: &Actor,
        id: ReleaseId,
        comment: Option<String>,
    ) -> Result<(), Problem> {
        self.ask(actor, id, Ask::OpenGate, comment).await
    }

    async fn ask(
        &self,
        actor: &Actor,
        id: ReleaseId,
        ask: Ask,
        reason: Option<String>,
    ) -> Result<(), Problem> {
        let reason = tidy(reason)?;
        let before = self.store().release(id).await.or_problem()?;
        let plan = self.plan_of(&before).await?;
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let (mut release, _) = tx.lock_release(id).await.or_problem()?;
        may(actor, &release, &plan, ask, now)?;
        if matches!(ask, Ask::Resume | Ask::Promote | Ask::PromoteFull | Ask::Skip)
            && let Some(words) = self.policy_bars(&release).await?
        {
            return Err(Problem::conflict(words));
        }
        let (action, summary) = carry_out(&mut release, actor, ask, &plan, reason.as_deref(), now);
        tx.put_release(&release, None).await.or_problem()?;
        let mut event = NewEvent::new(now, actor, action, summary);
        about(&mut event, &release);
        event.reason = reason;
        tx.commit(event).await.or_problem()?;
        self.remember(&release);
        self.inner.nudge.notify_one();
        Ok(())
    }

    /// Keeps a copy of a release under way, for the rollback that must not ask the database.
    pub(crate) fn remember(&self, release: &Release) {
        let mut active = write_lock(&self.inner.active);
        if release.state.ended() {
            active.remove(&release.id);
        } else {
            active.insert(release.id, Arc::new(release.clone()));
        }
    }
}

/// For a page's button.
pub(crate) fn deed(result: Result<(), Problem>) -> Deed {
    match result {
        Ok(()) => Deed::yes(),
        Err(p) => Deed::no(p.detail),
    }
}

pub(crate) fn about(event: &mut NewEvent, release: &Release) {
    event.plan = Some(release.plan);
    event.release = Some(release.id);
    event.service = Some(release.service.clone());
    event.environment = Some(release.environment.clone());
}

/// # Errors
/// 409 unless there are enough.
pub(crate) fn approved_enough(valid: usize, required: u32) -> Result<(), Problem> {
    let valid = u32::try_from(valid).unwrap_or(u32::MAX);
    if valid >= required {
        return Ok(());
    }
    let missing = required - valid;
    let noun = if missing == 1 { "approval" } else { "approvals" };
    Err(Problem::conflict(format!(
        "Needs {missing} more {noun} of exactly this version ({valid} of {required})."
    )))
}

/// # Errors
/// 409 with what to do first.
pub(crate) fn startable(w: &Workload) -> Result<(), Problem> {
    let no = |words: String| Err(Problem::conflict(words));
    // A canary Deployment that an ended release has left behind is no update: the next one takes it away.
    let moves = matches!((&w.stable_hash, &w.current_hash), (Some(a), Some(b)) if a != b);
    if moves || w.abort || w.any_sent() {
        return no(format!(
            "{} is in the middle of another update. Let it end, or roll it back.",
            w.key.name
        ));
    }
    if w.spec_paused {
        return no(format!("{} is paused in the cluster (spec.paused). Resume it first.", w.key.name));
    }
    match w.phase {
        Phase::Healthy => Ok(()),
        Phase::Unknown => no(format!(
            "The controller of {} has not acted on its last change yet. Start the release when it has.",
            w.key.name
        )),
        phase => no(format!(
            "{} is {} now{}. A release starts from a healthy workload.",
            w.key.name,
            phase.key(),
            w.message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default()
        )),
    }
}

fn queued(
    actor: &Actor,
    plan: &store::PlanRecord,
    workload: &Workload,
    good: KnownGood,
    now: DateTime<Utc>,
) -> Release {
    Release {
        id: ReleaseId(0),
        plan: plan.id,
        plan_version: plan.version,
        digest: plan.digest.clone(),
        service: plan.service.clone(),
        environment: plan.environment.clone(),
        workload: workload.key.clone(),
        images: plan.plan.spec.change.images.clone(),
        state: State::Queued,
        course: Course::Forward,
        reason: None,
        known_good: good,
        canary_hash: None,
        step: None,
        step_since: None,
        baked: Span::ZERO,
        passed: Vec::new(),
        opened: BTreeMap::new(),
        waived: BTreeMap::new(),
        hold: None,
        verdict: None,
        checked: None,
        attempt: None,
        tried: Vec::new(),
        attempts: 0,
        started_by: actor.name.clone(),
        created: now,
        started: None,
        ended: None,
        turned_back: None,
        by_itself: false,
        policy: None,
        rerouted: None,
        proved: BTreeMap::new(),
        recovered: None,
        note: None,
    }
}
