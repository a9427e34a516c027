//! `/status`: what users feel, for everyone. Speaks of no revision and no rollout, and says how old its data is.

use crate::api;
use crate::components::common::nothing;
use crate::components::icon::icon;
use crate::components::load;
use crate::components::tone::{self, Tone, st};
use crate::when;
use chrono::{DateTime, TimeDelta, Utc};
use leptos::prelude::*;
use leptos_meta::Title;
use model::view::{Component, ComponentStatus, Notice, StatusPage};

/// Older than this the page calls itself old.
const OLD: TimeDelta = TimeDelta::seconds(90);
/// How often an open page asks again, in seconds. By script, not by a refresh of the whole page, which takes a
/// reader's place on it away.
const EVERY: u32 = 15;

pub(crate) fn page() -> AnyView {
    load::page(api::status::status(), |p| {
        view! { <div class="whole" id="page" data-every=EVERY>{view(&p)}</div> }.into_any()
    })
}

fn words(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Operational => "Works",
        ComponentStatus::UnderMaintenance => "Under maintenance",
        ComponentStatus::Unknown => "No fresh data",
        ComponentStatus::DegradedPerformance => "Slower or less reliable",
        ComponentStatus::PartialOutage => "Some failures",
        ComponentStatus::MajorOutage => "Does not work",
    }
}

pub(super) fn view(p: &StatusPage) -> AnyView {
    let worst = p.components.iter().map(|c| c.status).max().unwrap_or(ComponentStatus::Unknown);
    // No data is never green, whatever the components last were.
    let tone = match p.as_of {
        Some(at) if p.now - at <= OLD => Tone::from(worst),
        _ if worst <= ComponentStatus::Unknown => tone::UNKNOWN,
        _ => Tone::from(worst),
    };
    let (s, sign, age) = match p.as_of {
        None => ("unknown", "ask", "No data yet".to_owned()),
        Some(at) => {
            let old = format!("Data from {} UTC, {} old", when::clock(at), when::span(p.now - at));
            if p.now - at > OLD { ("waiting", "clock", old) } else { ("healthy", "clock", old) }
        }
    };
    let components = p.components.iter().map(|c| component(c, p.now)).collect_view();
    let (open, over): (Vec<_>, Vec<_>) = p.notices.iter().partition(|n| n.resolved.is_none());
    let list = if p.components.is_empty() {
        view! { <p class="sm ink2 mt">"Nothing is measured yet."</p> }.into_any()
    } else {
        view! { <ul class="rows status" role="list">{components}</ul> }.into_any()
    };
    view! {
        <Title text=p.headline.clone()/>
        <a class="skip btn" href="#main">"Skip to content"</a>
        <main class="plain" id="main" tabindex="-1">
            <p class="row"><span class="brand">{icon("gate")}"Service status"</span></p>
            <div class="say" data-s=tone.s><h1 class="grow">{icon_of(tone)}{p.headline.clone()}</h1></div>
            <p class="sm ink2 mt row">
                <span class="live" data-s=s>{icon(sign)}{age}</span><a href="/status">"Reload"</a>
            </p>
            <section class="sect" aria-labelledby="s-h"><header><h2 id="s-h">"Now"</h2></header>{list}</section>
            {notices("h-h", "What happens", &open, p.now)}
            {notices("o-h", "What happened", &over, p.now)}
            {(p.notices.is_empty()).then(|| view! {
                <section class="sect" aria-labelledby="n-h"><header><h2 id="n-h">"What happened"</h2></header>
                    <p class="sm ink2 mt">"Nothing to report."</p></section>
            })}
            <footer class="meta mt">
                <a href="/api/v2/summary.json" rel="external">"summary.json"</a><a href="/login">"Sign in"</a>
            </footer>
        </main>
    }
    .into_any()
}

fn icon_of(tone: Tone) -> AnyView {
    icon(tone.icon)
}

fn component(c: &Component, now: DateTime<Utc>) -> AnyView {
    let quiet = c.status == ComponentStatus::Operational;
    let more = if quiet { nothing() } else { view! { <p>{c.words.clone()}</p> }.into_any() };
    let _ = now;
    view! {
        <li>
            <div><div class="t"><b>{c.name.clone()}</b></div>{more}</div>
            {st(Tone::from(c.status), words(c.status))}
        </li>
    }
    .into_any()
}

fn notices(id: &'static str, title: &'static str, list: &[&Notice], now: DateTime<Utc>) -> AnyView {
    if list.is_empty() {
        return nothing();
    }
    let items = list.iter().map(|n| notice(n, now)).collect_view();
    view! {
        <section class="sect" aria-labelledby=id><header><h2 id=id>{title}</h2></header>{items}</section>
    }
    .into_any()
}

fn notice(n: &Notice, now: DateTime<Utc>) -> AnyView {
    let span = match n.resolved {
        Some(end) => format!("{} to {} UTC, over", when::near(now, n.created), when::near(now, end)),
        None => format!("Began {} UTC, open", when::near(now, n.created)),
    };
    let updates = n
        .updates
        .iter()
        .map(|(at, status, words)| {
            let (s, sign, title) = stage(status);
            view! {
                <li data-s=s>
                    <time datetime=when::iso(*at)>{when::near(now, *at)}</time>{icon(sign)}
                    <div><b>{title}</b><p>{words.clone()}</p></div>
                </li>
            }
        })
        .collect_view();
    view! {
        <h3 class="mt wrap">{n.name.clone()}</h3>
        <p class="sm ink2 mb">{span}</p>
        <ol class="line" role="list">{updates}</ol>
    }
    .into_any()
}

/// Statuspage's words for the stage of an incident, in ours.
pub(super) fn stage(status: &str) -> (&'static str, &'static str, String) {
    match status {
        "investigating" => ("degraded", "warn", "Seen".into()),
        "identified" => ("progressing", "undo", "Fixing".into()),
        "monitoring" => ("progressing", "clock", "Watching".into()),
        "resolved" => ("healthy", "ok", "Over".into()),
        other => ("unknown", "dot", other.to_owned()),
    }
}
