//! Is the canary worse? A pure function of stored samples: recomputed offline it gives the same answer.
//!
//! Errors are decided by counts, with a test that may be asked at every look without growing the chance of a false
//! alarm; latency by limits that must be broken several looks in a row. Missing data is its own answer and never a
//! pass. A step that failed once stays failed: the verdict is that of the first look that failed.

pub mod argo;
mod errors;
mod evidence;
pub mod kayenta;
mod latency;
mod recovery;
mod words;

use chrono::{DateTime, TimeDelta, Utc};
use model::Span;
use model::verdict::{Class, Limits, MetricVerdict, Sample, Side, Verdict};

pub use evidence::ALARM;
pub use recovery::{Recovery, rate_of, recovery};

/// A newest readable sample older than this says nothing about now.
const STALE: TimeDelta = TimeDelta::seconds(10);

/// One metric's finding at one look.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    class: Class,
    figures: String,
    /// Why, as a sentence that can stand alone.
    why: String,
}

/// The verdict on one step's samples as of `now`. Samples of other steps, later ones and unreadable ones decide
/// nothing; the order in which they are given does not matter.
pub fn verdict(samples: &[Sample], step: usize, limits: &Limits, now: DateTime<Utc>) -> Verdict {
    let mut of_step: Vec<&Sample> = samples.iter().filter(|s| s.step == step && s.at <= now).collect();
    of_step.sort_by_key(|s| s.at);
    let good: Vec<&Sample> = of_step.iter().copied().filter(|s| readable(s)).collect();
    let failed = (0..good.len()).find(|i| at(&good[..=*i], limits).is_some_and(|l| l.class() == Class::Fail));
    let upto = failed.map_or(good.len(), |i| i + 1);
    let Some(look) = at(&good[..upto], limits) else {
        return without(of_step.last().copied(), step, limits, now);
    };
    let stale = now.signed_duration_since(look.sample.at) > STALE;
    if stale && failed.is_none() {
        return without(of_step.last().copied(), step, limits, now);
    }
    let first = good.first().map_or(look.sample.at, |s| s.at);
    let class = look.class();
    Verdict {
        at: now,
        step,
        class,
        words: look.words(class).to_owned(),
        metrics: vec![metric("Errors, 5xx", &look.errors), metric("Latency p95", &look.latency)],
        chance: errors::chance(look.sample, limits),
        limits: *limits,
        canary: look.sample.canary,
        stable: look.sample.stable,
        watched: Span(u64::try_from((look.sample.at - first).num_seconds()).unwrap_or(0)),
    }
}

/// What both metrics say at the last of `good`.
struct Look<'s> {
    sample: &'s Sample,
    errors: Finding,
    latency: Finding,
}

fn at<'s>(good: &[&'s Sample], limits: &Limits) -> Option<Look<'s>> {
    let sample = good.last()?;
    Some(Look { sample, errors: errors::find(sample, limits), latency: latency::find(good, limits) })
}

impl Look<'_> {
    /// The worse of the two. Missing data outranks everything but a fail.
    fn class(&self) -> Class {
        let both = [self.errors.class, self.latency.class];
        [Class::Fail, Class::NoData, Class::Marginal]
            .into_iter()
            .find(|c| both.contains(c))
            .unwrap_or(Class::Pass)
    }

    fn words(&self, class: Class) -> &str {
        if self.errors.class == class || self.latency.class != class {
            &self.errors.why
        } else {
            &self.latency.why
        }
    }
}

fn metric(name: &str, f: &Finding) -> MetricVerdict {
    MetricVerdict { name: name.into(), class: f.class, figures: f.figures.clone(), why: f.why.clone() }
}

/// Nothing readable, or nothing fresh.
fn without(newest: Option<&Sample>, step: usize, limits: &Limits, now: DateTime<Utc>) -> Verdict {
    let why = match newest.map(|s| s.error.as_deref()) {
        None => "Nothing was measured yet. No data is never a pass.".to_owned(),
        Some(None) => "Nothing was measured lately. No data is never a pass.".to_owned(),
        Some(Some(error)) => {
            let error = error.trim_end_matches('.');
            format!("The metrics cannot be read: {error}. No data is never a pass.")
        }
    };
    let none = Finding { class: Class::NoData, figures: "no data".into(), why: why.clone() };
    Verdict {
        at: now,
        step,
        class: Class::NoData,
        words: why,
        metrics: vec![metric("Errors, 5xx", &none), metric("Latency p95", &none)],
        chance: None,
        limits: *limits,
        canary: Side::default(),
        stable: Side::default(),
        watched: Span::ZERO,
    }
}

/// A sample that was read, with figures that can be true.
fn readable(s: &Sample) -> bool {
    s.error.is_none() && [s.canary, s.stable].iter().all(possible)
}

fn possible(side: &Side) -> bool {
    let count = |n: f64| n.is_finite() && n >= 0.0;
    count(side.requests)
        && count(side.errors)
        && side.errors <= side.requests + 1.0
        && side.p95_ms.is_none_or(count)
}
