//! Plans: reading, writing, approving.

use crate::Fault;
use crate::draft::{Checked, Draft, EditorPage, PlanForm};
use leptos::prelude::*;
use leptos::server_fn::codec::GetUrl;
use model::PlanId;
use model::view::{PlanPage, PlansPage};

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
    use super::document::Asked;
    use super::door;
    let (control, actor) = door::enter()?;
    let Asked { service, from, draft } = Asked::read(&search);
    let stored = id.map(PlanId);
    page(&control, &actor, stored, service.as_deref(), from.map(PlanId), draft).await
}

/// Brings both halves of the editor in step, checks the result without storing anything, and answers with the
/// editor's markup.
#[server(prefix = "/do", endpoint = "check-plan")]
pub async fn check_plan(
    #[server(default)] id: Option<i64>,
    base: String,
    yaml: String,
    form: PlanForm,
    #[server(default)] op: Option<String>,
) -> Result<String, Fault> {
    use super::door;
    let (control, actor) = door::enter()?;
    let draft = Draft { base, yaml, form, op };
    let page = page(&control, &actor, id.map(PlanId), None, None, Some(draft)).await?;
    Ok(crate::pages::editor::markup(&page))
}

/// What the editor shows: of a stored plan or a new one, with what somebody has made of it by now.
async fn page(
    control: &control::Control,
    actor: &model::Actor,
    id: Option<PlanId>,
    service: Option<&str>,
    from: Option<PlanId>,
    draft: Option<Draft>,
) -> Result<EditorPage, Fault> {
    use super::document;
    use super::door::{self, OrFault as _};
    let begun = control.draft(actor, service, from).await.or_fault()?;
    let stored = match id {
        Some(id) => Some(control.plan(actor, id).await.or_fault()?),
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
    let check = control.check_plan(actor, &yaml).await.or_fault()?;
    Ok(EditorPage {
        id: stored.as_ref().map(|p| p.id),
        version: stored.as_ref().map(|p| p.version),
        approvals: stored.as_ref().map_or(0, |p| p.valid_approvals),
        targets: begun.targets.into_iter().map(Into::into).collect(),
        checked: Checked { form, yaml, found: check.into() },
        asked,
    })
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

/// Rehearses the rollback of exactly the plan that was looked at. Changes nothing in the cluster.
#[server(prefix = "/do", endpoint = "rehearse")]
pub async fn rehearse(plan: i64, digest: String) -> Result<(), Fault> {
    use super::door::{self, OrFault as _};
    let (control, actor) = door::enter()?;
    control.rehearse(&actor, PlanId(plan), Some(model::Digest(digest))).await.or_fault()?;
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
