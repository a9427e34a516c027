//! Rollback policies: what makes a release go back by itself, and what happens beside it.
//!
//! The file is that of the ConfigMap `rollback-policies`: triggers, conditions, actions. One policy a file, as
//! `policies.yaml`, or several by name under `policies`.

mod fire;
mod read;
mod service;
#[cfg(test)]
mod tests;
mod words;

use crate::span::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use fire::{Due, Fired, Firing, Reading, Seen, due, fire};
pub use read::{Read, from_yaml};
pub use service::{FiredOn, LOOK, QUIET, REQUESTS, ServiceAt, WINDOW, episodes, is_quiet, may_roll_back};

/// Name of the policy in a file that names none.
pub const DEFAULT: &str = "default";

/// All policies of a file, by name.
pub type Policies = BTreeMap<String, Policy>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Any one of them fires the policy.
    pub triggers: Vec<Trigger>,
    /// All of them hold before it does.
    pub conditions: Conditions,
    /// In their order; times count from the trigger.
    pub actions: Vec<Action>,
    /// What too many rollbacks by itself lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// It watches services all the time as well; `None`: releases only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<ServiceWatch>,
}

/// How services are watched between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceWatch {
    /// It rolls back by itself only what was deployed within so long: an old version is rarely what broke.
    pub rollback_within: Span,
}

/// A circuit breaker: no new release of a service that keeps being rolled back by itself, until a person looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Automatic rollbacks, …
    pub rollbacks: u32,
    /// … within so long.
    pub window: Span,
}

/// The policy for a service in an environment: that of the service's name, that of the environment's, or the default one.
pub fn governing<'p>(
    policies: &'p Policies,
    service: &str,
    environment: &str,
) -> Option<(&'p str, &'p Policy)> {
    let named = |name: &str| policies.get_key_value(name).map(|(name, policy)| (name.as_str(), policy));
    named(service).or_else(|| named(environment)).or_else(|| named(DEFAULT))
}

/// A figure beyond a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    pub what: What,
    pub limit: Limit,
}

/// Beyond which a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Above(f64),
    Below(f64),
}

impl Limit {
    pub fn broken(self, value: f64) -> bool {
        match self {
            Self::Above(limit) => value > limit,
            Self::Below(limit) => value < limit,
        }
    }
}

/// Which figure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Share of requests answered with 5xx, 0 to 1.
    ErrorRate,
    /// 95th percentile of latency in milliseconds.
    ResponseTimeP95,
    /// Share of workflows that failed, 0 to 1.
    WorkflowFailureRate,
    /// Restarts of pods, of all pods, within five minutes; 0.2 is one of five.
    PodRestartRate,
    /// Whatever a PromQL query answers.
    Query { name: String, query: String },
}

impl What {
    /// As the file names it.
    pub fn key(&self) -> &str {
        match self {
            Self::ErrorRate => "error_rate_threshold",
            Self::ResponseTimeP95 => "response_time_p95_ms",
            Self::WorkflowFailureRate => "workflow_failure_rate",
            Self::PodRestartRate => "pod_restart_rate",
            Self::Query { name, .. } => name,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Nothing fires before a release was watched for so long.
    pub min_observation_time: Span,
    /// After so long from the trigger nothing rolls back by itself any more.
    pub max_rollback_time: Span,
    /// Readings in a row that must be beyond the limit.
    pub confirmation_samples: u32,
    /// Requests on the canary below which nothing fires.
    pub min_requests: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The weight stays where it is, and may only fall.
    PauseRollout,
    NotifyOncall {
        channels: Vec<Channel>,
    },
    /// After `delay`, unless somebody decides first; with `confirmation_required` only when somebody says so.
    AutomaticRollback {
        delay: Span,
        confirmation_required: bool,
    },
    IncidentCreation {
        severity: Severity,
        /// To whoever is on call.
        auto_assign: bool,
        /// On the public page at once, under a general headline.
        #[serde(default)]
        public: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Slack,
    Pagerduty,
    Email,
    Webhook,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}
