//! The one way through a flag: the answer and its explanation are the same walk, silent or told.

use super::{Answer, Compiled, CompiledRule, CompiledServe, ErrorCode, Evaluator, Reason, State};
use crate::context::{Context, hashed};
use crate::file::TARGETING_KEY;
use crate::hash::{bucket, variant_bucket};
use crate::share::{BUCKETS, Share};

/// One step of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Did it lead on?
    pub(crate) passed: bool,
    pub(crate) title: String,
    pub(crate) words: String,
}

/// Whoever listens to the walk. The words are only made for one who does.
pub(crate) trait Trace {
    fn step(&mut self, step: impl FnOnce() -> Step);
    fn bucket(&mut self, bucket: u32, share: u32);
}

pub(super) struct Silent;

impl Trace for Silent {
    fn step(&mut self, _: impl FnOnce() -> Step) {}
    fn bucket(&mut self, _: u32, _: u32) {}
}

pub(super) fn walk<'e>(
    all: &'e Evaluator,
    i: usize,
    context: &Context,
    environment: Option<&str>,
    trace: &mut impl Trace,
) -> Answer<'e> {
    let flag = &all.flags[i];
    let (variant, reason, error) = decide(all, flag, context, environment, trace);
    let (name, value) = match flag.variants.get(variant) {
        Some((name, value)) => (Some(&**name), Some(value)),
        None => (None, None),
    };
    Answer { value, variant: name, reason, error }
}

type Decided = (usize, Reason, Option<ErrorCode>);

fn decide(
    all: &Evaluator,
    flag: &Compiled,
    context: &Context,
    environment: Option<&str>,
    trace: &mut impl Trace,
) -> Decided {
    let off = |reason| (flag.default, reason, None);
    trace.step(|| state(flag.state));
    if flag.state != State::On {
        return off(Reason::Disabled);
    }
    if let (Some(own), Some(asked)) = (&flag.environment, environment) {
        let same = **own == *asked;
        trace.step(|| step(same, "Environment", format!("It is for {own}; {asked} was asked for.")));
        if !same {
            return off(Reason::Disabled);
        }
    }
    for (needed, wanted) in &flag.prerequisites {
        let of = &all.flags[*needed];
        let (variant, _, error) = decide(all, of, context, environment, &mut Silent);
        // A flag without an answer meets nothing; one that is off gives its default variant.
        let met = match wanted {
            Some(wanted) => error.is_none() && variant == *wanted,
            None => error.is_none() && variant != of.default,
        };
        trace.step(|| {
            let got = of.variants.get(variant).map_or("nothing", |(name, _)| name);
            let needs = match wanted.and_then(|w| of.variants.get(w)) {
                Some((name, _)) => format!("`{name}` of"),
                None => "to be in at".to_owned(),
            };
            step(met, "Prerequisite", format!("Needs {needs} {}; this user gets `{got}` there.", of.key))
        });
        if !met {
            return off(Reason::Default);
        }
    }
    let last = flag.rules.len().saturating_sub(1);
    for (i, rule) in flag.rules.iter().enumerate() {
        let held = rule.tests.iter().all(|test| test.holds(context));
        if i < last || !rule.tests.is_empty() {
            trace.step(|| conditions(rule, i == last, held, context));
        }
        if held {
            // Were there no other rule, everybody would come here.
            let targeted = last > 0 || !rule.tests.is_empty();
            return share(flag, rule, targeted, context, trace);
        }
    }
    off(Reason::Default)
}

fn share(
    flag: &Compiled,
    rule: &CompiledRule,
    targeted: bool,
    context: &Context,
    trace: &mut impl Trace,
) -> Decided {
    let whole = if targeted { Reason::TargetingMatch } else { Reason::Static };
    if rule.share == 0 {
        trace.step(|| step(false, "Share", "The share is 0 %: nobody is in.".into()));
        return (flag.default, whole, None);
    }
    let splits = matches!(rule.serve, CompiledServe::Split(_));
    let mut digits = String::new();
    let who = match rule.by.of(context).and_then(|value| hashed(value, &mut digits)) {
        Some(who) => who,
        None if rule.share < BUCKETS || splits => {
            trace.step(|| {
                let words =
                    "was not given as text or a whole number, so nobody knows whether this user is in.";
                step(false, "Share", format!("{} {words}", rule.by.name))
            });
            if *rule.by.name == *TARGETING_KEY {
                return (flag.default, Reason::Error, Some(ErrorCode::TargetingKeyMissing));
            }
            return (flag.default, Reason::Default, None);
        }
        None => "",
    };
    if rule.share < BUCKETS {
        let bucket = bucket(&flag.salt, who);
        let within = bucket < rule.share;
        trace.bucket(bucket, rule.share);
        trace.step(|| step(within, "Share", in_share(flag, rule, who, bucket)));
        if !within {
            return (flag.default, Reason::Split, None);
        }
    } else {
        trace.step(|| step(true, "Share", "The share is 100 %: everybody is in.".into()));
    }
    match &rule.serve {
        CompiledServe::One(variant) => {
            let reason = if rule.share < BUCKETS { Reason::Split } else { whole };
            (*variant, reason, None)
        }
        CompiledServe::Split(bounds) => {
            let bucket = variant_bucket(&flag.salt, who);
            let variant = bounds.iter().find(|(below, _)| bucket < *below).map_or(flag.default, |(_, v)| *v);
            trace.step(|| {
                let name = flag.variants.get(variant).map_or("nothing", |(name, _)| name);
                step(true, "Variant", format!("Variant bucket {}: `{name}`.", number(bucket)))
            });
            (variant, Reason::Split, None)
        }
    }
}

fn step(passed: bool, title: impl Into<String>, words: String) -> Step {
    Step { passed, title: title.into(), words }
}

fn state(state: State) -> Step {
    match state {
        State::On => step(true, "Switch", "The flag is on.".into()),
        State::Off => step(false, "Switch", "The flag is off for everyone.".into()),
        State::Killed => step(
            false,
            "Kill switch",
            "The flag was killed: off for everyone until a person turns it on again.".into(),
        ),
    }
}

fn conditions(rule: &CompiledRule, last: bool, held: bool, context: &Context) -> Step {
    let title = if last { "Conditions".to_owned() } else { rule.name.to_string() };
    let each = rule.tests.iter().map(|test| {
        let holds = if test.holds(context) { "yes" } else { "no" };
        match test.seen(context) {
            Some(seen) => format!("{}: {holds}, {seen}.", test.words),
            None => format!("{}: {holds}.", test.words),
        }
    });
    step(held, title, each.collect::<Vec<_>>().join(" "))
}

fn in_share(flag: &Compiled, rule: &CompiledRule, who: &str, bucket: u32) -> String {
    let share = Share::from_buckets(rule.share).unwrap_or(Share::ALL).words();
    let within = if bucket < rule.share { "below it, so in" } else { "not below it, so not in" };
    let (salt, by) = (&flag.salt, &rule.by.name);
    let who: String = who.chars().take(60).collect();
    format!(
        "The share is {share}. {by} {who} with salt {salt} falls into bucket {}: {within}.",
        number(bucket)
    )
}

/// A bucket as a percentage, to compare with the share: 30.560.
fn number(bucket: u32) -> String {
    format!("{}.{:03}", bucket / 1000, bucket % 1000)
}
