//! `/services` and `/services/{namespace}/{kind}/{name}`.

use super::{AnalysisView, Deed, ProofView, ReleaseRow};
use crate::config::Change;
use crate::gitops::Sync;
use crate::ids::ReleaseId;
use crate::rollback::Route;
use crate::stall::Stall;
use crate::workload::{Key, Phase, Strategy, Workload};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One workload in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadRow {
    pub key: Key,
    pub service: String,
    pub environment: String,
    pub version: String,
    /// The version on its way in, while an update is in flight.
    pub incoming: Option<String>,
    pub phase: Phase,
    pub message: Option<String>,
    pub strategy: Strategy,
    /// Share of traffic on the incoming version, in percent.
    pub weight: u8,
    pub ready: i32,
    pub replicas: i32,
    pub since: DateTime<Utc>,
    /// The release that drives it now.
    pub release: Option<ReleaseId>,
}

/// What a list was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFilter {
    /// Words that name, namespace or version must contain.
    #[serde(default)]
    pub q: Option<String>,
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub phase: Option<Phase>,
    /// First row, counted from 0.
    #[serde(default)]
    pub from: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicesPage {
    pub rows: Vec<WorkloadRow>,
    pub filter: ServiceFilter,
    /// Rows that match, over all pages.
    pub total: usize,
    /// Workloads by phase, over everything.
    pub phases: Vec<(Phase, usize)>,
    pub environments: Vec<String>,
    pub page_size: usize,
    pub age: super::Age,
}

/// One workload with everything around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePage {
    pub row: WorkloadRow,
    pub workload: Workload,
    pub releases: Vec<ReleaseRow>,
    /// What a rollback would do now; `None` when there is nothing to go back to.
    pub rollback: Option<RollbackPreview>,
    pub roll_back: Deed,
    /// The present version and those before it, newest first.
    pub known_good: Vec<KnownGoodRow>,
    /// A rollback without a release that does not get on: why, and what else can be done.
    pub stall: Option<Stall>,
    pub ways: Vec<Way>,
    /// It was rolled back by itself too often: nothing is released until somebody has looked.
    pub breaker: Option<super::BreakerView>,
    /// The policy that watches it all the time; `None` where none does.
    pub policy: Option<super::PolicyWatch>,
    /// After a rollback without a release: the error rate.
    pub recovery: Option<ProofView>,
    /// Of the version that ROLL BACK leads to; `None` where it refers to none.
    pub config: Option<ConfigView>,
    /// The Argo CD application that owns it; `None` where none does, or where it is not known.
    pub sync: Option<SyncView>,
    /// What Argo Rollouts analyses now; empty while a release of ours drives it, whose page has them.
    pub analyses: Vec<AnalysisView>,
    pub write_plan: Deed,
    /// Incidents of the service in this environment, newest first: open ones, and a few that are over.
    #[serde(default)]
    pub incidents: Vec<super::IncidentBrief>,
    /// The same version on other pods.
    pub restart: Deed,
    /// What that does, a sentence each.
    pub restart_does: Vec<String>,
    pub age: super::Age,
}

/// An Argo CD application and what can be done about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncView {
    pub sync: Sync,
    /// What it would do to a release or a rollback.
    pub threat: Option<String>,
    /// To put back an automatic sync that Tidegate has suspended.
    pub resume: Deed,
}

/// How a known-good version stands to the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is the stable version now.
    Present,
    /// ROLL BACK leads to it.
    Target,
    /// Further back: only when it is named.
    Older,
}

/// A version that is on record as having carried all traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownGoodRow {
    pub version: String,
    /// Hash of its pods: a press names it.
    pub hash: String,
    /// When it was found to carry all traffic.
    pub since: DateTime<Utc>,
    /// When the version after it was.
    pub until: Option<DateTime<Utc>>,
    /// The release that brought it; `None` where it was deployed past Tidegate.
    pub release: Option<ReleaseId>,
    /// Revision of its ReplicaSet; `None`: only the record has it.
    pub revision: Option<i64>,
    pub ready: i32,
    pub standing: Standing,
    /// The page that asks before the press.
    pub path: String,
    pub roll_back: Deed,
}

/// The configuration that a version refers to: now, against when it last carried all traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigView {
    pub version: String,
    /// When the older state was read; `None` where none is on record.
    pub since: Option<DateTime<Utc>>,
    /// All that it refers to: `ConfigMap checkout-config`.
    pub named: Vec<String>,
    /// Of these, what it needs and what is not there.
    pub missing: Vec<String>,
    /// What Tidegate may not read.
    pub unread: Vec<String>,
    pub changed: Vec<Change>,
    /// Of what is gone or has changed, what a rollback puts back with the code, as its plan asks for.
    pub restored: Vec<String>,
}

/// A way out of a rollback that does not get on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// `Roll back to 1.40.2 instead`.
    pub words: String,
    /// The page that asks before the press.
    pub path: String,
}

/// The consequences, before the press.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackPreview {
    pub from_version: String,
    pub to_version: String,
    /// Hash of its pods: a press names what was shown.
    #[serde(default)]
    pub to_hash: String,
    /// Share of traffic on the version to leave, in percent.
    pub weight: u8,
    pub to_revision: Option<i64>,
    pub ready: i32,
    pub desired: i32,
    pub route: Route,
    /// `about 2 s`, `as fast as pods start`.
    pub takes: String,
    pub steps: Vec<String>,
    pub cannot_undo: Vec<String>,
}
