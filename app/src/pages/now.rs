//! `/`: what is broken, what waits, what moves.

use crate::api;
use crate::components::common::{ago, at, empty, fact_text, sect, sect_in, service_path};
use crate::components::frame::for_those_who_may;
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::rows;
use crate::components::tone::{self, Tone, count, st};
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use model::Action;
use model::view::{NowPage, ReleaseRow, Waiting, WorkloadRow};

pub(crate) fn page() -> AnyView {
    load::page(api::now::now(), |p| followed("now", view(&p)))
}

pub(super) fn view(p: &NowPage) -> AnyView {
    let now = p.age.now;
    let healthy = format!("{} of {} healthy", p.healthy, when::count(p.workloads, "workload", "workloads"));
    let quiet = p.broken.is_empty() && p.waiting.is_empty() && p.moving.is_empty();
    let headline = p.headline.trim_end_matches('.').to_owned();
    view! {
        <Title text=headline.clone()/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>{headline}</h1>
                    <p class="meta"><span>{when::stamp(now)}</span><span>{healthy}</span></p>
                </div>
            </div>
            <div class="cols">
                <div>
                    {(!p.broken.is_empty()).then(|| sect("b-h", "Broken",
                        count(p.broken.len(), Some("degraded")), broken(now, &p.broken)))}
                    {(!p.waiting.is_empty()).then(|| waits(now, &p.waiting))}
                    {if quiet { at_rest(p) } else { moving(now, &p.moving) }}
                </div>
                <div class="split">
                    <div>{figures(p)}</div>
                    {recent(now, &p.recent)}
                </div>
            </div>
        </main>
    }
    .into_any()
}

fn broken(now: DateTime<Utc>, list: &[WorkloadRow]) -> AnyView {
    let rows = list
        .iter()
        .map(|w| {
            let path = w.release.map_or_else(|| service_path(&w.key), |id| format!("/releases/{id}"));
            let back = w.release.map_or_else(
                || format!("{}/rollback", service_path(&w.key)),
                |id| format!("/releases/{id}/rollback"),
            );
            let message = w.message.clone().map(|m| format!("{m} "));
            let place = format!("{} / {}", w.key.namespace, w.key.cluster);
            let version = w.incoming.clone().unwrap_or_else(|| w.version.clone());
            view! {
                <li>
                    <div>
                        <div class="t"><a href=path.clone()>{w.service.clone()}" "{version}</a>{tone::st_workload(w)}</div>
                        <p>{message}<span class="dim">{place}", "{ago(now, w.since)}</span></p>
                    </div>
                    <div class="acts">
                        <a class="btn" href=path>"Open"</a>
                        <a class="btn danger" href=back aria-label=format!("ROLL BACK {}", w.service)>{icon("undo")}"ROLL BACK"</a>
                    </div>
                </li>
            }
        })
        .collect_view();
    view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
}

/// What this person can do first, then what others are waited for.
fn waits(now: DateTime<Utc>, list: &[Waiting]) -> AnyView {
    let (mine, others): (Vec<_>, Vec<_>) = list.iter().partition(|w| w.mine);
    let rows = |list: &[&Waiting]| {
        let rows = list.iter().map(|w| waiting(now, w)).collect_view();
        view! { <ul class="rows" role="list">{rows}</ul> }.into_any()
    };
    view! {
        {(!mine.is_empty()).then(|| sect("w-h", "Waits for you", count(mine.len(), Some("waiting")), rows(&mine)))}
        {(!others.is_empty()).then(|| sect("o-h", "Waits for others", count(others.len(), None), rows(&others)))}
    }
    .into_any()
}

fn waiting(now: DateTime<Utc>, w: &Waiting) -> AnyView {
    let (path, words) = match (w.release, w.plan) {
        (Some(id), _) => (format!("/releases/{id}"), if w.mine { "Decide" } else { "Open" }),
        (None, Some(id)) => (format!("/plans/{id}"), if w.mine { "Review" } else { "Open" }),
        (None, None) => ("/".to_owned(), "Open"),
    };
    let class = if w.mine { "btn primary" } else { "btn" };
    let title = w.title.clone();
    view! {
        <li>
            <div>
                <div class="t"><a href=path.clone()>{title.clone()}</a>{st(tone::WAITING, format!("for {}", when::span(now - w.since)))}</div>
                <p>{w.words.clone()}</p>
            </div>
            <div class="acts"><a class=class href=path aria-label=format!("{words}: {title}")>{words}</a></div>
        </li>
    }
    .into_any()
}

fn moving(now: DateTime<Utc>, list: &[ReleaseRow]) -> AnyView {
    let right = view! {
        {count(list.len(), (!list.is_empty()).then_some("progressing"))}
        <a href="/releases">"All releases"</a>
    };
    let content = if list.is_empty() {
        view! { <p class="sm ink2 mt">"No release is under way."</p> }.into_any()
    } else {
        rows::moving(now, list)
    };
    sect("m-h", "Moving", right.into_any(), content)
}

fn at_rest(p: &NowPage) -> AnyView {
    let last = p.recent.first().and_then(|r| r.ended.map(|e| (rows::name(r), e)));
    let words = match last {
        Some((name, ended)) => {
            format!("All is at rest. The last release, {name}, ended {}.", when::ago(p.age.now, ended))
        }
        None => {
            "Write a plan for one of your services: it is approved, then released step by step.".to_owned()
        }
    };
    let act = for_those_who_may(Action::WritePlan, || {
        view! { <a class="btn" href="/plans/new">{icon("plus")}"New plan"</a> }.into_any()
    });
    empty("release", "Nothing is moving".into(), words, act)
}

fn figures(p: &NowPage) -> AnyView {
    let broken = if p.broken.is_empty() { "none".to_owned() } else { p.broken.len().to_string() };
    let back = p.recent.iter().filter(|r| r.state == model::release::State::RolledBack).count();
    let ended = match (p.recent.len(), back) {
        (0, _) => "none".to_owned(),
        (n, 0) => n.to_string(),
        (n, b) => format!("{n}, of which {b} rolled back"),
    };
    let content = view! {
        <dl class="facts">
            {fact_text("Healthy", format!("{} of {}", p.healthy, p.workloads))}
            {fact_text("Broken", broken)}
            {fact_text("Moving", p.moving.len().to_string())}
            {fact_text("Ended lately", ended)}
        </dl>
    };
    let right = view! { <a href="/services">"Services"</a> }.into_any();
    sect("f-h", "Workloads", right, content.into_any())
}

fn recent(now: DateTime<Utc>, list: &[ReleaseRow]) -> AnyView {
    let rows = list
        .iter()
        .map(|r| {
            let tone = Tone::from(r.state);
            let time = at(now, r.ended.unwrap_or(r.created));
            view! {
                <li data-s=tone.s>
                    {time}{icon(tone.icon)}
                    <div><a class="ink" href=format!("/releases/{}", r.id)><b>{rows::name(r)}</b></a>" "
                        <span class="ink2">{r.state.words().to_lowercase()}</span><p>{r.words.clone()}</p></div>
                </li>
            }
        })
        .collect_view();
    let content = if list.is_empty() {
        view! { <p class="sm ink2 mt">"No release has ended yet."</p> }.into_any()
    } else {
        view! { <ol class="line mt" role="list">{rows}</ol> }.into_any()
    };
    let right = view! { <a href="/audit">"Audit"</a> }.into_any();
    sect_in("sect third", "l-h", "Ended lately", right, content)
}
