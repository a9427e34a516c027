//! What an expression computes with. Go's kinds of numbers and lists are kept apart where the original does.

use super::fault::Fault;
use super::types::Type;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a list is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Elements {
    Any,
    Float,
    Int,
    Text,
}

#[derive(Clone, Debug)]
pub(in super::super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    /// What `asInt` gives.
    Int64(i64),
    Float(f64),
    Text(Arc<str>),
    Array(Elements, Arc<Vec<Value>>),
    Map(Arc<BTreeMap<String, Value>>),
    /// What `groupBy` gives.
    Groups(Arc<Vec<(Value, Value)>>),
    Time(DateTime<Utc>),
    /// Nanoseconds.
    Duration(i64),
    Function(&'static str),
}

impl Value {
    pub(in super::super) fn json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(b) => Self::Bool(*b),
            serde_json::Value::Number(n) => Self::Float(n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => Self::text(s),
            serde_json::Value::Array(list) => Self::list(list.iter().map(Self::json).collect()),
            serde_json::Value::Object(map) => {
                Self::Map(Arc::new(map.iter().map(|(k, v)| (k.clone(), Self::json(v))).collect()))
            }
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(values: Vec<Self>) -> Self {
        Self::Array(Elements::Any, Arc::new(values))
    }

    pub(in super::super) fn floats(values: &[f64]) -> Self {
        Self::Array(Elements::Float, Arc::new(values.iter().map(|v| Self::Float(*v)).collect()))
    }

    pub(super) fn texts<'t>(values: impl IntoIterator<Item = &'t str>) -> Self {
        Self::Array(Elements::Text, Arc::new(values.into_iter().map(Self::text).collect()))
    }

    pub(super) fn nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Go's name of its type.
    pub(in super::super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            value => Type::of(value).name(),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Fault> {
        match self {
            Self::Bool(b) => Ok(*b),
            other => Err(mistaken(other, "bool")),
        }
    }

    pub(super) fn as_text(&self) -> Result<&str, Fault> {
        match self {
            Self::Text(s) => Ok(s),
            other => Err(mistaken(other, "string")),
        }
    }

    /// As Go turns any number into an `int`.
    pub(super) fn int(&self) -> Result<i64, Fault> {
        match self {
            Self::Int(i) | Self::Int64(i) => Ok(*i),
            Self::Float(f) => Ok(truncate(*f)),
            other => Err(Fault::types(format!("invalid operation: int({})", other.type_name()))),
        }
    }

    pub(super) fn float(&self) -> Result<f64, Fault> {
        match self.number() {
            Some(n) => Ok(n),
            None => Err(Fault::types(format!("invalid operation: float({})", self.type_name()))),
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Go converts")]
            Self::Int(i) | Self::Int64(i) => Some(*i as f64),
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Int(i) | Self::Int64(i) => Some(*i),
            _ => None,
        }
    }
}

fn mistaken(value: &Value, wanted: &str) -> Fault {
    let is = match value {
        Value::Nil => "nil",
        other => other.type_name(),
    };
    Fault::types(format!("interface conversion: interface {{}} is {is}, not {wanted}"))
}

/// As Go does on amd64: what does not fit is the least integer.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn truncate(f: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f) { f as i64 } else { i64::MIN }
}
