//! `/plans`, `/plans/new`, `/plans/{id}`.

use super::{Age, Deed, ReleaseRow};
use crate::ids::{Digest, PlanId};
use crate::plan::Plan;
use crate::problem::FieldError;
use crate::rehearsal::Rehearsal;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a plan stands with its approvals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Needs more approvals.
    Open,
    Approved,
    /// An approver said no.
    Rejected,
    /// A release of this version is under way.
    Releasing,
    /// A release of this version has ended.
    Released,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRow {
    pub id: PlanId,
    pub name: String,
    pub service: String,
    pub environment: String,
    pub version: i32,
    pub digest: Digest,
    /// Version of the software it brings.
    pub brings: String,
    /// What each step is called: `25 %`, `Preview`.
    pub steps: Vec<String>,
    pub state: PlanState,
    pub approvals: u32,
    pub required: u32,
    pub author: String,
    pub changed: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlansPage {
    pub rows: Vec<PlanRow>,
    pub write: Deed,
    pub age: Age,
}

/// How one approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    Approved,
    Rejected,
    /// For another digest: the plan was edited since.
    Void,
    Revoked,
    Expired,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalView {
    pub person: i64,
    pub name: String,
    pub state: ApprovalState,
    pub version: i32,
    pub digest: Digest,
    pub comment: Option<String>,
    pub at: DateTime<Utc>,
    pub expires: DateTime<Utc>,
}

/// One line of a difference between two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    Same,
    Removed,
    Added,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    pub kind: DiffKind,
    /// Line number in the document the line is of.
    pub number: usize,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionView {
    pub version: i32,
    pub digest: Digest,
    pub author: String,
    pub at: DateTime<Utc>,
}

/// How a plan's rollback stands with its rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RehearsalView {
    /// The plan may start only after one that passed.
    pub required: bool,
    /// The last one of this version.
    pub last: Option<Rehearsal>,
    /// Why that one no longer counts; `None` where it does, or there is none.
    pub stale: Option<String>,
    pub rehearse: Deed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanPage {
    pub id: PlanId,
    pub version: i32,
    pub digest: Digest,
    pub plan: Plan,
    pub yaml: String,
    pub author: String,
    pub changed: DateTime<Utc>,
    pub state: PlanState,
    pub approvals: Vec<ApprovalView>,
    pub valid_approvals: u32,
    pub warnings: Vec<FieldError>,
    pub versions: Vec<VersionView>,
    /// Difference to the version before; empty for the first.
    pub diff: Vec<DiffLine>,
    pub releases: Vec<ReleaseRow>,
    pub rehearsal: RehearsalView,
    /// The least time it takes without waiting for people.
    pub least: crate::Span,
    pub approve: Deed,
    pub revoke: Option<Deed>,
    pub start: Deed,
    pub edit: Deed,
    pub age: Age,
}

/// What the editor offers to choose from, and a document to begin with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanDraft {
    /// Known workloads that a plan can be written for: service, environment, containers with images, note.
    pub targets: Vec<DraftTarget>,
    pub yaml: String,
    pub plan: Option<Plan>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftTarget {
    pub service: String,
    pub environment: String,
    pub namespace: String,
    pub kind: String,
    pub images: Vec<(String, String)>,
    /// `8 replicas behind nginx: every weight can be reached`, `6 replicas, no router: 17 %, 33 %, …`.
    pub reach: String,
    /// Keys of the strategies that a plan for it may name, the usual one first.
    pub strategies: Vec<String>,
}

/// The answer to "is this plan right?": errors at fields, warnings, the digest if it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanCheck {
    pub errors: Vec<FieldError>,
    pub warnings: Vec<FieldError>,
    pub digest: Option<Digest>,
    /// The document in our own words, for the other half of the editor.
    pub yaml: Option<String>,
    pub plan: Option<Plan>,
}
