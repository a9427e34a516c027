//! A release: one execution of a plan's exact version.

use crate::checked::Checked;
use crate::config::Held;
use crate::ids::{Digest, PlanId, ReleaseId};
use crate::rollback::Proof;
use crate::span::Span;
use crate::verdict::Verdict;
use crate::workload::Key;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where a release stands. The nine words of the REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; nothing in the cluster has changed yet.
    Queued,
    /// Moving by itself: pods start, a weight rises, a bake runs.
    Running,
    /// Waits for a person: an approval gate.
    Waiting,
    /// Held by a person or by a rule; nothing rises.
    Paused,
    RollingBack,
    RolledBack,
    Succeeded,
    Failed,
    /// Aborted by a person: traffic is back on stable.
    Cancelled,
}

impl State {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::RollingBack,
        Self::RolledBack,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    pub fn key(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// As a badge reads: `Rolling back`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Waiting => "Waits for approval",
            Self::Paused => "Held",
            Self::RollingBack => "Rolling back",
            Self::RolledBack => "Rolled back",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Aborted",
        }
    }

    pub fn ended(self) -> bool {
        matches!(self, Self::RolledBack | Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What is wanted of a release. Only moves away from `Forward`, never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    Forward,
    /// Traffic to stable, the old template put back; ends `cancelled`.
    Abort,
    /// The same on the cluster; ends `rolled_back`.
    RollBack,
}

/// The way back, written down before anything changes, so that it needs neither history nor ReplicaSets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownGood {
    /// The workload's `spec.template` as the controller had defaulted it.
    pub template: Value,
    /// The Rollout's own canary steps, put back when the release has ended. `None` where it had none.
    pub steps: Option<Value>,
    /// The Rollout's own settings of its blue-green switch, put back when the release has ended; those it did not have
    /// are missing. `None` where they are not this version's to put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<Value>,
    /// What its ConfigMaps held, where the plan asks for them to be put back with the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<Held>,
    /// Pod template hash of the stable ReplicaSet.
    pub hash: String,
    pub images: BTreeMap<String, String>,
    /// Revision number, for people.
    pub revision: Option<i64>,
}

/// A policy of a file as it was at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUsed {
    /// The stored content of the file.
    pub file: i64,
    pub name: String,
}

/// Somebody holds the release where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub since: DateTime<Utc>,
    pub by: String,
    pub why: Option<String>,
}

/// An effect that was announced and whose outcome is not yet recorded. At most one at a time for a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: crate::ids::AttemptId,
    pub effect: crate::conductor::Effect,
    pub begun: DateTime<Utc>,
}

/// An attempt whose outcome is recorded. Kept because a watch cache may lag behind what was just done: without it
/// the next look would do the same thing again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    pub id: crate::ids::AttemptId,
    pub effect: crate::conductor::Effect,
    /// When the outcome was recorded.
    pub at: DateTime<Utc>,
    pub happened: bool,
    /// How often in a row this effect has failed to happen; 1 for one that happened.
    pub times: u32,
    pub words: String,
}

/// The service is well again after a rollback, as measured on all its requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    pub at: DateTime<Utc>,
    /// Requests that were counted.
    pub requests: f64,
    /// Those answered with 5xx.
    pub errors: f64,
}

/// A release as stored. Everything the conductor knows is here or in the cluster; nothing only in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub plan: PlanId,
    pub plan_version: i32,
    /// Digest of the plan that runs. Checked against the approvals before every step.
    pub digest: Digest,
    pub service: String,
    pub environment: String,
    pub workload: Key,
    pub images: BTreeMap<String, String>,
    pub state: State,
    pub course: Course,
    /// Why the course was left, or why the release ended as it did, in one sentence.
    pub reason: Option<String>,
    pub known_good: KnownGood,
    /// Hash of the new version's pods, once the controller has named it.
    pub canary_hash: Option<String>,
    /// Index of the plan's step in force; `None` before the first.
    pub step: Option<usize>,
    /// When the step's weight was confirmed; `None` while it is still being reached.
    pub step_since: Option<DateTime<Utc>>,
    /// Time baked in this step before the present stretch (a hold stops the clock).
    pub baked: Span,
    /// Steps whose gates have passed, with the time.
    pub passed: Vec<DateTime<Utc>>,
    /// Steps (by index) whose approval gate a person opened, with who.
    pub opened: BTreeMap<usize, String>,
    /// Steps (by index) that a person promoted or skipped past waiting, with who.
    pub waived: BTreeMap<usize, String>,
    pub hold: Option<Hold>,
    pub verdict: Option<Verdict>,
    /// What the templates of the last step that has any came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    pub attempt: Option<Attempt>,
    /// The newest recorded attempt of each kind of effect, oldest first: at most one for each kind.
    #[serde(default)]
    pub tried: Vec<Tried>,
    /// Attempts begun so far: the next one's number.
    pub attempts: u32,
    pub started_by: String,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub ended: Option<DateTime<Utc>>,
    /// When the course was left.
    #[serde(default)]
    pub turned_back: Option<DateTime<Utc>>,
    /// It was turned back by Tidegate itself: a verdict, a deadline, a policy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_itself: bool,
    /// The rollback policy that watches it: the one that was in force when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyUsed>,
    /// When a person chose another known-good version than the one it was on its way back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerouted: Option<DateTime<Utc>>,
    /// On the way back: when each piece of the proof was first seen. What is missing at the end came with the end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proved: BTreeMap<Proof, DateTime<Utc>>,
    /// After the way back: the service's error rate was seen under its limit. Recorded after the end, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    /// What the last observation says it is waiting for, in words.
    pub note: Option<String>,
}

impl Release {
    /// Highest weight the plan allows now, in percent. After the course was left it only falls.
    pub fn ceiling(&self, plan: &crate::plan::Plan) -> u8 {
        if self.course != Course::Forward && self.state != State::Succeeded {
            return 0;
        }
        self.step.and_then(|i| plan.steps().get(i)).map_or(0, |s| s.weight)
    }

    /// Time baked in the present step.
    pub fn baked_at(&self, now: DateTime<Utc>) -> Span {
        // The clock stops where the release was turned back, or ended.
        let until = self.turned_back.or(self.ended).map_or(now, |end| end.min(now));
        let running = match (self.step_since, &self.hold) {
            (Some(since), None) => u64::try_from((until - since).num_seconds()).unwrap_or(0),
            _ => 0,
        };
        Span(self.baked.0.saturating_add(running))
    }

    /// What the templates of a step have come to; `None` before they were looked at.
    pub fn checked_at(&self, step: usize) -> Option<&Checked> {
        self.checked.as_ref().filter(|c| c.step == step)
    }

    /// Since when it goes where it goes now, on its way back.
    pub fn back_since(&self) -> Option<DateTime<Utc>> {
        self.rerouted.or(self.turned_back)
    }

    /// The version that it takes traffic from is the stable one again, or still: it had been promoted.
    pub fn may_stay(&self, w: &crate::workload::Workload) -> bool {
        self.state == State::RollingBack && self.canary_hash.is_some() && self.canary_hash == w.stable_hash
    }

    pub fn version(&self) -> String {
        crate::workload::version_of(&self.images)
    }

    pub fn good_version(&self) -> String {
        crate::workload::version_of(&self.known_good.images)
    }
}
