//! A plan: what will be different, by which steps, who must approve it. Its canonical digest is what is approved.

pub mod beside;
pub mod diff;
mod follow;
pub mod reach;
pub mod read;
mod shadow;
mod templates;
mod told;
mod write;

pub use follow::Follow;
pub use shadow::Shadow;
pub use templates::{FILLED, Template, filled};
pub use told::Told;

use crate::canonical;
use crate::ids::Digest;
use crate::role::Role;
use crate::span::Span;
use crate::verdict::{Limits, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The `apiVersion` this version of Tidegate reads and writes.
pub const API_VERSION: &str = "tidegate.dev/v1";

/// A plan's whole content. Made by [`read`], which reports every error at its field at once; serialises to the
/// document that was read, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub api_version: String,
    pub kind: String,
    pub metadata: Metadata,
    pub spec: Spec,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Unique among plans of a service: `checkout-1-42-0`.
    pub name: String,
    pub service: String,
    pub environment: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub change: Change,
    pub strategy: Strategy,
    #[serde(default)]
    pub analysis: Analysis,
    #[serde(default)]
    pub rollback: Rollback,
    #[serde(default)]
    pub approvals: Approvals,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Which workload, where the service and environment alone leave a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Target>,
}

/// Names a workload where a service has several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    pub namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// New image by container name.
    pub images: BTreeMap<String, String>,
    /// Link to what changed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<String>,
}

/// How the new version takes over. Written `{canary: {…}}`, `{blueGreen: {…}}`, `{rolling: {…}}`, `{follow: {…}}`
/// or `{shadow: {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// One share of traffic after the other.
    Canary(Canary),
    /// All at once, from one set of pods to another that is up already.
    BlueGreen(BlueGreen),
    /// A Deployment, at its own pace.
    Rolling(Rolling),
    /// A canary Rollout by its own steps, which stay as they are.
    Follow(Follow),
    /// Copies of requests first, whose answers nobody gets; then a Deployment at its own pace.
    Shadow(Shadow),
}

impl Strategy {
    fn steps(&self) -> &[Step] {
        match self {
            Self::Canary(canary) => &canary.steps,
            Self::BlueGreen(both) => &both.steps,
            Self::Rolling(rolling) => std::slice::from_ref(&rolling.step),
            Self::Follow(follow) => follow.steps(),
            Self::Shadow(shadow) => shadow.steps(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    pub steps: Vec<Step>,
}

/// New pods replace old ones at the workload's own pace; then the bake and the gates. To the rest of the rules it is
/// one step, to 100 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Unweighted", into = "Unweighted")]
pub struct Rolling {
    step: Step,
}

impl Rolling {
    pub fn new(bake: Span, gates: Vec<Gate>) -> Self {
        Self { step: Step { weight: 100, bake, gates, ..Step::default() } }
    }
    pub fn step(&self) -> &Step {
        &self.step
    }
}

/// What has no weight to choose, as it is written: a rolling update, each of the two parts of a blue-green release.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unweighted {
    #[serde(default)]
    bake: Span,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gates: Vec<Gate>,
}

impl Unweighted {
    fn is_empty(&self) -> bool {
        self.bake == Span::ZERO && self.gates.is_empty()
    }
}

impl From<Unweighted> for Rolling {
    fn from(d: Unweighted) -> Self {
        Self::new(d.bake, d.gates)
    }
}

impl From<Rolling> for Unweighted {
    fn from(r: Rolling) -> Self {
        Self { bake: r.step.bake, gates: r.step.gates }
    }
}

/// The new version comes up whole where no user is sent (behind a Rollout's preview Service, or as a second Deployment),
/// then all users are switched to it at once. To the rest of
/// the rules it is two steps: the preview, of which users see nothing, and the time after the switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "BlueGreenDocument", into = "BlueGreenDocument")]
pub struct BlueGreen {
    steps: [Step; 2],
}

impl BlueGreen {
    /// Index of the step before the switch.
    pub const PREVIEW: usize = 0;
    /// Index of the step after it.
    pub const AFTER: usize = 1;

    /// Bake and gates before the switch, and after it.
    pub fn new(preview: (Span, Vec<Gate>), after: (Span, Vec<Gate>)) -> Self {
        let step = |weight, (bake, gates)| Step { weight, bake, gates, ..Step::default() };
        Self { steps: [step(0, preview), step(100, after)] }
    }
    pub fn preview(&self) -> &Step {
        &self.steps[Self::PREVIEW]
    }
    pub fn after(&self) -> &Step {
        &self.steps[Self::AFTER]
    }
}

/// A blue-green release as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlueGreenDocument {
    #[serde(default, skip_serializing_if = "Unweighted::is_empty")]
    preview: Unweighted,
    #[serde(default, skip_serializing_if = "Unweighted::is_empty")]
    after: Unweighted,
}

impl From<BlueGreenDocument> for BlueGreen {
    fn from(d: BlueGreenDocument) -> Self {
        Self::new((d.preview.bake, d.preview.gates), (d.after.bake, d.after.gates))
    }
}

impl From<BlueGreen> for BlueGreenDocument {
    fn from(b: BlueGreen) -> Self {
        let [preview, after] = b.steps.map(|s| Unweighted { bake: s.bake, gates: s.gates });
        Self { preview, after }
    }
}

/// One step: a share of traffic, how long it bakes, and what must open before the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Percent of users' traffic that the new version may carry, rising from step to step; the last is 100. A canary
    /// begins at 1 or more; 0 is a preview, which users do not reach. Told to people by [`Plan::step_name`].
    pub weight: u8,
    #[serde(default)]
    pub bake: Span,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Pods of the new version, where they are not left to the weight: more to be sure, or fewer to save some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<u16>,
    /// Whose requests go to the new version whatever the weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// AnalysisTemplates that Tidegate evaluates at this step, whatever its gates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<Template>,
}

/// A request header and the one value that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    pub name: String,
    pub value: String,
}

impl Step {
    pub fn has_analysis(&self) -> bool {
        self.gates.contains(&Gate::Analysis)
    }
    /// The canary must stand here for something: a bake, a gate, a template.
    pub fn holds(&self) -> bool {
        self.bake > Span::ZERO || !self.gates.is_empty() || !self.templates.is_empty()
    }
}

/// What must be open before a step is left. Written `analysis` or `{approval: on-call}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    Analysis,
    Approval(Role),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// AnalysisTemplates that Tidegate evaluates at each step with the gate `analysis`, beside its own comparison.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<Template>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_requests: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_percent: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_error_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_p95_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_p95_ratio: Option<f64>,
}

impl Analysis {
    pub fn limits(&self) -> Limits {
        let d = Limits::default();
        Limits {
            min_requests: self.min_requests.unwrap_or(d.min_requests),
            max_error_percent: self.max_error_percent.unwrap_or(d.max_error_percent),
            max_error_ratio: self.max_error_ratio.unwrap_or(d.max_error_ratio),
            max_p95_ms: self.max_p95_ms.or(d.max_p95_ms),
            max_p95_ratio: self.max_p95_ratio.unwrap_or(d.max_p95_ratio),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// `required`: no start without a rehearsal that passed. `optional`, or nothing: one may be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsed: Option<String>,
    /// `restore`: ConfigMaps go back with the code. `keep`, or nothing: they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approvals {
    /// How many different people must approve. At least 1 in production.
    pub required: u32,
    /// Roles whose holders' approvals count.
    pub from: Vec<Role>,
    /// An approval older than this no longer counts.
    pub expire: Span,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { required: 1, from: vec![Role::Approver], expire: Span(86_400) }
    }
}

impl Plan {
    /// SHA-256 of the canonical JSON of the whole content.
    pub fn digest(&self) -> Digest {
        canonical::digest(&self.to_json())
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The document as people edit it.
    pub fn to_yaml(&self) -> String {
        write::yaml(self)
    }

    /// It may start only after its rollback was rehearsed.
    pub fn rehearsal_required(&self) -> bool {
        self.spec.rollback.rehearsed.as_deref() == Some("required")
    }

    /// A rollback puts the ConfigMaps of the known-good version back with its code.
    pub fn restores_config(&self) -> bool {
        self.spec.rollback.config.as_deref() == Some("restore")
    }

    pub fn steps(&self) -> &[Step] {
        self.spec.strategy.steps()
    }

    /// What a step is called: `25 %`, or for a blue-green release `Preview` and `After the switch`.
    pub fn step_name(&self, index: usize) -> String {
        if self.follows().is_some() && self.own_steps(index).is_none() && self.steps().len() == 1 {
            return "Its own steps".to_owned();
        }
        if let Some(percent) = self.copied_at(index) {
            return format!("Copies of {percent} %");
        }
        match (&self.spec.strategy, index) {
            (Strategy::BlueGreen(_), BlueGreen::PREVIEW) => "Preview".to_owned(),
            (Strategy::BlueGreen(_), _) => "After the switch".to_owned(),
            (Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) | Strategy::Shadow(_), _) => {
                self.steps().get(index).map_or_else(String::new, |s| format!("{} %", s.weight))
            }
        }
    }

    /// The same for a page: the sign stays with its figure.
    pub fn step_title(&self, index: usize) -> String {
        self.step_name(index).replace(" %", "\u{a0}%")
    }

    /// What a step aims at, within a sentence: `25 %`, `the preview`, `the switch`.
    pub fn step_aim(&self, index: usize) -> String {
        if let Some(percent) = self.copied_at(index) {
            return format!("copies of {percent} %");
        }
        match (&self.spec.strategy, index) {
            (Strategy::BlueGreen(_), BlueGreen::PREVIEW) => "the preview".to_owned(),
            (Strategy::BlueGreen(_), _) => "the switch".to_owned(),
            (Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) | Strategy::Shadow(_), _) => {
                self.step_name(index)
            }
        }
    }

    /// Where a step stands, within a sentence: `at 25 %`, `at the preview`, `after the switch`.
    pub fn step_place(&self, index: usize) -> String {
        if let Some(percent) = self.copied_at(index) {
            return format!("on copies of {percent} %");
        }
        match (&self.spec.strategy, index) {
            (Strategy::BlueGreen(_), BlueGreen::PREVIEW) => "at the preview".to_owned(),
            (Strategy::BlueGreen(_), _) => "after the switch".to_owned(),
            (Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) | Strategy::Shadow(_), _) => {
                format!("at {}", self.step_name(index))
            }
        }
    }

    /// Where the gates of a step lead, within a sentence: `25 %`, `the switch`, `promotion`, `the end of the release`.
    pub fn step_leads_to(&self, index: usize) -> String {
        if self.shadow().is_some() {
            return if self.copied_at(index).is_some() { "all users" } else { "the end of the release" }
                .to_owned();
        }
        match (&self.spec.strategy, self.steps().get(index + 1)) {
            (Strategy::BlueGreen(_), Some(_)) => "the switch".to_owned(),
            (Strategy::BlueGreen(_), None) => "the end of the release".to_owned(),
            (
                Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) | Strategy::Shadow(_),
                Some(next),
            ) => {
                format!("{} %", next.weight)
            }
            (
                Strategy::Canary(_) | Strategy::Rolling(_) | Strategy::Follow(_) | Strategy::Shadow(_),
                None,
            ) => "promotion".to_owned(),
        }
    }

    /// What a step's analysis judges, where that is no canary beside an old version.
    fn judges(&self, index: usize) -> Option<&'static str> {
        match &self.spec.strategy {
            Strategy::Canary(_) | Strategy::Follow(_) => None,
            Strategy::Shadow(_) if self.copied_at(index).is_some() => Some("copies"),
            Strategy::Shadow(_) | Strategy::BlueGreen(_) | Strategy::Rolling(_) => Some("the new version"),
        }
    }

    /// A verdict in words about what its step's analysis judges.
    pub fn in_words(&self, verdict: Verdict) -> Verdict {
        match self.judges(verdict.step) {
            Some(whom) => verdict.about(whom),
            None => verdict,
        }
    }

    /// The strategy that the workload must have.
    pub fn drives(&self) -> crate::workload::Strategy {
        match self.spec.strategy {
            Strategy::Canary(_) | Strategy::Follow(_) => crate::workload::Strategy::Canary,
            Strategy::BlueGreen(_) => crate::workload::Strategy::BlueGreen,
            // A Deployment's.
            Strategy::Rolling(_) | Strategy::Shadow(_) => crate::workload::Strategy::Rolling,
        }
    }

    /// On a Deployment it is carried out by a second one beside it.
    pub fn beside(&self) -> bool {
        !matches!(self.spec.strategy, Strategy::Rolling(_) | Strategy::Follow(_))
    }

    /// What the new version is called: the tag of the image of `app`, else of the first.
    pub fn version(&self) -> String {
        crate::workload::version_of(&self.spec.change.images)
    }
}
