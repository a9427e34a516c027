//! A release's charts to take along, and what Kayenta's judge reports of its steps.

use super::Answer;
use super::workloads::Place;
use crate::auth::Who;
use crate::body::{Asked, Id};
use crate::problem::ProblemResponse;
use crate::raster;
use crate::state::AppState;
use app::chart::{Metric, Theme, csv, picture};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use http::header;
use model::verdict::Class;
use model::{FieldError, Problem, ReleaseId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChartQuery {
    /// Ground of a picture: `light` or `dark`. Default `light`.
    pub theme: Option<String>,
}

/// How a chart is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Svg,
    Png,
    Csv,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// One chart of a release, as on its page: of its newest 1,000 samples.
///
/// As `svg` (960 pixels wide, colours within), `png` (the same at twice its size), or `csv` (a line for each sample, of the weight for
/// each change; a cell is empty where there is no figure).
#[utoipa::path(get, path = "/api/v1/releases/{id}/charts/{chart}", tag = "releases", operation_id = "readChart",
    params(("id" = i64, Path, description = "The release's number"),
           ("chart" = String, Path, description = "`weight`, `errors` or `latency`, and its kind: `errors.svg`, `.png`, `.csv`"),
           ChartQuery),
    responses((status = 200, description = "The chart", content(
                  (String = "image/svg+xml"), (Vec<u8> = "image/png"), (String = "text/csv"))),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn chart(
    State(state): State<AppState>,
    Who(actor): Who,
    Path((id, chart)): Path<(String, String)>,
    Asked(query): Asked<ChartQuery>,
) -> Answer {
    let theme = theme(query.theme.as_deref())?;
    let id: ReleaseId = id.parse().map_err(|_| {
        Problem::not_found(format!("There is nothing here called `{id}`: its id is a number."))
    })?;
    let (metric, kind) = file(&chart, Metric::named)?;
    let page = state.control.release(&actor, id).await?;
    let name = format!("tidegate-release-{id}-{chart}");
    match kind {
        Kind::Csv => Ok(answer(kind, &name, csv(metric, &page))),
        Kind::Svg => Ok(answer(kind, &name, picture(metric, &page, theme))),
        Kind::Png => Ok(answer(kind, &name, raster::png(picture(metric, &page, theme)).await?)),
    }
}

/// `errors.svg`: which chart, and how.
pub(super) fn file<T>(chart: &str, metric: impl Fn(&str) -> Option<T>) -> Result<(T, Kind), Problem> {
    let (name, kind) = chart.split_once('.').unwrap_or((chart, ""));
    metric(name).zip(Kind::named(kind)).ok_or_else(|| {
        Problem::not_found(format!(
            "There is no chart called `{chart}`. Ask for `weight`, `errors` or `latency`, as `.svg`, `.png` or `.csv`."
        ))
    })
}

pub(super) fn theme(name: Option<&str>) -> Result<Theme, Problem> {
    match name {
        None | Some("light") => Ok(Theme::Light),
        Some("dark") => Ok(Theme::Dark),
        Some(other) => {
            let words = format!("Must be `light` or `dark`, not `{other}`.");
            Err(Problem::invalid(vec![FieldError::new("theme", words)]))
        }
    }
}

/// Pictures may be looked at in the browser; a table is a file to keep.
pub(super) fn answer(kind: Kind, name: &str, body: impl Into<axum::body::Body>) -> axum::response::Response {
    let (media, how) = match kind {
        Kind::Svg => ("image/svg+xml; charset=utf-8", "inline"),
        Kind::Png => ("image/png", "inline"),
        Kind::Csv => ("text/csv; charset=utf-8", "attachment"),
    };
    let headers = [
        (header::CONTENT_TYPE, media.to_owned()),
        (header::CONTENT_DISPOSITION, format!("{how}; filename=\"{name}\"")),
    ];
    (headers, body.into()).into_response()
}

/// Kayenta's judge over a step. It explains and opens no gate.
#[derive(Debug, ToSchema)]
#[schema(as = StepReport)]
#[expect(dead_code, reason = "the schema of model::view::StepReport")]
pub struct StepReportSchema {
    /// `25 %`, `Preview`.
    step: String,
    #[schema(value_type = String)]
    verdict: Class,
    /// 0 to 100.
    score: f64,
    /// Points compared, half a minute apart.
    points: usize,
    metrics: Vec<MetricLineSchema>,
}

#[derive(Debug, ToSchema)]
#[schema(as = StepReportMetric)]
#[expect(dead_code, reason = "the schema of model::view::MetricLine")]
pub struct MetricLineSchema {
    name: String,
    /// `Pass`, `High`, `Low`, `Nodata`.
    label: String,
    passed: bool,
    /// Empty where it passed.
    reason: String,
}

/// What Kayenta's judge makes of each step in which enough was measured, in their order: over what is kept of its samples, at most
/// the last 30,000. Steps whose samples were thinned out to one a minute are compared by those.
#[utoipa::path(get, path = "/api/v1/releases/{id}/report", tag = "releases", operation_id = "readReport",
    params(("id" = i64, Path, description = "The release's number")),
    responses((status = 200, description = "A report of each step", body = Vec<StepReportSchema>),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn report(State(state): State<AppState>, Who(actor): Who, Id(id): Id<ReleaseId>) -> Answer {
    Ok(Json(state.control.step_reports(&actor, id).await?).into_response())
}

/// Releases of one workload beside each other.
#[derive(Debug, ToSchema)]
#[schema(as = ComparedReleases)]
#[expect(dead_code, reason = "the schema of model::view::ComparePage")]
pub struct CompareSchema {
    service: String,
    environment: String,
    /// Newest first; at most five.
    releases: Vec<ComparedSchema>,
    /// Cluster, namespace, kind and name.
    #[schema(value_type = Object)]
    key: model::workload::Key,
    /// How old this is.
    #[schema(value_type = Object)]
    age: model::view::Age,
}

#[derive(Debug, ToSchema)]
#[schema(as = ComparedRelease)]
#[expect(dead_code, reason = "the schema of model::view::CompareRelease")]
pub struct ComparedSchema {
    id: i64,
    version: String,
    #[schema(value_type = String)]
    state: model::release::State,
    /// What seconds count from.
    started: chrono::DateTime<chrono::Utc>,
    /// At most 240, oldest first: each `second` since the start, `weight` in percent, `error_percent` and `p95_ms` of the new version
    /// over the last 30 s (null where there is no figure).
    #[schema(value_type = Vec<Object>)]
    points: Vec<model::view::ComparePoint>,
}

/// The last five releases of a workload, aligned at their start.
#[utoipa::path(get, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/compare", tag = "workloads",
    operation_id = "compareReleases",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    responses((status = 200, description = "Releases, newest first", body = CompareSchema),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn compare(State(state): State<AppState>, Who(actor): Who, Place(key): Place) -> Answer {
    Ok(Json(state.control.compare_releases(&actor, &key).await?).into_response())
}
