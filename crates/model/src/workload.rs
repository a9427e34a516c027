//! A workload as it was last seen in the cluster: what the watch cache keeps, and what every rule reads.

mod front;
mod mirror;
mod splitter;

pub use front::Front;
pub use mirror::Mirror;
pub use splitter::{Split, Splitter};

use crate::gitops::App;
use crate::span::Span;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Kinds of workload that Tidegate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Rollout,
    Deployment,
}

impl Kind {
    pub fn key(self) -> &'static str {
        match self {
            Self::Rollout => "Rollout",
            Self::Deployment => "Deployment",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.to_ascii_lowercase().as_str() {
            "rollout" | "rollouts" => Ok(Self::Rollout),
            "deployment" | "deployments" => Ok(Self::Deployment),
            _ => Err(format!("there is no kind `{s}`: use Rollout or Deployment")),
        }
    }
}

/// Where a workload is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub cluster: String,
    pub namespace: String,
    pub kind: Kind,
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.cluster, self.namespace, self.kind.key(), self.name)
    }
}

impl std::str::FromStr for Key {
    type Err = String;
    /// Reads what `Display` writes: `cluster/namespace/kind/name`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut parts = s.splitn(4, '/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(cluster), Some(namespace), Some(kind), Some(name)) => {
                Ok(Self { cluster, namespace, kind: kind.parse()?, name })
            }
            _ => Err(format!("`{s}` is no workload: write cluster/namespace/kind/name")),
        }
    }
}

/// How new pods take over from old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    Canary,
    BlueGreen,
    Rolling,
}

/// Phase of a workload. `Unknown` whenever the controller has not yet seen the newest generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Healthy,
    Progressing,
    Paused,
    Degraded,
    Unknown,
}

impl Phase {
    pub fn key(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Progressing => "progressing",
            Self::Paused => "paused",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
        }
    }
}

/// Pods of one revision (one ReplicaSet).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// `rollouts-pod-template-hash` or `pod-template-hash`.
    pub hash: String,
    pub number: i64,
    pub images: BTreeMap<String, String>,
    pub desired: i32,
    pub ready: i32,
    pub available: i32,
    pub created: DateTime<Utc>,
}

/// Shares of traffic as the router confirmed them, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    pub canary: u8,
    pub stable: u8,
}

/// A second Deployment, made by Tidegate beside a user's own for the time of a release: its pods run the new version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Twin {
    pub name: String,
    /// `spec.replicas`.
    pub desired: i32,
    pub ready: i32,
    /// How long its pods may take to be ready. Its own controller watches over new templates only, not over a scaling.
    pub deadline: Span,
    /// As for a workload of its own.
    pub phase: Phase,
    pub message: Option<String>,
    /// Pod template hash, once its controller has made one.
    pub hash: Option<String>,
    pub images: BTreeMap<String, String>,
    /// Annotation `tidegate.dev/attempt`: the attempt that made it, or changed it last.
    pub attempt: Option<String>,
    /// Services tell its pods from the user's own: nobody reaches them before a switch.
    #[serde(default)]
    pub apart: bool,
    /// Through what requests are split by weight between its pods and the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// By that one requests are copied to its pods, and nobody is sent there.
    #[serde(default)]
    pub mirrored: bool,
    /// Where its pods alone answer within the cluster, by a Service of ours: `http://checkout-tidegate.shop.svc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Twin {
    /// Ends the name of each: `checkout-tidegate`.
    pub const SUFFIX: &'static str = "-tidegate";

    /// What the one beside a Deployment is called.
    ///
    /// # Errors
    /// In words, when that would be longer than the 63 characters that a label holds.
    pub fn name_for(deployment: &str) -> Result<String, String> {
        let name = format!("{deployment}{}", Self::SUFFIX);
        if name.len() <= 63 {
            return Ok(name);
        }
        Err(format!(
            "{deployment} is too long a name: the second Deployment beside it would be called {name}, and 63 \
             characters are the most. Write `rolling` instead."
        ))
    }
}

/// The Deployment that a Rollout takes its template from (`spec.workloadRef`). Argo Rollouts runs the pods; the
/// Deployment is there for its template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    /// `spec.replicas`: pods that the Deployment runs itself, beside the Rollout's.
    pub replicas: i32,
    /// Annotation `tidegate.dev/attempt`: the attempt that changed its template last.
    pub attempt: Option<String>,
}

/// One workload, compact: five thousand of these must fit in memory easily.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    pub key: Key,
    /// From the annotation `tidegate.dev/service`, else the label `app.kubernetes.io/name` or `app`, else the name.
    pub service: String,
    /// From the label `tidegate.dev/environment` on the workload or its namespace, else `production`.
    pub environment: String,
    pub uid: String,
    pub resource_version: String,
    pub generation: i64,
    /// The newest generation that the controller has acted on.
    pub observed_generation: Option<i64>,
    pub strategy: Strategy,
    pub phase: Phase,
    /// The controller's own words.
    pub message: Option<String>,
    /// `spec.replicas`.
    pub replicas: i32,
    pub ready: i32,
    pub updated: i32,
    pub available: i32,
    /// The template's images by container name, wherever the template stands: the *wanted* version.
    pub images: BTreeMap<String, String>,
    /// Somebody set `spec.paused`.
    pub spec_paused: bool,
    pub abort: bool,
    pub promote_full: bool,
    /// Reasons of `status.pauseConditions`.
    pub pauses: Vec<String>,
    pub step_index: Option<i32>,
    pub step_count: i32,
    pub stable_hash: Option<String>,
    pub current_hash: Option<String>,
    /// Router weights; `None` where pods are the only router. For a Deployment as its splitter says.
    pub weights: Option<Weights>,
    /// A traffic router is configured, in words: `nginx (Ingress web)`, `Istio (VirtualService web)`, `Gateway API (HTTPRoute web)`.
    pub router: Option<String>,
    /// The router can send requests by a header.
    #[serde(default)]
    pub routes_headers: bool,
    /// A route that the controller may add for it: the first of `trafficRouting.managedRoutes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_route: Option<String>,
    /// The controller has told the router these weights, and the router does not have them yet. Only where it looks (ALB).
    #[serde(default)]
    pub unverified: bool,
    /// What the router's weights are counted to (`maxTrafficWeight`), where that is not 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_total: Option<i64>,
    /// Blue-green: hash that the active Service selects.
    pub active_hash: Option<String>,
    pub preview_hash: Option<String>,
    /// `spec.workloadRef` is set: the template lives elsewhere, never patch it here.
    pub workload_ref: bool,
    /// Where it lives, if that is a Deployment that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<Source>>,
    pub dynamic_stable_scale: bool,
    /// Pods older than this are being replaced (`spec.restartAt`); `None` once they are, or where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarting: Option<DateTime<Utc>>,
    /// Annotation `tidegate.dev/attempt`: the last attempt that reached the object.
    pub attempt: Option<String>,
    /// Owned by Argo CD: the application whose tracking label or annotation it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitops: Option<App>,
    /// For a Deployment: the second one beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<Box<Twin>>,
    /// For a Deployment: the Services in front of it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fronts: Vec<Front>,
    /// For a Deployment: the Ingress or HTTPRoute that leads to those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub splitter: Option<Box<Splitter>>,
    /// For a Deployment: the HTTPRoute in which its requests can be copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Box<Mirror>>,
    /// For a Deployment: all its pods stop before new ones start (`strategy.type: Recreate`).
    #[serde(default)]
    pub recreates: bool,
    /// Newest first; owner-filtered. Those of a second Deployment beside it are the last ones.
    pub revisions: Vec<Revision>,
    pub created: DateTime<Utc>,
    /// When the phase was last seen to change.
    pub since: DateTime<Utc>,
}

impl Workload {
    /// The controller has acted on the newest generation: its status is about what the spec says now.
    pub fn observed(&self) -> bool {
        self.observed_generation.is_some_and(|o| o >= self.generation)
    }

    /// An update is in flight: the wanted version is not yet the stable one, or stands beside it.
    pub fn in_flight(&self) -> bool {
        if self.twin.is_some() {
            return true;
        }
        match (&self.stable_hash, &self.current_hash) {
            (Some(stable), Some(current)) => stable != current,
            _ => false,
        }
    }

    /// The object that holds its template.
    pub fn template_key(&self) -> Key {
        match &self.source {
            Some(source) => Key { kind: Kind::Deployment, name: source.name.clone(), ..self.key.clone() },
            None => self.key.clone(),
        }
    }

    /// Why nothing can be brought into the template that lives elsewhere, in words; `None` where it can, or where the
    /// template is the workload's own.
    pub fn source_unfit(&self) -> Option<String> {
        let name = &self.key.name;
        match &self.source {
            _ if !self.workload_ref => None,
            None => Some(format!(
                "{name} takes its template from another object (workloadRef), and that is no Deployment that Tidegate \
                 sees. Refer to a Deployment of the same namespace, or move the template into the Rollout."
            )),
            Some(source) if source.replicas > 0 => Some(format!(
                "{name} takes its template from the Deployment {}, which runs {} of its own: they would get a new \
                 version at once, past the canary. Scale that Deployment to 0 first.",
                source.name,
                if source.replicas == 1 { "1 pod".to_owned() } else { format!("{} pods", source.replicas) }
            )),
            Some(_) => None,
        }
    }

    /// Hash of the newest version's pods: those of the second Deployment where there is one.
    pub fn newest_hash(&self) -> Option<&str> {
        match &self.twin {
            Some(twin) => twin.hash.as_deref(),
            None => self.current_hash.as_deref(),
        }
    }

    /// Some of its pods are, or are to be, of this version: its own, or those of the second Deployment.
    pub fn runs(&self, hash: &str) -> bool {
        let beside = self.twin.as_ref().and_then(|twin| twin.hash.as_deref());
        [self.current_hash.as_deref(), self.stable_hash.as_deref(), beside].contains(&Some(hash))
    }

    /// Share of traffic on the newest version, in percent: the router's word, else the share of ready pods.
    pub fn canary_share(&self) -> u8 {
        if !self.in_flight() {
            return self.weights.map_or(0, |w| w.canary);
        }
        if self.strategy == Strategy::BlueGreen {
            return if self.active_hash.is_some() && self.active_hash == self.current_hash { 100 } else { 0 };
        }
        if let (Some(w), true) = (self.weights, self.router.is_some()) {
            return w.canary;
        }
        if self.stands_apart() && self.any_switched() {
            return 100;
        }
        let (mut canary, mut all) = (0, 0);
        // In the end the workload itself takes over what the second Deployment has proven.
        let takes_over = self.twin.as_ref().is_some_and(|t| t.images == self.images);
        for r in &self.revisions {
            let beside = Some(r.hash.as_str()) == self.newest_hash();
            if beside && self.stands_apart() {
                // Users are on the Deployment's own pods.
                continue;
            }
            all += r.ready;
            let own = takes_over && Some(&r.hash) == self.current_hash.as_ref();
            if beside || own {
                canary += r.ready;
            }
        }
        let of_pods = if all == 0 { 0 } else { (canary * 100 + all / 2) / all };
        // What no weight sends to the second Deployment is shared by the Deployment's own pods.
        let sent = i32::from(self.canary_weight().filter(|_| self.stands_apart()).unwrap_or(0));
        u8::try_from(sent + (100 - sent) * of_pods / 100).unwrap_or(100)
    }

    pub fn revision(&self, hash: &str) -> Option<&Revision> {
        self.revisions.iter().find(|r| r.hash == hash)
    }

    /// The version people see as the newest: the tag of the container `app`, else of the first container.
    pub fn version(&self) -> String {
        version_of(self.twin.as_ref().map_or(&self.images, |t| &t.images))
    }

    /// The version that carries users' traffic now.
    pub fn stable_version(&self) -> String {
        self.stable_hash
            .as_deref()
            .and_then(|h| self.revision(h))
            .map_or_else(|| version_of(&self.images), |r| version_of(&r.images))
    }
}

/// Tag (or shortened digest) of the container `app`, else of the first container.
pub fn version_of(images: &BTreeMap<String, String>) -> String {
    let image = images.get("app").or_else(|| images.values().next()).map_or("", String::as_str);
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.chars().take(12).collect();
    }
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag.to_owned(),
        _ => {
            if image.is_empty() {
                "unknown".to_owned()
            } else {
                "latest".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::conductor::sample::{CANARY, GOOD, beside, deployment};

    /// By this a rollback whose process died knows that it is still due.
    #[test]
    fn what_a_second_deployment_runs_the_workload_runs() {
        assert!(beside(2).runs(CANARY) && beside(2).runs(GOOD));
        assert!(!deployment().runs(CANARY) && deployment().runs(GOOD));
        let mut unnamed = beside(0);
        unnamed.twin.as_mut().unwrap().hash = None;
        assert!(!unnamed.runs(CANARY));
    }
}
