//! Analyses that Argo Rollouts and Tidegate run: what each asks for, what it measured, what it came to.

use super::common::nothing;
use super::icon::icon;
use super::tone::{self, Tone, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::view::{
    AnalysisFinding, AnalysisLimit, AnalysisMeasurement, AnalysisMetric, AnalysisPhase, AnalysisView,
};

/// A section of them; nothing where there are none. `all`: where everything that was measured is.
pub(crate) fn section(runs: &[AnalysisView], base: DateTime<Utc>, all: Option<String>) -> AnyView {
    if runs.is_empty() {
        return nothing();
    }
    let all = all.map(|path| view! { <a href=path rel="external">"All measurements, JSON"</a> });
    let runs = runs.iter().map(|r| run(r, base)).collect_view();
    view! {
        <section class="sect" aria-labelledby="an-h">
            <header><h2 id="an-h">"Analyses"</h2>{all}</header>
            {runs}
        </section>
    }
    .into_any()
}

fn run(r: &AnalysisView, base: DateTime<Utc>) -> AnyView {
    let tone = Tone::from(r.phase);
    let from = r.started.map(|at| when::near(base, at)).unwrap_or_default();
    let times = match (r.started, r.ended) {
        (_, Some(to)) => format!("{from} to {}", when::near(base, to)),
        (Some(_), None) => format!("since {from}"),
        (None, None) => String::new(),
    };
    let args =
        r.args.iter().map(|(name, value)| format!("{name}\u{a0}= {value}")).collect::<Vec<_>>().join(", ");
    let args = (!args.is_empty()).then(|| view! { <span class="mono">{args}</span> });
    let why = (!r.message.is_empty()).then(
        || view! { <p class="note box" data-s=tone.s>{icon(tone.icon)}<span>{r.message.clone()}</span></p> },
    );
    view! {
        <article class="run">
            <header><h3>{r.stage.clone()}</h3>{st(tone, words(r.phase))}</header>
            <p class="meta"><span class="mono">{r.name.clone()}</span><span>"by "{r.by.clone()}</span><span>{times}</span>{args}</p>
            {why}
            {findings(&r.findings)}
            {r.metrics.iter().map(metric).collect_view()}
        </article>
    }
    .into_any()
}

fn metric(m: &AnalysisMetric) -> AnyView {
    let dry = m.dry_run.then(|| view! { <span>"dry run: decides nothing"</span> });
    let conditions = m
        .conditions
        .iter()
        .map(|(words, code)| view! { <p class="sm">{words.clone()}" "<code class="mono">{code.clone()}</code></p> })
        .collect_view();
    let earlier =
        m.made.saturating_sub(m.missed).saturating_sub(u32::try_from(m.measurements.len()).unwrap_or(0));
    let mut notes = Vec::new();
    if earlier > 0 {
        notes.push(format!("{earlier} earlier ones are kept."));
    }
    if m.missed > 0 {
        notes.push(format!("{} of {} measurements were not seen.", m.missed, m.made));
    }
    let notes = (!notes.is_empty()).then(|| view! { <p class="xs dim">{notes.join(" ")}</p> });
    let why = (!m.message.is_empty()).then(|| view! { <p class="xs ink2">{m.message.clone()}</p> });
    view! {
        <div class="metric">
            <p class="meta"><b>{m.name.clone()}</b>{st(m.phase.into(), words(m.phase))}{dry}
                <span>{m.source.clone()}", "{m.rhythm.clone()}</span></p>
            {conditions}
            <ul class="meas" role="list" aria-label="Measurements, oldest first">
                {m.measurements.iter().map(measurement).collect_view()}
            </ul>
            {notes}
            <p class="meta xs">{m.limits.iter().map(limit).collect_view()}</p>
            {why}
            {findings(&m.findings)}
        </div>
    }
    .into_any()
}

fn measurement(m: &AnalysisMeasurement) -> AnyView {
    let tone = Tone::from(m.phase);
    let value = if m.value.is_empty() { words(m.phase).to_lowercase() } else { m.value.clone() };
    let spoken = (!m.value.is_empty()).then(|| view! { <span class="vh">{words(m.phase)}" "</span> });
    let time =
        m.at.map(|at| view! { <time datetime=when::iso(at) title=when::stamp(at)>{when::clock(at)}</time> });
    view! { <li data-s=tone.s>{icon(tone.icon)}{spoken}<b>{value}</b>{time}</li> }.into_any()
}

fn limit(l: &AnalysisLimit) -> AnyView {
    if l.over {
        return view! { <span class="st" data-s="degraded">{icon("x")}{l.words.clone()}</span> }.into_any();
    }
    view! { <span>{l.words.clone()}</span> }.into_any()
}

fn findings(all: &[AnalysisFinding]) -> AnyView {
    all.iter()
        .map(|f| {
            let tone = if f.weight == "fault" { tone::DEGRADED } else { tone::WAITING };
            view! {
                <p class="note" data-s=tone.s>{icon("warn")}<span>{f.happens.clone()}" "<i>{f.instead.clone()}</i></span></p>
            }
        })
        .collect_view()
        .into_any()
}

fn words(phase: AnalysisPhase) -> &'static str {
    match phase {
        AnalysisPhase::Pending => "Not measured yet",
        AnalysisPhase::Running => "Running",
        AnalysisPhase::Passed => "Passed",
        AnalysisPhase::Inconclusive => "Inconclusive",
        AnalysisPhase::Error => "Could not be measured",
        AnalysisPhase::Failed => "Failed",
    }
}
