//! A template that is evaluated without the controller: what keeps it from being so, what is asked, what an answer is, what a
//! look changes, and the same again from what was stored.
//!
//! Everything that a look measured has one time, so that who goes on after a crash, and who replays, does what was done.

use super::args;
use super::assess::limit;
use super::condition::{Answer, measure};
use super::phase::Phase;
use super::run::{Analysis, Measurement, MetricResult, Status, is_terminating};
use super::source::{self, Range};
use super::template::{Arg, Metric, Spec};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest answer that is kept, in bytes. The phase is reached on all of it.
const LONGEST: usize = 2000;
/// What is kept of a source's settings: neither its address nor how somebody signs in there.
const KEPT: [&str; 3] = ["query", "rangeQuery", "timeout"];

/// Why a template cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is about.
    pub about: About,
    /// What is wrong and what to write instead.
    pub words: String,
}

/// Where the plan is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The template's name: another one is to be named, or the template changed.
    Template,
    /// Its arguments as a whole.
    Args,
    /// One argument.
    Arg(String),
}

/// The template with these values for its arguments, ready to be run, and to be kept.
///
/// # Errors
/// Everything that keeps it from being run by Tidegate.
pub fn prepare(template: &Spec, given: &BTreeMap<String, String>) -> Result<Spec, Vec<Fault>> {
    let mut faults = Vec::new();
    let known: Vec<_> = template.args.iter().map(|a| format!("`{}`", a.name)).collect();
    for name in given.keys().filter(|name| !template.args.iter().any(|a| a.name == **name)) {
        let has = match known.is_empty() {
            true => "It has none.".to_owned(),
            false => format!("It has {}.", known.join(", ")),
        };
        let words = format!("The template has no argument `{name}`. {has}");
        faults.push(Fault { about: About::Arg(name.clone()), words });
    }
    let value = |arg: &Arg| match given.get(&arg.name) {
        Some(value) => Arg { name: arg.name.clone(), value: Some(value.clone()), value_from: None },
        None => arg.clone(),
    };
    let args: Vec<Arg> = template.args.iter().map(value).collect();
    let missing: Vec<&Arg> = args.iter().filter(|a| a.value.is_none()).collect();
    if let Some(first) = missing.first() {
        let names: Vec<_> = missing.iter().map(|a| format!("`{}`", a.name)).collect();
        let why = match missing.iter().any(|a| a.value_from.is_some()) {
            true => " What a Secret or a field holds is not read.",
            false => "",
        };
        let words = format!(
            "The template wants a value for {}.{why} Write `args: {{{}: …}}`.",
            names.join(" and "),
            first.name
        );
        faults.push(Fault { about: About::Args, words });
    }
    let whole = |words: String| Fault { about: About::Template, words };
    for metric in &template.metrics {
        match metric.provider.keys().find(|source| *source != "prometheus") {
            Some(source) => faults.push(whole(format!(
                "Its metric {} asks {source}: Tidegate evaluates Prometheus only. Leave such a template to the analysis of a \
                 Rollout.",
                metric.name
            ))),
            None if metric.effective_count().is_none() && metric.successes() <= 0 => faults.push(whole(format!(
                "Its metric {} has an interval and no count, so no step that waits for it ever ends. Say a count in the \
                 template.",
                metric.name
            ))),
            None => {}
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut spec = Spec { args, terminate: false, ttl_strategy: None, ..template.clone() };
    for metric in &mut spec.metrics {
        if let Some(settings) = metric.provider.get_mut("prometheus") {
            let kept = settings.as_object().into_iter().flatten();
            let kept = kept.filter(|(key, _)| KEPT.contains(&key.as_str()));
            *settings = Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>());
        }
    }
    match Analysis::new(&spec) {
        Ok(_) => Ok(spec),
        Err(says) => Err(vec![whole(format!("It cannot be run, by Argo Rollouts neither: {says}."))]),
    }
}

/// What is asked of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'m> {
    /// The query, its arguments filled in.
    pub query: &'m str,
    /// The times it is asked of; none for one moment.
    pub range: Option<Range>,
}

/// The question of a metric as of `now`.
///
/// # Errors
/// What makes the measurement an error before anybody is asked.
pub fn question(metric: &Metric, now: DateTime<Utc>) -> Result<Question<'_>, String> {
    let settings = metric.provider.get("prometheus").ok_or("Tidegate evaluates Prometheus only")?;
    let query = settings.get("query").and_then(Value::as_str).unwrap_or_default();
    let range = settings.get("rangeQuery").filter(|r| !r.is_null());
    Ok(Question { query, range: range.map(|r| source::range(r, now)).transpose()? })
}

/// The measurement that Prometheus' reply, its status and body, is; or why there is none.
#[must_use]
pub fn measured(metric: &Metric, reply: Result<(u16, String), String>, now: DateTime<Utc>) -> Measurement {
    let read = reply.and_then(|(status, body)| source::prometheus(status, &body));
    let judged = read.and_then(|answer| {
        let phase = measure(&answer, &metric.success_condition, &metric.failure_condition, now);
        Ok((phase.map_err(|e| e.to_string())?, answer.shown()))
    });
    let made = Measurement { started_at: Some(now), finished_at: Some(now), ..Measurement::default() };
    match judged {
        Ok((phase, value)) => Measurement { phase, value: short(value), ..made },
        Err(message) => Measurement { phase: Phase::Error, message: short(message), ..made },
    }
}

fn short(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// Takes what one look measured into a run. A metric that did not pass ends the others at once.
pub fn take(
    analysis: &Analysis,
    status: &mut Status,
    measured: Vec<(String, Measurement)>,
    now: DateTime<Utc>,
) {
    for (metric, measurement) in measured {
        analysis.record(status, &metric, measurement, now);
    }
    analysis.settle(status, now);
    if is_terminating(false, &status.metric_results) {
        analysis.settle(status, now);
    }
}

/// How a run came out once more.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// How it stands by its measurements.
    pub status: Status,
    /// Measurements whose answer is of another phase now than was stored, with that phase.
    pub other: Vec<(String, Phase, Phase)>,
}

/// A run again from its measurements by metric, each in its order. `stopped`: somebody ended it then.
///
/// # Errors
/// When it cannot be run at all.
pub fn again(
    spec: &Spec,
    started: DateTime<Utc>,
    measured: &[(String, Measurement)],
    stopped: Option<DateTime<Utc>>,
) -> Result<Again, String> {
    let mut analysis = Analysis::new(&Spec { terminate: false, ..spec.clone() })?;
    let mut status = Status::default();
    analysis.settle(&mut status, started);
    let mut looks: BTreeMap<DateTime<Utc>, Vec<(String, Measurement)>> = BTreeMap::new();
    let mut other = Vec::new();
    for (name, m) in measured {
        let Some(at) = m.finished_at else { continue };
        let metric = analysis.metrics().iter().find(|metric| metric.name == *name);
        let judged =
            metric.zip(answer(&m.value)).filter(|_| m.phase != Phase::Error).map(|(metric, answer)| {
                measure(&answer, &metric.success_condition, &metric.failure_condition, at)
                    .unwrap_or(Phase::Error)
            });
        let phase = judged.unwrap_or(m.phase);
        if phase != m.phase {
            other.push((name.clone(), m.phase, phase));
        }
        looks.entry(at).or_default().push((name.clone(), Measurement { phase, ..m.clone() }));
    }
    for (at, measured) in looks {
        take(&analysis, &mut status, measured, at);
    }
    if let Some(at) = stopped {
        analysis.terminate();
        analysis.settle(&mut status, at);
    }
    Ok(Again { status, other })
}

/// An answer as a measurement keeps it; none where it was shortened.
fn answer(value: &str) -> Option<Answer> {
    let number = |text: &str| match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    };
    let Some(list) = value.strip_prefix('[') else { return number(value).map(Answer::Scalar) };
    let list = list.strip_suffix(']')?;
    let numbers = list.split(',').filter(|part| !part.is_empty()).map(number).collect::<Option<_>>()?;
    Some(Answer::Numbers(numbers))
}

/// What a run of this template came to, in a sentence or two; empty while it runs.
#[must_use]
pub fn words(template: &str, spec: &Spec, status: &Status) -> String {
    let metrics = args::resolve(&spec.metrics, &spec.args).unwrap_or_default();
    let decided = status.metric_results.iter().find(|r| !r.dry_run && r.phase == status.phase);
    let of = decided.and_then(|r| Some((metrics.iter().find(|m| m.name == r.name)?, r)));
    match (status.phase, of) {
        (Phase::Pending | Phase::Running, _) => String::new(),
        (Phase::Successful, _) => format!("The template {template} passed."),
        (Phase::Failed | Phase::Inconclusive, Some((m, r))) if limit(m, r).is_none() => format!(
            "The template {template} {}: {} was measured {} without passing {} in a row.{}",
            if status.phase == Phase::Failed { "failed" } else { "is inconclusive" },
            r.name,
            times(r.count),
            times(m.successes()),
            last(m, r)
        ),
        (Phase::Failed, Some((m, r))) => format!(
            "The template {template} failed: {} failed {}, {} allowed.{}",
            r.name,
            times(r.failed),
            m.failures(),
            last(m, r)
        ),
        (Phase::Inconclusive, Some((m, r))) => format!(
            "The template {template} is inconclusive: {} neither passed nor failed {}, {} allowed.{}",
            r.name,
            times(r.inconclusive),
            m.inconclusives(),
            last(m, r)
        ),
        (Phase::Error, Some((m, r))) => format!(
            "The template {template} could not be measured: {} was an error {} in a row, {} allowed. Last: {}",
            r.name,
            times(r.consecutive_error),
            m.errors(),
            sentence(&r.measurements.last().map(|m| m.message.clone()).unwrap_or_default())
        ),
        (Phase::Failed | Phase::Inconclusive | Phase::Error, None) => {
            format!("The template {template} cannot be evaluated. {}", sentence(&status.message))
        }
    }
}

fn times(n: i32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

fn last(m: &Metric, r: &MetricResult) -> String {
    let Some(measurement) = r.measurements.last() else { return String::new() };
    let wants = match (m.success_condition.is_empty(), m.failure_condition.is_empty()) {
        (false, _) => format!(", and {} passes", m.success_condition),
        (true, false) => format!(", and {} fails", m.failure_condition),
        (true, true) => String::new(),
    };
    format!(" It was last {}{wants}.", figures(&measurement.value))
}

/// An answer of few numbers with four decimals at most; any other as it is.
fn figures(value: &str) -> String {
    let numbers = match answer(value) {
        Some(Answer::Scalar(number)) => vec![number],
        Some(Answer::Numbers(numbers)) if (1..=6).contains(&numbers.len()) => numbers,
        _ => return value.to_owned(),
    };
    let rounded = |n: &f64| {
        let text = format!("{n:.4}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    numbers.iter().map(rounded).collect::<Vec<_>>().join(", ")
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
