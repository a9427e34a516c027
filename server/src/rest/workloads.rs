//! Workloads: what is in the clusters, and the rollback that needs no release.

use super::Answer;
use super::releases::ReceiptBody;
use super::schema::WorkloadSchema;
use crate::auth::Who;
use crate::body::{Asked, Small};
use crate::problem::{ProblemResponse, Refusal};
use crate::state::AppState;
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use http::request::Parts;
use model::Problem;
use model::view::{Standing, WorkloadRow};
use model::workload::{Key, Kind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Workloads, and how old that knowledge is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workloads)]
pub struct WorkloadList {
    #[schema(value_type = Vec<WorkloadSchema>)]
    pub workloads: Vec<WorkloadRow>,
    /// When the clusters were last known to be in sync; null if never since the start.
    pub as_of: Option<DateTime<Utc>>,
}

/// Which to list; each narrows it further.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    pub cluster: Option<String>,
    pub namespace: Option<String>,
    pub service: Option<String>,
    pub environment: Option<String>,
}

/// Lists workloads from the watch cache.
#[utoipa::path(get, path = "/api/v1/workloads", tag = "workloads", operation_id = "listWorkloads", params(ListQuery),
    responses((status = 200, description = "Workloads by name", body = WorkloadList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 422, response = ProblemResponse)))]
pub async fn list(
    State(state): State<AppState>,
    Who(actor): Who,
    Asked(q): Asked<ListQuery>,
) -> Answer<Json<WorkloadList>> {
    let fits = |asked: &Option<String>, is: &String| asked.as_ref().is_none_or(|a| a == is);
    let mut workloads = state.control.all_workloads(&actor)?;
    workloads.retain(|w| {
        fits(&q.cluster, &w.key.cluster)
            && fits(&q.namespace, &w.key.namespace)
            && fits(&q.service, &w.service)
            && fits(&q.environment, &w.environment)
    });
    Ok(Json(WorkloadList { workloads, as_of: state.control.age().cluster }))
}

/// Why it goes back, and to what.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"reason": "Orders are lost"}))]
pub struct Further {
    /// Up to 500 characters, for people.
    pub reason: Option<String>,
    /// Hash of the version to go back to: the one that was shown, or another that `listKnownGood` names. Needed to go
    /// further back than a rollback that has just arrived.
    pub to: Option<String>,
}

/// Break glass: rolls any workload back to its last known good version, with or without a release.
#[utoipa::path(post, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/rollback", tag = "workloads",
    operation_id = "rollBackWorkload",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    request_body = Option<Further>,
    responses((status = 200, description = "The cluster has the patches", body = ReceiptBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn roll_back(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
    Small(body): Small<Further>,
) -> Answer<Json<ReceiptBody>> {
    Ok(Json(state.control.roll_back_workload(&actor, &key, body.to.as_deref(), body.reason).await?.into()))
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = SyncReason)]
pub struct Reason {
    /// Up to 500 characters, for people.
    pub reason: Option<String>,
}

/// Puts back the automatic sync of the Argo CD application that owns a workload, after Tidegate had suspended it for a
/// release or a rollback. From then on git rules again, past every gate.
#[utoipa::path(post, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/sync/resume", tag = "workloads",
    operation_id = "resumeSync",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    request_body = Option<Reason>,
    responses((status = 204, description = "The application syncs as it did before"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn resume_sync(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
    Small(body): Small<Reason>,
) -> Answer<StatusCode> {
    state.control.resume_sync(&actor, &key, body.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has a Rollout's pods replaced by others of the same version, as many at a time as may be unavailable. Not during a
/// release.
#[utoipa::path(post, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/restart", tag = "workloads",
    operation_id = "restartWorkload",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    request_body = Option<Reason>,
    responses((status = 204, description = "The cluster has taken it"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn restart(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
    Small(body): Small<Reason>,
) -> Answer<StatusCode> {
    state.control.restart(&actor, &key, body.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A version that is on record as having carried all traffic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnownGoodVersion)]
pub struct KnownGoodBody {
    pub version: String,
    /// Names it in a rollback's `to`.
    pub hash: String,
    /// When it was found to carry all traffic.
    pub since: DateTime<Utc>,
    /// When the version after it was; null for the newest.
    pub until: Option<DateTime<Utc>>,
    /// The release that brought it; null where it was deployed past Tidegate.
    pub release: Option<i64>,
    /// Revision of its ReplicaSet; null where only the record has it.
    pub revision: Option<i64>,
    /// `present`: it is the stable version now; `target`: ROLL BACK leads to it; `older`: only when it is named.
    #[schema(value_type = String)]
    pub standing: Standing,
}

/// Known-good versions, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KnownGoodVersions)]
pub struct KnownGoodList {
    pub versions: Vec<KnownGoodBody>,
}

/// Lists the versions that this workload can go back to, and the present one.
#[utoipa::path(get, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/known-good", tag = "workloads",
    operation_id = "listKnownGood",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    responses((status = 200, description = "Versions, newest first", body = KnownGoodList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse)))]
pub async fn known_good(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
) -> Answer<Json<KnownGoodList>> {
    let page = state.control.service(&actor, &key).await?;
    let version = |k: model::view::KnownGoodRow| KnownGoodBody {
        version: k.version,
        hash: k.hash,
        since: k.since,
        until: k.until,
        release: k.release.map(|id| id.0),
        revision: k.revision,
        standing: k.standing,
    };
    Ok(Json(KnownGoodList { versions: page.known_good.into_iter().map(version).collect() }))
}

/// A workload named by the address.
#[derive(Debug)]
pub struct Place(pub(crate) Key);

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path((cluster, namespace, kind, name)) =
            Path::<(String, String, String, String)>::from_request_parts(parts, state)
                .await
                .map_err(|_| Problem::not_found("There is no such workload."))?;
        let kind: Kind = kind.parse().map_err(|_| {
            Problem::not_found(format!("There is no kind `{kind}`: use Rollout or Deployment."))
        })?;
        Ok(Self(Key { cluster, namespace, kind, name }))
    }
}
