//! What changed from one file to another, field by field, in words for the history.

use crate::file::{Condition, File, Flag, Segment, Serve};
use crate::share::Share;
use crate::write::date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A flag or a segment that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    Added { key: String, fields: Vec<FieldChange> },
    Removed { key: String, fields: Vec<FieldChange> },
    Changed { key: String, fields: Vec<FieldChange> },
}

/// A field that changed. What was not there is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// `percentage`, `rules[0].percentage`.
    pub field: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

impl FieldChange {
    /// "percentage 31 % → 40 %".
    pub fn words(&self) -> String {
        let name = &self.field;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => format!("{name} {from} → {to}"),
            (None, Some(to)) => format!("{name} {to} added"),
            (Some(from), None) => format!("{name} {from} removed"),
            (None, None) => name.clone(),
        }
    }
}

impl Change {
    /// The flag's key; of a segment `$segments.staff`.
    pub fn key(&self) -> &str {
        match self {
            Self::Added { key, .. } | Self::Removed { key, .. } | Self::Changed { key, .. } => key,
        }
    }

    pub fn fields(&self) -> &[FieldChange] {
        match self {
            Self::Added { fields, .. } | Self::Removed { fields, .. } | Self::Changed { fields, .. } => {
                fields
            }
        }
    }

    /// "checkout-new-tax: percentage 31 % → 40 %".
    pub fn words(&self) -> String {
        let said = |each: fn(&FieldChange) -> String, fields: &[FieldChange]| {
            fields.iter().map(each).collect::<Vec<_>>().join(", ")
        };
        let plain = |f: &FieldChange| {
            format!("{} {}", f.field, f.to.as_ref().or(f.from.as_ref()).map_or("", String::as_str))
        };
        match self {
            Self::Added { key, fields } => format!("{key} added: {}", said(plain, fields)),
            Self::Removed { key, fields } => format!("{key} removed; it was: {}", said(plain, fields)),
            Self::Changed { key, fields } => format!("{key}: {}", said(FieldChange::words, fields)),
        }
    }
}

/// Every flag and segment that is not what it was, by key. Nothing where both files say the same, however they are written.
pub fn diff(before: &File, after: &File) -> Vec<Change> {
    let all = |file: &File| -> BTreeMap<String, Vec<(String, String)>> {
        let segments = file.segments.iter().map(|s| (format!("$segments.{}", s.name), of_segment(s)));
        file.flags.iter().map(|f| (f.key.clone(), of_flag(f))).chain(segments).collect()
    };
    let (before, after) = (all(before), all(after));
    let mut found = Vec::new();
    for (key, fields) in &before {
        let change = match after.get(key) {
            Some(now) if now == fields => continue,
            Some(now) => Change::Changed { key: key.clone(), fields: between(fields, now) },
            None => Change::Removed { key: key.clone(), fields: between(fields, &[]) },
        };
        found.push(change);
    }
    for (key, fields) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        found.push(Change::Added { key: key.clone(), fields: between(&[], fields) });
    }
    found.sort_by(|a, b| a.key().cmp(b.key()));
    found
}

fn between(before: &[(String, String)], after: &[(String, String)]) -> Vec<FieldChange> {
    let value =
        |of: &[(String, String)], field: &str| of.iter().find(|(f, _)| f == field).map(|(_, v)| v.clone());
    let gone = before.iter().filter(|(field, _)| value(after, field).is_none());
    let all = after.iter().chain(gone);
    let each = all.map(|(field, _)| FieldChange {
        field: field.clone(),
        from: value(before, field),
        to: value(after, field),
    });
    each.filter(|change| change.from != change.to).collect()
}

/// The fields of a flag as they are said in the history, in the order of the file.
fn of_flag(flag: &Flag) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut put = |field: String, value: Option<String>| all.extend(value.map(|v| (field, v)));
    put("enabled".into(), Some(flag.enabled.to_string()));
    put("percentage".into(), Some(flag.percentage.words()));
    put("environment".into(), flag.environment.clone());
    for (i, condition) in flag.conditions.iter().enumerate() {
        put(format!("conditions[{i}]"), Some(full(condition)));
    }
    for (i, rule) in flag.rules.iter().enumerate() {
        put(format!("rules[{i}].name"), rule.name.clone());
        for (n, condition) in rule.conditions.iter().enumerate() {
            put(format!("rules[{i}].conditions[{n}]"), Some(full(condition)));
        }
        put(format!("rules[{i}].percentage"), Some(rule.percentage.words()));
        put(format!("rules[{i}].serve"), rule.serve.as_ref().map(serve));
        put(format!("rules[{i}].rollout_by"), rule.rollout_by.clone());
    }
    for variant in &flag.variants {
        put(format!("variants.{}", variant.name), Some(variant.value.to_string()));
    }
    put("default_variant".into(), flag.default_variant.clone());
    put("serve".into(), flag.serve.as_ref().map(serve));
    for (i, needed) in flag.prerequisites.iter().enumerate() {
        let words = match &needed.variant {
            Some(variant) => format!("{} is {variant}", needed.flag),
            None => format!("{} is on", needed.flag),
        };
        put(format!("prerequisites[{i}]"), Some(words));
    }
    put("salt".into(), flag.salt.clone());
    put("rollout_by".into(), flag.rollout_by.clone());
    put("type".into(), Some(flag.kind.key().to_owned()));
    put("owner".into(), flag.owner.clone());
    put("description".into(), flag.description.clone());
    put("expires_at".into(), flag.expires_at.map(date));
    put("killed".into(), flag.killed.as_ref().map(|k| format!("{} by {}: {}", date(k.at), k.by, k.reason)));
    put("revision".into(), flag.revision.map(|n| n.to_string()));
    all
}

fn of_segment(segment: &Segment) -> Vec<(String, String)> {
    let each = segment.conditions.iter().enumerate();
    let conditions = each.map(|(i, c)| (format!("conditions[{i}]"), full(c)));
    segment.description.iter().map(|d| ("description".to_owned(), d.clone())).chain(conditions).collect()
}

/// With every value: what is shortened could hide the difference.
fn full(condition: &Condition) -> String {
    let of = if condition.operator.of_segment() { "the user" } else { &condition.attribute };
    let comma = condition.value.iter().chain(&condition.values).cloned().collect::<Vec<_>>().join(", ");
    format!("{of} {} {comma}", condition.operator.words())
}

fn serve(serve: &Serve) -> String {
    let share = |(name, share): &(String, Share)| format!("{name} {}", share.words());
    match serve {
        Serve::One(name) => name.clone(),
        Serve::Split(split) => split.iter().map(share).collect::<Vec<_>>().join(", "),
    }
}
