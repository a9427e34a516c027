//! `/releases/{id}`: one release, live. The outline of the page; its parts are in the files beside this one.

mod charts;
mod deeds;
mod fixed;
#[cfg(feature = "ssr")]
mod plan;
mod policy;
#[cfg(feature = "ssr")]
mod report;
mod side;
mod timeline;
mod verdict;

#[cfg(feature = "ssr")]
pub(crate) use plan::reference;
#[cfg(feature = "ssr")]
pub(crate) use side::{facts as facts_of_rollback, ready as ready_to_roll_back, stalled};
#[cfg(feature = "ssr")]
pub(crate) use timeline::look;

use crate::components::analyses;
use crate::components::common::percent;
use crate::components::gate::{steps, tide};
use crate::components::tone::{self, badge};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use model::release::State;
use model::verdict::{Class, Sample};
#[cfg(feature = "hydrate")]
use model::view::ReleaseDelta;
use model::view::{ReleaseLive, ReleasePage, TimelineItem, WeightPoint};

#[cfg(feature = "ssr")]
pub(crate) fn page() -> AnyView {
    use crate::{api, components::load};
    use leptos_meta::Title;
    let id = super::number("id");
    load::page(async move { api::releases::release(id, None).await }, move |mut p| {
        p.markup = fixed::markup(&p);
        let content = view(&p, Seen::new(&p));
        view! {
            <Title text=title(&p.service, &p.version, &p.live.badge)/>
            {super::taken_over("release", format!("release:{id}"), &p, content)}
        }
        .into_any()
    })
}

/// The same page in the browser: from here on it follows the stream.
#[cfg(feature = "hydrate")]
pub(crate) fn take_over(p: &ReleasePage) -> AnyView {
    let seen = Seen::new(p);
    crate::browser::on_release(Box::new(move |delta| seen.hear(delta)));
    let (service, version) = (p.service.clone(), p.version.clone());
    Effect::new(move |_| {
        document()
            .set_title(&format!("{} · Tidegate", seen.live.with(|l| title(&service, &version, &l.badge))));
    });
    view(p, seen)
}

/// The state comes first, as far as a name allows: `checkout 1.42.0, failing, held`.
fn title(service: &str, version: &str, badge: &str) -> String {
    format!("{service} {version}, {}", lower(badge))
}

/// What moves on the page.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    live: RwSignal<ReleaseLive>,
    samples: RwSignal<Vec<Sample>>,
    marks: RwSignal<Vec<(DateTime<Utc>, String)>>,
    weights: RwSignal<Vec<WeightPoint>>,
    verdicts: RwSignal<Vec<(DateTime<Utc>, Class)>>,
    timeline: RwSignal<Vec<TimelineItem>>,
    /// When the last delta was read: the charts' `now`.
    now: RwSignal<DateTime<Utc>>,
    /// When the page's content was read: what every age counts from.
    base: DateTime<Utc>,
}

/// As many samples as the server sends at most.
#[cfg(feature = "hydrate")]
const MOST_SAMPLES: usize = 1000;

impl Seen {
    fn new(p: &ReleasePage) -> Self {
        Self {
            live: RwSignal::new(p.live.clone()),
            samples: RwSignal::new(p.samples.clone()),
            marks: RwSignal::new(p.marks.clone()),
            weights: RwSignal::new(p.weights.clone()),
            verdicts: RwSignal::new(p.verdicts.clone()),
            timeline: RwSignal::new(p.timeline.clone()),
            now: RwSignal::new(p.live.age.now),
            base: p.live.age.now,
        }
    }

    /// Takes a delta in. What is there already comes twice after a reconnect, and is not shown twice.
    #[cfg(feature = "hydrate")]
    fn hear(self, delta: ReleaseDelta) {
        self.now.set(delta.live.age.now);
        let weight =
            WeightPoint { at: delta.live.age.now, weight: delta.live.weight, ceiling: delta.live.ceiling };
        let holds = |w: &WeightPoint| (w.weight, w.ceiling) == (weight.weight, weight.ceiling);
        if self.weights.try_with_untracked(|all| all.last().is_some_and(holds)) == Some(false) {
            self.weights.try_update(|all| all.push(weight));
        }
        // A newer age alone redraws nothing but the charts.
        let aged =
            self.live.try_with_untracked(|l| ReleaseLive { age: l.age.clone(), ..delta.live.clone() } != *l);
        if aged == Some(true) {
            self.live.set(delta.live);
        }
        grow(self.samples, delta.samples, |s| s.at);
        grow(self.marks, delta.marks, |m| m.0);
        grow(self.verdicts, delta.verdicts, |v| v.0);
        if !delta.timeline.is_empty() {
            self.timeline.try_update(|all| {
                for item in delta.timeline {
                    if !all.iter().any(|t| t.seq == item.seq) {
                        all.push(item);
                    }
                }
                all.sort_by_key(|t| std::cmp::Reverse(t.seq));
            });
        }
    }
}

/// Appends what is newer than the last.
#[cfg(feature = "hydrate")]
fn grow<T: Send + Sync + 'static>(all: RwSignal<Vec<T>>, new: Vec<T>, at: fn(&T) -> DateTime<Utc>) {
    if new.is_empty() {
        return;
    }
    all.try_update(|all| {
        let last = all.last().map(at);
        all.extend(new.into_iter().filter(|n| last.is_none_or(|l| at(n) > l)));
        let over = all.len().saturating_sub(MOST_SAMPLES);
        all.drain(..over);
    });
}

fn view(p: &ReleasePage, seen: Seen) -> AnyView {
    // A plan that asks for no analysis is not measured: empty axes would wait for what never comes.
    let charts = (p.analysed || !p.samples.is_empty()).then(|| charts::section(p, seen));
    let all = format!("/api/v1/releases/{}/analyses", p.id);
    let runs = Memo::new(move |_| seen.live.with(|l| l.analyses.clone()));
    let analyses = move || runs.with(|runs| analyses::section(runs, seen.base, Some(all.clone())));
    view! {
        <main class="main has-bar" id="main" tabindex="-1">
            {head(p, seen)}
            {deeds::reasons(seen)}
            {sentence(seen)}
            {policy::countdown(p, seen)}
            {side::stall(seen)}
            {side::reminder(p, seen)}
            <div class="cols rel">
                <div class="wide">{gate(seen)}</div>
                <div class="aside">{verdict::section(p, seen)}{fixed::part(&p.markup.report)}{policy::section(seen)}{side::way_back(seen)}</div>
                <div class="stack"><div class="grow">{charts}{analyses}</div>{timeline::section(p, seen)}</div>
                <div class="aside">{fixed::part(&p.markup.plan)}{side::pods(p, seen)}{side::incidents(p, seen)}</div>
            </div>
        </main>
        {deeds::panels(p, seen)}
        {deeds::bar(p, seen)}
    }
    .into_any()
}

/// The badge within a sentence: `Failing, held` reads on as `failing, held`.
fn lower(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map(|c| c.to_lowercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn head(p: &ReleasePage, seen: Seen) -> AnyView {
    let state = move || seen.live.with(|l| badge(tone::of_release(l), l.badge.clone()));
    let place = format!("{} / {}", p.workload.namespace, p.workload.cluster);
    view! {
        <div class="head stick">
            <div>
                <h1>{format!("{} {} ", p.service, p.version)}{state}</h1>
                <p class="meta">
                    <span>{p.environment.clone()}</span>
                    <span>{place}</span>
                    <span>"release "<span class="rev">{format!("#{}", p.id)}</span></span>
                    <span class="only-l" data-clock="">{format!("{} UTC", when::clock(seen.base))}</span>
                </p>
            </div>
            {deeds::acts(p, seen)}
        </div>
    }
    .into_any()
}

/// What is, what follows by itself, when.
fn sentence(seen: Seen) -> AnyView {
    let s = move || seen.live.with(|l| tone::of_release(l).s);
    let words = move || {
        seen.live.with(|l| {
            let small = l.headline_small.clone().map(|w| view! { <small>{w}</small> });
            view! { <strong>{l.headline.clone()}</strong>{small} }.into_any()
        })
    };
    let count = move || seen.live.with(|l| l.due.clone()).map(|(at, what)| countdown(seen.base, at, what));
    view! { <div class="say" data-s=s><p role="status">{words}</p>{count}</div> }.into_any()
}

/// Script counts it down; without, it says how long it was when the page was read.
fn countdown(base: DateTime<Utc>, at: DateTime<Utc>, what: String) -> AnyView {
    let label = format!("Until {}: {what}", when::clock(at));
    view! {
        <div class="count" role="timer" aria-label=label>
            <span data-until=at.timestamp_millis()>{when::left(base, at)}</span><small>{what}</small>
        </div>
    }
    .into_any()
}

fn gate(seen: Seen) -> AnyView {
    let picture = move || {
        seen.live.with(|l| {
            let tone = tone::of_release(l);
            let s = (!matches!(tone.s, "progressing" | "healthy")).then_some(tone.s);
            // The plate is what the plan allows; after the end it is what was reached.
            let ceiling = if l.state == State::Succeeded { 100 } else { l.ceiling };
            view! { {tide(l.weight, ceiling, &l.steps, l.step, s)}{steps(&l.steps, l.step, Some(tone))} }
                .into_any()
        })
    };
    let figures = move || {
        seen.live.with(|l| {
            let allowed =
                if l.rising { percent(l.ceiling) } else { format!("{}, may only fall", percent(l.ceiling)) };
            let allowed = (!l.state.ended()).then(|| {
                view! { <div class="fig"><span>"allowed now"<br/><strong>{allowed}</strong></span></div> }
            });
            let preview = l.preview.clone().map(|at| {
                let words = " is the new version alone, from within the cluster.";
                view! { <p class="reach"><b>"Preview: "</b><span class="mono">{at}</span>{words}</p> }
            });
            let next = l.next.clone().map(|(bold, words)| {
                view! { <p class="next"><strong>{bold}</strong><br/>{words}</p> }
            });
            view! {
                <div class="fig">
                    <b>{percent(l.weight)}</b>
                    <span>"of traffic on the new version"<br/>{confirmed(l)}</span>
                </div>
                {allowed}
                {next}
                {preview}
            }
            .into_any()
        })
    };
    view! {
        <section class="gate" aria-labelledby="gate-h">
            <h2 class="vh" id="gate-h">"The gate: traffic and steps"</h2>
            <div class="now">{figures}</div>
            {picture}
        </section>
    }
    .into_any()
}

/// Whose word the weight is.
fn confirmed(l: &ReleaseLive) -> String {
    let ready = |hash: &Option<String>| {
        hash.as_ref().and_then(|h| l.revisions.iter().find(|r| r.hash == *h)).map(|r| (r.ready, r.desired))
    };
    match ready(&l.canary_hash) {
        Some((ready, desired)) if !l.state.ended() => {
            format!("confirmed; {ready} of {desired}\u{a0}pods ready")
        }
        _ => "confirmed".to_owned(),
    }
}

/// The page as the server renders it, without reading anything.
#[cfg(all(test, feature = "ssr"))]
pub(super) fn render(p: &ReleasePage) -> AnyView {
    let mut p = p.clone();
    p.markup = fixed::markup(&p);
    view(&p, Seen::new(&p))
}
