//! What a metric's conditions say of its answer.

use super::Phase;
use super::expr::{Fault, Kind, Program, Value};
use chrono::{DateTime, Utc};
use std::fmt;

pub use super::expr::{Fault as ConditionFault, Kind as FaultKind};

/// What a metric's source answered: what the conditions call `result`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One number: a scalar of Prometheus.
    Scalar(f64),
    /// The values of a vector's series in their order, or of a range's points. Empty where no series matched.
    Numbers(Vec<f64>),
    /// Any JSON, as a web endpoint answers. Its numbers are all floats.
    Json(serde_json::Value),
}

impl Answer {
    fn value(&self) -> Value {
        match self {
            Self::Scalar(n) => Value::Float(*n),
            Self::Numbers(list) => Value::floats(list),
            Self::Json(json) => Value::json(json),
        }
    }

    /// Whether there is nothing in it to compare: the original's own wording is for this case.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Numbers(list) => list.is_empty(),
            Self::Json(json) => json.is_null() || json.as_array().is_some_and(Vec::is_empty),
        }
    }

    /// As a measurement's `value` shows it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Scalar(n) => number(*n),
            Self::Numbers(list) => {
                let list: Vec<String> = list.iter().map(|n| number(*n)).collect();
                format!("[{}]", list.join(","))
            }
            Self::Json(json) => json.to_string(),
        }
    }
}

fn number(n: f64) -> String {
    match n {
        n if n.is_nan() => "NaN".into(),
        n if n.is_infinite() => if n > 0.0 { "+Inf" } else { "-Inf" }.into(),
        n => n.to_string(),
    }
}

/// Why a measurement is an Error. Displayed as Argo Rollouts words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misjudged {
    /// `successCondition` or `failureCondition`.
    pub which: &'static str,
    /// The condition.
    pub condition: String,
    /// What is wrong.
    pub fault: Fault,
}

impl Misjudged {
    /// What it means and what to do, as a sentence.
    #[must_use]
    pub fn plain(&self) -> String {
        self.fault.plain()
    }
}

impl fmt::Display for Misjudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not evaluate {} \"{}\": {}", self.which, self.condition, self.fault)
    }
}

impl std::error::Error for Misjudged {}

/// Whether `condition` is true of the answer. `now` is what the language's own `now()` gives.
///
/// # Errors
/// When it cannot be read, does not fit the answer, or is neither true nor false.
pub fn holds(answer: &Answer, condition: &str, now: DateTime<Utc>) -> Result<bool, Fault> {
    truth(&answer.value(), condition, now)
}

fn truth(result: &Value, condition: &str, now: DateTime<Utc>) -> Result<bool, Fault> {
    match Program::read(condition)?.run(Some(result), now)? {
        Value::Bool(b) => Ok(b),
        other => Err(Fault::new(Kind::NotBool, format!("expected bool, but got {}", other.type_name()))),
    }
}

/// The phase of one measurement. An empty condition is none. With none at all every answer is a success; with one, what
/// it does not say is the opposite; with both, the failure's counts first, and neither is inconclusive.
///
/// # Errors
/// When a condition cannot be evaluated: the measurement is an Error then.
pub fn measure(
    answer: &Answer,
    success: &str,
    failure: &str,
    now: DateTime<Utc>,
) -> Result<Phase, Misjudged> {
    let result = answer.value();
    let ask = |which: &'static str, condition: &str| -> Result<Option<bool>, Misjudged> {
        if condition.is_empty() {
            return Ok(None);
        }
        truth(&result, condition, now).map(Some).map_err(|fault| {
            let fault = match answer.is_empty() {
                true => Fault::new(
                    Kind::NoData,
                    "metric result is nil or empty: no data returned from the metric provider",
                ),
                false => fault,
            };
            Misjudged { which, condition: condition.into(), fault }
        })
    };
    let passed = ask("successCondition", success)?;
    let failed = ask("failureCondition", failure)?;
    Ok(match (passed, failed) {
        (_, Some(true)) | (Some(false), None) => Phase::Failed,
        (Some(false), Some(false)) => Phase::Inconclusive,
        (None | Some(true), _) => Phase::Successful,
    })
}

/// A moment that a range query's `start` or `end` names, as in `now() - duration("1h")`.
///
/// # Errors
/// When it cannot be evaluated, or names no moment.
pub fn moment(expression: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Fault> {
    match Program::read(expression)?.run(None, now)? {
        Value::Time(at) => Ok(at),
        other => Err(Fault::new(Kind::Types, format!("expected time.Time, but got {}", other.type_name()))),
    }
}
