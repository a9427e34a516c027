//! An AnalysisTemplate's and an AnalysisRun's specification, as their CRDs spell them.

use super::duration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a template asks for; also an AnalysisRun's `spec`, with its arguments filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// What `{{args.…}}` stands for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
    /// Metrics that are measured and decide nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// Of which metrics more than ten measurements are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<Retention>,
    /// Of a run: it is to end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
    /// Of a run: when it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_strategy: Option<Ttl>,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metric {
    /// Unlike the others'.
    pub name: String,
    /// Time from a measurement's end to the next, as Go writes durations. Without one it is measured once.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// Time from the run's start to the first measurement.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial_delay: String,
    /// How many measurements that are no errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<IntOrText>,
    /// True of an answer that passes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub success_condition: String,
    /// True of an answer that fails.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_condition: String,
    /// One more failure than this fails the metric; 0 where it is not said, -1 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_limit: Option<IntOrText>,
    /// One more inconclusive measurement than this makes the metric inconclusive; 0 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inconclusive_limit: Option<IntOrText>,
    /// One more error in a row than this makes the metric an error; 4 where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_error_limit: Option<IntOrText>,
    /// So many successes in a row pass the metric; 0 and none: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_success_limit: Option<IntOrText>,
    /// Who is asked: one entry, by the kind of source.
    pub provider: Map<String, Value>,
}

/// A number, or a text that is to be one once its arguments are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrText {
    /// The number.
    Int(i32),
    /// The text.
    Text(String),
}

impl IntOrText {
    /// The number; 0 where the text is none, as in Kubernetes.
    #[must_use]
    pub fn value(&self) -> i32 {
        match self {
            Self::Int(i) => *i,
            Self::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

/// What a template's `{{args.name}}` stands for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value comes from: a key of a Secret, or a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<Value>,
}

/// A rule, a regular expression, that makes metrics of such names decide nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DryRun {
    /// The rule.
    pub metric_name: String,
}

/// A rule for how many measurements of metrics of such names are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// The rule, a regular expression.
    pub metric_name: String,
    /// So many.
    pub limit: i32,
}

/// Seconds after which a run that is over is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ttl {
    /// Whatever it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_completion: Option<i32>,
    /// If it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_failure: Option<i32>,
    /// If it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_after_success: Option<i32>,
}

fn value(field: Option<&IntOrText>, otherwise: i32) -> i32 {
    field.map_or(otherwise, IntOrText::value)
}

impl Metric {
    /// How many measurements end it: 1 where neither count nor interval is said, none where only an interval is.
    #[must_use]
    pub fn effective_count(&self) -> Option<i32> {
        match value(self.count.as_ref(), 0) {
            0 if self.interval.is_empty() => Some(1),
            0 => None,
            n => Some(n),
        }
    }

    /// So many failures do no harm; -1: no number of them does.
    #[must_use]
    pub fn failures(&self) -> i32 {
        value(self.failure_limit.as_ref(), 0)
    }

    /// So many inconclusive measurements do no harm.
    #[must_use]
    pub fn inconclusives(&self) -> i32 {
        value(self.inconclusive_limit.as_ref(), 0)
    }

    /// So many errors in a row do no harm.
    #[must_use]
    pub fn errors(&self) -> i32 {
        value(self.consecutive_error_limit.as_ref(), 4)
    }

    /// So many successes in a row pass it; 0: they do not.
    #[must_use]
    pub fn successes(&self) -> i32 {
        value(self.consecutive_success_limit.as_ref(), 0)
    }

    /// # Errors
    /// What `ValidateMetric` says, in its words.
    fn check(&self) -> Result<(), String> {
        let (count, failures) = (value(self.count.as_ref(), 0), self.failures());
        let (successes, inconclusives) = (self.successes(), self.inconclusives());
        let no = |words: &str| Err(words.to_owned());
        if successes < 0 {
            return no("consecutiveSuccessLimit must be >= 0");
        }
        if failures < -1 {
            return no("failureLimit must be >= 0, or -1 to be disabled");
        }
        if successes == 0 && failures == -1 {
            return no("failureLimit and consecutiveSuccessLimit cannot both be disabled");
        }
        if inconclusives < 0 {
            return no("inconclusiveLimit must be >= 0");
        }
        if self.errors() < 0 {
            return no("consecutiveErrorLimit must be >= 0");
        }
        if count > 0 {
            if failures >= 0 && count < failures.saturating_add(successes) {
                return Err(format!(
                    "count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failures} + {successes}) if both >= 0"
                ));
            }
            if failures < 0 && count < successes {
                return no("count must be >= consecutiveSuccessLimit");
            }
            if count < inconclusives {
                return no("count must be >= inconclusiveLimit");
            }
        }
        if count > 1 && self.interval.is_empty() {
            return no("interval must be specified when count > 1");
        }
        for (text, what) in [(&self.interval, "interval"), (&self.initial_delay, "startDelay")] {
            if !text.is_empty() {
                duration::parse(text).map_err(|e| format!("invalid {what} string: {e}"))?;
            }
        }
        let plugins = self.provider.get("plugin").and_then(Value::as_object).map_or(0, Map::len);
        match self.provider.keys().filter(|k| *k != "plugin").count() + plugins {
            0 => no("no provider specified"),
            1 => Ok(()),
            _ => no("multiple providers specified"),
        }
    }
}

/// Whether the controller would take these metrics, their arguments filled in.
///
/// # Errors
/// What it says of the first that it would not, in its words.
pub fn check(metrics: &[Metric]) -> Result<(), String> {
    if metrics.is_empty() {
        return Err("no metrics specified".into());
    }
    for (i, metric) in metrics.iter().enumerate() {
        if metrics[..i].iter().any(|m| m.name == metric.name) {
            return Err(format!("metrics[{i}]: duplicate name '{}'", metric.name));
        }
        metric.check().map_err(|e| format!("metrics[{i}]: {e}"))?;
    }
    Ok(())
}
