//! JSON patches (RFC 6902) as values. Pure.

use serde_json::{Value, json};

/// A JSON patch that is being put together, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch(Vec<Value>);

impl Patch {
    pub fn new() -> Self {
        Self::default()
    }

    /// The patch fails as a whole unless `path` holds `value` when it is applied.
    #[must_use]
    pub fn test(self, path: &str, value: impl Into<Value>) -> Self {
        self.op("test", path, Some(value.into()))
    }

    /// As [`Patch::test`], before anything that the patch changes. `null` stands for nothing.
    #[must_use]
    pub(crate) fn first_test(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.0.insert(0, json!({"op": "test", "path": path, "value": value.into()}));
        self
    }

    /// Sets a value, whether it was there or not. The parent must be there.
    #[must_use]
    pub fn add(self, path: &str, value: impl Into<Value>) -> Self {
        self.op("add", path, Some(value.into()))
    }

    #[must_use]
    pub fn replace(self, path: &str, value: impl Into<Value>) -> Self {
        self.op("replace", path, Some(value.into()))
    }

    /// Takes a value away that may not be there. (A plain `remove` of an absent one fails the whole patch.)
    #[must_use]
    pub fn clear(self, path: &str) -> Self {
        self.op("add", path, Some(Value::Null)).op("remove", path, None)
    }

    #[must_use]
    pub fn remove(self, path: &str) -> Self {
        self.op("remove", path, None)
    }

    /// Sets annotations. `present` tells whether the object has any: a map that is not there has to be made,
    /// and must not be made over one that is.
    #[must_use]
    pub fn annotate(self, present: bool, pairs: &[(&str, &str)]) -> Self {
        if !present {
            let map: serde_json::Map<_, _> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect();
            return self.test("/metadata/annotations", Value::Null).add("/metadata/annotations", map);
        }
        pairs.iter().fold(self, |patch, (key, value)| patch.add(&annotation(key), *value))
    }

    fn op(mut self, op: &str, path: &str, value: Option<Value>) -> Self {
        self.0.push(match value {
            Some(value) => json!({"op": op, "path": path, "value": value}),
            None => json!({"op": op, "path": path}),
        });
        self
    }

    /// The document to send.
    pub fn value(self) -> Value {
        Value::Array(self.0)
    }

    /// The first `test` that `object` does not pass: its path, what was expected and what is there.
    pub fn first_failing<'a>(&'a self, object: &'a Value) -> Option<(&'a str, &'a Value, &'a Value)> {
        self.0.iter().filter(|op| op["op"] == "test").find_map(|op| {
            let path = op["path"].as_str()?;
            let found = object.pointer(path).unwrap_or(&Value::Null);
            (found != &op["value"]).then_some((path, &op["value"], found))
        })
    }
}

/// JSON pointer of an annotation: `/` and `~` in its key are escaped (RFC 6901).
pub(crate) fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", escaped(key))
}

/// A key as a part of a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_slash_and_tilde() {
        assert_eq!(annotation("tidegate.dev/a~b"), "/metadata/annotations/tidegate.dev~1a~0b");
    }

    #[test]
    fn the_first_failing_precondition_is_found() {
        let patch = Patch::new()
            .test("/status/stableRS", "aaa")
            .replace("/spec/replicas", 3)
            .test("/status/currentStepIndex", 1)
            .test("/metadata/annotations", Value::Null);
        let object = |step: i32| json!({"status": {"stableRS": "aaa", "currentStepIndex": step}});
        assert_eq!(patch.first_failing(&object(1)), None);
        assert_eq!(patch.first_failing(&object(2)), Some(("/status/currentStepIndex", &json!(1), &json!(2))));
    }
}
