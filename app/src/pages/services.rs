//! `/services`: every workload, live.

use crate::api;
use crate::components::common::{ago, empty, percent, scroll, service_path};
use crate::components::frame::for_those_who_may;
use crate::components::gate::mini;
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::tone;
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use model::Action;
use model::view::{ServiceFilter, ServicesPage, WorkloadRow};
use model::workload::{Phase, Strategy};

const PHASES: [Phase; 5] =
    [Phase::Degraded, Phase::Progressing, Phase::Paused, Phase::Unknown, Phase::Healthy];

pub(crate) fn page() -> AnyView {
    let filter = use_query_map().with_untracked(filter_of);
    load::page(async move { api::services::services(filter).await }, |p| followed("workloads", view(&p)))
}

fn filter_of(q: &ParamsMap) -> ServiceFilter {
    let text = |key: &str| q.get(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    ServiceFilter {
        q: text("q"),
        environment: text("environment"),
        phase: text("phase").and_then(|p| PHASES.into_iter().find(|x| x.key() == p)),
        from: text("from").and_then(|n| n.parse().ok()).unwrap_or(0),
    }
}

fn new_plan() -> AnyView {
    view! { <a class="btn" href="/plans/new">{icon("plus")}"New plan"</a> }.into_any()
}

/// The address of the same list with something changed.
fn link(f: &ServiceFilter, phase: Option<Phase>, from: usize) -> String {
    let mut q = ParamsMap::new();
    let mut put = |key: &'static str, value: Option<String>| {
        if let Some(value) = value {
            q.insert(key, value);
        }
    };
    put("q", f.q.clone());
    put("environment", f.environment.clone());
    put("phase", phase.map(|p| p.key().to_owned()));
    put("from", (from > 0).then(|| from.to_string()));
    format!("/services{}", q.to_query_string())
}

pub(super) fn view(p: &ServicesPage) -> AnyView {
    let now = p.age.now;
    let all: usize = p.phases.iter().map(|(_, n)| n).sum();
    let of = |phase: Phase| p.phases.iter().find(|(x, _)| *x == phase).map_or(0, |(_, n)| *n);
    let broken = of(Phase::Degraded);
    let title = match broken {
        0 => format!("Services, {} healthy", of(Phase::Healthy)),
        n => format!("Services, {n} degraded"),
    };
    let body = p.rows.iter().map(|w| row(now, w)).collect_view();
    let content = if p.rows.is_empty() { none(p, all) } else { table(body.into_any()) };
    view! {
        <Title text=title/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>"Services"</h1>
                    <p class="meta">
                        <span>{when::count(all, "workload", "workloads")}</span>
                        <span>{format!("{} not at rest", all - of(Phase::Healthy))}</span>
                    </p>
                </div>
                <div class="acts">{for_those_who_may(Action::WritePlan, new_plan)}</div>
            </div>
            {tabs(p, all)}
            {search(p)}
            {content}
            {pages(p)}
        </main>
    }
    .into_any()
}

fn tabs(p: &ServicesPage, all: usize) -> AnyView {
    let tab = |phase: Option<Phase>, words: &'static str, n: usize, s: Option<&'static str>| {
        let current = (p.filter.phase == phase).then_some("page");
        view! {
            <a href=link(&p.filter, phase, 0) aria-current=current>{words}" "{tone::count(n, s)}</a>
        }
    };
    let phases = PHASES
        .into_iter()
        .map(|phase| {
            let n = p.phases.iter().find(|(x, _)| *x == phase).map_or(0, |(_, n)| *n);
            let words = match phase {
                Phase::Healthy => "Healthy",
                Phase::Progressing => "Progressing",
                Phase::Paused => "Paused",
                Phase::Degraded => "Degraded",
                Phase::Unknown => "Unknown",
            };
            let loud = n > 0 && phase != Phase::Healthy;
            tab(Some(phase), words, n, loud.then_some(tone::Tone::from(phase).s))
        })
        .collect_view();
    view! { <nav class="tabs" aria-label="By phase">{tab(None, "All", all, None)}{phases}</nav> }.into_any()
}

fn search(p: &ServicesPage) -> AnyView {
    let f = &p.filter;
    let environments = p
        .environments
        .iter()
        .map(|e| {
            let chosen = f.environment.as_ref() == Some(e);
            view! { <option value=e.clone() selected=chosen>{e.clone()}</option> }
        })
        .collect_view();
    let phase = f.phase.map(|x| view! { <input type="hidden" name="phase" value=x.key()/> });
    view! {
        <form class="filters" role="search" method="get" action="/services">
            {phase}
            <div class="field">
                <label for="q">"Find"</label>
                <input
                    class="in" id="q" name="q" type="search" placeholder="name, namespace, version"
                    value=f.q.clone().unwrap_or_default()
                />
            </div>
            <div class="field">
                <label for="environment">"Environment"</label>
                <select class="in fit" id="environment" name="environment">
                    <option value="">"All"</option>{environments}
                </select>
            </div>
            <button class="btn" type="submit">"Apply"</button>
        </form>
    }
    .into_any()
}

fn none(p: &ServicesPage, all: usize) -> AnyView {
    if all == 0 {
        return empty(
            "services",
            "No workloads yet".into(),
            "Tidegate shows every Rollout and Deployment of its clusters as soon as it sees them.".into(),
            ().into_any(),
        );
    }
    let what = p.filter.q.as_ref().map_or_else(|| "this".to_owned(), |q| format!("“{q}”"));
    let act = view! { <a class="btn" href="/services">"Clear the filters"</a> }.into_any();
    empty("search", format!("No service matches {what}"), "Other filters may hide it.".into(), act)
}

fn table(body: AnyView) -> AnyView {
    let table = view! {
        <table class="table flip">
            <caption class="vh">"Workloads, those not at rest first"</caption>
            <thead>
                <tr>
                    <th scope="col">"Service"</th><th scope="col">"Status"</th>
                    <th scope="col" class="xs-no">"Namespace"</th><th scope="col" class="xs-no">"Kind"</th>
                    <th scope="col">"Version"</th><th scope="col" class="xs-no">"Gate"</th>
                    <th scope="col" class="r xs-no">"Canary"</th><th scope="col" class="r xs-no">"Pods"</th>
                    <th scope="col" class="r xs-no">"Since"</th>
                    <th scope="col" class="r"><span class="vh">"Roll back"</span></th>
                </tr>
            </thead>
            <tbody>{body}</tbody>
        </table>
    };
    scroll("Services", table.into_any())
}

/// `data-key` names the row: script flashes the one that changed, and asks again only when one shown did.
fn row(now: DateTime<Utc>, w: &WorkloadRow) -> AnyView {
    let moving = w.incoming.is_some() || w.weight > 0;
    let gate = if moving {
        mini(w.weight, w.weight, &[])
    } else {
        view! { <span class="dim">"at rest"</span> }.into_any()
    };
    let kind = match w.strategy {
        Strategy::Canary => "Rollout, canary",
        Strategy::BlueGreen => "Rollout, blue-green",
        Strategy::Rolling => "Deployment",
    };
    let version = match &w.incoming {
        Some(new) => format!("{} → {new}", w.version),
        None => w.version.clone(),
    };
    let path = service_path(&w.key);
    let release =
        w.release.map(|id| view! { " "<a class="rev" href=format!("/releases/{id}")>"#"{id.0}</a> });
    let class = if w.phase == Phase::Degraded { "btn small stop" } else { "btn small quiet" };
    view! {
        <tr data-key=w.key.to_string()>
            <th scope="row"><a href=path.clone()>{w.service.clone()}</a>{release}</th>
            <td>{tone::st_workload(w)}</td>
            <td class="xs-no">{w.key.namespace.clone()}</td>
            <td class="xs-no dim">{kind}</td>
            <td class="rev">{version}</td>
            <td class="xs-no">{gate}</td>
            <td class="r xs-no">{if moving { percent(w.weight) } else { String::new() }}</td>
            <td class="r xs-no">{format!("{} / {}", w.ready, w.replicas)}</td>
            <td class="r xs-no dim">{ago(now, w.since)}</td>
            <td class="r">
                <a class=class href=format!("{path}/rollback") aria-label=format!("Roll back {}", w.service)>
                    {icon("undo")}"Roll back"
                </a>
            </td>
        </tr>
    }
    .into_any()
}

fn pages(p: &ServicesPage) -> AnyView {
    let (from, size) = (p.filter.from, p.page_size.max(1));
    if p.total <= size && from == 0 {
        return ().into_any();
    }
    let to = (from + p.rows.len()).min(p.total);
    let before = (from > 0).then(|| {
        view! { <a class="btn small" rel="prev" href=link(&p.filter, p.filter.phase, from.saturating_sub(size))>"Before"</a> }
    });
    let after = (to < p.total).then(|| {
        view! { <a class="btn small" rel="next" href=link(&p.filter, p.filter.phase, from + size)>"Next"</a> }
    });
    let n = |n: usize| when::thousands(i64::try_from(n).unwrap_or(i64::MAX));
    view! {
        <nav class="row mt" aria-label="Pages">
            <span class="sm ink2">{format!("{} to {} of {}", n(from + 1), n(to), n(p.total))}</span>{before}{after}
        </nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_the_filter() {
        let f = ServiceFilter { q: Some("check out".into()), from: 50, ..ServiceFilter::default() };
        assert!(link(&f, Some(Phase::Degraded), 100).contains("phase=degraded"));
        assert_eq!(link(&ServiceFilter::default(), None, 0), "/services");
    }
}
