//! `/policies`: the rollback policies in force, by whom they were written, and how often they fired.

mod edit;

use crate::api;
use crate::components::common::{ago, difference_of, empty, nothing, scroll};
use crate::components::icon::icon;
use crate::components::load::{self, followed};
use crate::components::tone::{self, Tone, badge, st};
use crate::when;
use chrono::{DateTime, Utc};
pub(crate) use edit::page as edit;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::params::ParamsMap;
use model::FieldError;
use model::policy::{Action as Asked, Policy};
use model::view::{FileState, PoliciesPage, PolicyChangeView, PolicyFileView, PolicyView};

pub(crate) fn page() -> AnyView {
    load::page(api::policies::policies(), |p| followed("policies", view(&p)))
}

/// Where a file is changed.
fn edit_path(cluster: &str, namespace: &str, put_back: Option<i64>) -> String {
    let mut query = ParamsMap::new();
    query.insert("cluster", cluster.to_owned());
    query.insert("namespace", namespace.to_owned());
    if let Some(id) = put_back {
        query.insert("put_back", id.to_string());
    }
    format!("/policies/edit{}", query.to_query_string())
}

fn headline(p: &PoliciesPage) -> String {
    let there = |f: &&PolicyFileView| f.state != FileState::Gone;
    let faulty = |f: &&PolicyFileView| matches!(f.state, FileState::Faulty | FileState::NoneInForce);
    let (files, faults) = (p.files.iter().filter(there).count(), p.files.iter().filter(faulty).count());
    let policies: usize = p.files.iter().map(|f| f.policies.len()).sum();
    match (files, faults, policies) {
        (0, ..) => "No rollback policy is in force".to_owned(),
        (_, 1, _) => "One policy file has faults".to_owned(),
        (_, 2.., _) => format!("{faults} policy files have faults"),
        (_, _, 1) => "One rollback policy is in force".to_owned(),
        (_, _, n) => format!("{n} rollback policies are in force"),
    }
}

pub(super) fn view(p: &PoliciesPage) -> AnyView {
    let words = headline(p);
    let now = p.age.now;
    let without = match p.without {
        0 => "every workload has one".to_owned(),
        n => format!("{} without one", when::count(n, "workload", "workloads")),
    };
    let fired = format!("fired {} in 30\u{a0}days", often(p.fired));
    let begin = begin(p);
    let files = if p.files.iter().all(|f| f.state == FileState::Gone) {
        empty(
            "shield",
            "Nothing rolls back but a failed analysis".into(),
            "A policy holds a release, tells on-call and rolls back after a countdown when errors, latency, restarts or any \
             query pass a limit. It is the ConfigMap rollback-policies, here or with kubectl."
                .into(),
            nothing(),
        )
    } else {
        p.files.iter().map(|f| file(f, now)).collect_view().into_any()
    };
    view! {
        <Title text="Policies"/>
        <main class="main" id="main" tabindex="-1">
            <div class="head">
                <div>
                    <h1>{words}</h1>
                    <p class="meta"><span>{fired}</span><span>{without}</span></p>
                </div>
            </div>
            {files}
            {begin}
        </main>
    }
    .into_any()
}

/// Where a new file may be begun.
fn begin(p: &PoliciesPage) -> AnyView {
    if p.free.is_empty() {
        return nothing();
    }
    let options = p
        .free
        .iter()
        .map(|(cluster, namespace)| {
            let path = edit_path(cluster, namespace, None);
            view! { <li><a class="btn small" href=path>{icon("plus")}{format!("{namespace} / {cluster}")}</a></li> }
        })
        .collect_view();
    view! {
        <section class="sect" aria-labelledby="new-h">
            <header><h2 id="new-h">"New policies for a namespace"</h2></header>
            <p class="sm ink2 mt">"A namespace without a file of its own is ruled by the one beside Tidegate."</p>
            <ul class="row mt" role="list">{options}</ul>
        </section>
    }
    .into_any()
}

fn state(f: &PolicyFileView) -> (Tone, &'static str) {
    match f.state {
        FileState::InForce => (tone::HEALTHY, "In force"),
        FileState::ChangedOutside => (tone::HEALTHY, "In force, written outside Tidegate"),
        FileState::Faulty => (tone::DEGRADED, "Has faults, the last good one is in force"),
        FileState::NoneInForce => (tone::DEGRADED, "Has faults, none is in force"),
        FileState::Gone => (tone::UNKNOWN, "Gone, none is in force"),
    }
}

fn file(f: &PolicyFileView, now: DateTime<Utc>) -> AnyView {
    let (look, words) = state(f);
    let reach =
        if f.home { "rules wherever a namespace has no file of its own" } else { "rules this namespace" };
    let change = match f.change.allowed {
        true => {
            let path = edit_path(&f.cluster, &f.namespace, None);
            view! { <a class="btn" href=path>{icon("plan")}"Change"</a> }.into_any()
        }
        false => nothing(),
    };
    let place = format!("{} / {} ", f.namespace, f.cluster);
    let wrong = faults(&f.faults, "What the cluster holds");
    let warned = warnings(&f.warnings);
    let last = f.history.first().map(|h| {
        let outside = if h.outside { ", outside Tidegate" } else { "" };
        view! { <span>"changed "{ago(now, h.at)}{format!(" by {}{outside}", h.by)}</span> }
    });
    view! {
        <section class="sect policyfile">
            <div class="head">
                <div>
                    <h2 class="row">{place}{badge(look, words)}</h2>
                    <p class="meta"><span>{reach}</span>{last}</p>
                </div>
                <div class="acts">{change}</div>
            </div>
            {wrong}
            {warned}
            {table(f)}
            {f.policies.iter().map(|p| detail(p, f.policies.len() == 1)).collect_view()}
            {history(f, now)}
        </section>
    }
    .into_any()
}

/// Every fault, each at its field.
fn faults(all: &[FieldError], what: &str) -> AnyView {
    if all.is_empty() {
        return nothing();
    }
    let title = match all.len() {
        1 => format!("{what} has a fault."),
        n => format!("{what} has {n} faults."),
    };
    let list = all
        .iter()
        .map(|e| {
            let place = if e.field.is_empty() { "file".to_owned() } else { e.field.clone() };
            view! { <li><span class="mono">{place}</span>" "{e.message.clone()}</li> }
        })
        .collect_view();
    view! { <div class="say" data-s="degraded" role="alert"><div><p><strong>{title}</strong></p><ul class="sm">{list}</ul></div></div> }.into_any()
}

fn warnings(all: &[FieldError]) -> AnyView {
    if all.is_empty() {
        return nothing();
    }
    let list = all
        .iter()
        .map(|w| {
            view! { <li class="note" data-s="waiting">{icon("info")}<span><span class="mono">{w.field.clone()}</span>" "{w.message.clone()}</span></li> }
        })
        .collect_view();
    view! { <ul class="mt" role="list" aria-label="Worth knowing">{list}</ul> }.into_any()
}

fn table(f: &PolicyFileView) -> AnyView {
    if f.policies.is_empty() {
        return nothing();
    }
    let rows = f
        .policies
        .iter()
        .map(|p| {
            view! {
                <tr>
                    <th scope="row">{p.name.clone()}</th>
                    <td class="xs-all">{p.policy.fires_when()}</td>
                    <td class="xs-no">{p.policy.then()}</td>
                    <td class="r xs-no">{p.policy.countdown()}</td>
                    <td class="r xs-no">{when::count(p.used_by, "workload", "workloads")}</td>
                    <td class="r xs-no">{often(p.fired)}</td>
                </tr>
            }
        })
        .collect_view();
    let table = view! {
        <table class="table flip">
            <caption class="vh">"Policies in force"</caption>
            <thead><tr>
                <th scope="col">"Policy"</th><th scope="col">"Fires when"</th><th scope="col">"Then"</th>
                <th scope="col" class="r">"Countdown"</th><th scope="col" class="r">"Watches"</th>
                <th scope="col" class="r">"Fired, 30 days"</th>
            </tr></thead>
            <tbody>{rows}</tbody>
        </table>
    };
    scroll("Policies in force, table", table.into_any())
}

fn often(n: usize) -> String {
    if n == 0 { "never".to_owned() } else { when::count(n, "time", "times") }
}

fn detail(p: &PolicyView, open: bool) -> AnyView {
    let title = format!("{}, step by step", p.name);
    view! { <details class="sm mt" open=open><summary>{title}</summary>{course(&p.policy)}</details> }
        .into_any()
}

/// What a policy does, in its order, with the times that count from the trigger.
fn course(p: &Policy) -> AnyView {
    let always = p.service_words().map(|words| format!(" It watches {words}."));
    let first = view! {
        <li data-s="waiting">
            <span>"when"</span>{icon("warn")}
            <div><b>{capital(&p.fires_when())}</b><p>{format!("{}.", capital(&p.conditions.words()))}{always}</p></div>
        </li>
    };
    let actions = p
        .actions
        .iter()
        .map(|action| {
            let (s, look) = look(action);
            let at = match action {
                Asked::AutomaticRollback { confirmation_required: true, .. } => "asked".to_owned(),
                Asked::AutomaticRollback { delay, .. } => format!("+{}", delay.clock()),
                _ => "+0:00".to_owned(),
            };
            view! {
                <li data-s=s>
                    <span>{at}</span>{icon(look)}
                    <div><b>{action.title()}</b><p>{action.words(&p.conditions)}</p></div>
                </li>
            }
        })
        .collect_view();
    let breaker = p.breaker.map(|b| {
        view! {
            <li data-s="unknown">
                <span>"then"</span>{icon("snow")}
                <div><b>"No new release"</b><p>{format!("{}.", capital(&b.words()))}</p></div>
            </li>
        }
    });
    view! { <ol class="line mt" role="list">{first}{actions}{breaker}</ol> }.into_any()
}

fn capital(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

/// Role of colour and icon of an action.
fn look(action: &Asked) -> (&'static str, &'static str) {
    match action {
        Asked::PauseRollout => ("waiting", "pause"),
        Asked::NotifyOncall { .. } => ("progressing", "person"),
        Asked::AutomaticRollback { .. } => ("rolled-back", "undo"),
        Asked::IncidentCreation { .. } => ("degraded", "incident"),
    }
}

fn history(f: &PolicyFileView, now: DateTime<Utc>) -> AnyView {
    let row = |(i, h): (usize, &PolicyChangeView)| {
        let outside = if h.outside { " outside Tidegate" } else { "" };
        let what = match (&h.text, h.faulty) {
            (None, _) => st(tone::UNKNOWN, "Removed"),
            (_, true) => st(tone::DEGRADED, "With faults"),
            (_, false) if h.outside => st(tone::WAITING, "Changed outside"),
            _ => st(tone::HEALTHY, "Changed"),
        };
        // What stands there now cannot be put back.
        let back = (i > 0 && f.change.allowed && h.text.is_some() && !h.faulty).then(|| {
            let path = edit_path(&f.cluster, &f.namespace, Some(h.id));
            view! { <a class="btn small" href=path>{icon("undo")}"Put this back"</a> }
        });
        view! {
            <li>
                <div>
                    <div class="t">{what}<span class="sm">{format!("{}{outside}", h.by)}</span><span class="sm dim">{ago(now, h.at)}</span></div>
                    {difference_of("What was changed".to_owned(), &h.diff)}
                </div>
                <div class="acts">{back}</div>
            </li>
        }
    };
    let rows = f.history.iter().enumerate().map(row).collect_view();
    let words = format!("Who changed it ({})", f.history.len());
    view! { <details class="sm mt"><summary>{words}</summary><ul class="rows" role="list">{rows}</ul></details> }
        .into_any()
}
