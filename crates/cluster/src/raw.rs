//! The few fields of Kubernetes objects that are read. Everything else, managedFields above all, is skipped
//! while parsing and never held.
//!
//! Source: the CustomResourceDefinition of Argo Rollouts (argoproj.io/v1alpha1) and the Kubernetes API
//! (apps/v1).

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// `null` is the same as absent: one object that somebody wrote so must not spoil a whole list.
fn nil<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    #[serde(deserialize_with = "nil")]
    pub name: String,
    #[serde(deserialize_with = "nil")]
    pub namespace: String,
    #[serde(deserialize_with = "nil")]
    pub uid: String,
    #[serde(deserialize_with = "nil")]
    pub resource_version: String,
    #[serde(deserialize_with = "nil")]
    pub generation: i64,
    pub creation_timestamp: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "nil")]
    pub labels: BTreeMap<String, String>,
    /// `None` tells a patch that it has to make the map first.
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "nil")]
    pub owner_references: Vec<Owner>,
}

impl Meta {
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    #[serde(deserialize_with = "nil")]
    pub kind: String,
    #[serde(deserialize_with = "nil")]
    pub name: String,
    #[serde(deserialize_with = "nil")]
    pub uid: String,
    #[serde(deserialize_with = "nil")]
    pub controller: bool,
}

/// A page of objects.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(crate) struct List<T> {
    #[serde(default, deserialize_with = "nil")]
    pub metadata: ListMeta,
    #[serde(default = "Vec::new", deserialize_with = "nil")]
    pub items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListMeta {
    #[serde(deserialize_with = "nil")]
    pub resource_version: String,
    #[serde(rename = "continue")]
    #[serde(deserialize_with = "nil")]
    pub token: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    #[serde(deserialize_with = "nil")]
    pub name: String,
    #[serde(deserialize_with = "nil")]
    pub image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template {
    #[serde(deserialize_with = "nil")]
    pub metadata: TemplateMeta,
    #[serde(deserialize_with = "nil")]
    pub spec: PodSpec,
}

/// A [`Template`], and what tells it from every other one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed {
    pub template: Template,
    /// Equal for equal templates, whatever hash a controller has put among their labels.
    pub print: u64,
    /// `metadata.annotations` is there.
    pub annotated: bool,
}

impl<'de> Deserialize<'de> for Printed {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(d)?;
        let template = Option::<Template>::deserialize(&value).map_err(serde::de::Error::custom)?;
        if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("creationTimestamp"); // always null, by older API servers only
            if let Some(labels) = meta.get_mut("labels").and_then(Value::as_object_mut) {
                labels.remove("pod-template-hash");
            }
        }
        let annotated = value.pointer("/metadata/annotations").is_some_and(Value::is_object);
        let mut print = DefaultHasher::new();
        value.hash(&mut print);
        Ok(Self { template: template.unwrap_or_default(), print: print.finish(), annotated })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TemplateMeta {
    #[serde(deserialize_with = "nil")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodSpec {
    #[serde(deserialize_with = "nil")]
    pub containers: Vec<Container>,
}

impl Template {
    pub(crate) fn images(&self) -> BTreeMap<String, String> {
        self.spec.containers.iter().map(|c| (c.name.clone(), c.image.clone())).collect()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    #[serde(deserialize_with = "nil")]
    pub kind: String,
    #[serde(deserialize_with = "nil")]
    pub status: String,
    #[serde(deserialize_with = "nil")]
    pub reason: String,
    #[serde(deserialize_with = "nil")]
    pub message: String,
    pub last_transition_time: Option<DateTime<Utc>>,
}

// ---------------------------------------------------------------------------------------------- Rollout

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rollout {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
    #[serde(deserialize_with = "nil")]
    pub spec: RolloutSpec,
    #[serde(deserialize_with = "nil")]
    pub status: RolloutStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RolloutSpec {
    pub replicas: Option<i32>,
    #[serde(deserialize_with = "nil")]
    pub paused: bool,
    #[serde(deserialize_with = "nil")]
    pub template: Template,
    pub workload_ref: Option<WorkloadRef>,
    #[serde(deserialize_with = "nil")]
    pub strategy: RolloutStrategy,
    pub rollback_window: Option<Value>,
    pub restart_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WorkloadRef {
    #[serde(deserialize_with = "nil")]
    pub kind: String,
    #[serde(deserialize_with = "nil")]
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RolloutStrategy {
    pub canary: Option<Canary>,
    pub blue_green: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Canary {
    #[serde(deserialize_with = "nil")]
    pub steps: Vec<IgnoredAny>,
    #[serde(deserialize_with = "nil")]
    pub dynamic_stable_scale: bool,
    pub traffic_routing: Option<BTreeMap<String, Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RolloutStatus {
    /// A number written as a string.
    #[serde(deserialize_with = "nil")]
    pub observed_generation: String,
    #[serde(deserialize_with = "nil")]
    pub workload_observed_generation: String,
    #[serde(deserialize_with = "nil")]
    pub phase: String,
    #[serde(deserialize_with = "nil")]
    pub message: String,
    #[serde(deserialize_with = "nil")]
    pub abort: bool,
    #[serde(deserialize_with = "nil")]
    pub promote_full: bool,
    #[serde(deserialize_with = "nil")]
    pub controller_pause: bool,
    #[serde(deserialize_with = "nil")]
    pub pause_conditions: Vec<PauseCondition>,
    pub current_step_index: Option<i32>,
    pub restarted_at: Option<DateTime<Utc>>,
    #[serde(rename = "stableRS")]
    #[serde(deserialize_with = "nil")]
    pub stable_rs: String,
    #[serde(deserialize_with = "nil")]
    pub current_pod_hash: String,
    #[serde(deserialize_with = "nil")]
    pub ready_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub updated_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub available_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub canary: CanaryStatus,
    #[serde(deserialize_with = "nil")]
    pub blue_green: BlueGreenStatus,
    #[serde(deserialize_with = "nil")]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PauseCondition {
    #[serde(deserialize_with = "nil")]
    pub reason: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CanaryStatus {
    pub weights: Option<TrafficWeights>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TrafficWeights {
    #[serde(deserialize_with = "nil")]
    pub canary: Destination,
    #[serde(deserialize_with = "nil")]
    pub stable: Destination,
    /// `false`: the router was told, and does not have it yet. Absent where the controller does not look.
    pub verified: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Destination {
    #[serde(deserialize_with = "nil")]
    pub weight: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BlueGreenStatus {
    #[serde(deserialize_with = "nil")]
    pub active_selector: String,
    #[serde(deserialize_with = "nil")]
    pub preview_selector: String,
}

// ------------------------------------------------------------------------------------------- Deployment

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Deployment {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
    #[serde(deserialize_with = "nil")]
    pub spec: DeploymentSpec,
    #[serde(deserialize_with = "nil")]
    pub status: DeploymentStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeploymentSpec {
    pub replicas: Option<i32>,
    #[serde(deserialize_with = "nil")]
    pub paused: bool,
    #[serde(deserialize_with = "nil")]
    pub template: Printed,
    pub progress_deadline_seconds: Option<u32>,
    #[serde(deserialize_with = "nil")]
    pub strategy: DeploymentStrategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DeploymentStrategy {
    #[serde(rename = "type")]
    #[serde(deserialize_with = "nil")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeploymentStatus {
    #[serde(deserialize_with = "nil")]
    pub observed_generation: i64,
    #[serde(deserialize_with = "nil")]
    pub replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub ready_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub updated_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub available_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub conditions: Vec<Condition>,
}

// ------------------------------------------------------------------------------- ReplicaSet and Namespace

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplicaSet {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
    #[serde(deserialize_with = "nil")]
    pub spec: ReplicaSetSpec,
    #[serde(deserialize_with = "nil")]
    pub status: ReplicaSetStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReplicaSetSpec {
    pub replicas: Option<i32>,
    #[serde(deserialize_with = "nil")]
    pub template: Printed,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ReplicaSetStatus {
    #[serde(deserialize_with = "nil")]
    pub ready_replicas: i32,
    #[serde(deserialize_with = "nil")]
    pub available_replicas: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Namespace {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
}

// ------------------------------------------------------------------------------------------------- Service

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
    #[serde(deserialize_with = "nil")]
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceSpec {
    #[serde(deserialize_with = "nil")]
    pub selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "nil")]
    pub ports: Vec<Value>,
    #[serde(rename = "clusterIP")]
    #[serde(deserialize_with = "nil")]
    pub cluster_ip: String,
}

// ------------------------------------------------------------------------------------------------- Ingress

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ingress {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
    #[serde(deserialize_with = "nil")]
    pub spec: IngressSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressSpec {
    #[serde(deserialize_with = "nil")]
    pub ingress_class_name: String,
    pub default_backend: Option<IngressBackend>,
    #[serde(deserialize_with = "nil")]
    pub rules: Vec<IngressRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressRule {
    #[serde(deserialize_with = "nil")]
    pub host: String,
    #[serde(deserialize_with = "nil")]
    pub http: IngressPaths,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressPaths {
    #[serde(deserialize_with = "nil")]
    pub paths: Vec<IngressPath>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressPath {
    #[serde(deserialize_with = "nil")]
    pub path: String,
    #[serde(deserialize_with = "nil")]
    pub path_type: String,
    #[serde(deserialize_with = "nil")]
    pub backend: IngressBackend,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressBackend {
    #[serde(deserialize_with = "nil")]
    pub service: IngressService,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressService {
    #[serde(deserialize_with = "nil")]
    pub name: String,
    #[serde(deserialize_with = "nil")]
    pub port: Value,
}

// ----------------------------------------------------------------------------------------------- HTTPRoute

/// gateway.networking.k8s.io/v1. Rules stay as they are written: what is added to one is made like what stands there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HttpRoute {
    #[serde(deserialize_with = "nil")]
    pub metadata: Meta,
    #[serde(deserialize_with = "nil")]
    pub spec: HttpRouteSpec,
    #[serde(deserialize_with = "nil")]
    pub status: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HttpRouteSpec {
    #[serde(deserialize_with = "nil")]
    pub rules: Vec<Value>,
}
