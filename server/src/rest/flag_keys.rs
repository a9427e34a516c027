//! Keys that services ask for feature flags with, over `/ofrep/v1`.

use super::{Answer, created};
use crate::auth::Who;
use crate::body::{Id, Small};
use crate::problem::ProblemResponse;
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use model::Problem;
use model::view::FlagKeyView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagKey)]
pub struct KeyBody {
    pub id: i64,
    /// Which service asks with it.
    pub name: String,
    pub cluster: String,
    pub namespace: String,
    /// Null: flags of every environment.
    pub environment: Option<String>,
    pub created: DateTime<Utc>,
    pub created_by: String,
    /// Since when it opens nothing; null while it does.
    pub revoked: Option<DateTime<Utc>>,
}

impl From<FlagKeyView> for KeyBody {
    fn from(k: FlagKeyView) -> Self {
        Self {
            id: k.id,
            name: k.name,
            cluster: k.cluster,
            namespace: k.namespace,
            environment: k.environment,
            created: k.created,
            created_by: k.created_by,
            revoked: k.revoked,
        }
    }
}

/// All keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FlagKeys)]
pub struct KeyList {
    /// Newest first; withdrawn ones too.
    pub keys: Vec<KeyBody>,
}

/// Lists the keys that services ask for flags with. Their secrets are nowhere.
#[utoipa::path(get, path = "/api/v1/flag-keys", tag = "flags", operation_id = "listFlagKeys",
    responses((status = 200, description = "Keys", body = KeyList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn list(State(state): State<AppState>, Who(actor): Who) -> Answer<Json<KeyList>> {
    let page = state.control.flags_page(&actor).await?;
    if !page.manage_keys.allowed {
        return Err(Problem::forbidden(page.manage_keys.why_not.unwrap_or_default()).into());
    }
    Ok(Json(KeyList { keys: page.keys.into_iter().map(Into::into).collect() }))
}

/// What a key is for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"name": "checkout, in the browser", "cluster": "main", "namespace": "shop", "environment": "production"}))]
pub struct NewFlagKey {
    /// Which service asks with it, up to 80 characters.
    pub name: String,
    pub cluster: String,
    /// It reads the flags of this namespace.
    pub namespace: String,
    /// It asks for this environment; without it, flags of every environment.
    pub environment: Option<String>,
}

/// A new key with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IssuedFlagKey)]
pub struct IssuedBody {
    pub key: KeyBody,
    /// Shown this once, and kept nowhere.
    pub secret: String,
}

/// Issues a key that reads the flags of one namespace, and does nothing else.
#[utoipa::path(post, path = "/api/v1/flag-keys", tag = "flags", operation_id = "issueFlagKey",
    request_body = NewFlagKey,
    responses((status = 201, description = "Issued", body = IssuedBody),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn issue(State(state): State<AppState>, Who(actor): Who, Small(body): Small<NewFlagKey>) -> Answer {
    let NewFlagKey { name, cluster, namespace, environment } = body;
    let issued =
        state.control.issue_flag_key(&actor, &name, &cluster, &namespace, environment.as_deref()).await?;
    let body = IssuedBody { key: issued.0.into(), secret: issued.1 };
    Ok(created(format!("/api/v1/flag-keys/{}", body.key.id), body))
}

/// Withdraws a key: it opens nothing any more, and its streams end.
#[utoipa::path(delete, path = "/api/v1/flag-keys/{id}", tag = "flags", operation_id = "revokeFlagKey",
    params(("id" = i64, Path, description = "The key's number")),
    responses((status = 204, description = "Withdrawn"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn revoke(State(state): State<AppState>, Who(actor): Who, Id(id): Id<i64>) -> Answer<StatusCode> {
    state.control.revoke_flag_key(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
