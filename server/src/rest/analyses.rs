//! What Argo Rollouts or Tidegate analysed for a release: `GET /api/v1/releases/{id}/analyses`.

use super::Answer;
use crate::auth::Who;
use crate::body::Id;
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use chrono::{DateTime, Utc};
use model::ReleaseId;
use utoipa::ToSchema;

/// One AnalysisRun, kept with every measurement that was seen: the controller itself forgets all but ten of a metric. Or one run of a
/// template that Tidegate evaluates by itself for a step of the plan, with every measurement it made. Each `phase` is
/// `pending`, `running`, `passed`, `inconclusive`, `error` (it could not be measured) or `failed`.
#[derive(Debug, ToSchema)]
#[schema(as = Analysis)]
#[expect(dead_code, reason = "the schema of model::view::AnalysisView")]
pub struct AnalysisSchema {
    uid: String,
    /// `Argo Rollouts` or `Tidegate`.
    by: String,
    /// Of the AnalysisRun, or of the template.
    name: String,
    /// What it decides, in words.
    stage: String,
    phase: String,
    /// The controller's reason; empty where it gives none.
    message: String,
    started: Option<DateTime<Utc>>,
    ended: Option<DateTime<Utc>>,
    /// Pairs of name and value. What a Secret holds is not read.
    args: Vec<Vec<String>>,
    metrics: Vec<AnalysisMetricSchema>,
    findings: Vec<FindingSchema>,
}

#[derive(Debug, ToSchema)]
#[schema(as = AnalysisMetric)]
#[expect(dead_code, reason = "the schema of model::view::AnalysisMetric")]
pub struct AnalysisMetricSchema {
    name: String,
    phase: String,
    /// It decides nothing.
    dry_run: bool,
    source: String,
    /// Pairs of words and the condition they are about.
    conditions: Vec<Vec<String>>,
    rhythm: String,
    /// Each `words`, and whether the metric is `over` it.
    #[schema(value_type = Vec<Object>)]
    limits: Vec<model::view::AnalysisLimit>,
    message: String,
    /// Measurements that were made.
    made: u32,
    /// Of these, how many nobody saw.
    missed: u32,
    measurements: Vec<MeasurementSchema>,
    findings: Vec<FindingSchema>,
}

#[derive(Debug, ToSchema)]
#[schema(as = Measurement)]
#[expect(dead_code, reason = "the schema of model::view::AnalysisMeasurement")]
pub struct MeasurementSchema {
    /// Among the metric's, from 1.
    number: u32,
    phase: String,
    at: Option<DateTime<Utc>>,
    /// The answer as the controller keeps it.
    value: String,
    message: String,
}

/// What in the template will surprise its author.
#[derive(Debug, ToSchema)]
#[schema(as = Finding)]
#[expect(dead_code, reason = "the schema of model::view::AnalysisFinding")]
pub struct FindingSchema {
    /// `note`, `warning` or `fault`.
    weight: String,
    happens: String,
    instead: String,
}

/// The analyses that Argo Rollouts ran for a release, and those of templates that its plan names, in the order in which they began.
#[utoipa::path(get, path = "/api/v1/releases/{id}/analyses", tag = "releases", operation_id = "readAnalyses",
    params(("id" = i64, Path, description = "The release's number")),
    responses((status = 200, description = "Analyses", body = Vec<AnalysisSchema>),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn read(State(state): State<AppState>, Who(actor): Who, Id(id): Id<ReleaseId>) -> Answer {
    Ok(Json(state.control.analyses(&actor, id).await?).into_response())
}
