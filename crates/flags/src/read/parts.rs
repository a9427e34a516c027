//! The parts of a flag: conditions, variants, rules and the rest.

use super::{Faults, Fields, at};
use crate::file::{Condition, Flag, Killed, OFF, ON, Operator, Prerequisite, Rule, Serve, Variant};
use crate::share::{BUCKETS, Share};
use crate::tree::{Node, Scalar, What};
use serde_json::{Map, Number, Value};

const CONDITION: [&str; 4] = ["type", "operator", "value", "values"];
const RULE: [&str; 6] = ["name", "conditions", "percentage", "serve", "rollout_by", "description"];

pub(super) fn conditions(faults: &mut Faults, path: &str, node: &Node) -> Vec<Condition> {
    let items = faults.list(path, node).unwrap_or_default();
    let each = items.iter().enumerate();
    let found: Vec<_> =
        each.filter_map(|(i, item)| condition(faults, &format!("{path}[{i}]"), item)).collect();
    // A condition that got lost without a word would open the flag to everybody.
    if found.len() < items.len() && faults.is_clean() {
        faults.add(path, node.line, "One of these conditions cannot be read. Write it more plainly.");
    }
    found
}

fn condition(faults: &mut Faults, path: &str, node: &Node) -> Option<Condition> {
    let fields = faults.fields(path, node, &CONDITION)?;
    let Some((place, given)) = fields.get("operator") else {
        faults.add(at(path, "operator"), node.line, "Is missing. Write `operator: equals`, or another.");
        return None;
    };
    let text = faults.text(&place, given)?;
    let Some(operator) = Operator::parse(&text) else {
        let known: Vec<_> = Operator::ALL.iter().map(|o| o.key()).collect();
        let near = known.iter().map(|k| (super::distance(&text, k), k)).min().filter(|(d, _)| *d <= 3);
        let hint = near.map(|(_, k)| format!(" Did you mean `{k}`?")).unwrap_or_default();
        let said = format!("`{text}` is no operator.{hint} Known: {}.", known.join(", "));
        faults.add(place, given.line, said);
        return None;
    };
    let attribute = match fields.letters(faults, "type") {
        Some(attribute) => attribute,
        None if fields.get("type").is_some() => return None,
        None if operator.of_segment() => "segment".to_owned(),
        None => {
            faults.add(
                at(path, "type"),
                node.line,
                "Is missing. Write which attribute, as in `type: country`.",
            );
            return None;
        }
    };
    let value = match fields.get("value") {
        Some((place, node)) => Some(faults.letters(&place, node)?),
        None => None,
    };
    let mut values = Vec::new();
    if let Some((place, node)) = fields.get("values") {
        for (i, item) in faults.list(&place, node).unwrap_or_default().iter().enumerate() {
            values.extend(faults.text(&format!("{place}[{i}]"), item));
        }
    }
    let condition = Condition { attribute, operator, value, values };
    // Whether a segment is there is asked when all are known.
    if !operator.of_segment()
        && let Err(said) = crate::matcher::Test::new(&condition, &|_| None)
    {
        let place = if condition.value.is_some() { "value" } else { "values" };
        faults.add(at(path, place), fields.line(place), said);
    }
    Some(condition)
}

pub(super) fn variants(faults: &mut Faults, path: &str, node: &Node) -> Vec<Variant> {
    let mut found: Vec<Variant> = Vec::new();
    for entry in faults.map(path, node).unwrap_or_default() {
        let place = at(path, &entry.key);
        if entry.key.is_empty() || entry.key.chars().any(super::hidden) {
            faults.add(&place, entry.line, "A variant needs a name that can be read. Rename it.");
        }
        let Some(value) = json(faults, &place, &entry.value) else { continue };
        let said = match kind(&value) {
            None if value.is_null() => Some("Is empty. Write its value.".to_owned()),
            None => Some("A list cannot be handed out. Put it into a map, as in `{items: […]}`.".to_owned()),
            Some(kind) => found
                .first()
                .and_then(|first| self::kind(&first.value).map(|k| (k, &first.name)))
                .and_then(|(first, name)| {
                    (first != kind).then(|| {
                        format!("Is {kind}, but `{name}` is {first}. All variants of a flag are of one kind.")
                    })
                }),
        };
        if let Some(said) = said {
            faults.add(place, entry.line, said);
        }
        found.push(Variant { name: entry.key.clone(), value });
    }
    if found.is_empty() {
        faults.add(
            path,
            node.line,
            "Has no variants. Name two, as in `{new: true, old: false}`, or remove the field.",
        );
    }
    found
}

fn kind(value: &Value) -> Option<&'static str> {
    match value {
        Value::Bool(_) => Some("true or false"),
        Value::Number(_) => Some("a number"),
        Value::String(_) => Some("text"),
        Value::Object(_) => Some("a map"),
        Value::Null | Value::Array(_) => None,
    }
}

/// A value as JSON has it.
fn json(faults: &mut Faults, path: &str, node: &Node) -> Option<Value> {
    Some(match &node.what {
        What::List { items, .. } => {
            let each = items.iter().enumerate();
            Value::Array(each.filter_map(|(i, n)| json(faults, &format!("{path}[{i}]"), n)).collect())
        }
        What::Map { .. } => {
            let mut map = Map::new();
            for entry in faults.map(path, node)? {
                map.insert(entry.key.clone(), json(faults, &at(path, &entry.key), &entry.value)?);
            }
            Value::Object(map)
        }
        What::Scalar { text, .. } => match node.scalar() {
            Some(Scalar::Bool(truth)) => Value::Bool(truth),
            Some(Scalar::Null) | None => Value::Null,
            Some(Scalar::Text(_)) => Value::String(text.clone()),
            Some(Scalar::Number(text)) => {
                let whole =
                    text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
                let number = whole.ok().or_else(|| {
                    // A whole number that no reader keeps whole is refused rather than rounded.
                    let rounds = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+'));
                    (!rounds).then(|| text.parse().ok().and_then(Number::from_f64)).flatten()
                });
                let Some(number) = number else {
                    let said = "Is larger than programs can hold. Put it in quotes, or make it smaller.";
                    faults.add(path, node.line, said);
                    return None;
                };
                Value::Number(number)
            }
        },
    })
}

pub(super) fn serve(faults: &mut Faults, path: &str, node: &Node) -> Option<Serve> {
    if node.entries().is_none() {
        return faults.text(path, node).map(Serve::One);
    }
    let mut split = Vec::new();
    let mut whole = true;
    for entry in faults.map(path, node)? {
        let share = faults.share(&at(path, &entry.key), &entry.value);
        whole &= share.is_some();
        split.push((entry.key.clone(), share.unwrap_or(Share::NONE)));
    }
    let sum: u64 = split.iter().map(|(_, share)| u64::from(share.buckets())).sum();
    if whole && sum != u64::from(BUCKETS) {
        let (whole, part) = (sum / 1000, sum % 1000);
        let said = format!("The shares come to {whole}.{part:03}, not to 100. Change one of them.");
        faults.add(path, node.line, said);
    }
    Some(Serve::Split(split))
}

pub(super) fn rules(faults: &mut Faults, path: &str, node: &Node) -> Vec<Rule> {
    let mut found = Vec::new();
    for (i, item) in faults.list(path, node).unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(fields) = faults.fields(&path, item, &RULE) else { continue };
        let mut rule = Rule { percentage: Share::ALL, ..Rule::default() };
        rule.name = fields.text(faults, "name");
        rule.rollout_by = fields.text(faults, "rollout_by");
        if fields.get("percentage").is_some() {
            rule.percentage = fields.share(faults, "percentage").unwrap_or(Share::NONE);
        }
        if let Some((path, node)) = fields.get("conditions") {
            rule.conditions = conditions(faults, &path, node);
        } else {
            let said = "Has no conditions, so that nothing after it is ever asked. Write them, or use the flag's own fields.";
            faults.add(at(&path, "conditions"), item.line, said);
        }
        if let Some((path, node)) = fields.get("serve") {
            rule.serve = serve(faults, &path, node);
        }
        found.push(rule);
    }
    found
}

pub(super) fn prerequisites(faults: &mut Faults, path: &str, node: &Node) -> Vec<Prerequisite> {
    let mut found = Vec::new();
    for (i, item) in faults.list(path, node).unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{i}]");
        if item.entries().is_none() {
            found.extend(faults.text(&path, item).map(|flag| Prerequisite { flag, variant: None }));
            continue;
        }
        let Some(fields) = faults.fields(&path, item, &["flag", "variant"]) else { continue };
        let variant = fields.text(faults, "variant");
        match fields.text(faults, "flag") {
            Some(flag) => found.push(Prerequisite { flag, variant }),
            None => faults.add(
                at(&path, "flag"),
                item.line,
                "Is missing. Write `flag: …`: which must be on first.",
            ),
        }
    }
    found
}

pub(super) fn killed(faults: &mut Faults, path: &str, node: &Node) -> Option<Killed> {
    let fields = faults.fields(path, node, &["at", "by", "reason"])?;
    let (at, by) = (fields.moment(faults, "at"), fields.text(faults, "by"));
    let reason = fields.text(faults, "reason");
    for key in ["at", "by", "reason"] {
        if fields.get(key).is_none() {
            faults.add(
                fields.path(key),
                fields.line(key),
                "Is missing: a kill switch says when, who and why.",
            );
        }
    }
    if (at.is_none() || by.is_none() || reason.is_none()) && faults.is_clean() {
        faults.add(path, node.line, "Cannot be read. Write it as `{at: 2026-11-22, by: ann, reason: why}`.");
    }
    Some(Killed { at: at?, by: by?, reason: reason? })
}

/// Names of variants that are used and not there, and what cannot be told.
pub(super) fn agree(faults: &mut Faults, path: &str, fields: &Fields<'_>, flag: &Flag) {
    let names: Vec<&str> = if flag.variants.is_empty() {
        vec![ON, OFF]
    } else {
        flag.variants.iter().map(|v| v.name.as_str()).collect()
    };
    let mut known = |name: &str, place: String, line: usize| {
        if !names.contains(&name) {
            let said = format!("There is no variant `{name}`. Known: {}.", names.join(", "));
            faults.add(place, line, said);
        }
    };
    if let Some(name) = &flag.default_variant {
        known(name, fields.path("default_variant"), fields.line("default_variant"));
    }
    let line = fields.line("serve");
    each_served(flag.serve.as_ref(), |name| known(name, fields.path("serve"), line));
    let line = fields.line("rules");
    for (i, rule) in flag.rules.iter().enumerate() {
        each_served(rule.serve.as_ref(), |name| known(name, format!("{path}.rules[{i}].serve"), line));
    }
    if !flag.variants.is_empty() && flag.default_variant.is_none() {
        let said = format!(
            "Is missing. Write `default_variant: {}`, or another: whoever is not in gets it.",
            names[names.len() - 1]
        );
        faults.add(fields.path("default_variant"), fields.line("variants"), said);
    }
    let untold =
        flag.serve.is_none() && (flag.rules.is_empty() || flag.rules.iter().any(|r| r.serve.is_none()));
    if flag.variants.len() > 2 && untold {
        let said = format!(
            "Is missing. Write which of the {} variants users get who are in, as in `serve: {}` or shares that come to 100.",
            names.len(),
            names[0]
        );
        faults.add(fields.path("serve"), fields.line("variants"), said);
    }
}

fn each_served(serve: Option<&Serve>, mut each: impl FnMut(&str)) {
    match serve {
        None => {}
        Some(Serve::One(name)) => each(name),
        Some(Serve::Split(split)) => split.iter().for_each(|(name, _)| each(name)),
    }
}
