//! Reading a plan from YAML or JSON: every error at once, each at its field.
//!
//! What is read is complete: defaults are filled in, so that the digest is of everything that will be done and a
//! later default changes no plan that was approved.

mod names;
mod parts;
mod steps;
mod templates;
#[cfg(test)]
mod tests;

use super::{API_VERSION, Plan};
use crate::document::walk::Fields;
use crate::document::{Node, Walk};
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
/// 413 above 256 KiB; 400 when the text is not YAML, naming line and column, or unfolds to more than a plan can be;
/// 422 with every broken rule at its field.
pub fn from_yaml(text: &str) -> Result<Read, Problem> {
    read(&Node::parse(text)?)
}

/// Reads a JSON value.
///
/// # Errors
/// 400 when it is nested too deep; 422 with every broken rule at its field.
pub fn from_value(value: &Value) -> Result<Read, Problem> {
    read(&Node::of(value)?)
}

fn read(node: &Node) -> Result<Read, Problem> {
    let mut walk = Walk::default();
    walk.texts("", node);
    let plan = document(&mut walk, node);
    match plan {
        Some(plan) if walk.errors.is_empty() => Ok(Read { plan, warnings: walk.warnings }),
        _ => Err(Problem::invalid(walk.errors)),
    }
}

fn document(walk: &mut Walk, node: &Node) -> Option<Plan> {
    if *node == Node::Null {
        walk.error("", format!("The document is empty. Begin with `apiVersion: {API_VERSION}`."));
        return None;
    }
    let top = walk.map("", node, &["apiVersion", "kind", "metadata", "spec"])?;
    exactly(walk, &top, "apiVersion", API_VERSION);
    exactly(walk, &top, "kind", "Plan");
    let metadata = top.need(walk, "metadata", "{name: …, service: …, environment: …}");
    let metadata = metadata.and_then(|(path, node)| parts::metadata(walk, &path, node));
    let environment = metadata.as_ref().map(|m| m.environment.clone());
    let spec = top.need(walk, "spec", "{change: …, strategy: …}");
    let spec = spec.and_then(|(path, node)| parts::spec(walk, &path, node, environment.as_deref()));
    Some(Plan { api_version: API_VERSION.into(), kind: "Plan".into(), metadata: metadata?, spec: spec? })
}

fn exactly(walk: &mut Walk, top: &Fields<'_>, key: &str, value: &str) {
    if let Some((path, node)) = top.need(walk, key, value)
        && let Some(said) = walk.text(&path, node)
        && said != value
    {
        walk.error(path, format!("Must be `{value}`, not `{said}`."));
    }
}
