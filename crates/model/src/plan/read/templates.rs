//! The AnalysisTemplates that a plan names. Whether the cluster has them is asked elsewhere.

use super::names::is_name;
use crate::document::{Node, Walk};
use crate::plan::{FILLED, Template};
use std::collections::BTreeMap;

/// At one place. Each of their metrics is a query to Prometheus.
const MOST: usize = 10;
const MOST_ARGS: usize = 20;

pub(super) fn templates(walk: &mut Walk, path: &str, node: &Node) -> Vec<Template> {
    let items = walk.list(path, node).unwrap_or_default();
    if items.len() > MOST {
        walk.error(path, format!("Names {} templates; at most {MOST}. Remove some.", items.len()));
        return Vec::new();
    }
    let mut all: Vec<Template> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(read) = template(walk, &path, item) else { continue };
        if all.contains(&read) {
            walk.error(path, format!("`{}` stands twice with the same arguments. Keep one.", read.name));
        } else {
            all.push(read);
        }
    }
    all
}

fn template(walk: &mut Walk, path: &str, node: &Node) -> Option<Template> {
    if let Node::Text(_) = node {
        return Some(Template { name: name(walk, path, node)?, ..Template::default() });
    }
    let t = walk.map(path, node, &["name", "args", "cluster"])?;
    let read = t.need(walk, "name", "success-rate").and_then(|(p, n)| name(walk, &p, n));
    let cluster = t.get("cluster").map_or(Some(false), |(p, n)| match n {
        Node::Bool(yes) => Some(*yes),
        _ => {
            walk.error(p, format!("Must be true or false, not {}.", n.kind()));
            None
        }
    });
    let args = t.get("args").map_or_else(|| Some(BTreeMap::new()), |(p, n)| args(walk, &p, n));
    Some(Template { name: read?, cluster: cluster?, args: args? })
}

fn name(walk: &mut Walk, path: &str, node: &Node) -> Option<String> {
    let text = walk.text(path, node)?;
    if !is_name(text) {
        walk.error(
            path,
            "Is no name of an AnalysisTemplate: use lower-case letters, digits, `-` and `.`. Write `success-rate`.",
        );
        return None;
    }
    Some(text.to_owned())
}

fn args(walk: &mut Walk, path: &str, node: &Node) -> Option<BTreeMap<String, String>> {
    let map = walk.map(path, node, &[])?;
    if map.entries.len() > MOST_ARGS {
        walk.error(path, format!("Has {} arguments; at most {MOST_ARGS}.", map.entries.len()));
        return None;
    }
    let mut args = BTreeMap::new();
    for (key, node) in map.entries {
        let p = map.path(key);
        let Some(value) = walk.text(&p, node) else { continue };
        let mut unknown = Template::asks(value).filter(|name| !FILLED.contains(name));
        if let Some(name) = unknown.next() {
            let known: Vec<_> = FILLED.iter().map(|n| format!("{{{{{n}}}}}")).collect();
            walk.error(&p, format!("Nothing fills in `{{{{{name}}}}}`. Known: {}.", known.join(", ")));
        }
        args.insert(key.clone(), value.to_owned());
    }
    Some(args)
}
