//! Starting a release again that did not get to its end. It is a release of its own, of exactly the plan that was
//! approved, and needs all that the first one needed. What was rolled back had a reason to be: without a person's
//! reason it does not come back.

use crate::error::OrProblem as _;
use crate::plans::tidy;
use crate::releases::startable;
use crate::{Control, read_lock};
use model::release::{Course, Release, State};
use model::workload::Workload;
use model::{Action, Actor, FieldError, Problem, ReleaseId};
use store::{PlanRecord, ReleaseFilter};

/// How many of a plan's releases are looked through for one that was rolled back.
const LOOKED_THROUGH: i64 = 50;

/// What is tried again, and why.
#[derive(Debug)]
pub(crate) struct Again {
    pub of: ReleaseId,
    pub reason: Option<String>,
}

impl Control {
    /// Starts the plan of an ended release again, if it is still the same plan.
    ///
    /// # Errors
    /// 403; 409 when the release has not ended, has succeeded, or its plan was changed since; 422 without a reason for
    /// what was rolled back; else as [`Control::start`].
    pub async fn retry(
        &self,
        actor: &Actor,
        id: ReleaseId,
        reason: Option<String>,
    ) -> Result<ReleaseId, Problem> {
        let reason = tidy(reason)?;
        let release = self.store().release(id).await.or_problem()?;
        actor.require(Action::Start, &release.environment)?;
        retriable(&release)?;
        if reason.is_none() && needs_reason(&release) {
            let words = "This version was rolled back. Say why it is right to bring it in again.";
            return Err(Problem::invalid(vec![FieldError::new("reason", words)]));
        }
        let again = Again { of: id, reason };
        self.start_or_retry(actor, release.plan, Some(release.digest), Some(again)).await
    }

    /// What exactly this plan brought was rolled back: it is started again by a retry only, with a reason.
    ///
    /// # Errors
    /// 409, naming the release.
    pub(crate) async fn not_taken_back(&self, plan: &PlanRecord) -> Result<(), Problem> {
        let filter =
            ReleaseFilter { plan: Some(plan.id), state: Some(State::RolledBack), ..ReleaseFilter::default() };
        let all = self.store().releases(&filter, LOOKED_THROUGH).await.or_problem()?;
        match all.into_iter().find(|r| r.digest == plan.digest) {
            None => Ok(()),
            Some(r) => Err(Problem::conflict(format!(
                "Release {} of exactly this plan was rolled back. Retry that release and say why, or edit the plan and \
                 have it approved anew.",
                r.id
            ))),
        }
    }

    /// May this actor retry it now, as far as memory tells? For a page's button.
    pub(crate) fn may_retry(
        &self,
        actor: &Actor,
        release: &Release,
        seen: Option<&Workload>,
    ) -> Result<(), Problem> {
        actor.require(Action::Start, &release.environment)?;
        retriable(release)?;
        let other =
            read_lock(&self.inner.active).values().find(|r| r.workload == release.workload).map(|r| r.id);
        if let Some(other) = other {
            return Err(Problem::conflict(format!("Release {other} of this workload is under way.")));
        }
        seen.map_or_else(|| Err(Problem::conflict("The workload is gone.")), startable)
    }
}

/// It brought a version that was then left, by a verdict, by the controller or by a person.
pub(crate) fn needs_reason(release: &Release) -> bool {
    release.state == State::RolledBack || release.course == Course::RollBack
}

fn retriable(release: &Release) -> Result<(), Problem> {
    let no = |words: &str| Err(Problem::conflict(words));
    match release.state {
        State::RolledBack | State::Failed | State::Cancelled => Ok(()),
        State::Succeeded => no("This release succeeded: there is nothing to retry."),
        State::Queued | State::Running | State::Waiting | State::Paused | State::RollingBack => {
            no("This release has not ended yet.")
        }
    }
}
