//! REST: `/api/v1` for programs and the command line, `/api/v2` in Statuspage's shape for monitors.
//!
//! A handler is a few lines over `control`, which authorises. Routes and their OpenAPI description are made from
//! one annotation, so that neither can be forgotten.

pub mod analyses;
pub mod audit;
pub mod charts;
pub mod events;
pub mod flag_keys;
pub mod flags;
pub mod incidents;
pub mod notifications;
pub mod openapi;
pub mod plans;
pub mod policies;
pub mod rehearsals;
pub mod releases;
pub mod samples;
pub mod schema;
pub mod status;
pub mod workloads;

use crate::problem::Refusal;
use crate::state::AppState;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use model::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a handler answers with.
pub(crate) type Answer<T = Response> = Result<T, Refusal>;

/// Why somebody does it. Kept in the audit chain.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"reason": "Error rate doubled at 25 %"}))]
pub struct Reason {
    /// Up to 500 characters, for people.
    pub reason: Option<String>,
}

/// Every route below `/api`.
pub fn router() -> Router<AppState> {
    let (router, document) = openapi::routes().split_for_parts();
    let document: std::sync::Arc<str> = openapi::finish(document).into();
    router
        .route(
            "/api/openapi.json",
            axum::routing::get(move || async move {
                ([(header::CONTENT_TYPE, "application/json")], document.to_string())
            }),
        )
        .route("/api", any(unknown))
        .route("/api/", any(unknown))
        .route("/api/{*rest}", any(unknown))
}

/// Whatever is not a route of the API.
async fn unknown() -> Refusal {
    Problem::not_found("There is no such address in this API. See /api/openapi.json for those there are.")
        .into()
}

/// 201 with where the new thing is.
pub(crate) fn created<T: Serialize>(at: String, body: T) -> Response {
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    if let Ok(place) = HeaderValue::from_str(&at) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// A header as text, if it can be one.
pub(crate) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// With the version as its ETag.
pub(crate) fn tagged(version: impl std::fmt::Display, response: Response) -> Response {
    with_header(response, header::ETAG, &format!("\"{version}\""))
}

/// The version that a change was made on, by `If-Match`.
///
/// # Errors
/// 422 when it is no version.
pub(crate) fn expected<T: std::str::FromStr>(headers: &HeaderMap) -> Result<Option<T>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("").trim().trim_start_matches("W/").trim_matches('"');
    if text == "*" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Problem::invalid(vec![FieldError::new(
            "If-Match",
            "Send the version that the ETag names, as in `If-Match: \"3\"`.",
        )])
    })
}
