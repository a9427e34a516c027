//! `/plans` and the editor.

use super::services::see;
use crate::Control;
use crate::error::OrProblem as _;
use crate::plans::may_decide;
use crate::rehearsal;
use crate::releases::{approved_enough, deed, startable};
use chrono::{DateTime, Utc};
use model::plan::{Plan, diff, reach, read};
use model::rehearsal::Rehearsal;
use model::release::Release;
use model::view::{
    ApprovalState, ApprovalView, Deed, DraftTarget, PlanCheck, PlanDraft, PlanPage, PlanRow, PlanState,
    PlansPage, VersionView,
};
use model::workload::{Strategy, Workload};
use model::{Action, Actor, PlanId, Problem, Span};
use store::{ApprovalRecord, PlanRecord};

/// Plans on the list; older ones are found by their service.
const PLANS: i64 = 200;

impl Control {
    /// All plans, those changed last first.
    ///
    /// # Errors
    /// 403; 503 without a database.
    pub async fn plans(&self, actor: &Actor) -> Result<PlansPage, Problem> {
        see(actor)?;
        let now = self.now_utc();
        let mut rows = Vec::new();
        for plan in self.store().plans(PLANS).await.or_problem()? {
            let approvals = self.store().approvals(plan.id).await.or_problem()?;
            let release = self.release_of_plan(&plan).await?;
            let valid = valid(&approvals, &plan, now);
            rows.push(PlanRow {
                id: plan.id,
                state: state(&plan, &approvals, valid, release.as_ref(), now),
                brings: plan.plan.version(),
                steps: (0..plan.plan.steps().len()).map(|i| plan.plan.step_title(i)).collect(),
                approvals: valid,
                required: plan.plan.spec.approvals.required,
                name: plan.name,
                service: plan.service,
                environment: plan.environment,
                version: plan.version,
                digest: plan.digest,
                author: plan.author_name,
                changed: plan.changed,
            });
        }
        let write = if actor.may_somewhere(Action::WritePlan) {
            Deed::yes()
        } else {
            deed(actor.require(Action::WritePlan, "any environment"))
        };
        Ok(PlansPage { rows, write, age: self.age() })
    }

    /// A plan's newest version with its approvals, its difference to the one before, and what may be done.
    ///
    /// # Errors
    /// 403, 404; 503 without a database.
    pub async fn plan(&self, actor: &Actor, id: PlanId) -> Result<PlanPage, Problem> {
        see(actor)?;
        let now = self.now_utc();
        let record = self.store().plan(id).await.or_problem()?;
        let approvals = self.store().approvals(id).await.or_problem()?;
        let of_this = store::ReleaseFilter { plan: Some(id), ..Default::default() };
        let releases = self.found(of_this, 20).await?;
        let current = releases.iter().find(|r| r.plan_version == record.version);
        let given = valid(&approvals, &record, now);
        let state = state(&record, &approvals, given, current, now);
        let versions = self.store().plan_versions(id).await.or_problem()?;
        let diff = match versions.iter().filter(|v| v.version < record.version).max_by_key(|v| v.version) {
            Some(before) => diff::lines(&before.plan.to_yaml(), &record.plan.to_yaml()),
            None => Vec::new(),
        };
        // What has been released says nothing about the next time any more.
        let warnings = match current {
            Some(_) => Vec::new(),
            None => {
                let read = self.read_plan_around(&record.plan.to_yaml()).await;
                read.map_or_else(|p| p.fields, |r| r.warnings)
            }
        };
        let mine = approvals.iter().any(|a| {
            Some(a.person) == actor.person && approval_state(a, &record, now) == ApprovalState::Approved
        });
        let approve = match may_decide(actor, &record) {
            Ok(()) if mine => Deed::no("You have approved this version."),
            Ok(()) if current.is_some() => Deed::no("This version has been released already."),
            other => deed(other),
        };
        let edit = match actor.require(Action::WritePlan, &record.environment) {
            Ok(()) if matches!(state, PlanState::Releasing) => Deed::no(
                "A release of this version is under way; an edit would stop it before its next step.",
            ),
            other => deed(other),
        };
        let rehearsal = self.rehearsal_view(actor, &record, current).await?;
        Ok(PlanPage {
            id,
            version: record.version,
            digest: record.digest.clone(),
            yaml: record.plan.to_yaml(),
            author: record.author_name.clone(),
            changed: record.changed,
            state,
            approvals: approvals.iter().map(|a| approval(a, &record, now)).collect(),
            valid_approvals: given,
            warnings,
            versions: versions
                .iter()
                .map(|v| VersionView {
                    version: v.version,
                    digest: v.digest.clone(),
                    author: v.author_name.clone(),
                    at: v.changed,
                })
                .collect(),
            diff,
            least: least(&record.plan),
            approve,
            revoke: mine.then(Deed::yes),
            start: self.start_deed(actor, &record, given, current, rehearsal.last.as_ref()),
            rehearsal,
            edit,
            releases: self.rows(&releases).await?,
            plan: record.plan,
            age: self.age(),
        })
    }

    fn start_deed(
        &self,
        actor: &Actor,
        record: &PlanRecord,
        given: u32,
        current: Option<&Release>,
        rehearsal: Option<&Rehearsal>,
    ) -> Deed {
        let check = || -> Result<(), Problem> {
            actor.require(Action::Start, &record.environment)?;
            if let Some(release) = current {
                let words = release.state.words().to_lowercase();
                return Err(Problem::conflict(format!("Release {} of this version: {words}.", release.id)));
            }
            approved_enough(given as usize, record.plan.spec.approvals.required)?;
            let workload = self.workload_for(&record.plan)?;
            startable(&workload)?;
            let hash = workload.stable_hash.as_deref().unwrap_or_default();
            rehearsal::counts(rehearsal, record, &workload, hash, self.now_utc())
        };
        deed(check())
    }

    /// What the editor begins with: a copy of a plan, or a new one for a service.
    ///
    /// # Errors
    /// 403, 404; 503 without a database when copying.
    pub async fn draft(
        &self,
        actor: &Actor,
        service: Option<&str>,
        from: Option<PlanId>,
    ) -> Result<PlanDraft, Problem> {
        see(actor)?;
        let mut targets = Vec::new();
        let mut chosen: Option<std::sync::Arc<Workload>> = None;
        for cluster in self.clusters() {
            for w in cluster.workloads().iter() {
                if chosen.is_none() && service.is_none_or(|s| s == w.service || s == w.key.name) {
                    chosen = Some(w.clone());
                }
                if targets.len() < 500 {
                    targets.push(target(w));
                }
            }
        }
        let yaml = match from {
            Some(id) => self.store().plan(id).await.or_problem()?.plan.to_yaml(),
            None => chosen.map_or_else(|| template(None), |w| template(Some(&w))),
        };
        let plan = read::from_yaml(&yaml).ok().map(|r| r.plan);
        Ok(PlanDraft { targets, yaml, plan })
    }

    /// Is this document right? Never stores anything.
    ///
    /// # Errors
    /// 403. What is wrong with the document is in the answer.
    pub async fn check_plan(&self, actor: &Actor, text: &str) -> Result<PlanCheck, Problem> {
        see(actor)?;
        Ok(match self.read_plan_around(text).await {
            Ok(read) => PlanCheck {
                errors: Vec::new(),
                warnings: read.warnings,
                digest: Some(read.plan.digest()),
                yaml: Some(read.plan.to_yaml()),
                plan: Some(read.plan),
            },
            Err(problem) => {
                let errors = if problem.fields.is_empty() {
                    vec![model::FieldError::new("", problem.detail)]
                } else {
                    problem.fields
                };
                // The rules of the document may hold though the cluster's do not: then the form can still be filled.
                let plan = read::from_yaml(text).ok().map(|r| r.plan);
                let yaml = plan.as_ref().map(Plan::to_yaml);
                PlanCheck { errors, warnings: Vec::new(), digest: None, yaml, plan }
            }
        })
    }
}

fn target(w: &Workload) -> DraftTarget {
    DraftTarget {
        service: w.service.clone(),
        environment: w.environment.clone(),
        namespace: w.key.namespace.clone(),
        kind: w.key.kind.key().to_owned(),
        images: w.images.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        reach: reach::describe(w),
        strategies: reach::strategies(w).iter().map(|s| (*s).to_owned()).collect(),
    }
}

/// A document to begin with: today's images, three careful steps where there can be steps.
fn template(w: Option<&Workload>) -> String {
    let (service, environment) =
        w.map_or(("", "production"), |w| (w.service.as_str(), w.environment.as_str()));
    let images: String = w.map_or_else(String::new, |w| {
        w.images.iter().map(|(name, image)| format!("      {name}: {image}\n")).collect()
    });
    let strategy = match w.map(|w| w.strategy) {
        Some(Strategy::Rolling) => "    rolling: {bake: 5m}\n",
        Some(Strategy::BlueGreen) => {
            "    blueGreen:\n      preview: {bake: 2m, gates: [{approval: on-call}]}\n      after: {bake: 10m}\n"
        }
        Some(Strategy::Canary) | None => {
            "    canary:\n      steps:\n      - {weight: 5, bake: 2m, gates: [analysis]}\n      \
             - {weight: 25, bake: 5m, gates: [analysis]}\n      - {weight: 100}\n"
        }
    };
    format!(
        "apiVersion: tidegate.dev/v1\nkind: Plan\nmetadata:\n  name: {service}-next\n  service: {service}\n  \
         environment: {environment}\nspec:\n  change:\n    images:\n{images}  strategy:\n{strategy}  approvals: \
         {{required: 1, from: [approver], expire: 24h}}\n"
    )
}

/// The least time a plan takes, without waiting for people.
pub(crate) fn least(plan: &Plan) -> Span {
    Span(plan.steps().iter().map(|s| s.bake.seconds()).sum())
}

pub(crate) fn approval(a: &ApprovalRecord, plan: &PlanRecord, now: DateTime<Utc>) -> ApprovalView {
    ApprovalView {
        person: a.person.0,
        name: a.name.clone(),
        state: approval_state(a, plan, now),
        version: a.version,
        digest: a.digest.clone(),
        comment: a.comment.clone(),
        at: a.at,
        expires: a.expires,
    }
}

fn approval_state(a: &ApprovalRecord, plan: &PlanRecord, now: DateTime<Utc>) -> ApprovalState {
    if a.revoked.is_some() {
        ApprovalState::Revoked
    } else if a.digest != plan.digest {
        ApprovalState::Void
    } else if a.decision == store::Decision::Rejected {
        ApprovalState::Rejected
    } else if a.expires <= now {
        ApprovalState::Expired
    } else {
        ApprovalState::Approved
    }
}

fn valid(approvals: &[ApprovalRecord], plan: &PlanRecord, now: DateTime<Utc>) -> u32 {
    let n = approvals.iter().filter(|a| approval_state(a, plan, now) == ApprovalState::Approved).count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn state(
    plan: &PlanRecord,
    approvals: &[ApprovalRecord],
    valid: u32,
    release: Option<&Release>,
    now: DateTime<Utc>,
) -> PlanState {
    match release {
        Some(r) if r.state.ended() => PlanState::Released,
        Some(_) => PlanState::Releasing,
        None if approvals.iter().any(|a| approval_state(a, plan, now) == ApprovalState::Rejected) => {
            PlanState::Rejected
        }
        None if valid >= plan.plan.spec.approvals.required => PlanState::Approved,
        None => PlanState::Open,
    }
}
