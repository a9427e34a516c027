//! Where notifications go, and what was told. A secret comes in, and is never in an answer.

use super::{Answer, created};
use crate::auth::Who;
use crate::body::{Asked, Id, Small};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use model::notify::State as Delivery;
use model::view::{DestinationDraft, DestinationView, NotificationView, NotificationsFilter, SecretView};
use model::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A destination. Which fields count depends on its kind; what is left out is empty.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = DestinationRequest, example = json!({
    "name": "On-call", "kind": "webhook", "url": "https://example.com/hook", "variable": "TIDEGATE_HOOK_KEY"}))]
pub struct DestinationRequest {
    /// 1 to 80 characters, unique.
    name: String,
    /// `slack`, `pagerduty`, `email`, `webhook`. Cannot be changed afterwards.
    kind: String,
    /// Only what concerns this environment; left out: whatever happens.
    environment: Option<String>,
    /// Of a webhook: HTTPS.
    url: Option<String>,
    /// Of PagerDuty: the server; left out: `https://events.pagerduty.com`.
    endpoint: Option<String>,
    /// The mail server.
    host: Option<String>,
    port: Option<u16>,
    /// `starttls` (the default), `tls`, `none`.
    security: Option<String>,
    /// Who signs in at the mail server; left out: nobody.
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    /// The secret: Slack's address, PagerDuty's routing key, the mail user's password, a webhook's signing key
    /// (`whsec_…`). Kept encrypted.
    secret: Option<String>,
    /// In place of `secret`: the variable of Tidegate's environment that holds it. Begins with `TIDEGATE_`.
    variable: Option<String>,
}

impl std::fmt::Debug for DestinationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DestinationRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DestinationRequest {
    /// `keep`: neither a secret nor a variable means that the secret stays.
    fn draft(self, keep: bool) -> DestinationDraft {
        let from = match (&self.secret, &self.variable) {
            (_, Some(_)) => "variable",
            (None, None) if keep => "keep",
            _ => "value",
        };
        let text = Option::unwrap_or_default;
        DestinationDraft {
            name: self.name,
            kind: self.kind,
            environment: text(self.environment),
            url: text(self.url),
            endpoint: text(self.endpoint),
            host: text(self.host),
            port: self.port.map(|p| p.to_string()).unwrap_or_default(),
            security: text(self.security),
            user: text(self.user),
            from: text(self.from),
            to: self.to.join("\n"),
            secret_from: from.to_owned(),
            variable: text(self.variable),
            secret: text(self.secret),
        }
    }
}

/// Where the secret of a destination is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DestinationSecret)]
pub struct SecretBody {
    /// Variable that holds it.
    variable: Option<String>,
    /// It is kept encrypted.
    encrypted: bool,
    /// Why it cannot be used; null where it can.
    trouble: Option<String>,
}

impl From<SecretView> for SecretBody {
    fn from(s: SecretView) -> Self {
        Self { variable: s.variable, encrypted: s.sealed, trouble: s.trouble }
    }
}

/// A destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destination)]
pub struct DestinationBody {
    id: i64,
    name: String,
    /// `slack`, `pagerduty`, `email`, `webhook`
    #[schema(value_type = String)]
    kind: model::policy::Channel,
    environment: Option<String>,
    /// Where it leads, without anything secret.
    target: String,
    /// Addresses and recipients, for administrators.
    #[schema(value_type = Option<Object>)]
    settings: Option<model::notify::Settings>,
    secret: SecretBody,
}

impl From<DestinationView> for DestinationBody {
    fn from(d: DestinationView) -> Self {
        Self {
            id: d.id,
            name: d.name,
            kind: d.kind,
            environment: d.environment,
            target: d.target,
            settings: d.settings,
            secret: d.secret.into(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationList {
    destinations: Vec<DestinationBody>,
}

/// A message to one destination, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationBody {
    id: i64,
    destination: i64,
    destination_name: String,
    /// `slack`, `pagerduty`, `email`, `webhook`
    #[schema(value_type = String)]
    kind: model::policy::Channel,
    title: String,
    /// `fired`, `resolved`, `told`, `test`
    #[schema(value_type = String)]
    what: model::notify::Happened,
    /// `low`, `medium`, `high`, `critical`
    #[schema(value_type = String)]
    severity: model::policy::Severity,
    /// Page that it is about.
    path: String,
    release: Option<i64>,
    service: Option<String>,
    environment: Option<String>,
    /// `waiting`, `sent`, `failed`
    #[schema(value_type = String)]
    state: Delivery,
    attempts: u32,
    created: DateTime<Utc>,
    /// When it is tried next; null when it is not.
    next_try: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    last_error: Option<String>,
    /// When it was sent or given up.
    ended: Option<DateTime<Utc>>,
}

impl From<NotificationView> for NotificationBody {
    fn from(n: NotificationView) -> Self {
        Self {
            id: n.id,
            destination: n.destination,
            destination_name: n.destination_name,
            kind: n.kind,
            title: n.title,
            what: n.what,
            severity: n.severity,
            path: n.path,
            release: n.release.map(|id| id.0),
            service: n.service,
            environment: n.environment,
            state: n.state,
            attempts: n.attempts,
            created: n.created,
            next_try: n.next_try,
            last_error: n.last_error,
            ended: n.ended,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationList {
    notifications: Vec<NotificationBody>,
    /// Send it as `before` for the next page; null at the end.
    next: Option<i64>,
}

/// Which notifications to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NotificationQuery {
    /// `waiting`, `sent` or `failed`.
    pub state: Option<String>,
    pub destination: Option<i64>,
    /// Only those with a smaller number.
    pub before: Option<i64>,
}

/// Lists destinations. Nothing secret is among what is shown.
#[utoipa::path(get, path = "/api/v1/destinations", tag = "notifications", operation_id = "listDestinations",
    responses((status = 200, description = "Destinations by name", body = DestinationList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn destinations(State(state): State<AppState>, Who(actor): Who) -> Answer<Json<DestinationList>> {
    let page = state.control.notifications(&actor, NotificationsFilter::default()).await?;
    let destinations = page.destinations.into_iter().map(DestinationBody::from).collect();
    Ok(Json(DestinationList { destinations }))
}

/// The number of a new destination or test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewNumber)]
pub struct NumberBody {
    id: i64,
}

/// Adds a destination.
#[utoipa::path(post, path = "/api/v1/destinations", tag = "notifications", operation_id = "addDestination",
    request_body = DestinationRequest,
    responses((status = 201, description = "Added", body = NumberBody,
               headers(("Location" = String, description = "Its address"))),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn add(
    State(state): State<AppState>,
    Who(actor): Who,
    Small(body): Small<DestinationRequest>,
) -> Answer {
    let id = state.control.add_destination(&actor, &body.draft(false)).await?;
    Ok(created(format!("/api/v1/destinations/{id}"), NumberBody { id }))
}

/// Changes a destination: the whole of it, but for its kind. Without `secret` and `variable` its encrypted secret stays,
/// unless it would be sent to another server.
#[utoipa::path(put, path = "/api/v1/destinations/{id}", tag = "notifications", operation_id = "changeDestination",
    params(("id" = i64, Path, description = "The destination's number")), request_body = DestinationRequest,
    responses((status = 204, description = "Changed"),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 415, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn change(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<i64>,
    Small(body): Small<DestinationRequest>,
) -> Answer<StatusCode> {
    state.control.change_destination(&actor, id, &body.draft(true)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a destination and forgets its secret. The log keeps what was told.
#[utoipa::path(delete, path = "/api/v1/destinations/{id}", tag = "notifications", operation_id = "removeDestination",
    params(("id" = i64, Path, description = "The destination's number")),
    responses((status = 204, description = "Removed"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn remove(State(state): State<AppState>, Who(actor): Who, Id(id): Id<i64>) -> Answer<StatusCode> {
    state.control.remove_destination(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a message that says it is a test. What came of it stands in the log.
#[utoipa::path(post, path = "/api/v1/destinations/{id}/tests", tag = "notifications", operation_id = "testDestination",
    params(("id" = i64, Path, description = "The destination's number")),
    responses((status = 201, description = "On its way", body = NumberBody,
               headers(("Location" = String, description = "The log"))),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn test(State(state): State<AppState>, Who(actor): Who, Id(id): Id<i64>) -> Answer<Response> {
    let sent = state.control.test_destination(&actor, id).await?;
    let at = format!("/api/v1/notifications?destination={id}");
    Ok(created(at, NumberBody { id: sent }))
}

/// Lists notifications, newest first, 50 at a time.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications", operation_id = "listNotifications",
    params(NotificationQuery),
    responses((status = 200, description = "Notifications, newest first", body = NotificationList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn list(
    State(state): State<AppState>,
    Who(actor): Who,
    Asked(query): Asked<NotificationQuery>,
) -> Answer<Json<NotificationList>> {
    let wanted = match query.state.as_deref() {
        None | Some("") => None,
        Some("waiting") => Some(Delivery::Waiting),
        Some("sent") => Some(Delivery::Sent),
        Some("failed") => Some(Delivery::Failed),
        Some(other) => {
            return Err(Problem::invalid(vec![FieldError::new(
                "state",
                format!("There is no state `{other}`: use waiting, sent or failed."),
            )])
            .into());
        }
    };
    let filter = NotificationsFilter { state: wanted, destination: query.destination, before: query.before };
    let page = state.control.notifications(&actor, filter).await?;
    let notifications = page.rows.into_iter().map(NotificationBody::from).collect();
    Ok(Json(NotificationList { notifications, next: page.next }))
}

/// Tries a message that waits or was given up again, now and for a day more.
#[utoipa::path(post, path = "/api/v1/notifications/{id}/retry", tag = "notifications", operation_id = "retryNotification",
    params(("id" = i64, Path, description = "The notification's number")),
    responses((status = 204, description = "It is tried again"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn retry(State(state): State<AppState>, Who(actor): Who, Id(id): Id<i64>) -> Answer<StatusCode> {
    state.control.retry_notification(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
