//! The public status in the shape of Statuspage's API v2, which monitors already read, with our data's age beside it.
//!
//! Answered from memory: it works without Postgres and at any load. Open to every origin, unlike everything else.

use super::with_header;
use crate::state::AppState;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, StatusCode, header};
use model::view::{Component, ComponentStatus, Notice, StatusPage};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

const PAGE_ID: &str = "tidegate";
const FRESH_FOR: &str = "public, max-age=5";
const AS_OF: HeaderName = HeaderName::from_static("x-data-as-of");

/// Statuspage's `summary.json`. Dates are RFC 3339.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatusSummary, example = json!({
    "page": {"id": "tidegate", "name": "Tidegate", "url": "https://tidegate.example.com/status",
             "time_zone": "Etc/UTC", "updated_at": "2026-01-14T14:02:10Z"},
    "status": {"indicator": "none", "description": "All systems operational"},
    "components": [], "incidents": [], "scheduled_maintenances": [],
    "tidegate": {"as_of": "2026-01-14T14:02:08Z", "age_seconds": 2}
}))]
pub struct Summary {
    #[schema(value_type = Object)]
    page: Value,
    /// `indicator`: `none`, `minor`, `major`, `critical`; `description` in words.
    #[schema(value_type = Object)]
    status: Value,
    #[schema(value_type = Option<Vec<Object>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<Value>>,
    #[schema(value_type = Option<Vec<Object>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    incidents: Option<Vec<Value>>,
    #[schema(value_type = Option<Vec<Object>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_maintenances: Option<Vec<Value>>,
    tidegate: DataAge,
}

/// How old the data is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DataAge {
    /// Null when there never was any: then every component is unknown.
    as_of: Option<DateTime<Utc>>,
    age_seconds: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incidents {
    No,
    Open,
    All,
}

/// What an address shows.
#[derive(Clone, Copy, Debug)]
struct Parts {
    components: bool,
    incidents: Incidents,
    maintenances: bool,
}

macro_rules! document {
    ($(#[doc = $doc:literal])+ $name:ident, $path:literal, $operation:literal, $parts:expr) => {
        $(#[doc = $doc])+
        #[utoipa::path(get, path = $path, tag = "status", operation_id = $operation, security(()),
            responses((status = 200, description = "As Statuspage's API v2 tells it", body = Summary,
                       headers(("X-Data-As-Of" = String, description = "When the data was last known true"),
                               ("ETag" = String, description = "Changes when anything but the age changes"))),
                      (status = 304, description = "Unchanged")))]
        pub async fn $name(State(state): State<AppState>, headers: HeaderMap) -> Response {
            answer(&state, &headers, $parts)
        }
    };
}

document! {
    /// Everything at once.
    summary, "/api/v2/summary.json", "statusSummary",
    Parts { components: true, incidents: Incidents::Open, maintenances: true }
}
document! {
    /// The overall indicator.
    overall, "/api/v2/status.json", "statusIndicator",
    Parts { components: false, incidents: Incidents::No, maintenances: false }
}
document! {
    /// Components only.
    components, "/api/v2/components.json", "statusComponents",
    Parts { components: true, incidents: Incidents::No, maintenances: false }
}
document! {
    /// Incidents, open and lately resolved.
    incidents, "/api/v2/incidents.json", "statusIncidents",
    Parts { components: false, incidents: Incidents::All, maintenances: false }
}
document! {
    /// Open incidents.
    unresolved, "/api/v2/incidents/unresolved.json", "statusUnresolved",
    Parts { components: false, incidents: Incidents::Open, maintenances: false }
}
document! {
    /// Scheduled maintenances: none, until there are change windows.
    maintenances, "/api/v2/scheduled-maintenances.json", "statusMaintenances",
    Parts { components: false, incidents: Incidents::No, maintenances: true }
}

fn answer(state: &AppState, headers: &HeaderMap, parts: Parts) -> Response {
    let base = state.settings.public_url.as_ref().map(|u| u.as_str().trim_end_matches('/').to_owned());
    let shown = state.control.status();
    let summary = write(&shown, parts, base.as_deref().unwrap_or(""));
    // The age is not part of the tag: a monitor may keep what has not changed, and reads the age from the header.
    let said = json!([summary.page, summary.status, summary.components, summary.incidents]);
    let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(said.to_string())[..12]));
    let same = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.split(',').any(|t| t.trim() == tag));
    let mut response =
        if same { StatusCode::NOT_MODIFIED.into_response() } else { axum::Json(summary).into_response() };
    response = with_header(response, header::ETAG, &tag);
    response = with_header(response, header::CACHE_CONTROL, FRESH_FOR);
    response = with_header(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    response = with_header(response, header::ACCESS_CONTROL_EXPOSE_HEADERS, "etag, x-data-as-of");
    match shown.as_of {
        Some(at) => with_header(response, AS_OF, &at.to_rfc3339()),
        None => with_header(response, AS_OF, "never"),
    }
}

fn write(shown: &StatusPage, parts: Parts, base: &str) -> Summary {
    let open: Vec<_> = shown.notices.iter().filter(|n| n.resolved.is_none()).collect();
    let incidents = match parts.incidents {
        Incidents::No => None,
        Incidents::Open => Some(open),
        Incidents::All => Some(shown.notices.iter().collect()),
    };
    let updated = shown
        .components
        .iter()
        .map(|c| c.updated)
        .chain(shown.notices.iter().map(|n| n.updated))
        .max()
        .or(shown.as_of);
    Summary {
        page: json!({
            "id": PAGE_ID, "name": "Tidegate", "url": format!("{base}/status"), "time_zone": "Etc/UTC",
            "updated_at": updated,
        }),
        status: json!({ "indicator": shown.indicator, "description": shown.headline }),
        components: parts
            .components
            .then(|| shown.components.iter().enumerate().map(|(i, c)| component(i, c)).collect()),
        incidents: incidents.map(|all| all.into_iter().map(|n| incident(n, base)).collect()),
        scheduled_maintenances: parts.maintenances.then(Vec::new),
        tidegate: DataAge {
            as_of: shown.as_of,
            age_seconds: shown.as_of.map(|at| (shown.now - at).num_seconds().max(0)),
        },
    }
}

/// Statuspage has no word for "no data": the nearest that is not green is told, and ours beside it.
fn word(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Operational => "operational",
        ComponentStatus::UnderMaintenance => "under_maintenance",
        ComponentStatus::Unknown | ComponentStatus::DegradedPerformance => "degraded_performance",
        ComponentStatus::PartialOutage => "partial_outage",
        ComponentStatus::MajorOutage => "major_outage",
    }
}

fn component(i: usize, c: &Component) -> Value {
    json!({
        "id": c.id, "name": c.name, "status": word(c.status), "created_at": c.updated, "updated_at": c.updated,
        "position": i + 1, "description": c.words, "showcase": false, "start_date": null, "group_id": null,
        "page_id": PAGE_ID, "group": false, "only_show_if_degraded": false,
        "tidegate_unknown": c.status == ComponentStatus::Unknown,
    })
}

fn incident(n: &Notice, base: &str) -> Value {
    let monitoring = n.updates.iter().find(|(_, status, _)| status == "monitoring").map(|(at, ..)| *at);
    let updates: Vec<_> = n
        .updates
        .iter()
        .enumerate()
        .map(|(i, (at, status, body))| {
            json!({
                "id": format!("{}-{}", n.id, n.updates.len() - i), "status": status, "body": body,
                "incident_id": n.id, "created_at": at, "updated_at": at, "display_at": at,
                "affected_components": null,
            })
        })
        .collect();
    json!({
        "id": n.id, "name": n.name, "status": n.status, "impact": n.impact, "created_at": n.created,
        "updated_at": n.updated, "started_at": n.created, "monitoring_at": monitoring, "resolved_at": n.resolved,
        "shortlink": format!("{base}/status"), "page_id": PAGE_ID, "incident_updates": updates,
    })
}
