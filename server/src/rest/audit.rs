//! The audit chain: read, exported, verified.

use super::releases::within;
use super::schema::EventSchema;
use super::{Answer, with_header};
use crate::auth::Who;
use crate::body::Asked;
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use control::Control;
use futures::stream;
use http::header;
use model::audit::{Broken, Event, Verified};
use model::{Actor, FieldError, Problem, Seq};
use serde::{Deserialize, Deserializer, Serialize};
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};

/// Events read from the database at once.
const PAGE: i64 = 1000;
/// Pages that one JSON answer looks through at most: a rare filter then says where to go on.
const PAGES: usize = 20;

/// What to read. Events come in the chain's order, oldest first.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only events after this place in the chain. Default 0: from the first.
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<i64>)]
    pub after: Option<i64>,
    /// At most this many, 1 to 1000. Default 100; an export has no limit unless one is given.
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// `ndjson` exports one event a line. Default `json`.
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<String>)]
    pub format: Option<String>,
    /// Only actions that begin so: `release.`, `plan.approved`.
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<String>)]
    pub action: Option<String>,
    /// Only actors whose name contains this.
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<String>)]
    pub actor: Option<String>,
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<String>)]
    pub service: Option<String>,
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<i64>)]
    pub release: Option<i64>,
    #[serde(deserialize_with = "blank")]
    #[param(value_type = Option<i64>)]
    pub plan: Option<i64>,
}

impl AuditQuery {
    fn fits(&self, e: &Event) -> bool {
        let e = &e.event;
        self.action.as_ref().is_none_or(|prefix| e.action.starts_with(prefix))
            && self.actor.as_ref().is_none_or(|name| e.actor.to_lowercase().contains(&name.to_lowercase()))
            && self.service.as_ref().is_none_or(|s| e.service.as_ref() == Some(s))
            && self.release.is_none_or(|id| e.release.is_some_and(|r| r.0 == id))
            && self.plan.is_none_or(|id| e.plan.is_some_and(|p| p.0 == id))
    }
}

/// A form leaves what was not filled in as empty text.
fn blank<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(d: D) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(d)?;
    match text.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|e| serde::de::Error::custom(format!("`{text}`: {e}"))),
    }
}

/// Events in the chain's order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvents)]
pub struct Events {
    #[schema(value_type = Vec<EventSchema>)]
    pub events: Vec<Event>,
    /// Send it as `after` for the next page; null at the chain's end.
    pub next: Option<i64>,
}

/// Reads or exports the audit chain.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "readAudit", params(AuditQuery),
    responses((status = 200, description = "Events, oldest first", content(
                (Events = "application/json"), (String = "application/x-ndjson"))),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn read(State(state): State<AppState>, Who(actor): Who, Asked(query): Asked<AuditQuery>) -> Answer {
    match query.format.as_deref() {
        None | Some("json") => Ok(Json(page(&state.control, &actor, &query).await?).into_response()),
        Some("ndjson") => export(state.control.clone(), actor, query).await,
        Some(other) => Err(Problem::invalid(vec![FieldError::new(
            "format",
            format!("There is no format `{other}`: use json or ndjson."),
        )])
        .into()),
    }
}

async fn page(control: &Control, actor: &Actor, query: &AuditQuery) -> Result<Events, Problem> {
    let limit = usize::try_from(within(query.limit, 100, PAGE)?).unwrap_or(100);
    let (mut after, mut events) = (query.after.unwrap_or(0), Vec::new());
    for _ in 0..PAGES {
        let read = control.events_after(actor, Seq(after), PAGE).await?;
        let end = i64::try_from(read.len()).unwrap_or(PAGE) < PAGE;
        for event in read {
            if events.len() == limit {
                return Ok(Events { events, next: Some(after) });
            }
            after = event.seq.0;
            if query.fits(&event) {
                events.push(event);
            }
        }
        if end {
            return Ok(Events { events, next: None });
        }
    }
    Ok(Events { events, next: Some(after) })
}

/// One event a line, read page by page while it is sent: a long chain needs no memory.
async fn export(control: Control, actor: Actor, query: AuditQuery) -> Answer {
    let limit = query.limit.map(|n| usize::try_from(n).unwrap_or(0));
    // The first page before the status line: a database that is down is a 503, not an empty file.
    let first = control.events_after(&actor, Seq(query.after.unwrap_or(0)), PAGE).await?;
    struct Reader {
        control: Control,
        actor: Actor,
        query: AuditQuery,
        left: Option<usize>,
        next: Option<Vec<Event>>,
    }
    let reader = Reader { control, actor, query, left: limit, next: Some(first) };
    let lines = stream::try_unfold(reader, |mut r| async move {
        let Some(events) = r.next.take() else { return Ok(None) };
        let full = i64::try_from(events.len()).unwrap_or(PAGE) >= PAGE;
        let last = events.last().map(|e| e.seq);
        let mut out = Vec::new();
        for event in events.iter().filter(|e| r.query.fits(e)) {
            if r.left == Some(0) {
                break;
            }
            serde_json::to_writer(&mut out, event).map_err(std::io::Error::other)?;
            out.push(b'\n');
            r.left = r.left.map(|n| n - 1);
        }
        if let (true, Some(last), true) = (full, last, r.left != Some(0)) {
            let more = r.control.events_after(&r.actor, last, PAGE).await;
            // Cuts the answer off: half an export must not look like a whole one.
            r.next = Some(more.map_err(std::io::Error::other)?);
        }
        Ok::<_, std::io::Error>(Some((Bytes::from(out), r)))
    });
    let response: Response =
        ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response();
    Ok(with_header(response, header::CONTENT_DISPOSITION, "attachment; filename=\"tidegate-audit.ndjson\""))
}

/// What recomputing the whole chain found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verified, example = json!({"ok": true, "size": 1284, "root": "5d0c…e2"}))]
pub struct VerifiedBody {
    pub ok: bool,
    /// Events read.
    pub size: i64,
    /// Hash of the last event: kept elsewhere, it shows a cut tail.
    pub root: String,
    /// The first event that does not fit, and why.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

impl From<Verified> for VerifiedBody {
    fn from(v: Verified) -> Self {
        Self { ok: v.ok, size: v.size, root: v.root, broken: v.broken }
    }
}

/// Recomputes the whole chain.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", operation_id = "verifyAudit",
    responses((status = 200, description = "What was found", body = VerifiedBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn verify(State(state): State<AppState>, Who(actor): Who) -> Answer<Json<VerifiedBody>> {
    Ok(Json(state.control.verify_audit(&actor).await?.into()))
}
