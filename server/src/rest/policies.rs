//! Rollback policies: their files, what one would have done, and what one does to a release.

use super::workloads::Place;
use super::{Answer, Reason};
use crate::auth::Who;
use crate::body::{Id, Small};
use crate::problem::{FieldErrorBody, ProblemResponse};
use crate::state::AppState;
use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use model::view::{
    DryRun, FileState, FiringView, PolicyFileView, PolicyWatch, ServiceRun, WouldFire, WouldFireOn,
};
use model::{FieldError, Problem, ReleaseId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A ConfigMap `rollback-policies`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyFile)]
pub struct FileBody {
    /// Names this content: a change says that it was made over it.
    pub id: i64,
    pub cluster: String,
    pub namespace: String,
    /// It rules where a namespace has no file of its own.
    pub home: bool,
    /// `in_force`, `changed_outside` (in force, and written past Tidegate), `faulty` (what was in force before stays),
    /// `none_in_force` or `gone`.
    #[schema(value_type = String)]
    pub state: FileState,
    pub text: String,
    /// Why it is not in force.
    #[schema(value_type = Vec<FieldErrorBody>)]
    pub faults: Vec<FieldError>,
    #[schema(value_type = Vec<FieldErrorBody>)]
    pub warnings: Vec<FieldError>,
    /// What is in force.
    pub policies: Vec<PolicyBody>,
    pub changed: Option<DateTime<Utc>>,
    pub changed_by: Option<String>,
}

/// A policy that is in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyBody {
    pub name: String,
    /// `errors over 5 %, or p95 over 5000 ms`
    pub fires_when: String,
    /// `hold, tell on-call, roll back, incident`
    pub then: String,
    /// `5m`, `none`, `a person decides`, `does not roll back`
    pub countdown: String,
    /// Workloads that it would watch a release of.
    pub used_by: usize,
    /// Times that it fired within thirty days.
    pub fired: usize,
}

impl From<PolicyFileView> for FileBody {
    fn from(f: PolicyFileView) -> Self {
        let policies = f.policies.into_iter().map(|p| PolicyBody {
            fires_when: p.policy.fires_when(),
            then: p.policy.then(),
            countdown: p.policy.countdown(),
            name: p.name,
            used_by: p.used_by,
            fired: p.fired,
        });
        let last = f.history.into_iter().next();
        Self {
            id: f.id,
            cluster: f.cluster,
            namespace: f.namespace,
            home: f.home,
            state: f.state,
            text: f.text,
            faults: f.faults,
            warnings: f.warnings,
            policies: policies.collect(),
            changed: last.as_ref().map(|h| h.at),
            changed_by: last.map(|h| h.by),
        }
    }
}

/// All policy files.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyFiles)]
pub struct FileList {
    pub files: Vec<FileBody>,
    /// Workloads that no policy watches.
    pub without: usize,
}

/// Lists the policy files of all clusters.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies", operation_id = "listPolicies",
    responses((status = 200, description = "Policy files", body = FileList),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn list(State(state): State<AppState>, Who(actor): Who) -> Answer<Json<FileList>> {
    let page = state.control.policies_page(&actor).await?;
    Ok(Json(FileList { files: page.files.into_iter().map(Into::into).collect(), without: page.without }))
}

/// A new content of a policy file.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFileChange {
    /// The whole file, YAML.
    pub text: String,
    /// The `id` of the content that it is written over; null where there is no file.
    pub after: Option<i64>,
    /// Why, up to 500 characters.
    pub reason: Option<String>,
}

/// Writes a policy file to the cluster, over the content that was read and no other.
#[utoipa::path(put, path = "/api/v1/policies/{cluster}/{namespace}", tag = "policies",
    operation_id = "writePolicies", request_body = PolicyFileChange,
    params(("cluster" = String, Path), ("namespace" = String, Path)),
    responses((status = 204, description = "Written, and in force for releases that start now"),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 404, response = ProblemResponse),
              (status = 409, response = ProblemResponse), (status = 413, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn write(
    State(state): State<AppState>,
    Who(actor): Who,
    Path((cluster, namespace)): Path<(String, String)>,
    Small(body): Small<PolicyFileChange>,
) -> Answer<StatusCode> {
    let PolicyFileChange { text, after, reason } = body;
    let change = control::PolicyChange { cluster, namespace, after, text, reason };
    state.control.change_policies(&actor, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A file to try.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyTrial {
    /// The whole file, YAML.
    pub text: String,
    /// Releases of so many days, 1 to 90. Default 14.
    pub days: Option<u16>,
    /// The services that a file here rules; without it and `namespace`, all.
    pub cluster: Option<String>,
    pub namespace: Option<String>,
}

/// What a policy would have done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyDryRun)]
pub struct DryRunBody {
    pub policy: String,
    pub days: u16,
    pub fired: Vec<WouldFireBody>,
    /// Releases looked at.
    pub seen: usize,
    /// Releases of which nothing was measured.
    pub without: usize,
    /// Triggers on figures that are not stored with every release.
    pub untried: Vec<String>,
    /// On services, had it watched them all the time; null where it governs none, or no Prometheus is set up.
    pub services: Option<ServiceRunBody>,
}

/// What a policy would have done to services between releases.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyServiceRun)]
pub struct ServiceRunBody {
    /// Newest first.
    pub fired: Vec<WouldFireOnBody>,
    /// Services whose past was read.
    pub seen: usize,
    /// Services that were not, for time or number.
    pub left: usize,
    /// Why one could not be read.
    pub unread: Option<String>,
    /// Triggers of which Prometheus has no past.
    pub untried: Vec<String>,
}

/// A service that a policy would have fired on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyWouldFireOn)]
pub struct WouldFireOnBody {
    /// `cluster/namespace/kind/name`
    pub workload: String,
    pub service: String,
    pub at: DateTime<Utc>,
    pub words: String,
}

impl From<ServiceRun> for ServiceRunBody {
    fn from(run: ServiceRun) -> Self {
        let one = |f: WouldFireOn| WouldFireOnBody {
            workload: f.workload.to_string(),
            service: f.service,
            at: f.at,
            words: f.words,
        };
        let ServiceRun { seen, left, fired, unread, untried } = run;
        Self { fired: fired.into_iter().map(one).collect(), seen, left, unread, untried }
    }
}

/// A release that a policy would have fired on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyWouldFire)]
pub struct WouldFireBody {
    pub release: i64,
    pub service: String,
    pub version: String,
    pub at: DateTime<Utc>,
    pub words: String,
    pub ended: String,
}

impl From<DryRun> for DryRunBody {
    fn from(run: DryRun) -> Self {
        let one = |f: WouldFire| WouldFireBody {
            release: f.release.0,
            service: f.service,
            version: f.version,
            at: f.at,
            words: f.words,
            ended: f.ended,
        };
        let DryRun { policy, days, fired, seen, without, untried, services } = run;
        let fired = fired.into_iter().map(one).collect();
        Self { policy, days, fired, seen, without, untried, services: services.map(Into::into) }
    }
}

/// What each policy of a file would have done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyDryRuns)]
pub struct DryRuns {
    pub policies: Vec<DryRunBody>,
}

/// Says which releases of the last days a policy file would have fired on. Changes nothing.
#[utoipa::path(post, path = "/api/v1/policies/trials", tag = "policies", operation_id = "tryPolicies",
    request_body = PolicyTrial,
    responses((status = 200, description = "What it would have done", body = DryRuns),
              (status = 400, response = ProblemResponse), (status = 401, response = ProblemResponse),
              (status = 403, response = ProblemResponse), (status = 415, response = ProblemResponse),
              (status = 422, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn try_out(
    State(state): State<AppState>,
    Who(actor): Who,
    Small(body): Small<PolicyTrial>,
) -> Answer<Json<DryRuns>> {
    let days = body.days.unwrap_or(14);
    if !(1..=90).contains(&days) {
        return Err(Problem::invalid(vec![FieldError::new("days", "Must be from 1 to 90.")]).into());
    }
    let place = match (body.cluster, body.namespace) {
        (Some(cluster), Some(namespace)) => Some((cluster, namespace)),
        (None, None) => None,
        _ => {
            let words = "Give both cluster and namespace, or neither.";
            return Err(Problem::invalid(vec![FieldError::new("namespace", words)]).into());
        }
    };
    let runs = state.control.try_policies(&actor, &body.text, days, place).await?;
    Ok(Json(DryRuns { policies: runs.into_iter().map(Into::into).collect() }))
}

/// The policy that watches a release or a service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyWatch)]
pub struct WatchBody {
    /// Null where none does.
    pub policy: Option<String>,
    pub fires_when: Option<String>,
    /// Null while it has not fired.
    pub firing: Option<FiringBody>,
}

/// A policy that fired on a release.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyFiring)]
pub struct FiringBody {
    pub at: DateTime<Utc>,
    /// `errors 21 %, 20 %, 22 %; the limit is 5 %`
    pub words: String,
    /// When it rolls back by itself; null where that is not to come.
    pub rolls_back_at: Option<DateTime<Utc>>,
    /// It rolls back when a person says so, and nobody has.
    pub asks: bool,
    /// Who stopped its rollback.
    pub stopped_by: Option<String>,
    pub actions: Vec<FiringActionBody>,
}

/// One action of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyFiringAction)]
pub struct FiringActionBody {
    pub title: String,
    /// When it was done; null where it was not.
    pub at: Option<DateTime<Utc>>,
    pub words: String,
}

impl From<Option<PolicyWatch>> for WatchBody {
    fn from(watch: Option<PolicyWatch>) -> Self {
        match watch {
            Some(w) => Self {
                policy: Some(w.name),
                fires_when: Some(w.fires_when),
                firing: w.firing.map(Into::into),
            },
            None => Self { policy: None, fires_when: None, firing: None },
        }
    }
}

impl From<FiringView> for FiringBody {
    fn from(f: FiringView) -> Self {
        let actions =
            f.actions.into_iter().map(|a| FiringActionBody { title: a.title, at: a.at, words: a.words });
        Self {
            at: f.at,
            words: f.words,
            rolls_back_at: f.rolls_back_at,
            asks: f.asks,
            stopped_by: f.stopped.map(|s| s.0),
            actions: actions.collect(),
        }
    }
}

/// Reads which policy watches a release, and what it has done.
#[utoipa::path(get, path = "/api/v1/releases/{id}/policy", tag = "policies", operation_id = "readPolicyWatch",
    params(("id" = i64, Path, description = "The release's number")),
    responses((status = 200, description = "The policy, if one watches", body = WatchBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn watch(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<ReleaseId>,
) -> Answer<Json<WatchBody>> {
    Ok(Json(state.control.release(&actor, id).await?.live.policy.into()))
}

/// Reads which policy watches a service all the time, and what it has done.
#[utoipa::path(get, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/policy", tag = "policies",
    operation_id = "readServicePolicyWatch",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    responses((status = 200, description = "The policy, if one watches", body = WatchBody),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 503, response = ProblemResponse)))]
pub async fn watch_service(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
) -> Answer<Json<WatchBody>> {
    Ok(Json(state.control.policy_of_service(&actor, &key).await?.into()))
}

/// Stops the rollback that a policy is about to make of a service between releases, with a reason.
#[utoipa::path(post, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/policy/stop", tag = "policies",
    operation_id = "stopServicePolicy",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    request_body = Reason,
    responses((status = 204, description = "It does not roll back by itself"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn stop_service(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
    Small(body): Small<Reason>,
) -> Answer<StatusCode> {
    state.control.stop_service_policy(&actor, &key, body.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops the rollback that a policy is about to make, with a reason. The release stays held until somebody resumes it.
#[utoipa::path(post, path = "/api/v1/releases/{id}/policy/stop", tag = "policies", operation_id = "stopPolicy",
    params(("id" = i64, Path, description = "The release's number")), request_body = Reason,
    responses((status = 204, description = "It does not roll back by itself"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn stop(
    State(state): State<AppState>,
    Who(actor): Who,
    Id(id): Id<ReleaseId>,
    Small(body): Small<Reason>,
) -> Answer<StatusCode> {
    state.control.stop_policy(&actor, id, body.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a service be released again that was rolled back by itself too often, with what was found.
#[utoipa::path(post, path = "/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/breaker/lift",
    tag = "policies", operation_id = "liftBreaker",
    params(("cluster" = String, Path), ("namespace" = String, Path),
           ("kind" = String, Path, description = "Rollout or Deployment"), ("name" = String, Path)),
    request_body = Reason,
    responses((status = 204, description = "Releases may start again"),
              (status = 401, response = ProblemResponse), (status = 403, response = ProblemResponse),
              (status = 404, response = ProblemResponse), (status = 409, response = ProblemResponse),
              (status = 415, response = ProblemResponse), (status = 422, response = ProblemResponse),
              (status = 503, response = ProblemResponse)))]
pub async fn lift(
    State(state): State<AppState>,
    Who(actor): Who,
    Place(key): Place,
    Small(body): Small<Reason>,
) -> Answer<StatusCode> {
    state.control.lift_breaker(&actor, &key, body.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
