//! Is the canary worse? A pure function of stored samples: recomputed offline it gives the same answer.
//!
//! Errors and slow requests are decided by counts, with a test that may be asked at every look without growing the chance of a
//! false alarm. Missing data is its own answer and never a pass, and neither is a split of the traffic that was not asked for. A
//! step that failed once stays failed: the verdict is that of the first look that failed.

pub mod argo;
mod errors;
mod evidence;
pub mod kayenta;
mod latency;
mod recovery;
mod replay;
mod split;
mod thin;
mod words;

use chrono::{DateTime, TimeDelta, Utc};
use model::Span;
use model::verdict::{Class, Limits, MetricVerdict, Sample, Side, Verdict};

pub use evidence::{BUDGET, ERRORS_ALARM, LATENCY_ALARM};
pub use recovery::{Recovery, rate_of, recovery};
pub use replay::{Replayed, replay};
pub use thin::kept;

/// Number of the rules below; a verdict carries it. It changes whenever the same samples can give another verdict.
pub const RULE: u16 = 2;
/// Samples of a step that a verdict looks back on at most: one hour of looks.
pub const LOOKS: usize = 1200;

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
    let failed = good.iter().map(|s| look(s, limits)).find(|look| look.class() == Class::Fail);
    let fresh = |s: &&&Sample| now.signed_duration_since(s.at) <= STALE;
    let Some(look) = failed.or_else(|| good.last().filter(fresh).map(|s| look(s, limits))) else {
        return without(of_step.last().copied(), step, limits, now);
    };
    let first = good.first().map_or(look.sample.at, |s| s.at);
    let class = look.class();
    Verdict {
        at: now,
        step,
        class,
        words: look.words(class).to_owned(),
        rule: RULE,
        metrics: look.metrics(),
        chance: errors::chance(look.sample, limits),
        limits: *limits,
        canary: look.sample.canary,
        stable: look.sample.stable,
        watched: Span(u64::try_from((look.sample.at - first).num_seconds()).unwrap_or(0)),
    }
}

/// What the metrics say of a sample.
struct Look<'s> {
    sample: &'s Sample,
    errors: Finding,
    latency: Finding,
    /// Where a share was asked for.
    split: Option<Finding>,
}

fn look<'s>(sample: &'s Sample, limits: &Limits) -> Look<'s> {
    let (errors, latency) = (errors::find(sample, limits), latency::find(sample, limits));
    Look { sample, errors, latency, split: split::find(sample) }
}

impl Look<'_> {
    fn findings(&self) -> impl Iterator<Item = &Finding> {
        [&self.errors, &self.latency].into_iter().chain(&self.split)
    }

    /// The worst of them. Missing data outranks everything but a fail.
    fn class(&self) -> Class {
        [Class::Fail, Class::NoData, Class::Marginal]
            .into_iter()
            .find(|class| self.findings().any(|f| f.class == *class))
            .unwrap_or(Class::Pass)
    }

    /// Of the first that is what the whole is.
    fn words(&self, class: Class) -> &str {
        self.findings().find(|f| f.class == class).map_or(&self.errors.why, |f| &f.why)
    }

    fn metrics(&self) -> Vec<MetricVerdict> {
        let mut all = vec![metric("Errors, 5xx", &self.errors), metric("Latency p95", &self.latency)];
        all.extend(self.split.as_ref().map(|split| metric("Traffic split", split)));
        all
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
        rule: RULE,
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
