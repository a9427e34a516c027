//! What to do next with a release: one pure function over the plan, what is stored, what is seen and the time.
//!
//! The conductor calls it whenever anything changed, does the one thing it says and records it. It keeps no
//! memory of its own, so any replica may ask at any time and gets the same answer.

mod apply;
mod back;
mod blue_green;
mod follow;
mod forward;
mod next;
mod press;
mod reference;
mod rolling;
#[cfg(test)]
pub(crate) mod sample;
mod settle;
mod switch;
#[cfg(test)]
mod tests;
mod twin;
mod weight;
mod words;

pub use apply::{apply, begin};
pub use forward::{only_gate_left, only_promotion_left};
pub use next::next;
pub use press::{hold, lead_to, leave, open_gate, resume, stay, waive};
pub use settle::to_be_voided;
pub use words::{announce, tell};

use crate::plan::Plan;
use crate::release::Release;
use crate::rollback::Proof;
use crate::workload::Workload;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One change to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The new template, the plan's steps (each weight followed by an indefinite pause) and the way back, in
    /// one patch. The canary starts at the first step.
    Deploy,
    /// Opens the pause the canary stands at. `from` is the index in the *Rollout's* steps, tested by the patch.
    OpenPause { from: i32 },
    /// All users go to the new version: by the active Service, once the pause at which a blue-green update waits is opened;
    /// in front of a Deployment by the selectors of its Services.
    Switch,
    /// The second Deployment beside a user's gets another number of pods; `from` is tested by the patch.
    Scale { from: i32, to: i32 },
    /// The canary Ingress, or the HTTPRoute, sends another percentage of users to the second Deployment, or copies another
    /// percentage of requests to it; `from` is tested by the patch.
    Weigh { from: u8, to: u8 },
    /// A user's own Deployment gets the new version: the one that the second Deployment has proven, by its rolling
    /// update; or, where a Rollout takes its template from there, the one that the Rollout is to begin with.
    TakeOver,
    /// The Services in front of a Deployment select its own pods again, no longer those of the second one; where a weight
    /// sends users to that one, it goes.
    HandBack,
    /// The second Deployment is scaled to nothing and deleted.
    Retire,
    /// A Deployment in the middle of a roll-out, or a Rollout that walks its own steps, is held: `spec.paused: true`.
    Pause,
    /// It goes on: `spec.paused: false`.
    Resume,
    /// `spec.paused: false`, so that a way back is carried out.
    Unpause,
    /// `status.abort: true` and `promoteFull: false` in one patch.
    Abort,
    /// The known-good template and the Rollout's own steps. Through a `rollbackWindow` where
    /// [`crate::rollback::route`] says so for the workload as it is.
    Revert,
    /// `status.promoteFull: true` on the way *back* only, when the known-good version would walk the steps.
    PromoteFull,
    /// Puts the Rollout's own steps, or its own settings of the switch, back once it is Healthy on the new version.
    RestoreSteps,
}

impl Effect {
    /// May put more traffic on the new version. Everything else only takes away or tidies up.
    pub fn raises(&self) -> bool {
        match self {
            Self::Deploy | Self::OpenPause { .. } | Self::Switch | Self::Resume | Self::TakeOver => true,
            Self::Scale { from, to } => to > from,
            Self::Weigh { from, to } => to > from,
            Self::HandBack
            | Self::Retire
            | Self::Pause
            | Self::Unpause
            | Self::Abort
            | Self::Revert
            | Self::PromoteFull
            | Self::RestoreSteps => false,
        }
    }

    /// Ends with a template, wherever that stands: there it leaves its mark.
    pub fn writes_template(&self) -> bool {
        matches!(self, Self::TakeOver | Self::Revert)
    }

    /// The name of its kind, as it is stored: `open_pause`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::OpenPause { .. } => "open_pause",
            Self::Switch => "switch",
            Self::Scale { .. } => "scale",
            Self::Weigh { .. } => "weigh",
            Self::TakeOver => "take_over",
            Self::HandBack => "hand_back",
            Self::Retire => "retire",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Unpause => "unpause",
            Self::Abort => "abort",
            Self::Revert => "revert",
            Self::PromoteFull => "promote_full",
            Self::RestoreSteps => "restore_steps",
        }
    }

    /// The same kind of effect, whatever its figures.
    pub fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A change to the record only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The announced effect is seen in the cluster (or certainly did not happen): close the attempt.
    Settle { happened: bool, words: String },
    /// The controller named the new pods' hash.
    CanaryNamed(String),
    /// The weight of the plan's step `0`-based index is confirmed: bake and analysis start.
    StepReached { step: usize, weight: u8 },
    /// All gates of the present step passed; the next step is allowed. `next` is its weight, `None` after the last.
    StepPassed { step: usize, next: Option<u8> },
    /// The state's word changes: running, waiting, paused.
    Become { state: crate::release::State, why: String },
    /// Leave the course: back to the known-good version.
    TurnBack { why: String },
    /// On the way back: more of what proves that users are on the known-good version is seen.
    Proved(Vec<Proof>),
    /// It is over.
    End { state: crate::release::State, why: String },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Nothing to do now. Wakes on a change, or at `until`.
    Wait {
        until: Option<DateTime<Utc>>,
        why: String,
    },
    Act(Effect),
    Record(Record),
}

/// Everything the decision may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub plan: &'a Plan,
    pub release: &'a Release,
    /// `None`: the workload is gone from the cluster.
    pub seen: Option<&'a Workload>,
    /// Enough valid approvals of exactly this digest stand right now.
    pub approved: bool,
    pub now: DateTime<Utc>,
}
