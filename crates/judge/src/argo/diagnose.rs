//! What in a template will surprise its author, in plain words: what happens, and what to write instead.

use super::Phase;
use super::args;
use super::condition::{Answer, FaultKind, holds, measure};
use super::expr::{Program, shape};
use super::promql::{self, Filter, Shape};
use super::run::Analysis;
use super::template::{Arg, Metric, Spec};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::cell::RefCell;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It works as written; a number in it is easily read otherwise.
    Note,
    /// It works, and not as it seems to.
    Warning,
    /// It cannot work.
    Fault,
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// The controller would refuse the run.
    Refused,
    /// A condition that cannot be evaluated on any answer of this query.
    Condition,
    /// A comparison in the query leaves out what it is to be compared with.
    FilteringQuery,
    /// No answer that the query can give passes.
    NeverPasses,
    /// An element is asked for that an empty answer does not have.
    EmptyAnswer,
    /// What is no number, 0/0, passes or fails unnoticed.
    NotANumber,
    /// Only what fails is said.
    OnlyFailure,
    /// No condition: every answer passes.
    NoCondition,
    /// It is measured until somebody ends it.
    Endless,
    /// A failure limit is the number of failures that do no harm.
    FailureLimit,
    /// `isNil` or `default` is given a part, and looks at the whole.
    WholeResult,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The metric; none where it is about the whole.
    pub metric: Option<String>,
    /// What it is about.
    pub about: About,
    /// How much it matters.
    pub weight: Weight,
    /// What happens, as a sentence or two.
    pub happens: String,
    /// What to write instead, as a sentence.
    pub instead: String,
}

/// Everything that is found in a template, metric by metric. Arguments without a value, which a Rollout gives, are taken
/// as 1.
#[must_use]
pub fn diagnose(spec: &Spec, now: DateTime<Utc>) -> Vec<Finding> {
    let given: Vec<Arg> = spec
        .args
        .iter()
        .map(|arg| Arg { value: arg.value.clone().or(Some("1".into())), ..arg.clone() })
        .collect();
    let filled = Spec { args: given, ..spec.clone() };
    let mut found = Vec::new();
    if let Err(says) = Analysis::new(&filled) {
        found.push(Finding {
            metric: None,
            about: About::Refused,
            weight: Weight::Fault,
            happens: format!(
                "Argo Rollouts refuses such an analysis, and aborts the release that runs it: {says}."
            ),
            instead: refused(&says).into(),
        });
    }
    let Ok(metrics) = args::resolve(&filled.metrics, &filled.args) else { return found };
    for metric in &metrics {
        let mut look = Look { metric, found: Vec::new(), now };
        look.all();
        found.append(&mut look.found);
    }
    found
}

fn refused(says: &str) -> &'static str {
    match says {
        s if s.contains("interval must be specified") => {
            "Say an interval, as in interval: 30s, beside the count."
        }
        s if s.contains("failed to resolve") => "Name the argument under args, or leave it out.",
        s if s.contains("Rule didn't match") => {
            "A rule is a regular expression over the metrics' names: .* is all of them, and * alone is none."
        }
        s if s.contains("unknown unit") => "Durations know h, m, s and ms: a day is 24h.",
        _ => "Change what the message names.",
    }
}

struct Look<'m> {
    metric: &'m Metric,
    found: Vec<Finding>,
    now: DateTime<Utc>,
}

impl Look<'_> {
    fn add(&mut self, about: About, weight: Weight, happens: impl Into<String>, instead: impl Into<String>) {
        let metric = Some(self.metric.name.clone());
        self.found.push(Finding { metric, about, weight, happens: happens.into(), instead: instead.into() });
    }

    fn all(&mut self) {
        self.counts();
        self.conditions();
        let query =
            self.metric.provider.get("prometheus").and_then(|p| p.get("query")).and_then(Value::as_str);
        let Some(query) = query else { return };
        let shape = promql::shape(query);
        if self.faulty(&shape) {
            return;
        }
        match &shape.filter {
            Some(filter) => self.filtered(filter),
            None if shape.can_be_empty && self.indexes_unasked() => self.empty(),
            None => {}
        }
        if shape.divides {
            self.not_a_number();
        }
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let both = [
            ("successCondition", self.metric.success_condition.as_str()),
            ("failureCondition", self.metric.failure_condition.as_str()),
        ];
        both.into_iter().filter(|(_, text)| !text.is_empty())
    }

    fn programs(&self) -> Vec<Program> {
        self.texts().filter_map(|(_, text)| Program::read(text).ok()).collect()
    }

    fn counts(&mut self) {
        let limit = self.metric.failures();
        if limit > 0 {
            self.add(
                About::FailureLimit,
                Weight::Note,
                format!(
                    "failureLimit: {limit} is how many failures do no harm: the metric fails at failure {}.",
                    limit + 1
                ),
                format!("If failure {limit} is to be the last, write failureLimit: {}.", limit - 1),
            );
        }
        if self.metric.effective_count().is_none() && self.metric.successes() == 0 {
            self.add(
                About::Endless,
                Weight::Warning,
                "With an interval and no count it is measured until the run is ended: a step that waits for it never goes on.",
                "Say a count, unless it is meant to run in the background.",
            );
        }
    }

    fn conditions(&mut self) {
        match (self.metric.success_condition.is_empty(), self.metric.failure_condition.is_empty()) {
            (true, true) => self.add(
                About::NoCondition,
                Weight::Warning,
                "Without a condition every answer passes; only a source that cannot be asked does not.",
                "Say in successCondition what a good answer is.",
            ),
            (true, false) => self.add(
                About::OnlyFailure,
                Weight::Warning,
                "Only what fails is said, so everything else passes: also an answer that is no number.",
                "Say in successCondition what a good answer is; what is neither is then inconclusive and stops the release.",
            ),
            _ => {}
        }
        if self.programs().iter().any(|p| p.any(shape::asks_part)) {
            self.add(
                About::WholeResult,
                Weight::Warning,
                "isNil and default look at the whole result, whatever they are given: default(result[0], 0) is the whole vector.",
                "Ask for the length, as in len(result) > 0, or write result.field ?? 0.",
            );
        }
    }

    /// A condition that no answer of this kind can be asked of.
    fn faulty(&mut self, shape: &Shape) -> bool {
        let sample = match shape.scalar {
            true => Answer::Scalar(0.5),
            false => Answer::Numbers(vec![0.5; 8]),
        };
        let faults: Vec<_> = self
            .texts()
            .filter_map(|(which, text)| holds(&sample, text, self.now).err().map(|f| (which, f)))
            .filter(|(_, f)| f.kind != FaultKind::Index)
            .collect();
        for (which, fault) in &faults {
            self.add(
                About::Condition,
                Weight::Fault,
                format!("{which} cannot be evaluated on what this query answers, so each measurement is an error. {}", fault.plain()),
                match shape.scalar {
                    true => "The query answers with one number: write result, without an index.",
                    false => "The query answers with a list of numbers: write result[0], or all(result, # < 1).",
                },
            );
        }
        !faults.is_empty()
    }

    /// Whether an element is asked for and the length is not.
    fn indexes_unasked(&self) -> bool {
        let none = Answer::Numbers(Vec::new());
        self.programs().iter().any(|p| p.any(shape::indexes_result) && !p.any(shape::measures_result))
            && measure(&none, &self.metric.success_condition, &self.metric.failure_condition, self.now)
                .is_err()
    }

    fn on_empty(&self) -> &'static str {
        let none = Answer::Numbers(Vec::new());
        match measure(&none, &self.metric.success_condition, &self.metric.failure_condition, self.now) {
            Err(_) => "is an error, tried again every ten seconds",
            Ok(Phase::Successful) => "passes",
            Ok(Phase::Failed) => "fails",
            Ok(_) => "is inconclusive",
        }
    }

    fn filtered(&mut self, filter: &Filter) {
        let Filter { sign, left, right } = filter;
        let on_empty = self.on_empty();
        let number = right.parse::<f64>().ok();
        if let Some(limit) = number
            && self.never_passes(sign, limit)
        {
            let condition = if self.metric.success_condition.is_empty() {
                "failureCondition"
            } else {
                "successCondition"
            };
            self.add(
                About::NeverPasses,
                Weight::Fault,
                format!(
                    "It never passes. The query answers only with values {sign} {right}, none of which {condition} takes; \
                     of all others it answers with nothing, which {on_empty}."
                ),
                condition_instead(filter),
            );
            return;
        }
        let ends = match on_empty.starts_with("is an error") {
            true => format!(
                " It is an error {} times in a row, which takes {} seconds, before the metric is one.",
                self.metric.errors() + 1,
                self.metric.errors() * 10
            ),
            false => String::new(),
        };
        self.add(
            About::FilteringQuery,
            Weight::Warning,
            format!(
                "The {sign} in the query is a filter: it answers with {left} where that is {sign} {right}, and with nothing, not \
                 with 0, where it is not. An empty answer {on_empty}.{ends}"
            ),
            condition_instead(filter),
        );
    }

    /// Whether no value that the filter lets through is a success. Between two numbers that are written out no comparison
    /// changes, so the numbers and one value between each two of them decide. Where something is computed this is not known.
    fn never_passes(&self, sign: &str, limit: f64) -> bool {
        let programs = self.programs();
        if programs.iter().any(|p| p.any(shape::computes)) {
            return false;
        }
        let written = RefCell::new(vec![0.0, limit, -1e12, 1e12]);
        for program in &programs {
            program.any(|node| {
                written.borrow_mut().extend(shape::number(node).into_iter().flat_map(|n| [n, -n]));
                false
            });
        }
        let mut values = written.into_inner();
        values.sort_by(f64::total_cmp);
        let between: Vec<f64> = values.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect();
        values.extend(between);
        let through = |v: &f64| match sign {
            "<" => *v < limit,
            "<=" => *v <= limit,
            ">" => *v > limit,
            ">=" => *v >= limit,
            "==" => v.total_cmp(&limit).is_eq(),
            _ => true,
        };
        let passes = |v: &f64| {
            let answer = Answer::Numbers(vec![*v]);
            let phase =
                measure(&answer, &self.metric.success_condition, &self.metric.failure_condition, self.now);
            phase == Ok(Phase::Successful)
        };
        // What an empty answer comes to is not a value.
        !values.iter().filter(|v| through(v)).any(passes) && self.on_empty() != "passes"
    }

    fn empty(&mut self) {
        let (errors, seconds) = (self.metric.errors() + 1, self.metric.errors() * 10);
        self.add(
            About::EmptyAnswer,
            Weight::Warning,
            format!(
                "Where no series matches, the query answers with nothing and result[0] is an error, not a failure: {errors} in a row, \
                 {seconds} seconds, before the metric is an error. A misspelt label looks the same."
            ),
            "To fail at once write len(result) > 0 && … in the condition, or let the query end in \"or vector(0)\".",
        );
    }

    fn not_a_number(&mut self) {
        let asked = self.programs().iter().any(|p| p.any(|n| shape::calls(n, "isNaN")));
        let zero = Answer::Numbers(vec![f64::NAN]);
        let phase = measure(&zero, &self.metric.success_condition, &self.metric.failure_condition, self.now);
        let becomes = match phase {
            _ if asked => return,
            Ok(Phase::Successful) => "passes: a version that nobody used is taken for a good one",
            Ok(Phase::Failed) => "fails: a quiet minute counts as a bad one",
            Ok(Phase::Inconclusive) => "is inconclusive, and stops the release until somebody looks",
            _ => return,
        };
        let weight = if phase == Ok(Phase::Successful) { Weight::Warning } else { Weight::Note };
        self.add(
            About::NotANumber,
            weight,
            format!("The query divides. Without traffic 0/0 is no number, every comparison with it is false, and it {becomes}."),
            "Say what it means, with isNaN(result[0]) in the condition.",
        );
    }
}

fn condition_instead(filter: &Filter) -> String {
    let Filter { sign, left, right } = filter;
    format!(
        "Take the comparison out of the query, and into the condition: query: {left} and successCondition: result[0] {sign} {right}."
    )
}
