//! `/audit`: the chain, filtered, opened, exported, verified.

use crate::api;
use crate::components::common::{empty, fact, fact_text, nothing, scroll, sect};
use crate::components::icon::icon;
use crate::components::load;
use crate::components::tone::{self, badge};
use crate::pages::release::look;
use crate::when;
use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use leptos_router::params::ParamsMap;
use model::audit::{Event, Verified};
use model::view::{AuditFilter, AuditPage};

pub(crate) fn page() -> AnyView {
    let (filter, verify, open) = use_query_map().with_untracked(|q| {
        (filter_of(q), q.get("verify").is_some(), q.get("open").and_then(|n| n.parse::<i64>().ok()))
    });
    load::page(async move { api::audit::audit(filter, verify).await }, move |p| view(&p, open))
}

/// Kinds of event to choose from: prefixes of the action.
const KINDS: [(&str, &str); 11] = [
    ("release.", "releases"),
    ("rollback.", "rollbacks"),
    ("plan.", "plans"),
    ("approval.", "approvals"),
    ("verdict.", "verdicts"),
    ("incident.", "incidents"),
    ("flag", "feature flags"),
    ("destination.", "destinations"),
    ("notification.", "notifications"),
    ("person.", "people"),
    ("token.", "tokens"),
];

fn filter_of(q: &ParamsMap) -> AuditFilter {
    let text = |key: &str| q.get(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let number = |key: &str| text(key).and_then(|v| v.trim_start_matches('#').parse().ok());
    AuditFilter {
        action: text("action"),
        actor: text("actor"),
        service: text("service"),
        release: number("release"),
        plan: number("plan"),
        before: number("before"),
    }
}

/// What is filtered, as names and values.
fn pairs(f: &AuditFilter, before: Option<i64>) -> Vec<(&'static str, String)> {
    let number = |n: Option<i64>| n.map(|n| n.to_string());
    let all = [
        ("action", f.action.clone()),
        ("actor", f.actor.clone()),
        ("service", f.service.clone()),
        ("release", number(f.release)),
        ("plan", number(f.plan)),
        ("before", number(before)),
    ];
    all.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect()
}

/// The filter as a query, for links; `more` comes after it.
fn query_of(f: &AuditFilter, before: Option<i64>, more: &[(&'static str, String)]) -> String {
    let mut q = ParamsMap::new();
    for (key, value) in pairs(f, before).iter().chain(more) {
        q.insert(*key, value.clone());
    }
    q.to_query_string()
}

/// Reads the whole chain again, and comes back to the same view with what was found.
fn verify(f: &AuditFilter, icon_name: &'static str, words: &'static str) -> AnyView {
    let hidden = pairs(f, f.before)
        .into_iter()
        .map(|(key, value)| view! { <input type="hidden" name=key value=value/> })
        .collect_view();
    view! {
        <form method="get" action="/audit">
            {hidden}<button class="btn" type="submit" name="verify" value="1">{icon(icon_name)}{words}</button>
        </form>
    }
    .into_any()
}

pub(super) fn view(p: &AuditPage, open: Option<i64>) -> AnyView {
    let now = p.age.now;
    let size = format!("{} events", when::thousands(p.size));
    let (title, state) = match &p.verified {
        Some(v) if v.ok => (
            "Audit, chain verified",
            Some(badge(tone::HEALTHY, format!("Chain verified to #{}", when::thousands(v.size)))),
        ),
        Some(_) => ("Audit, chain broken", Some(badge(tone::DEGRADED, "Chain is broken"))),
        None => ("Audit", None),
    };
    let export = format!("/api/v1/audit{}", query_of(&p.filter, None, &[("format", "ndjson".into())]));
    let rows = p.rows.iter().map(|e| row(now, p, e, open)).collect_view();
    let log = if p.rows.is_empty() { none(p) } else { table(rows.into_any()) };
    let export_link = export.clone();
    view! {
        <Title text=title/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>"Audit "{state}</h1>
                    <p class="meta"><span>{size.clone()}</span><span>"append only: no role can change or delete an event"</span></p>
                </div>
                <div class="acts">
                    {verify(&p.filter, "lock", "Verify the chain")}
                    <a class="btn" href=export_link rel="external" download="tidegate-audit.ndjson">{icon("deploy")}"Export"</a>
                </div>
            </div>
            {p.verified.as_ref().map(verified)}
            {search(&p.filter)}
            {sect("l-h", "Log", view! { <span class="sm ink2">"newest first"</span> }.into_any(), log)}
            {older(p)}
            <div class="cols even">
                {chain(p, &size)}
                {sect("x-h", "Export", nothing(), view! {
                    <p class="sm ink2 mt">"One JSON object a line, oldest first, with the hashes: anyone can check the chain without Tidegate."</p>
                    <div class="acts mt">
                        <a class="btn" href=export rel="external" download="tidegate-audit.ndjson">{icon("deploy")}"Export what is filtered, NDJSON"</a>
                    </div>
                }.into_any())}
            </div>
        </main>
    }
    .into_any()
}

fn verified(v: &Verified) -> AnyView {
    let size = when::thousands(v.size);
    match &v.broken {
        None => view! {
            <div class="say" data-s="healthy"><p role="status"><strong>"The chain is unbroken."</strong>
                {format!(" {size} events, none missing, none changed.")}
                <small>"Root "<span class="mono wrap">{v.root.clone()}</span>": quote it elsewhere, and a cut tail shows."</small></p></div>
        }
        .into_any(),
        Some(b) => view! {
            <div class="say" data-s="degraded"><p role="alert"><strong>{format!("The chain breaks at event {}.", b.seq)}</strong>
                {format!(" {}.", b.why)}<small>"Events before it are as they were written. Compare with an export or a backup."</small></p></div>
        }
        .into_any(),
    }
}

fn search(f: &AuditFilter) -> AnyView {
    let kinds = KINDS
        .into_iter()
        .map(|(key, words)| view! { <option value=key selected=f.action.as_deref() == Some(key)>{words}</option> })
        .collect_view();
    // An action that the list does not hold (by a link) stays chosen.
    let other = f.action.clone().filter(|a| !KINDS.iter().any(|(k, _)| k == a)).map(|a| {
        view! { <option value=a.clone() selected>{a.clone()}</option> }
    });
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    view! {
        <form class="filters" method="get" action="/audit" role="search">
            <div class="field"><label for="service">"Service"</label>
                <input class="in" id="service" name="service" type="search" value=text(&f.service) placeholder="any"/></div>
            <div class="field"><label for="actor">"Who"</label>
                <input class="in fit" id="actor" name="actor" value=text(&f.actor) placeholder="anyone" size="14"/></div>
            <div class="field"><label for="action">"Did"</label>
                <select class="in fit" id="action" name="action"><option value="">"anything"</option>{kinds}{other}</select></div>
            <div class="field"><label for="release">"Release"</label>
                <input class="in fit" id="release" name="release" inputmode="numeric" value=number(f.release) placeholder="any" size="6"/></div>
            <div class="field"><label for="plan">"Plan"</label>
                <input class="in fit" id="plan" name="plan" inputmode="numeric" value=number(f.plan) placeholder="any" size="6"/></div>
            <button class="btn" type="submit">"Apply"</button>
        </form>
    }
    .into_any()
}

fn none(p: &AuditPage) -> AnyView {
    if p.size == 0 {
        return empty(
            "audit",
            "Nothing has happened yet".into(),
            "Every change writes one event here, in the same transaction.".into(),
            nothing(),
        );
    }
    let act = view! { <a class="btn" href="/audit">"Clear the filters"</a> }.into_any();
    empty(
        "search",
        "No event matches".into(),
        format!("{} events are there without the filters.", when::thousands(p.size)),
        act,
    )
}

fn table(rows: AnyView) -> AnyView {
    let table = view! {
        <table class="table flip">
            <caption class="vh">"Audit log, newest first"</caption>
            <thead>
                <tr>
                    <th scope="col">"Entry"</th><th scope="col">"UTC"</th><th scope="col">"Who"</th>
                    <th scope="col" class="xs-no">"Did"</th><th scope="col" class="xs-no">"To"</th><th scope="col">"What"</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    };
    scroll("Audit log, table", table.into_any())
}

fn row(now: DateTime<Utc>, p: &AuditPage, e: &Event, open: Option<i64>) -> AnyView {
    let n = e.seq.0;
    let is_open = open == Some(n);
    let toggle = if is_open { None } else { Some(n) };
    let more: Vec<_> = toggle.map(|n| ("open", n.to_string())).into_iter().collect();
    let href = format!("/audit{}#e{n}", query_of(&p.filter, p.filter.before, &more));
    let (s, icon_name) = look(&e.event.action, &e.event.summary);
    let what = e.event.summary.clone();
    view! {
        <tr id=format!("e{n}") class=if is_open { "open" } else { "" }>
            <th scope="row"><a class="mono sm" href=href aria-expanded=if is_open { "true" } else { "false" }>{format!("#{}", when::thousands(n))}</a></th>
            <td class="nowrap ink2">{when::near(now, e.event.at)}</td>
            <td>{e.event.actor.clone()}</td>
            <td class="mono sm xs-no">{e.event.action.clone()}</td>
            <td class="xs-no">{subject(e)}</td>
            <td class="ink2 xs-all"><span class="what" data-s=s>{icon(icon_name)}<span>{what}</span></span></td>
        </tr>
        {is_open.then(|| inset(e))}
    }
    .into_any()
}

/// What it was done to, as a link where there is a page for it.
fn subject(e: &Event) -> AnyView {
    let service = e.event.service.clone().unwrap_or_default();
    match (e.event.release, e.event.plan) {
        (Some(id), _) => view! { <a href=format!("/releases/{id}")>{service}" #"{id.0}</a> }.into_any(),
        (None, Some(id)) => view! { <a href=format!("/plans/{id}")>{service}", plan "{id.0}</a> }.into_any(),
        (None, None) => service.into_any(),
    }
}

fn inset(e: &Event) -> AnyView {
    let via = match e.event.via {
        model::Via::Browser => "browser",
        model::Via::Api => "API",
        model::Via::Cli => "command line",
        model::Via::System => "by itself",
    };
    let detail = (!e.event.detail.is_null())
        .then(|| serde_json::to_string_pretty(&e.event.detail).unwrap_or_default())
        .map(|d| view! { <pre class="yaml" tabindex="0"><code>{d}</code></pre> });
    let reason = e.event.reason.clone().map(|r| fact_text("Reason", format!("“{r}”")));
    let environment = e.event.environment.clone().map(|r| fact_text("Environment", r));
    let hash = |h: &str| view! { <span class="mono wrap">{h.to_owned()}</span> }.into_any();
    view! {
        <tr class="inset">
            <td class="xs-all" colspan="6">
                <div class="cols even">
                    <dl class="facts">
                        {fact_text("When", when::stamp(e.event.at))}
                        {fact_text("Who", format!("{}, {via}", e.event.actor))}
                        {fact_text("Did", e.event.action.clone())}
                        {environment}{reason}
                        {fact("Hash", hash(&e.hash))}
                        {fact("Previous", hash(&e.previous))}
                    </dl>
                    <div>{detail}</div>
                </div>
            </td>
        </tr>
    }
    .into_any()
}

fn older(p: &AuditPage) -> AnyView {
    let range = match (p.rows.last(), p.rows.first()) {
        (Some(last), Some(first)) => {
            format!("#{} to #{}", when::thousands(last.seq.0), when::thousands(first.seq.0))
        }
        _ => return nothing(),
    };
    let older = p.next.map(|n| {
        view! { <a class="btn small" rel="next" href=format!("/audit{}", query_of(&p.filter, Some(n), &[]))>"Older"</a> }
    });
    let newest = p.filter.before.map(|_| {
        view! { <a class="btn small" href=format!("/audit{}", query_of(&p.filter, None, &[]))>"Newest"</a> }
    });
    view! { <nav class="row mt" aria-label="Pages"><span class="sm ink2">{range}</span>{newest}{older}</nav> }
        .into_any()
}

fn chain(p: &AuditPage, size: &str) -> AnyView {
    let last = p.verified.as_ref().map_or_else(
        || "not in this view".to_owned(),
        |v| format!("{}, {}", when::stamp(p.age.now), if v.ok { "unbroken" } else { "broken" }),
    );
    let content = view! {
        <dl class="facts">{fact_text("Events", size.to_owned())}{fact_text("Last full check", last)}</dl>
        <p class="sm ink2">"Each event's hash covers the event and the hash before it. On the server: "<code>"tidegate audit verify"</code></p>
        <div class="acts mt">{verify(&p.filter, "check", "Check the whole chain")}</div>
    };
    sect("c-h", "Chain", nothing(), content.into_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filter() {
        let f =
            AuditFilter { service: Some("checkout".into()), release: Some(318), ..AuditFilter::default() };
        let q = query_of(&f, Some(40), &[("verify", "1".into())]);
        for part in ["service=checkout", "release=318", "before=40", "verify=1"] {
            assert!(q.contains(part), "{q}");
        }
        assert_eq!(query_of(&AuditFilter::default(), None, &[]), "");
    }
}
