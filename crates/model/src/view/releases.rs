//! `/releases` and `/releases/{id}`.

use super::{Age, AnalysisView, Deed, PolicyWatch, RollbackPreview, Way};
use crate::ids::{Digest, PlanId, ReleaseId, Seq};
use crate::release::State;
use crate::span::Span;
use crate::stall::Stall;
use crate::verdict::{Class, Limits, Sample, Verdict};
use crate::workload::{Key, Revision};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One release in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRow {
    pub id: ReleaseId,
    pub plan: PlanId,
    pub plan_version: i32,
    pub service: String,
    pub environment: String,
    pub version: String,
    pub from_version: String,
    pub state: State,
    /// One sentence: what it is doing, or why it ended so.
    pub words: String,
    pub weight: u8,
    pub ceiling: u8,
    /// Weights of the plan's steps, for the small gate bar.
    pub ticks: Vec<u8>,
    pub started_by: String,
    pub created: DateTime<Utc>,
    pub ended: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleasesPage {
    pub rows: Vec<ReleaseRow>,
    pub state: Option<State>,
    pub age: Age,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    Passed,
    /// In force, moving or waiting.
    Here,
    /// In force, failing or held.
    Held,
    Closed,
    /// Waived by a person.
    Skipped,
}

/// How one gate of a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    Passed,
    Failed,
    Running,
    Waiting,
    Closed,
    NoData,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateView {
    /// `analysis`, `approval`, `bake`, `steps` or `copies`.
    pub kind: String,
    /// `Analysis`, `Approval, on-call`, `Bake`.
    pub name: String,
    pub state: GateState,
    /// `pass`, `0 of 1`, `1:11 of 5:00`.
    pub figure: String,
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    pub weight: u8,
    /// `25 %`, `Preview`.
    pub name: String,
    pub state: StepState,
    /// `passed 14:04:20`, `held here`, `closed`.
    pub words: String,
    pub gates: Vec<GateView>,
}

/// One event of the timeline: an audit event, shortened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineItem {
    pub seq: Seq,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub summary: String,
    pub reason: Option<String>,
}

/// The way back as it is walked: each piece of the proof that users are on the known-good version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackView {
    /// When it was turned back.
    pub since: DateTime<Utc>,
    pub to_version: String,
    /// When all that ends it was seen.
    pub confirmed: Option<DateTime<Utc>>,
    /// The last is the error rate, which is watched on beyond the end and keeps nothing from ending.
    pub proofs: Vec<ProofView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProofView {
    pub name: String,
    /// When it was first seen; `None` while it is waited for.
    pub at: Option<DateTime<Utc>>,
    /// How it stands: `20 % still on 1.1.0`, `3 of 3 ready`.
    pub words: String,
}

/// What moves on a release page: sent whole on load, and again whenever it changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseLive {
    pub state: State,
    /// The badge: `Baking at 25 %`.
    pub badge: String,
    /// The sentence the page opens with.
    pub headline: String,
    pub headline_small: Option<String>,
    /// A countdown, where something will happen by itself: when, and what.
    pub due: Option<(DateTime<Utc>, String)>,
    /// Canary's share as the router (or the pods) confirmed it, in percent.
    pub weight: u8,
    /// Highest share the plan allows now.
    pub ceiling: u8,
    /// May the ceiling still rise?
    pub rising: bool,
    /// `Next gate, to 50 %: closed.` and who or what opens it.
    pub next: Option<(String, String)>,
    pub steps: Vec<StepView>,
    pub step: Option<usize>,
    pub verdict: Option<Verdict>,
    /// Where the new version's pods alone answer within the cluster, by a Service of ours.
    pub preview: Option<String>,
    pub rollback: Option<RollbackPreview>,
    /// On the way back, or back: how far.
    pub back: Option<BackView>,
    /// Ended, and Argo CD's sync is still suspended for it.
    pub reminder: Option<String>,
    /// The rollback policy that watches it, and what that has done.
    pub policy: Option<PolicyWatch>,
    /// Incidents about it, newest first.
    #[serde(default)]
    pub incidents: Vec<super::IncidentBrief>,
    /// It does not get on.
    pub stall: Option<Stall>,
    /// What else can be done about it.
    pub ways: Vec<Way>,
    /// What Argo Rollouts analysed for it, in the order of the runs; empty where its controller has no analysis.
    pub analyses: Vec<AnalysisView>,
    pub revisions: Vec<Revision>,
    pub canary_hash: Option<String>,
    pub stable_hash: Option<String>,
    pub pause: Deed,
    pub resume: Deed,
    pub promote: Deed,
    /// All steps that are left, without waiting at any.
    pub promote_full: Deed,
    /// Starting it again; `None` before it has ended, and where it succeeded.
    pub retry: Option<Retry>,
    pub skip: Deed,
    pub abort: Deed,
    pub roll_back: Deed,
    /// Opening the approval gate of the present step; `None` when it has none.
    pub open_gate: Option<Deed>,
    pub age: Age,
}

/// Starting a release again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    pub deed: Deed,
    /// It was rolled back: who brings it in again says why.
    pub needs_reason: bool,
}

/// Kayenta's judge over what was measured in a step. It explains, it does not decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// `25 %`, `Preview`.
    pub step: String,
    pub verdict: Class,
    /// 0 to 100.
    pub score: f64,
    /// Points compared, half a minute apart.
    pub points: usize,
    pub metrics: Vec<MetricLine>,
}

/// One metric of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricLine {
    pub name: String,
    /// `Pass`, `High`, `Low`, `Nodata`.
    pub label: String,
    pub passed: bool,
    pub reason: String,
}

/// The share of traffic from a moment on: as it was confirmed, and the most that the plan allowed then. In percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightPoint {
    pub at: DateTime<Utc>,
    pub weight: u8,
    pub ceiling: u8,
}

/// Parts of a release's page that do not move, as markup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseMarkup {
    /// Kayenta's report of each step.
    pub report: String,
    /// What is released, by which plan.
    pub plan: String,
    /// Where pictures and numbers of each chart are: weight, errors, latency.
    pub pictures: [String; 3],
}

/// A release with everything its page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleasePage {
    pub id: ReleaseId,
    pub service: String,
    pub environment: String,
    pub workload: Key,
    pub version: String,
    pub from_version: String,
    pub plan: PlanId,
    pub plan_name: String,
    pub plan_version: i32,
    pub digest: Digest,
    pub images: BTreeMap<String, String>,
    pub reference: Option<String>,
    pub started_by: String,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub ended: Option<DateTime<Utc>>,
    pub approvals: Vec<super::ApprovalView>,
    pub approvals_required: u32,
    pub limits: Limits,
    pub analysed: bool,
    pub live: ReleaseLive,
    /// Weight and ceiling from the start on, oldest first; each holds until the next.
    #[serde(default)]
    pub weights: Vec<WeightPoint>,
    /// Oldest first; at most the last 1,000.
    pub samples: Vec<Sample>,
    /// Of each step in which enough was measured, in their order. The server alone draws them.
    #[serde(skip)]
    pub reports: Vec<StepReport>,
    /// What the server draws alone, for the browser's half to leave as it is.
    #[serde(default)]
    pub markup: ReleaseMarkup,
    /// Weight over time as confirmed: when, percent.
    pub marks: Vec<(DateTime<Utc>, String)>,
    /// Verdicts as they were reached, oldest first; at most the last 240. Empty where nothing is analysed.
    pub verdicts: Vec<(DateTime<Utc>, Class)>,
    /// Newest first.
    pub timeline: Vec<TimelineItem>,
    pub expected: Span,
}

/// What the live stream sends for a release: the moving part, and only the new rows of what grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseDelta {
    pub id: ReleaseId,
    pub live: ReleaseLive,
    pub samples: Vec<Sample>,
    pub marks: Vec<(DateTime<Utc>, String)>,
    /// Verdicts after those already sent.
    pub verdicts: Vec<(DateTime<Utc>, Class)>,
    pub timeline: Vec<TimelineItem>,
}
