//! Walking a document: each value taken at its path, each fault noted there, none the last.

use super::tree::Node;
use crate::problem::FieldError;

/// A document with more faults than this is not a plan with faults.
const MOST_ERRORS: usize = 100;
/// Longest text, in bytes.
const LONGEST: usize = 2048;

/// Faults and remarks found so far.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) errors: Vec<FieldError>,
    pub(crate) warnings: Vec<FieldError>,
}

impl Walk {
    pub(crate) fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(FieldError::new(field, message));
        }
    }

    pub(crate) fn warn(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.warnings.len() < MOST_ERRORS {
            self.warnings.push(FieldError::new(field, message));
        }
    }

    /// What holds for every text wherever it stands. What an approver cannot see, no plan may say.
    pub(crate) fn texts(&mut self, path: &str, node: &Node) {
        match node {
            Node::Text(text) => self.text_rules(path, text),
            Node::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.texts(&format!("{path}[{i}]"), item);
                }
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    self.text_rules(path, key);
                    self.texts(&at(path, key), value);
                }
            }
            Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) => {}
        }
    }

    fn text_rules(&mut self, path: &str, text: &str) {
        if text.len() > LONGEST {
            self.error(path, "Longer than 2 KiB. Shorten it.");
        }
        if text.chars().any(hidden) {
            self.error(
                path,
                "Holds control or invisible characters. Remove them: approvers cannot see them.",
            );
        }
        if text.contains("${") {
            self.error(path, "Holds ${…}, which nobody fills in. Write the value itself.");
        }
    }

    /// A map whose fields are `known`. `None`, with the fault noted, when it is something else.
    pub(crate) fn map<'n>(&mut self, path: &str, node: &'n Node, known: &[&str]) -> Option<Fields<'n>> {
        let Node::Map(entries) = node else {
            let example = known.first().copied().unwrap_or("name");
            self.error(path, format!("Must be a map, as in `{example}: …`, not {}.", node.kind()));
            return None;
        };
        let mut seen: Vec<&str> = Vec::new();
        for (key, _) in entries {
            if seen.contains(&key.as_str()) {
                self.error(at(path, key), format!("`{key}` is given twice. Keep one."));
            } else if !known.is_empty() && !known.contains(&key.as_str()) {
                self.error(at(path, key), unknown(key, known));
            }
            seen.push(key);
        }
        Some(Fields { path: path.to_owned(), entries })
    }

    pub(crate) fn list<'n>(&mut self, path: &str, node: &'n Node) -> Option<&'n [Node]> {
        match node {
            Node::List(items) => Some(items),
            _ => {
                self.error(path, format!("Must be a list, as in `[…]`, not {}.", node.kind()));
                None
            }
        }
    }

    pub(crate) fn text<'n>(&mut self, path: &str, node: &'n Node) -> Option<&'n str> {
        match node {
            Node::Text(text) => Some(text),
            Node::Int(_) | Node::Float(_) | Node::Bool(_) => {
                self.error(path, format!("Must be text, not {}. Put it in quotes.", node.kind()));
                None
            }
            Node::Null => {
                self.error(path, "Is empty. Fill it in or remove it.");
                None
            }
            Node::List(_) | Node::Map(_) => {
                self.error(path, format!("Must be text, not {}.", node.kind()));
                None
            }
        }
    }

    /// A whole number within a range.
    pub(crate) fn whole(&mut self, path: &str, node: &Node, least: i64, most: i64) -> Option<i64> {
        let n = match node {
            Node::Int(n) => Some(*n),
            Node::Float(f) if f.fract() == 0.0 && f.abs() < 9e15 => Some(*f as i64),
            Node::Float(_) | Node::Null | Node::Bool(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => {
                None
            }
        };
        match n {
            Some(n) if (least..=most).contains(&n) => Some(n),
            Some(n) => {
                self.error(path, format!("Must be a whole number from {least} to {most}, not {n}."));
                None
            }
            None => {
                let hint =
                    if matches!(node, Node::Text(_)) { " Write it without quotes and units." } else { "" };
                let said = said(node);
                self.error(path, format!("Must be a whole number from {least} to {most}, not {said}.{hint}"));
                None
            }
        }
    }

    /// A number within a range.
    pub(crate) fn number(&mut self, path: &str, node: &Node, least: f64, most: f64) -> Option<f64> {
        let n = match node {
            Node::Int(n) => Some(*n as f64),
            Node::Float(f) => Some(*f),
            Node::Null | Node::Bool(_) | Node::Text(_) | Node::List(_) | Node::Map(_) => None,
        };
        // Three decimals survive every way of writing a number down, so the digest does.
        if let Some(n) = n.filter(|n| (least..=most).contains(n))
            && (n * 1000.0).round() / 1000.0 != n
        {
            self.error(path, format!("Must have at most three decimals, not {n}."));
            return None;
        }
        match n.filter(|n| (least..=most).contains(n)) {
            Some(n) => Some(n),
            None => {
                let said = said(node);
                self.error(path, format!("Must be a number from {least} to {most}, not {said}."));
                None
            }
        }
    }
}

fn said(node: &Node) -> String {
    match node {
        Node::Text(text) if text.len() <= 40 => format!("`{text}`"),
        Node::Int(n) => n.to_string(),
        Node::Float(n) => n.to_string(),
        Node::Text(_) | Node::Null | Node::Bool(_) | Node::List(_) | Node::Map(_) => node.kind().to_owned(),
    }
}

/// The entries of a map that was checked for unknown and repeated fields.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    path: String,
    pub(crate) entries: &'n [(String, Node)],
}

impl<'n> Fields<'n> {
    pub(crate) fn path(&self, key: &str) -> String {
        at(&self.path, key)
    }

    /// A field that may be absent; an empty one counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<(String, &'n Node)> {
        let found = self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        found.filter(|v| **v != Node::Null).map(|v| (self.path(key), v))
    }

    /// A field that must be there.
    pub(crate) fn need(&self, walk: &mut Walk, key: &str, example: &str) -> Option<(String, &'n Node)> {
        let found = self.get(key);
        if found.is_none() {
            walk.error(self.path(key), format!("Is missing. Write `{key}: {example}`."));
        }
        found
    }
}

/// The path of a key within a map.
pub(crate) fn at(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn unknown(key: &str, known: &[&str]) -> String {
    let near = known.iter().map(|k| (distance(key, k), k)).min().filter(|(d, k)| *d <= 1 + k.len() / 4);
    match near {
        Some((_, near)) => format!("There is no field `{key}` here. Did you mean `{near}`?"),
        None => format!("There is no field `{key}` here. Known: {}.", known.join(", ")),
    }
}

/// Letters to add, drop or change to get from one word to the other; case counts for nothing.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = cost.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Characters that do not show, or that change how others show.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
