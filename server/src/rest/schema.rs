//! Shapes of the API's documents, for the OpenAPI description. Each mirrors a type of `model` by its JSON; a test
//! compares real answers with them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A plan, as approvers approve it. Also accepted and returned as YAML.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlanDocument, example = json!({
    "apiVersion": "tidegate.dev/v1",
    "kind": "Plan",
    "metadata": {"name": "checkout-1-42-0", "service": "checkout", "environment": "production"},
    "spec": {
        "change": {"images": {"app": "registry.example.com/checkout:1.42.0"}},
        "strategy": {"canary": {"steps": [
            {"weight": 5, "bake": "2m", "gates": ["analysis"]},
            {"weight": 25, "bake": "5m", "gates": ["analysis", {"approval": "on-call"}]},
            {"weight": 100}
        ]}},
        "approvals": {"required": 2, "from": ["approver"], "expire": "24h"}
    }
}))]
pub struct PlanSchema {
    /// `tidegate.dev/v1`
    pub api_version: String,
    /// `Plan`
    pub kind: String,
    pub metadata: MetadataSchema,
    pub spec: SpecSchema,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanMetadata)]
pub struct MetadataSchema {
    /// Unique among plans of a service.
    pub name: String,
    pub service: String,
    pub environment: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlanSpec)]
pub struct SpecSchema {
    pub change: ChangeSchema,
    pub strategy: StrategySchema,
    #[schema(required = false)]
    pub analysis: AnalysisSchema,
    #[schema(required = false)]
    pub rollback: RollbackSchema,
    #[schema(required = false)]
    pub approvals: ApprovalsSchema,
    /// Name of a change window.
    pub window: Option<String>,
    /// Which workload, where service and environment alone leave a choice.
    pub workload: Option<TargetSchema>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanChange)]
pub struct ChangeSchema {
    /// New image by container name.
    pub images: BTreeMap<String, String>,
    /// Link to what changed, for people.
    pub reference: Option<String>,
    /// SQL that goes with it.
    #[schema(required = false)]
    pub migrations: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanStrategy)]
#[serde(rename_all = "camelCase")]
pub struct StrategySchema {
    /// One of the five stands; each weight in turn.
    pub canary: Option<CanarySchema>,
    /// The new version whole where no user is sent (a Rollout's preview Service, or a second Deployment), then all users
    /// at once.
    pub blue_green: Option<BlueGreenSchema>,
    /// A Deployment at its own pace.
    pub rolling: Option<UnweightedSchema>,
    /// A canary Rollout by its own steps, which stay as they are. Bake and gates hold at each pause without end; a person
    /// opens it.
    pub follow: Option<UnweightedSchema>,
    /// A Deployment behind an HTTPRoute: copies of requests first, which no user sees the answers to, then its own pace.
    pub shadow: Option<ShadowSchema>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanShadow)]
pub struct ShadowSchema {
    /// Of a hundred requests, how many are copied.
    #[schema(minimum = 1, maximum = 100)]
    pub percent: u8,
    /// How long requests are copied: `90s`, `5m`, `1h30m`.
    #[schema(required = false)]
    pub bake: String,
    /// What must be open before any user is sent to the new version; `analysis` is among them.
    pub gates: Vec<GateSchema>,
    /// After the Deployment has taken the version over.
    #[schema(required = false)]
    pub after: UnweightedSchema,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanBlueGreen)]
pub struct BlueGreenSchema {
    /// Before users are switched.
    #[schema(required = false)]
    pub preview: UnweightedSchema,
    /// After they were; the old version stands by.
    #[schema(required = false)]
    pub after: UnweightedSchema,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanWait)]
pub struct UnweightedSchema {
    /// How long it bakes: `90s`, `5m`, `1h30m`.
    #[schema(required = false)]
    pub bake: String,
    /// What must be open before the release goes on.
    #[schema(required = false)]
    pub gates: Vec<GateSchema>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanCanary)]
pub struct CanarySchema {
    /// Rising weights; the last is 100.
    #[schema(min_items = 1)]
    pub steps: Vec<StepSchema>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanStep)]
pub struct StepSchema {
    /// Percent of traffic.
    #[schema(minimum = 1, maximum = 100)]
    pub weight: u8,
    /// How long the step bakes: `90s`, `5m`, `1h30m`.
    #[schema(required = false)]
    pub bake: String,
    /// What must be open before the next step.
    #[schema(required = false)]
    pub gates: Vec<GateSchema>,
    /// Pods of the new version at this step, where they are not left to the weight. A Rollout behind a traffic router only.
    #[schema(minimum = 1, maximum = 10_000)]
    pub scale: Option<u16>,
    /// Requests with this header go to the new version whatever the weight. Where the Rollout's router can.
    pub header: Option<HeaderSchema>,
    /// Evaluated by Tidegate at this step, whatever its gates. A canary's steps only.
    #[schema(required = false)]
    pub templates: Vec<TemplateSchema>,
}

/// The name of an AnalysisTemplate in the workload's namespace, or more about it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = PlanTemplate)]
pub enum TemplateSchema {
    Name(String),
    Whole(WholeTemplateSchema),
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanTemplateWhole)]
pub struct WholeTemplateSchema {
    pub name: String,
    /// It is a ClusterAnalysisTemplate.
    #[schema(required = false)]
    pub cluster: bool,
    /// Values by argument. `{{service-name}}`, `{{namespace}}`, `{{workload}}`, `{{environment}}`, `{{canary-hash}}` and
    /// `{{stable-hash}}` in a value are filled in when the step is reached.
    #[schema(required = false)]
    pub args: std::collections::BTreeMap<String, String>,
}

/// A request header, and the exact value that is meant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanHeader)]
pub struct HeaderSchema {
    #[schema(max_length = 40)]
    pub name: String,
    #[schema(max_length = 128)]
    pub value: String,
}

/// `"analysis"`, or `{"approval": "on-call"}`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = PlanGate)]
pub enum GateSchema {
    Analysis,
    Approval(String),
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlanAnalysis)]
pub struct AnalysisSchema {
    /// Evaluated by Tidegate at each step with the gate `analysis`, beside its own comparison.
    #[schema(required = false)]
    pub templates: Vec<TemplateSchema>,
    /// Name of the sequential test that always runs.
    pub guard: Option<String>,
    /// No verdict below this many canary requests in the step.
    pub min_requests: Option<u32>,
    pub max_error_percent: Option<f64>,
    pub max_p95_ms: Option<f64>,
    /// How many times as often as stable the canary may fail; 1.2 without it.
    pub max_error_ratio: Option<f64>,
    pub max_p95_ratio: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanRollback)]
pub struct RollbackSchema {
    /// Name of a rollback policy.
    pub policy: Option<String>,
    /// `required` when a rehearsal must have passed before the start; else `optional`.
    pub rehearsed: Option<String>,
    /// `restore` when ConfigMaps go back with the code; else `keep`.
    pub config: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanApprovals)]
pub struct ApprovalsSchema {
    /// How many different people must approve.
    pub required: u32,
    /// Roles whose holders' approvals count.
    pub from: Vec<String>,
    /// An approval older than this no longer counts: `24h`.
    pub expire: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanTarget)]
pub struct TargetSchema {
    pub cluster: Option<String>,
    pub namespace: String,
    pub kind: Option<String>,
    pub name: String,
}

/// Where a workload is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkloadKey)]
pub struct KeySchema {
    pub cluster: String,
    pub namespace: String,
    /// `Rollout` or `Deployment`
    pub kind: String,
    pub name: String,
}

/// One workload as last seen in the cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workload)]
pub struct WorkloadSchema {
    pub key: KeySchema,
    pub service: String,
    pub environment: String,
    /// The version that carries users' traffic.
    pub version: String,
    /// The version on its way in, while an update is in flight.
    pub incoming: Option<String>,
    /// `healthy`, `progressing`, `paused`, `degraded`, `unknown`
    pub phase: String,
    pub message: Option<String>,
    /// `canary`, `blue-green`, `rolling`
    pub strategy: String,
    /// Share of traffic on the incoming version, in percent.
    pub weight: u8,
    pub ready: i32,
    pub replicas: i32,
    pub since: DateTime<Utc>,
    /// The release that drives it now.
    pub release: Option<i64>,
}

/// What one side did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VerdictSide)]
pub struct SideSchema {
    pub requests: f64,
    /// Requests answered with 5xx.
    pub errors: f64,
    /// 95th percentile of latency in milliseconds; null without requests.
    pub p95_ms: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MetricVerdict)]
pub struct MetricSchema {
    pub name: String,
    /// `pass`, `marginal`, `fail`, `no-data`
    pub class: String,
    pub figures: String,
    pub why: String,
}

/// Is the canary worse? The last conclusion, with what it was drawn from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verdict)]
pub struct VerdictSchema {
    pub at: DateTime<Utc>,
    pub step: usize,
    /// `pass`, `marginal`, `fail`, `no-data`
    pub class: String,
    pub words: String,
    pub metrics: Vec<MetricSchema>,
    pub chance: Option<String>,
    #[schema(value_type = Object)]
    pub limits: serde_json::Value,
    pub canary: SideSchema,
    pub stable: SideSchema,
    /// How long the step had been watched: `2m30s`.
    pub watched: String,
}

/// One event of the audit chain. `hash` covers the event and `previous`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct EventSchema {
    /// Place in the chain: 1, 2, 3 … without gaps.
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub person: Option<i64>,
    /// `browser`, `api`, `cli`, `system`
    pub via: String,
    /// `release.started`, `plan.approved` …
    pub action: String,
    pub environment: Option<String>,
    pub service: Option<String>,
    pub plan: Option<i64>,
    pub release: Option<i64>,
    /// One sentence for people.
    pub summary: String,
    pub reason: Option<String>,
    /// Facts for programs, if there are any.
    #[schema(value_type = Option<Object>)]
    pub detail: serde_json::Value,
    pub previous: String,
    pub hash: String,
}

/// One approval of one digest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalSchema {
    pub person: i64,
    pub name: String,
    /// `approved`, `rejected`, `void`, `revoked`, `expired`
    pub state: String,
    pub version: i32,
    pub digest: String,
    pub comment: Option<String>,
    pub at: DateTime<Utc>,
    pub expires: DateTime<Utc>,
}

/// The way back that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollbackRoute)]
pub struct RouteSchema {
    /// Calls to the API server, in order.
    pub calls: Vec<String>,
    /// `seconds`, `pod_start`, `now`
    pub pace: String,
    /// Why this route, in one sentence.
    pub because: String,
}

/// Where a rehearsed way back leads, and how fast.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WayBack)]
pub struct WayBackSchema {
    /// Pod template hash of the known-good revision.
    pub hash: String,
    pub version: String,
    pub revision: Option<i64>,
    /// While the release is in flight: `seconds`, `pod_start`, `now`
    pub pace: String,
    /// After it was promoted.
    pub promoted: String,
}

/// One thing that was tried.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RehearsalCheck)]
pub struct CheckSchema {
    pub name: String,
    pub passed: bool,
    /// What was found; for one that failed, what to do as well.
    pub words: String,
}

/// The error rate after a rollback.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recovered)]
pub struct RecoveredSchema {
    pub at: DateTime<Utc>,
    /// Requests that were counted.
    pub requests: f64,
    /// Those answered with 5xx.
    pub errors: f64,
}
