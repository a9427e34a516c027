//! What was measured during a release: `GET /api/v1/releases/{id}/samples`.

use super::Answer;
use crate::auth::Who;
use crate::body::{Asked, Id};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use chrono::SecondsFormat;
use http::header;
use model::verdict::{Sample, Side};
use model::{Problem, ReleaseId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SamplesQuery {
    /// `csv` gives a file with a line for each sample, without histograms. Default `json`.
    pub format: Option<String>,
}

/// Canary against stable at one moment. `stable` and `canary` count since the step's weight was confirmed, `_recent` over the
/// last 30 s; each is `requests`, `errors` (5xx) and `p95_ms`.
#[derive(Debug, ToSchema)]
#[schema(as = Sample)]
#[expect(dead_code, reason = "the schema of model::verdict::Sample")]
pub struct SampleSchema {
    at: chrono::DateTime<chrono::Utc>,
    /// The plan's step, counted from 0.
    step: usize,
    /// The canary's confirmed weight in percent.
    weight: u8,
    #[schema(value_type = Object)]
    stable: Side,
    #[schema(value_type = Object)]
    canary: Side,
    #[schema(value_type = Object)]
    stable_recent: Side,
    #[schema(value_type = Object)]
    canary_recent: Side,
    /// `bounds_ms`, and how many requests to `stable` and to `canary` were answered within each, all of them at the end.
    #[schema(value_type = Option<Object>)]
    latency: Option<model::verdict::Latency>,
    /// Share of the requests that the canary should get, 0 to 1.
    asked: Option<f64>,
    /// Why nothing could be read.
    error: Option<String>,
}

/// Everything that was measured during a release, oldest first: what its verdicts were computed from.
#[utoipa::path(get, path = "/api/v1/releases/{id}/samples", tag = "releases", operation_id = "readSamples",
    params(("id" = i64, Path, description = "The release's number"), SamplesQuery),
    responses((status = 200, description = "Samples", body = Vec<SampleSchema>),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn read(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<ReleaseId>,
    Asked(query): Asked<SamplesQuery>,
) -> Answer {
    let csv = match query.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => {
            let words = format!("Must be `json` or `csv`, not `{other}`.");
            return Err(Problem::invalid(vec![model::FieldError::new("format", words)]).into());
        }
    };
    let samples = state.control.samples(&actor, id).await?;
    if !csv {
        return Ok(Json(samples).into_response());
    }
    let name = format!("attachment; filename=\"tidegate-release-{id}.csv\"");
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, table(&samples)).into_response())
}

const COLUMNS: &str = "time,step,weight,\
    stable_requests,stable_errors,stable_p95_ms,canary_requests,canary_errors,canary_p95_ms,\
    stable_recent_requests,stable_recent_errors,stable_recent_p95_ms,\
    canary_recent_requests,canary_recent_errors,canary_recent_p95_ms,error\r\n";

/// As RFC 4180 has it. Steps count from 1, as on the pages.
fn table(samples: &[Sample]) -> String {
    let mut out = COLUMNS.to_owned();
    for s in samples {
        let time = s.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut cells = vec![time, (s.step + 1).to_string(), s.weight.to_string()];
        for side in [&s.stable, &s.canary, &s.stable_recent, &s.canary_recent] {
            let p95 = side.p95_ms.map(|ms| ms.to_string()).unwrap_or_default();
            cells.extend([side.requests.to_string(), side.errors.to_string(), p95]);
        }
        cells.push(quoted(s.error.as_deref().unwrap_or_default()));
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    }
    out
}

/// A text as a cell. What a spreadsheet would take for a formula is made a text.
fn quoted(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let safe =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    format!("\"{}\"", safe.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_breaks_nothing() {
        assert_eq!(quoted(""), "");
        assert_eq!(quoted("no \"answer\", yet"), "\"no \"\"answer\"\", yet\"");
        assert_eq!(quoted("=cmd|' /C calc'!A0"), "\"'=cmd|' /C calc'!A0\"");
    }

    #[test]
    fn a_sample_is_a_line_with_a_cell_for_each_column() {
        let sample = Sample {
            at: chrono::DateTime::UNIX_EPOCH,
            step: 1,
            weight: 25,
            stable: Side { requests: 30.0, errors: 1.0, p95_ms: Some(182.5) },
            canary: Side { requests: 10.0, errors: 0.0, p95_ms: None },
            stable_recent: Side::default(),
            canary_recent: Side::default(),
            latency: None,
            asked: None,
            error: None,
            p95_range: None,
            stands_for: 1,
        };
        let text = table(&[sample]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "1970-01-01T00:00:00.000Z,2,25,30,1,182.5,10,0,,0,0,,0,0,,");
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }
}
