//! The rollback, rehearsed before a release may start: tried on the cluster without changing it, and kept with the
//! plan.

use crate::Control;
use crate::error::OrProblem as _;
use crate::releases::deed;
use chrono::{DateTime, Utc};
use model::audit::NewEvent;
use model::rehearsal::Rehearsal;
use model::release::Release;
use model::view::{Deed, RehearsalView};
use model::workload::Workload;
use model::{Action, Actor, Digest, PlanId, Problem};
use store::PlanRecord;

impl Control {
    /// Rehearses the rollback of a plan's newest version, and keeps what was found. Nothing is changed in the
    /// cluster; a check that fails is an answer, not an error.
    ///
    /// # Errors
    /// 403; 404; 409 when the plan has another digest by now, or its release is under way; 422 when it no longer has
    /// a workload; 503 when the cluster does not answer.
    pub async fn rehearse(
        &self,
        actor: &Actor,
        id: PlanId,
        digest: Option<Digest>,
    ) -> Result<Rehearsal, Problem> {
        let plan = self.store().plan(id).await.or_problem()?;
        let current = self.release_of_plan(&plan).await?;
        may_rehearse(actor, &plan, current.as_ref())?;
        if digest.is_some_and(|d| d != plan.digest) {
            return Err(Problem::conflict(format!(
                "Plan {} has changed: version {} has digest {}. Read it again before you rehearse its rollback.",
                plan.name, plan.version, plan.digest
            )));
        }
        let workload = self.workload_for(&plan.plan)?;
        let cluster = self.cluster(&workload.key.cluster)?;
        let change = &plan.plan.spec.change;
        let mut rehearsal = cluster.rehearse(&workload.key, &plan.plan, self.now_utc()).await.or_problem()?;
        if rehearsal.way.is_some() && !change.migrations.is_empty() {
            rehearsal.findings.push(format!(
                "Migrations are not undone: {}. The known-good version must run with them.",
                change.migrations.join(", ")
            ));
        }
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        // An edit in between is of another version; what was tried was tried for this one.
        tx.insert_rehearsal(id, plan.version, &plan.digest, &rehearsal).await.or_problem()?;
        tx.commit(event(actor, &plan, &rehearsal, now)).await.or_problem()?;
        Ok(rehearsal)
    }

    /// Refuses a start where the plan asks for a rehearsal and none counts for the stable revision `hash`.
    ///
    /// # Errors
    /// 409 with what to do; 503 without a database.
    pub(crate) async fn rehearsed_enough(
        &self,
        plan: &PlanRecord,
        workload: &Workload,
        hash: &str,
    ) -> Result<(), Problem> {
        if !plan.plan.rehearsal_required() {
            return Ok(());
        }
        let last = self.store().rehearsal(plan.id, plan.version).await.or_problem()?;
        counts(last.as_ref(), plan, workload, hash, self.now_utc())
    }

    /// What a plan's page shows of it. `current` is the release of this version, if there is one.
    pub(crate) async fn rehearsal_view(
        &self,
        actor: &Actor,
        plan: &PlanRecord,
        current: Option<&Release>,
    ) -> Result<RehearsalView, Problem> {
        let last = self.store().rehearsal(plan.id, plan.version).await.or_problem()?;
        let workload = self.workload_for(&plan.plan);
        let stale = match (&last, &workload) {
            // What has been released says nothing about the next time.
            (Some(last), Ok(w)) if current.is_none() => {
                last.stale(self.now_utc(), &w.key, w.stable_hash.as_deref().unwrap_or_default())
            }
            _ => None,
        };
        let rehearse = match may_rehearse(actor, plan, current) {
            Ok(()) if current.is_some() => Deed::no("This version has been released already."),
            other => deed(other.and(workload.map(drop))),
        };
        Ok(RehearsalView {
            required: plan.plan.rehearsal_required(),
            stale: stale.map(|s| s.to_string()),
            last,
            rehearse,
        })
    }
}

/// Whoever may roll back may see whether they could. Asked by the page for its button, and again by
/// [`Control::rehearse`] itself.
fn may_rehearse(actor: &Actor, plan: &PlanRecord, current: Option<&Release>) -> Result<(), Problem> {
    actor.require(Action::RollBack, &plan.environment)?;
    match current {
        Some(release) if !release.state.ended() => Err(Problem::conflict(format!(
            "Release {} of this version is under way. A rollback is rehearsed before.",
            release.id
        ))),
        _ => Ok(()),
    }
}

/// Whether the last rehearsal lets a release start. Asked by the page for its button, and by the start itself.
///
/// # Errors
/// 409 with what to do.
pub(crate) fn counts(
    last: Option<&Rehearsal>,
    plan: &PlanRecord,
    workload: &Workload,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if !plan.plan.rehearsal_required() {
        return Ok(());
    }
    let no = |why: &str| {
        Err(Problem::conflict(format!(
            "This plan may start only after its rollback was rehearsed. {why} Rehearse it now, on the plan's page \
             or by POST /api/v1/plans/{}/rehearsals.",
            plan.id
        )))
    };
    let Some(last) = last else {
        return no("This version has not been.");
    };
    if let Some(failed) = last.failures().next() {
        return no(&format!("The last rehearsal failed. {}: {}", failed.name, failed.words));
    }
    match last.stale(now, &workload.key, hash) {
        Some(stale) => no(&format!("The last rehearsal no longer counts. {stale}")),
        None if last.passed() => Ok(()),
        None => no("The last rehearsal tried nothing."),
    }
}

fn event(actor: &Actor, plan: &PlanRecord, rehearsal: &Rehearsal, now: DateTime<Utc>) -> NewEvent {
    let summary = format!("Rollback rehearsed: {}", rehearsal.words());
    let mut event = NewEvent::new(now, actor, "plan.rehearsed", summary);
    event.plan = Some(plan.id);
    event.service = Some(plan.service.clone());
    event.environment = Some(plan.environment.clone());
    let failed: Vec<_> = rehearsal.failures().map(|c| &c.name).collect();
    event.detail = serde_json::json!({
        "version": plan.version, "digest": plan.digest, "workload": rehearsal.workload,
        "known_good": rehearsal.way.as_ref().map(|w| &w.hash), "passed": rehearsal.passed(), "failed": failed,
    });
    event
}
