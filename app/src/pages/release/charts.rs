//! Stable against canary over time, and the same numbers as a table.

use super::Seen;
use crate::chart::{self, Metric, Window};
use crate::components::common::{percent, scroll};
use crate::components::gate::judged;
use crate::components::icon::icon;
use crate::when;
use leptos::prelude::*;
use model::verdict::{Limits, Sample, Side};
use model::view::ReleasePage;

/// Rows of the table at most: the newest.
const ROWS: usize = 60;

pub(super) fn section(p: &ReleasePage, seen: Seen) -> AnyView {
    let limits = p.limits;
    let (started, created, ended) = (p.started, p.created, p.ended);
    let window = Memo::new(move |_| {
        let now = seen.now.get();
        let first = seen.samples.with(|s| s.first().map(|s| s.at));
        let begun = started.unwrap_or(created);
        let from = first.map_or(begun, |f| f.min(begun));
        let (due, over) = seen.live.with(|l| (l.due.clone(), l.state.ended()));
        let last = seen.timeline.with(|t| t.first().map(|t| t.at));
        let ended = ended.or(if over { last } else { None });
        Window::new(from, now, ended, due)
    });
    let draw = move |metric: Metric| {
        move || {
            seen.samples.with(|samples| {
                seen.marks.with(|marks| window.with(|w| chart::svg(metric, samples, marks, &limits, w)))
            })
        }
    };
    let say = move |metric: Metric| move || seen.samples.with(|s| chart::label(metric, s, &limits));
    let strip = move || seen.verdicts.with(|v| window.with(|w| chart::strip(v, w)));
    let strip_says = move || seen.verdicts.with(|v| chart::strip_label(v));
    let analysed = p.analysed.then(|| {
        view! {
            <figure>
                <figcaption><b>"Verdicts"</b><span>"circle: too little data; tick: pass; triangle: marginal; cross: fail"</span></figcaption>
                <svg class="plot strip" role="img" aria-label=strip_says inner_html=strip></svg>
            </figure>
        }
    });
    let csv = format!("/api/v1/releases/{}/samples?format=csv", p.id);
    let table = move || seen.samples.with(|s| table(s, &limits));
    view! {
        <section class="sect" aria-labelledby="ch-h">
            <header><h2 id="ch-h">"Stable against "{judged(&p.live.steps, p.live.step)}</h2>{legend(p)}</header>
            <div class="plots">
                <figure>
                    <figcaption><b>"Errors"</b><span>"share of requests with 5xx, 30\u{a0}s window; shaded: 95\u{a0}% sure"</span></figcaption>
                    <svg class="plot" role="img" aria-label=say(Metric::Errors) inner_html=draw(Metric::Errors)></svg>
                </figure>
                <figure>
                    <figcaption><b>"Latency p95"</b><span>"milliseconds, 30\u{a0}s window"</span></figcaption>
                    <svg class="plot low" role="img" aria-label=say(Metric::Latency) inner_html=draw(Metric::Latency)></svg>
                </figure>
                {analysed}
            </div>
            <details class="sm"><summary>"The same as a table"</summary>{table}
                <p class="mt"><a class="btn small" href=csv rel="external" download>{icon("deploy")}"Everything measured, CSV"</a></p>
            </details>
        </section>
    }
    .into_any()
}

fn legend(p: &ReleasePage) -> AnyView {
    let line = |class: &'static str| {
        let inside = format!(r#"<line class="{class}" x2="28" y1="6" y2="6"/>"#);
        view! { <svg class="plot" aria-hidden="true" inner_html=inside></svg> }.into_any()
    };
    view! {
        <div class="legend">
            <span>{line("stable")}"stable "{p.from_version.clone()}</span>
            <span>{line("canary")}{judged(&p.live.steps, p.live.step)}" "{p.version.clone()}</span>
            <span>{line("limit")}"limit"</span>
        </div>
    }
    .into_any()
}

fn table(samples: &[Sample], limits: &Limits) -> AnyView {
    let errors =
        |s: &Side| s.error_rate().map_or_else(|| "no data".into(), |r| Metric::Errors.words(r * 100.0));
    let p95 = |s: &Side| s.p95_ms.map_or_else(|| "no data".into(), |v| Metric::Latency.words(v));
    let rows = samples
        .iter()
        .rev()
        .take(ROWS)
        .map(|s| {
            let few = s.canary.requests < f64::from(limits.min_requests);
            let note = match (&s.error, few) {
                (Some(error), _) => error.clone(),
                (None, true) => "too few requests yet".to_owned(),
                (None, false) => String::new(),
            };
            view! {
                <tr>
                    <th scope="row">{when::clock(s.at)}</th>
                    <td class="r">{percent(s.weight)}</td>
                    <td class="r">{errors(&s.stable_recent)}</td>
                    <td class="r">{errors(&s.canary_recent)}</td>
                    <td class="r">{p95(&s.stable_recent)}</td>
                    <td class="r">{p95(&s.canary_recent)}</td>
                    <td class="r">{super::verdict::figure(s.canary.requests)}</td>
                    <td class="ink2">{note}</td>
                </tr>
            }
        })
        .collect_view();
    let caption = match samples.len() {
        n if n > ROWS => format!("The newest {ROWS} of {n} samples"),
        n => when::count(n, "sample", "samples"),
    };
    let content = view! {
        <table class="table">
            <caption>{caption}</caption>
            <thead>
                <tr>
                    <th scope="col">"Time, UTC"</th><th scope="col" class="r">"Weight"</th>
                    <th scope="col" class="r">"Errors, stable"</th><th scope="col" class="r">"Errors, canary"</th>
                    <th scope="col" class="r">"p95, stable"</th><th scope="col" class="r">"p95, canary"</th>
                    <th scope="col" class="r">"Canary requests in the step"</th><th scope="col">"Note"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    };
    scroll("Samples as a table", content.into_any())
}
