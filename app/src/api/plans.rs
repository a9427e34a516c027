//! Plans: reading, writing, approving.

use crate::Fault;
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::PlanId;
use model::view::{DraftTarget, PlanCheck, PlanPage, PlansPage};
use serde::{Deserialize, Serialize};

/// The part of a plan that the form shows, as text: what somebody typed is kept even where it is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanForm {
    pub name: String,
    pub service: String,
    pub environment: String,
    pub images: Vec<ImageForm>,
    pub reference: String,
    pub steps: Vec<StepForm>,
    pub min_requests: String,
    pub max_error_percent: String,
    pub max_p95_ratio: String,
    pub required: String,
    pub expire: String,
}

/// One container's new image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageForm {
    pub container: String,
    pub image: String,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepForm {
    pub weight: String,
    pub bake: String,
    pub analysis: bool,
    pub on_call: bool,
    pub approver: bool,
}

/// What the editor sends: both halves, and the document as it was when they were last the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Draft {
    /// The document both halves were filled from.
    pub base: String,
    pub yaml: String,
    pub form: PlanForm,
    /// `add`, or `remove-1`, `up-1`, `down-1` with a step's index.
    pub op: Option<String>,
}

/// Both halves in step again, and what is wrong with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub form: PlanForm,
    pub yaml: String,
    pub check: PlanCheck,
}

/// Everything the editor's page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditorPage {
    /// The plan that is edited; `None` for a new one.
    pub id: Option<PlanId>,
    /// The version it is based on: saving is refused when there is a newer one by then.
    pub version: Option<i32>,
    /// Approvals that an edit voids.
    pub approvals: u32,
    pub targets: Vec<DraftTarget>,
    pub checked: Checked,
    /// Somebody asked for the check: errors are worth showing.
    pub asked: bool,
}

/// All plans.
#[server(prefix = "/read", endpoint = "plans", input = GetUrl)]
pub async fn plans() -> Result<PlansPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.plans(&actor).await.or_fault()
}

/// One plan with everything its page shows.
#[server(prefix = "/read", endpoint = "plan", input = GetUrl)]
pub async fn plan(id: i64) -> Result<PlanPage, Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.plan(&actor, PlanId(id)).await.or_fault()
}

/// The editor, for a new plan or a stored one. `search` is the page's query: a service to begin with, or a draft
/// that a browser without script wants checked.
#[server(prefix = "/read", endpoint = "editor", input = GetUrl)]
pub async fn editor(
    #[server(default)] id: Option<i64>,
    #[server(default)] search: String,
) -> Result<EditorPage, Fault> {
    use super::document::{self, Asked};
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let Asked { service, from, draft } = Asked::read(&search);
    let begun = control.draft(&actor, service.as_deref(), from.map(PlanId)).await.or_fault()?;
    let stored = match id {
        Some(id) => Some(control.plan(&actor, PlanId(id)).await.or_fault()?),
        None => None,
    };
    if let Some(why) = stored.as_ref().and_then(|p| p.edit.why_not.clone()) {
        return Err(door::refuse(model::Problem::forbidden(why)));
    }
    let asked = draft.is_some();
    let (form, yaml) = match draft {
        Some(draft) => document::settle(draft),
        None => document::begin(stored.as_ref().map_or(&begun.yaml, |p| &p.yaml)),
    };
    let check = control.check_plan(&actor, &yaml).await.or_fault()?;
    Ok(EditorPage {
        id: stored.as_ref().map(|p| p.id),
        version: stored.as_ref().map(|p| p.version),
        approvals: stored.as_ref().map_or(0, |p| p.valid_approvals),
        targets: begun.targets,
        checked: Checked { form, yaml, check },
        asked,
    })
}

/// Brings both halves of the editor in step and checks the result, without storing anything.
#[server(prefix = "/do", endpoint = "check-plan")]
pub async fn check_plan(
    base: String,
    yaml: String,
    form: PlanForm,
    #[server(default)] op: Option<String>,
) -> Result<Checked, Fault> {
    use super::document;
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let (form, yaml) = document::settle(Draft { base, yaml, form, op });
    let check = control.check_plan(&actor, &yaml).await.or_fault()?;
    Ok(Checked { form, yaml, check })
}

/// Stores a new plan, or a new version of one.
#[server(prefix = "/do", endpoint = "save-plan")]
pub async fn save_plan(
    #[server(default)] id: Option<i64>,
    #[server(default)] expected: Option<i32>,
    base: String,
    yaml: String,
    form: PlanForm,
) -> Result<(), Fault> {
    use super::{document, door};
    let (control, actor) = door::enter()?;
    let draft = Draft { base, yaml, form, op: None };
    let (_, text) = document::settle(draft.clone());
    let saved = match id {
        Some(id) => control.edit_plan(&actor, PlanId(id), expected, &text).await,
        None => control.create_plan(&actor, &text).await,
    };
    match saved {
        Ok(created) => door::go(&format!("/plans/{}", created.id)),
        Err(problem) => {
            // A browser without script gets its own words back, with what is wrong beside them.
            if door::is_plain_form()
                && matches!(problem.status, model::Status::Invalid | model::Status::Malformed)
                && let Some(query) = document::query(&draft)
            {
                let page = id.map_or_else(|| "/plans/new".to_owned(), |id| format!("/plans/{id}/edit"));
                door::go(&format!("{page}?{query}"));
                return Ok(());
            }
            return Err(door::refuse(problem));
        }
    }
    Ok(())
}

/// Approves or rejects exactly the digest that was looked at.
#[server(prefix = "/do", endpoint = "decide")]
pub async fn decide(
    plan: i64,
    digest: String,
    decision: String,
    #[server(default)] comment: Option<String>,
) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    let decision = match decision.as_str() {
        "approve" => control::Decision::Approve,
        "reject" => control::Decision::Reject,
        _ => {
            let wrong = model::FieldError::new("decision", "Send approve or reject.");
            return Err(door::refuse(model::Problem::invalid(vec![wrong])));
        }
    };
    control.decide(&actor, PlanId(plan), &model::Digest(digest), decision, comment).await.or_fault()?;
    door::go(&format!("/plans/{plan}"));
    Ok(())
}

/// Takes one's own approval back.
#[server(prefix = "/do", endpoint = "revoke")]
pub async fn revoke(plan: i64, #[server(default)] reason: Option<String>) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.revoke(&actor, PlanId(plan), reason).await.or_fault()?;
    door::go(&format!("/plans/{plan}"));
    Ok(())
}
