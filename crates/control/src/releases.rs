//! Starting a release, and what people may do to one under way. Each deed changes the record; the conductor,
//! woken by the change, acts on the cluster.

use crate::error::OrProblem as _;
use crate::plans::tidy;
use crate::retry::Again;
use crate::{Control, write_lock};
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::conductor::{self as press, only_gate_left};
use model::plan::{Gate, Plan};
use model::release::{Course, KnownGood, Release, State};
use model::verdict::Class;
use model::view::Deed;
use model::workload::{Phase, Workload};
use model::{Action, Actor, Digest, PlanId, Problem, ReleaseId, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a person can ask of a release under way, besides a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Pause,
    Resume,
    /// Go on now: the present step's bake and analysis are not waited for.
    Promote,
    /// Go on to the end: no step's bake and analysis is waited for any more.
    PromoteFull,
    /// Leave this step out.
    Skip,
    Abort,
    /// Open the present step's approval gate.
    OpenGate,
}

impl Ask {
    fn action(self) -> Action {
        match self {
            Self::Pause => Action::Pause,
            Self::Resume => Action::Resume,
            Self::Promote | Self::PromoteFull => Action::Promote,
            Self::Skip => Action::Skip,
            Self::Abort => Action::Abort,
            Self::OpenGate => Action::OpenOnCallGate,
        }
    }
}

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
        let workload = self.workload_for(&plan.plan)?;
        let (errors, _) = model::plan::reach::check(&plan.plan, &workload);
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        startable(&workload)?;
        let good = self.cluster(&workload.key.cluster)?.template(&workload.key).await.or_problem()?;
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
        let release = queued(actor, &plan, &workload, good, now);
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
        let (action, summary) =
            carry_out(&mut release, actor, ask, plan.steps().len(), reason.as_deref(), now);
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

/// May this actor ask this of this release now? Asked by pages for their buttons, and again by the deed itself.
///
/// # Errors
/// 403 or 409 with the reason in words.
pub(crate) fn may(
    actor: &Actor,
    release: &Release,
    plan: &Plan,
    ask: Ask,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if ask == Ask::OpenGate {
        gate_role(actor, release, plan)?;
    } else {
        actor.require(ask.action(), &release.environment)?;
    }
    let no = |words: &str| Err(Problem::conflict(words));
    if release.state.ended() {
        return no(&format!("This release has ended: {}.", release.state.words().to_lowercase()));
    }
    if release.course != Course::Forward {
        return match ask {
            Ask::Abort => no("It is on its way back already."),
            _ => no("It is going back to the known-good version. Wait until it is there."),
        };
    }
    match ask {
        Ask::Pause if release.hold.is_some() => no("It is held already."),
        Ask::Resume if release.hold.is_none() => no("It is not held."),
        Ask::Promote | Ask::Skip => may_go_on(release, plan, now),
        Ask::PromoteFull => {
            may_go_on(release, plan, now)?;
            may_go_to_the_end(release, plan)
        }
        Ask::OpenGate if release.step.is_some_and(|s| release.opened.contains_key(&s)) => {
            no("This gate is open already.")
        }
        Ask::Pause | Ask::Resume | Ask::Abort | Ask::OpenGate => Ok(()),
    }
}

fn may_go_on(release: &Release, plan: &Plan, now: DateTime<Utc>) -> Result<(), Problem> {
    let no = |words: &str| Err(Problem::conflict(words));
    if release.hold.is_some() {
        return no("It is held. Resume it first.");
    }
    let Some(step) = release.step.filter(|_| release.step_since.is_some()) else {
        return no("No step is being waited at: the weight is still moving.");
    };
    if release.verdict.as_ref().is_some_and(|v| v.step == step && v.class == Class::Fail) {
        return no(
            "The analysis of this step fails, and a failed analysis cannot be passed over. Roll back.",
        );
    }
    if release.waived.contains_key(&step) || release.passed.len() > step {
        return no("This step has been passed already.");
    }
    if let Some(role) = only_gate_left(release, plan, now) {
        return no(&format!(
            "Only the approval gate is left, and nobody passes it over. It is opened by: {}.",
            role.words()
        ));
    }
    Ok(())
}

/// An approval gate is part of what was approved: whoever is to open it looks at its own step.
fn may_go_to_the_end(release: &Release, plan: &Plan) -> Result<(), Problem> {
    let here = release.step.unwrap_or(0);
    let left = plan.steps().iter().enumerate().skip(here);
    for (i, step) in left.clone() {
        let gate = step.gates.iter().find_map(|g| match g {
            Gate::Approval(role) if !release.opened.contains_key(&i) => Some(*role),
            Gate::Approval(_) | Gate::Analysis => None,
        });
        if let Some(role) = gate {
            return Err(Problem::conflict(format!(
                "Step {} has an approval gate, and nobody passes it over. It is opened by: {}. Promote step by step.",
                i + 1,
                role.words()
            )));
        }
    }
    if left.count() < 2 {
        return Err(Problem::conflict("This is the last step. Promote it."));
    }
    Ok(())
}

fn gate_role(actor: &Actor, release: &Release, plan: &Plan) -> Result<(), Problem> {
    let gate = release.step.and_then(|i| plan.steps().get(i)).and_then(|s| {
        s.gates.iter().find_map(|g| match g {
            Gate::Approval(role) => Some(*role),
            Gate::Analysis => None,
        })
    });
    let Some(role) = gate else {
        return Err(Problem::conflict("The present step has no approval gate."));
    };
    if actor.holds(role, &release.environment) {
        return Ok(());
    }
    Err(Problem::forbidden(format!("This gate is opened by: {}.", role.words())))
}

fn carry_out(
    release: &mut Release,
    actor: &Actor,
    ask: Ask,
    steps: usize,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> (&'static str, String) {
    let at = release.ceiling_words();
    match ask {
        Ask::Pause => {
            press::hold(release, &actor.name, reason.map(ToOwned::to_owned), now);
            ("release.paused", format!("Held at {at}"))
        }
        Ask::Resume => {
            press::resume(release, now);
            ("release.resumed", format!("Resumed at {at}"))
        }
        Ask::Promote | Ask::Skip => {
            if let Some(step) = release.step {
                press::waive(release, step, &actor.name);
                if ask == Ask::Promote {
                    return ("release.promoted", format!("Promoted past {at} without waiting for the rest"));
                }
            }
            ("release.step.skipped", format!("Rest of the step at {at} left out"))
        }
        Ask::PromoteFull => {
            for step in release.step.unwrap_or(0)..steps {
                press::waive(release, step, &actor.name);
            }
            ("release.promoted.fully", format!("Promoted past {at} and all steps after it without waiting"))
        }
        Ask::Abort => {
            let why = reason.map_or_else(|| format!("Aborted by {}.", actor.name), str::to_owned);
            press::leave(release, Course::Abort, Some(&why), now);
            ("release.aborted", format!("Aborted at {at}: traffic goes back to {}", release.good_version()))
        }
        Ask::OpenGate => {
            if let Some(step) = release.step {
                press::open_gate(release, step, &actor.name);
            }
            ("release.gate.opened", format!("Gate at {at} opened by {}", actor.name))
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
    if moves || w.abort || w.any_switched() {
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
        attempt: None,
        tried: Vec::new(),
        attempts: 0,
        started_by: actor.name.clone(),
        created: now,
        started: None,
        ended: None,
        turned_back: None,
        rerouted: None,
        proved: BTreeMap::new(),
        recovered: None,
        note: None,
    }
}

/// Words shared by several sentences.
trait Words {
    fn ceiling_words(&self) -> String;
}

impl Words for Release {
    fn ceiling_words(&self) -> String {
        match self.step {
            Some(step) => format!("step {}", step + 1),
            None => "the start".to_owned(),
        }
    }
}
