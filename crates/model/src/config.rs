//! The configuration that a pod template refers to: which ConfigMaps and Secrets, and what has changed in them.
//!
//! Of a Secret nothing is known but when it was last written: its content is never read.

mod held;

pub use held::{Held, MOST, differing, hold, original, renamed, unpinned};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Stands before the digest of a binary value.
pub const BINARY: &str = "binary, sha256:";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConfigKind {
    ConfigMap,
    Secret,
}

impl ConfigKind {
    pub fn key(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// That a template reads an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub kind: ConfigKind,
    pub name: String,
    /// Pods start without it, too: every use of it says so.
    pub optional: bool,
}

/// What a template's containers and volumes read: `env`, `envFrom`, volumes and their projections. Each object once,
/// ConfigMaps first, by name.
pub fn references(template: &Value) -> Vec<Reference> {
    let mut found: BTreeMap<(ConfigKind, String), bool> = BTreeMap::new();
    let mut add = |kind, name: &Value, user: &Value| {
        if let Some(name) = name.as_str() {
            let optional = user["optional"] == true;
            found.entry((kind, name.to_owned())).and_modify(|all| *all &= optional).or_insert(optional);
        }
    };
    let spec = &template["spec"];
    for list in ["initContainers", "containers"] {
        for container in array(&spec[list]) {
            for from in array(&container["env"]).map(|e| &e["valueFrom"]) {
                let (map, secret) = (&from["configMapKeyRef"], &from["secretKeyRef"]);
                add(ConfigKind::ConfigMap, &map["name"], map);
                add(ConfigKind::Secret, &secret["name"], secret);
            }
            for from in array(&container["envFrom"]) {
                let (map, secret) = (&from["configMapRef"], &from["secretRef"]);
                add(ConfigKind::ConfigMap, &map["name"], map);
                add(ConfigKind::Secret, &secret["name"], secret);
            }
        }
    }
    for volume in array(&spec["volumes"]) {
        let (map, secret) = (&volume["configMap"], &volume["secret"]);
        add(ConfigKind::ConfigMap, &map["name"], map);
        add(ConfigKind::Secret, &secret["secretName"], secret);
        for source in array(&volume["projected"]["sources"]) {
            let (map, secret) = (&source["configMap"], &source["secret"]);
            add(ConfigKind::ConfigMap, &map["name"], map);
            add(ConfigKind::Secret, &secret["name"], secret);
        }
    }
    found.into_iter().map(|((kind, name), optional)| Reference { kind, name, optional }).collect()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// An object as it was at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub kind: ConfigKind,
    pub name: String,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does not exist.
    Absent,
    /// Tidegate may not read it, or could not: nothing is known.
    Unread,
    /// A ConfigMap's content; of binary values their digest.
    Content(BTreeMap<String, String>),
    /// A Secret, or a ConfigMap too large to keep: what tells one state of it from another.
    Mark(String),
}

/// What is different now in one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub kind: ConfigKind,
    pub name: String,
    /// `2 lines changed`, `written since`, `deleted since`.
    pub words: String,
    /// `- LOG_LEVEL: info`, `+ LOG_LEVEL: debug`. Empty where the content is not known.
    pub lines: Vec<String>,
}

/// Beyond so many lines a value is not compared line by line.
const LINES: usize = 1000;

/// What has changed from `then` to `now`. What is unknown on either side is no change.
pub fn changes(then: &[Kept], now: &[Kept]) -> Vec<Change> {
    let mut all = Vec::new();
    for before in then {
        let after = now.iter().find(|k| (k.kind, &k.name) == (before.kind, &before.name));
        let Some(after) = after else { continue };
        let (words, lines) = match (&before.state, &after.state) {
            (State::Unread, _) | (_, State::Unread) | (State::Absent, State::Absent) => continue,
            (State::Absent, _) => ("made since".to_owned(), Vec::new()),
            (_, State::Absent) => ("deleted since".to_owned(), Vec::new()),
            (State::Content(old), State::Content(new)) => {
                let lines = difference(old, new);
                match lines.len() {
                    0 => continue,
                    1 => ("1 line changed".to_owned(), lines),
                    n => (format!("{n} lines changed"), lines),
                }
            }
            (State::Mark(old), State::Mark(new)) if old == new => continue,
            (State::Mark(_), _) | (_, State::Mark(_)) => ("written since".to_owned(), Vec::new()),
        };
        all.push(Change { kind: before.kind, name: before.name.clone(), words, lines });
    }
    all
}

/// Line by line, each with its key: what went with a minus, what came with a plus.
fn difference(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut all = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key).map(String::as_str), new.get(key).map(String::as_str));
        if before == after {
            continue;
        }
        let lines =
            |text: Option<&str>| text.map(|t| t.lines().map(str::to_owned).collect()).unwrap_or_default();
        let (before, after): (Vec<String>, Vec<String>) = (lines(before), lines(after));
        if before.len().max(after.len()) > LINES {
            all.push(format!("~ {key}: more than {LINES} lines, and not the same"));
            continue;
        }
        let count = all.len();
        compare(&before, &after, |sign, line| all.push(format!("{sign} {key}: {line}")));
        if all.len() == count {
            all.push(format!("~ {key}: only in its line ends"));
        }
    }
    all
}

/// The longest common subsequence stays; the rest went or came, in reading order.
fn compare(old: &[String], new: &[String], mut told: impl FnMut(char, &str)) {
    let width = new.len() + 1;
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i * width + j] = if old[i] == new[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || i < old.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]
        {
            told('-', &old[i]);
            i += 1;
        } else {
            told('+', &new[j]);
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(name: &str, pairs: &[(&str, &str)]) -> Kept {
        let data = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Kept { kind: ConfigKind::ConfigMap, name: name.into(), state: State::Content(data) }
    }

    fn secret(state: State) -> Kept {
        Kept { kind: ConfigKind::Secret, name: "db".into(), state }
    }

    #[test]
    fn every_way_of_referring_is_found_once_and_needed_where_one_use_needs_it() {
        let template = json!({"spec": {
            "initContainers": [{"envFrom": [{"secretRef": {"name": "init", "optional": true}}]}],
            "containers": [{
                "env": [
                    {"name": "A", "value": "plain"},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b", "optional": true}}},
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "db", "key": "c"}}}],
                "envFrom": [{"configMapRef": {"name": "settings"}}]}],
            "volumes": [
                {"name": "v", "configMap": {"name": "files", "optional": true}},
                {"name": "w", "secret": {"secretName": "tls"}},
                {"name": "y", "projected": {"sources": [
                    {"configMap": {"name": "ca"}}, {"secret": {"name": "key"}}]}}]}});
        let found = references(&template);
        let words: Vec<_> = found
            .iter()
            .map(|r| format!("{} {}{}", r.kind.key(), r.name, if r.optional { "?" } else { "" }))
            .collect();
        assert_eq!(
            words,
            [
                "ConfigMap ca",
                "ConfigMap files?",
                "ConfigMap settings",
                "Secret db",
                "Secret init?",
                "Secret key",
                "Secret tls"
            ]
        );
    }

    #[test]
    fn a_changed_config_map_is_told_line_by_line() {
        let then = [map("web", &[("LEVEL", "info"), ("app.yaml", "a: 1\nb: 2\nc: 3\n"), ("gone", "x")])];
        let now = [map("web", &[("LEVEL", "debug"), ("app.yaml", "a: 1\nb: 5\nc: 3\nd: 4\n"), ("new", "y")])];
        let found = changes(&then, &now);
        assert_eq!(found[0].words, "7 lines changed");
        assert_eq!(
            found[0].lines,
            [
                "- LEVEL: info",
                "+ LEVEL: debug",
                "- app.yaml: b: 2",
                "+ app.yaml: b: 5",
                "+ app.yaml: d: 4",
                "- gone: x",
                "+ new: y"
            ]
        );
        assert_eq!(changes(&then, &then), []);
        let ends = changes(&[map("web", &[("a", "x\n")])], &[map("web", &[("a", "x")])]);
        assert_eq!(ends[0].lines, ["~ a: only in its line ends"]);
    }

    #[test]
    fn of_a_secret_only_that_it_was_written_is_told_and_what_is_unknown_is_no_change() {
        let mark = |m: &str| secret(State::Mark(m.into()));
        assert_eq!(changes(&[mark("1")], &[mark("2")])[0].words, "written since");
        assert_eq!(changes(&[mark("1")], &[mark("1")]), []);
        assert_eq!(changes(&[mark("1")], &[secret(State::Absent)])[0].words, "deleted since");
        assert_eq!(changes(&[secret(State::Absent)], &[mark("1")])[0].words, "made since");
        assert_eq!(changes(&[mark("1")], &[secret(State::Unread)]), []);
        assert_eq!(changes(&[mark("1")], &[]), []);
    }
}
