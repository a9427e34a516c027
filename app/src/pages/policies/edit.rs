//! `/policies/edit`: a policy file as text, what is wrong with it at its field, what it does in words, and what it would have done.
//!
//! "Check" asks for the same page with what stands in the field (a GET: it changes nothing); "Save" posts. Neither loses a
//! word, with script or without.

use super::{course, faults, warnings};
use crate::components::common::{at, nothing, sect, service_path};
use crate::components::icon::icon;
use crate::components::load;
use crate::components::post;
use crate::components::tone::{self, st};
use crate::draft::PolicyDraft;
use crate::when;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use model::view::{DryRun, ServiceRun};

pub(crate) fn page() -> AnyView {
    let query = use_query_map().get_untracked();
    let text = |key: &str| query.get(key).filter(|v| !v.is_empty());
    let number = |key: &str| text(key).and_then(|n| n.parse().ok());
    let (cluster, namespace) = (text("cluster").unwrap_or_default(), text("namespace").unwrap_or_default());
    let read =
        crate::api::policies::draft(cluster, namespace, text("text"), number("after"), number("put_back"));
    load::page(read, |d| view(&d))
}

pub(crate) fn view(d: &PolicyDraft) -> AnyView {
    let title = match &d.file {
        Some(_) => format!("Change the policies of {}", d.namespace),
        None => format!("New policies for {}", d.namespace),
    };
    let hidden = vec![
        ("cluster", d.cluster.clone()),
        ("namespace", d.namespace.clone()),
        ("after", d.after.map(|id| id.to_string()).unwrap_or_default()),
    ];
    let meanwhile = d.file.as_ref().filter(|f| Some(f.id) != d.after).map(|_| {
        view! {
            <div class="say" data-s="waiting"><p role="status"><strong>"The file was changed while you wrote."</strong>
                " Saving is refused: read what it says now, and begin anew from there."</p>
                <div class="acts"><a class="btn" href=super::edit_path(&d.cluster, &d.namespace, None)>"Read it again"</a></div>
            </div>
        }
    });
    let state = match (d.faults.len(), d.asked) {
        (0, _) => "no rule is broken".to_owned(),
        (1, _) => "one thing to correct".to_owned(),
        (n, _) => format!("{n} things to correct"),
    };
    let save =
        d.change.allowed.then(|| post::button("btn primary", "check", "Save".into(), "Saving…", false));
    let forbidden = d.change.why_not.clone().map(|why| {
        view! { <p class="note box mt" data-s="waiting">{icon("lock")}<span>{why}</span></p> }
    });
    let invalid = (!d.faults.is_empty()).then_some("true");
    let lines = d.text.lines().count().clamp(20, 60).to_string();
    let content = view! {
        <div class="head stick">
            <div>
                <h1>{title.clone()}</h1>
                <p class="meta"><span role="status">{state}</span><span>{format!("ConfigMap {}/rollback-policies, key policies.yaml", d.namespace)}</span></p>
            </div>
            <div class="acts">
                <a class="btn quiet" href="/policies">"Discard"</a>
                <button class="btn" type="submit" formmethod="get" formaction="/policies/edit">{icon("scale")}"Check and try"</button>
                {save}
            </div>
        </div>
        {forbidden}
        {meanwhile}
        {faults(&d.faults, "This file")}
        {warnings(&d.warnings)}
        <div class="cols even editor">
            <div>
                <div class="field mt">
                    <label for="text">"The file. Comments stay as they are."</label>
                    <textarea
                        class="in mono yaml" id="text" name="text" rows=lines spellcheck="false" autocapitalize="none"
                        autocomplete="off" aria-invalid=invalid
                    >{d.text.clone()}</textarea>
                </div>
                <div class="field mt">
                    <label for="why">"Reason (optional)"</label>
                    <input class="in" id="why" name="reason" maxlength="500" autocomplete="off"/>
                </div>
                <p class="sm ink2 mt">"Releases under way keep the policy that they started under."</p>
            </div>
            <div>{says(d)}{tried(d)}</div>
        </div>
    };
    view! {
        <Title text=title/>
        <main class="main" id="main" tabindex="-1">
            {post::form("/do/save-policies", "policies", hidden, content.into_any())}
        </main>
    }
    .into_any()
}

/// What the file does, in words.
fn says(d: &PolicyDraft) -> AnyView {
    let words = match d.policies.is_empty() {
        true => {
            view! { <p class="sm ink2 mt">"Correct what is wrong to read here what it does."</p> }.into_any()
        }
        false => d
            .policies
            .iter()
            .map(|(name, policy)| view! { <h3 class="mt">{name.clone()}</h3>{course(policy)} })
            .collect_view()
            .into_any(),
    };
    sect("says-h", "What it does", nothing(), words)
}

fn tried(d: &PolicyDraft) -> AnyView {
    if d.runs.is_empty() {
        let words = "Check and try says which releases of the last 14 days it would have fired on.";
        return sect("dry-h", "Dry run", nothing(), view! { <p class="sm ink2 mt">{words}</p> }.into_any());
    }
    let runs = d.runs.iter().map(|run| one(run, d)).collect_view();
    sect("dry-h", "Dry run", nothing(), runs.into_any())
}

fn one(run: &DryRun, d: &PolicyDraft) -> AnyView {
    let seen = when::count(run.seen, "release", "releases");
    let fired = when::count(run.fired.len(), "time", "times");
    let without = match run.without {
        0 => String::new(),
        n => format!(" Not tried: {} without samples.", when::count(n, "release", "releases")),
    };
    let untried = match run.untried.is_empty() {
        true => String::new(),
        false => format!(" Tried only where a policy had it read then: {}.", run.untried.join(", ")),
    };
    let list = run
        .fired
        .iter()
        .take(20)
        .map(|f| {
            let ended = st(tone::WAITING, "Would have fired");
            view! {
                <li><div>
                    <div class="t"><a class="sm" href=format!("/releases/{}", f.release)>{format!("{} {}", f.service, f.version)}</a>{ended}</div>
                    <p>{at(d.now, f.at)}{format!(": {}. It ended: {}.", f.words, f.ended.to_lowercase())}</p>
                </div></li>
            }
        })
        .collect_view();
    view! {
        <p class="mt"><b>{run.policy.clone()}</b>{format!(" would have fired {fired} in {} days, on {seen}.", run.days)}</p>
        <ul class="rows" role="list">{list}</ul>
        <p class="xs ink2 mt">{format!("It decides on what was stored, so it is exact.{without}{untried}")}</p>
        {run.services.as_ref().map(|s| services(s, run.days, d))}
    }
    .into_any()
}

/// What it would have fired on between releases.
fn services(s: &ServiceRun, days: u16, d: &PolicyDraft) -> AnyView {
    let seen = when::count(s.seen, "service", "services");
    let fired = when::count(s.fired.len(), "time", "times");
    let list = s
        .fired
        .iter()
        .take(20)
        .map(|f| {
            let look = st(tone::WAITING, "Would have fired");
            view! {
                <li><div>
                    <div class="t"><a class="sm" href=service_path(&f.workload)>{f.service.clone()}</a>{look}</div>
                    <p>{at(d.now, f.at)}{format!(": {}.", f.words)}</p>
                </div></li>
            }
        })
        .collect_view();
    let mut small = "As Prometheus still has it, read every 15 s.".to_owned();
    if s.left > 0 {
        small.push_str(&format!(" Not read: {}.", when::count(s.left, "service", "services")));
    }
    if let Some(why) = &s.unread {
        small.push_str(&format!(" {why}"));
    }
    if !s.untried.is_empty() {
        small.push_str(&format!(" It has no past of {}.", s.untried.join(", ")));
    }
    view! {
        <p class="mt">{format!("Watching services all the time, it would have fired {fired} in {days} days, on {seen}.")}</p>
        <ul class="rows" role="list">{list}</ul>
        <p class="xs ink2 mt">{small}</p>
    }
    .into_any()
}
