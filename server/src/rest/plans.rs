//! Plans and their approvals.

use super::rehearsals::RehearsalBody;
use super::schema::{ApprovalSchema, PlanSchema};
use super::{Answer, Reason, created, expected, releases, tagged};
use crate::auth::Who;
use crate::body::{Document, Id, Small};
use crate::problem::{FieldErrorBody, ProblemResponse};
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use chrono::{DateTime, Utc};
use control::{Created, Decision};
use http::HeaderMap;
use model::view::{ApprovalView, PlanPage, PlanRow, PlanState};
use model::{Digest, FieldError, PlanId, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedPlan, example = json!({
    "id": 12, "version": 1, "digest": "sha256:9f2c61d0a3…41ab", "warnings": []
}))]
pub struct CreatedBody {
    pub id: i64,
    /// Counts the plan's edits from 1.
    pub version: i32,
    /// What approvers approve: SHA-256 of the plan's canonical JSON.
    pub digest: String,
    /// What deserves a second look and is no error.
    #[schema(value_type = Vec<FieldErrorBody>)]
    pub warnings: Vec<FieldError>,
}

impl From<Created> for CreatedBody {
    fn from(c: Created) -> Self {
        Self { id: c.id.0, version: c.version, digest: c.digest.0, warnings: c.warnings }
    }
}

/// A plan in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanSummary)]
pub struct PlanSummary {
    pub id: i64,
    pub name: String,
    pub service: String,
    pub environment: String,
    pub version: i32,
    pub digest: String,
    /// `open`, `approved`, `rejected`, `releasing`, `released`
    #[schema(value_type = String)]
    pub state: PlanState,
    /// Approvals of this digest that count now.
    pub approvals: u32,
    pub required: u32,
    pub author: String,
    pub changed: DateTime<Utc>,
}

impl From<PlanRow> for PlanSummary {
    fn from(r: PlanRow) -> Self {
        Self {
            id: r.id.0,
            name: r.name,
            service: r.service,
            environment: r.environment,
            version: r.version,
            digest: r.digest.0,
            state: r.state,
            approvals: r.approvals,
            required: r.required,
            author: r.author,
            changed: r.changed,
        }
    }
}

/// Plans, those changed last first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plans)]
pub struct PlanList {
    pub plans: Vec<PlanSummary>,
}

/// A plan's newest version, and how it stands with its approvals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanBody {
    pub id: i64,
    pub version: i32,
    pub digest: String,
    /// `open`, `approved`, `rejected`, `releasing`, `released`
    #[schema(value_type = String)]
    pub state: PlanState,
    pub author: String,
    pub changed: DateTime<Utc>,
    /// Approvals of this digest that count now.
    pub valid_approvals: u32,
    pub required_approvals: u32,
    #[schema(value_type = Vec<ApprovalSchema>)]
    pub approvals: Vec<ApprovalView>,
    #[schema(value_type = Vec<FieldErrorBody>)]
    pub warnings: Vec<FieldError>,
    /// Releases of this plan, newest first.
    pub releases: Vec<i64>,
    /// The last rehearsal of this version's rollback; null before the first.
    pub rehearsal: Option<RehearsalBody>,
    #[schema(value_type = PlanSchema)]
    pub plan: serde_json::Value,
}

impl From<PlanPage> for PlanBody {
    fn from(p: PlanPage) -> Self {
        let stale = p.rehearsal.stale;
        Self {
            rehearsal: p.rehearsal.last.map(|last| RehearsalBody::new(last, stale)),
            id: p.id.0,
            version: p.version,
            digest: p.digest.0,
            state: p.state,
            author: p.author,
            changed: p.changed,
            valid_approvals: p.valid_approvals,
            required_approvals: p.plan.spec.approvals.required,
            approvals: p.approvals,
            warnings: p.warnings,
            releases: p.releases.iter().map(|r| r.id.0).collect(),
            plan: p.plan.to_json(),
        }
    }
}

/// Lists plans.
#[utoipa::path(get, path = "/api/v1/plans", tag = "plans", operation_id = "listPlans",
    responses((status = 200, description = "Plans, those changed last first", body = PlanList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse)))]
pub async fn list(State(state): State<AppState>, Who(actor): Who) -> Answer<Json<PlanList>> {
    let page = state.control.plans(&actor).await?;
    Ok(Json(PlanList { plans: page.rows.into_iter().map(Into::into).collect() }))
}

/// Writes a new plan.
///
/// Every broken rule is reported at once, each at its field; nothing is stored then.
#[utoipa::path(post, path = "/api/v1/plans", tag = "plans", operation_id = "createPlan",
    request_body(description = "The plan, as YAML or JSON", content(
        (PlanSchema = "application/json"), (String = "application/yaml"), (String = "text/yaml"),
        (String = "application/x-yaml"))),
    responses((status = 201, description = "Stored as version 1", body = CreatedBody,
               headers(("Location" = String, description = "Address of the plan"))),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 413, response = ProblemResponse), (status = 415, response = ProblemResponse),
              (status = 422, response = ProblemResponse)))]
pub async fn create(State(state): State<AppState>, Who(actor): Who, Document(text): Document) -> Answer {
    let made = state.control.create_plan(&actor, &text).await?;
    Ok(created(format!("/api/v1/plans/{}", made.id), CreatedBody::from(made)))
}

/// Reads a plan's newest version.
#[utoipa::path(get, path = "/api/v1/plans/{id}", tag = "plans", operation_id = "readPlan",
    params(("id" = i64, Path, description = "The plan's number")),
    responses((status = 200, description = "The plan", body = PlanBody,
               headers(("ETag" = String, description = "The version; send it back as If-Match when editing"))),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn read(State(state): State<AppState>, Who(actor): Who, Id(id): Id<PlanId>) -> Answer {
    let page = state.control.plan(&actor, id).await?;
    Ok(tagged(page.version, Json(PlanBody::from(page)).into_response()))
}

/// Edits a plan: stores a new version, and so voids every approval.
#[utoipa::path(put, path = "/api/v1/plans/{id}", tag = "plans", operation_id = "editPlan",
    params(("id" = i64, Path, description = "The plan's number"),
           ("If-Match" = Option<String>, Header,
            description = "The version that was read; 409 when somebody stored another meanwhile")),
    request_body(description = "The whole plan, as YAML or JSON", content(
        (PlanSchema = "application/json"), (String = "application/yaml"), (String = "text/yaml"),
        (String = "application/x-yaml"))),
    responses((status = 200, description = "Stored as the next version", body = CreatedBody),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 413, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn edit(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<PlanId>,
    headers: HeaderMap,
    Document(text): Document,
) -> Answer {
    let expected = expected(&headers)?;
    let made = state.control.edit_plan(&actor, id, expected, &text).await?;
    Ok(tagged(made.version, Json(CreatedBody::from(made)).into_response()))
}

/// An approver's answer to exactly one digest.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ApprovalRequest, example = json!({
    "digest": "sha256:9f2c61d0a3…41ab", "decision": "approve", "comment": "Read the diff; the bake is long enough."
}))]
pub struct ApprovalRequest {
    /// The digest that was looked at. Must be the newest version's.
    #[schema(required)]
    pub digest: Option<String>,
    /// `approve` or `reject`
    #[schema(required, value_type = String)]
    pub decision: Option<Decision>,
    pub comment: Option<String>,
}

/// Approves or rejects a plan. Nobody may approve a plan they wrote.
#[utoipa::path(post, path = "/api/v1/plans/{id}/approvals", tag = "plans", operation_id = "decideOnPlan",
    params(("id" = i64, Path, description = "The plan's number")), request_body = ApprovalRequest,
    responses((status = 201, description = "The plan with the decision", body = PlanBody),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn decide(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<PlanId>,
    Small(body): Small<ApprovalRequest>,
) -> Answer {
    let mut wrong = Vec::new();
    if body.digest.is_none() {
        wrong.push(FieldError::new(
            "digest",
            "Send the digest of the version you looked at: GET the plan for it.",
        ));
    }
    if body.decision.is_none() {
        wrong.push(FieldError::new("decision", "Send `approve` or `reject`."));
    }
    let (Some(digest), Some(decision)) = (body.digest, body.decision) else {
        return Err(Problem::invalid(wrong).into());
    };
    state.control.decide(&actor, id, &Digest(digest), decision, body.comment).await?;
    let page = state.control.plan(&actor, id).await?;
    Ok(created(format!("/api/v1/plans/{id}"), PlanBody::from(page)))
}

/// Takes back one's own approval; the next step of a release under way is held.
#[utoipa::path(delete, path = "/api/v1/plans/{id}/approvals", tag = "plans", operation_id = "revokeApproval",
    params(("id" = i64, Path, description = "The plan's number")), request_body = Option<Reason>,
    responses((status = 200, description = "The plan without it", body = PlanBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse)))]
pub async fn revoke(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<PlanId>,
    Small(body): Small<Reason>,
) -> Answer<Json<PlanBody>> {
    state.control.revoke(&actor, id, body.reason).await?;
    Ok(Json(state.control.plan(&actor, id).await?.into()))
}

/// What to start.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StartRequest {
    /// Starts only if this is still the plan's digest.
    pub digest: Option<String>,
}

/// Starts a release of an approved plan.
#[utoipa::path(post, path = "/api/v1/plans/{id}/releases", tag = "plans", operation_id = "startRelease",
    params(("id" = i64, Path, description = "The plan's number")), request_body = Option<StartRequest>,
    responses((status = 201, description = "Started", body = releases::ReleaseBody,
               headers(("Location" = String, description = "Address of the release"))),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 422, response = ProblemResponse)))]
pub async fn start(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<PlanId>,
    Small(body): Small<StartRequest>,
) -> Answer {
    let release = state.control.start(&actor, id, body.digest.map(Digest)).await?;
    let body = releases::show(&state, &actor, release).await?;
    Ok(created(format!("/api/v1/releases/{release}"), body))
}
