//! ConfigMaps put back with the code: what the known-good version read is held, and put back as immutable copies that
//! only its own pods read. Pure.
//!
//! Nothing that exists is changed: other workloads, and the version that is left, keep what they read.

use super::{ConfigKind, Kept, Reference, State};
use crate::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Between the name of a ConfigMap and the hash of what a copy of it holds.
const MARK: &str = "-tidegate-";
/// Hexadecimal digits of that hash.
const DIGITS: usize = 10;
/// Longest name of an object, in bytes.
const LONGEST: usize = 253;
/// Largest sum of what is held for one version, in bytes: it goes through the journal and the release's record.
pub const MOST: usize = 128 * 1024;

/// What a ConfigMap held while its version carried all traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub name: String,
    pub data: BTreeMap<String, String>,
}

impl Held {
    /// Name of its copy: another content is another copy.
    pub fn copy(&self) -> String {
        let digest = canonical::digest(&serde_json::json!(self.data)).0;
        let hex = digest.trim_start_matches("sha256:");
        format!("{}{MARK}{}", self.name, hex.get(..DIGITS).unwrap_or(hex))
    }
}

/// The ConfigMap that a name of this form is a copy of.
pub fn original(name: &str) -> Option<&str> {
    let (original, hash) = name.rsplit_once(MARK)?;
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (hash.len() == DIGITS && hash.chars().all(hex) && !original.is_empty()).then_some(original)
}

/// What can be held of what a template refers to, and in words what cannot. Secrets are never read, and so never held;
/// copies do not change, and need not be.
pub fn hold(wanted: &[Reference], kept: &[Kept]) -> (Vec<Held>, Vec<String>) {
    let (mut held, mut not) = (Vec::new(), Vec::new());
    let mut size = 0;
    for r in wanted.iter().filter(|r| original(&r.name).is_none()) {
        let name = format!("{} {}", r.kind.key(), r.name);
        let state = kept.iter().find(|k| k.kind == r.kind && k.name == r.name).map(|k| &k.state);
        let data = match (r.kind, state) {
            (ConfigKind::Secret, _) => {
                not.push(format!("{name}: Tidegate never reads Secrets"));
                continue;
            }
            (_, Some(State::Content(data))) => data,
            (_, Some(State::Absent)) => continue,
            (_, Some(State::Mark(_))) => {
                not.push(format!("{name}: larger than 64 KiB"));
                continue;
            }
            (_, Some(State::Unread) | None) => {
                not.push(format!("{name}: it could not be read"));
                continue;
            }
        };
        let this = Held { name: r.name.clone(), data: data.clone() };
        size += data.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>();
        if data.values().any(|v| v.starts_with(super::BINARY)) {
            not.push(format!("{name}: it holds binary values"));
        } else if size > MOST {
            not.push(format!("{name}: all of them together are larger than {} KiB", MOST / 1024));
        } else if this.copy().len() > LONGEST {
            not.push(format!("{name}: its name is too long for a copy"));
        } else {
            held.push(this);
        }
    }
    (held, not)
}

/// Those that are not as they were: changed, or gone. What could not be read is left as it is.
pub fn differing<'a>(held: &'a [Held], now: &[Kept]) -> Vec<&'a Held> {
    let differs = |h: &&Held| {
        let state =
            now.iter().find(|k| k.kind == ConfigKind::ConfigMap && k.name == h.name).map(|k| &k.state);
        match state {
            Some(State::Content(data)) => *data != h.data,
            Some(State::Absent | State::Mark(_)) => true,
            Some(State::Unread) | None => false,
        }
    };
    held.iter().filter(differs).collect()
}

/// A template that reads other ConfigMaps: `rename` says which instead of which.
pub fn renamed(template: &Value, rename: impl Fn(&str) -> Option<String>) -> Value {
    let mut template = template.clone();
    let change = |user: &mut Value| {
        if let Some(new) = user["name"].as_str().and_then(&rename) {
            user["name"] = new.into();
        }
    };
    let Some(spec) = template.get_mut("spec") else { return template };
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            for env in items(container, "env") {
                env.pointer_mut("/valueFrom/configMapKeyRef").map(&change);
            }
            for from in items(container, "envFrom") {
                from.get_mut("configMapRef").map(&change);
            }
        }
    }
    for volume in items(spec, "volumes") {
        volume.get_mut("configMap").map(&change);
        for source in volume.get_mut("projected").into_iter().flat_map(|p| items(p, "sources")) {
            source.get_mut("configMap").map(&change);
        }
    }
    template
}

/// A template that reads the ConfigMaps themselves again, as their owner wrote it; `None` where it reads no copies.
pub fn unpinned(template: &Value) -> Option<Value> {
    let copies = super::references(template)
        .iter()
        .any(|r| r.kind == ConfigKind::ConfigMap && original(&r.name).is_some());
    copies.then(|| renamed(template, |name| original(name).map(str::to_owned)))
}

/// What is not there stays away: an index would put a `null` there.
fn items<'a>(value: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::references;
    use super::*;
    use serde_json::json;

    fn held(level: &str) -> Held {
        Held { name: "settings".into(), data: [("LEVEL".to_owned(), level.to_owned())].into() }
    }

    fn kept(state: State) -> Kept {
        Kept { kind: ConfigKind::ConfigMap, name: "settings".into(), state }
    }

    fn template() -> Value {
        json!({"spec": {
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "settings"}}]}],
            "containers": [{"image": "a:1", "env": [
                {"name": "A", "value": "settings"},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "settings", "key": "LEVEL"}}}]}],
            "volumes": [{"name": "settings", "configMap": {"name": "settings"}},
                {"name": "y", "projected": {"sources": [{"configMap": {"name": "settings"}}]}}]}})
    }

    #[test]
    fn a_copy_is_named_by_what_it_holds_and_tells_what_it_is_of() {
        let copy = held("info").copy();
        assert_eq!(copy, held("info").copy());
        assert_ne!(copy, held("debug").copy());
        assert_eq!(original(&copy), Some("settings"));
        for other in
            ["settings", "settings-tidegate-", "settings-tidegate-xyzxyzxyzx", "-tidegate-0123456789"]
        {
            assert_eq!(original(other), None, "{other}");
        }
    }

    #[test]
    fn every_use_of_a_config_map_reads_the_copy_and_afterwards_the_original_again() {
        let copy = held("info").copy();
        let pinned = renamed(&template(), |name| (name == "settings").then(|| copy.clone()));
        let names: Vec<_> = references(&pinned).into_iter().map(|r| (r.kind, r.name)).collect();
        assert_eq!(names, [(ConfigKind::ConfigMap, copy.clone()), (ConfigKind::Secret, "settings".into())]);
        assert_eq!(pinned.to_string().matches(&copy).count(), 4, "and neither a volume's name nor a value");
        assert_eq!(unpinned(&pinned), Some(template()));
        assert_eq!(unpinned(&template()), None);
    }

    #[test]
    fn what_is_the_same_is_left_and_what_could_not_be_read_too() {
        let all = [held("info")];
        let count = |state| differing(&all, &[kept(state)]).len();
        assert_eq!(count(State::Content(held("info").data)), 0);
        assert_eq!(count(State::Content(held("debug").data)), 1);
        assert_eq!(count(State::Absent), 1);
        assert_eq!(count(State::Unread), 0);
        assert_eq!(differing(&all, &[]).len(), 0);
    }

    #[test]
    fn what_cannot_be_held_is_said() {
        let wanted = references(&template());
        let with = |state| hold(&wanted, &[kept(state)]);
        let (all, not) = with(State::Content(held("info").data));
        assert_eq!(all, [held("info")]);
        assert_eq!(not, ["Secret settings: Tidegate never reads Secrets"]);
        let binary = [("a".to_owned(), format!("{}0", super::super::BINARY))].into();
        let large = [("a".to_owned(), "x".repeat(MOST + 1))].into();
        for (state, why) in [
            (State::Content(binary), "binary values"),
            (State::Content(large), "larger than 128 KiB"),
            (State::Mark("7".into()), "larger than 64 KiB"),
            (State::Unread, "could not be read"),
        ] {
            let (all, not) = with(state);
            assert!(all.is_empty() && not[0].contains(why), "{not:?}");
        }
    }
}
