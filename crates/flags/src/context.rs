//! Who asks: a targeting key and attributes, as OpenFeature's evaluation context has them.

use crate::file::TARGETING_KEY;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Attributes of whoever asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context(Map<String, Value>);

impl From<Map<String, Value>> for Context {
    fn from(attributes: Map<String, Value>) -> Self {
        Self(attributes)
    }
}

impl Context {
    /// Somebody of whom only the targeting key is known.
    pub fn of(targeting_key: &str) -> Self {
        Self::default().with(TARGETING_KEY, targeting_key)
    }

    #[must_use]
    pub fn with(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.0.insert(attribute.to_owned(), value.into());
        self
    }

    pub fn attributes(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The targeting key, if it can tell somebody apart: text that is not empty.
    pub fn targeting_key(&self) -> Option<&str> {
        self.0.get(TARGETING_KEY).and_then(Value::as_str).filter(|key| !key.is_empty())
    }
}

/// An attribute's name, ready to be looked up.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) name: Box<str>,
    /// `user.country` is also looked for within `user`, where there is no attribute of the whole name.
    nested: bool,
}

impl Attribute {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), nested: name.contains('.') }
    }

    /// `None` for what is missing; `null` is missing.
    pub(crate) fn of<'c>(&self, context: &'c Context) -> Option<&'c Value> {
        if let Some(value) = context.0.get(&*self.name) {
            return (!value.is_null()).then_some(value);
        }
        if !self.nested {
            return None;
        }
        let mut parts = self.name.split('.');
        let mut value = context.0.get(parts.next()?)?;
        for part in parts {
            value = value.as_object()?.get(part)?;
        }
        (!value.is_null()).then_some(value)
    }
}

/// What is hashed of an attribute: text, or a whole number in decimal digits. Nothing else is written alike in every language.
pub(crate) fn hashed<'v>(value: &'v Value, digits: &'v mut String) -> Option<&'v str> {
    match value {
        Value::String(text) => (!text.is_empty()).then_some(text.as_str()),
        Value::Number(n) if n.is_i64() || n.is_u64() => {
            digits.clear();
            write!(digits, "{n}").ok()?;
            Some(digits)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
