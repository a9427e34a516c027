//! Stable against canary over time, and the same numbers as a table.

use super::Seen;
use crate::chart::{self, Metric, Window};
use crate::components::common::{percent, scroll};
use crate::components::gate::judged;
use crate::components::icon::icon;
use crate::when;
#[cfg(feature = "hydrate")]
use chart::{moved, nearest};
use chrono::{DateTime, Utc};
use leptos::ev::{Event, KeyboardEvent, PointerEvent};
use leptos::html::Div;
use leptos::prelude::*;
use model::verdict::{Limits, Sample, Side};
use model::view::ReleasePage;

/// Rows of the table at most: the newest.
const ROWS: usize = 60;

/// Script is there: charts can be pointed at.
const LIVE: bool = cfg!(feature = "hydrate");

/// Where in a chart the pointer is, in percent of the width.
#[cfg(feature = "hydrate")]
fn place(pane: NodeRef<Div>, ev: &PointerEvent) -> Option<f64> {
    let area = pane.get_untracked()?.get_bounding_client_rect();
    (area.width() > 0.0).then(|| (f64::from(ev.client_x()) - area.left()) / area.width() * 100.0)
}

#[cfg(not(feature = "hydrate"))]
fn place(_pane: NodeRef<Div>, _ev: &PointerEvent) -> Option<f64> {
    None
}

/// Have these details been unfolded?
#[cfg(feature = "hydrate")]
fn is_open(ev: &Event) -> bool {
    event_target::<web_sys::Element>(ev).has_attribute("open")
}

#[cfg(not(feature = "hydrate"))]
fn is_open(_ev: &Event) -> bool {
    false
}

#[cfg(not(feature = "hydrate"))]
fn nearest(_samples: &[Sample], _window: &Window, _percent: f64) -> Option<DateTime<Utc>> {
    None
}

#[cfg(not(feature = "hydrate"))]
fn moved(
    _samples: &[Sample],
    _window: &Window,
    _at: Option<DateTime<Utc>>,
    _key: &str,
) -> Option<Option<DateTime<Utc>>> {
    None
}

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
    let cursor: RwSignal<Option<DateTime<Utc>>> = RwSignal::new(None);
    let over = move |metric: Metric| {
        move || match cursor.get() {
            Some(at) => seen.samples.with(|s| window.with(|w| chart::cursor(metric, s, &limits, w, at))),
            None => String::new(),
        }
    };
    let weight = move || {
        seen.weights.with(|w| seen.marks.with(|marks| window.with(|win| chart::weight(w, marks, win))))
    };
    let weight_says = move || seen.weights.with(|w| chart::weight_label(w));
    let [of_weight, of_errors, of_latency] = p.markup.pictures.each_ref().map(|m| super::fixed::part(m));
    let pane = move |metric: Metric, class: &'static str| {
        let at = NodeRef::<Div>::new();
        let point = move |ev: PointerEvent| {
            if let Some(percent) = place(at, &ev) {
                cursor.set(seen.samples.with(|s| window.with(|w| nearest(s, w, percent))));
            }
        };
        view! {
            <div class="pane" node_ref=at on:pointermove=point on:pointerdown=point on:pointerleave=move |_| cursor.set(None)>
                <svg class=format!("plot{class}") role="img" aria-label=say(metric) inner_html=draw(metric)></svg>
                <svg class=format!("plot{class} over") aria-hidden="true" inner_html=over(metric)></svg>
            </div>
        }
        .into_any()
    };
    let key = move |ev: KeyboardEvent| {
        let led = seen.samples.with(|s| window.with(|w| moved(s, w, cursor.get_untracked(), &ev.key())));
        if let Some(led) = led {
            ev.prevent_default();
            cursor.set(led);
        }
    };
    let reading = move || match cursor.get() {
        Some(at) => {
            seen.samples.with(|s| seen.verdicts.with(|v| chart::words(s, at, v, &limits))).unwrap_or_default()
        }
        None if LIVE => "Point at a chart, or move through it with the arrow keys, to read it.".to_owned(),
        None => String::new(),
    };
    let csv = format!("/api/v1/releases/{}/samples?format=csv", p.id);
    // Sixty rows cost more than a chart: they follow the samples while they can be seen.
    let unfolded = RwSignal::new(false);
    let newest = RwSignal::new(seen.samples.with_untracked(|s| tail(s)));
    Effect::new(move |_| {
        if unfolded.get() {
            newest.set(seen.samples.with(|s| tail(s)));
        }
    });
    let fold = move |ev: Event| unfolded.set(is_open(&ev));
    let table = move || newest.with(|(rows, of)| table(rows, *of, &limits));
    view! {
        <section class="sect" aria-labelledby="ch-h">
            <header><h2 id="ch-h">"Stable against "{judged(&p.live.steps, p.live.step)}</h2>{legend(p)}</header>
            <div class="plots" role="group" tabindex=LIVE.then_some("0") on:keydown=key
                aria-label="Charts. Arrow keys, Home and End read them sample by sample">
                <figure>
                    <figcaption><b>"Weight"</b><span>"share of the traffic on the new version; dotted: the most the plan allows"</span></figcaption>
                    <svg class="plot low" role="img" aria-label=weight_says inner_html=weight></svg>
                    {of_weight}
                </figure>
                <figure>
                    <figcaption><b>"Errors"</b><span>"share of requests with 5xx, 30\u{a0}s window; shaded: 95\u{a0}% sure"</span></figcaption>
                    {pane(Metric::Errors, "")}
                    {of_errors}
                </figure>
                <figure>
                    <figcaption><b>"Latency p95"</b><span>"milliseconds, 30\u{a0}s window; shaded: 95\u{a0}% sure"</span></figcaption>
                    {pane(Metric::Latency, " low")}
                    {of_latency}
                </figure>
                {analysed}
            </div>
            <p class="reading" aria-live="polite">{reading}</p>
            <details class="sm" on:toggle=fold><summary>"The same as a table"</summary>{table}
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

/// The samples that the table has rows for, newest first, and of how many they are.
fn tail(samples: &[Sample]) -> (Vec<Sample>, usize) {
    (samples.iter().rev().take(ROWS).cloned().collect(), samples.len())
}

fn table(samples: &[Sample], of: usize, limits: &Limits) -> AnyView {
    let errors =
        |s: &Side| s.error_rate().map_or_else(|| "no data".into(), |r| Metric::Errors.words(r * 100.0));
    let p95 = |s: &Side| s.p95_ms.map_or_else(|| "no data".into(), |v| Metric::Latency.words(v));
    let rows = samples
        .iter()
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
    let caption = match of {
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
