//! `/policies`, and what a policy does on the page of a release or a service.

use super::{Age, Deed, DiffLine};
use crate::ids::ReleaseId;
use crate::policy::Policy;
use crate::problem::FieldError;
use crate::workload::Key;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// All policy files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoliciesPage {
    pub files: Vec<PolicyFileView>,
    /// Times that a policy fired within thirty days.
    pub fired: usize,
    /// Workloads that no policy watches.
    pub without: usize,
    /// Namespaces without a file, where one may be begun; the one beside Tidegate first.
    pub free: Vec<(String, String)>,
    pub age: Age,
}

/// How a policy file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    InForce,
    /// In force, and written past Tidegate.
    ChangedOutside,
    /// What the cluster holds has faults; what was in force before stays.
    Faulty,
    /// It has faults, and nothing was in force before.
    NoneInForce,
    Gone,
}

/// One ConfigMap with policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyFileView {
    /// The record: what a change of it names as looked at.
    pub id: i64,
    pub cluster: String,
    pub namespace: String,
    /// It rules where a namespace has no file of its own.
    pub home: bool,
    pub state: FileState,
    /// As it is written.
    pub text: String,
    /// Why it is not in force.
    pub faults: Vec<FieldError>,
    /// Worth knowing, and no fault.
    pub warnings: Vec<FieldError>,
    /// What is in force.
    pub policies: Vec<PolicyView>,
    /// Newest first.
    pub history: Vec<PolicyChangeView>,
    pub change: Deed,
}

/// One policy that is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    pub name: String,
    pub policy: Policy,
    /// Workloads that it would watch a release of.
    pub used_by: usize,
    /// Times that it fired within thirty days.
    pub fired: usize,
}

/// A content that a file had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyChangeView {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub by: String,
    pub outside: bool,
    pub faulty: bool,
    /// `None`: the file was gone.
    pub text: Option<String>,
    /// What became other than it was.
    pub diff: Vec<DiffLine>,
}

/// Which releases of the last days a policy would have fired on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    pub policy: String,
    pub days: u16,
    /// Newest first.
    pub fired: Vec<WouldFire>,
    /// Releases looked at.
    pub seen: usize,
    /// Releases of which nothing was measured.
    pub without: usize,
    /// Triggers on figures that are not stored with every release.
    pub untried: Vec<String>,
    /// On services between releases; `None` where it governs none, or no Prometheus is set up.
    pub services: Option<ServiceRun>,
}

/// On which services a policy would have fired in the last days, had it watched them all the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRun {
    /// Services whose past was read.
    pub seen: usize,
    /// Services that were not looked at, for time or number.
    pub left: usize,
    /// Newest first.
    pub fired: Vec<WouldFireOn>,
    /// Why one could not be read.
    pub unread: Option<String>,
    /// Triggers of which Prometheus has no past.
    pub untried: Vec<String>,
}

/// A service that a policy would have fired on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WouldFireOn {
    pub workload: Key,
    pub service: String,
    pub at: DateTime<Utc>,
    pub words: String,
}

/// A release that a policy would have fired on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WouldFire {
    pub release: ReleaseId,
    pub service: String,
    pub version: String,
    pub at: DateTime<Utc>,
    /// `errors 21 %, 20 %, 22 %; the limit is 5 %`.
    pub words: String,
    /// How it ended: `Rolled back`.
    pub ended: String,
}

/// The policy that watches a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyWatch {
    pub name: String,
    /// `errors over 5 %, or p95 over 5000 ms`.
    pub fires_when: String,
    pub firing: Option<FiringView>,
}

/// A policy that fired on a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiringView {
    pub at: DateTime<Utc>,
    /// What it fired on.
    pub words: String,
    /// When it rolls back by itself, while that is still to come.
    pub rolls_back_at: Option<DateTime<Utc>>,
    /// It rolls back when a person says so, and nobody has.
    pub asks: bool,
    /// Who stopped its rollback, when and why.
    pub stopped: Option<(String, DateTime<Utc>, Option<String>)>,
    pub actions: Vec<FiringAction>,
    /// Stopping its rollback; `None` where there is none to stop.
    pub stop: Option<Deed>,
}

/// One action of a policy that fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiringAction {
    pub title: String,
    /// When it was done.
    pub at: Option<DateTime<Utc>>,
    /// What came of it, or what is to come.
    pub words: String,
}

/// A service that is not released again until somebody has looked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BreakerView {
    pub policy: String,
    pub words: String,
    /// Releases that went back by themselves, oldest first.
    pub releases: Vec<(ReleaseId, DateTime<Utc>)>,
    pub lift: Deed,
}
