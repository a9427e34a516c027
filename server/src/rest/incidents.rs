//! Incidents: opened, led, told to the public, ended.

use super::{Answer, created, expected, tagged};
use crate::auth::Who;
use crate::body::{Asked, Id, Small};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use control::{Alarm, IncidentEdit, PublicUpdate};
use http::HeaderMap;
use model::incident::{self, Entry, Impact, Incident, Shown};
use model::policy::Severity;
use model::view::IncidentsFilter;
use model::workload::Key;
use model::{Actor, FieldError, IncidentId, PersonId, Problem, ReleaseId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::schema::KeySchema;

/// What users felt, from the alarm until it was over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident, example = json!({
    "id": 7, "version": 3, "title": "Some payments fail", "state": "watching", "severity": "high",
    "impact": "About 1 in 100 payments fails.", "public": true, "headline": "Some payments fail",
    "service": "checkout", "environment": "production",
    "workload": {"cluster": "main", "namespace": "shop", "kind": "Rollout", "name": "checkout"},
    "release": 318, "policy": "production-default", "lead": {"person": 3, "name": "Jun Sato"}, "on_call": false,
    "began": "2026-01-14T14:04:00Z", "opened": "2026-01-14T14:05:30Z", "opened_by": "Tidegate, policy",
    "watching": "2026-01-14T14:06:00Z", "resolved": null, "resolved_by": null, "notes": [], "updates": []
}))]
pub struct IncidentBody {
    pub id: i64,
    /// Raised by each change. Also the ETag; send it back as If-Match.
    pub version: i64,
    pub title: String,
    /// `open`, `watching`, `resolved`
    #[schema(value_type = String)]
    pub state: incident::State,
    /// `low`, `medium`, `high`, `critical`
    #[schema(value_type = String)]
    pub severity: Severity,
    /// What users feel, as far as it is known.
    pub impact: String,
    /// Whether the public status page tells of it.
    pub public: bool,
    /// What the public status page calls it.
    pub headline: String,
    pub service: String,
    pub environment: String,
    #[schema(value_type = Option<KeySchema>)]
    pub workload: Option<Key>,
    /// Release that it is about.
    pub release: Option<i64>,
    /// Policy that opened it.
    pub policy: Option<String>,
    pub lead: Option<LeadBody>,
    /// For whoever is on call, where that is nobody in particular.
    pub on_call: bool,
    pub began: DateTime<Utc>,
    pub opened: DateTime<Utc>,
    pub opened_by: String,
    pub watching: Option<DateTime<Utc>>,
    pub resolved: Option<DateTime<Utc>>,
    pub resolved_by: Option<String>,
    /// For those who work on it, oldest first. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Vec<NoteBody>>,
    /// What the public was told, oldest first. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updates: Option<Vec<UpdateBody>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IncidentLead)]
pub struct LeadBody {
    pub person: i64,
    pub name: String,
    pub since: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IncidentNote)]
pub struct NoteBody {
    pub at: DateTime<Utc>,
    pub author: String,
    pub words: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PublicUpdate)]
pub struct UpdateBody {
    pub at: DateTime<Utc>,
    pub author: String,
    /// `investigating`, `identified`, `monitoring`, `resolved`
    #[schema(value_type = String)]
    pub shown: Shown,
    /// `none`, `minor`, `major`, `critical`
    #[schema(value_type = String)]
    pub impact: Impact,
    pub words: String,
}

impl IncidentBody {
    fn new(i: Incident, entries: Option<Vec<Entry>>) -> Self {
        let updates = entries.as_ref().map(|all| {
            all.iter()
                .filter_map(|e| {
                    let (shown, impact) = e.update?;
                    let (author, words) = (e.author.clone(), e.words.clone());
                    Some(UpdateBody { at: e.at, author, shown, impact, words })
                })
                .collect()
        });
        let notes = entries.map(|all| {
            all.into_iter()
                .filter(|e| e.update.is_none())
                .map(|e| NoteBody { at: e.at, author: e.author, words: e.words })
                .collect()
        });
        Self {
            id: i.id.0,
            version: i.version,
            title: i.title,
            state: i.state,
            severity: i.severity,
            impact: i.impact,
            public: i.public,
            headline: i.headline,
            service: i.service,
            environment: i.environment,
            workload: i.workload,
            release: i.release.map(|id| id.0),
            policy: i.policy,
            lead: i.lead.map(|l| LeadBody { person: l.person.0, name: l.name, since: l.since }),
            on_call: i.on_call,
            began: i.began,
            opened: i.opened,
            opened_by: i.opened_by,
            watching: i.watching,
            resolved: i.resolved,
            resolved_by: i.resolved_by,
            notes,
            updates,
        }
    }
}

/// Incidents, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incidents)]
pub struct IncidentList {
    pub incidents: Vec<IncidentBody>,
}

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// Only those in this state: `open`, `watching` or `resolved`.
    pub state: Option<String>,
    /// Only those of this severity: `low`, `medium`, `high` or `critical`.
    pub severity: Option<String>,
    /// Part of title, impact, headline or service, or a number.
    pub q: Option<String>,
    /// Only those with a smaller number: the next page.
    pub before: Option<i64>,
    /// At most this many, 1 to 500. Default 100.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<i64>,
}

/// Lists incidents, newest first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", operation_id = "listIncidents",
    params(IncidentQuery),
    responses((status = 200, description = "Incidents, newest first", body = IncidentList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 422, response = ProblemResponse)))]
pub async fn list(
    State(state): State<AppState>,
    Who(actor): Who,
    Asked(query): Asked<IncidentQuery>,
) -> Answer<Json<IncidentList>> {
    let at = |field: &'static str| move |why| Problem::invalid(vec![FieldError::new(field, capital(why))]);
    let filter = IncidentsFilter {
        state: query.state.map(|s| s.parse()).transpose().map_err(at("state"))?,
        severity: query.severity.map(|s| incident::severity_from(&s)).transpose().map_err(at("severity"))?,
        q: query.q,
        before: query.before,
    };
    let limit = super::releases::within(query.limit, 100, 500)?;
    let found = state.control.incident_records(&actor, &filter, limit).await?;
    let incidents = found.into_iter().map(|i| IncidentBody::new(i, None)).collect();
    Ok(Json(IncidentList { incidents }))
}

fn capital(why: String) -> String {
    format!("{}.", why.replacen("there is", "There is", 1))
}

/// An alarm.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = NewIncident, example = json!({
    "title": "Some payments fail", "severity": "high", "impact": "About 1 in 100 payments fails.", "release": 318
}))]
pub struct NewIncident {
    /// What goes wrong, up to 120 characters. Not for the public.
    #[schema(required)]
    pub title: Option<String>,
    /// `low`, `medium`, `high` or `critical`
    #[schema(required, value_type = String)]
    pub severity: Option<Severity>,
    /// What users feel, as far as it is known, up to 500 characters. Not for the public.
    pub impact: Option<String>,
    /// Service and environment it is about; left out where a release is named.
    pub service: Option<String>,
    pub environment: Option<String>,
    /// Release it is about.
    pub release: Option<i64>,
}

/// Opens an incident. Whoever is on call gets the lead; one who is on call and opens it leads it.
#[utoipa::path(post, path = "/api/v1/incidents", tag = "incidents", operation_id = "openIncident",
    request_body = NewIncident,
    responses((status = 201, description = "Opened", body = IncidentBody,
               headers(("Location" = String, description = "Address of the incident"))),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse)))]
pub async fn open(State(state): State<AppState>, Who(actor): Who, Small(new): Small<NewIncident>) -> Answer {
    let Some(severity) = new.severity else {
        // Who may is asked first: a refusal should not depend on what is sent.
        if !actor.may_somewhere(model::Action::OpenIncident) {
            actor.require(model::Action::OpenIncident, "any environment")?;
        }
        return Err(missing("severity", "Send `low`, `medium`, `high` or `critical`."));
    };
    let alarm = Alarm {
        title: new.title.unwrap_or_default(),
        severity,
        impact: new.impact.unwrap_or_default(),
        service: new.service.unwrap_or_default(),
        environment: new.environment.unwrap_or_default(),
        release: new.release.map(ReleaseId),
    };
    let id = state.control.open_incident(&actor, alarm).await?;
    Ok(created(format!("/api/v1/incidents/{id}"), body(&state, &actor, id).await?))
}

fn missing(field: &str, words: &str) -> crate::problem::Refusal {
    Problem::invalid(vec![FieldError::new(field, words)]).into()
}

async fn body(state: &AppState, actor: &Actor, id: IncidentId) -> Answer<IncidentBody> {
    let (incident, entries) = state.control.incident_record(actor, id).await?;
    Ok(IncidentBody::new(incident, Some(entries)))
}

async fn show(state: &AppState, actor: &Actor, id: IncidentId) -> Answer {
    let body = body(state, actor, id).await?;
    Ok(tagged(body.version, Json(body).into_response()))
}

/// Reads an incident with what people wrote about it.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents", operation_id = "readIncident",
    params(("id" = i64, Path, description = "The incident's number")),
    responses((status = 200, description = "The incident", body = IncidentBody,
               headers(("ETag" = String, description = "The version; send it back as If-Match when changing it"))),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn read(State(state): State<AppState>, Who(actor): Who, Id(id): Id<IncidentId>) -> Answer {
    show(&state, &actor, id).await
}

macro_rules! deed {
    ($(#[doc = $doc:literal])+ $name:ident, $method:ident, $path:literal, $operation:literal, $request:ty,
     |$state:ident, $actor:ident, $id:ident, $expected:ident, $sent:ident| $done:expr) => {
        $(#[doc = $doc])+
        #[utoipa::path($method, path = $path, tag = "incidents", operation_id = $operation,
            params(("id" = i64, Path, description = "The incident's number"),
                   ("If-Match" = Option<String>, Header,
                    description = "The version that was read; 409 when somebody changed it meanwhile")),
            request_body = $request,
            responses((status = 200, description = "The incident as it is now", body = IncidentBody),
                      (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
                      (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
                      (status = 409, response = ProblemResponse), (status = 415, response = ProblemResponse),
                      (status = 422, response = ProblemResponse)))]
        pub async fn $name(
            State($state): State<AppState>,
            Who($actor): Who,
            Id($id): Id<IncidentId>,
            headers: HeaderMap,
            Small($sent): Small<$request>,
        ) -> Answer<Response> {
            let $expected: Option<i64> = expected(&headers)?;
            $done;
            show(&$state, &$actor, $id).await
        }
    };
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = IncidentEdit, example = json!({"severity": "critical"}))]
pub struct EditRequest {
    pub title: Option<String>,
    /// `low`, `medium`, `high` or `critical`
    #[schema(value_type = Option<String>)]
    pub severity: Option<Severity>,
    pub impact: Option<String>,
}

deed! {
    /// Changes title, severity or impact.
    edit, patch, "/api/v1/incidents/{id}", "editIncident", EditRequest,
    |state, actor, id, expected, sent| {
        let edit = IncidentEdit { title: sent.title, severity: sent.severity, impact: sent.impact };
        state.control.edit_incident(&actor, id, expected, edit).await?
    }
}

/// Who gets the lead. Nobody named: whoever is on call.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = IncidentLeadRequest, example = json!({"person": 3}))]
pub struct LeadRequest {
    /// Number of a person who may lead incidents.
    pub person: Option<i64>,
    /// Takes it oneself.
    pub me: bool,
}

deed! {
    /// Gives the lead to a person, or back to whoever is on call.
    lead, put, "/api/v1/incidents/{id}/lead", "leadIncident", LeadRequest,
    |state, actor, id, expected, sent| {
        let to = if sent.me { actor.person } else { sent.person.map(PersonId) };
        state.control.lead_incident(&actor, id, expected, to).await?
    }
}

/// Whether the public status page tells of it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = IncidentPublicRequest, example = json!({"public": false}))]
pub struct PublicRequest {
    #[schema(required)]
    pub public: Option<bool>,
}

deed! {
    /// Puts an incident on the public status page, or takes it off.
    publish, put, "/api/v1/incidents/{id}/public", "publishIncident", PublicRequest,
    |state, actor, id, expected, sent| {
        let Some(wanted) = sent.public else {
            // Whoever may not is told so first.
            let (incident, _) = state.control.incident_record(&actor, id).await?;
            actor.require(model::Action::RunIncident, &incident.environment)?;
            return Err(missing("public", "Send true or false."));
        };
        state.control.publish_incident(&actor, id, expected, wanted).await?
    }
}

/// A note.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = IncidentNoteRequest, example = json!({"words": "Errors began with the last step."}))]
pub struct NoteRequest {
    /// Up to 500 characters. Not for the public.
    #[schema(required)]
    pub words: String,
}

deed! {
    /// Adds a note for those who work on it.
    note, post, "/api/v1/incidents/{id}/notes", "noteIncident", NoteRequest,
    |state, actor, id, _expected, sent| state.control.note_incident(&actor, id, &sent.words).await?
}

/// What to tell the public.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = PublicUpdateRequest, example = json!({
    "headline": "Some payments fail", "shown": "identified", "impact": "minor",
    "words": "Payments fail for about 1 in 100. No money was taken for a failed payment."
}))]
pub struct TellRequest {
    /// What the page calls the incident, up to 120 characters; left out, it stays.
    pub headline: Option<String>,
    /// `investigating`, `identified` or `monitoring`; `resolved` once the incident is.
    #[schema(required, value_type = String)]
    pub shown: Option<Shown>,
    /// `none`, `minor`, `major` or `critical`; left out, as the severity says.
    #[schema(value_type = Option<String>)]
    pub impact: Option<Impact>,
    /// What users feel, up to 500 characters; refused where it names a revision, a pod, a host or a person.
    #[schema(required)]
    pub words: String,
}

deed! {
    /// Tells the public, and puts the incident on the public status page if it is not there.
    tell, post, "/api/v1/incidents/{id}/updates", "tellPublic", TellRequest,
    |state, actor, id, expected, sent| {
        let (incident, _) = state.control.incident_record(&actor, id).await?;
        actor.require(model::Action::RunIncident, &incident.environment)?;
        let Some(shown) = sent.shown else {
            return Err(missing("shown", "Send `investigating`, `identified`, `monitoring` or `resolved`."));
        };
        let impact = sent.impact.unwrap_or(Impact::of(incident.severity));
        let update = PublicUpdate { headline: sent.headline, shown, impact, words: sent.words };
        state.control.tell_public(&actor, id, expected, update).await?
    }
}

/// What the public is told with it, where it is public.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = IncidentWords, example = json!({"words": "Payments work again."}))]
pub struct WordsRequest {
    /// Up to 500 characters; left out, general words are told.
    pub words: Option<String>,
}

deed! {
    /// Says that it is fixed as far as is known, and watched for a while.
    watch, post, "/api/v1/incidents/{id}/watch", "watchIncident", WordsRequest,
    |state, actor, id, expected, sent| {
        state.control.move_incident(&actor, id, expected, incident::State::Watching, sent.words).await?
    }
}

deed! {
    /// Resolves an incident; the public is told where it is public.
    resolve, post, "/api/v1/incidents/{id}/resolve", "resolveIncident", WordsRequest,
    |state, actor, id, expected, sent| {
        state.control.move_incident(&actor, id, expected, incident::State::Resolved, sent.words).await?
    }
}

deed! {
    /// Opens an incident again that is not over after all.
    reopen, post, "/api/v1/incidents/{id}/reopen", "reopenIncident", WordsRequest,
    |state, actor, id, expected, sent| {
        state.control.move_incident(&actor, id, expected, incident::State::Open, sent.words).await?
    }
}
