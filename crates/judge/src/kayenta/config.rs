//! What the report is told: metrics with their samples, and how each is to be compared. Names and defaults are those of
//! Kayenta's `analysisConfigurations.canary`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which difference counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Increase,
    Decrease,
    #[default]
    Either,
}

/// What becomes of missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nan {
    #[default]
    Remove,
    /// They count as 0: where no sample means that nothing happened.
    Replace,
}

/// How the size of a difference is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Mean of the experiment over mean of the control.
    #[default]
    #[serde(rename = "meanRatio")]
    MeanRatio,
    /// Chance that a value of the experiment is above one of the control.
    #[serde(rename = "cles")]
    Cles,
}

/// What becomes of outliers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outliers {
    Remove,
    #[default]
    Keep,
}

/// Outliers, and how far out they have to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutlierRule {
    pub strategy: Outliers,
    /// Multiple of the distance between the quartiles.
    pub outlier_factor: f64,
}

impl Default for OutlierRule {
    fn default() -> Self {
        Self { strategy: Outliers::Keep, outlier_factor: 3.0 }
    }
}

impl OutlierRule {
    pub(super) fn factor(self) -> Option<f64> {
        (self.strategy == Outliers::Remove).then_some(self.outlier_factor)
    }
}

/// How large a difference has to be, to count and to fail everything. Left out: no difference is too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EffectRule {
    pub measure: Measure,
    pub allowed_increase: Option<f64>,
    pub allowed_decrease: Option<f64>,
    pub critical_increase: Option<f64>,
    pub critical_decrease: Option<f64>,
}

/// The same with every number there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    pub(super) allowed_increase: f64,
    pub(super) allowed_decrease: f64,
    pub(super) critical_increase: f64,
    pub(super) critical_decrease: f64,
}

impl EffectRule {
    pub(super) fn resolved(&self) -> Effect {
        let none = match self.measure {
            Measure::MeanRatio => 1.0,
            Measure::Cles => 0.5,
        };
        Effect {
            allowed_increase: self.allowed_increase.unwrap_or(none),
            allowed_decrease: self.allowed_decrease.unwrap_or(none),
            critical_increase: self.critical_increase.unwrap_or(none),
            critical_decrease: self.critical_decrease.unwrap_or(none),
        }
    }
}

/// One metric: how it is compared, and its samples. `null` is a missing value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    /// Groups that its result counts in; none is the group `all`.
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub direction: Direction,
    #[serde(default)]
    pub nan_strategy: Nan,
    /// A failing one fails everything.
    #[serde(default)]
    pub critical: bool,
    /// No data is a failure of this metric.
    #[serde(default)]
    pub must_have_data: bool,
    /// Reported, and without weight.
    #[serde(default)]
    pub muted: bool,
    #[serde(default)]
    pub outliers: OutlierRule,
    #[serde(default)]
    pub effect_size: EffectRule,
    pub control: Values,
    pub experiment: Values,
}

/// One side of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of numbers and nulls, or {bad, of}")]
pub enum Values {
    /// A number for each point in time; `null` is a missing one.
    Points(Vec<Option<f64>>),
    /// Events counted since the beginning, and how many of them were bad: judged as the guard judges, so that it may be asked at
    /// every look.
    Counts(Counts),
}

impl Default for Values {
    fn default() -> Self {
        Self::Points(Vec::new())
    }
}

/// Bad events, of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub bad: f64,
    pub of: f64,
}

impl Counts {
    fn possible(self) -> bool {
        self.bad.is_finite() && self.of.is_finite() && self.bad >= 0.0 && self.bad <= self.of
    }
}

impl Metric {
    pub(super) fn groups(&self) -> Vec<String> {
        if self.groups.is_empty() { vec!["all".to_owned()] } else { self.groups.clone() }
    }
}

/// Scores from which on the whole passes, or is marginal. 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Thresholds {
    pub pass: f64,
    pub marginal: f64,
}

/// Kayenta's own examples use these.
impl Default for Thresholds {
    fn default() -> Self {
        Self { pass: 95.0, marginal: 75.0 }
    }
}

/// All that a report is made of: what `tidegate judge` reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    pub metrics: Vec<Metric>,
    /// In percent; groups without one share what is left.
    #[serde(default)]
    pub group_weights: BTreeMap<String, f64>,
    #[serde(default, rename = "scoreThresholds")]
    pub thresholds: Thresholds,
}

impl Config {
    /// Every fault of the configuration, each with the field's path.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |path: String, what: &str| faults.push((path, what.to_owned()));
        for (i, metric) in self.metrics.iter().enumerate() {
            let at = |field: &str| format!("metrics[{i}].{field}");
            if metric.name.trim().is_empty() {
                fault(at("name"), "A metric needs a name.");
            }
            if self.metrics[..i].iter().any(|m| m.name == metric.name) {
                fault(at("name"), "Another metric has this name.");
            }
            match (&metric.control, &metric.experiment) {
                (Values::Points(_), Values::Points(_)) => {}
                (Values::Counts(control), Values::Counts(experiment)) => {
                    for (field, counts) in [("control", control), ("experiment", experiment)] {
                        if !counts.possible() {
                            fault(
                                at(field),
                                "Counts are numbers from 0, and no more are bad than there are.",
                            );
                        }
                    }
                }
                _ => fault(at("experiment"), "Write points on both sides, or counts on both."),
            }
            let factor = metric.outliers.outlier_factor;
            if !(factor.is_finite() && factor > 0.0) {
                fault(at("outliers.outlierFactor"), "Write a number above 0; 3 is usual.");
            }
        }
        for (group, weight) in &self.group_weights {
            if !(0.0..=100.0).contains(weight) {
                fault(format!("groupWeights.{group}"), "A weight is a percentage from 0 to 100.");
            }
        }
        if self.group_weights.values().sum::<f64>() > 100.0 + 1e-9 {
            fault("groupWeights".to_owned(), "The weights add up to more than 100.");
        }
        let Thresholds { pass, marginal } = self.thresholds;
        if !(0.0..=100.0).contains(&pass) {
            fault("scoreThresholds.pass".to_owned(), "A score is from 0 to 100.");
        }
        if !(0.0..=pass).contains(&marginal) {
            fault("scoreThresholds.marginal".to_owned(), "Write a score from 0 to that of a pass.");
        }
        faults
    }
}
