//! `/incidents`: what users felt, and `/incidents/new`, where one is opened by hand.

use crate::api;
use crate::api::refused_at;
use crate::components::common::{at, empty, nothing, scroll, sect};
use crate::components::icon::icon;
use crate::components::incident::tone_of;
use crate::components::load::{self, followed};
use crate::components::post;
use crate::components::tone::st;
use crate::when::{self, NB};
use chrono::{DateTime, TimeDelta, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use model::incident::{self, Incident, SEVERITIES, State};
use model::view::{AlarmPage, Deed, IncidentsFilter, IncidentsPage};

pub(crate) fn page() -> AnyView {
    let filter = use_query_map().with_untracked(filter_of);
    load::page(async move { api::incidents::incidents(filter).await }, |p| followed("incidents", view(&p)))
}

pub(crate) fn new_page() -> AnyView {
    let (release, place) = use_query_map().with_untracked(|q| {
        let release = q.get("release").and_then(|n| n.parse::<i64>().ok());
        (
            release,
            format!("{} {}", q.get("service").unwrap_or_default(), q.get("environment").unwrap_or_default()),
        )
    });
    load::page(async move { api::incidents::alarm(release).await }, move |p| alarm(&p, &place))
}

fn filter_of(q: &ParamsMap) -> IncidentsFilter {
    let text = |key: &str| q.get(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    IncidentsFilter {
        q: text("q"),
        state: text("state").and_then(|s| s.parse().ok()),
        severity: text("severity").and_then(|s| incident::severity_from(&s).ok()),
        before: text("before").and_then(|n| n.parse().ok()),
    }
}

/// The filter as a query, for links.
fn query_of(f: &IncidentsFilter, before: Option<i64>) -> String {
    let mut q = ParamsMap::new();
    let mut put = |key: &'static str, value: Option<String>| {
        if let Some(value) = value {
            q.insert(key, value);
        }
    };
    put("q", f.q.clone());
    put("state", f.state.map(|s| s.key().to_owned()));
    put("severity", f.severity.map(|s| s.key().to_owned()));
    put("before", before.map(|n| n.to_string()));
    q.to_query_string()
}

/// `1 min 59 s`, `2 h 5 min`: seconds count as long as they are few.
pub(crate) fn lasted(length: TimeDelta) -> String {
    let s = length.num_seconds().max(0);
    match (s / 60, s % 60) {
        (m @ 1..60, rest @ 1..) => format!("{m}{NB}min {rest}{NB}s"),
        _ => when::span(length),
    }
}

fn title(p: &IncidentsPage) -> String {
    let many = |n: usize| if n == 1 { "One incident is".to_owned() } else { format!("{n} incidents are") };
    match (p.open, p.watching) {
        (0, 0) => "No incident is open".to_owned(),
        (0, w) => format!("{} watched", many(w)),
        (o, 0) => format!("{} open", many(o)),
        (o, w) => format!("{} open, {w} watched", many(o)),
    }
}

pub(super) fn view(p: &IncidentsPage) -> AnyView {
    let now = p.age.now;
    let title = title(p);
    let month = format!("{} in 30{NB}days, {} of them from releases", p.month, p.month_releases);
    let median = p.median_seconds.map(|s| {
        view! { <span>{format!("median {}", lasted(TimeDelta::seconds(s)))}</span> }
    });
    let content = if p.rows.is_empty() { none(p) } else { table(now, &p.rows) };
    // Without a single one there is nothing to search in.
    let search = (!p.rows.is_empty() || asks(&p.filter)).then(|| search(&p.filter));
    let older = p.next.map(|n| {
        view! {
            <nav class="row mt" aria-label="Pages">
                <a class="btn small" rel="next" href=format!("/incidents{}", query_of(&p.filter, Some(n)))>"Older"</a>
            </nav>
        }
    });
    view! {
        <Title text=title.clone()/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div><h1>{title}</h1><p class="meta"><span>{month}</span>{median}</p></div>
                <div class="acts">{opener(&p.open_one, "/incidents/new".to_owned())}</div>
            </div>
            {search}
            {content}
            {older}
        </main>
    }
    .into_any()
}

/// The link to the form, or the reason why not.
fn opener(deed: &Deed, path: String) -> AnyView {
    if deed.allowed {
        return view! { <a class="btn" href=path>{icon("plus")}"Open an incident"</a> }.into_any();
    }
    let why = deed.why_not.clone().unwrap_or_default();
    view! {
        <button class="btn" type="button" aria-disabled="true" aria-describedby="open-why">{icon("plus")}"Open an incident"</button>
        <p class="xs ink2 full" id="open-why">{why}</p>
    }
    .into_any()
}

fn asks(f: &IncidentsFilter) -> bool {
    f.q.is_some() || f.state.is_some() || f.severity.is_some() || f.before.is_some()
}

fn search(f: &IncidentsFilter) -> AnyView {
    let states = State::ALL
        .into_iter()
        .map(|s| view! { <option value=s.key() selected=f.state == Some(s)>{s.words()}</option> })
        .collect_view();
    view! {
        <form class="filters" role="search" method="get" action="/incidents">
            <div class="field"><label for="q">"Find"</label>
                <input class="in" id="q" name="q" type="search" placeholder="title, service, number"
                    value=f.q.clone().unwrap_or_default()/></div>
            <div class="field"><label for="state">"State"</label>
                <select class="in fit" id="state" name="state"><option value="">"All"</option>{states}</select></div>
            <div class="field"><label for="severity">"Severity"</label>
                <select class="in fit" id="severity" name="severity">
                    <option value="">"All"</option>{severities(f.severity, false)}
                </select></div>
            <button class="btn" type="submit">"Apply"</button>
        </form>
    }
    .into_any()
}

/// Severities to choose from; `told` with what each means.
pub(crate) fn severities(chosen: Option<model::policy::Severity>, told: bool) -> AnyView {
    SEVERITIES
        .into_iter()
        .map(|s| {
            let words = if told { incident::severity_words(s) } else { s.key() };
            view! { <option value=s.key() selected=chosen == Some(s)>{words}</option> }
        })
        .collect_view()
        .into_any()
}

fn none(p: &IncidentsPage) -> AnyView {
    if asks(&p.filter) {
        let act = view! { <a class="btn" href="/incidents">"Clear the filters"</a> }.into_any();
        return empty(
            "search",
            "No incident matches".into(),
            "Try fewer words or another state.".into(),
            act,
        );
    }
    empty(
        "incident",
        "No incident yet".into(),
        "A rollback policy opens one when it fires. Whoever sees that users have trouble opens one by hand."
            .into(),
        nothing(),
    )
}

fn table(now: DateTime<Utc>, rows: &[Incident]) -> AnyView {
    let body = rows
        .iter()
        .map(|i| {
            let public = if i.public { "public" } else { "" };
            let lead = i.lead_words();
            view! {
                <tr data-key=format!("incident-{}", i.id)>
                    <th scope="row" class="wrap">
                        <a href=format!("/incidents/{}", i.id)>{i.title.clone()}</a>" "
                        <span class="rev dim">{i.id.0}</span>
                    </th>
                    <td>{st(tone_of(i.state), i.state.words())}</td>
                    <td class="ink2 xs-all">{i.severity.key()}
                        <span class="only-s">{format!("{NB}severity, {}", i.service)}</span></td>
                    <td class="xs-no ink2">{i.service.clone()}</td>
                    <td class="xs-no ink2">{i.environment.clone()}</td>
                    <td class="xs-no ink2">{lead}</td>
                    <td class="xs-no ink2">{public}</td>
                    <td class="xs-no ink2 nowrap">{at(now, i.began)}</td>
                    <td class="r xs-no">{lasted(i.lasted(now))}</td>
                </tr>
            }
        })
        .collect_view();
    let table = view! {
        <table class="table flip">
            <caption class="vh">"Incidents, newest first"</caption>
            <thead>
                <tr>
                    <th scope="col">"Incident"</th><th scope="col">"State"</th><th scope="col">"Severity"</th>
                    <th scope="col" class="xs-no">"Service"</th><th scope="col" class="xs-no">"Where"</th>
                    <th scope="col" class="xs-no">"Lead"</th>
                    <th scope="col" class="xs-no">"Told"</th>
                    <th scope="col" class="xs-no">"Began"</th><th scope="col" class="r xs-no">"Lasted"</th>
                </tr>
            </thead>
            <tbody>{body}</tbody>
        </table>
    };
    scroll("Incidents, table", table.into_any())
}

/// The form. `place` is the service and environment that it begins with.
pub(super) fn alarm(p: &AlarmPage, place: &str) -> AnyView {
    let refused = refused_at("/do/open-incident");
    let wrong = |field: &str| refused.as_ref().and_then(|f| f.at(field)).map(str::to_owned);
    let about = match &p.release {
        Some(r) => {
            let words = format!("{} {}, release #{}", r.service, r.version, r.id);
            view! {
                <p class="sm ink2">"About "<a href=format!("/releases/{}", r.id)>{words}</a></p>
                <input type="hidden" name="release" value=r.id.0/>
            }
            .into_any()
        }
        None => services(p, place, wrong("service")),
    };
    let begun = p.release.as_ref().map(|r| format!("{} {} fails", r.service, r.version)).unwrap_or_default();
    let fields = view! {
        {about}
        <div class="field">
            <label for="title">"What goes wrong"</label>
            <input class="in" id="title" name="title" required maxlength="120" autocomplete="off" value=begun
                placeholder="Some payments fail" aria-invalid=wrong("title").map(|_| "true")
                aria-describedby="title-h"/>
            {error(wrong("title"))}
            <span class="hint" id="title-h">"For those who work on it. The public page has words of its own."</span>
        </div>
        <div class="field">
            <label for="severity">"Severity"</label>
            <select class="in fit" id="severity" name="severity">
                {severities(Some(model::policy::Severity::High), true)}
            </select>
        </div>
        <div class="field">
            <label for="impact">"What users feel, as far as it is known (optional)"</label>
            <textarea class="in" id="impact" name="impact" rows="3" maxlength="500"
                aria-invalid=wrong("impact").map(|_| "true")></textarea>
            {error(wrong("impact"))}
        </div>
        <div class="acts">
            {post::button("btn primary big", "incident", "Open the incident".into(), "Opening…", false)}
            <a class="btn" href="/incidents">"Leave it"</a>
        </div>
    };
    let form = if p.open_one.allowed {
        post::form("/do/open-incident", "stackf mt", Vec::new(), fields.into_any())
    } else {
        view! { <p class="note box mt" data-s="waiting">{icon("lock")}<span>{p.open_one.why_not.clone()}</span></p> }
            .into_any()
    };
    let then = sect(
        "then-h",
        "What happens then",
        nothing(),
        view! {
            <ol class="seq mt" role="list">
                <li>"Whoever is on call gets the lead; if that is you, you have it."</li>
                <li>"Its page collects what is done: to the release, to the service, about the incident."</li>
                <li>"The public is told nothing before somebody says so there."</li>
            </ol>
        }
        .into_any(),
    );
    view! {
        <Title text="Open an incident"/>
        <main class="main" id="main" tabindex="-1">
            <div class="head"><div><h1>"Open an incident"</h1></div></div>
            <div class="cols two"><div>{form}</div>{then}</div>
        </main>
    }
    .into_any()
}

fn services(p: &AlarmPage, place: &str, wrong: Option<String>) -> AnyView {
    let options = p
        .services
        .iter()
        .map(|(service, environment)| {
            let value = format!("{service} {environment}");
            let chosen = value == place;
            view! { <option value=value selected=chosen>{format!("{service}, {environment}")}</option> }
        })
        .collect_view();
    view! {
        <div class="field">
            <label for="service">"Service"</label>
            <select class="in" id="service" name="place" required aria-invalid=wrong.as_ref().map(|_| "true")>
                <option value="">"Choose one"</option>{options}
            </select>
            {error(wrong)}
        </div>
    }
    .into_any()
}

pub(crate) fn error(wrong: Option<String>) -> Option<impl IntoView> {
    wrong.map(|w| view! { <span class="err">{icon("warn")}{w}</span> })
}
