//! Releases: reading them, and every deed on one.

use super::schema::{KeySchema, RecoveredSchema, RouteSchema, VerdictSchema};
use super::workloads::Further;
use super::{Answer, Reason};
use crate::auth::Who;
use crate::body::{Asked, Id, Small};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use control::RollbackReceipt;
use http::StatusCode;
use model::release::{Recovered, Release, State as ReleaseState};
use model::rollback::{Proof, Route};
use model::verdict::Verdict;
use model::workload::Key;
use model::{Actor, FieldError, Problem, ReleaseId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// One execution of a plan's exact version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Release, example = json!({
    "id": 318, "plan": 12, "plan_version": 1, "digest": "sha256:9f2c61d0a3…41ab", "service": "checkout",
    "environment": "production",
    "workload": {"cluster": "main", "namespace": "shop", "kind": "Rollout", "name": "checkout"},
    "state": "running", "step": 1, "steps": 3, "weight": 25, "ceiling": 25,
    "images": {"app": "registry.example.com/checkout:1.42.0"}, "verdict": null, "reason": null,
    "note": "Bakes at 25 %.", "started_by": "Mara Lind", "created": "2026-01-14T14:02:10Z",
    "started": "2026-01-14T14:02:11Z", "ended": null, "proved": {}, "recovered": null
}))]
pub struct ReleaseBody {
    pub id: i64,
    pub plan: i64,
    pub plan_version: i32,
    /// Digest of the plan that runs.
    pub digest: String,
    pub service: String,
    pub environment: String,
    #[schema(value_type = KeySchema)]
    pub workload: Key,
    /// `queued`, `running`, `waiting`, `paused`, `rolling_back`, `rolled_back`, `succeeded`, `failed`, `cancelled`
    #[schema(value_type = String)]
    pub state: ReleaseState,
    /// The plan's step in force, counted from 0; null before the first.
    pub step: Option<usize>,
    /// The canary's share of traffic as the cluster confirmed it, in percent.
    pub weight: u8,
    /// The highest share that the plan allows now, in percent.
    pub ceiling: u8,
    /// New image by container name.
    pub images: BTreeMap<String, String>,
    #[schema(value_type = Option<VerdictSchema>)]
    pub verdict: Option<Verdict>,
    /// Why the course was left, or why it ended as it did.
    pub reason: Option<String>,
    /// What it waits for now, in words.
    pub note: Option<String>,
    /// Who holds it, and why.
    pub held_by: Option<String>,
    pub started_by: String,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub ended: Option<DateTime<Utc>>,
    /// On the way back: when each piece of the proof was first seen: `traffic`, `wanted`, `stable`, `pods`. What is
    /// missing after the end came with it.
    #[schema(value_type = BTreeMap<String, DateTime<Utc>>)]
    pub proved: BTreeMap<Proof, DateTime<Utc>>,
    /// After the way back: the service's error rate was seen under its limit; null until it is, up to 5 min after.
    #[schema(value_type = Option<RecoveredSchema>)]
    pub recovered: Option<Recovered>,
}

impl ReleaseBody {
    fn new(r: Release, (weight, ceiling): (u8, u8)) -> Self {
        Self {
            id: r.id.0,
            plan: r.plan.0,
            plan_version: r.plan_version,
            digest: r.digest.0,
            service: r.service,
            environment: r.environment,
            workload: r.workload,
            state: r.state,
            step: r.step,
            weight,
            ceiling,
            images: r.images,
            verdict: r.verdict,
            reason: r.reason,
            note: r.note,
            held_by: r.hold.map(|h| h.by),
            started_by: r.started_by,
            created: r.created,
            started: r.started,
            ended: r.ended,
            proved: r.proved,
            recovered: r.recovered,
        }
    }
}

/// Releases, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Releases)]
pub struct ReleaseList {
    pub releases: Vec<ReleaseBody>,
}

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those in this state: `queued`, `running`, `waiting`, `paused`, `rolling_back`, `rolled_back`,
    /// `succeeded`, `failed` or `cancelled`.
    pub state: Option<String>,
    /// At most this many, 1 to 500. Default 100.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<i64>,
}

/// Lists releases, newest first.
#[utoipa::path(get, path = "/api/v1/releases", tag = "releases", operation_id = "listReleases", params(ListQuery),
    responses((status = 200, description = "Releases, newest first", body = ReleaseList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 422, response = ProblemResponse)))]
pub async fn list(
    State(state): State<AppState>,
    Who(actor): Who,
    Asked(query): Asked<ListQuery>,
) -> Answer<Json<ReleaseList>> {
    let wanted = query.state.as_deref().map(parse_state).transpose()?;
    let records = state.control.release_records(&actor, wanted, within(query.limit, 100, 500)?).await?;
    let mut releases = Vec::with_capacity(records.len());
    for record in records {
        let weights = state.control.weights(&record).await?;
        releases.push(ReleaseBody::new(record, weights));
    }
    Ok(Json(ReleaseList { releases }))
}

/// Reads a release.
#[utoipa::path(get, path = "/api/v1/releases/{id}", tag = "releases", operation_id = "readRelease",
    params(("id" = i64, Path, description = "The release's number")),
    responses((status = 200, description = "The release", body = ReleaseBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn read(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<ReleaseId>,
) -> Answer<Json<ReleaseBody>> {
    Ok(Json(show(&state, &actor, id).await?))
}

pub(crate) async fn show(state: &AppState, actor: &Actor, id: ReleaseId) -> Result<ReleaseBody, Problem> {
    let record = state.control.release_record(actor, id).await?;
    let weights = state.control.weights(&record).await?;
    Ok(ReleaseBody::new(record, weights))
}

macro_rules! deed {
    ($(#[doc = $doc:literal])+ $name:ident, $path:literal, $operation:literal, $did:literal) => {
        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "releases", operation_id = $operation,
            params(("id" = i64, Path, description = "The release's number")), request_body = Option<Reason>,
            responses((status = 200, description = $did, body = ReleaseBody),
                      (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
                      (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
                      (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
        pub async fn $name(
            State(state): State<AppState>,
            Who(actor): Who,
            Id(id): Id<ReleaseId>,
            Small(body): Small<Reason>,
        ) -> Answer<Json<ReleaseBody>> {
            state.control.$name(&actor, id, body.reason).await?;
            Ok(Json(show(&state, &actor, id).await?))
        }
    };
}

deed! {
    /// Holds a release where it is: nothing rises until it is resumed.
    pause, "/api/v1/releases/{id}/pause", "pauseRelease", "Held"
}
deed! {
    /// Lets a held release go on.
    resume, "/api/v1/releases/{id}/resume", "resumeRelease", "Goes on"
}
deed! {
    /// Goes on to the next step without waiting for the rest of this one's bake and analysis.
    promote, "/api/v1/releases/{id}/promote", "promoteRelease", "Goes on to the next step"
}
deed! {
    /// Goes on to the end without waiting for the rest of any step's bake and analysis; 409 where an approval gate is left.
    promote_full, "/api/v1/releases/{id}/promote-full", "fullyPromoteRelease", "Goes on to the end"
}
deed! {
    /// Leaves out the rest of the present step.
    skip, "/api/v1/releases/{id}/skip", "skipStep", "The step is left out"
}
deed! {
    /// Takes the new version's traffic away and ends the release as cancelled.
    abort, "/api/v1/releases/{id}/abort", "abortRelease", "Ends"
}
deed! {
    /// Opens the present step's approval gate.
    open_gate, "/api/v1/releases/{id}/gate", "openGate", "The gate is open"
}

/// Starts the plan of an ended release again, as a release of its own. What was rolled back is not brought in again
/// without a reason.
#[utoipa::path(post, path = "/api/v1/releases/{id}/retry", tag = "releases", operation_id = "retryRelease",
    params(("id" = i64, Path, description = "The ended release's number")), request_body = Option<Reason>,
    responses((status = 201, description = "The new release", body = ReleaseBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn retry(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<ReleaseId>,
    Small(body): Small<Reason>,
) -> Answer<(StatusCode, Json<ReleaseBody>)> {
    let new = state.control.retry(&actor, id, body.reason).await?;
    Ok((StatusCode::CREATED, Json(show(&state, &actor, new).await?)))
}

/// What a rollback did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollbackReceipt)]
pub struct ReceiptBody {
    /// Names the attempt on the object and in the audit chain.
    pub attempt: String,
    pub release: Option<i64>,
    /// Version that it goes back to.
    pub to_version: String,
    #[schema(value_type = RouteSchema)]
    pub route: Route,
    /// Milliseconds until the API server had taken the last call.
    pub took_ms: u64,
    /// `false`: the database did not answer; the record lies in the journal and is merged later.
    pub recorded: bool,
}

impl From<RollbackReceipt> for ReceiptBody {
    fn from(r: RollbackReceipt) -> Self {
        Self {
            attempt: r.attempt.0,
            release: r.release.map(|id| id.0),
            to_version: r.to_version,
            route: r.route,
            took_ms: r.took_ms,
            recorded: r.recorded,
        }
    }
}

/// Rolls back to the version that was good before, now, or to the known-good version that `to` names. Waits for no
/// queue, no leader, no approval.
#[utoipa::path(post, path = "/api/v1/releases/{id}/rollback", tag = "releases", operation_id = "rollBackRelease",
    params(("id" = i64, Path, description = "The release's number")), request_body = Option<Further>,
    responses((status = 200, description = "The cluster has the patches", body = ReceiptBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn roll_back(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<ReleaseId>,
    Small(body): Small<Further>,
) -> Answer<Json<ReceiptBody>> {
    Ok(Json(state.control.roll_back_to(&actor, id, body.to.as_deref(), body.reason).await?.into()))
}

fn parse_state(text: &str) -> Result<ReleaseState, Problem> {
    ReleaseState::ALL.into_iter().find(|s| s.key() == text).ok_or_else(|| {
        let known = ReleaseState::ALL.map(ReleaseState::key).join(", ");
        Problem::invalid(vec![FieldError::new(
            "state",
            format!("There is no state `{text}`: use one of {known}."),
        )])
    })
}

/// A limit from a query, or what is usual.
pub(crate) fn within(asked: Option<i64>, usual: i64, most: i64) -> Result<i64, Problem> {
    match asked {
        None => Ok(usual),
        Some(n) if (1..=most).contains(&n) => Ok(n),
        Some(n) => Err(Problem::invalid(vec![FieldError::new(
            "limit",
            format!("{n} is not possible: ask for 1 to {most}."),
        )])),
    }
}
