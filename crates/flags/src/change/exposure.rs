//! Does a change give something to more users, or to others? Then it needs approval; taking something away does not.
//!
//! Whoever cannot be shown to be no better off counts as exposed: the rule errs towards asking.

use crate::file::{Condition, File, Flag, Prerequisite, Rule, Segment, Serve};
use crate::share::Share;
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What a change does to who gets a flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// The flag.
    pub key: String,
    /// Why more users may get it, or other ones, or something else.
    pub why: Vec<String>,
}

/// The flags that more users may get, or other ones, or that may be something else to them, after the change. Empty: nobody gets
/// anything that they did not get before.
pub fn raises_exposure(before: &File, after: &File) -> Vec<Exposure> {
    let was: HashMap<&str, &Flag> = before.flags.iter().map(|f| (f.key.as_str(), f)).collect();
    let is: HashMap<&str, &Flag> = after.flags.iter().map(|f| (f.key.as_str(), f)).collect();
    let mut found: Vec<Exposure> = Vec::new();
    let mut raised: HashSet<&str> = HashSet::new();
    for flag in &after.flags {
        let why = of_flag(before, after, was.get(flag.key.as_str()).copied(), flag);
        if !why.is_empty() {
            raised.insert(&flag.key);
            found.push(Exposure { key: flag.key.clone(), why });
        }
    }
    // A flag that asks for another one gives more when that one does; when it asks for a certain variant, any change may. Chains are
    // as long as a file may make them, so this ends soon.
    let other = |key: &str| was.get(key).map(|f| audience(f)) != is.get(key).map(|f| audience(f));
    loop {
        let more = after.flags.iter().filter(|f| !raised.contains(f.key.as_str()) && reaches(f));
        let next: Vec<(&Flag, &str)> = more
            .filter_map(|flag| {
                let met = |p: &&Prerequisite| {
                    raised.contains(p.flag.as_str()) || p.variant.is_some() && other(&p.flag)
                };
                flag.prerequisites.iter().find(met).map(|p| (flag, p.flag.as_str()))
            })
            .collect();
        if next.is_empty() {
            return found;
        }
        for (flag, needed) in next {
            raised.insert(&flag.key);
            let why = vec![format!("its prerequisite {needed} may now be met by more users")];
            found.push(Exposure { key: flag.key.clone(), why });
        }
    }
}

/// Can anybody be given it?
fn reaches(flag: &Flag) -> bool {
    let shares = flag.rules.iter().map(|r| r.percentage);
    flag.is_on() && shares.chain([flag.percentage]).any(|share| share > Share::NONE)
}

/// What decides who gets what.
fn audience(flag: &Flag) -> Flag {
    let mut flag = flag.clone();
    flag.enabled = flag.is_on();
    (flag.killed, flag.revision, flag.expires_at, flag.owner, flag.description) = Default::default();
    flag.kind = crate::file::Kind::default();
    flag
}

fn of_flag(before: &File, after: &File, was: Option<&Flag>, now: &Flag) -> Vec<String> {
    let mut why = Vec::new();
    // Of a flag that is off this is what everybody gets.
    match was.map(default_value) {
        Some(value) if value != default_value(now) => {
            why.push("whoever is not in gets something else".to_owned())
        }
        None if default_value(now).is_some_and(|v| v == Value::Bool(true)) => {
            why.push("it is new, and true for whoever is not in".to_owned());
        }
        Some(_) | None => {}
    }
    if !reaches(now) {
        return why;
    }
    let Some(was) = was.filter(|was| was.is_on()) else {
        why.push(format!("it is turned on, for {} of those it is for", now.percentage.words()));
        return why;
    };
    let mut say = |holds: bool, words: &str| {
        if holds {
            why.push(words.to_owned());
        }
    };
    say(was.all_variants() != now.all_variants(), "its variants are others");
    say(was.environment.is_some() && was.environment != now.environment, "it counts in another environment");
    let lost = was.prerequisites.iter().any(|p| !now.prerequisites.contains(p));
    say(lost, "a prerequisite is gone");
    let splits = [was, now].iter().any(|f| splits(f));
    say(splits && was.salt() != now.salt(), "its salt is another one, so other users are in");
    if was.rules.len() == now.rules.len() {
        for (i, (a, b)) in was.rules.iter().zip(&now.rules).enumerate() {
            let (a, b) = (effective(was, a), effective(now, b));
            if a.percentage < b.percentage {
                let (from, to) = (a.percentage.words(), b.percentage.words());
                why.push(format!("the share of rule {} rises from {from} to {to}", i + 1));
            }
            // Whoever a rule does not hold for any more meets the next one, which may give more.
            let same = a.conditions == b.conditions && a.serve == b.serve && a.rollout_by == b.rollout_by;
            if !same || moved(before, after, &a.conditions) {
                why.push(format!("rule {} is for others, or gives something else", i + 1));
            }
        }
    } else {
        why.push("it has more rules, or fewer".into());
    }
    let (a, b) = (own(was), own(now));
    if a.percentage < b.percentage {
        why.push(format!("the share rises from {} to {}", a.percentage.words(), b.percentage.words()));
    }
    // Of the last rule, whoever it does not hold for gets the default variant.
    if b.percentage > Share::NONE {
        if !a.conditions.iter().all(|c| b.conditions.contains(c)) {
            why.push("a condition is gone or asks for less".into());
        }
        if a.serve != b.serve {
            why.push("whoever is in gets another variant".into());
        }
        if a.rollout_by != b.rollout_by && splits {
            why.push("the share is of another attribute, so other users are in".into());
        }
        if moved(before, after, &b.conditions) {
            why.push("a segment that it asks for has others in it".into());
        }
    }
    why
}

fn default_value(flag: &Flag) -> Option<Value> {
    let name = flag.default_variant();
    flag.all_variants().into_iter().find(|v| v.name == name).map(|v| v.value)
}

/// Does the flag tell users apart by their bucket?
fn splits(flag: &Flag) -> bool {
    let part = |share: Share| share > Share::NONE && share < Share::ALL;
    let many = |serve: Option<&Serve>| matches!(serve, Some(Serve::Split(_)));
    part(flag.percentage)
        || many(flag.serve.as_ref())
        || flag.rules.iter().any(|r| part(r.percentage) || many(r.serve.as_ref()))
}

/// A rule with what it takes from its flag.
fn effective(flag: &Flag, rule: &Rule) -> Rule {
    Rule {
        name: None,
        serve: Some(rule.serve.clone().unwrap_or_else(|| flag.serve())),
        rollout_by: Some(rule.rollout_by.clone().unwrap_or_else(|| flag.rollout_by().to_owned())),
        ..rule.clone()
    }
}

fn own(flag: &Flag) -> Rule {
    Rule {
        name: None,
        conditions: flag.conditions.clone(),
        percentage: flag.percentage,
        serve: Some(flag.serve()),
        rollout_by: Some(flag.rollout_by().to_owned()),
    }
}

/// Does a segment that these conditions ask for say something else than it did?
fn moved(before: &File, after: &File, conditions: &[Condition]) -> bool {
    let of = |file: &File, name: &str| file.segment(name).map(|s: &Segment| s.conditions.clone());
    let asked = conditions.iter().filter(|c| c.operator.of_segment());
    asked.flat_map(Condition::operands).any(|name| of(before, name) != of(after, name))
}
