//! The rollback of a plan, rehearsed before it starts.

use super::schema::{CheckSchema, KeySchema, WayBackSchema};
use super::{Answer, created};
use crate::auth::Who;
use crate::body::{Id, Small};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::extract::State;
use chrono::{DateTime, Utc};
use model::rehearsal::{Check, Rehearsal, WayBack};
use model::workload::Key;
use model::{Digest, PlanId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a rehearsal of a plan's rollback found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rehearsal)]
pub struct RehearsalBody {
    pub at: DateTime<Utc>,
    /// There is a way back, and every check passed.
    pub passed: bool,
    /// `passed, about 2 s`; `failed: Abort`
    pub words: String,
    /// Why it no longer counts for a start; null where it does, if it passed.
    pub stale: Option<String>,
    /// From the first call to the last answer, in milliseconds.
    pub took_ms: u64,
    #[schema(value_type = KeySchema)]
    pub workload: Key,
    #[schema(value_type = Option<WayBackSchema>)]
    pub way: Option<WayBack>,
    #[schema(value_type = Vec<CheckSchema>)]
    pub checks: Vec<Check>,
    /// What somebody should know and what fails nothing.
    pub findings: Vec<String>,
}

impl RehearsalBody {
    pub(crate) fn new(r: Rehearsal, stale: Option<String>) -> Self {
        Self {
            at: r.at,
            passed: r.passed(),
            words: r.words(),
            stale,
            took_ms: r.took_ms,
            workload: r.workload,
            way: r.way,
            checks: r.checks,
            findings: r.findings,
        }
    }
}

/// What to rehearse.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RehearsalRequest {
    /// Rehearses only if this is still the plan's digest.
    pub digest: Option<String>,
}

/// Rehearses the rollback of a plan's newest version.
///
/// Every patch of the way back is tried on the cluster as a server-side dry run; nothing is changed. A check that
/// fails is part of the answer, not an error. A plan with `rollback: {rehearsed: required}` starts only after one
/// that passed, for its digest and the present stable revision, within 24 hours.
#[utoipa::path(post, path = "/api/v1/plans/{id}/rehearsals", tag = "plans", operation_id = "rehearseRollback",
    params(("id" = i64, Path, description = "The plan's number")), request_body = Option<RehearsalRequest>,
    responses((status = 201, description = "Rehearsed, passed or not", body = RehearsalBody,
               headers(("Location" = String, description = "Address of the plan, which holds the last one"))),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 415, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn rehearse(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<PlanId>,
    Small(body): Small<RehearsalRequest>,
) -> Answer {
    let rehearsal = state.control.rehearse(&actor, id, body.digest.map(Digest)).await?;
    Ok(created(format!("/api/v1/plans/{id}"), RehearsalBody::new(rehearsal, None)))
}
