//! `/services/{cluster}/{namespace}/{kind}/{name}`: one workload, its versions, its history, its way back.

mod breaker;
pub(crate) mod compare;
mod policy;

use crate::components::analyses;
use crate::components::common::{
    ago, at, empty, fact, fact_text, nothing, percent, scroll, sect, service_path,
};
use crate::components::confirm::{self, Rollback};
use crate::components::icon::icon;
use crate::components::incident;
use crate::components::load::{self, followed};
use crate::components::tone::{self, Tone, badge};
use crate::components::{gate, post, rows};
use crate::pages::release::{facts_of_rollback, ready_to_roll_back, stalled};
use crate::pages::rollback::{hidden, keep};
use crate::{Fault, api, when};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use leptos_router::params::ParamsMap;
use model::Problem;
use model::view::{KnownGoodRow, ServicePage, Standing, SyncView};
use model::workload::{Kind, Phase, Revision, Strategy, Workload, version_of};

pub(crate) fn page() -> AnyView {
    load::page(read(String::new()), |p| {
        let topics = format!("workload:{},releases", p.row.key);
        followed(&topics, view(&p))
    })
}

/// Reads the workload that the address names, and what going back to `to` would do, where that is a hash.
pub(crate) fn read(to: String) -> impl Future<Output = Result<ServicePage, Fault>> + Send + 'static {
    let p = use_params_map().get_untracked();
    let kind = p.get("kind").and_then(|k| k.parse::<Kind>().ok());
    let text = |key: &str| p.get(key).unwrap_or_default();
    let (cluster, namespace, name) = (text("cluster"), text("namespace"), text("name"));
    async move {
        match kind {
            Some(kind) => api::services::service(cluster, namespace, kind, name, Some(to)).await,
            None => Err(Problem::not_found(
                "There is no such kind of workload: the address must say Rollout or Deployment.",
            )
            .into()),
        }
    }
}

pub(super) fn view(p: &ServicePage) -> AnyView {
    let row = &p.row;
    let base = p.age.now;
    let tone = Tone::from(row.phase);
    let words = match (&row.incoming, row.weight) {
        (Some(new), w) if w > 0 => format!("{}, {new} at {}", capital(row.phase.key()), percent(w)),
        _ => capital(row.phase.key()),
    };
    let title = format!("{} {}, {}", row.service, row.version, row.phase.key());
    let place = format!("{} / {}", row.key.namespace, row.key.cluster);
    let open = row.release.map(|id| {
        view! { <a class="btn" href=format!("/releases/{id}")>"Open release #"{id.0}</a> }
    });
    let opener = |class: &'static str, id: Option<&'static str>| {
        confirm::opener(&p.roll_back, format!("{}/rollback", service_path(&row.key)), class, id)
    };
    let panel = p.roll_back.allowed.then(|| {
        confirm::panel(&Rollback {
            action: "/do/rollback-workload",
            service: row.service.clone(),
            preview: p.rollback.clone(),
            hidden: hidden(p),
            keep: keep(p.rollback.as_ref(), &row.version),
            back: service_path(&row.key),
        })
    });
    view! {
        <Title text=title/>
        <main class="main has-bar" id="main" tabindex="-1">
            <div class="head stick">
                <div>
                    <h1>{row.service.clone()}" "{badge(tone, words)}</h1>
                    <p class="meta">
                        <span>{row.environment.clone()}</span><span>{place}</span>
                        <span>{row.key.kind.key()}" "<span class="mono">{row.key.name.clone()}</span></span>
                        <span>"since "{ago(base, row.since)}</span>
                    </p>
                </div>
                <div class="acts">{open}{write_plan(p)}{restart_opener(p)}{opener("btn danger big only-l", Some("rb"))}</div>
            </div>
            {reasons(p)}
            {sentence(p)}
            {policy::countdown(p)}
            {breaker::shown(p)}
            {stall(p)}
            {recovery(p)}
            {suspended(p)}
            <div class="cols two">
                <div>{workload(p)}{analyses::section(&p.analyses, base, None)}{history(p)}{incidents(p)}</div>
                <div>{way_back(p)}{policy::section(p)}{config(p)}{known_good(p)}{contents(&p.workload, p.sync.as_ref())}</div>
            </div>
        </main>
        {panel}
        {restart_panel(p)}
        <div class="bar only-s" role="region" aria-label="Main action">{opener("btn danger big", None)}</div>
    }
    .into_any()
}

/// What is, where it is not at rest.
fn sentence(p: &ServicePage) -> AnyView {
    let w = &p.row;
    let stable = p.workload.stable_version();
    let words = match (w.phase, &w.incoming) {
        (_, None) if p.workload.restarting.is_some() && w.phase != Phase::Degraded => {
            format!("Its pods are being replaced by others of {stable}.")
        }
        (Phase::Healthy, None) => return nothing(),
        (Phase::Degraded, Some(new)) => {
            format!(
                "The update to {new} has failed. {} carries {} of the traffic.",
                stable,
                percent(100 - w.weight)
            )
        }
        (Phase::Degraded, None) => {
            "The controller says that this workload is not as it should be.".to_owned()
        }
        (Phase::Unknown, _) => "The controller has not looked at the newest state yet.".to_owned(),
        (_, Some(new)) if p.workload.in_flight() => {
            format!("{new} carries {} of the traffic, {stable} the rest.", percent(w.weight))
        }
        _ => "Pods are changing.".to_owned(),
    };
    let message = w.message.clone().filter(|m| !m.is_empty());
    let message = message.map(|m| view! { <small>"The controller: "{m}</small> });
    let s = Tone::from(w.phase).s;
    view! { <div class="say" data-s=s><p role="status"><strong>{words}</strong>{message}</p></div> }
        .into_any()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn write_plan(p: &ServicePage) -> AnyView {
    if p.write_plan.allowed {
        let path = format!("/plans/new?service={}", p.row.service);
        return view! { <a class="btn" href=path>{icon("plus")}"New plan"</a> }.into_any();
    }
    view! {
        <button class="btn" type="button" aria-disabled="true" aria-describedby="why-not">{icon("plus")}"New plan"</button>
    }
    .into_any()
}

fn restart_opener(p: &ServicePage) -> AnyView {
    if !p.restart.allowed {
        return view! {
            <button class="btn" type="button" aria-disabled="true" aria-describedby="why-not">{icon("play")}"Restart"</button>
        }
        .into_any();
    }
    view! { <button class="btn" type="button" popovertarget="restart">{icon("play")}"Restart"</button> }
        .into_any()
}

/// Asks once more, with what it does.
fn restart_panel(p: &ServicePage) -> AnyView {
    if !p.restart.allowed {
        return nothing();
    }
    let does =
        p.restart_does.iter().map(|w| view! { <li class="note">{icon("play")}<span>{w.clone()}</span></li> });
    let does = does.collect_view();
    let form = view! {
        <div class="field mt">
            <label for="restart-why">"Reason (optional)"</label>
            <input class="in" id="restart-why" name="reason" maxlength="500" autocomplete="off"/>
        </div>
        <footer>
            {post::button("btn primary big", "play", "Restart the pods".to_owned(), "Restarting…", false)}
            <button class="btn" type="button" popovertarget="restart" popovertargetaction="hide">"Leave them"</button>
        </footer>
    };
    view! {
        <div class="confirm calm" id="restart" popover role="dialog" aria-labelledby="restart-h">
            <h2 id="restart-h">{format!("Restart the pods of {}?", p.row.service)}</h2>
            <ul class="mt" role="list">{does}</ul>
            {post::form("/do/restart-workload", "", place_of(p), form.into_any())}
        </div>
    }
    .into_any()
}

/// The workload as a form names it.
fn place_of(p: &ServicePage) -> Vec<(&'static str, String)> {
    let key = &p.row.key;
    vec![
        ("cluster", key.cluster.clone()),
        ("namespace", key.namespace.clone()),
        ("kind", key.kind.key().to_owned()),
        ("name", key.name.clone()),
    ]
}

/// Why some deeds are not possible.
fn reasons(p: &ServicePage) -> AnyView {
    let list = [("New plan", &p.write_plan), ("ROLL BACK", &p.roll_back), ("Restart", &p.restart)]
        .into_iter()
        .filter(|(_, deed)| !deed.allowed)
        .filter_map(|(label, deed)| deed.why_not.clone().map(|why| (label, why)))
        .map(|(label, why)| view! { <span><b>{label}</b>": "{why}" "</span> })
        .collect_view();
    view! { <p class="why xs ink2" id="why-not">{list}</p> }.into_any()
}

/// Each revision with pods, the newest first.
fn workload(p: &ServicePage) -> AnyView {
    let w = &p.workload;
    let share = w.canary_share();
    let revisions = w
        .revisions
        .iter()
        .filter(|r| r.desired > 0 || r.ready > 0)
        .map(|r| revision(w, r, share))
        .collect_view();
    let bar = w.in_flight().then(|| {
        view! { <div class="mt">{gate::mini(share, share, &[])}</div> }
    });
    let content = view! {
        {bar}
        <ul class="rows" role="list">{revisions}</ul>
    };
    sect("w-h", "Live workload", nothing(), content.into_any())
}

fn revision(w: &Workload, r: &Revision, share: u8) -> AnyView {
    let stable = w.stable_hash.as_ref() == Some(&r.hash);
    let current = w.newest_hash() == Some(r.hash.as_str());
    let (part, class, share) = match (stable, current) {
        (true, _) if w.in_flight() => ("stable", "s", Some(100 - share)),
        (true, _) => ("in use", "s", Some(100)),
        (false, true) => ("canary", "c", Some(share)),
        (false, false) => ("going", "s", None),
    };
    let ready = format!("{} of {} ready", r.ready, r.desired);
    let share = share.map(|s| format!(", {} of traffic", percent(s))).unwrap_or_default();
    view! {
        <li>
            <div>
                <div class="t"><b class="rev">{r.number}</b><span class="sm">{version_of(&r.images)}", "{part}</span></div>
                {pods(r, class)}
            </div>
            <span class="sm ink2">{ready}{share}</span>
        </li>
    }
    .into_any()
}

/// One box a pod: full where ready, hollow where not. Beyond sixty the figure beside it must do.
fn pods(r: &Revision, class: &'static str) -> AnyView {
    use std::fmt::Write as _;
    let shown = r.desired.max(r.ready).clamp(0, 60);
    let mut boxes = String::new();
    for i in 0..shown {
        let x = f64::from(i) * 14.0 + 0.5;
        let hollow = if i < r.ready { "" } else { r#" fill-opacity="0""# };
        let _ = write!(boxes, r#"<rect class="{class}"{hollow} x="{x}" y=".5" width="10" height="12"/>"#);
    }
    let label = format!("{} of {} pods ready", r.ready, r.desired);
    let width = (shown * 14).max(14).to_string();
    view! { <svg class="pods" role="img" aria-label=label width=width height="14" inner_html=boxes></svg> }
        .into_any()
}

fn history(p: &ServicePage) -> AnyView {
    let right = view! { <a href=format!("/audit?service={}", p.row.service)>"Audit"</a> }.into_any();
    let content = if p.releases.is_empty() {
        empty(
            "release",
            "No release yet".into(),
            "Tidegate has not released this workload. What runs was put there by somebody else.".into(),
            nothing(),
        )
    } else {
        let compare = format!("{}/compare", service_path(&p.row.key));
        view! {
            {scroll("Releases, table", rows::table("Releases, newest first", p.age.now, &p.releases))}
            <p class="mt"><a href=compare>"Compare releases"</a></p>
        }
        .into_any()
    };
    sect("h-h", "Releases", right, content)
}

fn incidents(p: &ServicePage) -> AnyView {
    let mut query = ParamsMap::new();
    query.insert("service", p.row.service.clone());
    query.insert("environment", p.row.environment.clone());
    incident::section(format!("/incidents/new{}", query.to_query_string()), incident::list(&p.incidents))
}

fn way_back(p: &ServicePage) -> AnyView {
    let (right, content) = match &p.rollback {
        Some(preview) => (ready_to_roll_back(preview), facts_of_rollback(preview)),
        None => {
            let words = "No earlier version is known to be good: there is nothing to go back to.";
            (nothing(), view! { <p class="sm ink2 mt">{words}</p> }.into_any())
        }
    };
    sect("r-h", "If you roll back", right, content)
}

/// A rollback does not get on: why, what helps, and where it could go instead.
fn stall(p: &ServicePage) -> AnyView {
    let told = p.stall.as_ref().map(|stall| stalled(stall, &p.ways));
    view! { <div role="status">{told}</div> }.into_any()
}

/// ConfigMaps and Secrets that the version to go back to reads: a rollback leaves them as they are.
fn config(p: &ServicePage) -> AnyView {
    let Some(c) = &p.config else { return nothing() };
    let changed = c.changed.iter().map(|change| {
        let name = format!("{} {} ", change.kind.key(), change.name);
        let lines = (!change.lines.is_empty()).then(|| {
            let shown: Vec<_> = change.lines.iter().take(40).cloned().collect();
            let more = change.lines.len().saturating_sub(shown.len());
            let more = if more > 0 { format!("\n… and {more} more") } else { String::new() };
            scroll("What changed, line by line", view! { <pre class="yaml">{shown.join("\n")}{more}</pre> }.into_any())
        });
        view! { <li class="note" data-s="waiting">{icon("warn")}<span><b>{name}</b>{change.words.clone()}</span></li>{lines} }
    });
    let changed = changed.collect_view();
    let missing = c.missing.iter().map(|name| {
        view! { <li class="note" data-s="degraded">{icon("warn")}<span><b>{name.clone()}</b>" is gone: pods that need it cannot start."</span></li> }
    });
    let missing = missing.collect_view();
    let words = match c.since {
        Some(since) if c.changed.is_empty() => {
            view! { "Unchanged since "{at(p.age.now, since)}", as far as it can be read." }.into_any()
        }
        Some(since) => {
            let then = match c.restored.is_empty() {
                true => "A rollback leaves it as it is now.".to_owned(),
                false => format!("A rollback puts back {}, as the plan asks for.", c.restored.join(", ")),
            };
            view! { "Compared with "{at(p.age.now, since)}". "{then} }.into_any()
        }
        None => "What it held when that version carried all traffic is not on record.".into_any(),
    };
    let unread = (!c.unread.is_empty())
        .then(|| view! { <p class="xs ink2">"Not looked at, since Tidegate may not read it: "{c.unread.join(", ")}"."</p> });
    let content = view! {
        <p class="sm ink2 mt">{format!("{} reads {}. ", c.version, c.named.join(", "))}{words}</p>
        <ul role="list">{missing}{changed}</ul>
        {unread}
    };
    sect("cf-h", "Its configuration", nothing(), content.into_any())
}

/// After a rollback: whether the error rate is back.
fn recovery(p: &ServicePage) -> AnyView {
    let Some(r) = &p.recovery else { return nothing() };
    let tone = if r.at.is_some() { tone::HEALTHY } else { tone::PROGRESSING };
    let when = r.at.map(|when| view! { ", seen "{ago(p.age.now, when)} });
    view! {
        <p class="note box mt" data-s=tone.s role="status">
            {icon(tone.icon)}<span><b>{format!("Rolled back. {}: ", r.name)}</b>{r.words.clone()}{when}</span>
        </p>
    }
    .into_any()
}

/// Argo CD's sync was suspended for a release or a rollback: the reminder to put it back.
fn suspended(p: &ServicePage) -> AnyView {
    let Some((s, words)) = p.sync.as_ref().and_then(|s| Some((s, s.sync.reminder()?))) else {
        return nothing();
    };
    let key = &p.row.key;
    let hidden = vec![
        ("cluster", key.cluster.clone()),
        ("namespace", key.namespace.clone()),
        ("kind", key.kind.key().to_owned()),
        ("name", key.name.clone()),
    ];
    let label = if s.sync.automated { "Take this note away" } else { "Put the automatic sync back" };
    let act = if s.resume.allowed {
        let press = post::button("btn", "undo", label.to_owned(), "Putting it back…", true);
        post::form("/do/resume-sync", "acts mt", hidden, press)
    } else {
        let why = s.resume.why_not.clone().unwrap_or_default();
        view! { <p class="xs ink2 mt">{why}</p> }.into_any()
    };
    let tone = if s.sync.agrees == Some(true) { "progressing" } else { "waiting" };
    view! {
        <div class="say mt" data-s=tone role="status"><div><p>{words}</p>{act}</div></div>
    }
    .into_any()
}

/// Versions that carried all traffic: each can be gone back to by name.
fn known_good(p: &ServicePage) -> AnyView {
    if p.known_good.is_empty() {
        return nothing();
    }
    let base = p.age.now;
    let row = |k: &KnownGoodRow| {
        let until = k.until.map(|until| view! { " until "{at(base, until)} });
        let by = match k.release {
            Some(id) => {
                view! { "by "<a href=format!("/releases/{id}")>{format!("release #{id}")}</a> }.into_any()
            }
            None => "deployed past Tidegate".into_any(),
        };
        let kept = match k.revision {
            Some(n) if k.ready > 0 => format!("revision {n}, {} pods ready", k.ready),
            Some(n) => format!("revision {n} is still there"),
            None => "from the record: its ReplicaSet is gone".to_owned(),
        };
        let act = match k.standing {
            Standing::Present => view! { <span class="sm ink2">"in use"</span> }.into_any(),
            Standing::Target | Standing::Older if k.roll_back.allowed => {
                let label = format!("Roll back to {}", k.version);
                view! { <a class="btn small" href=k.path.clone() aria-label=label>{icon("undo")}"Roll back"</a> }
                    .into_any()
            }
            Standing::Target | Standing::Older => nothing(),
        };
        view! {
            <li>
                <div>
                    <div class="t"><b class="rev">{k.version.clone()}</b><span class="sm ink2">{by}</span></div>
                    <p class="xs ink2">"since "{at(base, k.since)}{until}"; "{kept}</p>
                </div>
                {act}
            </li>
        }
    };
    let rows = p.known_good.iter().map(row).collect_view();
    let content = view! { <ul class="rows" role="list">{rows}</ul> };
    sect("k-h", "Known-good versions", nothing(), content.into_any())
}

fn contents(w: &Workload, sync: Option<&SyncView>) -> AnyView {
    let images = w
        .images
        .iter()
        .map(|(container, image)| {
            view! { <dt>{format!("Image, {container}")}</dt><dd class="mono">{image.clone()}</dd> }
        })
        .collect_view();
    let strategy = match w.strategy {
        Strategy::Canary => "canary",
        Strategy::BlueGreen => "blue-green",
        Strategy::Rolling => "rolling update",
    };
    let router = match (&w.router, w.strategy) {
        (Some(r), _) => r.clone(),
        (None, _) if w.splitter.is_some() => match w.weighed() {
            Ok(splitter) => {
                let drift = splitter.drift().map(|words| format!(". {words}")).unwrap_or_default();
                format!("{}: a canary gets exactly its weight{drift}", splitter.by)
            }
            Err(why) => format!("none: pods make the weight. {why}"),
        },
        (None, Strategy::Canary) => "none: pods make the weight".to_owned(),
        (None, _) => "none".to_owned(),
    };
    let gitops = w.gitops.as_ref().map(|app| {
        let words = match sync {
            Some(s) if s.sync.self_heal => {
                format!("Argo CD's application {}, which syncs by itself and heals", s.sync.app)
            }
            Some(s) if s.sync.automated => {
                format!("Argo CD's application {}, which syncs by itself", s.sync.app)
            }
            Some(s) => format!("Argo CD's application {}, synced by hand", s.sync.app),
            None => format!("Argo CD's application {app}: what is changed here, git may change back"),
        };
        fact_text("Owned by", words)
    });
    let content = view! {
        <dl class="facts">
            {images}
            {fact_text("Strategy", strategy)}
            {fact_text("Router", router)}
            {fact_text("Replicas", format!("{} wanted, {} ready, {} available", w.replicas, w.ready, w.available))}
            {gitops}
            {fact("Made", view! { {when::stamp(w.created)} }.into_any())}
        </dl>
    };
    sect("c-h", "Contents", ().into_any(), content.into_any())
}
