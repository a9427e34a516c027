//! A plan while somebody writes it: the editor's form and document, as text, right or wrong.

use model::view::{DraftTarget, PlanCheck};
use model::{FieldError, PlanId};
use serde::{Deserialize, Serialize};

/// The part of a plan that the form shows, as text: what somebody typed is kept even where it is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanForm {
    pub name: String,
    pub service: String,
    pub environment: String,
    pub images: Vec<ImageForm>,
    pub reference: String,
    /// The strategy's key where it has no weights to choose: `rolling`, `blueGreen`, `follow`, `shadow`. Empty for a canary.
    pub fixed: String,
    /// What such a strategy does, in words. The document says it; the form cannot change it.
    pub about: String,
    pub steps: Vec<StepForm>,
    pub min_requests: String,
    pub max_error_percent: String,
    #[serde(default)]
    pub max_error_ratio: String,
    pub max_p95_ratio: String,
    pub required: String,
    pub expire: String,
    /// It may start only after its rollback was rehearsed.
    pub rehearsed: bool,
    /// Its rollback puts ConfigMaps back with the code.
    #[serde(default)]
    pub config: bool,
}

/// One container's new image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageForm {
    pub container: String,
    pub image: String,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepForm {
    pub weight: String,
    pub bake: String,
    pub analysis: bool,
    pub on_call: bool,
    pub approver: bool,
    /// What no field shows, as JSON (pods and a header apart from the weight): it goes with its step wherever that is moved.
    pub rest: String,
}

/// What the editor sends: both halves, and the document as it was when they were last the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Draft {
    /// The document both halves were filled from.
    pub base: String,
    pub yaml: String,
    pub form: PlanForm,
    /// `add`, or `remove-1`, `up-1`, `down-1` with a step's index; `strategy-rolling` for another strategy.
    pub op: Option<String>,
}

/// Both halves in step again, and what is wrong with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub form: PlanForm,
    pub yaml: String,
    pub found: Found,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub errors: Vec<FieldError>,
    pub warnings: Vec<FieldError>,
    /// The digest in short, where no rule is broken.
    pub digest: Option<String>,
}

impl From<PlanCheck> for Found {
    fn from(check: PlanCheck) -> Self {
        Self { errors: check.errors, warnings: check.warnings, digest: check.digest.map(|d| d.short()) }
    }
}

/// A workload that a plan can be written for, and which weights it can carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub service: String,
    pub environment: String,
    pub reach: String,
    pub strategies: Vec<String>,
}

impl From<DraftTarget> for Target {
    fn from(t: DraftTarget) -> Self {
        Self { service: t.service, environment: t.environment, reach: t.reach, strategies: t.strategies }
    }
}

/// Everything the editor's page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EditorPage {
    /// The plan that is edited; `None` for a new one.
    pub id: Option<PlanId>,
    /// The version it is based on: saving is refused when there is a newer one by then.
    pub version: Option<i32>,
    /// Approvals that an edit voids.
    pub approvals: u32,
    pub targets: Vec<Target>,
    pub checked: Checked,
    /// Somebody asked for the check: errors are worth showing.
    pub asked: bool,
}

/// A policy file while somebody writes it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDraft {
    pub cluster: String,
    pub namespace: String,
    /// The file as it is; `None` where there is none yet.
    pub file: Option<model::view::PolicyFileView>,
    /// The record that was looked at when this was begun.
    pub after: Option<i64>,
    pub text: String,
    /// Somebody asked what is wrong with it.
    pub asked: bool,
    pub faults: Vec<FieldError>,
    pub warnings: Vec<FieldError>,
    /// What it says, where it has no faults.
    pub policies: model::policy::Policies,
    /// What it would have done, where somebody asked.
    pub runs: Vec<model::view::DryRun>,
    /// May whoever reads this save it?
    pub change: model::view::Deed,
    pub now: chrono::DateTime<chrono::Utc>,
}
