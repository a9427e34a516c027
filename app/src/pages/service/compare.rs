//! `/services/{cluster}/{namespace}/{kind}/{name}/compare`: the last releases of a workload beside each other, aligned at their start.

use crate::chart::{Metric, at_moment, compare, compare_label, moments, since};
use crate::components::common::{ago, empty, nothing, scroll, sect, service_path};
use crate::components::load::{self, followed};
use crate::components::tone::st;
use crate::{Fault, api};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use model::Problem;
use model::view::{ComparePage, CompareRelease};
use model::workload::Kind;

pub(crate) fn page() -> AnyView {
    load::page(read(), |p| {
        let topics = format!("workload:{},releases", p.key);
        followed(&topics, view(&p))
    })
}

fn read() -> impl Future<Output = Result<ComparePage, Fault>> + Send + 'static {
    let p = use_params_map().get_untracked();
    let kind = p.get("kind").and_then(|k| k.parse::<Kind>().ok());
    let text = |key: &str| p.get(key).unwrap_or_default();
    let (cluster, namespace, name) = (text("cluster"), text("namespace"), text("name"));
    async move {
        match kind {
            Some(kind) => api::services::compare(cluster, namespace, kind, name).await,
            None => Err(Problem::not_found(
                "There is no such kind of workload: the address must say Rollout or Deployment.",
            )
            .into()),
        }
    }
}

pub(crate) fn view(p: &ComparePage) -> AnyView {
    let place = format!("{} / {}", p.key.namespace, p.key.cluster);
    let back = service_path(&p.key);
    let content = if p.releases.iter().all(|r| r.points.is_empty()) {
        let words =
            "Its releases are compared by what was measured during them: give a plan an analysis gate.";
        empty("plan", "Nothing was measured yet".to_owned(), words.to_owned(), nothing())
    } else {
        charts(p)
    };
    view! {
        <Title text=format!("{}, releases compared", p.service)/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>{format!("{}: releases compared", p.service)}</h1>
                    <p class="meta">
                        <span>{p.environment.clone()}</span><span>{place}</span>
                        <a href=back>"The service"</a>
                    </p>
                </div>
            </div>
            {content}
        </main>
    }
    .into_any()
}

fn charts(p: &ComparePage) -> AnyView {
    let base = p.age.now;
    let list = p.releases.iter().enumerate().map(|(i, r)| entry(i, r, base)).collect_view();
    let json = format!("/api/v1/workloads/{}/compare", p.key);
    let link = view! { <a href=json rel="external">"All points, JSON"</a> }.into_any();
    let content = view! {
        <p class="sm ink2">"The new version of each release, in minutes since it began. The newest is drawn strongest."</p>
        <ul class="rows" role="list">{list}</ul>
        <div class="plots">
            {figure(Metric::Weight, " low", "share of the traffic", p)}
            {figure(Metric::Errors, "", "share of requests with 5xx, 30\u{a0}s window", p)}
            {figure(Metric::Latency, " low", "milliseconds, 30\u{a0}s window", p)}
        </div>
    };
    sect("cmp-h", "The last releases", link, content.into_any())
}

fn entry(i: usize, r: &CompareRelease, base: chrono::DateTime<chrono::Utc>) -> AnyView {
    let inside = format!(r#"<line class="cmp c{i}" x2="28" y1="6" y2="6"/>"#);
    let none = r.points.is_empty().then_some(", nothing was measured");
    view! {
        <li>
            <div>
                <div class="t">
                    <span class="legend"><svg class="plot" aria-hidden="true" inner_html=inside></svg></span>
                    <a class="wrap" href=format!("/releases/{}", r.id)>{r.version.clone()}</a>
                    {st(r.state.into(), r.state.words())}
                </div>
            </div>
            <span class="sm ink2">"release #"{r.id.0}", "{ago(base, r.started)}{none}</span>
        </li>
    }
    .into_any()
}

fn figure(metric: Metric, class: &'static str, about: &'static str, p: &ComparePage) -> AnyView {
    let name = match metric {
        Metric::Weight => "Weight",
        Metric::Errors => "Errors",
        Metric::Latency => "Latency p95",
    };
    let drawn = compare(metric, &p.releases);
    view! {
        <figure>
            <figcaption><b>{name}</b><span>{about}</span></figcaption>
            <svg class=format!("plot{class}") role="img" aria-label=compare_label(metric, &p.releases) inner_html=drawn></svg>
            <details class="sm"><summary>{format!("{name} as a table")}</summary>{table(metric, name, p)}</details>
        </figure>
    }
    .into_any()
}

fn table(metric: Metric, name: &'static str, p: &ComparePage) -> AnyView {
    let heads = p
        .releases
        .iter()
        .map(|r| view! { <th scope="col" class="r">{format!("{}, #{}", r.version, r.id)}</th> })
        .collect_view();
    let mut from = -1;
    let rows = moments(&p.releases)
        .into_iter()
        .map(|to| {
            let cells = p
                .releases
                .iter()
                .map(|r| {
                    let value = at_moment(metric, r, from, to);
                    view! { <td class="r">{value.map(|v| metric.words(v))}</td> }
                })
                .collect_view();
            from = to;
            view! { <tr><th scope="row">{since(to)}</th>{cells}</tr> }
        })
        .collect_view();
    let content = view! {
        <table class="table">
            <caption>{format!("{name} of the new version, the last figure until each time since the start")}</caption>
            <thead><tr><th scope="col">"Since the start"</th>{heads}</tr></thead>
            <tbody>{rows}</tbody>
        </table>
    };
    let label = match metric {
        Metric::Weight => "Weights, table",
        Metric::Errors => "Errors, table",
        Metric::Latency => "Latencies, table",
    };
    scroll(label, content.into_any())
}
