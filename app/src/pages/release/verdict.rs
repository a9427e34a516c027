//! Why the canary is judged as it is, in words and figures.

use super::Seen;
use crate::components::common::{empty, fact_text, nothing, sect_in};
use crate::components::gate;
use crate::components::icon::icon;
use crate::components::tone::{Tone, st};
use crate::when;
use leptos::prelude::*;
use model::Span;
use model::verdict::{Class, Limits, Side, Verdict};
use model::view::ReleasePage;

pub(super) fn section(p: &ReleasePage, seen: Seen) -> AnyView {
    let (analysed, least) = (p.analysed, p.limits.min_requests);
    let verdict = Memo::new(move |_| seen.live.with(|l| l.verdict.clone()));
    let right = move || {
        verdict.with(|v| match v {
            Some(v) => st(v.class.into(), format!("{}, {}", word(v.class), when::clock(v.at))),
            None => nothing(),
        })
    };
    let content = move || {
        verdict.with(|v| match v {
            Some(v) => judged(v, seen.live.with(|l| gate::judged(&l.steps, Some(v.step)))),
            None if analysed => empty(
                "scale",
                "No verdict yet".into(),
                format!("The new version is judged from {least} requests on in a step."),
                nothing(),
            ),
            None => empty(
                "scale",
                "Nothing is judged".into(),
                "No step of this plan has the gate analysis, so both versions are not compared.".into(),
                nothing(),
            ),
        })
    };
    sect_in("sect verdict", "v-h", "Verdict", right.into_any(), content.into_any())
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Pass => "Pass",
        Class::Marginal => "Marginal",
        Class::Fail => "Fail",
        Class::NoData => "No data",
    }
}

fn judged(v: &Verdict, newer: &'static str) -> AnyView {
    let metrics = v
        .metrics
        .iter()
        .map(|m| {
            let tone = Tone::from(m.class);
            let sign = match m.class {
                Class::Pass => "check",
                Class::Fail => "x",
                Class::Marginal => "warn",
                Class::NoData => "ask",
            };
            view! {
                <li data-s=tone.s>{icon(sign)}<b>{m.name.clone()}</b><span>{m.figures.clone()}</span>
                    <small>{m.why.clone()}</small></li>
            }
        })
        .collect_view();
    let chance = v.chance.clone().map(|c| fact_text("Could it be chance?", c));
    let what = match newer {
        "copies" => "copies of requests",
        "canary" => "canary requests",
        _ => "requests to the new version",
    };
    let mut seen = format!("{} {what} (needs {})", figure(v.canary.requests), v.limits.min_requests);
    if v.watched > Span::ZERO {
        seen = format!("{seen} in {}", v.watched.clock());
    }
    view! {
        <p class="big">{v.words.clone()}</p>
        {bars(&v.canary, &v.stable, newer)}
        <dl class="facts">{chance}{fact_text("Seen", seen)}{fact_text("Limits", limits(&v.limits))}</dl>
        <ul class="gates" role="list">{metrics}</ul>
    }
    .into_any()
}

/// Failed of all, canary over stable, on one scale.
fn bars(canary: &Side, stable: &Side, newer: &'static str) -> AnyView {
    let (c, s) = (canary.error_rate().unwrap_or(0.0), stable.error_rate().unwrap_or(0.0));
    let most = c.max(s);
    if most <= 0.0 {
        return nothing();
    }
    let width = |rate: f64| format!("{:.1}%", (rate / most * 100.0).clamp(0.0, 100.0));
    let of = |side: &Side| format!("{} / {}", figure(side.errors), figure(side.requests));
    view! {
        <div class="vs">
            <span>{newer}</span>
            <svg aria-hidden="true">
                <rect class="c" width=width(c) height="14"></rect><rect class="weave" width=width(c) height="14"></rect>
            </svg>
            <b>{of(canary)}<span class="vh">" requests failed"</span></b>
            <span>"stable"</span>
            <svg aria-hidden="true"><rect class="s" width=width(s) height="14"></rect></svg>
            <b>{of(stable)}<span class="vh">" requests failed"</span></b>
        </div>
    }
    .into_any()
}

/// Counts from Prometheus are extrapolated, hence not whole; shown whole.
pub(super) fn figure(n: f64) -> String {
    #[expect(clippy::cast_possible_truncation)]
    let whole = n.round() as i64;
    when::thousands(whole)
}

fn limits(l: &Limits) -> String {
    let mut out = format!(
        "errors {}\u{a0}% and {} times stable, p95 {} times stable",
        l.max_error_percent, l.max_error_ratio, l.max_p95_ratio
    );
    if let Some(ms) = l.max_p95_ms {
        out = format!("{out} and {ms}\u{a0}ms");
    }
    out
}
