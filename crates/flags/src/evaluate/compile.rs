//! From a file to what can be asked a million times a second.

use super::{Compiled, CompiledRule, CompiledServe, Evaluator, State};
use crate::context::Attribute;
use crate::file::{Condition, File, Flag, Serve};
use crate::matcher::Test;
use crate::share::Share;
use std::collections::HashMap;
use std::sync::Arc;

type Segments<'f> = HashMap<&'f str, Arc<[Test]>>;

pub(super) fn compile(file: &File) -> Evaluator {
    let index: HashMap<Box<str>, usize> =
        file.flags.iter().enumerate().map(|(i, f)| (Box::from(f.key.as_str()), i)).collect();
    let segments: Segments<'_> = file
        .segments
        .iter()
        .filter_map(|s| Some((s.name.as_str(), tests(&s.conditions, &HashMap::new())?.into())))
        .collect();
    let flags = file.flags.iter().map(|flag| self::flag(file, flag, &index, &segments)).collect();
    Evaluator { flags, index }
}

/// A file was read without faults, so nothing is left out here; were it otherwise, what cannot be told is off.
fn flag(file: &File, flag: &Flag, index: &HashMap<Box<str>, usize>, segments: &Segments<'_>) -> Compiled {
    let variants: Vec<_> =
        flag.all_variants().into_iter().map(|v| (Box::<str>::from(v.name), v.value)).collect();
    let named = |name: &str| variants.iter().position(|(n, _)| **n == *name);
    let default = named(flag.default_variant()).unwrap_or(variants.len().saturating_sub(1));
    let serve = |serve: &Serve| match serve {
        Serve::One(name) => CompiledServe::One(named(name).unwrap_or(default)),
        Serve::Split(split) => {
            let mut below = 0;
            let bounds = split.iter().map(|(name, share)| {
                below += share.buckets();
                (below, named(name).unwrap_or(default))
            });
            CompiledServe::Split(bounds.collect())
        }
    };
    let of_flag = flag.serve();
    let rule = |name: &str, conditions: &[Condition], share: Share, own: Option<&Serve>, by: &str| {
        let tests = tests(conditions, segments);
        CompiledRule {
            name: name.into(),
            share: if tests.is_some() { share.buckets() } else { 0 },
            tests: tests.unwrap_or_default(),
            by: Attribute::new(by),
            serve: serve(own.unwrap_or(&of_flag)),
        }
    };
    let mut rules: Vec<_> = flag
        .rules
        .iter()
        .enumerate()
        .map(|(i, r)| {
            let by = r.rollout_by.as_deref().unwrap_or(flag.rollout_by());
            let name = r.name.clone().unwrap_or_else(|| format!("Rule {}", i + 1));
            rule(&name, &r.conditions, r.percentage, r.serve.as_ref(), by)
        })
        .collect();
    rules.push(rule("", &flag.conditions, flag.percentage, None, flag.rollout_by()));
    let prerequisites = flag.prerequisites.iter().filter_map(|needed| {
        let &i = index.get(needed.flag.as_str())?;
        let of = file.flags.get(i)?.all_variants();
        let wanted = needed.variant.as_ref().map(|name| of.iter().position(|v| v.name == *name));
        Some((i, wanted.map(|w| w.unwrap_or(usize::MAX))))
    });
    Compiled {
        key: flag.key.as_str().into(),
        state: match (flag.killed.is_some(), flag.enabled) {
            (true, _) => State::Killed,
            (false, true) => State::On,
            (false, false) => State::Off,
        },
        environment: flag.environment.as_deref().map(Into::into),
        salt: flag.salt().into(),
        prerequisites: prerequisites.collect(),
        rules,
        default,
        variants,
    }
}

/// `None` where one cannot be made.
fn tests(conditions: &[Condition], segments: &Segments<'_>) -> Option<Vec<Test>> {
    let segment = |name: &str| segments.get(name).cloned();
    conditions.iter().map(|c| Test::new(c, &segment)).collect::<Result<_, _>>().ok()
}
