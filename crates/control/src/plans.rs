//! Writing plans and deciding on them. An approval is of a digest; any edit makes a new digest, and so voids it.

use crate::Control;
use crate::error::OrProblem as _;
use model::audit::NewEvent;
use model::plan::{Plan, reach, read};
use model::workload::{Kind, Strategy};
use model::{Action, Actor, Digest, FieldError, PlanId, Problem, Role};
use serde::{Deserialize, Serialize};
use store::NewApproval;

/// What was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    pub id: PlanId,
    pub version: i32,
    pub digest: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FieldError>,
}

/// An approver's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    #[serde(alias = "approved")]
    Approve,
    #[serde(alias = "rejected")]
    Reject,
}

impl Control {
    /// Reads a plan, checks it against the rules and against the workload it is for.
    pub(crate) fn read_plan(&self, text: &str) -> Result<read::Read, Problem> {
        let mut read = read::from_yaml(text)?;
        let workload = self.workload_for(&read.plan)?;
        let (errors, warnings) = reach::check(&read.plan, &workload);
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        read.warnings.extend(warnings);
        Ok(read)
    }

    /// As [`Self::read_plan`], with what stands around the workload among the warnings: autoscalers, disruption budgets,
    /// quotas, its own surge. A cluster that is slow to tell them keeps no plan from being written.
    pub(crate) async fn read_plan_around(&self, text: &str) -> Result<read::Read, Problem> {
        let mut read = self.read_plan(text)?;
        let workload = self.workload_for(&read.plan)?;
        let cluster = self.cluster(&workload.key.cluster)?;
        if let Some(shadow) = read.plan.shadow()
            && let Err(why) = cluster.can_copy(&workload.key, shadow.percent()).await
        {
            return Err(Problem::invalid(vec![FieldError::new("spec.strategy.shadow", why)]));
        }
        if workload.key.kind == Kind::Deployment && read.plan.drives() == Strategy::BlueGreen {
            match cluster.keeps_from_switching(&workload.key).await {
                Ok(Some(why)) => {
                    return Err(Problem::invalid(vec![FieldError::new("spec.strategy.blueGreen", why)]));
                }
                Ok(None) => {}
                // It is asked again before anything changes.
                Err(error) => {
                    tracing::debug!(%error, key = %workload.key, "what keeps it from being switched is not told");
                }
            }
        }
        read.warnings.extend(self.check_templates(&read.plan, &workload).await?);
        let ask = async {
            cluster.around(&workload.key).await.unwrap_or_else(|error| {
                tracing::debug!(%error, key = %workload.key, "what stands around it is not told");
                Vec::new()
            })
        };
        let words = self.inner.around.at(workload.key.clone(), ask).await;
        let threat = self.sync(&workload).await.and_then(|sync| sync.threat());
        let words = threat.into_iter().chain(words);
        read.warnings.extend(words.map(|words| FieldError::new("metadata.service", words)));
        Ok(read)
    }

    /// The one workload a plan is for.
    ///
    /// # Errors
    /// 422 at `metadata.service` when there is none, at `spec.workload` when there are several.
    pub(crate) fn workload_for(
        &self,
        plan: &Plan,
    ) -> Result<std::sync::Arc<model::workload::Workload>, Problem> {
        let (service, environment) = (&plan.metadata.service, &plan.metadata.environment);
        let mut found = Vec::new();
        for cluster in self.clusters() {
            for w in cluster.workloads().iter() {
                let fits = match &plan.spec.workload {
                    Some(t) => {
                        t.name == w.key.name
                            && t.namespace == w.key.namespace
                            && t.cluster.as_ref().is_none_or(|c| *c == w.key.cluster)
                            && t.kind.as_ref().is_none_or(|k| k.eq_ignore_ascii_case(w.key.kind.key()))
                    }
                    None => {
                        w.environment == *environment && (w.service == *service || w.key.name == *service)
                    }
                };
                if fits {
                    found.push(w.clone());
                }
            }
        }
        let invalid = |field: &str, words: String| Problem::invalid(vec![FieldError::new(field, words)]);
        match (found.len(), found.pop()) {
            (1, Some(w)) if w.environment == *environment => Ok(w),
            (1, Some(w)) => Err(invalid(
                "metadata.environment",
                format!("{} is in {}, not in {environment}. Write {0}.", w.environment, w.key.name),
            )),
            (0, _) if plan.spec.workload.is_some() => Err(invalid(
                "spec.workload",
                "There is no such workload in the cluster. See GET /api/v1/workloads for those there are."
                    .into(),
            )),
            (0, _) => Err(invalid(
                "metadata.service",
                format!(
                    "There is no workload for `{service}` in {environment}. See Services for those there are, or \
                     name one with spec.workload."
                ),
            )),
            (n, _) => Err(invalid(
                "spec.workload",
                format!("{n} workloads fit `{service}` in {environment}. Name one: {{namespace, name}}."),
            )),
        }
    }

    /// Stores a new plan.
    ///
    /// # Errors
    /// 400 and 422 with every broken rule; 403; 409 when the name is taken.
    pub async fn create_plan(&self, actor: &Actor, text: &str) -> Result<Created, Problem> {
        if !actor.may_somewhere(Action::WritePlan) {
            // Before the document is read: a refusal should not depend on what it says.
            actor.require(Action::WritePlan, "any environment")?;
        }
        let read::Read { plan, warnings } = self.read_plan_around(text).await?;
        actor.require(Action::WritePlan, &plan.metadata.environment)?;
        let (digest, now) = (plan.digest(), self.now_utc());
        let m = &plan.metadata;
        let mut tx = self.store().begin().await.or_problem()?;
        let id = tx.insert_plan(&plan, &digest, actor, now).await.or_problem()?;
        let mut event = NewEvent::new(
            now,
            actor,
            "plan.created",
            format!("Plan {} written: {} to {}", m.name, m.service, plan.version()),
        );
        about(&mut event, id, &plan);
        event.detail = serde_json::json!({ "version": 1, "digest": digest });
        tx.commit(event).await.or_problem()?;
        Ok(Created { id, version: 1, digest, warnings })
    }

    /// Stores a new version of a plan. Approvals of earlier versions no longer count: they are of another digest.
    ///
    /// # Errors
    /// As [`Control::create_plan`]; 409 when somebody else changed it since `expected`, or a release of it is under
    /// way.
    pub async fn edit_plan(
        &self,
        actor: &Actor,
        id: PlanId,
        expected: Option<i32>,
        text: &str,
    ) -> Result<Created, Problem> {
        let old = self.store().plan(id).await.or_problem()?;
        actor.require(Action::WritePlan, &old.environment)?;
        let read::Read { plan, warnings } = self.read_plan_around(text).await?;
        actor.require(Action::WritePlan, &plan.metadata.environment)?;
        let mut fixed = Vec::new();
        let names = [
            ("metadata.service", &plan.metadata.service, &old.service),
            ("metadata.environment", &plan.metadata.environment, &old.environment),
            ("metadata.name", &plan.metadata.name, &old.name),
        ];
        for (field, new, was) in names {
            if new != was {
                fixed.push(FieldError::new(
                    field,
                    format!("This is `{was}` for the plan's whole life. Write a new plan for `{new}`."),
                ));
            }
        }
        if !fixed.is_empty() {
            return Err(Problem::invalid(fixed));
        }
        let (digest, now) = (plan.digest(), self.now_utc());
        let expected = expected.unwrap_or(old.version);
        if digest == old.digest && expected == old.version {
            // Nothing is different: no new version, and approvals stand.
            return Ok(Created { id, version: old.version, digest, warnings });
        }
        let mut tx = self.store().begin().await.or_problem()?;
        let version = tx.insert_plan_version(id, expected, &plan, &digest, actor, now).await.or_problem()?;
        let voided = tx.valid_approvals(id, &old.digest, now).await.or_problem()?.len();
        let mut event = NewEvent::new(
            now,
            actor,
            "plan.edited",
            match voided {
                0 => format!("Plan {} edited, version {version}", old.name),
                1 => format!("Plan {} edited, version {version}. One approval voided.", old.name),
                n => format!("Plan {} edited, version {version}. {n} approvals voided.", old.name),
            },
        );
        about(&mut event, id, &plan);
        event.detail =
            serde_json::json!({ "version": version, "digest": digest, "was": old.digest, "voided": voided });
        tx.commit(event).await.or_problem()?;
        Ok(Created { id, version, digest, warnings })
    }

    /// Approves or rejects exactly the content with this digest.
    ///
    /// # Errors
    /// 403 for the wrong role or one's own plan; 409 when the plan has another digest by now.
    pub async fn decide(
        &self,
        actor: &Actor,
        id: PlanId,
        digest: &Digest,
        decision: Decision,
        comment: Option<String>,
    ) -> Result<(), Problem> {
        let comment = tidy(comment)?;
        let before = self.store().plan(id).await.or_problem()?;
        may_decide(actor, &before)?;
        let Some(person) = actor.person else {
            return Err(Problem::forbidden(
                "Only a person can approve: this token belongs to nobody. Use a token issued for an account.",
            ));
        };
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        let plan = tx.lock_plan(id).await.or_problem()?;
        if plan.digest != *digest {
            return Err(Problem::conflict(format!(
                "Plan {} has changed: version {} has digest {}. Read it again before you decide on it.",
                plan.name, plan.version, plan.digest
            )));
        }
        // Whoever wrote any version of it is an author: else two could edit in turn and approve each other.
        let versions = self.store().plan_versions(id).await.or_problem()?;
        if versions.iter().any(|v| v.author == Some(person)) {
            return Err(own_plan());
        }
        let approved = decision == Decision::Approve;
        let expires = now + plan.plan.spec.approvals.expire.delta();
        let v = plan.version;
        let approval = NewApproval {
            plan: id,
            version: v,
            digest: digest.clone(),
            person,
            name: actor.name.clone(),
            decision: if approved { store::Decision::Approved } else { store::Decision::Rejected },
            comment: comment.clone(),
            at: now,
            expires,
        };
        tx.put_approval(&approval).await.or_problem()?;
        let valid = tx.valid_approvals(id, digest, now).await.or_problem()?.len();
        let required = plan.plan.spec.approvals.required;
        let (action, summary) = if approved {
            (
                "plan.approved",
                format!("Approved, {valid} of {required}: digest {}, version {v}", digest.short()),
            )
        } else {
            ("plan.rejected", format!("Rejected: digest {}, version {v}", digest.short()))
        };
        let mut event = NewEvent::new(now, actor, action, summary);
        about(&mut event, id, &plan.plan);
        event.reason = comment;
        event.detail = serde_json::json!({ "version": v, "digest": digest, "valid": valid });
        tx.commit(event).await.or_problem()?;
        Ok(())
    }

    /// Takes back one's own approval. A release under way stops before its next step.
    ///
    /// # Errors
    /// 404 when there is none to take back.
    pub async fn revoke(&self, actor: &Actor, id: PlanId, reason: Option<String>) -> Result<(), Problem> {
        let reason = tidy(reason)?;
        let plan = self.store().plan(id).await.or_problem()?;
        actor.require(Action::Approve, &plan.environment)?;
        let nothing = || Problem::not_found("You have no approval on this plan to take back.");
        let person = actor.person.ok_or_else(nothing)?;
        let now = self.now_utc();
        let mut tx = self.store().begin().await.or_problem()?;
        match tx.revoke_approval(id, person, now).await {
            Err(store::Error::NotFound(_)) => return Err(nothing()),
            other => other.or_problem()?,
        }
        let mut event = NewEvent::new(
            now,
            actor,
            "plan.approval_revoked",
            format!("Approval of {} taken back", plan.name),
        );
        about(&mut event, id, &plan.plan);
        event.reason = reason;
        tx.commit(event).await.or_problem()?;
        self.inner.nudge.notify_one();
        Ok(())
    }
}

/// Asked by the page for its button, and again by [`Control::decide`] itself.
pub(crate) fn may_decide(actor: &Actor, plan: &store::PlanRecord) -> Result<(), Problem> {
    actor.require(Action::Approve, &plan.environment)?;
    let from = &plan.plan.spec.approvals.from;
    if !from.iter().any(|r| actor.holds(*r, &plan.environment)) {
        let wanted: Vec<_> = from.iter().map(|r| Role::words(*r)).collect();
        return Err(Problem::forbidden(format!("This plan asks for approval from: {}.", wanted.join(", "))));
    }
    if actor.person.is_some() && actor.person == plan.author {
        return Err(own_plan());
    }
    Ok(())
}

fn own_plan() -> Problem {
    Problem::forbidden("Nobody approves a plan they wrote, not even an administrator. Ask another approver.")
}

fn about(event: &mut NewEvent, id: PlanId, plan: &Plan) {
    event.plan = Some(id);
    event.service = Some(plan.metadata.service.clone());
    event.environment = Some(plan.metadata.environment.clone());
}

/// Trims a comment or reason; nothing is `None`.
///
/// # Errors
/// 422 beyond 2,000 characters.
pub(crate) fn tidy(text: Option<String>) -> Result<Option<String>, Problem> {
    let text = text.map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    if text.as_ref().is_some_and(|t| t.chars().count() > 2000) {
        return Err(Problem::invalid(vec![FieldError::new("reason", "Keep it under 2,000 characters.")]));
    }
    Ok(text)
}
