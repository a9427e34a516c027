//! Analyses that Argo Rollouts, or Tidegate, runs about a version: what each asks for, what it measured, what it came to.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How a run, a metric or a measurement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnalysisPhase {
    Pending,
    Running,
    Passed,
    /// Neither passed nor failed.
    Inconclusive,
    /// It could not be measured.
    Error,
    Failed,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysisView {
    pub uid: String,
    /// Who ran it: `Argo Rollouts` or `Tidegate`.
    pub by: String,
    /// Of the AnalysisRun; of Tidegate's own that of the template.
    pub name: String,
    /// What it decides: `Step 2 of the Rollout`, `In the background`, `Before the switch`, `After the switch`; of
    /// Tidegate's own `Step 1 of the plan`.
    pub stage: String,
    pub phase: AnalysisPhase,
    /// The controller's reason; empty where it gives none.
    pub message: String,
    pub started: Option<DateTime<Utc>>,
    pub ended: Option<DateTime<Utc>>,
    /// Names and values. What a Secret holds is not read.
    pub args: Vec<(String, String)>,
    pub metrics: Vec<AnalysisMetric>,
    /// What in its template will surprise, as far as it is about no metric alone.
    pub findings: Vec<AnalysisFinding>,
}

/// One metric of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysisMetric {
    pub name: String,
    pub phase: AnalysisPhase,
    /// It is measured and decides nothing.
    pub dry_run: bool,
    /// Who is asked: `Prometheus`, `Job`.
    pub source: String,
    /// Words and the condition they are about: `Passes where`, `result[0] >= 0.95`.
    pub conditions: Vec<(String, String)>,
    /// `every 30s, 10 times`.
    pub rhythm: String,
    pub limits: Vec<AnalysisLimit>,
    /// The controller's reason, or that of the last measurement that could not be made; empty without.
    pub message: String,
    /// How many were made.
    pub made: u32,
    /// Of these, how many were never seen.
    pub missed: u32,
    /// In their order: on a page the newest.
    pub measurements: Vec<AnalysisMeasurement>,
    pub findings: Vec<AnalysisFinding>,
}

/// How near a metric is to one of its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisLimit {
    /// `failed 1, at most 3`.
    pub words: String,
    /// It is beyond it.
    pub over: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysisMeasurement {
    /// Among the metric's, from 1.
    pub number: u32,
    pub phase: AnalysisPhase,
    /// When it was over, or else began.
    pub at: Option<DateTime<Utc>>,
    /// The answer; empty where there is none.
    pub value: String,
    pub message: String,
}

/// What in a template will surprise its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalysisFinding {
    /// `note`, `warning` or `fault`.
    pub weight: String,
    /// What happens.
    pub happens: String,
    /// What to write instead.
    pub instead: String,
}
